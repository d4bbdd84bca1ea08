"""The noise estimate, and that each classical method removes white noise."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from invdn import baselines
from invdn.metrics import psnr
from invdn.noise_level import estimate_sigma


def scene(side: int = 96) -> np.ndarray:
    """Smooth shading with a few edges, ``[side, side, 3]`` in grey levels."""
    y, x = np.mgrid[:side, :side] / side
    image = np.stack((60 + 90 * x, 160 - 80 * y, 90 + 50 * x * y), axis=2)
    image[(x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.04] += 40
    return image


def noisy(sigma: float, blur_px: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    clean = scene()
    noise = np.random.default_rng(0).normal(size=clean.shape)
    if blur_px:
        noise = gaussian_filter(noise, (blur_px, blur_px, 0))
    noise *= sigma / noise.std()
    clean = clean.round().astype(np.uint8)
    return np.clip(clean + noise, 0, 255).round().astype(np.uint8), clean


@pytest.mark.parametrize("sigma", [5.0, 25.0])
@pytest.mark.parametrize("blur_px", [0.0, 1.0])
def test_noise_level_of_white_and_correlated_noise(sigma: float, blur_px: float) -> None:
    assert estimate_sigma(noisy(sigma, blur_px)[0]) == pytest.approx(sigma, rel=0.3)


def test_usual_estimator_collapses_on_correlated_noise() -> None:
    from skimage.restoration import estimate_sigma as median_of_finest_band

    image = noisy(25.0, blur_px=1.0)[0].astype(np.float64)
    assert np.mean(median_of_finest_band(image, channel_axis=-1)) < 5.0


def test_noise_level_scales_with_the_image() -> None:
    image = noisy(12.0)[0]
    assert 255 * estimate_sigma(image / 255) == pytest.approx(estimate_sigma(image), rel=1e-3)
    with pytest.raises(ValueError, match="smaller than 16"):
        estimate_sigma(image[:15])


def test_noise_level_is_as_exact_as_it_says() -> None:
    """Of white noise of 10 on a flat picture, as in the docstring; and what is not noise."""
    noise = np.random.default_rng(0).normal(0, 10, (512, 512, 3))
    rows, columns = np.mgrid[:512, :512][..., None]
    assert estimate_sigma(128 + noise) == pytest.approx(9.67, abs=0.03)
    assert estimate_sigma(128 + noise[..., :1].repeat(3, axis=2)) == pytest.approx(9.4, abs=0.1)
    slope = 20 + 0.4 * columns
    assert estimate_sigma(slope + noise / 5) == pytest.approx(9.67 / 5, abs=0.02)
    half_black = np.where(columns < 200, 0, 128)  # where half of the noise is cut off
    assert estimate_sigma((half_black + noise).clip(0, 255)) == pytest.approx(9.67, abs=0.04)
    steps = rows // 86  # six, of which each has more noise than the darker ones
    mean = np.sqrt(np.mean((9.67 * np.arange(1, 7) / 6) ** 2))
    assert estimate_sigma(20 + 40 * steps + noise * (steps + 1) / 6) == pytest.approx(mean, abs=0.1)


@pytest.mark.parametrize("name", ["tv", "sparse", "nlm", "wavelet", "bm3d"])
def test_removes_white_noise_blindly(name: str) -> None:
    if name == "bm3d" and importlib.util.find_spec("bm3d") is None:
        pytest.skip("bm3d is for non-commercial use only, and not a dependency of the tests")
    image, clean = noisy(20.0)
    restored = baselines.restore(image, name)
    assert restored.dtype == np.uint8
    assert psnr(restored, clean) > psnr(image, clean) + 3.0


@pytest.mark.parametrize("name", ["tv", "sparse", "nlm", "wavelet"])
@pytest.mark.parametrize("side", [16, 40])
def test_what_has_no_noise_stays(name: str, side: int) -> None:
    black = np.zeros((side, side, 3), np.uint8)
    assert np.array_equal(baselines.restore(black, name), black)
    smallest = noisy(20.0)[0][:side, :side]
    assert baselines.restore(smallest, name).shape == smallest.shape


def test_floats_stay_floats() -> None:
    image, _ = noisy(20.0)
    as_float = baselines.restore((image / 255).astype(np.float32), "tv")
    assert as_float.dtype == np.float32
    assert np.abs(as_float * 255 - baselines.restore(image, "tv")).max() <= 0.51


def test_pursuit_is_orthogonal_and_stops_at_the_limit() -> None:
    rng = np.random.default_rng(3)
    atoms = rng.normal(size=(24, 12))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    chosen = np.array([[0, 3], [5, 9]])
    vectors = np.einsum("nk,nkd->nd", [[4.0, -2.0], [3.0, 2.5]], atoms[chosen])
    coded = baselines._pursue(vectors, atoms, limit=0.01)
    energy = ((vectors - coded) ** 2).sum(1)
    assert (energy <= 0.01).all()
    # The residual of an orthogonal pursuit has nothing of what is coded.
    one_atom = baselines._pursue(vectors[:1], atoms, limit=0.999 * (vectors[0] ** 2).sum())
    assert abs(((vectors[:1] - one_atom) * one_atom).sum()) < 1e-6
