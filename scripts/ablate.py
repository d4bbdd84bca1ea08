"""Short training runs of equal time, one change at a time, and a table of what each is worth.

    python scripts/ablate.py scripts/ablations.toml --root data --minutes 2 --seeds 0,1,2 \
        -o ablations.jsonl

Every run gets as many steps as fit into the given processor time of the training process (what it
costs to make the data is not counted: other processes make them), on one thread, with the learning
rate falling over its last third. ``--steps`` gives every run as many steps instead: for changes
that leave a step's cost as it is, on a machine whose speed depends on what else it does. Results
are added to the file as they come; what is there already, with the same settings, is not run again.
Seeds change the initial weights and the batches.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from invdn.config import TrainConfig, build, read_toml
from invdn.train import train
from invdn.training.objective import build_network
from invdn.training.validation import load_validation_set, validate

#: Steps of the two runs whose difference gives the cost of a step.
TRIAL_STEPS = (10, 60)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("--root", type=Path, required=True, help="folder of the photos")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float, help="processor time of each run")
    budget.add_argument("--steps", type=int, help="of each run")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--only", help="names of variants, separated by |")
    parser.add_argument("-o", "--output", type=Path, required=True, help="results, a line a run")
    options = parser.parse_args()
    table = read_toml(options.config)
    variants = {v["name"]: merged(table["base"], v.get("set", {})) for v in table["variant"]}
    if options.only:
        unknown = set(options.only.split("|")) - variants.keys()
        if unknown:
            parser.error(f"--only: there is no variant called {' or '.join(sorted(unknown))}")
        variants = {name: variants[name] for name in options.only.split("|")}
    if not options.root.is_dir():
        parser.error(f"--root: {options.root} is not a folder")
    results = _read(options.output)
    wanted = []
    for seed in (int(seed) for seed in options.seeds.split(",")):
        for name, settings in variants.items():
            key = {"variant": name, "seed": seed, "settings": _digest(settings)}
            key |= {"steps": options.steps} if options.steps else {"minutes": options.minutes}
            known = [result for result in results if key.items() <= result.items()]
            if known:
                wanted += known
                continue
            config = build(TrainConfig, merged(settings, {"seed": seed, "threads": 1}), name)
            data = dataclasses.replace(config.data, root=str(options.root.resolve()))
            config = dataclasses.replace(config, data=data)
            steps = options.steps or _steps_within(options.minutes * 60, config)
            result = key | run(config, steps)
            wanted.append(result)
            with options.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result, ensure_ascii=False) + "\n")
    print(markdown(wanted, list(variants)))


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``change`` over it: tables within tables, everything else replaced."""
    result = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def _digest(settings: Mapping[str, Any]) -> str:
    """Tells settings apart that have the same name, before and after an edit."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def run(config: TrainConfig, steps: int) -> dict[str, Any]:
    """Train, and score: steps, processor time, multiply-adds, PSNR in dB by validation set."""
    net, seconds = _train(config, steps)
    scores = {
        item.name: validate(net, load_validation_set(item, Path(config.data.root)))["psnr"]
        for item in config.validation
    }
    macs = build_network(config.network).macs_per_pixel()
    return {"steps": steps, "seconds": seconds, "macs_per_pixel": macs, "psnr": scores}


def _steps_within(seconds: float, config: TrainConfig) -> int:
    """How many steps take so long, by the difference of two short runs, which start alike."""
    short, long = (_train(config, steps)[1] for steps in TRIAL_STEPS)
    cost = (long - short) / (TRIAL_STEPS[1] - TRIAL_STEPS[0])
    return max(TRIAL_STEPS[1], round(seconds / cost))


def _train(config: TrainConfig, steps: int) -> tuple[Any, float]:
    """The averaged network after some steps, and the processor time of this process."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        net = train(
            dataclasses.replace(
                config,
                run=folder,
                steps=steps,
                decay_steps=max(1, steps // 3),
                validation=(),
                validate_every=steps,
                checkpoint_every=steps,
            ),
            Path(folder),
        )
        return net, time.process_time() - started


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def markdown(results: list[dict[str, Any]], order: list[str]) -> str:
    """A row for each variant: the mean over its seeds, and ± half their range where several."""
    sets = list(results[0]["psnr"]) if results else []
    lines = [
        f"| | MACs/px | steps | {' | '.join(sets)} | runs |",
        "| --- " * (len(sets) + 4) + "|",
    ]
    for name in order:
        runs = [r for r in results if r["variant"] == name]
        if not runs:
            continue
        cells = [_cell([r["psnr"][s] for r in runs]) for s in sets]
        steps = statistics.mean(r["steps"] for r in runs)
        macs = runs[0]["macs_per_pixel"] / 1000
        lines.append(f"| {name} | {macs:.0f} k | {steps:.0f} | {' | '.join(cells)} | {len(runs)} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2:.2f}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
