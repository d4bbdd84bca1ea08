"""Photos as a screen shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import samples
from invdn import images, preview, restore
from invdn.denoiser import Denoiser
from invdn.preview import Box, Pyramid, View
from invdn.runtime import load_model


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    """The network that is shipped, in small tiles."""
    model = load_model("photo", device="cpu", threads=1)
    return Denoiser(model, tile=2 * model.info.halo + 64)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    if dtype is np.float32:
        return np.random.default_rng(0).random(shape, np.float32)
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_as_pixels_do(orientation: int) -> None:
    stored, box = noise(5, 7, 3), Box(1, 2, 4, 4)
    upright = images.turned_upright(stored, orientation)
    turned = preview.turned_box(box, 5, 7, orientation)
    np.testing.assert_array_equal(
        upright[turned.rows, turned.columns],
        images.turned_upright(stored[box.rows, box.columns], orientation),
    )
    view = View(images.Photo(stored, "png", orientation=orientation))
    assert view.upright(box) == turned
    assert view.stored(turned) == box


@pytest.mark.parametrize("orientation", [1, 6])
def test_parts_put_in_give_the_whole_in_every_size(orientation: int) -> None:
    photo = images.Photo(noise(1201, 1403, 3), "png", orientation=orientation)
    result = 255 - photo.pixels
    view = View(photo)
    view.show_noise(True)
    for rows in (slice(0, 500), slice(500, 1201)):
        for columns in (slice(0, 776), slice(776, 1403)):
            assert view.put(rows, columns, result[rows, columns], view.generation)
    whole = Pyramid(images.turned_upright(result, orientation))
    for level, expected in zip(view.after.levels, whole.levels, strict=True):
        np.testing.assert_array_equal(level, expected)
    assert len(whole.levels) == 3
    assert view.noise is not None
    np.testing.assert_array_equal(
        view.noise.levels[0], preview.removed_noise(view.before.levels[0], whole.levels[0])
    )
    assert view.missing(Box(0, 0, 1201, 1403)) is None


def test_the_noise_may_be_given_back_while_a_part_is_put_in() -> None:
    """By another thread, at the worst moment."""

    class Fleeting(preview.View):
        @property
        def noise(self) -> preview.Pyramid | None:  # type: ignore[override]
            return kept.pop() if kept else None

        @noise.setter
        def noise(self, _: preview.Pyramid | None) -> None:
            pass

    kept: list[preview.Pyramid] = []
    pixels = noise(20, 30, 3)
    view = Fleeting(images.Photo(pixels, "png"))
    kept.append(view.before.like())
    assert view.put(slice(0, 20), slice(0, 30), pixels, view.generation)


def test_an_outdated_part_is_not_taken() -> None:
    view = View(images.Photo(noise(64, 64, 3), "png"))
    old = view.generation
    new = view.outdate()
    black = np.zeros((64, 64, 3), np.uint8)
    assert not view.put(slice(0, 64), slice(0, 64), black, old)
    assert view.after.levels[0].any()
    assert view.put(slice(0, 64), slice(0, 64), black, new)
    assert not view.after.levels[0].any()
    assert view.missing(Box(0, 0, 64, 64)) is None
    view.outdate()
    assert view.missing(Box(0, 0, 64, 64)) == (0, 0, 64, 64)


def test_what_is_missing_is_found() -> None:
    view = View(images.Photo(noise(300, 300, 3), "png"))
    part = view.photo.pixels[0:128, 0:300]
    view.put(slice(0, 128), slice(0, 300), part, view.generation, draft=True)
    assert view.missing(Box(0, 0, 64, 64)) == (0, 0, 64, 64)
    view.put(slice(0, 128), slice(0, 300), part, view.generation)
    assert view.missing(Box(0, 0, 128, 300)) is None
    assert view.missing(Box(101, 10, 199, 42)) == (128, 8, 200, 44)
    assert view.missing(Box(291, 290, 300, 300)) == (288, 288, 300, 300)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_draft_does_not_replace_the_result(orientation: int) -> None:
    photo = images.Photo(noise(300, 300, 3), "png", orientation=orientation)
    view = View(photo)
    result, draft = np.full((300, 300, 3), 10, np.uint8), np.full((300, 300, 3), 20, np.uint8)
    view.put(slice(0, 128), slice(0, 300), result[:128], view.generation)
    view.put(slice(0, 300), slice(0, 300), draft, view.generation, draft=True)
    shown = np.concatenate([result[:128], draft[128:]])
    expected = images.turned_upright(shown, orientation)
    np.testing.assert_array_equal(view.after.levels[0], expected)


def test_a_cut_is_as_fine_as_the_screen() -> None:
    pyramid = Pyramid(noise(2048, 2048, 3))
    for zoom, step in [(2.0, 1), (1.0, 1), (0.51, 1), (0.5, 2), (0.3, 2), (0.25, 4), (0.01, 4)]:
        pixels, got = pyramid.cut(Box(101, 203, 901, 1007), zoom)
        assert got == step
        assert pixels.shape == (-(-901 // step) - 101 // step, -(-1007 // step) - 203 // step, 3)
        assert pixels.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 4)])
def test_every_kind_of_pixels_can_be_shown(dtype: type, shape: tuple[int, ...]) -> None:
    pixels = noise(*shape, dtype=dtype)
    top = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    shown = preview.to_screen(pixels)
    planes = pixels.reshape(4, 5, -1) / top
    if planes.shape[2] in (2, 4):
        planes = planes[..., :-1] * planes[..., -1:] + 1 - planes[..., -1:]
    expected = np.broadcast_to(255 * planes, (4, 5, 3))
    assert shown.dtype == np.uint8
    assert np.abs(shown - expected).max() < 1.1


def test_what_would_take_too_much_memory_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in bytes: floats with transparency take more than twice as much."""
    monkeypatch.setattr(preview, "MOST_BYTES", 100 * 100 * 20)
    images.write(images.Photo(noise(100, 100, 3), "png"), tmp_path / "a.png")
    preview.read(tmp_path / "a.png")
    floats = images.Photo(noise(100, 100, 4, dtype=np.float32), "tiff")
    images.write(floats, tmp_path / "a.tif")
    with pytest.raises(images.PhotoError, match="too many to be shown"):
        preview.read(tmp_path / "a.tif")


def test_a_profile_is_applied_and_srgb_is_left_alone() -> None:
    import pyvips

    pixels = noise(8, 8, 3)
    profiles = {name: pyvips.Operation.call("profile_load", name) for name in ("srgb", "p3")}
    same = preview.to_screen(pixels, {"icc-profile-data": profiles["srgb"]})
    np.testing.assert_array_equal(same, pixels)
    wide = preview.to_screen(pixels, {"icc-profile-data": profiles["p3"]})
    assert np.abs(wide.astype(int) - pixels).max() > 4
    broken = preview.to_screen(pixels, {"icc-profile-data": b"no profile"})
    np.testing.assert_array_equal(broken, pixels)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 2)])
def test_a_grey_profile_is_applied_as_to_what_is_written(shape: tuple[int, ...]) -> None:
    fields = {"icc-profile-data": samples.grey_profile(1.0)}
    pixels = np.full(shape, 100, np.uint8)
    pixels[..., -1:] = 255 if len(shape) == 3 else 100
    shown = preview.to_screen(pixels, fields)
    assert shown[0, 0].tolist() == [168, 168, 168]  # 100/255 is light, not its square root
    np.testing.assert_array_equal(
        shown, images.as_rgb8(images.Photo(pixels, "png", fields=fields)).pixels
    )


def test_removed_noise_is_amplified_around_grey() -> None:
    before = np.full((1, 1, 3), 100, np.uint8)
    after = np.array([[[100, 99, 130]]], np.uint8)
    expected = [[[128, 128 + preview.NOISE_GAIN, 0]]]
    np.testing.assert_array_equal(preview.removed_noise(before, after), expected)


def test_a_draft_is_near_the_result_at_a_lower_strength(denoiser: Denoiser) -> None:
    """The law that drafts rest on: nearer than the result at the old strength."""
    rows, columns = np.mgrid[0:128, 0:128]
    clean = 128 + 60 * np.sin(rows / 9) * np.cos(columns / 13)
    grain = np.random.default_rng(0).normal(0, 15, (128, 128, 3))
    image = (clean[:, :, None] + grain).clip(0, 255).astype(np.uint8)
    old, new = denoiser(image, strength=1.0), denoiser(image, strength=0.6)
    draft = preview.at_strength(image, old, 1.0, 0.6)
    assert draft.dtype == np.uint8

    def error(other: np.ndarray) -> float:
        return float(np.abs(other.astype(int) - new).mean())

    assert error(draft) < 0.8 * error(old)
    np.testing.assert_array_equal(preview.at_strength(image, old, 1.0, 0.0), image)


def test_thumbnails_are_small_and_upright(tmp_path: Path) -> None:
    path = tmp_path / "图片 [1].jpg"
    stored = np.full((200, 300, 3), 50, np.uint8)
    stored[:100, :150] = 200
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    images.write(images.Photo(stored, "jpeg", orientation=6, exif=exif), path)
    pixels, megapixels = preview.thumbnail(path, 60)
    assert pixels.shape == (60, 40, 3)
    assert megapixels == 0.06
    assert np.abs(pixels[5, [5, 35]].astype(int) - [[50] * 3, [200] * 3]).max() <= 2
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xffno picture")
    for broken in ("x.jpg", "gone.jpg"):
        with pytest.raises(images.PhotoError):
            preview.thumbnail(tmp_path / broken, 60)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3), (40, 50, 4)])
def test_a_thumbnail_of_floats_has_the_photo_s_tones(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    pixels = np.full(shape, 0.4, np.float32)
    if shape[2:] == (4,):
        pixels[..., 3] = 1.0
    images.write(images.Photo(pixels, "tiff"), tmp_path / "a.tif")
    small, _ = preview.thumbnail(tmp_path / "a.tif", 10)
    assert small.shape == (8, 10, 3)
    assert np.abs(small.astype(int) - 102).max() <= 1
    pixels[:3] = np.nan
    images.write(images.Photo(pixels, "tiff"), tmp_path / "b.tif")
    assert preview.thumbnail(tmp_path / "b.tif", 10)[0][7, 9, 0] == 102


def test_a_thumbnail_is_no_larger_than_the_photo(tmp_path: Path) -> None:
    for name, dtype in (("a.png", np.uint8), ("a.tif", np.float32), ("a.bmp", np.uint8)):
        photo = images.Photo(noise(1, 2, 3, dtype=dtype), images.format_of(tmp_path / name))
        images.write(photo, tmp_path / name)
        assert preview.thumbnail(tmp_path / name, 60)[0].shape == (1, 2, 3)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_crop_is_the_same_as_in_the_whole(denoiser: Denoiser, strength: float) -> None:
    image = noise(310, 400, 3)
    whole = denoiser(image, strength=strength)
    for rows, columns in [
        (slice(100, 170), slice(153, 207)),
        (slice(0, 9), slice(390, 400)),
        (slice(309, 310), slice(0, 1)),
    ]:
        photo = images.Photo(image, "png")
        part = restore.restore_crop(photo, rows, columns, denoiser, strength=strength)
        assert part.shape == (rows.stop - rows.start, columns.stop - columns.start, 3)
        assert np.abs(part.astype(int) - whole[rows, columns]).max() <= (1 if strength else 0)


@pytest.mark.parametrize("rows", [slice(5, 5), slice(-1, 4), slice(0, 31)])
def test_a_crop_outside_the_image_is_refused(denoiser: Denoiser, rows: slice) -> None:
    with pytest.raises(ValueError, match="not a part of"):
        restore.restore_crop(images.Photo(noise(30, 30, 3), "png"), rows, slice(0, 30), denoiser)


def test_a_crop_goes_through_the_photo_s_profile_like_the_whole(denoiser: Denoiser) -> None:
    rows, columns = np.mgrid[0:200, 0:260]
    scene = 120 + 70 * np.sin(rows / 9)[:, :, None] * np.cos(columns / 13)[:, :, None]
    grain = np.random.default_rng(0).normal(0, 12, (200, 260, 3))
    pixels = (scene * (1.0, 0.6, 0.3) + grain).clip(0, 255).astype(np.uint8)
    fields = {"icc-profile-data": samples.PROPHOTO}
    photo = images.Photo(pixels, "png", fields=fields)
    part = slice(40, 130), slice(100, 220)
    whole = restore.restore_photo(photo, denoiser).pixels[part]
    crop = restore.restore_crop(photo, *part, denoiser)
    assert np.abs(crop.astype(int) - whole).max() <= 2
    without = restore.restore_crop(images.Photo(pixels, "png"), *part, denoiser)
    assert np.abs(without.astype(int) - whole).mean() > 2 * np.abs(crop.astype(int) - whole).mean()
