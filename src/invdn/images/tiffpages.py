"""Many TIFF pages in one file.

libvips writes files whose pages all have one size and one type. Here each page is a finished
one-page file, with all that belongs to it, and the files are chained: a page's bytes are copied
to the end, its offsets are moved by as much, and the directory before it is made to point to it.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from invdn import metadata
from invdn.images.photo import PhotoError

_STRIP_OFFSETS, _TILE_OFFSETS = 0x0111, 0x0144
_DIRECTORIES = (0x8769, 0x8825, 0xA005)  # EXIF, GPS, interoperability


class PageWriter:
    """Appends one-page, little-endian, classic TIFF files to an empty file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._link = 0  # where the offset of the next directory is noted

    def add(self, page: BinaryIO) -> None:
        """Append a page; raises PhotoError where the file would grow past 4 GB."""
        size = page.seek(0, 2)
        base = self._file.seek(0, 2)
        if base % 2:  # directories lie at even offsets
            base += self._file.write(b"\0")
        page.seek(0)
        if base + size >= 2**32 or page.read(4) != b"II*\0":
            raise PhotoError("its pages are more than a TIFF file of 4 GB can hold")
        page.seek(0)
        for _ in range(0, size, 1 << 24):
            self._file.write(page.read(1 << 24))
        first = self._number(base + 4)
        if base:
            self._put(self._link, base + first)
            self._link = self._move(base + first, base)
        else:
            self._link = first + 2 + 12 * self._count(first)

    def _move(self, at: int, base: int) -> int:
        """Add `base` to the offsets in the directory at `at`; where its successor is noted."""
        count = self._count(at)
        for row in range(at + 2, at + 2 + 12 * count, 12):
            self._file.seek(row)
            tag, kind, values, offset = struct.unpack("<HHII", self._file.read(12))
            inline = metadata.SIZES.get(kind, 1) * values <= 4
            if not inline:
                self._put(row + 8, offset + base)
            if tag in (_STRIP_OFFSETS, _TILE_OFFSETS):
                self._move_strips(row, kind, values, row + 8 if inline else offset + base, base)
            elif tag in _DIRECTORIES:
                self._put(row + 8, offset + base)
                self._move(offset + base, base)
        return at + 2 + 12 * count

    def _move_strips(self, row: int, kind: int, count: int, at: int, base: int) -> None:
        """Move the offsets of the pixels; those of 16 bits become 32 bits wide, at the end."""
        self._file.seek(at)
        letter, size = ("H", 2) if kind == 3 else ("I", 4)
        offsets = struct.unpack(f"<{count}{letter}", self._file.read(size * count))
        if kind == 3:
            at = row + 8 if count == 1 else self._file.seek(0, 2)
            self._file.seek(row + 2)
            self._file.write(struct.pack("<H", 4))
            if count > 1:
                self._put(row + 8, at)
        self._file.seek(at)
        self._file.write(struct.pack(f"<{count}I", *(offset + base for offset in offsets)))

    def _count(self, at: int) -> int:
        self._file.seek(at)
        return int(struct.unpack("<H", self._file.read(2))[0])

    def _number(self, at: int) -> int:
        self._file.seek(at)
        return int(struct.unpack("<I", self._file.read(4))[0])

    def _put(self, at: int, value: int) -> None:
        self._file.seek(at)
        self._file.write(struct.pack("<I", value))
