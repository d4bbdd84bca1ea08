"""From file to file: colours, pages, pictures larger than the memory, --auto and --preview."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

import samples
from invdn import images, restore
from invdn.denoiser import Denoiser, load_denoiser
from invdn.images import Photo, PhotoError, colour, read, write
from invdn.images.tiffpages import PageWriter
from invdn.restore import CLEAN_BELOW_8BIT, Hooks, Settings, restore_file, restore_photo
from invdn.runtime import ModelInfo
from one_region import InOneRegion

P3 = samples.libvips_profile("p3")
PROFILES = {"p3": P3, "adobe": samples.ADOBE_RGB, "prophoto": samples.PROPHOTO}


class Each:
    """A denoiser that does something to each region, and notes what it is shown.

    As the real one, it reads two regions ahead, and looks at a region once more when it is written.
    """

    def __init__(self, change: Callable[[Any], Any] = lambda pixels: pixels) -> None:
        self.change = change
        self.shown: list[Any] = []

    def restore_regions(
        self,
        height: int,
        width: int,
        read: Any,
        write: Any,
        *,
        strength: float,
        progress: Any,
        origin: tuple[int, int],
    ) -> None:
        waiting: deque[tuple[Any, slice, slice, Any]] = deque()

        def finish() -> None:
            region, rows, columns, inner = waiting.popleft()
            write(rows, columns, self.change(region[inner]).astype(region.dtype))
            if progress is not None:
                progress(rows.stop / height)

        for top in range(0, height, 64):
            for left in range(0, width, 48):
                rows, columns = (
                    slice(top, min(top + 64, height)),
                    slice(left, min(left + 48, width)),
                )
                around = (
                    slice(max(0, top - 8), min(rows.stop + 8, height)),
                    slice(max(0, left - 8), min(columns.stop + 8, width)),
                )
                region = read(*around)
                self.shown.append(region)
                inner = (
                    slice(top - around[0].start, rows.stop - around[0].start),
                    slice(left - around[1].start, columns.stop - around[1].start),
                )
                waiting.append((region, rows, columns, inner))
                if len(waiting) > 2:
                    finish()
        while waiting:
            finish()

    def context(self, part: slice, size: int) -> slice:
        return slice(max(0, part.start - 8), min(part.stop + 8, size))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def noisy(height: int = 200, width: int = 240, sigma_8bit: float = 6.0) -> Any:
    rng = np.random.default_rng(0)
    values = samples.scene(height, width) * 0.8 + 20 + rng.normal(0, sigma_8bit, (height, width, 3))
    return values.round().clip(0, 255).astype(np.uint8)


class Unchanged:
    """A model that changes nothing; two tiles at once."""

    info = ModelInfo(
        name="unchanged",
        version="1",
        licence="",
        parameters=0,
        macs_per_pixel=0,
        multiple=8,
        tile=256,
        halo=16,
        sha256="",
        device="cpu",
        threads=2,
        at_once=2,
    )

    def __call__(self, image: Any, strength: float, **_: Any) -> Any:
        return image.copy()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("profile", [None, *PROFILES])
@pytest.mark.parametrize("channels", [3, 4])
def test_many_tiles_two_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    streamed: bool,
    profile: str | None,
    channels: int,
) -> None:
    if streamed:
        monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", 0)
    pixels = np.random.default_rng(0).integers(0, 256, (600, 900, channels), np.uint8)
    fields = {} if profile is None else {"icc-profile-data": PROFILES[profile]}
    write(Photo(pixels, "png", fields=fields), tmp_path / "a.png")
    restore_file(tmp_path / "a.png", tmp_path / "b.png", Denoiser(Unchanged()))
    np.testing.assert_array_equal(read(tmp_path / "b.png").pixels, pixels)


# --- colours -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [3, 4])
def test_what_the_network_leaves_alone_stays_bit_for_bit(
    name: str, dtype: str, channels: int
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.random((150, 130, channels), np.float32)
    if dtype != "float32":
        pixels = (pixels * np.iinfo(dtype).max).round().astype(dtype)
    photo = Photo(pixels, "tiff", fields={"icc-profile-data": PROFILES[name]})
    denoiser = Each()
    np.testing.assert_array_equal(restore_photo(photo, denoiser).pixels, pixels)
    if name == "p3":  # its tones are sRGB's: the pixels go straight
        assert {region.dtype for region in denoiser.shown} == {pixels.dtype}
    else:
        assert {region.dtype for region in denoiser.shown} == {np.dtype(np.float32)}
        assert all(region.shape[2] == 3 for region in denoiser.shown)
    assert all(region.min() >= 0 for region in denoiser.shown)


@pytest.mark.parametrize("name", PROFILES)
def test_the_network_sees_tones_of_srgb_channel_by_channel(name: str) -> None:
    """Noise of one channel stays in it, and is as strong on a grey as in sRGB."""
    greys = np.linspace(0.05, 0.95, 10, dtype=np.float32)[:, None, None].repeat(3, axis=2)
    noisy = greys.copy()
    noisy[..., 1] += 0.01
    whole, tones = colour.profile_of(PROFILES[name], 3), colour.tones_of(PROFILES[name], 3)
    assert whole is not None
    before, after = (
        (noisy, greys) if tones is None else (tones.to_srgb(noisy), tones.to_srgb(greys))
    )
    np.testing.assert_array_equal(before[..., ::2], after[..., ::2])
    assert (before[..., 1] > after[..., 1]).all()
    np.testing.assert_allclose(after, whole.to_srgb(greys), atol=0.01)


def test_noise_in_the_dark_of_a_wide_gamut_goes_without_a_cast() -> None:
    """Converted to sRGB it would be ten times as strong there, and leave a bias behind."""
    rng = np.random.default_rng(0)
    pixels = (30 + rng.normal(0, 12, (256, 256, 3))).clip(0, 255).round().astype(np.uint8)
    denoiser = load_denoiser("fast", device="cpu", threads=1)
    for name, profile in PROFILES.items():
        photo = Photo(pixels, "png", fields={"icc-profile-data": profile})
        restored = restore_photo(photo, denoiser).pixels[64:-64, 64:-64].astype(np.float32)
        assert np.abs(restored.mean((0, 1)) - 30).max() < 1.5, name
        assert restored.std((0, 1)).max() < 2, name


@pytest.mark.parametrize("name", PROFILES)
def test_screens_are_shown_srgb(name: str, tmp_path: Path) -> None:
    """As Little CMS converts it, for colours that sRGB has."""
    srgb = pyvips.Image.new_from_array(samples.scene(64, 64, dtype="uint16") // 2 + 12000)
    srgb = srgb.copy(interpretation="rgb16")
    profile = colour.profile_of(PROFILES[name], 3)
    assert profile is not None
    path = tmp_path / "own.icc"
    path.write_bytes(PROFILES[name])
    own = srgb.icc_transform(str(path), input_profile="srgb", depth=16).numpy()
    shown = colour.shown(own, profile)
    assert np.abs(shown - srgb.numpy() / 65535).max() < 0.004


@pytest.mark.parametrize("name", PROFILES)
def test_conversion_there_and_back(name: str) -> None:
    profile = colour.profile_of(PROFILES[name], 3)
    assert profile is not None
    steps = np.linspace(0, 1, 11, dtype=np.float32)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(11, 121, 3)
    back = profile.from_srgb(profile.to_srgb(grid))
    assert np.abs(back - grid)[grid > 0.05].max() < 2e-3
    assert profile.to_srgb(grid).min() < -0.1  # outside sRGB, and not clipped


@pytest.mark.parametrize("name", PROFILES)
def test_colours_outside_srgb_are_denoised_and_not_clipped(name: str) -> None:
    """A noisy patch of the profile's purest green keeps its colour and loses its noise."""
    rng = np.random.default_rng(0)
    mean = np.array([40, 230, 40])
    pixels = (mean + rng.normal(0, 4, (128, 144, 3))).round().astype(np.uint8)
    photo = Photo(pixels, "png", fields={"icc-profile-data": PROFILES[name]})
    smooth = Each(lambda region: np.broadcast_to(region.mean((0, 1)), region.shape))
    restored = restore_photo(photo, smooth).pixels
    assert np.abs(restored.mean((0, 1)) - mean).max() < 2
    assert restored.std((0, 1)).max() < 2


@pytest.mark.parametrize("value", [255.0, np.inf, np.nan])
def test_floats_that_make_no_sense_are_refused_behind_a_profile_too(
    small_denoiser: Denoiser, value: float
) -> None:
    pixels = np.full((64, 64, 3), value, np.float32)
    for fields in ({}, {"icc-profile-data": samples.ADOBE_RGB}):
        with pytest.raises(ValueError, match=r"finite numbers|must be in \[0, 1\]"):
            restore_photo(Photo(pixels, "tiff", fields=fields), small_denoiser)


def test_srgb_itself_and_nonsense_go_straight() -> None:
    srgb = samples.libvips_profile("srgb")
    damaged = P3[:150] + bytes(len(P3) - 150)
    singular = samples.matrix_profile([[0.3, 0.3, 0.3]] * 3, 2.2)
    flat = samples.matrix_profile([[0.6, 0.3, 0.0], [0.2, 0.7, 0.1], [0.1, 0.0, 0.7]], 0.0)
    for icc in (None, b"", b"x" * 500, srgb, damaged, singular, flat, P3[:131]):
        assert colour.profile_of(icc, 3) is None
    assert colour.profile_of(P3, 1) is None  # a profile for RGB says nothing about grey


def test_profiles_with_tables_go_through_little_cms() -> None:
    """Made of a matrix profile by taking its matrix away from under the same values."""
    profile = colour.Tables(P3)
    pixels = samples.scene(32, 32, 3, "uint8")
    shown = profile.to_srgb(pixels.astype(np.float32) / 255)
    reference = colour.profile_of(P3, 3)
    assert reference is not None
    direct = colour.shown(pixels, reference).clip(0, 1)
    assert np.abs(shown - direct).max() < 0.03
    assert np.abs(profile.from_srgb(shown)[8:24, 8:24] - pixels[8:24, 8:24] / 255).max() < 0.02
    np.testing.assert_array_equal(colour.changed(pixels, profile, shown, shown), pixels)


def test_a_grey_profile_with_a_curve() -> None:
    icc = samples.grey_profile(1.8)
    profile = colour.profile_of(icc, 1)
    assert profile is not None
    grey = np.full((8, 8), 128, np.uint8)
    expected = 1.055 * (128 / 255) ** (1.8 / 2.4) - 0.055
    assert colour.shown(grey, profile)[0, 0, 0] == pytest.approx(expected, abs=1e-3)
    photo = Photo(grey, "png", fields={"icc-profile-data": icc})
    np.testing.assert_array_equal(restore_photo(photo, Each()).pixels, grey)


def test_the_real_network_on_a_wide_gamut(small_denoiser: Denoiser) -> None:
    pixels = noisy()
    photo = Photo(pixels, "png", fields={"icc-profile-data": P3})
    np.testing.assert_array_equal(restore_photo(photo, small_denoiser, strength=0).pixels, pixels)
    assert (restore_photo(photo, small_denoiser).pixels != pixels).any()


# --- pages ---------------------------------------------------------------------------------------


def halved(region: Any) -> Any:
    return region // 2


def test_every_page_is_denoised(tmp_path: Path) -> None:
    pages = [samples.scene() // n for n in (1, 2, 3)]
    path = samples.tiff_pages(tmp_path / "a.tif", pages)
    told: list[float] = []
    hooks = Hooks(progress=told.append)
    outcome = restore_file(path, tmp_path / "b.tif", Each(halved), hooks=hooks)
    assert outcome.notices == ()
    for number, page in enumerate(pages):
        found = read(tmp_path / "b.tif", page=number)
        assert found.pages == 3
        np.testing.assert_array_equal(found.pixels, page // 2)
    assert told == sorted(told)
    outcome = restore_file(path, tmp_path / "b.png", Each(halved))
    assert outcome.notices == ("only the first of 3 pages is kept",)


def test_what_is_to_be_said_of_pages_is_said_once(tmp_path: Path) -> None:
    path = samples.tiff_pages(tmp_path / "a.tif", [samples.scene()] * 2)
    path = path.rename(tmp_path / "a.jpg")
    for settings in (Settings(), Settings(auto=True)):
        for name, more in (("b.tif", []), ("b.png", ["only the first of 2 pages is kept"])):
            output = tmp_path / str(settings.auto) / name
            outcome = restore_file(path, output, Each(halved), settings)
            assert list(outcome.notices) == ["this is really a TIFF file", *more]


def test_what_is_to_be_said_of_the_second_page_is_said(tmp_path: Path) -> None:
    """What reading it had to change, and what its copy does not hold."""
    grey = samples.matrix_profile([[0.3, 0.3, 0.3]] * 3, 2.2).replace(b"RGB ", b"GRAY")
    multiplied = {0x0152: (3, struct.pack("<H", 1)), 0x8773: (7, grey)}
    plain = samples.bare_tiff(tmp_path / "1.tif", samples.scene(10, 10), {})
    odd = samples.bare_tiff(tmp_path / "2.tif", samples.scene(channels=4), multiplied)
    with (tmp_path / "a.tif").open("w+b") as file:
        writer = PageWriter(file)
        for path in (plain, odd):
            with path.open("rb") as page:
                writer.add(page)
    with pytest.raises(PhotoError, match="page 2 of 2: claims to be 30×20 pixels"):
        restore_file(tmp_path / "a.tif", tmp_path / "b.tif", Each(), Settings(max_pixels=599))
    notices = restore_file(tmp_path / "a.tif", tmp_path / "b.tif", Each()).notices
    assert len(notices) == 2
    assert "multiplied by its transparency" in notices[0]
    assert "profile" in notices[1]


def test_a_bad_page_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    pages = [np.random.default_rng(n).integers(0, 255, (64, 64, 3), np.uint8) for n in range(3)]
    path = samples.tiff_pages(tmp_path / "a.tif", pages)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=r"page 2 of 3: the TIFF file is damaged"):
        restore_file(path, tmp_path / "b.tif", Each())
    assert names_in(tmp_path) == ["a.tif"]


# --- larger than the memory ----------------------------------------------------------------------


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as large, and there are many scratch files."""
    monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", 0)
    monkeypatch.setattr(restore, "_PIECE_BYTES", 10_000)


SUFFIXES = ["jpg", "png", "tif", "webp", "avif", "heic", "bmp", "ppm"]
FROM_EACH_TO_EACH = [(suffix, suffix) for suffix in SUFFIXES]
FROM_EACH_TO_EACH += [("tif", suffix) for suffix in SUFFIXES if suffix != "tif"]


@pytest.mark.parametrize(("before", "after"), FROM_EACH_TO_EACH)
def test_in_bands_comes_the_same_as_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    """Byte for byte, turned as well, whatever the formats."""
    path = tmp_path / f"a.{before}"
    photo = Photo(
        noisy(150, 100), images.format_of(path), orientation=6, exif=samples.exif_block(6)
    )
    write(photo, path)
    assert read(path).orientation == (6 if before in ("jpg", "png", "tif", "webp") else 1)
    outputs = []
    for limit, piece in ((1 << 28, 1), (0, 1 << 27), (0, 10_000)):
        monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", limit)
        monkeypatch.setattr(restore, "_PIECE_BYTES", piece)
        output = tmp_path / f"{limit}-{piece}.{after}"
        restore_file(path, output, Each(lambda r: 255 - r))
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(names_in(tmp_path)) == 4


@pytest.mark.usefixtures("streaming")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
def test_any_pixels_in_bands(tmp_path: Path, dtype: str, channels: int, suffix: str) -> None:
    pixels = samples.scene(200, 100, channels, dtype)
    fields = {"icc-profile-data": P3} if channels > 2 else {}
    write(Photo(pixels, "tiff", fields=fields), tmp_path / "a.tif")
    restore_file(tmp_path / "a.tif", tmp_path / f"b.{suffix}", Each())
    found = read(tmp_path / f"b.{suffix}")
    if suffix == "tif":
        np.testing.assert_array_equal(found.pixels, pixels)
    assert found.fields.get("icc-profile-data") == fields.get("icc-profile-data")


class Noting(Each):
    """Notes the strength as well."""

    def __init__(self) -> None:
        super().__init__(halved)
        self.strengths: list[float] = []

    def restore_regions(self, *arguments: Any, strength: float, **more: Any) -> None:
        self.strengths.append(strength)
        super().restore_regions(*arguments, strength=strength, **more)


@pytest.mark.parametrize("limit", [1 << 28, 0])
def test_what_is_asked_for_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", limit)
    write(Photo(noisy(), "jpeg", exif=samples.exif_block()), tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg").exif
    for metadata in (True, False):
        told: list[float] = []
        denoiser, output = Noting(), tmp_path / f"{metadata}.jpg"
        settings = Settings(strength=0.4, quality=71, metadata=metadata)
        outcome = restore_file(
            tmp_path / "a.jpg", output, denoiser, settings, Hooks(progress=told.append)
        )
        assert denoiser.strengths == [0.4]
        assert (outcome.width, outcome.height) == (240, 200)
        assert told[-1] == 1
        assert len(set(told)) > 2
        found = read(output)
        assert found.jpeg is not None
        assert found.jpeg.quality == 71
        assert (found.exif is not None) == metadata


@pytest.mark.parametrize("limit", [1 << 28, 0])
def test_what_a_format_does_not_hold_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", limit)
    write(Photo(samples.scene(), "png", exif=samples.exif_block()), tmp_path / "a.png")
    path = (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    outcome = restore_file(path, tmp_path / "b.bmp", Each())
    assert outcome.notices == (
        "this is really a PNG file",
        "BMP holds no metadata: EXIF, profile and texts are left out",
    )


def test_scratch_files_are_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", 0)
    monkeypatch.setattr(restore, "_PIECE_BYTES", 1)
    write(Photo(samples.scene(400, 60), "png"), tmp_path / "a.png")
    most = []

    def counted(region: Any) -> Any:
        most.append(len(names_in(tmp_path)))
        return region

    restore_file(tmp_path / "a.png", tmp_path / "b.png", Each(counted))
    assert 32 < max(most) <= 2 + 67  # of 6 rows each, or there would be one for each row


@pytest.mark.usefixtures("streaming")
def test_what_a_format_cannot_hold_is_known_before_the_work(tmp_path: Path) -> None:
    write(Photo(np.zeros((2, 16_400, 3), np.uint8), "png"), tmp_path / "a.png")
    each = Each()
    with pytest.raises(PhotoError, match="WebP holds at most 16383 pixels a side"):
        restore_file(tmp_path / "a.png", tmp_path / "a.webp", each)
    assert each.shown == []


def test_damage_found_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (400, 64, 3), np.uint8)
    write(Photo(pixels, "tiff"), tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[len(content) * 3 // 4] ^= 0x55
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(PhotoError, match="TIFF file is damaged"):
        restore_file(tmp_path / "a.tif", tmp_path / "b.tif", Each())
    assert names_in(tmp_path) == ["a.tif"]


# --- clean already -------------------------------------------------------------------------------


def clean(height: int = 200, width: int = 240) -> Any:
    return (samples.scene(height, width) * 0.8 + 20).round().astype(np.uint8)


def smoother(by_levels: float, levels: int = 255) -> Each:
    """A denoiser that takes away so much everywhere."""
    step = round(by_levels * levels / 255) if levels > 1 else by_levels / 255
    return Each(
        lambda pixels: np.where(np.indices(pixels.shape).sum(0) % 2, pixels + step, pixels - step)
    )


@pytest.mark.parametrize("limit", [1 << 28, 0])
def test_a_clean_photo_is_copied_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", limit)
    write(Photo(clean(), "png"), tmp_path / "a.png")
    outcome = restore_file(tmp_path / "a.png", tmp_path / "b.png", smoother(1), Settings(auto=True))
    assert outcome.left_as_is
    assert outcome.noise == pytest.approx(1)
    assert outcome.noise < CLEAN_BELOW_8BIT
    assert outcome.notices == ("is clean already: copied as it is",)
    misnamed = (tmp_path / "b.png").rename(tmp_path / "c.jpg")
    outcome = restore_file(misnamed, tmp_path / "d.png", smoother(1), Settings(auto=True))
    assert outcome.notices == ("this is really a PNG file", "is clean already: copied as it is")
    (tmp_path / "d.png").rename(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_clean_photo_that_is_copied_loses_nothing(tmp_path: Path) -> None:
    write(Photo(samples.scene(), "jpeg"), tmp_path / "a.jpg")
    with (tmp_path / "a.jpg").open("ab") as file:
        file.write(b"a video")
    assert images.read(tmp_path / "a.jpg").others
    outcome = restore_file(tmp_path / "a.jpg", tmp_path / "b.jpg", Each(), Settings(auto=True))
    assert outcome.notices == ("is clean already: copied as it is",)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_a_noisy_photo_is_denoised_with_auto(tmp_path: Path) -> None:
    write(Photo(clean(), "png"), tmp_path / "a.png")
    outcome = restore_file(tmp_path / "a.png", tmp_path / "b.png", smoother(2), Settings(auto=True))
    assert not outcome.left_as_is
    assert outcome.noise == pytest.approx(2)
    np.testing.assert_array_equal(read(tmp_path / "b.png").pixels, smoother(2).change(clean()))


@pytest.mark.parametrize("kind", ["grey", "alpha", "grey alpha", "uint16", "float32"])
def test_noise_is_measured_in_grey_levels_of_255(tmp_path: Path, kind: str) -> None:
    pixels: Any = clean()
    denoiser = smoother(3)
    if kind == "grey":
        pixels = pixels[..., 0]
    elif "alpha" in kind:
        colours = pixels[..., :1] if "grey" in kind else pixels
        pixels = np.dstack([colours, np.full_like(pixels[..., 0], 128)])
        change = denoiser.change
        denoiser = Each(lambda p: np.dstack([change(p[..., :-1]), p[..., -1]]))
    elif kind == "uint16":
        pixels, denoiser = pixels.astype(np.uint16) * 257, smoother(3, 65535)
    else:
        pixels, denoiser = pixels.astype(np.float32) / 255, smoother(3, 1)
    write(Photo(pixels, "tiff"), tmp_path / "a.tif")
    outcome = restore_file(tmp_path / "a.tif", tmp_path / "b.tif", denoiser, Settings(auto=True))
    assert outcome.noise == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("limit", [1 << 28, 0])
def test_nine_parts_of_a_large_photo_tell_whether_it_is_noisy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", limit)
    pixels = np.full((900, 1600, 3), 100, np.uint8)
    pixels[:300, :533] = 101  # a ninth, a third along each axis
    write(Photo(pixels, "png"), tmp_path / "a.png")
    shown = []

    @InOneRegion
    def denoiser(region: Any, **_: Any) -> Any:
        shown.append(region)
        return np.where(region == 101, np.uint8(110), region)

    outcome = restore_file(tmp_path / "a.png", tmp_path / "b.png", denoiser, Settings(auto=True))
    assert [region.shape for region in shown[:9]] == [(256, 256, 3)] * 9
    assert outcome.noise == pytest.approx(3, rel=0.02)


def test_a_clean_photo_in_another_format_is_only_converted(tmp_path: Path) -> None:
    write(Photo(clean(), "png"), tmp_path / "a.png")
    outcome = restore_file(tmp_path / "a.png", tmp_path / "b.tif", smoother(1), Settings(auto=True))
    assert outcome.notices == ("is clean already: only converted",)
    np.testing.assert_array_equal(read(tmp_path / "b.tif").pixels, clean())


def test_a_clean_photo_is_converted_as_asked_for(tmp_path: Path) -> None:
    write(Photo(clean(), "png", exif=samples.exif_block()), tmp_path / "a.png")
    settings = Settings(auto=True, quality=71, metadata=False)
    outcome = restore_file(tmp_path / "a.png", tmp_path / "b.jpg", smoother(1), settings)
    assert outcome.left_as_is
    found = read(tmp_path / "b.jpg")
    assert found.jpeg is not None
    assert found.jpeg.quality == 71
    assert found.exif is None
    outcome = restore_file(tmp_path / "a.png", tmp_path / "b.bmp", smoother(1), Settings(auto=True))
    assert outcome.notices == (
        "is clean already: only converted",
        "BMP holds no metadata: EXIF, profile and texts are left out",
    )


@pytest.mark.usefixtures("streaming")
def test_a_clean_photo_that_is_too_large_is_not_converted_only(tmp_path: Path) -> None:
    write(Photo(clean(), "png"), tmp_path / "a.png")
    with pytest.raises(PhotoError, match="is clean already, and too large"):
        restore_file(tmp_path / "a.png", tmp_path / "b.tif", smoother(1), Settings(auto=True))
    assert names_in(tmp_path) == ["a.png"]


def test_pages_of_a_clean_file_are_not_lost_in_silence(tmp_path: Path) -> None:
    path = samples.tiff_pages(tmp_path / "a.tif", [clean(), clean()])
    outcome = restore_file(path, tmp_path / "b.png", smoother(1), Settings(auto=True))
    assert "only the first of 2 pages is kept" in outcome.notices
    outcome = restore_file(path, tmp_path / "b.tif", smoother(1), Settings(auto=True))
    assert (tmp_path / "b.tif").read_bytes() == path.read_bytes()
    with pytest.raises(PhotoError, match="only its first page"):
        restore_file(path, tmp_path / "c.tif", smoother(1), Settings(auto=True, metadata=False))


def test_all_pages_must_be_clean(tmp_path: Path) -> None:
    path = samples.tiff_pages(tmp_path / "a.tif", [clean(), noisy()])
    found = noisy()
    denoiser = InOneRegion(lambda p, **_: clean() if np.array_equal(p, found) else p)
    assert not restore_file(path, tmp_path / "b.tif", denoiser, Settings(auto=True)).left_as_is
    assert restore_file(path, tmp_path / "c.tif", Each(), Settings(auto=True)).left_as_is


# --- before and after ----------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(40, 50), (700, 1300)])
@pytest.mark.parametrize("limit", [1 << 28, 0])
def test_a_preview_is_the_middle_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, height: int, width: int, limit: int
) -> None:
    monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", limit)
    pixels = samples.scene(height, width)
    write(Photo(pixels, "png"), tmp_path / "a.png")
    denoiser = Each(lambda r: 255 - r)
    outcome = restore_file(
        tmp_path / "a.png", tmp_path / "a.png.preview.png", denoiser, Settings(preview=True)
    )
    assert (outcome.width, outcome.height) == (width, height)
    found = read(tmp_path / "a.png.preview.png").pixels
    side = (min(height, 512), min(width, 512))
    assert found.shape == (side[0], 2 * side[1] + 8, 3)
    top, left = (height - side[0]) // 2, (width - side[1]) // 2
    middle = pixels[top : top + side[0], left : left + side[1]]
    np.testing.assert_array_equal(found[:, : side[1]], middle)
    np.testing.assert_array_equal(found[:, side[1] + 8 :], 255 - middle)
    assert max(region.shape[0] for region in denoiser.shown) <= 512 + 128


def test_a_preview_is_what_the_whole_will_be(tmp_path: Path) -> None:
    denoiser = load_denoiser("fast", device="cpu", threads=1)
    pixels = noisy(700, 830, 25.0)
    write(Photo(pixels, "png"), tmp_path / "a.png")
    whole = restore_photo(Photo(pixels, "png"), denoiser).pixels
    restore_file(tmp_path / "a.png", tmp_path / "p.png", denoiser, Settings(preview=True))
    shown = read(tmp_path / "p.png").pixels[:, 520:]
    middle = whole[94 : 94 + 512, 159 : 159 + 512]
    assert np.abs(shown.astype(int) - middle).max() <= 1


def test_a_preview_is_for_any_screen(tmp_path: Path) -> None:
    """Upright, 8 bits, sRGB, without alpha, from whatever the photo is."""
    fields = {"icc-profile-data": P3}
    grey = Photo(samples.scene(30, 40, 1, "uint16"), "tiff")
    wide = Photo(
        samples.scene(30, 40, 4, "float32"),
        "tiff",
        orientation=6,
        exif=samples.exif_block(6),
        fields=fields,
    )
    for photo, shape in ((grey, (30, 88, 3)), (wide, (40, 68, 3))):
        write(photo, tmp_path / "a.tif", overwrite=True)
        settings = Settings(preview=True, overwrite=True)
        restore_file(tmp_path / "a.tif", tmp_path / "p.png", Each(), settings)
        found = read(tmp_path / "p.png")
        assert found.pixels.shape == shape
        assert found.pixels.dtype == np.uint8
        assert not found.fields


def test_a_preview_is_made_as_asked_for(tmp_path: Path) -> None:
    write(Photo(clean(), "png"), tmp_path / "a.png")
    path = (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    os.utime(path, ns=(10**18, 10**18))
    denoiser, named = Noting(), []
    settings = Settings(preview=True, strength=0.4, keep_time=True)
    hooks = Hooks(before_naming=named.append)
    outcome = restore_file(path, tmp_path / "p.png", denoiser, settings, hooks)
    assert denoiser.strengths == [0.4]
    assert len(named) == 1
    assert (tmp_path / "p.png").stat().st_mtime_ns == 10**18
    assert outcome.notices == ("this is really a PNG file",)


def test_modification_time_is_kept_when_asked_for(tmp_path: Path) -> None:
    write(Photo(clean(), "png"), tmp_path / "a.png")
    os.utime(tmp_path / "a.png", ns=(10**18, 10**18))
    for number, settings in enumerate(
        [Settings(keep_time=True), Settings(keep_time=True, auto=True), Settings()]
    ):
        output = tmp_path / f"{number}.png"
        restore_file(tmp_path / "a.png", output, Each(), settings)
        assert (output.stat().st_mtime_ns == 10**18) == settings.keep_time
    assert images.read(tmp_path / "0.png").height == 200


# --- how long it may take ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "settings", "expected"),
    [
        (1 << 28, Settings(), ["open", "decode", "tile", "encode"]),
        (0, Settings(), ["open", "tile", "encode"]),
        (1 << 28, Settings(preview=True), ["open", "tile"]),
    ],
)
def test_whoever_watches_hears_of_each_step_before_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    settings: Settings,
    expected: list[str],
) -> None:
    """Or a photo would be given up in the middle of what takes long."""
    left: list[float] = []
    done: list[str] = []

    def noted(name: str, seconds: float, real: Any) -> Any:
        def step(*arguments: Any, **options: Any) -> Any:
            assert left, name
            assert left.pop() == pytest.approx(seconds, abs=0.4), name
            done.append(name)
            return real(*arguments, **options)

        return step

    write(Photo(noisy(), "png"), tmp_path / "a.png")
    monkeypatch.setattr(restore, "STREAMED_ABOVE_BYTES", limit)
    monkeypatch.setattr(restore, "opened", noted("open", 20.2, restore.opened))
    monkeypatch.setattr(images.OpenPhoto, "whole", noted("decode", 20.5, images.OpenPhoto.whole))
    for name in ("encode", "encode_image"):
        real = getattr(restore.writing, name)
        if not (settings.preview or (name == "encode_image" and limit)):
            monkeypatch.setattr(restore.writing, name, noted("encode", 20.5, real))
    hooks = Hooks(step=lambda seconds: left.__setitem__(slice(None), [seconds]))
    restore_file(
        tmp_path / "a.png", tmp_path / "b.png", Each(noted("tile", 900, halved)), settings, hooks
    )
    assert list(dict.fromkeys(done)) == expected
    assert done.count("tile") > 4


def test_measuring_the_noise_may_take_as_long_as_a_tile(tmp_path: Path) -> None:
    write(Photo(noisy(), "png"), tmp_path / "a.png")
    told: list[float] = []
    before: list[float] = []

    def measured(region: Any) -> Any:
        before.append(told[-1])
        return region

    hooks, settings = Hooks(step=told.append), Settings(auto=True)
    restore_file(tmp_path / "a.png", tmp_path / "b.png", Each(measured), settings, hooks)
    assert before[0] > restore._SECONDS_A_TILE
