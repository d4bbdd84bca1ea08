"""Affine coupling: an invertible step whose inverse costs as much as its forward.

The channels are split into ``x1`` and ``x2``; each half is changed by an amount that the other
half determines, so either change can be computed again and taken back:

    y1 = x1 + F(x2)             x2 = (y2 − G(y1)) · exp(−s)
    y2 = x2 · exp(s) + G(y1)    x1 = y1 − F(x2)             s = 2σ(H(y1)) − 1 ∈ (−1, 1)

Law: ``inverse(forward(x)) == x`` up to rounding, whatever F, G and H are.

Source: L. Dinh et al., *Density estimation using Real NVP*, ICLR 2017; in this form Y. Liu et
al., *Invertible Denoising Network*, CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: Maps half of the channels to what is added to the other half.
Shift = Callable[[Tensor], Tensor]
#: Maps half of the channels to (G, H): what is added to the other half, and its raw log-scale.
ShiftAndScale = Callable[[Tensor], tuple[Tensor, Tensor]]


def bounded_log_scale(h: Tensor) -> Tensor:
    """``2σ(h) − 1``, in (−1, 1): one step scales by no more than e either way."""
    return torch.tanh(0.5 * h)


def affine_forward(x: Tensor, split: int, f: Shift, gh: ShiftAndScale) -> Tensor:
    """One coupling step on ``[N, C, H, W]``; the first ``split`` channels are ``x1``."""
    return torch.cat(couple(x[:, :split], x[:, split:], f, gh), dim=1)


def affine_inverse(y: Tensor, split: int, f: Shift, gh: ShiftAndScale) -> Tensor:
    """The inverse of :func:`affine_forward` with the same arguments."""
    return torch.cat(uncouple(y[:, :split], y[:, split:], f, gh), dim=1)


def couple(x1: Tensor, x2: Tensor, f: Shift, gh: ShiftAndScale) -> tuple[Tensor, Tensor]:
    """``(x1, x2)`` → ``(y1, y2)``."""
    y1 = x1 + f(x2)
    g, h = gh(y1)
    return y1, x2 * torch.exp(bounded_log_scale(h)) + g


def uncouple(y1: Tensor, y2: Tensor, f: Shift, gh: ShiftAndScale) -> tuple[Tensor, Tensor]:
    """``(y1, y2)`` → ``(x1, x2)``."""
    g, h = gh(y1)
    x2 = (y2 - g) * torch.exp(-bounded_log_scale(h))
    return y1 - f(x2), x2


def affine_log_det(x: Tensor, split: int, f: Shift, gh: ShiftAndScale) -> Tensor:
    """log |det| of :func:`affine_forward` at ``x``, for each sample, ``[N]``: the sum of s."""
    _, h = gh(x[:, :split] + f(x[:, split:]))
    return bounded_log_scale(h).flatten(1).sum(1)


class CouplingSubnet(nn.Sequential):
    """Conv 3×3 → LeakyReLU → conv 3×3, ``[N, inputs, H, W]`` → ``[N, outputs, H, W]``."""

    #: Scale of the last layer at the start: couplings begin near the identity, so that the
    #: whole network begins near a wavelet transform.
    LAST_LAYER_SCALE = 0.1

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, outputs, 3, padding=1),
        )
        scale_last_layer(self[2], self.LAST_LAYER_SCALE)


def scale_last_layer(conv: nn.Module, scale: float) -> None:
    """Multiply a fresh convolution's weight by ``scale`` and set its bias to zero, in place."""
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.mul_(scale)
        conv.bias.zero_()


class Coupling(nn.Module):
    """Affine coupling with two small subnets: F, and one trunk that makes both G and H.

    ``forward`` and ``inverse``: ``[N, channels, H, W]`` → the same shape.
    """

    def __init__(self, channels: int, split: int, width: int) -> None:
        super().__init__()
        if not 0 < split < channels:
            raise ValueError(f"split must be between 1 and {channels - 1}, not {split}")
        self.split = split
        self.f = CouplingSubnet(channels - split, width, split)
        self.gh = CouplingSubnet(split, width, 2 * (channels - split))

    def shift_and_scale(self, y1: Tensor) -> tuple[Tensor, Tensor]:
        """G and H at ``y1``."""
        g, h = self.gh(y1).chunk(2, dim=1)
        return g, h

    def forward(self, x: Tensor) -> Tensor:
        """``x`` → ``y``."""
        return affine_forward(x, self.split, self.f, self.shift_and_scale)

    def inverse(self, y: Tensor) -> Tensor:
        """``y`` → ``x``."""
        return affine_inverse(y, self.split, self.f, self.shift_and_scale)

    def log_det(self, x: Tensor) -> Tensor:
        """log |det ∂y/∂x| for each sample, ``[N]``."""
        return affine_log_det(x, self.split, self.f, self.shift_and_scale)
