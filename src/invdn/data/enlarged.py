"""Noisy photos that were enlarged: a digital zoom, a scan, a small picture made larger.

Interpolation makes the noise coarse and the photo soft in the same way. A network that has met
coarse noise on sharp photos only takes the softness for a lack of detail, and smooths what
non-local means keep.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from invdn.data.camera import quantise

FACTORS = (1.0, 2.5)
"""Range of :func:`enlarge_some`. Near 1 it is what straightening or a lens correction does."""
SMALLEST_PX = 4
"""What a picture must have each way, for bicubic interpolation."""


def enlarge(x: Tensor, factors: Tensor, centres: Tensor, cubic: Tensor) -> Tensor:
    """Parts of pictures, enlarged to the size of the whole.

    Args:
        x: ``[N, C, H, W]``, :data:`SMALLEST_PX` or more a side.
        factors: of each picture, ``[N]``, 1 or more.
        centres: where each part lies, row and column, ``[N, 2]``: from -1, the part at the upper
            left end, to 1.
        cubic: which pictures are interpolated bicubically, ``[N]`` bool; the others bilinearly.

    Returns:
        Shaped like ``x``. Bicubic interpolation may leave its range.
    """
    inverse = 1.0 / factors
    shift = (1.0 - inverse)[:, None] * centres
    zero = torch.zeros_like(inverse)
    rows = (inverse, zero, shift[:, 1]), (zero, inverse, shift[:, 0])
    theta = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)

    def sampled(mode: str) -> Tensor:
        return F.grid_sample(x, grid, mode=mode, padding_mode="reflection", align_corners=False)

    return torch.where(cubic.view(-1, 1, 1, 1), sampled("bicubic"), sampled("bilinear"))


def enlarge_some(
    noisy: Tensor, target: Tensor, generator: torch.Generator, probability: float
) -> tuple[Tensor, Tensor]:
    """Enlarge a part of some pairs, by random factors of :data:`FACTORS`.

    Args:
        noisy, target: ``[N, 3, H, W]`` in [0, 1], on the generator's device,
            :data:`SMALLEST_PX` or more a side.
        generator: Source of all randomness.
        probability: Of each pair.

    Returns:
        (noisy, target) of the same shape, what was enlarged quantised to 8 bits.
    """
    if not probability:
        return noisy, target
    n, device = noisy.shape[0], noisy.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    low, high = (math.log(factor) for factor in FACTORS)
    used = uniform(n) < probability
    factors = torch.exp(low + (high - low) * uniform(n))
    centres, cubic = 2.0 * uniform(n, 2) - 1.0, uniform(n) < 0.6
    both = torch.cat((noisy, target), 1)
    enlarged = quantise(enlarge(both, factors, centres, cubic))
    both = torch.where(used.view(-1, 1, 1, 1), enlarged, both)
    return both[:, :3], both[:, 3:]
