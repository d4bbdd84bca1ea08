"""Measures the shipped model beside the classical methods, and writes the README's table of them.

    python scripts/compare_methods.py scores data/val --methods photo,fast
    OMP_NUM_THREADS=1 taskset -c 1 python scripts/compare_methods.py times data/val \
        --methods photo,fast,wavelet,tv,nlm,sparse,bm3d

Each method is blind. ``scores`` measures on centre 256×256 crops, and only the methods (and, with
``--sets``, the sets) that are named: the others keep what ``docs/methods.json`` says of them, so
that new weights need only ``--methods photo,fast``. ``times`` measures those that are named in one
run on a few of the crops, one thread each, and notes the date; it wants an idle machine. The
classical methods' libraries are held to one thread from outside.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from readme import replace_marked
from validation_sets import SETS

from invdn.evaluate import evaluate, resolve_methods

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "docs/methods.json"
TIMED_CROPS = 3
COMPARED = ("polyu", "sidd", "bsd23, σ 25", "bsd23, σ 12, grain", "bsd23, σ 20, enlarged")
"""Titles of the sets that have a column."""


def main() -> None:
    """Measure, remember, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("scores", "times"))
    parser.add_argument("validation", type=Path, help="polyu/, sidd/, bsd23/")
    parser.add_argument("--methods", required=True)
    parser.add_argument("--sets", nargs="+", choices=COMPARED, default=list(COMPARED))
    arguments = parser.parse_args()
    measured = json.loads(MEASURED.read_text("utf-8")) if MEASURED.exists() else {}
    names = arguments.methods.split(",")
    if arguments.what == "scores":
        scores(arguments.validation, names, arguments.sets, measured)
    else:
        times(arguments.validation, names, measured)
    MEASURED.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", "utf-8")
    write_table(measured)


def scores(validation: Path, names: list[str], titles: list[str], measured: dict[str, Any]) -> None:
    """PSNR and SSIM of each named method on each set; remembered as soon as they are known."""
    for title in titles:
        pairs = SETS[title].load(validation)
        for name in names:
            with ExitStack() as resources:
                methods = resolve_methods([name], resources, threads=1)
                (row,) = evaluate(pairs, methods, examples=0).rows()
            entry = measured.setdefault(name, {}).setdefault(title, {})
            entry.update(
                psnr=round(row["psnr"], 2),
                ssim=round(row["ssim"], 4),
                worst_gain=round(row["worst_gain"], 2),
                n=row["n"],
                measured=today(),
            )
            print(title, name, entry, flush=True)
            MEASURED.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", "utf-8")


def times(validation: Path, names: list[str], measured: dict[str, Any]) -> None:
    """Seconds a megapixel, one thread, all methods in one run."""
    pairs = SETS["polyu"].load(validation)[:TIMED_CROPS]
    with ExitStack() as resources:
        methods = resolve_methods(names, resources, threads=1)
        for row in evaluate(pairs, methods, examples=0).rows():
            entry = measured.setdefault(row["method"], {})
            entry["s_per_mp"] = round(row["s_per_mp"], 2)
            entry["timed"] = today()  # beside rows that this run does not measure
            print(row["method"], entry["s_per_mp"], flush=True)


def today() -> str:
    """The date, and the short hash of the code that is measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return f"{datetime.date.today().isoformat()}, {commit.strip()}"


def write_table(measured: dict[str, Any]) -> None:
    """Into the README, between the two marks; a dash for what was not measured."""
    head = ["method", *COMPARED, "s/MP", "measured"]
    lines = [head, ["---"] * len(head)]
    for name, known in measured.items():
        cells = [
            f"{known[title]['psnr']:.2f} / {known[title]['ssim']:.4f}" if title in known else "–"
            for title in COMPARED
        ]
        when = sorted({known[title]["measured"] for title in COMPARED if title in known})
        speed = f"{known['s_per_mp']:.2f}" if "s_per_mp" in known else "–"
        when += [f"s/MP {known['timed']}"] if "timed" in known else []
        lines.append([name, *cells, speed, "; ".join(when)])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    replace_marked("methods", table)


if __name__ == "__main__":
    main()
