"""How a JPEG file was made: quality, chroma subsampling, coding; from its markers alone."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from invdn import metadata
from invdn.images.photo import JpegFacts

# The luminance quantisation table of the JPEG standard (annex K.1), row by row, and the zigzag
# order in which files store tables.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda rc: (sum(rc), rc[0] if sum(rc) % 2 else rc[1]),
)
_SCAN, _END = 0xDA, 0xD9  # from the scan on it is entropy-coded
_BARE = (0x01, *range(0xD0, 0xD9))  # markers of no segment
_MARKER = re.compile(rb"\xff([^\xff\0])")
GAIN_MAP_MARK = b"urn:iso:std:iso:ts:21496"  # of a segment that says how to use a gain map
_THUMBNAILS = (0x010001, 0x010002)  # kinds of pictures in an index of them


def jpeg_facts(file: BinaryIO) -> JpegFacts | None:
    """Quality, subsampling and coding, from the markers before the first scan."""
    quality, subsampled, progressive = None, False, False
    for marker, body in segments(file):
        if marker == 0xDB and quality is None:  # DQT
            quality = _quality(body)
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(body) > 6:  # SOF
            progressive = marker in (0xC2, 0xCA)
            samplings = list(body[7::3])  # of each component: identifier, sampling, table
            subsampled = len(samplings) == 3 and samplings == [0x22, 0x11, 0x11]
    return JpegFacts(quality, subsampled, progressive) if quality else None


def segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of each segment before the first scan."""
    file.seek(2)
    while (marker := _next_marker(file)) not in (None, _SCAN, _END):
        if marker in _BARE:
            continue
        size = int.from_bytes(file.read(2), "big")
        yield marker, file.read(max(0, size - 2))


def _next_marker(file: BinaryIO) -> int | None:
    """The code of the next marker, over stray bytes before it as decoders are; none at the end."""
    at = file.tell()
    while len(piece := file.read(4096)) > 1:
        found = _MARKER.search(piece)
        if found:
            file.seek(at + found.end())
            return found[1][0]
        at += len(piece) - 1  # the last byte may be a marker's first
        file.seek(at)
    return None


def _quality(tables: bytes) -> int | None:
    """The libjpeg quality whose luminance table is nearest to the file's (DQT) first table."""
    wide = bool(tables) and tables[0] >> 4 == 1
    if len(tables) < (129 if wide else 65) or tables[0] & 0x0F:
        return None
    raw = np.frombuffer(tables, ">u2" if wide else "u1", 64, offset=1).astype(int)
    standard = np.array([_LUMINANCE[place] for place in _ZIGZAG])
    qualities = np.arange(1, 101)
    scale = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    candidates = ((standard * scale[:, None] + 50) // 100).clip(1, 255)  # 100×64
    return int(qualities[np.abs(candidates - raw).sum(axis=1).argmin()])


def xmp_of(file: BinaryIO) -> bytes | None:
    """The XMP of a JPEG file; of XMP too long for one segment the first part."""
    mark = metadata.XMP_MARK
    bodies = (body for marker, body in segments(file) if marker == 0xE1 and body.startswith(mark))
    return next((body[len(mark) :] for body in bodies), None)


def density_of(file: BinaryIO) -> tuple[float, float] | None:
    """Pixels a millimetre, horizontally and vertically, if a JPEG file's JFIF header says it."""
    for marker, body in segments(file):
        if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            unit, *sides = struct.unpack_from(">BHH", body, 7)
            if unit in (1, 2) and all(sides):
                in_a_mm = 25.4 if unit == 1 else 10.0
                return sides[0] / in_a_mm, sides[1] / in_a_mm
    return None


def holds_others(file: BinaryIO) -> bool:
    """Whether a JPEG file holds more than its picture: a gain map, a video, ...

    Smaller versions of the picture, as cameras add them, do not count.
    """
    file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 16)))
    last = file.read().rstrip(b"\0\t\n\r ")
    if last and not last.endswith(b"\xff\xd9"):
        return True
    for marker, body in segments(file):
        if marker == 0xE2 and body.startswith(b"MPF\0"):
            _, *others = metadata.mpf_kinds(body[4:]) or (0, 0)
            return any(kind not in _THUMBNAILS for kind in others)
        if marker == 0xE2 and body.startswith(GAIN_MAP_MARK):
            return True
    return False


def exif_of(start_of_file: bytes) -> bytes | None:
    """The EXIF block of a JPEG, from as many of its first bytes as hold it."""
    mark = b"Exif\0\0"
    for marker, body in segments(io.BytesIO(start_of_file)):
        if marker == 0xE1 and body.startswith(mark):
            return metadata.without_thumbnail(body[len(mark) :])
    return None
