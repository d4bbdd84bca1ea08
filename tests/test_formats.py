"""AVIF, HEIC, BMP, PPM, camera raw, and TIFF pages: in and out."""

from __future__ import annotations

import struct
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

import samples
from invdn import images, metadata
from invdn.images import JpegFacts, Photo, PhotoError, plain, raw, read, tiffpages, write
from invdn.images.photo import scale_down, scale_up

P3 = samples.libvips_profile("p3")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r xmp:Rating="4"/></x:xmpmeta>'


def refusal(path: Path) -> str:
    with pytest.raises(PhotoError) as caught:
        read(path)
    return str(caught.value)


# --- BMP and PPM ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "channels", "dtype"),
    [
        (".ppm", 3, "uint8"),
        (".ppm", 3, "uint16"),
        (".pgm", 1, "uint8"),
        (".pgm", 1, "uint16"),
        (".bmp", 3, "uint8"),
    ],
)
@pytest.mark.parametrize("width", [1, 29, 32])
def test_plain_formats_keep_every_bit(
    tmp_path: Path, suffix: str, channels: int, dtype: str, width: int
) -> None:
    rng = np.random.default_rng(0)
    shape = (300, width) if channels == 1 else (300, width, channels)
    pixels = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    write(Photo(pixels, "png"), tmp_path / f"a{suffix}")
    photo = read(tmp_path / f"a{suffix}")
    assert photo.pixels.dtype == dtype
    np.testing.assert_array_equal(photo.pixels, pixels)


def test_a_grey_bmp_has_three_channels(tmp_path: Path) -> None:
    write(Photo(samples.scene(channels=1), "png"), tmp_path / "a.bmp")
    np.testing.assert_array_equal(
        read(tmp_path / "a.bmp").pixels[..., 1], samples.scene(channels=1)
    )


def test_ppm_as_text_with_comments_and_any_largest_value(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P3\n# made by hand\n2 1 # size\n4\n0 1 2  3 4 9\n")
    photo = read(path)
    assert photo.pixels.tolist() == [[[0, 64, 128], [191, 255, 255]]]
    assert photo.notices == ("its values go to 4: they were scaled to 255",)
    path.write_bytes(b"P5 2 1 1023\n" + struct.pack(">2H", 1023, 0))
    assert read(path).pixels.tolist() == [[65535, 0]]


def bmp(bits: int, compression: int, body: bytes, height: int, extra: bytes = b"") -> bytes:
    size = 40 + (68 if extra else 0)
    extra = extra.ljust(68, b"\0") if extra else b""
    palette = b"".join(bytes([i, 0, 255 - i, 0]) for i in range(256)) if bits == 8 else b""
    start = 14 + size + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", size, 2, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return head + info + extra + palette + body


def test_the_kinds_of_bmp(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(bmp(8, 0, bytes([0, 9, 0, 0]), 1))
    assert read(path).pixels.tolist() == [[[255, 0, 0], [246, 0, 9]]]
    assert read(path).notices == ("its palette was expanded",)
    rows = bytes([1, 2, 3, 0, 4, 5, 6, 0]) + bytes([7, 8, 9, 0, 10, 11, 12, 0])
    path.write_bytes(bmp(32, 0, rows, -2))  # from the top down
    assert read(path).pixels[:, :, 0].tolist() == [[3, 6], [9, 12]]
    masks = struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    path.write_bytes(bmp(32, 3, rows, 2, masks))
    assert read(path).pixels[0, 0].tolist() == [7, 8, 9, 0]
    path.write_bytes(bmp(4, 0, bytes(8), 1))
    assert "not supported (4 bits" in refusal(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P4 8 8\n" + bytes(8), "1 bit"),
        (b"P6 90000 90000 255\n", "more than the limit"),
        (b"P6 0 5 255\n", "no pixels"),
        (b"P6 4 4 70000\n", "largest value"),
        (b"P6 4 4 255\n123", "cut off"),
        (b"P6 4 x", "damaged"),
        (b"P3 1 1 255 1 two 3", "damaged"),
        (b"P3 2 1 255 1 2 3", "cut off"),
        (b"P3 99999 9999 255 1 2 3", "cut off"),
        (bmp(24, 0, b"", 1), "cut off"),
        (bmp(24, 1, bytes(99), 1), "not supported"),
        (bmp(24, 0, bytes(99), 2_000_000_000), "more than the limit"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "damaged"),
    ],
)
def test_plain_formats_that_make_no_sense_have_a_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "a.ppm").write_bytes(content)
    assert reason in refusal(tmp_path / "a.ppm")


def test_what_plain_formats_cannot_hold_is_said(tmp_path: Path) -> None:
    photo = Photo(samples.scene(channels=4), "png", exif=samples.exif_block())
    for suffix in ("bmp", "ppm"):
        notices = write(photo, tmp_path / f"a.{suffix}")
        assert any("transparency" in notice for notice in notices)
        assert any("metadata" in notice for notice in notices)


def test_pixels_of_a_binary_ppm_take_no_memory(tmp_path: Path) -> None:
    write(Photo(samples.scene(), "png"), tmp_path / "a.ppm")
    assert not read(tmp_path / "a.ppm").pixels.flags.owndata


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_ppm_is_written_in_bands(channels: int) -> None:
    pixels = samples.scene(2000, 7, channels, "uint16")
    header, *bands = plain.ppm_pieces(pixels)
    assert header == b"P%d\n7 2000\n65535\n" % (6 if channels == 3 else 5)
    assert b"".join(bands) == pixels.astype(">u2").tobytes()
    assert max(map(len, bands)) <= pixels.nbytes / 7


# --- AVIF and HEIC -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".avif", ".heic"])
@pytest.mark.parametrize("channels", [3, 4])
def test_modern_formats(tmp_path: Path, suffix: str, dtype: str, channels: int) -> None:
    pixels = samples.scene(64, 96, channels, dtype)
    fields = {"icc-profile-data": P3, "xmp-data": XMP}
    block = samples.exif_block()
    photo = Photo(pixels, "png", exif=block, fields=fields)
    write(photo, tmp_path / f"a{suffix}", quality=95)
    first = read(tmp_path / f"a{suffix}")
    write(first, tmp_path / f"b{suffix}", quality=95)
    for found in (first, read(tmp_path / f"b{suffix}")):
        assert found.pixels.shape == pixels.shape
        assert found.pixels.dtype == dtype
        top = np.iinfo(dtype).max
        difference = np.abs(found.pixels.astype(float) - pixels) / top
        assert difference.max() < 0.05
        assert found.fields["icc-profile-data"] == P3
        assert XMP.rstrip() in found.fields["xmp-data"]
        assert found.exif == block
        assert found.notices == ()


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint8", 4), ("uint16", 3)])
def test_chroma_stays_at_the_size_that_it_has(
    tmp_path: Path, suffix: str, dtype: str, channels: int
) -> None:
    """Many decoders cannot read HEVC of 4:4:4."""
    photo = Photo(samples.scene(63, 97, channels, dtype), "png")
    for halved in (False, True):
        write(replace(photo, subsampled=halved), tmp_path / f"a{suffix}", overwrite=True)
        first = read(tmp_path / f"a{suffix}")
        write(first, tmp_path / f"b{suffix}", overwrite=True)
        for found in (first, read(tmp_path / f"b{suffix}")):
            assert (found.subsampled, found.is_420) == (halved, halved)
            assert found.pixels.shape == photo.pixels.shape
    if (dtype, channels) == ("uint8", 3):
        facts = JpegFacts(90, subsampled=True, progressive=False)
        write(replace(photo, format="jpeg", jpeg=facts), tmp_path / f"c{suffix}")
        assert read(tmp_path / f"c{suffix}").subsampled


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_white_stays_white_at_10_and_12_bits(tmp_path: Path, suffix: str) -> None:
    white = np.full((64, 64, 3), 65535, np.uint16)
    for bits in (10, 12):
        write(Photo(white, "avif", bits=bits), tmp_path / f"{bits}{suffix}")
        found = read(tmp_path / f"{bits}{suffix}")
        assert found.bits == bits
        assert found.pixels.min() > 65535 - 65536 // 2**9


@pytest.mark.parametrize("bits", [10, 12, None])
def test_only_bits_that_are_lost_are_said(tmp_path: Path, bits: int | None) -> None:
    photo = Photo(samples.scene(dtype="uint16"), "avif", bits=bits)
    lost = () if bits else ("AVIF holds 12 bits a channel",)
    assert write(photo, tmp_path / "a.avif") == lost


def test_a_lossless_webp_is_lossy_where_a_quality_is_asked_for(tmp_path: Path) -> None:
    photo = Photo(samples.scene(), "webp", lossless=True)
    for quality in (None, 80):
        write(photo, tmp_path / "a.webp", quality=quality, overwrite=True)
        assert read(tmp_path / "a.webp").lossless == (quality is None)


@pytest.mark.parametrize("bits", [10, 12])
def test_scaling_keeps_every_value(bits: int) -> None:
    values = (np.arange(2**bits) << (16 - bits)).astype(np.uint16)
    full = scale_up(values, bits)
    assert (full[0], full[-1]) == (0, 65535)
    np.testing.assert_array_equal(scale_down(full, bits), values)


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_orientation_in_modern_formats_is_applied_once(tmp_path: Path, suffix: str) -> None:
    source = Photo(samples.scene(64, 96), "jpeg", orientation=6, exif=samples.exif_block(6))
    write(source, tmp_path / f"a{suffix}")
    photo = read(tmp_path / f"a{suffix}")
    assert photo.pixels.shape[:2] == (96, 64)
    assert photo.orientation == 1
    assert photo.exif is not None
    assert metadata.pixel_sides(photo.exif) == (20, 30)  # swapped with the pixels
    write(photo, tmp_path / "b.jpg")
    assert pyvips.Image.new_from_file(str(tmp_path / "b.jpg")).get("orientation") == 1


def test_an_orientation_that_only_xmp_has_turns_nothing(tmp_path: Path) -> None:
    """It may be older than the pixels: tools that turn them may not know XMP."""
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    source = Photo(samples.scene(64, 96), "jpeg", fields={"xmp-data": xmp})
    for suffix in (".avif", ".heic", ".webp"):
        write(source, tmp_path / f"a{suffix}")
        assert read(tmp_path / f"a{suffix}").pixels.shape[:2] == (64, 96)


@pytest.mark.parametrize("suffix", ["avif", "heic"])
def test_colours_in_two_numbers(tmp_path: Path, suffix: str) -> None:
    """Display P3 without a profile gets one; what would be lost is refused."""
    path = tmp_path / f"a.{suffix}"
    fields = {"icc-profile-data": samples.libvips_profile("p3")}
    images.write(Photo(samples.scene(64, 96), "png", fields=fields), path)
    content = bytearray(path.read_bytes())
    at = content.index(b"colr") + 4
    if content[at : at + 4] == b"nclx":  # HEIC has both
        at = content.index(b"colr", at) + 4
    results = {}
    for primaries, transfer in [(1, 13), (12, 13), (9, 16), (9, 1)]:
        content[at : at + 11] = b"nclx" + struct.pack(">3HB", primaries, transfer, 6, 128)
        path.write_bytes(content)
        try:
            results[primaries, transfer] = images.read(path).fields.get("icc-profile-data")
        except PhotoError as error:
            results[primaries, transfer] = str(error).partition(",")[0]
    assert results == {
        (1, 13): None,
        (12, 13): samples.libvips_profile("p3"),
        (9, 16): "is HDR (PQ or HLG)",
        (9, 1): "has the colours of BT.2020 and no profile: convert it to RGB first",
    }


@pytest.mark.parametrize("what", ["aux", "depth_images"])
def test_what_else_a_heic_file_holds_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    import pillow_heif

    images.write(Photo(samples.scene(64, 96, 4), "png"), tmp_path / "a.heic")
    assert images.write(images.read(tmp_path / "a.heic"), tmp_path / "b.heic") == ()
    opened = pillow_heif.open_heif

    def with_more(*arguments: Any, **options: Any) -> Any:
        found = opened(*arguments, **options)
        found.info[what] = {"urn:com:apple:photo:2020:aux:hdrgainmap": [2]}
        return found

    monkeypatch.setattr(pillow_heif, "open_heif", with_more)
    (notice,) = images.write(images.read(tmp_path / "a.heic"), tmp_path / "c.heic")
    assert notice.startswith("what else the file holds is left out")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "a.nef").write_bytes(b"MM\0*" + bytes(40))
    assert refusal(tmp_path / "a.heic") == "HEIC needs: pip install 'invdn[heif]'"
    assert refusal(tmp_path / "a.nef") == "camera raw needs: pip install 'invdn[raw]'"


# --- camera raw ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.dng", "a.tif", "a.nef"])
def test_raw_is_developed(tmp_path: Path, name: str) -> None:
    photo = read(samples.dng(tmp_path / name))
    assert photo.format == "raw"
    assert photo.pixels.dtype == np.uint16
    assert photo.pixels.shape == (64, 96, 3)
    assert photo.pixels.std(axis=(0, 1)).max() < 3000  # a flat field: the mosaic is gone
    assert photo.notices == ("camera raw was developed to sRGB, 16 bits",)
    write(photo, tmp_path / "out.tif")
    again = read(tmp_path / "out.tif")
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert again.exif is not None
    assert b"Cam One" in again.exif
    assert b"Cam\0" + bytes(range(64)) in again.exif
    assert again.fields["icc-profile-data"][36:40] == b"acsp"


def test_raw_comes_upright(tmp_path: Path) -> None:
    photo = read(samples.dng(tmp_path / "a.dng", orientation=6))
    assert photo.pixels.shape == (96, 64, 3)
    assert photo.orientation == 1
    write(photo, tmp_path / "a.jpg")
    assert pyvips.Image.new_from_file(str(tmp_path / "a.jpg")).get("orientation") == 1


def test_a_raw_file_that_is_damaged_has_a_reason(tmp_path: Path) -> None:
    content = samples.dng(tmp_path / "a.dng").read_bytes()
    (tmp_path / "b.dng").write_bytes(content[:300])
    assert "camera raw" in refusal(tmp_path / "b.dng")


def test_exif_of_fujifilm_and_canon() -> None:
    block = samples.exif_block()
    jpeg = pyvips.Image.black(8, 8).jpegsave_buffer(keep="none")
    inner = b"".join(metadata.into_jpeg(jpeg, block))
    raf = b"FUJIFILMCCD-RAW ".ljust(84, b"0") + struct.pack(">II", 148, len(inner))
    assert raw.exif_of(raf.ljust(148, b"\0") + inner) == block

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    def part(tag: int, value: int) -> bytes:
        return b"II*\0" + struct.pack("<IHHHIII", 8, 1, tag, 4, 1, value, 0)

    parts = box(b"CMT1", part(0x0112, 6)) + box(b"CMT2", part(0xA002, 6000))
    parts += box(b"CMT3", b"II*\0maker note") + box(b"CMT4", part(0x0006, 123))
    cr3 = box(b"ftyp", b"crx \0\0\0\1") + box(b"moov", box(b"uuid", bytes(16) + parts))
    found = raw.exif_of(cr3)
    assert found is not None
    assert b"maker note" in found
    image = pyvips.Image.new_from_buffer(b"".join(metadata.into_jpeg(jpeg, found)), "")
    assert image.get("orientation") == 6
    assert image.get("exif-ifd2-PixelXDimension").startswith("6000 ")
    assert raw.exif_of(b"\0\0\0\x18ftypcrx " + bytes(60)) is None


# --- TIFF pages ----------------------------------------------------------------------------------


def test_pages_are_counted_and_read_one_by_one(tmp_path: Path) -> None:
    pages = [samples.scene() // n for n in (1, 2, 3)]
    path = samples.tiff_pages(tmp_path / "a.tif", pages)
    for number, page in enumerate(pages):
        photo = read(path, page=number)
        assert photo.pages == 3
        assert photo.notices == ()
        np.testing.assert_array_equal(photo.pixels, page)


def test_pages_of_all_kinds_in_one_file(tmp_path: Path) -> None:
    photos = [
        Photo(samples.scene(), "tiff", exif=samples.exif_block(3), orientation=3),
        Photo(samples.scene(50, 9, 3, "uint16"), "tiff", fields={"icc-profile-data": P3}),
        Photo(samples.scene(300, 400, 4, "float32"), "tiff"),
        Photo(samples.scene(1, 1), "tiff", exif=samples.exif_block()),
    ]
    with (tmp_path / "all.tif").open("x+b") as file:
        writer = tiffpages.PageWriter(file)
        for photo in photos:
            write(photo, tmp_path / "one.tif", overwrite=True)
            with (tmp_path / "one.tif").open("rb") as page:
                writer.add(page)
    for number, photo in enumerate(photos):
        found = read(tmp_path / "all.tif", page=number)
        assert found.pages == 4
        np.testing.assert_array_equal(found.pixels, photo.pixels)
        assert found.orientation == photo.orientation
        exif = [e and metadata.from_tiff(e) for e in (found.exif, photo.exif)]
        assert photo.exif is None or exif[0] == exif[1]
        assert found.fields.get("icc-profile-data") == photo.fields.get("icc-profile-data")


@pytest.mark.skipif(sys.platform == "win32", reason="a file of nothing takes 4 GB there")
def test_pages_of_more_than_4_gb_are_refused(tmp_path: Path) -> None:
    page = samples.bare_tiff(tmp_path / "a.tif", samples.scene(), {})
    with page.open("rb") as one, (tmp_path / "b.tif").open("w+b") as file:
        file.truncate(2**32 - 100)
        with pytest.raises(PhotoError, match="more than a TIFF file of 4 GB can hold"):
            tiffpages.PageWriter(file).add(one)


def test_offsets_of_16_bits_are_widened(tmp_path: Path) -> None:
    """As some programs write them, to save a few bytes."""
    first, second = (samples.scene(8, 8, 1) + n for n in (0, 7))

    def one(pixels: np.ndarray, path: Path) -> Path:
        rows = [
            (0x0100, 3, 1, 8), (0x0101, 3, 1, 8), (0x0102, 3, 1, 8), (0x0103, 3, 1, 1),
            (0x0106, 3, 1, 1), (0x0111, 3, 2, 122), (0x0116, 3, 1, 4), (0x0117, 3, 2, 126),
        ]  # fmt: skip
        head = b"II*\0" + struct.pack("<IH", 8, len(rows))
        body = head + b"".join(struct.pack("<HHII", *row) for row in rows) + bytes(4)
        body = body.ljust(122, b"\0") + struct.pack("<4H", 130, 162, 32, 32)
        # Two 16-bit numbers fit into their rows.
        body = bytearray(body)
        struct.pack_into("<2H", body, 10 + 5 * 12 + 8, 130, 162)
        struct.pack_into("<2H", body, 10 + 7 * 12 + 8, 32, 32)
        path.write_bytes(bytes(body) + pixels.tobytes())
        return path

    with (tmp_path / "all.tif").open("x+b") as file:
        writer = tiffpages.PageWriter(file)
        for pixels in (first, second):
            path = one(pixels, tmp_path / "one.tif")
            np.testing.assert_array_equal(read(path).pixels, pixels)
            with path.open("rb") as page:
                writer.add(page)
    np.testing.assert_array_equal(read(tmp_path / "all.tif", page=1).pixels, second)


def test_palettes_are_expanded_and_said(tmp_path: Path) -> None:
    pyvips.Image.new_from_array(samples.scene()).pngsave(str(tmp_path / "a.png"), palette=True)
    assert read(tmp_path / "a.png").notices == ("its palette was expanded",)


def test_an_animation_is_no_photo(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write(Photo(samples.scene(), "png"), path)
    still = path.read_bytes()

    def animated(frames: int) -> bytes:
        body = b"acTL" + struct.pack(">2I", frames, 0)
        chunk = struct.pack(">I", 8) + body + struct.pack(">I", zlib.crc32(body))
        return still[:33] + chunk + still[33:]  # after the header

    path.write_bytes(animated(3))
    assert refusal(path) == "is an animation of 3 frames, not a photo"
    path.write_bytes(animated(1))
    assert np.array_equal(read(path).pixels, samples.scene())


def test_size_limit(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "tif", "webp", "avif", "heic", "bmp", "ppm"):
        write(Photo(samples.scene(), "png"), tmp_path / f"a.{suffix}")
        with pytest.raises(PhotoError, match="30×20 pixels, more than the limit"):
            read(tmp_path / f"a.{suffix}", max_pixels=599)
        assert read(tmp_path / f"a.{suffix}", max_pixels=600).height == 20
    with pytest.raises(PhotoError, match="more than the limit"):
        read(samples.dng(tmp_path / "a.dng"), max_pixels=599)


def test_every_format_has_a_label() -> None:
    assert set(images.SUFFIXES.values()) | {"raw"} == set(images.LABELS)
