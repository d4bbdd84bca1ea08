"""Metadata before and after, as ExifTool sees them: nothing is lost but what must change."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
import pyvips

import samples
from invdn import images, metadata
from invdn.images import Photo, read, write, writing
from invdn.restore import restore_file
from one_region import InOneRegion

pytestmark = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool (libimage-exiftool-perl) is not installed"
)

# What describes the file and not the photo, or must change with the pixels.
MAY_CHANGE = re.compile(
    r"(SourceFile|ExifTool:.*|System:.*|File:(?!Comment).*|Composite:.*|IFD1:.*|.*:Thumbnail.*|JFIF:.*"
    # how the pixels are stored
    r"|(IFD0|ExifIFD):(StripOffsets|StripByteCounts|RowsPerStrip|Compression|Predictor|FillOrder"
    r"|PlanarConfiguration|SamplesPerPixel|BitsPerSample|PhotometricInterpretation|ImageWidth"
    r"|ImageHeight|TileWidth|TileLength|TileOffsets|TileByteCounts|SubfileType|SampleFormat"
    r"|ExtraSamples|PageNumber)"
    r"|PNG:(Filter|Interlace|Compression|BitDepth|ColorType|SRGBRendering|Gamma)|PNG-pHYs:.*"
    r"|RIFF:.*|Meta:.*|QuickTime:.*|ItemList.*|Photoshop:(PhotoshopThumbnail|IPTCDigest)"
    r"|.*:XMPToolkit)"
)


@InOneRegion
def fade(pixels: Any, **_: Any) -> Any:
    """A denoiser that changes every pixel."""
    darkest = 0.1 if pixels.dtype.kind == "f" else 20
    return (pixels / 2 + darkest).astype(pixels.dtype)


def exiftool(*arguments: object) -> str:
    result = subprocess.run(
        ["exiftool", *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return result.stdout


def tags(path: Path) -> dict[str, str]:
    """Every tag, unknown ones too, with its group, except those that may change."""
    (found,) = json.loads(exiftool("-j", "-a", "-u", "-G1", "-b", path))
    return {tag: value for tag, value in found.items() if not MAY_CHANGE.fullmatch(tag)}


def canon_note(base: int) -> bytes:
    """A Canon maker note, whose offsets count from the start of the EXIF block."""
    model, owner = b"Canon EOS 5D\0".ljust(32, b"\0"), b"Ana\0".ljust(32, b"\0")
    settings = struct.pack("<24h", 48, *range(1, 24))
    rows, values = [], b""
    start = base + 2 + 12 * 4 + 4
    for tag, kind, count, data in [
        (0x0001, 3, 24, settings),
        (0x0006, 2, 32, model),
        (0x0009, 2, 32, owner),
        (0x000C, 4, 1, struct.pack("<I", 123456)),
    ]:
        if len(data) > 4:
            rows.append(struct.pack("<HHII", tag, kind, count, start + len(values)))
            values += data
        else:
            rows.append(struct.pack("<HHI", tag, kind, count) + data)
    return struct.pack("<H", 4) + b"".join(rows) + bytes(4) + values


def canon_block() -> bytes:
    """EXIF of a Canon with that maker note where it believes to be."""
    at = samples.exif_block(6, canon_note(0)).index(canon_note(0))
    return samples.exif_block(6, canon_note(at))


@pytest.fixture
def photo_file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file with EXIF, GPS, a maker note, IPTC, XMP, a profile, a thumbnail, a resolution."""
    suffix = request.param
    fields = {"icc-profile-data": samples.libvips_profile("p3")}
    photo = Photo(
        samples.scene(64, 96), "png", exif=canon_block(), fields=fields, pixels_per_mm=(12.0, 12.0)
    )
    path = tmp_path / f"a.{suffix}"
    # Not turned: the tag is to stay.
    write(Photo(**{**vars(photo), "format": images.format_of(path), "orientation": 6}), path)
    options = ["-overwrite_original", "-m"]
    options += ["-XMP-dc:Title=The Sea", "-XMP-xmp:Rating=4"]
    options += ["-XMP-dc:Subject=a", "-XMP-dc:Subject=b"]
    options += ["-EXIF:LensSerialNumber=X77", "-GPSAltitude=12.5", "-EXIF:UserComment=good"]
    options += ["-EXIF:ImageDescription=A Ćirilica title", "-EXIF:Software=Cam 1.0"]
    if suffix in ("jpg", "tif"):
        options += ["-IPTC:Keywords=sea", "-IPTC:Keywords=sky", "-IPTC:City=Åbo"]
        options += ["-IPTC:CodedCharacterSet=UTF8"]
    if suffix == "jpg":
        thumbnail = tmp_path / "thumbnail.jpg"
        pyvips.Image.black(16, 16).jpegsave(str(thumbnail))
        options += [f"-ThumbnailImage<={thumbnail}", "-Comment=a comment"]
    if suffix == "png":
        options += ["-PNG:Author=Ana Ćirić", "-PNG:Copyright=CC0"]
    exiftool(*options, path)
    if suffix == "jpg":
        _insert(path, 2, _long_xmp() + _segment(0xEC, b"Ducky" + bytes(5)))
    if suffix == "png":
        _insert(path, 33, _chunk(b"tEXt", b"Title\0M\xfcller") + _chunk(b"gAMA", bytes(4)))
    return path


def _insert(path: Path, at: int, data: bytes) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:at] + data + content[at:])


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _long_xmp() -> bytes:
    """The second part of XMP that is too long for one segment."""
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    mark = b"http://ns.adobe.com/xmp/extension/\0" + b"0123456789ABCDEF" * 2
    return _segment(0xE1, mark + struct.pack(">II", len(packet), 0) + packet)


@pytest.mark.parametrize("photo_file", ["jpg", "tif", "png", "webp"], indirect=True)
def test_nothing_is_lost(photo_file: Path) -> None:
    output = photo_file.with_name("out" + photo_file.suffix)
    before = tags(photo_file)
    assert len(before) > 40
    restore_file(photo_file, output, fade)
    after = tags(output)
    lost = {tag: value for tag, value in before.items() if after.get(tag) != value}
    assert lost == {}
    assert not set(after) - set(before)
    assert "IFD1:ThumbnailImage" not in exiftool("-j", "-G1", "-b", output)
    if output.suffix == ".jpg":
        assert after["File:Comment"] == "a comment"
        assert _long_xmp() in output.read_bytes()
    if output.suffix == ".png":
        assert (after["PNG:Author"], after["PNG:Title"]) == ("Ana Ćirić", "Müller")


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_the_names_that_a_camera_goes_by_are_kept_in_tiff(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    images.write(Photo(samples.scene(), images.format_of(path), exif=samples.exif_block()), path)
    names = {
        "CameraSerialNumber": "X123",
        "UniqueCameraModel": "Cam One",
        "CameraLabel": "left",
        "OriginalRawFileName": "a.nef",
        "ImageHistory": "scanned",
    }
    options = [f"-IFD0:{name}={value}" for name, value in names.items()]
    exiftool("-m", "-overwrite_original", *options, "-IFD0:TimeZoneOffset=2", path)
    restore_file(path, tmp_path / "b.tif", fade)
    after = tags(tmp_path / "b.tif")
    assert {name: after.get(f"IFD0:{name}") for name in names} == names
    assert after["IFD0:TimeZoneOffset"] == 2


@pytest.mark.parametrize("photo_file", ["tif"], indirect=True)
def test_nothing_is_lost_in_bigtiff(photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the one kind of TIFF to the other, and back."""
    before = tags(photo_file)
    monkeypatch.setattr(writing, "_CLASSIC_TIFF_BYTES", 0)
    restore_file(photo_file, photo_file.with_name("big.tif"), fade)
    assert photo_file.with_name("big.tif").read_bytes()[:4] == b"II+\0"
    monkeypatch.undo()
    restore_file(photo_file.with_name("big.tif"), photo_file.with_name("again.tif"), fade)
    after = tags(photo_file.with_name("again.tif"))
    assert {tag: value for tag, value in before.items() if after.get(tag) != value} == {}
    assert read(photo_file.with_name("big.tif")).orientation == 6
    # ExifTool reads BigTIFF, but has other names for its directories.
    big = tags(photo_file.with_name("big.tif"))
    exif = {tag for tag in before if re.match("(IFD0|ExifIFD|XMP-.*|IPTC):", tag)}
    assert len(exif) > 15
    assert {t for t in exif if big.get(t.replace("ExifIFD", "ExifOffset")) != before[t]} == set()


@pytest.mark.parametrize("suffix", ["avif", "heic"])
def test_modern_formats_hold_the_exif_that_they_are_given(tmp_path: Path, suffix: str) -> None:
    block = metadata.upright(canon_block(), swap_sides=False)
    write(Photo(samples.scene(64, 96), "png"), tmp_path / "plain.jpg")
    photo = read(tmp_path / "plain.jpg")
    for name in ("a.jpg", f"a.{suffix}"):
        write(Photo(**{**vars(photo), "exif": block}), tmp_path / name)
    before, after = tags(tmp_path / "a.jpg"), tags(tmp_path / f"a.{suffix}")
    assert len(before) > 15
    assert {tag: value for tag, value in before.items() if after.get(tag) != value} == {}


def test_raw_keeps_its_exif(tmp_path: Path) -> None:
    samples.dng(tmp_path / "a.dng")
    options = [
        "-overwrite_original",
        "-m",
        "-GPSLatitude=48",
        "-GPSLatitudeRef=N",
        "-IFD0:Artist=Ana",
    ]
    exiftool(*options, "-XMP-xmp:Rating=4", "-IPTC:Keywords=sea", tmp_path / "a.dng")
    restore_file(tmp_path / "a.dng", tmp_path / "a.tif", fade)
    before, after = tags(tmp_path / "a.dng"), tags(tmp_path / "a.tif")
    kept = [t for t in before if re.match(r"(ExifIFD|GPS|XMP|IPTC|IFD0:(Make|Model|Artist)$)", t)]
    assert len(kept) >= 10
    assert {tag: before[tag] for tag in kept if after.get(tag) != before[tag]} == {}
