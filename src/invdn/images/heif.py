"""HEIC through pillow-heif, and EXIF in AVIF files.

The packaged libvips reads and writes AVIF, but lacks the codec of HEIC. And it writes EXIF anew,
without maker notes; so its EXIF is only a placeholder here, and the file is then made to point
to the camera's own.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from invdn import metadata
from invdn.images import colour
from invdn.images.photo import Photo, PhotoError, check_size, missing_extra, scale_down, scale_up

DEFAULT_QUALITY = 90


# --- HEIC ----------------------------------------------------------------------------------------


def read_heic(file: BinaryIO, max_pixels: int) -> Photo:
    """The main picture of a HEIC file, upright: the format itself says how to turn it."""
    heif = _pillow_heif()
    file.seek(0)
    try:
        opened = heif.open_heif(file, convert_hdr_to_8bit=False)
        width, height = opened.size
        check_size(width, height, max_pixels)
        pixels = np.asarray(opened)
    except PhotoError:
        raise
    except Exception as error:  # libheif's errors come as several types
        why = " ".join(str(error).split()) or type(error).__name__
        raise PhotoError(f"the HEIC file is damaged or cut off ({why})") from error
    bits = int(opened.info.get("bit_depth", 8))
    pixels = np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint16:
        pixels = scale_up(pixels, bits)
    fields = {}
    if opened.info.get("icc_profile"):
        fields["icc-profile-data"] = bytes(opened.info["icc_profile"])
    elif profile := profile_of_codes(file):
        fields["icc-profile-data"] = profile
    if opened.info.get("xmp"):
        xmp = metadata.xmp_without_thumbnails(bytes(opened.info["xmp"]))
        fields["xmp-data"] = metadata.xmp_upright(metadata.xmp_without_others(xmp))
    exif = opened.info.get("exif")
    return Photo(
        pixels,
        "heic",
        exif=turned(metadata.block_of(bytes(exif)), width, height) if exif else None,
        fields=fields,
        lossless=False,
        bits=bits,
        subsampled=opened.info.get("chroma") == 420,
        others=bool(opened.info.get("aux") or opened.info.get("depth_images")),
        notices=_others_left_out(len(opened)),
    )


def _others_left_out(pictures: int) -> tuple[str, ...]:
    return (f"only the main one of its {pictures} pictures is kept",) if pictures > 1 else ()


def write_heic(photo: Photo, quality: int | None, file: BinaryIO) -> None:
    """Write a HEIC file of 8 bits, or of 10 or 12 for uint16."""
    heif = _pillow_heif()
    pixels = np.ascontiguousarray(photo.pixels)
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    if bands == 2:  # grey with alpha: pillow-heif takes it as RGB only
        pixels = np.concatenate([np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 1:]], axis=2)
    mode = {1: "L", 2: "RGBA", 3: "RGB", 4: "RGBA"}[bands]
    if pixels.dtype == np.uint16:
        bits = 12 if photo.bits == 12 else 10
        pixels = scale_down(pixels, bits)
        mode += ";16"
        heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    made = heif.from_bytes(mode, (photo.width, photo.height), pixels.tobytes())
    chroma = 420 if photo.is_420 else 444
    options: dict[str, Any] = {"quality": quality or DEFAULT_QUALITY, "chroma": chroma}
    if photo.exif:
        options["exif"] = b"Exif\0\0" + photo.exif
    if "icc-profile-data" in photo.fields:
        made.info["icc_profile"] = photo.fields["icc-profile-data"]
        made.info["icc_profile_type"] = "prof"
    if "xmp-data" in photo.fields:
        # pillow-heif turns by what XMP says, which may be older than the pixels.
        made.info["xmp"] = metadata.xmp_upright(photo.fields["xmp-data"])
    try:
        made.save(file, **options)
    except (ValueError, RuntimeError) as error:
        raise PhotoError(f"cannot be written as HEIC: {error}") from error


def turned(block: bytes, width: int, height: int) -> bytes:
    """The EXIF of a picture that its decoder has turned upright already."""
    sides = metadata.pixel_sides(block)
    return metadata.upright(block, swap_sides=sides == (height, width) and width != height)


def _pillow_heif() -> Any:
    try:
        import pillow_heif
    except ImportError:
        raise PhotoError(missing_extra(".heic") or "pillow-heif cannot be imported") from None
    return pillow_heif


# --- colours without a profile -------------------------------------------------------------------


def profile_of_codes(file: BinaryIO) -> bytes | None:
    """A profile for what an AVIF or HEIC file says of its colours in two numbers; None for sRGB.

    The numbers (a `colr` box of kind `nclx`) are not written again, so what they mean has to be
    carried by a profile, or refused.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        primaries, transfer = _colour_codes(data)
    return colour.profile_of_codes(primaries, transfer)


def _colour_codes(data: mmap.mmap) -> tuple[int, int]:
    """Primaries and transfer characteristics; 2 stands for unknown."""
    for at in _properties(data, b"colr"):
        if data[at : at + 4] == b"nclx" and at + 8 <= len(data):
            primaries, transfer = struct.unpack_from(">HH", data, at + 4)
            return primaries, transfer
    return 2, 2


def _properties(data: mmap.mmap, wanted: bytes) -> Iterator[int]:
    """Where the contents of the properties of a kind begin."""
    try:
        meta = dict(_boxes(data, 0, len(data)))[b"meta"]
        properties = dict(_boxes(data, meta[0] + 4, meta[1]))[b"iprp"]
        container = dict(_boxes(data, *properties))[b"ipco"]
        found = [at for kind, (at, _) in _boxes(data, *container) if kind == wanted]
    except (KeyError, struct.error):
        return
    yield from found


def is_subsampled_avif(file: BinaryIO) -> bool:
    """Whether an AVIF file's colours are 4:2:0, as its first configuration (`av1C`) says."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # One bit each: whether there is no colour at all (as of transparency), half width, height.
        kinds = [data[at + 2] & 0x1C for at in _properties(data, b"av1C") if at + 2 < len(data)]
    return next((kind == 0x0C for kind in kinds if kind != 0x1C), False)


# --- EXIF in finished files ----------------------------------------------------------------------


def into_avif(avif: bytes, block: bytes) -> Iterator[bytes | memoryview]:
    """An AVIF file, in pieces, whose EXIF item is the block instead of its own.

    The block is put at the end, into a box for media data, and the item's entry in the table of
    locations (`iloc`, ISO/IEC 14496-12, 8.11.3) points to it. A file without such an entry is
    given back as it is.
    """
    where = _exif_location(avif)
    if where is None:
        yield avif
        return
    base, offset_at, offset_size, length_at, length_size = where
    # An EXIF item starts with the distance from here to the block; "Exif\0\0" is in between.
    item = struct.pack(">I", 6) + b"Exif\0\0" + block
    patched = bytearray(avif)
    new_offset = len(avif) + 8 - base
    patched[offset_at : offset_at + offset_size] = new_offset.to_bytes(offset_size, "big")
    patched[length_at : length_at + length_size] = len(item).to_bytes(length_size, "big")
    yield bytes(patched)
    yield struct.pack(">I", 8 + len(item)) + b"mdat" + item


def _exif_location(data: bytes) -> tuple[int, int, int, int, int] | None:
    """From where the EXIF item's offset counts; where it and the length are noted, each with its
    number of bytes."""
    try:
        meta = dict(_boxes(data, 0, len(data)))[b"meta"]
        inside = dict(_boxes(data, meta[0] + 4, meta[1]))
        wanted = _exif_item(data, *inside[b"iinf"])
        return _location(data, inside[b"iloc"][0], wanted) if wanted is not None else None
    except (KeyError, struct.error, IndexError):
        return None


def _boxes(data: bytes | mmap.mmap, at: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """(type, (start, end of its content)) of the boxes in a range."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        stop = end if size == 0 else at + size
        if size and size < head:
            return
        yield kind, (at + head, min(stop, end))
        at = stop


def _exif_item(data: bytes, start: int, end: int) -> int | None:
    """The identifier of the item of type "Exif"."""
    skipped = 4 + (2 if data[start] == 0 else 4)  # version and flags; the number of entries
    for kind, (at, _) in _boxes(data, start + skipped, end):
        if kind == b"infe" and data[at] in (2, 3):
            wide = data[at] == 3
            (identifier,) = struct.unpack_from(">I" if wide else ">H", data, at + 4)
            if data[at + (10 if wide else 8) :][:4] == b"Exif":
                return int(identifier)
    return None


def _location(data: bytes, at: int, wanted: int) -> tuple[int, int, int, int, int] | None:
    version = data[at]
    sizes = data[at + 4 : at + 6]
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version else 0
    wide = version == 2
    (count,) = struct.unpack_from(">I" if wide else ">H", data, at + 6)
    at += 10 if wide else 8
    for _ in range(count):
        (identifier,) = struct.unpack_from(">I" if wide else ">H", data, at)
        at += (4 if wide else 2) + (2 if version else 0)  # with the construction method
        at += 2 + base_size  # after the index of a data reference
        (extents,) = struct.unpack_from(">H", data, at)
        at += 2
        if identifier == wanted:
            simple = extents == 1 and offset_size >= 4 and length_size >= 4
            base = int.from_bytes(data[at - 2 - base_size : at - 2], "big")
            method = data[at - 5 - base_size] & 15 if version else 0
            if not simple or method:
                return None
            offset_at = at + index_size
            return base, offset_at, offset_size, offset_at + offset_size, length_size
        at += extents * (index_size + offset_size + length_size)
    return None
