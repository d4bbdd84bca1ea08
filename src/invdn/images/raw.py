"""Camera raw: developed by LibRaw (through rawpy) to 16-bit sRGB, with the camera's EXIF."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from invdn import metadata
from invdn.images import colour, jpeg
from invdn.images.photo import Photo, PhotoError, check_size, missing_extra

SRGB_GAMMA = (2.4, 12.92)
"""The power and the slope near black of sRGB's curve, as LibRaw wants them."""


def read_raw(file: BinaryIO, max_pixels: int) -> Photo:
    """Develop a raw file: the camera's white balance, upright, uint16 RGB in sRGB."""
    rawpy = _rawpy()
    file.seek(0)
    try:
        # From an open file, which is read as a whole: LibRaw cannot open every file name.
        with rawpy.imread(file) as raw:
            check_size(raw.sizes.raw_width, raw.sizes.raw_height, max_pixels)
            pixels = raw.postprocess(
                use_camera_wb=True, output_bps=16, gamma=SRGB_GAMMA, no_auto_bright=False
            )
    except rawpy.LibRawError as error:
        detail = error.args[0] if error.args else error
        detail = detail.decode("ascii", "replace") if isinstance(detail, bytes) else str(detail)
        if isinstance(error, rawpy.LibRawFileUnsupportedError):
            raise PhotoError(f"this kind of camera raw is not supported ({detail})") from error
        raise PhotoError(f"the camera raw file is damaged or cut off ({detail})") from error
    # LibRaw is done with the file; it is looked at again for what it says.
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        block = exif_of(data)
        fields = _fields_of(data)
    return Photo(
        np.ascontiguousarray(pixels),
        "raw",
        exif=metadata.upright(block, swap_sides=False) if block else None,
        fields={**fields, "icc-profile-data": colour.builtin_profile("srgb")},
        notices=("camera raw was developed to sRGB, 16 bits",),
    )


def exif_of(data: mmap.mmap | bytes) -> bytes | None:
    """The EXIF of a raw file: of the many that are TIFF, of Canon's CR3 and of Fujifilm's RAF."""
    if data[:8] == b"FUJIFILM":
        return _exif_in_jpeg(data)
    if data[4:8] == b"ftyp":
        return _exif_in_cr3(data)
    return metadata.from_tiff(data)


def _fields_of(data: mmap.mmap) -> dict[str, bytes]:
    """What programs wrote into a raw file that is TIFF, DNG above all: XMP and IPTC."""
    xmp, iptc = metadata.xmp_from_tiff(data), metadata.iptc_from_tiff(data)
    fields = {}
    if xmp:
        fields["xmp-data"] = metadata.xmp_upright(metadata.xmp_without_thumbnails(xmp))
    if iptc:
        fields["iptc-data"] = iptc
    return fields


def _exif_in_jpeg(data: mmap.mmap | bytes) -> bytes | None:
    """RAF holds a JPEG, whose offset and length stand at byte 84 and 88, big-endian."""
    start = int.from_bytes(data[84:88], "big")
    length = int.from_bytes(data[88:92], "big")
    return jpeg.exif_of(bytes(data[start : start + min(length, 1 << 20)]))


def _exif_in_cr3(data: mmap.mmap | bytes) -> bytes | None:
    """CR3 holds four TIFF structures in boxes: the main fields, EXIF, the maker note, GPS."""
    parts = {kind: bytes(data[a:b]) for kind, a, b in _boxes(data, 0, len(data), depth=0)}
    return metadata.joined(
        parts.get(b"CMT1"), parts.get(b"CMT2"), parts.get(b"CMT3"), parts.get(b"CMT4")
    )


def _boxes(
    data: mmap.mmap | bytes, at: int, end: int, depth: int
) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of the CMT boxes in a range, which lie in a uuid box in the moov box."""
    for _ in range(1000):
        size = int.from_bytes(data[at : at + 4], "big")
        kind = bytes(data[at + 4 : at + 8])
        if at + 8 > end or size < 8:
            return
        stop = min(at + size, end)
        if kind.startswith(b"CMT"):
            yield kind, at + 8, stop
        elif kind in (b"moov", b"uuid") and depth < 2:
            inner = at + 8 + (16 if kind == b"uuid" else 0)
            yield from _boxes(data, inner, stop, depth + 1)
        at += size


def _rawpy() -> Any:
    try:
        import rawpy
    except ImportError:
        raise PhotoError(missing_extra(".dng") or "rawpy cannot be imported") from None
    return rawpy
