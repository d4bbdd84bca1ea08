"""The simulated camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from invdn.data.camera import (
    MARGIN_PX,
    CameraNoiseConfig,
    add_raw_noise,
    bayer_masks,
    camera_pair,
    coloured_noise,
    demosaic_hamilton_adams,
    demosaic_malvar,
    gaussian_pair,
    linear_to_srgb,
    random_colour_matrices,
    srgb_to_linear,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(count: int = 2, size: int = 32 + MARGIN_PX) -> torch.Tensor:
    """Smooth colours with edges in them."""
    x = torch.rand(count, 3, 5, 5, generator=generator(7))
    x = torch.nn.functional.interpolate(x, (size, size), mode="bilinear")
    x[:, :, size // 3 : size // 2] *= 0.3
    return x


@pytest.mark.parametrize(("shot", "read"), [(1e-2, 1e-4), (1e-3, 1e-6), (3e-2, 1e-3)])
@pytest.mark.parametrize("level", [0.0, 0.05, 0.4, 0.9])
def test_raw_variance_is_shot_times_signal_plus_read(
    shot: float, read: float, level: float
) -> None:
    raw = torch.full((1, 1, 400, 400), level)
    noise = add_raw_noise(raw, torch.tensor(shot), torch.tensor(read), generator()) - raw
    # The relative error of a variance from 160,000 samples is 0.35%; 3% is beyond chance.
    assert noise.var().item() == pytest.approx(shot * level + read, rel=0.03)
    assert abs(noise.mean().item()) < 4 * (shot * level + read) ** 0.5 / 400


@pytest.mark.parametrize(("processing", "on_noise"), [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
def test_without_noise_input_equals_target_exactly(processing: float, on_noise: float) -> None:
    config = CameraNoiseConfig(
        plain_probability=0.0,
        processing_probability=processing,
        noise_smoothing_probability=on_noise,
        jpeg_probability=0.0,
    )
    for seed in range(6):
        noisy, target = camera_pair(photos(), 32, generator(seed), config, noise=0.0)
        assert torch.equal(noisy, target)


def test_a_full_sensor_is_full_in_the_target_too() -> None:
    config = CameraNoiseConfig(
        exposure_range=(1.5, 1.5), jpeg_probability=0.0, noise_smoothing_probability=0.0
    )
    noisy, target = camera_pair(photos(), 32, generator(), config, noise=0.0)
    assert torch.equal(noisy, target)


def test_smoothing_the_noise_leaves_blotches_under_a_sharp_picture() -> None:
    def roughness(x: torch.Tensor) -> float:
        return float((x[..., 1:] - x[..., :-1]).square().mean() / x.var())

    seen = {}
    for on_noise in (0.0, 1.0):
        config = CameraNoiseConfig(
            plain_probability=0.0,
            processing_probability=1.0,
            noise_smoothing_probability=on_noise,
            jpeg_probability=0.0,
        )
        noisy, target = camera_pair(photos(16, 64 + MARGIN_PX), 64, generator(2), config)
        seen[on_noise] = roughness(noisy - target), roughness(target)
    assert seen[1.0][0] < 0.9 * seen[0.0][0]
    assert seen[1.0][1] > seen[0.0][1]


def test_a_plain_picture_is_neither_processed_nor_compressed() -> None:
    plain = CameraNoiseConfig(plain_probability=1.0)
    bare = CameraNoiseConfig(
        plain_probability=1.0, processing_probability=0.0, jpeg_probability=0.0
    )
    for seed in range(3):
        pictures = camera_pair(photos(), 32, generator(seed), plain)
        assert torch.equal(pictures[0], camera_pair(photos(), 32, generator(seed), bare)[0])


def test_noise_is_there_and_seeded() -> None:
    first = camera_pair(photos(), 32, generator(3))
    again = camera_pair(photos(), 32, generator(3))
    other = camera_pair(photos(), 32, generator(4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert (first[0] - first[1]).std() > 0.002


def test_results_are_eight_bit_crops() -> None:
    for image in camera_pair(photos(3), 32, generator()):
        assert image.shape == (3, 3, 32, 32)
        assert torch.allclose(image * 255.0, (image * 255.0).round(), atol=1e-4)
        assert image.min() >= 0.0
        assert image.max() <= 1.0


def test_the_place_of_the_results_can_be_given() -> None:
    config = CameraNoiseConfig(jpeg_probability=0.0)  # its blocks see past the crop

    def at(*place: int) -> tuple[torch.Tensor, torch.Tensor]:
        return camera_pair(photos(), 32, generator(), config, place=place)  # type: ignore[arg-type]

    for here, further in zip(at(8, 9), at(11, 15), strict=True):
        assert torch.equal(here[..., 3:, 6:], further[..., :-3, :-6])
    for wrong in ((7, 8), (8, 17)):
        with pytest.raises(ValueError, match="begin from 8 to"):
            at(*wrong)


@pytest.mark.parametrize("side", [2, 8])
def test_pictures_smaller_than_a_blur_have_noise_too(side: int) -> None:
    clean = photos(16, side).clamp(0.2, 0.8)
    noisy, target = gaussian_pair(clean, generator(), 70.0, 1.0, coloured_probability=1.0)
    assert noisy.isfinite().all()
    assert (noisy != target).any((1, 2, 3)).all()


def test_a_lens_may_blur_more_than_a_patch_is_large() -> None:
    config = CameraNoiseConfig(lens_blur_range_px=(20.0, 40.0), plain_probability=1.0)
    noisy, target = camera_pair(photos(), 32, generator(), config)
    assert noisy.isfinite().all()
    sharp = CameraNoiseConfig(plain_probability=1.0)
    assert (
        target.std((2, 3)).mean()
        < camera_pair(photos(), 32, generator(), sharp)[1].std((2, 3)).mean() / 4
    )


def test_too_small_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        camera_pair(photos(size=32 + MARGIN_PX - 1), 32, generator())


def test_srgb_curve_and_its_inverse() -> None:
    x = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)
    assert (linear_to_srgb(srgb_to_linear(x)) - x).abs().max() < 1e-6
    assert srgb_to_linear(torch.tensor(0.5)).item() == pytest.approx(0.2140411, abs=1e-6)


def test_colour_matrices_keep_grey_and_can_be_inverted() -> None:
    matrices = random_colour_matrices(200, generator())
    assert torch.allclose(matrices.sum(2), torch.ones(200, 3), atol=1e-6)
    assert torch.linalg.cond(matrices).max() < 20.0


@pytest.mark.parametrize("phase", range(4))
def test_bayer_pattern(phase: int) -> None:
    masks = bayer_masks(4, 6, phase)[0]
    assert torch.equal(masks.sum(0), torch.ones(4, 6))
    assert [int(m.sum()) for m in masks] == [6, 12, 6]
    row, column = phase >> 1, phase & 1
    assert masks[0, -row % 2, -column % 2] == 1.0  # red is at the pattern's origin


@pytest.mark.parametrize("phase", range(4))
@pytest.mark.parametrize("demosaic", [demosaic_malvar, demosaic_hamilton_adams])
def test_demosaicing_keeps_samples_and_flat_colours(demosaic: object, phase: int) -> None:
    assert callable(demosaic)
    masks = bayer_masks(16, 16, phase)
    flat = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    assert torch.allclose(demosaic((flat * masks).sum(1, keepdim=True), masks), flat, atol=1e-6)
    raw = torch.rand(2, 1, 16, 16, generator=generator())
    rgb = demosaic(raw, masks)
    assert rgb.shape == (2, 3, 16, 16)
    assert torch.allclose((rgb * masks).sum(1, keepdim=True), raw, atol=1e-6)


def test_demosaicing_a_grey_ramp_is_exact_inside() -> None:
    ramp = torch.linspace(0.1, 0.9, 24).view(1, 1, 1, 24).expand(1, 1, 24, 24)
    for demosaic in (demosaic_malvar, demosaic_hamilton_adams):
        rgb = demosaic(ramp.contiguous(), bayer_masks(24, 24, 0))
        assert (rgb - ramp)[..., 4:-4, 4:-4].abs().max() < 1e-6


def test_jpeg_changes_only_the_noisy_picture() -> None:
    config = CameraNoiseConfig(jpeg_probability=1.0, jpeg_quality_range=(60, 60))
    plain = CameraNoiseConfig(jpeg_probability=0.0)
    noisy, target = camera_pair(photos(), 32, generator(), config, noise=0.0)
    _, untouched = camera_pair(photos(), 32, generator(), plain, noise=0.0)
    assert torch.equal(target, untouched)
    assert not torch.equal(noisy, target)
    assert (noisy - target).abs().mean() < 0.03


def test_soft_chroma_spares_luma_and_is_drawn_for_some() -> None:
    clean = torch.randint(64, 192, (60, 3, 16, 16), generator=generator()) / 255.0
    _, target = gaussian_pair(clean, generator(), 20.0, soft_chroma_probability=0.5)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    luma = [(x * weights).sum(1) for x in (clean, target)]
    assert (luma[0] - luma[1]).abs().max() < 1.5 / 255.0
    blue = [(x[:, 2] - x.mean(1)).std(dim=(1, 2)) for x in (clean, target)]
    same = (clean == target).flatten(1).all(1)
    assert 15 < int(same.sum()) < 45
    assert (blue[1][~same] < 0.8 * blue[0][~same]).all()
    noisy, _ = gaussian_pair(clean, generator(), 0.0, soft_chroma_probability=0.5)
    assert torch.equal(noisy, target)


def test_gaussian_noise_has_the_drawn_strength_and_sometimes_no_colour() -> None:
    clean = torch.full((400, 3, 16, 16), 0.5)
    noisy, target = gaussian_pair(clean, generator(), max_sigma_8bit=20.0)
    assert torch.equal(target, clean)
    residual = (noisy - clean) * 255.0
    sigma = residual.std(dim=(1, 2, 3)).numpy()
    assert np.quantile(sigma, [0.1, 0.5, 0.9]) == pytest.approx([2.0, 10.0, 18.0], abs=1.5)
    grey = (residual[:, 0] == residual[:, 1]).flatten(1).all(1)
    assert 40 < int(grey.sum()) < 130


def correlation(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Of each sample's ``[N, H, W]`` values of mean 0."""
    product, squares = (x * y).mean((1, 2)), (x**2).mean((1, 2)) * (y**2).mean((1, 2))
    return product / squares.sqrt()


def test_coloured_noise_has_grain_and_common_channels_of_every_degree() -> None:
    noise = coloured_noise(torch.full((300, 3, 48, 48), 0.5), generator())
    assert noise.mean().abs() < 0.02
    strengths = noise.std((1, 2, 3)).quantile(torch.tensor([0.05, 0.5, 0.95]))
    assert strengths.numpy() == pytest.approx([0.7, 1.0, 1.4], abs=0.15)
    neighbours = [correlation(noise[:, 1, :, 1:], noise[:, 1, :, :-1])]
    neighbours += [correlation(noise[:, 1, 1:], noise[:, 1, :-1])]
    assert all(x.min() < 0.05 and x.max() > 0.8 for x in neighbours)
    assert (neighbours[0] - neighbours[1]).abs().max() > 0.1
    channels = correlation(noise[:, 0], noise[:, 1])
    assert channels.min() < 0.2
    assert channels.max() > 0.95


def test_coloured_noise_has_bands_now_and_then() -> None:
    noise = coloured_noise(torch.full((300, 3, 48, 48), 0.5), generator())
    # The mean of a row of 48 independent values deviates by 0.14, of coarse grain by half.
    bands = torch.stack([noise.mean((1, axis)).std(1) for axis in (2, 3)])
    assert 8 < int((bands[1] > 0.35).sum()) < 45
    assert 2 < int((bands[0] > 0.35).sum()) < 25


def test_coloured_noise_may_be_stronger_where_it_is_dark_or_bright() -> None:
    ramp = torch.linspace(0, 1, 64).expand(200, 3, 64, 64)
    noise = coloured_noise(ramp, generator())
    ratio = noise[..., :16].std((1, 2, 3)) / noise[..., -16:].std((1, 2, 3))
    assert ratio.min() < 0.4
    assert ratio.max() > 2.5


def test_some_gaussian_noise_is_coloured() -> None:
    clean = torch.full((200, 3, 24, 24), 0.5)
    noisy, target = gaussian_pair(clean, generator(), 70.0, coloured_probability=0.5)
    assert torch.equal(target, clean)
    noise = noisy - clean
    grain = correlation(noise[:, 1, :, 1:], noise[:, 1, :, :-1])
    assert 50 < int((grain > 0.2).sum()) < 100
    assert int((noise.std((1, 2, 3)) > 45 / 255).sum()) > 10  # white, as strong as ever
