"""Reading and writing photos: what is kept, what is refused, and that nothing is half written."""

from __future__ import annotations

import errno
import io
import os
import struct
import sys
import time
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pyvips

import samples
from invdn import images, metadata
from invdn.images import Photo, PhotoError, jpeg, read, reading, write, writing
from samples import scene as picture

FORMATS = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp"}
ICC = bytes(
    pyvips.Image.black(4, 4, bands=3)
    .copy(interpretation="srgb")
    .icc_transform("p3", input_profile="srgb")
    .get("icc-profile-data")
)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6" xmp:Rating="4"/></x:xmpmeta>'
MAKER_NOTE = b"Nikon\0\x02\x10\0\0" + bytes(range(256)) * 3
THUMBNAIL = b"\xff\xd8thumbnail of the noisy photo\xff\xd9"


def exif_block(orientation: int = 1, order: str = ">", thumbnail: bytes = THUMBNAIL) -> bytes:
    """A camera's EXIF: make, orientation, artist in UTF-8, a maker note, sizes, a thumbnail."""
    artist = "Ana Ćirić 李\0".encode()
    first, inner = 8, 8 + 2 + 4 * 12 + 4
    values = inner + 2 + 3 * 12 + 4
    at_artist, at_note = values, values + len(artist)
    second = at_note + len(MAKER_NOTE)
    at_thumbnail = second + 2 + 2 * 12 + 4

    def row(tag: int, kind: int, count: int, value: int | bytes) -> bytes:
        head = struct.pack(order + "HHI", tag, kind, count)
        if isinstance(value, bytes):
            return head + value.ljust(4, b"\0")
        short = kind == 3  # a 16-bit number, left in its four bytes
        return head + struct.pack(
            order + ("HH" if short else "I"), *([value, 0] if short else [value])
        )

    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", first)
    ifd0 = [
        row(0x010F, 2, 4, b"Cam\0"),
        row(0x0112, 3, 1, orientation),
        row(0x013B, 2, len(artist), at_artist),
        row(0x8769, 4, 1, inner),
    ]
    exif = [
        row(0x927C, 7, len(MAKER_NOTE), at_note),
        row(0xA002, 4, 1, 30),
        row(0xA003, 4, 1, 20),
    ]
    ifd1 = [row(0x0201, 4, 1, at_thumbnail), row(0x0202, 4, 1, len(thumbnail))]

    def directory(rows: list[bytes], following: int) -> bytes:
        count = struct.pack(order + "H", len(rows))
        return count + b"".join(rows) + struct.pack(order + "I", following)

    return b"".join(
        [
            head,
            directory(ifd0, second),
            directory(exif, 0),
            artist,
            MAKER_NOTE,
            directory(ifd1, 0),
            thumbnail,
        ]
    )


def store(path: Path, pixels: images.Pixels, **more: object) -> Path:
    """A file as somebody else might have made it (lossless WebP, JPEG of quality 95)."""
    format = images.format_of(path)
    jpeg = images.JpegFacts(95, subsampled=False, progressive=False)
    photo = Photo(pixels, format, jpeg=jpeg if format == "jpeg" else None, **more)  # type: ignore[arg-type]
    write(photo, path)
    return path


def viewed(path: Path) -> images.Pixels:
    """The picture as a viewer shows it: libvips turns it as the file's orientation says."""
    shown: images.Pixels = pyvips.Image.new_from_file(str(path)).autorot().numpy()
    return shown


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_error(path: Path) -> str:
    with pytest.raises(PhotoError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"),
    [
        (".png", "uint8", 1),
        (".png", "uint8", 2),
        (".png", "uint8", 3),
        (".png", "uint8", 4),
        (".png", "uint16", 1),
        (".png", "uint16", 2),
        (".png", "uint16", 3),
        (".png", "uint16", 4),
        (".tif", "uint8", 1),
        (".tif", "uint8", 3),
        (".tif", "uint16", 3),
        (".tif", "uint16", 4),
        (".tif", "float32", 1),
        (".tif", "float32", 3),
        (".tif", "float32", 4),
        (".webp", "uint8", 3),
        (".webp", "uint8", 4),
    ],
)
def test_lossless_formats_keep_every_bit(
    tmp_path: Path, suffix: str, dtype: str, channels: int
) -> None:
    rng = np.random.default_rng(channels)
    shape = (17, 23) if channels == 1 else (17, 23, channels)
    pixels = rng.random(shape, dtype=np.float32)
    if dtype != "float32":
        pixels = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    first = store(tmp_path / f"a{suffix}", pixels)
    photo = read(first)
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.pixels.dtype == dtype
    write(photo, tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"b{suffix}").pixels, pixels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("after", FORMATS)
@pytest.mark.parametrize("before", FORMATS)
def test_metadata_is_kept_from_any_format_to_any(
    tmp_path: Path, before: str, after: str, order: str
) -> None:
    fields = {"icc-profile-data": ICC, "xmp-data": XMP}
    block = exif_block(order=order)
    first = store(tmp_path / f"a{FORMATS[before]}", picture(), exif=block, fields=fields)
    write(read(first), tmp_path / f"b{FORMATS[after]}")
    photo = read(tmp_path / f"b{FORMATS[after]}")
    assert photo.fields["icc-profile-data"] == ICC
    assert photo.fields["xmp-data"] == XMP
    assert photo.exif is not None
    assert MAKER_NOTE in photo.exif
    assert "Ana Ćirić 李".encode() in photo.exif
    if "tiff" not in (before, after):
        assert photo.exif == metadata.without_thumbnail(block)


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_exif_is_understood_by_others(tmp_path: Path, format: str) -> None:
    path = store(tmp_path / f"a{FORMATS[format]}", picture(), exif=exif_block(1))
    write(read(path), tmp_path / f"b{FORMATS[format]}")
    image = pyvips.Image.new_from_file(str(tmp_path / f"b{FORMATS[format]}"))
    assert image.get("exif-ifd0-Make").startswith("Cam ")
    assert image.get("exif-ifd2-PixelXDimension").startswith("30 ")
    assert not image.get_typeof("jpeg-thumbnail-data")


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("lossless", [True, False])
def test_exif_in_webp_leaves_the_picture_alone(
    tmp_path: Path, lossless: bool, channels: int
) -> None:
    pixels = picture(21, 33, channels)
    plain = store(tmp_path / "a.webp", pixels, lossless=lossless)
    with_exif = store(tmp_path / "b.webp", pixels, lossless=lossless, exif=exif_block(3))
    assert pyvips.Image.new_from_file(str(with_exif)).get("orientation") == 3
    np.testing.assert_array_equal(read(plain).pixels, read(with_exif).pixels)
    assert read(with_exif).lossless is lossless


def test_no_thumbnail_survives(tmp_path: Path) -> None:
    following = exif_block() + b"something after the thumbnail"
    for block in (exif_block(), following):
        stripped = metadata.without_thumbnail(block)
        assert THUMBNAIL not in stripped
        assert MAKER_NOTE in stripped
    assert metadata.without_thumbnail(following).endswith(b"something after the thumbnail")
    bare = pyvips.Image.new_from_array(picture()).jpegsave_buffer(keep="none")
    (tmp_path / "a.jpg").write_bytes(b"".join(metadata.into_jpeg(bare, exif_block())))
    write(read(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert THUMBNAIL in (tmp_path / "a.jpg").read_bytes()
    assert THUMBNAIL not in (tmp_path / "b.jpg").read_bytes()


@pytest.mark.parametrize("damage", range(0, 120, 7))
def test_damaged_exif_never_costs_the_photo(tmp_path: Path, damage: int) -> None:
    block = bytearray(exif_block(6))
    block[damage : damage + 4] = b"\xff\xfe\xff\xff"
    for format in FORMATS:
        path = store(tmp_path / f"{format}{FORMATS[format]}", picture(), exif=bytes(block))
        other = tmp_path / f"{format}-2.tif"
        write(replace(read(path), orientation=6), other)
        read(other)
        assert metadata.xmp_upright(XMP).count(b'"1"') == 1


@pytest.mark.parametrize("after", FORMATS)
@pytest.mark.parametrize("before", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_picture_is_seen_the_same_way_up(
    tmp_path: Path, orientation: int, before: str, after: str
) -> None:
    block = exif_block(orientation)
    first = store(tmp_path / f"a{FORMATS[before]}", picture(), orientation=orientation, exif=block)
    photo = read(first)
    assert photo.orientation == orientation
    assert photo.pixels.shape[:2] == (20, 30)  # as stored, not turned
    second = tmp_path / f"b{FORMATS[after]}"
    write(photo, second)
    difference = np.abs(viewed(first).astype(int) - viewed(second).astype(int))
    assert viewed(second).shape == viewed(first).shape
    assert difference.max() <= (0 if {before, after} <= {"png", "tiff"} else 24)
    kept = read(second)
    assert kept.orientation == (orientation if before == after else 1)


def test_sides_of_an_odd_type_are_left_as_they_are() -> None:
    block = bytearray(exif_block(6, "<"))
    row = block.index(struct.pack("<HH", 0xA002, 4))  # PixelXDimension as a rational
    struct.pack_into("<HII", block, row + 2, 5, 1, 8)
    struct.pack_into("<I", block, block.index(struct.pack("<HH", 0xA003, 4)) + 8, 3000)
    assert metadata.pixel_sides(metadata.upright(bytes(block), swap_sides=True)) is not None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_upright_agrees_with_libvips(orientation: int) -> None:
    image = pyvips.Image.new_from_array(picture()).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    turned = images.turned_upright(picture(), orientation)
    np.testing.assert_array_equal(turned, image.autorot().numpy())


def test_turning_upright_corrects_the_metadata(tmp_path: Path) -> None:
    photo = Photo(picture(), "jpeg", orientation=6, exif=exif_block(6), fields={"xmp-data": XMP})
    write(photo, tmp_path / "a.png")
    image = pyvips.Image.new_from_file(str(tmp_path / "a.png"))
    assert image.get("orientation") == 1
    assert image.get("exif-ifd2-PixelXDimension").startswith("20 ")
    assert b'tiff:Orientation="1"' in image.get("xmp-data")
    assert b'xmp:Rating="4"' in image.get("xmp-data")


def test_resolution_is_kept(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".tif"):
        path = store(tmp_path / f"a{suffix}", picture(), pixels_per_mm=(11.811, 5.9055))
        write(read(path), tmp_path / f"b{suffix}")
        assert read(tmp_path / f"b{suffix}").pixels_per_mm == pytest.approx((11.811, 5.9055), 0.01)


def test_a_resolution_is_that_of_the_file_and_not_of_exif(tmp_path: Path) -> None:
    """A scan of 300 dpi whose program wrote 72 into EXIF; EXIF alone counts too."""
    rationals = struct.pack("<4I", 72, 1, 72, 1)
    rows = struct.pack("<HHII", 0x011A, 5, 1, 38) + struct.pack("<HHII", 0x011B, 5, 1, 46)
    exif = b"II*\0" + struct.pack("<IH", 8, 2) + rows + bytes(4) + rationals
    for suffix in (".jpg", ".png"):
        path = store(tmp_path / f"a{suffix}", picture(), pixels_per_mm=(300 / 25.4,) * 2, exif=exif)
        assert read(path).pixels_per_mm == pytest.approx((300 / 25.4,) * 2, 1e-4)
        path = store(tmp_path / f"b{suffix}", picture(), exif=exif)
        assert read(path).pixels_per_mm == pytest.approx((72 / 25.4,) * 2, 1e-4)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_no_resolution_is_made_up(tmp_path: Path, suffix: str) -> None:
    path = store(tmp_path / f"a{suffix}", picture())
    assert read(path).pixels_per_mm == (1.0, 1.0)
    assert b"pHYs" not in path.read_bytes()
    write(read(path), tmp_path / f"b{suffix}")
    assert read(tmp_path / f"b{suffix}").pixels_per_mm == (1.0, 1.0)


@pytest.mark.parametrize("per_mm", [300 / 25.4, 72 / 25.4, 11.8])
def test_a_resolution_stays_a_whole_number(tmp_path: Path, per_mm: float) -> None:
    """In dots an inch, or a centimetre: 11.8 a millimetre."""
    for before in (".png", ".bmp", ".tif", ".jpg"):
        path = store(tmp_path / f"a{before}", picture(), pixels_per_mm=(per_mm, per_mm))
        for after in (".tif", ".jpg"):
            write(read(path), tmp_path / f"b{after}", overwrite=True)
            found = read(tmp_path / f"b{after}").pixels_per_mm
            assert found == pytest.approx((per_mm, per_mm), 1e-3 if after == ".tif" else 1e-6)
            image = pyvips.Image.new_from_file(str(tmp_path / f"b{after}"))
            unit = {True: "in", False: "cm"}[per_mm != 11.8]
            assert after == ".jpg" or image.get("resolution-unit") == unit


def test_a_tiff_without_resolution_gets_the_usual_one(tmp_path: Path) -> None:
    """TIFF cannot do without; libvips' 25 dots an inch would print a photo three times as large."""
    write(Photo(picture(), "tiff"), tmp_path / "a.tif")
    assert pyvips.Image.new_from_file(str(tmp_path / "a.tif")).xres == pytest.approx(
        72 / 25.4, 0.01
    )


def test_png_texts_are_kept(tmp_path: Path) -> None:
    path = store(tmp_path / "a.png", picture())
    texts = {"Title": "Sea", "Author": "Ana"}
    image = pyvips.Image.new_from_file(str(path)).copy()
    for number, (name, text) in enumerate(texts.items()):
        image.set_type(pyvips.GValue.gstr_type, f"png-comment-{number}-{name}", text)
    image.pngsave(str(tmp_path / "texts.png"))
    write(read(tmp_path / "texts.png"), tmp_path / "b.png")
    image = pyvips.Image.new_from_file(str(tmp_path / "b.png"))
    assert {n: image.get(f"png-comment-{i}-{n}") for i, n in enumerate(texts)} == texts
    assert write(read(tmp_path / "texts.png"), tmp_path / "c.tif") == (
        "comments and other parts that only PNG holds are left out",
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_what_a_png_says_after_its_pixels_is_kept(tmp_path: Path, compressed: bool) -> None:
    text = zlib.compress(XMP) if compressed else XMP
    xmp = b"XML:com.adobe.xmp\0" + (b"\1" if compressed else b"\0") + b"\0\0\0" + text
    content = store(tmp_path / "a.png", picture()).read_bytes()
    late = samples.chunk(b"eXIf", exif_block(6)) + samples.chunk(b"iTXt", xmp)
    (tmp_path / "a.png").write_bytes(content[:-12] + late + content[-12:])
    photo = read(tmp_path / "a.png")
    assert photo.orientation == 6
    assert photo.fields["xmp-data"] == XMP
    assert reading.read_small(tmp_path / "a.png", 15)[0].shape == (15, 10, 3)
    write(photo, tmp_path / "b.png")
    again = read(tmp_path / "b.png")
    assert (again.exif, again.orientation) == (photo.exif, 6)
    assert again.fields["xmp-data"] == XMP
    write(photo, tmp_path / "b.jpg")
    assert viewed(tmp_path / "b.jpg").shape == (30, 20, 3)


def test_colours_of_a_png_without_a_profile(tmp_path: Path) -> None:
    """In cICP they count as in AVIF; in gAMA and cHRM they are lost in other formats."""
    content = store(tmp_path / "a.png", picture()).read_bytes()

    def with_chunk(kind: bytes, body: bytes) -> Path:
        path = tmp_path / f"{kind.decode()}.png"
        path.write_bytes(content[:33] + samples.chunk(kind, body) + content[33:])
        return path

    photo = read(with_chunk(b"cICP", bytes([12, 13, 0, 1])))
    assert photo.fields["icc-profile-data"] == ICC
    assert write(photo, tmp_path / "b.jpg") == ()
    assert "icc-profile-data" not in read(with_chunk(b"cICP", bytes([1, 13, 0, 1]))).fields
    assert "is HDR" in read_error(with_chunk(b"cICP", bytes([9, 16, 0, 1])))
    assert "BT.2020" in read_error(with_chunk(b"cICP", bytes([9, 13, 0, 1])))
    changes = "only PNG holds in numbers how its colours are meant: they change"
    for gamma, notices in ((45455, ()), (100_000, (changes,))):
        photo = read(with_chunk(b"gAMA", struct.pack(">I", gamma)))
        assert write(photo, tmp_path / f"{gamma}.jpg") == notices
        assert write(photo, tmp_path / f"{gamma}.png") == ()
    adobe = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    photo = read(with_chunk(b"cHRM", struct.pack(">8I", *adobe)))
    assert write(photo, tmp_path / "c.jpg") == (changes,)


@pytest.mark.parametrize("size", [62_000, 65_504, 65_505])
def test_long_xmp_in_jpeg(tmp_path: Path, size: int) -> None:
    xmp = XMP.ljust(size)
    notices = write(Photo(picture(), "png", fields={"xmp-data": xmp}), tmp_path / "a.jpg")
    kept = read(tmp_path / "a.jpg").fields.get("xmp-data")
    if size <= 65_504:
        assert (kept, notices) == (xmp, ())
    else:
        assert kept is None
        assert notices == ("the XMP data does not fit into a JPEG file and is left out",)


OTHERS = "what else the file holds is left out: it may be a gain map, a depth map or a video"


def index_of(*kinds: int) -> bytes:
    """The index of a JPEG file's pictures (MPF)."""
    entries = b"".join(struct.pack("<4I", kind, 100, 0, 0) for kind in kinds)
    row = struct.pack("<HHII", 0xB002, 7, len(entries), 26)
    return b"MPF\0II*\0" + struct.pack("<IH", 8, 1) + row + bytes(4) + entries


@pytest.mark.parametrize(
    ("segment", "behind", "told"),
    [
        ((0xFE, b"nothing"), b"", False),
        ((0xFE, b"padding"), bytes(100), False),
        ((0xFE, b"video"), b"\0\0\0\x18ftypmp42" + bytes(90), True),
        ((0xE2, index_of(0x030000, 0x010001)), b"\xff\xd8small\xff\xd9", False),
        ((0xE2, index_of(0x030000, 0)), b"\xff\xd8gain\xff\xd9", True),
        ((0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)), b"\xff\xd8gain\xff\xd9", True),
        ((0xE1, metadata.XMP_MARK + b'<r hdrgm:Version="1.0"/>'), b"\xff\xd8gain\xff\xd9", True),
    ],
)
def test_what_else_a_jpeg_holds_is_left_out_and_said(
    tmp_path: Path, segment: tuple[int, bytes], behind: bytes, told: bool
) -> None:
    content = store(tmp_path / "a.jpg", picture()).read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[:2] + samples.segment(*segment) + content[2:] + behind)
    assert write(read(tmp_path / "a.jpg"), tmp_path / "b.jpg") == ((OTHERS,) if told else ())
    after = (tmp_path / "b.jpg").read_bytes()
    assert not [gone for gone in (b"hdrgm", b"21496", b"MPF") if gone in after]


def test_xmp_promises_nothing_that_is_left_out() -> None:
    directory = b"<Container:Directory><rdf:Seq><rdf:li/></rdf:Seq></Container:Directory>"
    xmp = (
        b'<rdf:Description hdrgm:Version="1.0" xmp:Rating="4"\n GCamera:MicroVideoOffset = \'5\'>'
        + directory
        + b"<GCamera:MotionPhoto>1</GCamera:MotionPhoto> <hdrgm:GainMapMax>2</hdrgm:GainMapMax>"
        b"</rdf:Description>"
    )
    kept = b'<rdf:Description xmp:Rating="4"\n></rdf:Description>'
    assert metadata.xmp_without_others(xmp) == kept
    assert metadata.xmp_without_others(kept) == kept
    for hostile in (
        b"".join(b"<hdrgm:a%d>" % number for number in range(200_000)),
        b"".join(b"<x%d:Thumbnails>" % number for number in range(200_000)),
        b' hdrgm:a="' * 200_001 + b" hdrgm:a='",
        b" " * 2_000_000 + b" hdrgm:a" + b" " * 2_000_000,
    ):
        start = time.process_time()
        metadata.xmp_without_others(metadata.xmp_without_thumbnails(hostile))
        assert time.process_time() - start < 2


def test_stray_bytes_between_segments(tmp_path: Path) -> None:
    """libjpeg passes over them, and what comes behind them counts."""
    content = store(
        tmp_path / "a.jpg", picture(), fields={"xmp-data": XMP}, extras=(b"\xff\xfe\0\4ab",)
    ).read_bytes()
    end = 4 + int.from_bytes(content[4:6], "big")  # of the JFIF header
    for stray in (b"\0", b"stray" * 2000, b"\0\xff", bytes(4095)):
        (tmp_path / "b.jpg").write_bytes(content[:end] + stray + content[end:])
        photo = read(tmp_path / "b.jpg")
        assert photo.extras == (b"\xff\xfe\0\4ab",)
        assert photo.fields["xmp-data"] == XMP
        assert photo.jpeg is not None
    start = time.process_time()
    assert list(jpeg.segments(io.BytesIO(b"\xff\xd8" + b"\xff" * 4_000_000))) == []
    assert time.process_time() - start < 2


def test_a_tiff_whose_fourth_channel_is_no_alpha_is_refused(tmp_path: Path) -> None:
    def extra(kind: int) -> Path:
        more = {metadata.EXTRA_SAMPLES: (3, struct.pack("<H", kind))}
        return samples.bare_tiff(tmp_path / f"{kind}.tif", picture(channels=4), more)

    assert "that is no transparency" in read_error(extra(0))
    assert read(extra(1)).notices == (
        "its colours were multiplied by its transparency, and are not now",
    )
    assert read(extra(2)).notices == ()


def test_a_tiff_that_begins_with_a_thumbnail_is_refused(tmp_path: Path) -> None:
    further = (metadata.SUB_IFDS, (4, struct.pack("<I", 8)))
    for kind in (0, 1):
        more = dict([further, (metadata.SUBFILE_TYPE, (4, struct.pack("<I", kind)))])
        samples.bare_tiff(tmp_path / f"{kind}.tif", picture(), more)
    assert read(tmp_path / "0.tif").width == 30
    assert "a thumbnail" in read_error(tmp_path / "1.tif")


def test_a_lab_tiff_of_8_bits_is_not_called_damaged(tmp_path: Path) -> None:
    lab = {0x0106: (3, struct.pack("<H", 8))}
    message = read_error(samples.bare_tiff(tmp_path / "a.tif", picture(), lab))
    assert message == "is in the colour space lab: convert it to RGB first"


def test_damaged_thumbnails_do_not_cost_the_exif(tmp_path: Path) -> None:
    block = bytearray(exif_block(6))
    at = block.index(struct.pack(">HHI", 0x0201, 4, 1)) + 8
    block[at : at + 16] = struct.pack(">IHHII", 0, 0x0202, 4, 1, len(block))
    kept = metadata.without_thumbnail(bytes(block))
    assert MAKER_NOTE in kept
    bare = pyvips.Image.new_from_array(picture()).jpegsave_buffer(keep="none")
    for exif, orientation in ((bytes(block), 6), (b"", 1)):
        path = tmp_path / "a.jpg"
        segment = samples.segment(0xE1, b"Exif\0\0" + exif)
        path.write_bytes(bare[:2] + segment + bare[2:])
        photo = read(path)
        assert (photo.exif is None, photo.orientation) == (orientation == 1, orientation)


def test_exif_without_sense_is_told_in_tiff(tmp_path: Path) -> None:
    photo = Photo(picture(), "png", exif=b"nonsense")
    assert write(photo, tmp_path / "a.tif") == ("the EXIF data makes no sense and is left out",)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_a_profile_of_another_kind_is_left_out_and_said(tmp_path: Path, suffix: str) -> None:
    cmyk = samples.libvips_profile("cmyk")
    for icc in (cmyk, ICC[:200], b"\0"):
        photo = Photo(picture(), "jpeg", fields={"icc-profile-data": icc})
        notices = write(photo, tmp_path / f"a{suffix}", overwrite=True)
        assert notices[-1:] == ("its colour profile is not for its pixels and is left out",)
        assert "icc-profile-data" not in read(tmp_path / f"a{suffix}").fields
    body = b"wrong\0\0" + zlib.compress(cmyk)
    content = store(tmp_path / "b.png", picture()).read_bytes()
    (tmp_path / "b.png").write_bytes(content[:33] + samples.chunk(b"iCCP", body) + content[33:])
    assert read(tmp_path / "b.png").notices == (
        "its colour profile is not for its pixels and is left out",
    )


def test_what_belongs_to_the_old_pixels_is_dropped(tmp_path: Path) -> None:
    """Further pictures in a JPEG file, and pictures in XMP."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description><xmp:Rating>4</xmp:Rating>'
        b"<xmp:Thumbnails><rdf:Alt><rdf:li>STALE</rdf:li></rdf:Alt></xmp:Thumbnails>"
        b"</rdf:Description></x:xmpmeta>"
    )
    path = store(tmp_path / "a.jpg", picture(), fields={"xmp-data": xmp})
    content = path.read_bytes()
    for marker, body in [(0xE2, b"MPF\0index"), (0xEB, b"JUMB"), (0xFE, b"kept")]:
        segment = bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        content = content[:2] + segment + content[2:]
    path.write_bytes(content)
    write(read(path), tmp_path / "b.jpg")
    after = (tmp_path / "b.jpg").read_bytes()
    assert b"<xmp:Rating>4<" in after
    assert b"kept" in after
    assert not [gone for gone in (b"MPF\0", b"JUMB", b"STALE") if gone in after]
    write(images.without_metadata(read(path)), tmp_path / "c.jpg")
    assert b"kept" not in (tmp_path / "c.jpg").read_bytes()


def test_iptc_moves_between_jpeg_and_tiff(tmp_path: Path) -> None:
    iptc = b"\x1c\x02\x78\x00\x07Caption"
    resources = b"".join(
        b"8BIM"
        + struct.pack(">H", number)
        + b"\0\0"
        + struct.pack(">I", len(body))
        + body
        + bytes(len(body) % 2)
        for number, body in [(0x0404, iptc), (0x040C, b"thumbnail")]
    )
    wrapped = b"Photoshop 3.0\0" + resources
    store(tmp_path / "a.jpg", picture(), fields={"iptc-data": wrapped})
    in_jpeg = read(tmp_path / "a.jpg").fields["iptc-data"]
    assert iptc in in_jpeg
    assert b"thumbnail" not in in_jpeg
    write(read(tmp_path / "a.jpg"), tmp_path / "b.tif")
    assert read(tmp_path / "b.tif").fields["iptc-data"].rstrip(b"\0") == iptc
    write(read(tmp_path / "b.tif"), tmp_path / "c.jpg")
    again = read(tmp_path / "c.jpg").fields["iptc-data"]
    assert again.startswith(b"Photoshop 3.0\x008BIM")
    assert iptc in again
    for suffix, label in ((".png", "PNG"), (".webp", "WebP"), (".avif", "AVIF")):
        notices = write(read(tmp_path / "a.jpg"), tmp_path / f"d{suffix}")
        assert f"{label} holds no IPTC texts: they are left out" in notices
        assert not read(tmp_path / f"d{suffix}").fields.keys() & {"iptc-data"}


@pytest.mark.parametrize("kind", ["exif", "APP1", "iptc", "xmp"])
def test_raw_profiles_of_png_are_kept(tmp_path: Path, kind: str) -> None:
    """As ImageMagick writes them: libvips would drop them."""
    body = b"tEXtRaw profile type " + kind.encode() + b"\0\n" + kind.encode() + b"\n 2\n4869\n"
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    still = store(tmp_path / "a.png", picture()).read_bytes()
    (tmp_path / "a.png").write_bytes(still[:33] + chunk + still[33:])  # after the header
    write(read(tmp_path / "a.png"), tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes().count(chunk) == 1
    write(images.without_metadata(read(tmp_path / "a.png")), tmp_path / "c.png")
    assert chunk not in (tmp_path / "c.png").read_bytes()


@pytest.mark.parametrize("prefix", ["xmp", "a"])
def test_thumbnails_in_xmp(prefix: str) -> None:
    tag = f"{prefix}:Thumbnails"
    text = f"<x><{tag} a='1'><b>old</b></{tag} >\n<c/><{tag}>more</{tag}><{prefix}:Other/></x>"
    left = metadata.xmp_without_thumbnails(text.encode())
    assert left == f"<x><c/><{prefix}:Other/></x>".encode()


def test_thumbnails_in_xmp_that_never_end_take_no_time() -> None:
    xmp = b"<a:Thumbnails>" * 100_000 + b"<b:Thumbnails></b:Thumbnails>"
    start = time.process_time()
    assert metadata.xmp_without_thumbnails(xmp) == b"<a:Thumbnails>" * 100_000
    assert time.process_time() - start < 5  # in one expression it would be half an hour


# --- JPEG's settings and depths ------------------------------------------------------------------


@pytest.mark.parametrize("quality", [1, 30, 49, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("mode", ["on", "off"])
def test_jpeg_settings_are_recognised(tmp_path: Path, quality: int, mode: str) -> None:
    image = pyvips.Image.new_from_array(picture())
    image.jpegsave(str(tmp_path / "a.jpg"), Q=quality, subsample_mode=mode, interlace=mode == "on")
    facts = read(tmp_path / "a.jpg").jpeg
    assert facts == images.JpegFacts(quality, subsampled=mode == "on", progressive=mode == "on")


@pytest.mark.parametrize(
    ("before", "asked", "after"), [(97, None, 97), (60, None, 90), (97, 70, 70), (60, 95, 95)]
)
def test_jpeg_quality_is_kept_unless_rough_or_told(
    tmp_path: Path, before: int, asked: int | None, after: int
) -> None:
    image = pyvips.Image.new_from_array(picture())
    image.jpegsave(str(tmp_path / "a.jpg"), Q=before, subsample_mode="on")
    write(read(tmp_path / "a.jpg"), tmp_path / "b.jpg", quality=asked)
    facts = read(tmp_path / "b.jpg").jpeg
    assert facts is not None
    assert (facts.quality, facts.subsampled) == (after, True)


@pytest.mark.parametrize("whole", [True, False])
def test_a_large_jpeg_is_written_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    pixels = picture()
    area = pixels.shape[0] * pixels.shape[1]
    monkeypatch.setattr(writing, "LARGEST_WHOLE_JPEG_PX", area if whole else area - 1)
    image = pyvips.Image.new_from_array(pixels)
    image.jpegsave(str(tmp_path / "a.jpg"), Q=95, interlace=True)
    write(read(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    again = read(tmp_path / "b.jpg")
    assert again.jpeg is not None
    assert again.jpeg.progressive is whole
    assert again.jpeg.quality == 95


def test_jpeg_settings_are_found_behind_long_metadata(tmp_path: Path) -> None:
    image = pyvips.Image.new_from_array(picture())
    jpeg = image.jpegsave_buffer(Q=93, subsample_mode="on")
    block = exif_block() + bytes(60_000)
    for _ in range(3):
        jpeg = b"".join(metadata.into_jpeg(jpeg, block))
    (tmp_path / "a.jpg").write_bytes(jpeg)
    facts = read(tmp_path / "a.jpg").jpeg
    assert facts == images.JpegFacts(93, subsampled=True, progressive=False)


def test_depth_is_reduced_by_rounding_to_nearest() -> None:
    all_values = np.arange(65536, dtype=np.uint16)
    nearest = np.rint(all_values / 257).astype(np.uint8)
    np.testing.assert_array_equal(images.to_depth(all_values, "uint8"), nearest)
    floats = np.array([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.2], np.float32)
    assert images.to_depth(floats, "uint8").tolist() == [0, 0, 0, 1, 255, 255]
    assert images.to_depth(floats, "uint16").tolist() == [0, 0, 103, 154, 65535, 65535]


@pytest.mark.parametrize(("suffix", "dtype"), [(".jpg", "uint8"), (".png", "uint16")])
def test_a_format_that_holds_less_takes_what_it_can(
    tmp_path: Path, suffix: str, dtype: str
) -> None:
    source = store(tmp_path / "a.tif", picture(dtype="float32"))
    notices = write(read(source), tmp_path / f"b{suffix}")
    assert read(tmp_path / f"b{suffix}").pixels.dtype == dtype
    held = "JPEG holds 8" if suffix == ".jpg" else "PNG holds 16"
    assert notices == (f"{held} bits a channel",)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_transparency_becomes_white_in_jpeg(tmp_path: Path, dtype: str) -> None:
    pixels = picture(channels=4, dtype=dtype)
    pixels[..., 3] = 0
    notices = write(Photo(pixels, "png"), tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg").pixels.min() >= 254
    assert any("transparency" in notice for notice in notices)


def test_exif_too_long_for_jpeg_is_left_out_and_said(tmp_path: Path) -> None:
    photo = Photo(picture(), "png", exif=exif_block() + bytes(70_000))
    assert any("EXIF" in notice for notice in write(photo, tmp_path / "a.jpg"))
    assert read(tmp_path / "a.jpg").exif is None


def test_cmyk_is_converted_and_said(tmp_path: Path) -> None:
    rgb = pyvips.Image.new_from_array(picture()).copy(interpretation="srgb")
    cmyk = rgb.icc_transform("cmyk", input_profile="srgb")
    cmyk.jpegsave(str(tmp_path / "a.jpg"), Q=100)
    photo = read(tmp_path / "a.jpg")
    assert photo.pixels.shape == (20, 30, 3)
    assert np.abs(photo.pixels.astype(int) - picture()).mean() < 20
    assert photo.notices == ("CMYK was converted to sRGB",)
    assert photo.fields["icc-profile-data"] != cmyk.get("icc-profile-data")


def test_palette_png_is_expanded(tmp_path: Path) -> None:
    pyvips.Image.new_from_array(picture()).pngsave(str(tmp_path / "a.png"), palette=True)
    assert read(tmp_path / "a.png").pixels.shape == (20, 30, 3)


def test_only_the_first_page_is_kept_and_said(tmp_path: Path) -> None:
    pages = pyvips.Image.new_from_array(np.vstack([picture(), picture()])).copy()
    pages.set_type(pyvips.GValue.gint_type, "page-height", 20)
    pages.tiffsave(str(tmp_path / "a.tif"))
    photo = read(tmp_path / "a.tif")
    assert photo.pixels.shape == (20, 30, 3)
    assert photo.notices == ("only the first of 2 pages is kept",)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, format: str, share: float) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"a{FORMATS[format]}"
    store(path, rng.integers(0, 256, (60, 60, 3), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "damaged or cut off" in read_error(path)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_damaged_file_is_refused(tmp_path: Path, format: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"a{FORMATS[format]}"
    store(path, rng.integers(0, 256, (60, 60, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    assert "damaged" in read_error(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jpg", b"", "is empty"),
        ("a.jpg", b"hello, world", "is not a JPEG file"),
        ("a.txt", b"hello, world", "not a picture"),
        ("a.jpg", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC file is damaged"),
        ("a.avif", b"\0\0\0\x18ftypavif" + bytes(40), "AVIF file is damaged"),
        ("a.gif", b"GIF89a" + bytes(40), "GIF is not supported"),
        ("a.nef", b"MM\0*" + bytes(40), "camera raw file is damaged"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(40), "damaged or cut off"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "damaged or cut off"),
        ("a.tif", b"II*\0", "damaged or cut off"),
        ("a.tif", b"II*\0\xff\xff\xff\xff" + bytes(40), "damaged or cut off"),
        ("a.webp", b"RIFF\0\0\0\0WEBP", "damaged or cut off"),
    ],
)
def test_what_is_no_photo_is_refused_with_a_reason(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert expected in read_error(tmp_path / name)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert read_error(tmp_path) == "is a folder, not a picture"
    assert read_error(tmp_path / "none.jpg") == images.NO_SUCH_FILE
    assert read_error(tmp_path / ("x" * 300)).startswith("cannot be read: file name too long")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        assert read_error(tmp_path / "pipe.jpg") == "is not a regular file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_what_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = store(tmp_path / "a.png", picture())
    path.chmod(0)
    assert read_error(path) == (
        "cannot be read: permission denied: change its permissions, or choose another"
    )


def test_dng_under_another_name_is_developed_not_read(tmp_path: Path) -> None:
    entry = struct.pack("<HHI4B", 0xC612, 1, 4, 1, 4, 0, 0)
    content = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(60)
    (tmp_path / "a.tif").write_bytes(content)
    assert "camera raw" in read_error(tmp_path / "a.tif")


def test_black_and_white_is_refused(tmp_path: Path) -> None:
    bits = pyvips.Image.new_from_array((picture(channels=1) > 99).astype(np.uint8) * 255)
    bits.pngsave(str(tmp_path / "a.png"), bitdepth=1)
    bits.tiffsave(str(tmp_path / "a.tif"), bitdepth=1)
    assert "1 bit" in read_error(tmp_path / "a.png")
    assert "1 bit" in read_error(tmp_path / "a.tif")


def test_other_pixel_types_and_spaces_are_refused(tmp_path: Path) -> None:
    integers = pyvips.Image.new_from_array(picture().astype(np.int32) - 5)
    integers.tiffsave(str(tmp_path / "a.tif"))
    assert "only 8, 16 bits and float" in read_error(tmp_path / "a.tif")
    lab = pyvips.Image.new_from_array(picture()).copy(interpretation="srgb").colourspace("lab")
    lab.tiffsave(str(tmp_path / "b.tif"))
    assert "colour space lab" in read_error(tmp_path / "b.tif")
    doubles = pyvips.Image.new_from_array(picture().astype(np.float64))
    doubles.tiffsave(str(tmp_path / "c.tif"))
    assert "pixels of type double: only 8, 16 bits and float" in read_error(tmp_path / "c.tif")


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    path = store(tmp_path / "a.png", picture()).rename(tmp_path / "a.jpg")
    photo = read(path)
    assert photo.format == "png"
    assert photo.notices == ("this is really a PNG file",)
    write(photo, tmp_path / "b.jpg")
    assert read(tmp_path / "b.jpg").format == "jpeg"


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = store(tmp_path / "a.jpg", picture())
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    read_error(path)
    path.write_bytes(content[:200] + b"\0\0\0" + content[200:])  # stray bytes
    with suppress(PhotoError):
        write(read(path), tmp_path / "b.jpg")
    assert capfd.readouterr() == ("", "")


# --- names ---------------------------------------------------------------------------------------

NAMES = [
    "照片", "صورة", "фото", "📷", "two words", "-o", "a[1]", "a[Q=1]", "50%s", "a:b", "#1?", "'\"",
    ".hidden", "e\u0301", "x" * 240,
]  # fmt: skip
if sys.platform == "linux":
    NAMES.append(os.fsdecode(b"caf\xe9 \xff"))


@pytest.mark.skipif(os.name == "nt", reason="Windows forbids some of these names")
@pytest.mark.parametrize("name", NAMES)
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    for suffix in FORMATS.values():
        path = store(tmp_path / f"{name}{suffix}", picture())
        (tmp_path / "out").mkdir(exist_ok=True)
        write(read(path), tmp_path / "out" / path.name)
        assert read(tmp_path / "out" / path.name).width == 30


# --- writing whole or not at all -----------------------------------------------------------------


def test_an_existing_file_is_only_replaced_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(images.ExistsError):
        write(Photo(picture(), "png"), path)
    assert path.read_bytes() == b"precious"
    assert names_in(tmp_path) == ["a.png"]
    write(Photo(picture(), "png"), path, overwrite=True)
    assert read(path).width == 30


@pytest.mark.skipif(os.name == "nt", reason="links are not used on Windows")
def test_file_systems_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write(Photo(picture(), "png"), tmp_path / "a.png")
    assert read(tmp_path / "a.png").width == 30
    with pytest.raises(images.ExistsError):
        write(Photo(picture(1, 1), "png"), tmp_path / "a.png")
    assert read(tmp_path / "a.png").width == 30
    assert names_in(tmp_path) == ["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="links are not used on Windows")
def test_without_links_nothing_is_replaced_nor_left_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    path = tmp_path / "a.png"
    monkeypatch.setattr(os, "link", fails)

    def overtaken() -> None:
        with images.atomically(path) as file:
            file.write(b"ours")
            path.write_bytes(b"somebody made it meanwhile")

    with pytest.raises(FileExistsError):
        overtaken()
    assert path.read_bytes() == b"somebody made it meanwhile"
    path.unlink()
    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(PermissionError), images.atomically(path) as file:
        file.write(b"ours")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_link_to_an_empty_file_is_no_claimed_name(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "empty").touch()
    path = tmp_path / "a.png"
    path.symlink_to("empty")
    if overwrite:
        with images.atomically(path, overwrite=True) as file:
            file.write(b"ours")
    else:
        with pytest.raises(FileExistsError), images.atomically(path) as file:
            file.write(b"ours")
    assert path.is_symlink() != overwrite
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a computer that loses power may keep the name without the content."""
    named, sync = [], os.fsync

    def noted(handle: int) -> None:
        named.append((os.fstat(handle).st_size, (tmp_path / "a.png").exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    with images.atomically(tmp_path / "a.png") as file:
        file.write(b"whole")
    assert named == [(5, False)]


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("suffix", FORMATS.values())
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    overwrite: bool,
    error: BaseException,
) -> None:
    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    expected = PhotoError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write(Photo(picture(), "png"), tmp_path / f"a{suffix}", overwrite=overwrite)
    assert names_in(tmp_path) == []


def test_a_picture_too_large_for_the_format_leaves_nothing(tmp_path: Path) -> None:
    wide = np.zeros((1, 17_000, 3), np.uint8)
    with pytest.raises(PhotoError, match="WebP holds at most 16383 pixels a side"):
        write(Photo(wide, "png"), tmp_path / "a.webp")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif", ".heic"])
def test_the_largest_picture_of_a_format_can_be_written(tmp_path: Path, suffix: str) -> None:
    side = writing._LONGEST_SIDE[images.format_of(tmp_path / f"a{suffix}")]
    rows = 64  # HEIC's encoder wants some
    write(Photo(np.zeros((rows, side, 3), np.uint8), "png"), tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}").width == side
    with pytest.raises(PhotoError, match="pixels a side"):
        write(Photo(np.zeros((rows, side + 1, 3), np.uint8), "png"), tmp_path / f"b{suffix}")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "webp", "avif", "heic", "bmp", "ppm"])
def test_a_full_disk_is_the_reason_in_every_format(format: str) -> None:
    with pytest.raises(OSError) as caught, Path("/dev/full").open("r+b") as file:
        writing.encode(Photo(picture(), format), format, None, file)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "choose another folder"),
        (errno.EACCES, "change its permissions"),
        (errno.ELOOP, "name the file"),
        (errno.EIO, ""),
    ],
)
def test_reasons_say_what_to_do(number: int, advice: str) -> None:
    what, _, then = images.reason(OSError(number, os.strerror(number))).partition(": ")
    assert what == os.strerror(number).lower()
    assert then.startswith(advice)
    assert bool(then) == bool(advice)


def test_texts_that_make_no_sense_are_damage() -> None:
    """libvips puts bytes of the file into its messages, and pyvips takes them for UTF-8."""
    source = reading._Source(io.BytesIO())
    with (
        pytest.raises(PhotoError, match="the PNG file is damaged"),
        reading._damage_named("png", source),
    ):
        b"\xff".decode()


class FailingFile(io.BytesIO):
    """As on a network that fails once half of the file has been read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > len(self.getvalue()) // 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_a_file_that_cannot_be_read_on_says_so(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"a.{format}"
    write(Photo(picture(300, 400), "png"), path)
    file = FailingFile(path.read_bytes())
    source = reading._Source(file)
    with (
        pytest.raises(PhotoError, match="input/output error"),
        reading._damage_named(format, source),
    ):
        reading._load(source, format, 0).numpy()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_a_file_is_read_not_mapped(tmp_path: Path, format: str) -> None:
    """A mapped file counts as memory, and ends the process where it is cut off meanwhile."""
    path = tmp_path / f"a.{format}"
    write(Photo(picture(300, 400), "png"), path)
    with reading.opened(path) as found:
        assert found.region is not None
        found.region(slice(0, 100), slice(0, 400))
        assert path.name not in Path("/proc/self/maps").read_text()


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no such file"):
        write(Photo(picture(), "png"), tmp_path / "none" / "a.png")
    with pytest.raises(PhotoError, match=r"cannot write \.jxl files"):
        write(Photo(picture(), "png"), tmp_path / "a.jxl")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(PhotoError):
        write(Photo(picture(), "png"), tmp_path / "b.png", overwrite=True)
    assert names_in(tmp_path) == ["b.png"]


@pytest.mark.skipif(os.name == "nt", reason="no umask")
def test_the_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(Photo(picture(), "png"), tmp_path / "a.png")
    finally:
        os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o640
