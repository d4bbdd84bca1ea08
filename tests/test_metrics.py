"""PSNR, SSIM and AKLD against scikit-image, SciPy and formulas worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import correlate1d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from invdn.metrics import akld, psnr, ssim


def images(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, 256, shape, dtype=np.uint8)
    smooth = clean // 4 + 90  # low contrast, where SSIM's constants matter
    noisy = np.clip(smooth + rng.normal(0, 9, shape), 0, 255).astype(np.uint8)
    return noisy, smooth.astype(np.uint8)


@pytest.mark.parametrize("shape", [(7, 7, 3), (31, 44, 3), (64, 50)])
def test_equal_to_scikit_image(shape: tuple[int, ...]) -> None:
    noisy, clean = images(len(shape), shape)
    channel = -1 if len(shape) == 3 else None
    expected = structural_similarity(noisy, clean, channel_axis=channel, data_range=255)
    assert ssim(noisy, clean) == pytest.approx(expected, abs=1e-9)
    assert psnr(noisy, clean) == pytest.approx(peak_signal_noise_ratio(clean, noisy), abs=1e-9)


def test_equal_images() -> None:
    noisy, _ = images(0, (16, 16, 3))
    assert ssim(noisy, noisy) == 1.0
    assert psnr(noisy, noisy) == math.inf


def test_wrong_shapes_are_refused() -> None:
    noisy, clean = images(0, (16, 16, 3))
    for metric in (psnr, ssim):
        with pytest.raises(ValueError, match="shapes differ"):
            metric(noisy, clean[:8])
    with pytest.raises(ValueError, match="7 pixels"):
        ssim(noisy[:6], clean[:6])
    with pytest.raises(ValueError, match="shapes differ"):
        akld(noisy, clean[:8], clean)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_only_8_bits_are_measured(metric: Callable[..., float]) -> None:
    noisy, clean = images(0, (16, 16, 3))
    for dtype in (np.float32, np.uint16, bool):
        for pictures in ((noisy.astype(dtype), clean), (noisy, clean.astype(dtype))):
            with pytest.raises(ValueError, match="must be uint8"):
                metric(*pictures)
    with pytest.raises(ValueError, match="no pixels"):
        metric(noisy[:0], clean[:0])


def test_akld_of_scaled_noise() -> None:
    rng = np.random.default_rng(1)
    clean = rng.random((20, 30, 3))
    noise = rng.normal(0, 0.1, clean.shape)
    assert akld(clean + noise, clean + noise, clean) == 0.0
    # Twice the deviation is four times the variance everywhere.
    assert akld(clean + 2 * noise, clean + noise, clean) == pytest.approx(
        0.5 * (4 - 1 - math.log(4)), rel=1e-6
    )
    # The ratio is clamped to ten.
    assert akld(clean + 9 * noise, clean + noise, clean) == pytest.approx(
        0.5 * (10 - 1 - math.log(10)), rel=1e-6
    )


def test_akld_step_by_step() -> None:
    rng = np.random.default_rng(2)
    clean, real, made = (rng.random((17, 12, 3)) for _ in range(3))
    taps = np.array([2, 7, 14, 18, 14, 7, 2]) / 64  # OpenCV's 7-tap Gaussian

    def variance(noisy: np.ndarray) -> np.ndarray:
        squared = (noisy - clean) ** 2
        for axis in (0, 1):
            squared = correlate1d(squared, taps, axis=axis, mode="mirror")
        return np.maximum(squared, 1e-10)

    ratio = np.clip(variance(made) / variance(real), 0.1, 10)
    expected = 0.5 * np.mean(ratio - 1 - np.log(ratio))
    assert akld(made, real, clean) == pytest.approx(expected, rel=1e-9)
