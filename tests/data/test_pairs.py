"""Pairs of pictures in folders, and how pictures are read for training and measuring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invdn import images
from invdn.data.pairs import MadeNoise, grained_noise, load_pairs
from invdn.data.patches import find_images, read_rgb8
from samples import exif_block, libvips_profile, scene


def write(path: Path, pixels: np.ndarray, **facts: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(images.Photo(pixels, images.format_of(path), **facts), path)  # type: ignore[arg-type]
    return path


def test_pictures_of_different_size_are_no_pair(tmp_path: Path) -> None:
    write(tmp_path / "noisy" / "a.png", scene(40, 48))
    write(tmp_path / "clean" / "a.png", scene(44, 48))
    for crop_px in (None, 32):
        with pytest.raises(ValueError, match="differ in size: 48×40, 48×44"):
            load_pairs(tmp_path, crop_px=crop_px)


def test_what_is_missing_of_pairs(tmp_path: Path) -> None:
    write(tmp_path / "noisy" / "a.png", scene())
    with pytest.raises(FileNotFoundError, match="has no folder clean/"):
        load_pairs(tmp_path)
    write(tmp_path / "clean" / "a.png", scene())
    said: list[str] = []
    assert len(load_pairs(tmp_path, notice=said.append)) == 1
    assert said == []
    for name in ("b.png", "c.png"):
        write(tmp_path / "noisy" / name, scene())
    assert len(load_pairs(tmp_path, notice=said.append)) == 1
    assert said == [f"{tmp_path / 'noisy'}: 2 without a counterpart in clean/ left out"]


def test_names_of_pairs_differ(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.png.png", "b.png"):
        write(tmp_path / name, scene())
    names = [pair.name for pair in load_pairs(tmp_path, noise=MadeNoise(5.0))]
    assert names == ["a.jpg", "a.png", "a.png.png", "b"]


def test_pictures_are_read_as_screens_show_them(tmp_path: Path) -> None:
    """Upright, on white and through their profile, by both ways of reading."""
    pixels = scene(channels=4)
    facts = {
        "orientation": 6,
        "exif": exif_block(6),
        "fields": {"icc-profile-data": libvips_profile("p3")},
    }
    path = write(tmp_path / "a.png", pixels, **facts)
    read = read_rgb8(path)
    np.testing.assert_array_equal(read, images.as_rgb8(images.read(path)).pixels)
    profile = libvips_profile("p3")
    expected = images.turned_upright(images.to_srgb(images.on_white(pixels), profile), 6)
    assert read.shape == (30, 20, 3)
    assert np.abs(read.astype(int) - expected).max() <= 3
    assert np.abs(read.astype(int) - images.turned_upright(images.on_white(pixels), 6)).max() > 8


def test_a_name_that_is_no_text_can_be_read(tmp_path: Path) -> None:
    try:
        path = write(tmp_path / "plain.png", scene()).rename(tmp_path / "ni\udcf1o.png")
    except OSError:
        pytest.skip("file names are text here")
    np.testing.assert_array_equal(read_rgb8(path), scene())


@pytest.mark.parametrize(("grain_px", "neighbours"), [(0, 0.0), (0.7, 0.6), (1.5, 0.9)])
def test_grained_noise_is_as_strong_as_white_and_correlated(
    grain_px: float, neighbours: float
) -> None:
    noise = grained_noise((200, 300), grain_px, np.random.default_rng(0))
    assert noise.shape == (200, 300, 3)
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(1, abs=0.05)
    red, green = noise[..., 0], noise[..., 1]
    assert np.corrcoef(red.ravel(), green.ravel())[0, 1] == pytest.approx(0.5, abs=0.05)
    for one, next_one in ((red[1:], red[:-1]), (red[:, 1:], red[:, :-1])):
        found = np.corrcoef(one.ravel(), next_one.ravel())[0, 1]
        assert found == pytest.approx(neighbours, abs=0.04)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_noise_of_no_strength_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="sigma must be a number from 0 on"):
        MadeNoise(wrong)
    with pytest.raises(ValueError, match="grain must be a number from 0 on"):
        MadeNoise(5.0, grain_px=wrong)


def test_pairs_with_grained_noise_are_seeded(tmp_path: Path) -> None:
    write(tmp_path / "clean" / "a.png", np.full((64, 64, 3), 120, np.uint8))
    (one,), (same,), (other,) = (
        load_pairs(tmp_path, noise=MadeNoise(12, 0.7, seed=seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.noisy, same.noisy)
    assert (one.noisy != other.noisy).any()
    assert (one.noisy.astype(float) - one.clean).std() == pytest.approx(12, rel=0.1)


def test_enlarged_pairs_have_coarser_noise_and_the_size_asked_for(tmp_path: Path) -> None:
    clean = np.ascontiguousarray(np.broadcast_to(np.arange(40, 168)[None, :, None], (96, 128, 3)))
    write(tmp_path / "clean" / "a.png", clean.astype(np.uint8))
    (whole,) = load_pairs(tmp_path, noise=MadeNoise(10, enlarged=1.5))
    assert whole.noisy.shape == whole.clean.shape == (144, 192, 3)
    (crop,) = load_pairs(tmp_path, noise=MadeNoise(10, enlarged=1.5), crop_px=48)
    assert crop.noisy.shape == (48, 48, 3)
    slopes = np.diff(crop.clean[:, 4:-4, 0].astype(float), axis=1)
    assert slopes.mean() == pytest.approx(1 / 1.5, abs=0.02)
    noise = crop.noisy.astype(float) - crop.clean
    neighbours = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert neighbours > 0.4
    (plain,) = load_pairs(tmp_path, noise=MadeNoise(10), crop_px=48)
    middle = slice(24 - 16, 24 + 16)
    assert crop.clean.mean() == pytest.approx(plain.clean[middle, middle].mean(), abs=1.0)


@pytest.mark.parametrize("wrong", [0.5, 9.0, float("nan")])
def test_a_factor_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="enlarged must be from 1 to 8"):
        MadeNoise(5.0, enlarged=wrong)


def test_images_of_any_format_are_found_and_hidden_files_are_not(tmp_path: Path) -> None:
    for name in ("b.png", "a.bmp", "below/c.jfif"):
        write(tmp_path / name, scene())
    (tmp_path / "._b.png").write_bytes(b"what macOS leaves on other systems' disks")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "d.png").write_bytes((tmp_path / "b.png").read_bytes())
    (tmp_path / "folder.png").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert names == ["a.bmp", "b.png", "below/c.jfif"]
