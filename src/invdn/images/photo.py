"""What a photo is here, the formats there are, and the errors that photos cause."""

from __future__ import annotations

import errno
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
"""H×W or H×W×C with 1–4 channels (grey, grey+alpha, RGB, RGBA); uint8, uint16, or float32, where
0 is black and 1 is white."""

SUFFIXES: Mapping[str, str] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
    ".avif": "avif",
    ".heic": "heic",
    ".heif": "heic",
    ".hif": "heic",
    ".bmp": "bmp",
    ".ppm": "ppm",
    ".pgm": "ppm",
    ".pnm": "ppm",
}
"""The file names read and written, and the format of each."""

# fmt: off
RAW_SUFFIXES = frozenset([
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf",
    ".srw", ".x3f",
])
"""Camera raw: read (developed), never written."""
UNSUPPORTED_SUFFIXES = frozenset([
    ".exr", ".gif", ".gpr", ".hdr", ".j2k", ".jp2", ".jxl", ".mpo", ".pbm", ".pfm", ".psd", ".svg",
    ".tga",
])
"""Pictures all the same: worth a word when they are left out."""
# fmt: on

LABELS = {
    "jpeg": "JPEG",
    "png": "PNG",
    "tiff": "TIFF",
    "webp": "WebP",
    "avif": "AVIF",
    "heic": "HEIC",
    "bmp": "BMP",
    "ppm": "PPM",
    "raw": "camera raw",
}
READABLE = "JPEG, PNG, TIFF, WebP, AVIF, HEIC, BMP, PPM or camera raw"
WRITABLE = "jpg, png, tif, webp, avif, heic, bmp or ppm"

MAX_PIXELS = 2_000_000_000
"""A picture of more pixels than this is refused before it is decoded, unless told otherwise: a
kilobyte of a "decompression bomb" can claim to be as large as it likes."""

NO_RESOLUTION = (1.0, 1.0)
"""None is given; libvips says so of WebP and TIFF, and makes one up for JPEG and PNG."""

MADE = "another invdn made it meanwhile"
IN_WORK = "another invdn is making it just now"
EXISTS = "the output exists already and is only replaced with --overwrite"
WRONG_PROFILE = "its colour profile is not for its pixels and is left out"
CHANGED = "was changed while it was worked on: run it again"

_EXTRAS = {"heic": ("pillow_heif", "heif"), "raw": ("rawpy", "raw")}


class PhotoError(Exception):
    """A photo cannot be read or written; the message is one line that says why."""


class ExistsError(PhotoError):
    """The file to be written is there already, or is being written by somebody else."""


class FolderError(PhotoError):
    """Nothing can be written where the results go.

    Args:
        folder: The folder in which nothing can be made, or what is in its place.
    """

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


@dataclass(frozen=True)
class JpegFacts:
    """How a JPEG file was made: quality 1–100 as libjpeg counts it, and whether it is 4:2:0."""

    quality: int
    subsampled: bool
    progressive: bool


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture as it is stored, not turned upright, and what belongs to it."""

    pixels: Pixels
    format: str
    """A key of `LABELS`."""
    orientation: int = 1
    """The EXIF Orientation, 1–8: how a viewer turns the pixels."""
    exif: bytes | None = None
    """The EXIF block, as `invdn.metadata` describes it."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """libvips' metadata fields that are carried along: ICC profile, XMP, IPTC."""
    extras: tuple[bytes, ...] = ()
    """What only the photo's own format can hold, see `invdn.images.extras`."""
    pixels_per_mm: tuple[float, float] = NO_RESOLUTION
    """The resolution, horizontal and vertical."""
    jpeg: JpegFacts | None = None
    """How a JPEG file was made; None for other formats."""
    lossless: bool = True
    """Whether the file held the pixels exactly; tells the two kinds of WebP apart."""
    bits: int | None = None
    """Bits a channel in an AVIF or HEIC file, 8, 10 or 12; its pixels are scaled to 8 or 16."""
    subsampled: bool = False
    """Whether an AVIF or HEIC file holds its colours at half the size (4:2:0)."""
    others: bool = False
    """Whether the file holds more, which is never kept: a gain map, a depth map, a video."""
    pages: int = 1
    """How many pages the file has; more than one only in TIFF."""
    notices: tuple[str, ...] = ()
    """What the reader had to change, one line each."""

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def colours(self) -> int:
        """How many of its channels are colours: 1 or 3."""
        return 3 if self.pixels.ndim == 3 and self.pixels.shape[2] >= 3 else 1

    @property
    def is_420(self) -> bool:
        """Whether its file, of any lossy kind, holds the colours at half the size."""
        return self.subsampled or (self.jpeg is not None and self.jpeg.subsampled)

    @property
    def has_alpha(self) -> bool:
        return self.pixels.ndim == 3 and self.pixels.shape[2] in (2, 4)


def first_page_only(pages: int) -> str:
    """The notice about a file of many pages of which one is kept."""
    return f"only the first of {pages} pages is kept"


def format_of(path: Path) -> str:
    """The format that a file of this name is written in."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        what = f"{suffix} files" if suffix else "a file without a suffix"
        raise PhotoError(f"cannot write {what}: choose {WRITABLE} with --format")
    return SUFFIXES[suffix]


def missing_extra(suffix: str) -> str | None:
    """What to install for files of this suffix to be read, or None if nothing is missing."""
    format = "raw" if suffix.lower() in RAW_SUFFIXES else SUFFIXES.get(suffix.lower(), "")
    if format not in _EXTRAS or importlib.util.find_spec(_EXTRAS[format][0]) is not None:
        return None
    return f"{LABELS[format]} needs: pip install 'invdn[{_EXTRAS[format][1]}]'"


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise PhotoError for more than `max_pixels`; to be called before anything is decoded."""
    if width * height > max_pixels:
        raise PhotoError(
            f"claims to be {width}×{height} pixels, more than the limit of "
            f"{max_pixels // 1_000_000} megapixels: raise it with --max-megapixels"
        )
    if width < 1 or height < 1:
        raise PhotoError("claims to have no pixels")


def without_pixels(height: int, width: int, bands: int, dtype: str) -> Pixels:
    """Pixels that have a shape and a type and take no memory, for photos read in regions."""
    shape = (height, width) if bands == 1 else (height, width, bands)
    return np.broadcast_to(np.zeros((), dtype), shape)


def scale_up(pixels: Pixels, bits: int) -> Pixels:
    """uint16 whose upper `bits` bits hold the values → the full range of uint16.

    libheif shifts the 10 bits of its pictures left, so that white is 65472 and not 65535.
    """
    top = ((1 << bits) - 1) << (16 - bits)
    scaled: Pixels = (pixels.astype(np.uint32) * 65535 + top // 2) // top
    return scaled.astype(np.uint16)


def scale_down(pixels: Pixels, bits: int) -> Pixels:
    """The inverse of `scale_up`, rounded to the nearest of the 2**bits values."""
    levels = (1 << bits) - 1
    values: Pixels = (pixels.astype(np.uint32) * levels + 32767) // 65535
    return (values << (16 - bits)).astype(np.uint16)


NO_SUCH_FILE = "no such file or folder: check its name and its place"

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the operating system says where a disk, or one's share of it, is full."""

_ADVICE = {
    **dict.fromkeys(FULL, "make room, and run it again"),
    errno.EROFS: "choose another folder",
    errno.ENOTDIR: "choose another folder",
    errno.EEXIST: "choose another folder",
    errno.EISDIR: "move it away, or choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EACCES: "change its permissions, or choose another",
    errno.EPERM: "change its permissions, or choose another",
    errno.ELOOP: "name the file that the link should lead to",
}


def reason(error: OSError) -> str:
    """An operating system's error in words, without its number, and what to do about it."""
    what = (error.strerror or str(error) or type(error).__name__).lower()
    advice = _ADVICE.get(error.errno or 0)
    return f"{what}: {advice}" if advice else what
