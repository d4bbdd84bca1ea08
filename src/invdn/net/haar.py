"""The two-dimensional Haar transform: halves height and width, keeps every number.

Law: ``inverse(forward(x)) == x`` up to rounding.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Rows: average, horizontal, vertical and diagonal detail; columns: the pixels of a 2×2 square.
_SIGNS = (
    ((1.0, 1.0), (1.0, 1.0)),
    ((1.0, -1.0), (1.0, -1.0)),
    ((1.0, 1.0), (-1.0, -1.0)),
    ((1.0, -1.0), (-1.0, 1.0)),
)


class Haar(nn.Module):
    """Haar transform of every channel; the averages of all channels come first.

    ``forward``: ``[N, C, H, W]`` → ``[N, 4C, H/2, W/2]`` with H and W even; channels
    ``[0, C)`` are averages, then come C horizontal, C vertical and C diagonal details.
    ``inverse`` undoes it.

    With ``divisor=2`` (ours) the transform is orthonormal: it keeps the Euclidean norm, white
    noise stays white with the same variance, and the log-determinant is 0. With ``divisor=4``
    (the published InvDN) the first C channels are plain averages, in the image's own range.

    Source: A. Haar, *Zur Theorie der orthogonalen Funktionensysteme*, Math. Ann. 69 (1910).
    """

    def __init__(self, channels: int, divisor: float = 2.0) -> None:
        super().__init__()
        self.channels = channels
        self.divisor = divisor
        signs = torch.tensor(_SIGNS)
        # A dense [4C, C, 2, 2] kernel: as a grouped convolution it would be bound by memory.
        kernel = torch.zeros(4, channels, channels, 2, 2)
        for c in range(channels):
            kernel[:, c, c] = signs
        kernel = kernel.reshape(4 * channels, channels, 2, 2)
        self.analysis: Tensor
        self.synthesis: Tensor
        self.register_buffer("analysis", kernel / divisor, persistent=False)
        self.register_buffer("synthesis", kernel * (divisor / 4.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` → ``[N, 4C, H/2, W/2]``."""
        return F.conv2d(x, self.analysis, stride=2)

    def inverse(self, y: Tensor) -> Tensor:
        """``[N, 4C, H/2, W/2]`` → ``[N, C, H, W]``."""
        return F.conv_transpose2d(y, self.synthesis, stride=2)

    def log_det(self, x: Tensor) -> Tensor:
        """log |det ∂forward/∂x| for each sample, ``[N]``: every 2×2 square gives log(4²/d⁴)."""
        squares = x[0].numel() // 4
        value = squares * (math.log(16.0) - 4.0 * math.log(self.divisor))
        return x.new_full((x.shape[0],), value)
