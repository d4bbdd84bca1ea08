"""Validation: what the network makes of pairs that it is never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from invdn.config import ValidationSet
from invdn.data.pairs import MadeNoise, Pair, load_pairs
from invdn.data.patches import Pixels, to_tensor
from invdn.data.sidd import load_validation_blocks
from invdn.metrics import psnr
from invdn.training.objective import Network, Restoration, draw_z


def load_validation_set(config: ValidationSet, root: Path) -> list[Pair]:
    """Read the pairs of a set.

    Raises:
        FileNotFoundError: where a file is missing.
        ValueError: where the data are something else.
    """
    if config.noisy_mat:
        pairs = load_validation_blocks(root / config.noisy_mat, root / config.gt_mat)
    else:
        sigma = config.sigma_8bit
        noise = None if sigma is None else MadeNoise(sigma, config.grain_px, config.enlarged)
        pairs = load_pairs(root / config.folder, crop_px=config.crop_px, noise=noise)
    return pairs[:: config.every]


def validate(net: Network, pairs: Sequence[Pair]) -> dict[str, float]:
    """Mean PSNR of the network's 8-bit output, the input's, and the least gain of any pair, dB."""
    before = np.array([psnr(p.noisy, p.clean) for p in pairs])
    after = np.array([psnr(denoise_8bit(net, p.noisy), p.clean) for p in pairs])
    return {
        "psnr": float(after.mean()),
        "noisy": float(before.mean()),
        "least_gain": float((after - before).min()),
    }


@torch.inference_mode()
def denoise_8bit(net: Network, pixels: Pixels) -> Pixels:
    """Restore ``[H, W, 3]`` of 8 bits in one piece, padded by reflection to the net's multiple.

    The published network gets one sample of ``ẑ``, always the same for a picture's size.
    """
    height, width = pixels.shape[:2]
    pad = [(0, -height % net.multiple), (0, -width % net.multiple), (0, 0)]
    device = next(net.parameters()).device
    noisy = to_tensor([np.pad(pixels, pad, mode="reflect")])
    noisy = noisy.to(device, memory_format=torch.channels_last)
    restored: Tensor = Restoration(net)(noisy, draw_z(net, noisy, seed=0))[0]
    rounded = (restored[0, :, :height, :width].clamp(0.0, 1.0) * 255.0).round().byte()
    return rounded.permute(1, 2, 0).cpu().numpy()


def sample_strip(net: Network, pair: Pair) -> Pixels:
    """Noisy, restored and clean side by side, ``[H, 3 W, 3]``."""
    strip: Pixels = np.concatenate((pair.noisy, denoise_8bit(net, pair.noisy), pair.clean), axis=1)
    return strip
