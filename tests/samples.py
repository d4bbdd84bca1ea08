"""Files as cameras and programs write them, made on the spot for tests."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

Pixels = Any


def scene(height: int = 20, width: int = 30, channels: int = 3, dtype: str = "uint8") -> Pixels:
    """A smooth picture without any symmetry, so that JPEG keeps it and every turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x / width * 0.9, y / height * 0.7, (x * y) / (height * width), 0.3 + 0.5 * x / width]
    values = np.stack(planes[:channels], axis=-1)
    if channels == 1:
        values = values[..., 0]
    if dtype == "float32":
        return values.astype(np.float32)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def libvips_profile(name: str) -> bytes:
    """One of the profiles that come with libvips: "srgb", "p3" or "cmyk"."""
    pixel = pyvips.Image.black(4, 4, bands=3).copy(interpretation="srgb")
    return bytes(pixel.icc_transform(name, input_profile="srgb").get("icc-profile-data"))


def grey_profile(gamma: float) -> bytes:
    """An ICC profile of one curve, in a table, for grey pictures."""
    curve = b"curv\0\0\0\0" + struct.pack(">I", 256)
    curve += b"".join(struct.pack(">H", round((i / 255) ** gamma * 65535)) for i in range(256))
    header = bytearray(128)
    header[12:24] = b"mntrGRAYXYZ "
    tags = struct.pack(">I4sII", 1, b"kTRC", 144, len(curve))
    return bytes(header) + tags + curve


def matrix_profile(primaries: list[list[float]], gamma: float) -> bytes:
    """An ICC profile (version 2) of a matrix, whose rows are the colorants' XYZ, and a gamma."""

    def xyz(values: list[float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = [(b"desc", text), (b"cprt", b"text\0\0\0\0CC0\0"), (b"wtpt", xyz([0.9642, 1, 0.8249]))]
    tags += [(n, xyz(p)) for n, p in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags:
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = bytearray(128)
    header[8:12] = b"\x02\x40\0\0"
    header[12:24] = b"mntrRGB XYZ "
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    struct.pack_into(">I", header, 0, start + len(body))
    return bytes(header) + table + body


ADOBE_RGB = matrix_profile(
    [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]], 2.2
)
PROPHOTO = matrix_profile(
    [[0.79767, 0.28804, 0.0], [0.13519, 0.71188, 0.0], [0.03134, 0.00009, 0.82491]], 1.8
)


def dng(path: Path, height: int = 64, width: int = 96, orientation: int = 1) -> Path:
    """A small digital negative: an RGGB mosaic of 16 bits, with EXIF and a maker note."""
    mosaic = np.full((height, width), 12_000, np.uint16)
    mosaic[::2, 1::2] = mosaic[1::2, ::2] = 20_000
    mosaic[1::2, 1::2] = 9_000
    note = b"Cam\0" + bytes(range(64))

    def rationals(values: list[float]) -> bytes:
        return b"".join(struct.pack("<iI", round(v * 10_000), 10_000) for v in values)

    identity = rationals([1.0, 0.2, 0.1, 0.1, 1.0, 0.1, 0.05, 0.2, 0.9])
    exif = _directory(
        {0x8827: (3, struct.pack("<H", 3200)), 0x927C: (7, note), 0x829A: (5, rationals([0.01]))}
    )
    fields: dict[int, tuple[int, bytes] | Any] = {
        0x00FE: (4, struct.pack("<I", 0)),
        0x0100: (4, struct.pack("<I", width)),
        0x0101: (4, struct.pack("<I", height)),
        0x0102: (3, struct.pack("<H", 16)),
        0x0103: (3, struct.pack("<H", 1)),
        0x0106: (3, struct.pack("<H", 32803)),
        0x010F: (2, b"Cam\0"),
        0x0110: (2, b"Cam One\0"),
        0x0111: (4, b"PPPP"),
        0x0112: (3, struct.pack("<H", orientation)),
        0x0115: (3, struct.pack("<H", 1)),
        0x0116: (4, struct.pack("<I", height)),
        0x0117: (4, struct.pack("<I", mosaic.nbytes)),
        0x828D: (3, struct.pack("<2H", 2, 2)),
        0x828E: (1, bytes([0, 1, 1, 2])),
        0x8769: exif,
        0xC612: (1, bytes([1, 4, 0, 0])),
        0xC614: (2, b"Cam One\0"),
        0xC61A: (3, struct.pack("<H", 512)),
        0xC61D: (4, struct.pack("<I", 65535)),
        0xC621: (10, identity),
        0xC628: (5, rationals([0.6, 1.0, 0.5])),
        0xC65A: (3, struct.pack("<H", 21)),
    }
    head = b"II*\0" + struct.pack("<I", 8)
    body = _directory(fields)(8)
    content = head + body.replace(b"PPPP", struct.pack("<I", 8 + len(body)))
    path.write_bytes(content + mosaic.tobytes())
    return path


def _directory(fields: dict[int, Any]) -> Any:
    """A TIFF directory as a function of where it will lie; a field may be another one."""
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8}

    def at(start: int) -> bytes:
        rows, values = b"", b""
        first = start + 2 + 12 * len(fields) + 4
        for tag, value in sorted(fields.items()):
            if callable(value):
                rows += struct.pack("<HHII", tag, 4, 1, first + len(values))
                values += value(first + len(values))
            else:
                kind, data = value
                rows += struct.pack("<HHI", tag, kind, len(data) // sizes[kind])
                if len(data) <= 4:
                    rows += data.ljust(4, b"\0")
                else:
                    rows += struct.pack("<I", first + len(values))
                    values += data
            values += bytes(len(values) % 2)
        return struct.pack("<H", len(fields)) + rows + bytes(4) + values

    return at


def bare_tiff(path: Path, pixels: Pixels, more: dict[int, tuple[int, bytes]]) -> Path:
    """An uncompressed TIFF file of 8 bits with further fields, or others than usual."""
    height, width = pixels.shape[:2]
    bands = pixels.size // (height * width)
    fields: dict[int, tuple[int, bytes]] = {
        0x0100: (4, struct.pack("<I", width)),
        0x0101: (4, struct.pack("<I", height)),
        0x0102: (3, struct.pack(f"<{bands}H", *[8] * bands)),
        0x0103: (3, struct.pack("<H", 1)),
        0x0106: (3, struct.pack("<H", 2 if bands >= 3 else 1)),
        0x0111: (4, struct.pack("<I", 8)),
        0x0115: (3, struct.pack("<H", bands)),
        0x0116: (4, struct.pack("<I", height)),
        0x0117: (4, struct.pack("<I", pixels.size)),
        **more,
    }
    start = 8 + pixels.size + pixels.size % 2
    content = b"II*\0" + struct.pack("<I", start) + pixels.tobytes() + bytes(pixels.size % 2)
    path.write_bytes(content + _directory(fields)(start))
    return path


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG file."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def tiff_pages(path: Path, pages: list[Pixels]) -> Path:
    """A TIFF file of pages of one size."""
    joined = pyvips.Image.new_from_array(np.concatenate(pages)).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", pages[0].shape[0])
    joined.tiffsave(str(path), compression="deflate")
    return path


def exif_block(orientation: int = 1, note: bytes = b"Nikon\0\x02\x10" + bytes(300)) -> bytes:
    """A camera's EXIF, with GPS and a maker note."""
    gps = _directory({0x0001: (2, b"N\0"), 0x0002: (5, struct.pack("<6I", 48, 1, 8, 1, 30, 1))})
    inner = _directory(
        {
            0x829A: (5, struct.pack("<2I", 1, 250)),
            0x8827: (3, struct.pack("<H", 6400)),
            0x9003: (2, b"2024:02:29 12:34:56\0"),
            0x927C: (7, note),
            0xA002: (4, struct.pack("<I", 30)),
            0xA003: (4, struct.pack("<I", 20)),
            0xA434: (2, b"50mm f/1.4\0"),
        }
    )
    main = _directory(
        {
            0x010F: (2, b"Canon\0"),
            0x0110: (2, b"Cam One\0"),
            0x0112: (3, struct.pack("<H", orientation)),
            0x0132: (2, b"2024:03:01 08:00:00\0"),
            0x013B: (2, "Ana Ćirić\0".encode()),
            0x8298: (2, b"All rights reserved\0"),
            0x8769: inner,
            0x8825: gps,
        }
    )
    return b"II*\0" + struct.pack("<I", 8) + bytes(main(8))
