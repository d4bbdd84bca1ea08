"""Losses, on images ``[N, 3, H, W]`` in [0, 1]; each returns a scalar."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def charbonnier(output: Tensor, target: Tensor, epsilon: float = 1e-3) -> Tensor:
    """``mean(√((output − target)² + ε²))``: L1, smooth at zero.

    Source: P. Charbonnier et al., *Two deterministic half-quadratic regularization algorithms
    for computed imaging*, ICIP 1994.
    """
    return torch.sqrt((output - target) ** 2 + epsilon**2).mean()


def negative_psnr(output: Tensor, target: Tensor) -> Tensor:
    """``10 · log10(mean d² + 1e-8)`` of each image, then the mean: the negative PSNR, in dB.

    It weighs a nearly clean image as much as a noisy one.

    Source: L. Chen et al., *Simple Baselines for Image Restoration* (NAFNet), ECCV 2022.
    """
    squared = ((output - target) ** 2).mean((1, 2, 3))
    return 10.0 * torch.log10(squared + 1e-8).mean()


_SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))


def gradient_difference(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the horizontal Sobel gradients, plus that of the vertical ones.

    Zeros beyond the border, which cancel in the difference.

    Source: the published InvDN's training.
    """
    channels = output.shape[1]
    horizontal = output.new_tensor(_SOBEL)
    kernel = torch.stack((horizontal, horizontal.T)).unsqueeze(1).repeat(channels, 1, 1, 1)
    # The operator is linear: one convolution of the difference is enough.
    gradients = F.conv2d(output - target, kernel, padding=1, groups=channels)
    return 2.0 * gradients.abs().mean()


def structural_difference(output: Tensor, target: Tensor) -> Tensor:
    """Mean of ``(1 − SSIM) / 2``, clamped to [0, 1], in 3×3 windows of equal weight.

    Mirrored at the borders; K1 = 0.01, K2 = 0.03, biased variances.

    Source: Z. Wang et al., *Image quality assessment: from error visibility to structural
    similarity*, IEEE TIP 2004; in this form the published InvDN's training.
    """

    def local_mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)

    mean_x, mean_y = local_mean(output), local_mean(target)
    variance_x = local_mean(output**2) - mean_x**2
    variance_y = local_mean(target**2) - mean_y**2
    covariance = local_mean(output * target) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    above = (2.0 * mean_x * mean_y + c1) * (2.0 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return ((1.0 - above / below) / 2.0).clamp(0.0, 1.0).mean()


def bicubic_downscale(x: Tensor, factor: int) -> Tensor:
    """Shrink ``[N, C, H, W]`` to ``[N, C, H / factor, W / factor]`` as MATLAB's imresize does.

    Bicubic (a = −0.5), the kernel widened by the factor against aliasing, mirrored at the
    borders with the edge pixel repeated. H and W must be multiples of the factor, which is even.

    Source: R. Keys, *Cubic convolution interpolation for digital image processing*, IEEE ASSP
    1981; MATLAB's documentation of imresize.
    """
    taps = _widened_cubic(factor).to(x)
    pad = (len(taps) - factor) // 2
    channels = x.shape[1]
    rows = taps.view(1, 1, -1, 1).repeat(channels, 1, 1, 1)
    x = F.conv2d(_mirror(x, pad, 2), rows, stride=(factor, 1), groups=channels)
    return F.conv2d(_mirror(x, pad, 3), rows.mT, stride=(1, factor), groups=channels)


def _widened_cubic(factor: int) -> Tensor:
    """The ``4 · factor`` weights of one output pixel; they sum to 1."""
    # The centre of an output pixel lies between two input pixels.
    offsets = (torch.arange(4 * factor, dtype=torch.float64) + 0.5) / factor - 2.0
    d = offsets.abs()
    near = 1.5 * d**3 - 2.5 * d**2 + 1.0
    far = -0.5 * d**3 + 2.5 * d**2 - 4.0 * d + 2.0
    weights = torch.where(d <= 1.0, near, far)
    return weights / weights.sum()


def _mirror(x: Tensor, pad: int, dim: int) -> Tensor:
    """Repeat the outermost ``pad`` rows (or columns) outwards, mirrored, edge included."""
    length = x.shape[dim]
    first = x.narrow(dim, 0, pad).flip(dim)
    last = x.narrow(dim, length - pad, pad).flip(dim)
    return torch.cat((first, x, last), dim)
