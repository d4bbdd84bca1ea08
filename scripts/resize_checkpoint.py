"""Makes a network's weights the start of a run: of the same network, or of one of other sizes.

    python scripts/resize_checkpoint.py checkpoints/photo.safetensors configs/fast.toml \
        --images ../data/train/pairs/polyu ../data/train/pairs/sidd
    invdn train configs/fast.toml --resume

The sizes are those of the settings file, and the result goes into its run's folder. The optimiser's
state does not go along, and the steps are counted from 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from invdn.config import ConfigError, load_config
from invdn.data.pairs import load_pairs
from invdn.net.invdn import InvDN, infer_levels
from invdn.net.resize import resized
from invdn.training.checkpoint import CHECKPOINT

CROP_PX = 256


def main() -> None:
    """Read the arguments, and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help="weights.safetensors or checkpoint.pt of a run"
    )
    parser.add_argument("config", type=Path, help="settings of the run that begins with it")
    parser.add_argument(
        "--images", type=Path, nargs="+", help="folders with noisy/ and clean/, to get narrower"
    )
    arguments = parser.parse_args()
    try:
        config = load_config(arguments.config)
    except ConfigError as error:
        parser.error(str(error))
    if config.network.is_paper:
        parser.error("the published network's sizes are fixed")
    output = arguments.config.resolve().parent / config.run / CHECKPOINT
    if output.exists():
        parser.error(f"{output} exists already")
    given: Path = arguments.checkpoint
    if not given.is_file():
        parser.error(f"there is no checkpoint {given}")
    if given.suffix == ".safetensors":
        state = load_file(given)
    else:
        state = torch.load(given, map_location="cpu", weights_only=True)["average"]
    net = InvDN(infer_levels(state))
    net.load_state_dict(state)
    images = [
        torch.from_numpy(pair.noisy).permute(2, 0, 1).unsqueeze(0).float() / 255.0
        for folder in arguments.images or ()
        for pair in load_pairs(folder, crop_px=CROP_PX)
    ]
    try:
        result = resized(net, config.network.resolved(), images)
    except ValueError as error:
        parser.error(f"{error}{'' if arguments.images else ' (--images)'}")
    weights = result.state_dict()
    output.parent.mkdir(parents=True, exist_ok=True)
    content = {"step": 0, "net": weights, "average": weights, "optimisers": {"none": {}}}
    torch.save(content, output)
    print(
        f"{output}: {sum(p.numel() for p in result.parameters()):,} parameters, "
        f"{result.macs_per_pixel():,.0f} multiply-adds a pixel"
    )


if __name__ == "__main__":
    main()
