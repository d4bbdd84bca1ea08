"""Makes a checkpoint of one network the start of a run of another: smaller, or told more.

    python scripts/resize_checkpoint.py runs/photo/checkpoint.pt --preset fast \
        --images ../data/train/pairs/polyu ../data/train/pairs/sidd -o runs/fast/checkpoint.pt
    invdn train configs/fast.toml --resume

The optimiser's state does not go along, and the steps are counted from 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from invdn.config import PRESETS
from invdn.data.pairs import load_pairs
from invdn.net.invdn import InvDN, infer_levels
from invdn.net.resize import resized

CROP_PX = 256


def main() -> None:
    """Read the arguments, and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="checkpoint.pt of a run")
    parser.add_argument("--preset", required=True, choices=sorted(PRESETS))
    parser.add_argument("--images", type=Path, nargs="+", help="folders with noisy/ and clean/")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.output.exists():
        parser.error(f"{arguments.output} exists already")
    state = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)["average"]
    net = InvDN(infer_levels(state))
    net.load_state_dict(state)
    images = [
        torch.from_numpy(pair.noisy).permute(2, 0, 1).unsqueeze(0).float() / 255.0
        for folder in arguments.images or ()
        for pair in load_pairs(folder, crop_px=CROP_PX)
    ]
    result = resized(net, PRESETS[arguments.preset], images)
    weights = result.state_dict()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    content = {"step": 0, "net": weights, "average": weights, "optimisers": {"none": {}}}
    torch.save(content, arguments.output)
    print(
        f"{arguments.output}: {sum(p.numel() for p in result.parameters()):,} parameters, "
        f"{result.macs_per_pixel():,.0f} multiply-adds a pixel"
    )


if __name__ == "__main__":
    main()
