"""How a JPEG file was made: quality, chroma subsampling, coding; from its markers alone."""

from __future__ import annotations

import io
import os
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
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        if head[1] == 0xFF:  # a fill byte
            file.seek(-3, os.SEEK_CUR)
            continue
        if head[1] == 0xDA:  # the scan: from here on it is entropy-coded
            return
        yield head[1], file.read(max(0, int.from_bytes(head[2:], "big") - 2))


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
    mark = b"http://ns.adobe.com/xap/1.0/\0"
    bodies = (body for marker, body in segments(file) if marker == 0xE1 and body.startswith(mark))
    return next((body[len(mark) :] for body in bodies), None)


def exif_of(start_of_file: bytes) -> bytes | None:
    """The EXIF block of a JPEG, from as many of its first bytes as hold it."""
    mark = b"Exif\0\0"
    for marker, body in segments(io.BytesIO(start_of_file)):
        if marker == 0xE1 and body.startswith(mark):
            return metadata.without_thumbnail(body[len(mark) :])
    return None
