"""Wavelet transforms that halve height and width and keep every number.

Law of both: ``inverse(forward(x)) == x`` up to rounding.
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


class SmoothHaar(nn.Module):
    """Haar, then each detail less what the neighbouring averages foretell of it: CDF (1, 3).

    Shapes and order of channels are those of :class:`Haar` with ``divisor=2``. A lifting step
    subtracts from a detail the slope between the averages at its sides, so that details of
    linear and quadratic signals are 0, and an inverse without details is a smooth
    interpolation, where Haar's shows its 2×2 squares. The averages are Haar's, and the
    log-determinant is 0; the transform is orthonormal no longer (white noise's variance grows by
    3% in the details).

    Source: A. Cohen, I. Daubechies and J.-C. Feauveau, *Biorthogonal bases of compactly
    supported wavelets*, Comm. Pure Appl. Math. 45 (1992); by lifting as in W. Sweldens, *The
    lifting scheme*, Appl. Comput. Harmon. Anal. 3 (1996).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.haar = Haar(channels)
        slope = torch.tensor([1.0, 0.0, -1.0]) / 8.0
        here = torch.tensor([0.0, 1.0, 0.0])
        taps = (torch.outer(here, slope), torch.outer(slope, here), torch.outer(slope, slope))
        kernel = torch.zeros(3, channels, channels, 3, 3)
        for c in range(channels):
            kernel[:, c, c] = torch.stack(taps)
        self.prediction: Tensor
        self.register_buffer(
            "prediction", kernel.reshape(3 * channels, channels, 3, 3), persistent=False
        )

    def _foretold(self, averages: Tensor) -> Tensor:
        """``[N, C, H, W]`` averages → ``[N, 3C, H, W]``: the details of a smooth signal."""
        return F.conv2d(F.pad(averages, (1, 1, 1, 1), mode="replicate"), self.prediction)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` → ``[N, 4C, H/2, W/2]``."""
        y: Tensor = self.haar(x)
        averages, details = y[:, : self.channels], y[:, self.channels :]
        return torch.cat((averages, details - self._foretold(averages)), dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """``[N, 4C, H/2, W/2]`` → ``[N, C, H, W]``."""
        averages, details = y[:, : self.channels], y[:, self.channels :]
        return self.haar.inverse(torch.cat((averages, details + self._foretold(averages)), dim=1))

    def log_det(self, x: Tensor) -> Tensor:
        """log |det ∂forward/∂x| for each sample, ``[N]``: 0, as a lifting step adds nothing."""
        return self.haar.log_det(x)
