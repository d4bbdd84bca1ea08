"""Turns a training run's weights into a shipped model: exports, scores, and writes its card.

The scores go into ``models.toml`` and, for the default model, into the README's table.

    python scripts/ship_weights.py runs/photo/weights.safetensors --name photo --version 1 \
        --validation data/val --trained-on "…" [--licence Apache-2.0]

The scores are taken with the exported file as a user runs it, on the centre 256×256 crops,
PSNR over all channels of 8-bit output.
"""

from __future__ import annotations

import argparse
import datetime
import re
import tempfile
from pathlib import Path

import numpy as np
from readme import replace_marked
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from validation_sets import SETS

import invdn
from invdn.data.pairs import Pair
from invdn.export import export_checkpoint, model_card
from invdn.metrics import psnr

WEIGHTS = Path(invdn.__file__).parent / "weights"
CARDS = WEIGHTS / "models.toml"


def main() -> None:
    """Read the arguments, export, score, and write the model and its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="safetensors of a run")
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--validation", type=Path, required=True, help="polyu/, sidd/, bsd23/")
    parser.add_argument("--trained-on", required=True, help="what the model was trained on")
    parser.add_argument("--licence", default="Apache-2.0")
    arguments = parser.parse_args()

    try:
        with safe_open(arguments.checkpoint, "pt") as file:
            steps = int((file.metadata() or {})["step"])
    except FileNotFoundError:
        parser.error(f"{arguments.checkpoint} is missing")
    except (SafetensorError, KeyError):
        parser.error(f"{arguments.checkpoint} holds no weights of a training run")
    with tempfile.TemporaryDirectory(dir=WEIGHTS) as folder:
        described = Path(folder) / "weights.safetensors"
        metadata = {k: getattr(arguments, k) for k in ("name", "version", "licence")}
        save_file(load_file(arguments.checkpoint), described, metadata=metadata)
        model = Path(folder) / f"{arguments.name}.onnx"
        print(export_checkpoint(described, model))
        scores = measure(model, arguments.validation)
        card = model_card(model, data=arguments.trained_on, steps=steps, scores=scores)
        model.replace(WEIGHTS / model.name)
    replace_card(arguments.name, card)
    if arguments.name == "photo":
        replace_table(scores, arguments.version)
    print(card)


def measure(model: Path, validation: Path) -> dict[str, float]:
    """The scores of a model file, dB, and the least gains of single pictures over their inputs."""
    sets: dict[str, list[Pair]] = {}
    made: set[str] = set()
    for title, chosen in SETS.items():
        sets[title] = chosen.load(validation)
        if chosen.noise is not None:
            made.add(title)
        if title == "sidd":
            # Scene 01 of the blocks is a colour chart; the others are ordinary scenes.
            chart = [p.name.startswith("val01") for p in sets[title]]
            pairs = list(zip(sets[title], chart, strict=True))
            sets["sidd, chart"] = [p for p, on_chart in pairs if on_chart]
            sets["sidd, other scenes"] = [p for p, on_chart in pairs if not on_chart]
    denoiser = invdn.load(model, device="cpu")
    scores: dict[str, float] = {}
    least_gains = {"a real pair": np.inf, "a picture with made noise": np.inf}
    for name, pairs in sets.items():
        after = [psnr(denoiser(p.noisy), p.clean) for p in pairs]
        before = [psnr(p.noisy, p.clean) for p in pairs]
        scores[f"{name}: PSNR, dB"] = round(float(np.mean(after)), 2)
        scores[f"{name}: PSNR of the input, dB"] = round(float(np.mean(before)), 2)
        kind = "a picture with made noise" if name in made else "a real pair"
        gains = (a - b for a, b in zip(after, before, strict=True))
        least_gains[kind] = min(least_gains[kind], *gains)
    for kind, gain in least_gains.items():
        scores[f"least gain of {kind}, dB"] = round(float(gain), 2)
    return scores


def replace_card(name: str, card: str) -> None:
    """Put a model's tables into ``models.toml``, in place of those it had."""
    text = CARDS.read_text(encoding="utf-8")
    own_tables = rf"^\[{re.escape(name)}(\.scores)?\]\n(?:(?!\[).*\n)*"
    text = re.sub(own_tables, "", text, flags=re.MULTILINE).rstrip("\n")
    CARDS.write_text(f"{text}\n\n{card}", encoding="utf-8")


def replace_table(scores: dict[str, float], version: str) -> None:
    """Put the default model's scores into the README, between the two marks."""
    rows = [
        f"| {name} | {scores[f'{name}: PSNR of the input, dB']:.2f} "
        f"| {scores[f'{name}: PSNR, dB']:.2f} |"
        for name in (key.removesuffix(": PSNR, dB") for key in scores if key.endswith(": PSNR, dB"))
    ]
    table = "\n".join(
        [
            f"`photo` version {version}, {datetime.date.today().isoformat()}:",
            "",
            "| validation set | noisy | restored |",
            "| --- | --- | --- |",
            *rows,
        ]
    )
    replace_marked("scores", table)


if __name__ == "__main__":
    main()
