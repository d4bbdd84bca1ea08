"""Measures of image quality and of noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


def psnr(image: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio, ``10 · log10(255² / mean((image − reference)²))``, in dB.

    Args:
        image: Any shape, 8 bits.
        reference: Of the same shape, 8 bits.

    Returns:
        dB over all pixels and channels; infinity for equal images.

    Raises:
        ValueError: where the shapes differ, there is nothing, or the numbers are not of 8 bits.
    """
    _check_8bit(image, reference)
    difference = image.astype(np.float64) - reference.astype(np.float64)
    error = float(np.mean(difference**2))
    return math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)


def ssim(image: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> float:
    """Structural similarity, mean over windows of 7×7 pixels and over the channels.

    For each window, with means μ, sample variances σ² and the sample covariance σ_xy:

        ((2 μ_x μ_y + c₁) (2 σ_xy + c₂)) / ((μ_x² + μ_y² + c₁) (σ_x² + σ_y² + c₂))

    with c₁ = (0.01 · 255)² and c₂ = (0.03 · 255)². Equal to scikit-image's
    ``structural_similarity(image, reference, channel_axis=-1, data_range=255)``.

    Source: Z. Wang et al., *Image quality assessment: from error visibility to structural
    similarity*, IEEE TIP 2004; here with a uniform window, as scikit-image does by default.

    Args:
        image: ``[H, W, C]`` or ``[H, W]``, 8 bits, at least 7 pixels each way.
        reference: Of the same shape, 8 bits.

    Returns:
        At most 1; 1 for equal images.

    Raises:
        ValueError: as :func:`psnr`, or where a side is shorter than the window.
    """
    _check_8bit(image, reference)
    if min(image.shape[:2]) < SSIM_WINDOW_PX:
        raise ValueError(f"SSIM needs {SSIM_WINDOW_PX} pixels each way, not {image.shape[:2]}")
    x, y = image.astype(np.float64), reference.astype(np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    unbias = SSIM_WINDOW_PX**2 / (SSIM_WINDOW_PX**2 - 1)
    variance_x = unbias * (_window_mean(x * x) - mean_x**2)
    variance_y = unbias * (_window_mean(y * y) - mean_y**2)
    covariance = unbias * (_window_mean(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    return float(similarity.mean())


def akld(
    generated: npt.NDArray[np.floating],
    real: npt.NDArray[np.floating],
    clean: npt.NDArray[np.floating],
) -> float:
    """Average Kullback–Leibler divergence between generated and real noise, for one draw.

    The variance of a residual is ``v = blur((noisy − clean)²)``, floored at 1e-10, with a Gaussian
    window of 7×7 and reflected borders. With ``r = v_generated / v_real``, clamped to [0.1, 10]:

        ½ · mean(r − 1 − ln r)

    the divergence of two centred normal distributions. To be averaged over draws of the generated
    noise (50 in DANet's evaluation) and over images.

    Source: Z. Yue et al., *Dual Adversarial Network: Toward Real-world Noise Removal and Noise
    Generation*, ECCV 2020.

    Args:
        generated: ``[H, W, C]`` in [0, 1], at least 4 pixels each way.
        real: Of the same shape.
        clean: Of the same shape.

    Returns:
        At least 0; 0 for equal variances everywhere.

    Raises:
        ValueError: where the shapes differ.
    """
    if not generated.shape == real.shape == clean.shape:
        raise ValueError(f"shapes differ: {generated.shape}, {real.shape} and {clean.shape}")
    reference = clean.astype(np.float64)
    ratio = _noise_variance(generated - reference) / _noise_variance(real - reference)
    ratio = np.clip(ratio, 0.1, 10.0)
    return float(0.5 * np.mean(ratio - 1.0 - np.log(ratio)))


SSIM_WINDOW_PX = 7
# OpenCV's getGaussianKernel(7), which DANet uses: σ ≈ 1.4, in binary fractions.
_AKLD_TAPS = np.array([0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125])


def _check_8bit(image: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> None:
    """Raise ValueError for what the range of 255 would not be right for."""
    if image.shape != reference.shape:
        raise ValueError(f"shapes differ: {image.shape} and {reference.shape}")
    for dtype in (image.dtype, reference.dtype):
        if dtype != np.uint8:
            raise ValueError(f"pixels must be uint8, not {dtype}")
    if image.size == 0:
        raise ValueError(f"there are no pixels (shape {image.shape})")


def _window_mean(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean of each window that lies inside ``[H, W, …]``: ``[H − 6, W − 6, …]``."""
    taps = np.full(SSIM_WINDOW_PX, 1.0 / SSIM_WINDOW_PX)
    return _filter_both_ways(x, taps)


def _noise_variance(residual: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    reach = len(_AKLD_TAPS) // 2
    squared = np.pad(residual.astype(np.float64) ** 2, [(reach, reach)] * 2 + [(0, 0)], "reflect")
    return np.maximum(_filter_both_ways(squared, _AKLD_TAPS), 1e-10)


def _filter_both_ways(
    x: npt.NDArray[np.float64], taps: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Separable filter along the first two axes, only where the taps fit."""
    height, width = (side - len(taps) + 1 for side in x.shape[:2])
    rows = sum(tap * x[i : i + height] for i, tap in enumerate(taps))
    result: npt.NDArray[np.float64] = sum(
        tap * rows[:, i : i + width] for i, tap in enumerate(taps)
    )
    return result


def finite(value: Any) -> Any:
    """Scores for JSON, which knows neither infinity nor NaN: they become None."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
