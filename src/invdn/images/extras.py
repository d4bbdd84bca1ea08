"""What only its own format can hold of a photo: segments of a JPEG file, chunks of a PNG file.

Comments, the second part of long XMP, readings of a thermal camera, texts: libvips drops them, or
writes them in another encoding than they are in. So they are carried over as they are, except for
what is written anew and what belongs to the pixels as they were.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from invdn.images import jpeg

_MAX_BYTES = 1 << 24  # a thermal camera's are some hundred thousand; only hostile files have more

# --- JPEG ----------------------------------------------------------------------------------------

_COMMENT, _APP0, _APP1, _APP15 = 0xFE, 0xE0, 0xE1, 0xEF
_LEFT_OUT: dict[int, tuple[bytes, ...]] = {
    # Written anew: EXIF, XMP, the profile, Photoshop's resources, how the colours are stored.
    _APP1: (b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0"),
    0xED: (b"Photoshop 3.0\0",),
    0xEE: (b"",),
    # Of the old pixels: further pictures (previews), an index into the scan, a signature.
    0xE2: (b"ICC_PROFILE\0", b"MPF\0"),
    0xE4: (b"SCALADO",),
    0xEB: (b"",),
}


def of_jpeg(file: BinaryIO) -> tuple[bytes, ...]:
    """The segments of a JPEG file that are to be kept, each with its marker."""
    return _bounded(
        bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
        for marker, body in jpeg.segments(file)
        if (marker == _COMMENT or _APP0 < marker <= _APP15)
        and not body.startswith(_LEFT_OUT.get(marker, ()))
    )


# --- PNG -----------------------------------------------------------------------------------------

_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"tIME")
_COLOURS = (b"cICP", b"cHRM", b"gAMA", b"sRGB")
_ELSEWHERE = (b"XML:com.adobe.xmp\0",)  # libvips reads and writes it


def of_png(file: BinaryIO) -> tuple[bytes, ...]:
    """The chunks of a PNG file that are to be kept; they may lie before the first of pixels."""
    return _bounded(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in _kept_chunks(file)
        if not body.startswith(_ELSEWHERE)
    )


def frames_of_png(file: BinaryIO) -> int:
    """How many pictures a PNG file promises to show one after the other; 1 for a photo."""
    for kind, _ in _chunks(file):
        if kind == b"IDAT":  # what comes later makes no animation
            break
        if kind == b"acTL":
            return max(1, int.from_bytes(file.read(4), "big"))
    return 1


def without_texts(extras: tuple[bytes, ...], format: str) -> tuple[bytes, ...]:
    """What of them tells nothing about people and places: how a PNG file's colours are meant."""
    return tuple(extra for extra in extras if format == "png" and extra[4:8] in _COLOURS)


def _kept_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """(type, body) of the chunks of the kinds that are kept."""
    for kind, length in _chunks(file):
        if kind in _TEXTS + _COLOURS and length <= _MAX_BYTES:
            yield kind, file.read(length)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """(type, length) of all chunks; the file stands at the chunk's body, of which one may read."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        body = file.tell()
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        yield kind, length
        file.seek(body + length + 4)


def _bounded(extras: Iterator[bytes]) -> tuple[bytes, ...]:
    kept, size = [], 0
    for extra in extras:
        size += len(extra)
        if size > _MAX_BYTES:
            break
        kept.append(extra)
    return tuple(kept)
