"""What only its own format can hold of a photo: segments of a JPEG file, chunks of a PNG file.

Comments, the second part of long XMP, readings of a thermal camera, texts: libvips drops them, or
writes them in another encoding than they are in. So they are carried over as they are, except for
what is written anew and what belongs to the pixels as they were.
"""

from __future__ import annotations

import struct
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
    0xE2: (b"ICC_PROFILE\0", b"MPF\0", jpeg.GAIN_MAP_MARK),
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
_XMP = b"XML:com.adobe.xmp\0"  # libvips writes it
_FACTS = (b"eXIf", b"iTXt", b"iCCP", b"cICP", b"pHYs")
_SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # as cHRM has them
_SRGB_GAMMA, _ALMOST = 45455, 1000  # as gAMA has it; what no eye sees


def of_png(file: BinaryIO) -> tuple[bytes, ...]:
    """The chunks of a PNG file that are to be kept; they may lie before the first of pixels."""
    return _bounded(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in _kept_chunks(file)
        if not body.startswith(_XMP)
    )


def facts_of_png(file: BinaryIO) -> dict[bytes, bytes]:
    """What a PNG file's chunks say that libvips overlooks or changes, wherever they lie.

    Chunks by their type; under iTXt the XMP itself.
    """
    facts: dict[bytes, bytes] = {}
    for kind, length in _chunks(file):
        if kind in _FACTS and kind not in facts and length <= _MAX_BYTES:
            body = file.read(length)
            if kind != b"iTXt":
                facts[kind] = body
            elif body.startswith(_XMP):
                facts[kind] = _text_in(body[len(_XMP) :])
    return facts


def _text_in(body: bytes) -> bytes:
    """The text of an iTXt chunk, behind its keyword; empty if it makes no sense."""
    compressed, _, rest = body[:1], body[1:2], body[2:]
    text = rest.split(b"\0", 2)[-1]  # after a language, and the keyword in that
    if compressed == b"\0":
        return text
    try:
        return zlib.decompressobj().decompress(text, _MAX_BYTES)
    except zlib.error:
        return b""


def density_of_png(chunk: bytes) -> tuple[float, float] | None:
    """Pixels a millimetre, horizontally and vertically, if a pHYs chunk says it."""
    x, y = int.from_bytes(chunk[:4], "big"), int.from_bytes(chunk[4:8], "big")
    return (x / 1000, y / 1000) if x and y and chunk[8:9] == b"\1" else None


def odd_colours(extras: tuple[bytes, ...]) -> bool:
    """Whether a PNG file's chunks say of its colours, in numbers, that they are not sRGB's."""
    bodies = {extra[4:8]: extra[8:-4] for extra in extras}
    if b"sRGB" in bodies or b"cICP" in bodies:  # which count for more
        return False
    gamma = int.from_bytes(bodies.get(b"gAMA", b""), "big") or _SRGB_GAMMA
    chrm = bodies.get(b"cHRM", b"")
    primaries = struct.unpack(">8I", chrm) if len(chrm) == 32 else _SRGB_PRIMARIES
    found, wanted = (gamma, *primaries), (_SRGB_GAMMA, *_SRGB_PRIMARIES)
    return any(abs(f - w) > _ALMOST for f, w in zip(found, wanted, strict=True))


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
