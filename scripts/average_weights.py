"""Averages the weights of runs that continue one another: often better than either.

    python scripts/average_weights.py runs/photo/weights.safetensors:0.6 \
        runs/before/weights.safetensors:0.4 -o runs/average/weights.safetensors

The shares are divided by their sum. The networks must have the same sizes, and one must have begun
with the other's weights (or both with a third's): between unrelated ones the mean is nothing.

Source: M. Wortsman et al., *Model soups*, ICML 2022.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from invdn.training.checkpoint import write_tensors


def main() -> None:
    """Read the arguments, and write the averaged weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("weights", nargs="+", metavar="FILE:SHARE", help="safetensors of a run")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.output.exists():
        parser.error(f"{arguments.output} exists already")
    files, shares, steps = [], [], []
    for given in arguments.weights:
        name, _, share = given.rpartition(":")
        try:
            shares.append(float(share))
        except ValueError:
            parser.error(f"{given} has no share: {given}:0.5, for example")
        try:
            files.append(load_file(name))
            with safe_open(name, "pt") as file:
                steps.append(int((file.metadata() or {}).get("step", 0)))
        except (OSError, SafetensorError) as error:
            parser.error(f"{name} cannot be read: {error}")
    if min(shares) < 0 or not 0 < sum(shares) < math.inf:
        parser.error("shares must not be negative, and one must be more than 0")
    shapes = [{key: value.shape for key, value in file.items()} for file in files]
    if any(shape != shapes[0] for shape in shapes):
        parser.error("the networks differ in their sizes")
    mean = {
        key: sum(
            (share / sum(shares) * file[key] for share, file in zip(shares, files, strict=True)),
            torch.zeros(()),
        )
        for key in files[0]
    }
    try:
        write_tensors(mean, arguments.output, {"step": str(max(steps))})
    except OSError as error:
        parser.error(f"{arguments.output} cannot be written: {error}")
    print(f"{arguments.output}: the mean of {len(files)}")


if __name__ == "__main__":
    main()
