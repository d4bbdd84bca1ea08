"""BMP and PPM/PGM, which the packaged libvips does not know: read and written with NumPy.

Read: PGM and PPM, binary (P5, P6) and as text (P2, P3), up to 16 bits; BMP of 8 (palette), 24 and
32 bits, uncompressed. Neither format holds EXIF, XMP or a profile that anybody reads.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from invdn.images.photo import PhotoError, Pixels, check_size

#: Rows that are written at a time: the pixels may be in a file, and larger than the memory.
_BAND_PX = 256
_TOKEN = re.compile(rb"(?:\s|#[^\n]*\n)*([0-9]+)")


def read_ppm(file: BinaryIO, max_pixels: int) -> tuple[Pixels, tuple[str, ...]]:
    """The pixels of a PGM or PPM file, uint8 or uint16, and notices.

    Pixels of 8 bits are a view of the mapped file, so that a large one takes no memory.
    """
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    kind = data[:2]
    if kind in (b"P1", b"P4"):
        raise PhotoError("is black and white only (1 bit): there is no noise to remove")
    if kind not in (b"P2", b"P3", b"P5", b"P6"):
        raise PhotoError(f"this kind of PPM file is not supported ({kind.decode('latin-1')})")
    numbers, at = [], 2
    for _ in range(3):
        found = _TOKEN.match(data, at, at + 4096)
        if found is None or len(found[1]) > 9:
            raise PhotoError("the PPM file is damaged or cut off (its header makes no sense)")
        numbers.append(int(found[1]))
        at = found.end()
    width, height, top = numbers
    check_size(width, height, max_pixels)
    if not 1 <= top <= 65535:
        raise PhotoError(f"the PPM file is damaged (its largest value is {top})")
    channels = 3 if kind in (b"P3", b"P6") else 1
    count = width * height * channels
    if kind in (b"P2", b"P3"):
        values = _text_values(data, at, count)
    else:
        dtype = np.dtype("u1" if top < 256 else ">u2")
        if len(data) < at + 1 + count * dtype.itemsize:
            raise PhotoError("the PPM file is damaged or cut off (fewer pixels than it promises)")
        values = np.frombuffer(data, dtype, count, at + 1)
    shape = (height, width) if channels == 1 else (height, width, channels)
    values = values.reshape(shape)
    if top in (255, 65535):
        return values.astype(values.dtype.newbyteorder("="), copy=False), ()
    full = 255 if top < 256 else 65535
    scaled = (np.minimum(values, top).astype(np.uint64) * full + top // 2) // top
    dtype = np.dtype("u1" if top < 256 else "u2")
    return scaled.astype(dtype), (f"its values go to {top}: they were scaled to {full}",)


def _text_values(data: mmap.mmap, at: int, count: int) -> Pixels:
    """`count` decimal numbers, as uint16 (clipped); a number takes two bytes at least."""
    if len(data) - at < 2 * count:
        raise PhotoError("the PPM file is damaged or cut off (fewer pixels than it promises)")
    try:
        words = re.sub(rb"#[^\n]*", b"", data[at:]).split()[:count]
        values = np.array(words, dtype=np.int64)
    except (ValueError, OverflowError):
        raise PhotoError("the PPM file is damaged (letters among its numbers)") from None
    if len(values) < count or values.min() < 0:
        raise PhotoError("the PPM file is damaged or cut off (fewer pixels than it promises)")
    return np.minimum(values, 65535).astype(np.uint16)


def ppm_pieces(pixels: Pixels) -> Iterator[bytes]:
    """A binary PGM or PPM file, in bands, from grey or RGB, uint8 or uint16."""
    height, width = pixels.shape[:2]
    kind = b"P6" if pixels.ndim == 3 and pixels.shape[2] == 3 else b"P5"
    yield kind + f"\n{width} {height}\n{np.iinfo(pixels.dtype).max}\n".encode()
    for start in range(0, height, _BAND_PX):
        band = pixels[start : start + _BAND_PX]
        yield band.astype(band.dtype.newbyteorder(">"), copy=False).tobytes()


def read_bmp(file: BinaryIO, max_pixels: int) -> tuple[Pixels, tuple[str, ...]]:
    """The pixels of a BMP file, uint8 RGB or RGBA, and notices."""
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if len(data) < 54:
        raise PhotoError("the BMP file is damaged or cut off (no header)")
    start, size, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
    upside_up, height = height < 0, abs(height)
    if size < 40 or bits not in (8, 24, 32) or compression not in (0, 3):
        raise PhotoError(
            f"this kind of BMP file is not supported ({bits} bits, compression {compression})"
        )
    check_size(width, height, max_pixels)
    stride = (width * bits // 8 + 3) & ~3
    if start + stride * height > len(data):
        raise PhotoError("the BMP file is damaged or cut off (fewer pixels than it promises)")
    raw = np.frombuffer(data, np.uint8, stride * height, start).reshape(height, stride)
    rows: Pixels = raw[:, : width * bits // 8].reshape(height, width, bits // 8)
    if not upside_up:
        rows = rows[::-1]
    if bits == 8:
        return _from_palette(data, 14 + size, start, rows[..., 0]), ("its palette was expanded",)
    if compression == 3:
        return _by_masks(data, size, rows), ()
    return np.ascontiguousarray(rows[..., 2::-1]), ()


def resolution_of_bmp(file: BinaryIO) -> tuple[float, float] | None:
    """Pixels a millimetre, horizontally and vertically, if a BMP file's header says it."""
    file.seek(38)
    x, y = struct.unpack("<ii", file.read(8))
    return (x / 1000, y / 1000) if x > 0 and y > 0 else None


def _from_palette(data: mmap.mmap, at: int, end: int, indices: Pixels) -> Pixels:
    used = struct.unpack_from("<I", data, 46)[0] or 256
    entries = min(used, 256, max(0, end - at) // 4)
    palette = np.zeros((256, 3), np.uint8)
    colours = np.frombuffer(data, np.uint8, entries * 4, at).reshape(entries, 4)
    palette[:entries] = colours[:, 2::-1]
    return palette[indices]


def _by_masks(data: mmap.mmap, size: int, raw: Pixels) -> Pixels:
    """Pixels of 32 bits whose channels lie where the header's masks say, a byte each."""
    masks = struct.unpack_from("<4I", data, 54) if len(data) >= 70 else ()
    places = {0xFF << (8 * byte): byte for byte in range(4)}
    wanted = masks[:4] if size >= 56 and len(masks) == 4 and masks[3] else masks[:3]
    if raw.shape[2] != 4 or not wanted or any(mask not in places for mask in wanted):
        raise PhotoError("this kind of BMP file is not supported (channels that are not bytes)")
    return np.ascontiguousarray(raw[..., [places[mask] for mask in wanted]])


def check_bmp_size(height: int, width: int) -> int:
    """The bytes of a row in a BMP file; raises PhotoError where the file cannot be that large."""
    stride = (width * 3 + 3) & ~3
    if 54 + stride * height >= 2**32:
        raise PhotoError("BMP holds at most 4 GB: choose another format with --format")
    return stride


def bmp_pieces(pixels: Pixels, pixels_per_mm: tuple[float, float]) -> Iterator[bytes]:
    """A BMP file of 24 bits, in bands from the bottom up, from uint8 grey or RGB."""
    height, width = pixels.shape[:2]
    stride = check_bmp_size(height, width)
    x, y = (round(per_mm * 1000) if per_mm != 1.0 else 0 for per_mm in pixels_per_mm)
    yield b"BM" + struct.pack("<IHHI", 54 + stride * height, 0, 0, 54)
    size = (stride * height) & 0xFFFFFFFF
    yield struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, x, y, 0, 0)
    for end in range(height, 0, -_BAND_PX):
        band = pixels[max(0, end - _BAND_PX) : end][::-1]
        if band.ndim == 2 or band.shape[2] == 1:
            band = np.repeat(band.reshape(len(band), width, 1), 3, axis=2)
        rows = np.zeros((len(band), stride), np.uint8)
        rows[:, : width * 3] = band[..., ::-1].reshape(len(band), width * 3)
        yield rows.tobytes()
