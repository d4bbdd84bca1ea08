"""Trains the noise head of a denoiser's weights as ``configs/noise.toml`` says, and ships it.

    python scripts/ship_noise.py runs/photo/weights.safetensors --root data

Writes ``src/invdn/weights/noise.safetensors``, which is what ``invdn noise`` uses. The file holds
the denoiser's weights too, as the head lives in their latents: so it need not be made anew with
each version of them, and should be where AKLD (``invdn evaluate --noise``) gains by it.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import time
from pathlib import Path

from invdn.config import build, read_toml
from invdn.noise import load_noise_model
from invdn.runtime import NOISE_MODEL
from invdn.train_noise import NoiseTrainConfig, train_noise

SETTINGS = Path(__file__).parents[1] / "configs/noise.toml"


def main() -> None:
    """Read the arguments, train, and check that the file can be loaded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("denoiser", type=Path, help="safetensors of a run")
    parser.add_argument("--root", type=Path, required=True, help="what the folders are relative to")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("invdn").setLevel(logging.INFO)

    settings = build(NoiseTrainConfig, read_toml(SETTINGS), str(SETTINGS))
    settings = dataclasses.replace(
        settings,
        denoiser=str(arguments.denoiser.resolve()),
        root=str(arguments.root.resolve()),
        output=str(NOISE_MODEL.resolve()),
        threads=arguments.threads,
    )
    started = time.monotonic()
    train_noise(settings, Path.cwd())
    load_noise_model(NOISE_MODEL)
    print(f"{NOISE_MODEL}: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
