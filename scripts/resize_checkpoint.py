"""Makes a network's weights the start of a run: of the same network, or of one of other sizes.

    python scripts/resize_checkpoint.py checkpoints/photo.safetensors configs/fast.toml \
        --images data/train/pairs/polyu data/train/pairs/sidd
    invdn train configs/fast.toml --resume

The sizes are those of the settings file, and the result goes into its run's folder. The optimiser's
state does not go along, and the steps are counted from 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from invdn.config import ConfigError, load_config
from invdn.data.pairs import load_pairs
from invdn.data.patches import Pixels
from invdn.export import ExportError, load_network, network_of
from invdn.net.invdn import InvDN
from invdn.net.resize import resized
from invdn.training.checkpoint import CHECKPOINT, write_pickle

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
        parser.error(f"{output} exists already: give the settings another run")
    try:
        net = load(arguments.checkpoint)
        images = [
            image
            for folder in arguments.images or ()
            for pair in load_pairs(folder, crop_px=CROP_PX)
            if (image := whole_blocks(pair.noisy, net.multiple)).numel()
        ]
    except (ExportError, FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    try:
        result = resized(net, config.network.resolved(), images)
    except ValueError as error:
        parser.error(f"{error}{'' if arguments.images else ' (--images)'}")
    weights = result.state_dict()
    content = {"step": 0, "net": weights, "average": weights, "optimisers": {"none": {}}}
    try:
        write_pickle(content, output)
    except OSError as error:
        parser.error(f"{output} cannot be written: {error.strerror}")
    print(
        f"{output}: {sum(p.numel() for p in result.parameters()):,} parameters, "
        f"{result.macs_per_pixel():,.0f} multiply-adds a pixel"
    )


def load(path: Path) -> InvDN:
    """The network of a run's weights, or of its checkpoint.

    Raises ExportError.
    """
    if path.suffix != Path(CHECKPOINT).suffix or not path.is_file():
        return load_network(path)
    try:
        return network_of(torch.load(path, map_location="cpu", weights_only=True)["average"], path)
    except ExportError:
        raise
    except Exception as error:  # whatever a file that is something else comes to
        raise ExportError(f"{path} is not a run's checkpoint, or is damaged") from error


def whole_blocks(pixels: Pixels, multiple: int) -> Tensor:
    """``[H, W, 3]`` of 8 bits → ``[1, 3, H, W]`` in [0, 1], cut down to multiples."""
    height, width = (side // multiple * multiple for side in pixels.shape[:2])
    image = torch.from_numpy(pixels[:height, :width].copy())
    return image.permute(2, 0, 1).unsqueeze(0).float() / 255.0


if __name__ == "__main__":
    main()
