"""Files that mean harm, or suffered it; made on the spot from valid ones."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import samples
from invdn import images, metadata
from invdn.images import Photo


def seeds(folder: Path) -> dict[str, bytes]:
    """A small valid file of each format, with metadata: suffix → content."""
    photo = Photo(
        samples.scene(60, 80),
        "png",
        exif=samples.exif_block(),
        fields={
            "icc-profile-data": samples.libvips_profile("p3"),
            "xmp-data": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
        },
    )
    suffixes = ["jpg", "png", "tif", "webp", "avif", "heic", "bmp", "ppm"]
    for suffix in suffixes:
        images.write(photo, folder / f"seed.{suffix}")
    made = {suffix: (folder / f"seed.{suffix}").read_bytes() for suffix in suffixes}
    made["dng"] = samples.dng(folder / "seed.dng").read_bytes()
    pages = samples.tiff_pages(folder / "pages.tif", [samples.scene(60, 80)] * 3)
    made["tiff"] = pages.read_bytes()
    return made


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content damaged in one of the ways that files are."""
    data = bytearray(content)
    kind = chance.randrange(6)
    at = chance.randrange(len(data))
    if kind == 0:  # cut off
        return bytes(data[:at])
    if kind == 1:  # some bits flipped
        for _ in range(chance.choice([1, 3, 30])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 2:  # bits flipped where formats say what is where
        for _ in range(chance.choice([1, 3, 10])):
            data[chance.randrange(min(400, len(data)))] ^= 1 << chance.randrange(8)
    elif kind == 3:  # a block of zeros, or of ones
        data[at : at + 512] = bytes([chance.choice([0, 255])]) * len(data[at : at + 512])
    elif kind == 4:  # extreme numbers
        for _ in range(chance.choice([1, 4])):
            at = chance.randrange(max(1, len(data) - 4))
            data[at : at + 4] = struct.pack(
                "<I", chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
            )
    else:  # a part of the file twice, or missing
        part = data[at : at + chance.randrange(1, 400)]
        data = data[:at] + (part * 2 if chance.random() < 0.5 else b"") + data[at + len(part) :]
    return bytes(data)


def corpus(folder: Path, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, content) of `count` mutated files of all formats, some under wrong names."""
    chance = random.Random(seed)
    valid = seeds(folder)
    suffixes = sorted(valid)
    for number in range(count):
        suffix = suffixes[number % len(suffixes)]
        name = chance.choice(suffixes) if chance.random() < 0.1 else suffix
        yield f"{number:04d}.{name}", mutated(valid[suffix], chance)


def crafted() -> dict[str, bytes]:
    """Files made to do harm, each with its name."""
    return {
        "empty.jpg": b"",
        "zeros.png": bytes(5000),
        "text.jpg": b"hello, world " * 99,
        "page.jpg": b"<!DOCTYPE html><html>not found</html>",
        "bomb.png": _png_bomb(200_000, 200_000),
        "wide.png": _png_bomb(2**31 - 1, 1),
        "absurd.bmp": b"BM" + struct.pack("<IHHI", 2**32 - 1, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 2**31 - 1, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0),
        "absurd.ppm": b"P6 999999999 999999999 255\n123",
        "digits.ppm": b"P3 " + b"9" * 100_000,
        "absurd.tif": _tiff(
            [(0x100, 4, 1, 300_000), (0x101, 4, 1, 300_000), *_SMALL[2:]]
        ),
        "loop.tif": _looping_tiff(),
        "deep.tif": _deep_tiff(20_000),
        "shared.tif": _sharing_tiff(),
        "nan.tif": _float_tiff(float("nan")),
        "infinite.tif": _float_tiff(float("inf")),
        "huge-values.tif": _float_tiff(1e30),
        "icc.jpg": _with_icc(b"\xff" * 3_000_000),
        "icc-lies.jpg": _with_icc(struct.pack(">I", 2**31) + bytes(124) + b"\xff" * 4000),
        "exif.jpg": _with_exif(b"II*\0" + struct.pack("<IH", 8, 65535) + b"\x69\x87" * 30_000),
        "exif-loop.jpg": _with_exif(
            b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 8)
        ),
        "movie.heic": b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(500),
        "boxes.avif": b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf" + b"\0\0\0\x08meta" * 2000,
        "nikon.nef": b"MM\0*" + b"\0\0\0\x08" + b"\xff" * 5000,
        "canon.cr3": b"\0\0\0\x18ftypcrx " + b"\0\0\0\1crx " + b"\0\0\0\x08moov" * 3000,
        "fuji.raf": b"FUJIFILMCCD-RAW " + b"\xff" * 3000,
    }  # fmt: skip


def _png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def _tiff(rows: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    body = struct.pack("<H", len(rows)) + b"".join(struct.pack("<HHII", *row) for row in rows)
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", following) + bytes(400)


_SMALL = [
    (0x100, 3, 1, 4), (0x101, 3, 1, 4), (0x102, 3, 1, 8), (0x103, 3, 1, 1), (0x106, 3, 1, 1),
    (0x111, 4, 1, 8), (0x115, 3, 1, 1), (0x116, 3, 1, 4), (0x117, 4, 1, 16),
]  # fmt: skip


def _looping_tiff() -> bytes:
    """A directory that is its own successor."""
    return _tiff(_SMALL, following=8)


def _deep_tiff(pages: int) -> bytes:
    """A chain of very many directories."""
    one = 2 + 12 * len(_SMALL) + 4
    parts = [b"II*\0" + struct.pack("<I", 8)]
    for number in range(pages):
        at = 8 + number * one
        rows = b"".join(struct.pack("<HHII", *row) for row in _SMALL)
        last = number == pages - 1
        parts.append(
            struct.pack("<H", len(_SMALL)) + rows + struct.pack("<I", 0 if last else at + one)
        )
    return b"".join(parts)


def _sharing_tiff() -> bytes:
    """EXIF pointers by the thousand into one directory whose values are all the file."""
    pointers = [(0x8769, 4, 1, 8)] * 20_000
    values = [(0xA000 + n % 4096, 7, 700_000, 8) for n in range(40_000)]
    return _tiff(_SMALL + pointers + values)


def _float_tiff(value: float) -> bytes:
    import pyvips

    pixels = np.full((16, 16, 3), 0.5, np.float32)
    pixels[3, 4] = value
    return bytes(pyvips.Image.new_from_array(pixels).tiffsave_buffer())


def _jpeg() -> bytes:
    import pyvips

    image = pyvips.Image.new_from_array(samples.scene(60, 80))
    return bytes(image.jpegsave_buffer(keep="none"))


def _with_icc(profile: bytes) -> bytes:
    """A JPEG with a profile in as many segments as it takes."""
    jpeg, parts = _jpeg(), [profile[i : i + 65_000] for i in range(0, len(profile), 65_000)]
    segments = b""
    for number, part in enumerate(parts, start=1):
        body = b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part
        segments += b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
    return jpeg[:2] + segments + jpeg[2:]


def _with_exif(block: bytes) -> bytes:
    return b"".join(metadata.into_jpeg(_jpeg(), block[:65_000]))
