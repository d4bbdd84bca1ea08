"""Read and write photos with libvips: pixels for the network, and all else kept as it was.

    photo = read(path)                                   # or PhotoError, with one clear line
    photo = replace(photo, pixels=denoiser(photo.pixels))
    write(photo, output)                                 # atomically; never over an existing file

What is kept: bit depth, alpha, ICC profile (byte for byte), EXIF (byte for byte, see
`invdn.metadata`), XMP, IPTC, resolution, orientation, JPEG quality and chroma subsampling. What is
dropped: thumbnails, which would show the photo as it was. What changes is told in notices.

Orientation: pixels stay as they are stored and the Orientation tag stays beside them, which is
lossless and is what the camera meant. Only when the file format changes are the pixels turned
upright and the tag set to 1, because few viewers look for the tag in PNG and WebP.
"""

from __future__ import annotations

import functools
import mmap
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from invdn import metadata

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
}
"""The file names read and written, and the format of each."""

# fmt: off
RAW_SUFFIXES = frozenset([
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
])
UNSUPPORTED_SUFFIXES = RAW_SUFFIXES | frozenset([
    ".avif", ".bmp", ".exr", ".gif", ".hdr", ".heic", ".heif", ".hif", ".j2k", ".jp2", ".jxl",
    ".pgm", ".ppm", ".psd", ".svg", ".tga",
])
# fmt: on
"""Pictures all the same: worth a word when they are left out."""

DEFAULT_JPEG_QUALITY = 92
MIN_KEPT_JPEG_QUALITY = 90
"""A rough JPEG is not written as roughly again: its blocks would come back on top of the result."""
DEFAULT_WEBP_QUALITY = 90

EXISTS = "the output exists already and is only replaced with --overwrite"

_READABLE = "JPEG, PNG, TIFF or WebP"
_LABELS = {"jpeg": "JPEG", "png": "PNG", "tiff": "TIFF", "webp": "WebP"}
_DEPTHS: dict[str, tuple[str, ...]] = {
    "jpeg": ("uint8",),
    "webp": ("uint8",),
    "png": ("uint8", "uint16"),
    "tiff": ("uint8", "uint16", "float32"),
}
_RGB = ("srgb", "rgb", "rgb16", "scrgb", "multiband", "b-w", "grey16")
_NO_RESOLUTION = (1.0, 1.0)  # libvips' way to say that none is given
_KEPT_FIELDS = ("icc-profile-data", "xmp-data", "iptc-data", "photoshop-data", "image-description")


class PhotoError(Exception):
    """A photo cannot be read or written; the message is one line that says why."""


class ExistsError(PhotoError):
    """The file to be written is there already."""


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
    """"jpeg", "png", "tiff" or "webp"."""
    orientation: int = 1
    """The EXIF Orientation, 1–8: how a viewer turns the pixels."""
    exif: bytes | None = None
    """The EXIF block, as `invdn.metadata` describes it."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """libvips' metadata fields that are carried along: ICC profile, XMP, IPTC, PNG texts."""
    pixels_per_mm: tuple[float, float] = _NO_RESOLUTION
    """The resolution, horizontal and vertical."""
    jpeg: JpegFacts | None = None
    """How a JPEG file was made; None for other formats."""
    lossless: bool = True
    """Whether the file held the pixels exactly; tells the two kinds of WebP apart."""
    notices: tuple[str, ...] = ()
    """What the reader had to change, one line each."""

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def has_alpha(self) -> bool:
        return self.pixels.ndim == 3 and self.pixels.shape[2] in (2, 4)


def format_of(path: Path) -> str:
    """The format that a file of this name is written in."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        what = f"{suffix} files" if suffix else "a file without a suffix"
        raise PhotoError(f"cannot write {what}: choose jpg, png, tif or webp with --format")
    return SUFFIXES[suffix]


# --- reading -------------------------------------------------------------------------------------


def read(path: Path) -> Photo:
    """The photo in a file. The content decides the format, not the name."""
    with _opened(path) as file:
        format = _sniff(file.read(32), path)
        if format == "tiff":
            _refuse_raw(file)
        vips = _vips()
        try:
            image = _load(vips, file, format)
            notices = _pages_notice(image, format)
            image, converted = _to_rgb(vips, image)
            pixels = image.numpy()
        except vips.Error as error:
            raise PhotoError(_reading_failed(error, format)) from error
        name_format = SUFFIXES.get(path.suffix.lower(), format)
        misnamed = () if name_format == format else (f"this is really a {_LABELS[format]} file",)
        return Photo(
            pixels=pixels,
            format=format,
            orientation=_orientation(image),
            exif=_exif(image, file, format),
            fields=_fields(image, file, format),
            pixels_per_mm=(image.xres, image.yres),
            jpeg=_jpeg_facts(file) if format == "jpeg" else None,
            lossless=_is_lossless(file, format),
            notices=(*misnamed, *notices, *converted),
        )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file open for reading, if it is one with something in it."""
    try:
        # A pipe would block for ever, so look before opening.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise PhotoError("is a folder, not a picture")
        if not stat.S_ISREG(mode):
            raise PhotoError("is not a regular file")
        # Unbuffered: libvips moves the descriptor's position behind the file object's back.
        with path.open("rb", buffering=0) as file:
            yield file
    except FileNotFoundError:
        raise PhotoError("no such file") from None
    except OSError as error:
        raise PhotoError(f"cannot be read: {_reason(error)}") from error


def _sniff(head: bytes, path: Path) -> str:
    """The format that a file's first bytes promise."""
    if not head:
        raise PhotoError("the file is empty")
    suffix = path.suffix.lower()
    if suffix in RAW_SUFFIXES:
        raise PhotoError("camera raw is not supported: develop it to a 16-bit TIFF first")
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    known = _unsupported(head)
    if known:
        raise PhotoError(f"{known} is not supported: convert it to {_READABLE} first")
    if suffix in SUFFIXES:
        label = _LABELS[SUFFIXES[suffix]]
        raise PhotoError(f"is not a {label} file, nor any other picture that can be read")
    raise PhotoError(f"is not a picture that can be read ({_READABLE})")


def _unsupported(head: bytes) -> str | None:
    """The name of a format that is recognised, only to say that it is not read."""
    if head[4:8] == b"ftyp":
        return {b"avif": "AVIF", b"avis": "AVIF", b"crx ": "camera raw"}.get(head[8:12], "HEIC")
    marks = {
        b"GIF8": "GIF",
        b"BM": "BMP",
        b"8BPS": "Photoshop (PSD)",
        b"\xff\x0a": "JPEG XL",
        b"\0\0\0\x0cJXL ": "JPEG XL",
        b"\0\0\0\x0cjP  ": "JPEG 2000",
        b"FUJIFILM": "camera raw",
        b"IIRO": "camera raw",
        b"IIU\0": "camera raw",
        b"%PDF": "PDF",
        b"<svg": "SVG",
    }
    return next((name for mark, name in marks.items() if head.startswith(mark)), None)


def _refuse_raw(file: BinaryIO) -> None:
    """A DNG is a TIFF whose first picture is the thumbnail: not what anybody wants denoised."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if metadata.is_dng(data):
            raise PhotoError("camera raw is not supported: develop it to a 16-bit TIFF first")


def _load(vips: Any, file: BinaryIO, format: str) -> Any:
    """The libvips image, its pixels not yet read.

    By descriptor and named loader: libvips takes “a[1].jpg” for a name with options, and a name
    that is not UTF-8 for none. "error" lets through what cameras do (stray bytes between
    markers), but nothing truncated or damaged.
    """
    file.seek(0)
    source = vips.Source.new_from_descriptor(file.fileno())
    loader = getattr(vips.Image, f"{format}load_source")
    return loader(source, access="sequential", fail_on="error")


def _pages_notice(image: Any, format: str) -> tuple[str, ...]:
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages == 1:
        return ()
    if format == "webp":
        raise PhotoError(f"is an animation of {pages} frames, not a photo")
    return (f"only the first of {pages} pages is kept",)


def _to_rgb(vips: Any, image: Any) -> tuple[Any, tuple[str, ...]]:
    """The image as grey or RGB, 8 or 16 bits or float; and what had to be done for that."""
    if image.get_typeof("bits-per-sample") and image.get("bits-per-sample") == 1:
        raise PhotoError("is black and white only (1 bit): there is no noise to remove")
    if image.format not in ("uchar", "ushort", "float"):
        raise PhotoError(f"has pixels of type {image.format}: only 8, 16 bits and float are read")
    if image.interpretation == "cmyk":
        depth = 16 if image.format == "ushort" else 8
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth)
        return image, ("CMYK was converted to sRGB",)
    if image.interpretation not in _RGB:
        raise PhotoError(f"is in the colour space {image.interpretation}: convert it to RGB first")
    if image.bands > 4:
        raise PhotoError(f"has {image.bands} channels: at most 4 (RGB and alpha) are read")
    return image, ()


def _orientation(image: Any) -> int:
    value = image.get("orientation") if image.get_typeof("orientation") else 1
    return value if 1 <= value <= 8 else 1


def _exif(image: Any, file: BinaryIO, format: str) -> bytes | None:
    """The EXIF block, without its thumbnail."""
    if format == "tiff":
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return metadata.from_tiff(data)
    if not image.get_typeof("exif-data"):
        return None
    return metadata.without_thumbnail(metadata.block_of(image.get("exif-data")))


def _fields(image: Any, file: BinaryIO, format: str) -> dict[str, Any]:
    names = [n for n in image.get_fields() if n in _KEPT_FIELDS or n.startswith("png-comment-")]
    fields = {name: image.get(name) for name in names}
    if format == "tiff" and "iptc-data" in fields:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            # libvips counts in 4-byte words here, and takes as many bytes.
            fields["iptc-data"] = metadata.iptc_from_tiff(data) or fields["iptc-data"]
    return fields


def _is_lossless(file: BinaryIO, format: str) -> bool:
    """Whether a WebP file is of the lossless kind (other formats: whether they all are)."""
    if format != "webp":
        return format != "jpeg"
    file.seek(12)
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8 ", b"VP8L"):
            return head[:4] == b"VP8L"
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, os.SEEK_CUR)
    return False


def _reading_failed(error: Exception, format: str) -> str:
    """What a libvips error means for the owner of the file."""
    detail = _detail(error)
    if "out of range" in detail or "unsupported" in detail or "not supported" in detail:
        return f"this kind of {_LABELS[format]} file is not supported ({detail})"
    return f"the {_LABELS[format]} file is damaged or cut off ({detail})"


def _detail(error: Exception) -> str:
    """The first thing libvips had to say, without the names of its functions."""
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return lines[0].split(": ", 1)[-1] if lines else "no reason given"


def read_small(path: Path, side_px: int) -> tuple[Pixels, bytes | None, float]:
    """A photo shrunk so that its longer side is `side_px`, upright, fast.

    Returns the pixels, the ICC profile that they are in, and the megapixels of the whole photo.
    """
    with _opened(path) as file:
        format = _sniff(file.read(32), path)
        vips = _vips()
        try:
            whole = _load(vips, file, format)
            megapixels = whole.width * whole.height / 1e6
            file.seek(0)
            source = vips.Source.new_from_descriptor(file.fileno())
            image, _ = _to_rgb(vips, vips.Image.thumbnail_source(source, side_px, height=side_px))
            pixels = image.numpy()
        except vips.Error as error:
            raise PhotoError(_reading_failed(error, format)) from error
        has_profile = image.get_typeof("icc-profile-data")
        return pixels, image.get("icc-profile-data") if has_profile else None, megapixels


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """8-bit RGB pixels ``[H, W, 3]`` from the colour space of an ICC profile to sRGB.

    Raises `PhotoError` where the profile cannot be used.
    """
    vips = _vips()
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    image = vips.Image.new_from_memory(pixels.data, width, height, 3, "uchar")
    image = image.copy(interpretation="srgb")
    image.set_type(vips.GValue.blob_type, "icc-profile-data", profile)
    try:
        converted: Pixels = image.icc_transform("srgb", embedded=True).numpy()
    except vips.Error as error:
        raise PhotoError(f"the colour profile cannot be used ({_detail(error)})") from error
    return converted


def without_metadata(photo: Photo) -> Photo:
    """The photo without what tells of its camera, place, time and owner.

    The ICC profile stays, without which the colours would change, and so does the resolution; the
    orientation stays as well, and with no EXIF to carry it the pixels are turned on writing.
    """
    fields = {name: photo.fields[name] for name in photo.fields if name == "icc-profile-data"}
    return replace(photo, exif=None, fields=fields)


# --- JPEG's settings -----------------------------------------------------------------------------

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


def _jpeg_facts(file: BinaryIO) -> JpegFacts | None:
    """Quality, subsampling and coding, from the markers before the first scan."""
    quality, subsampled, progressive = None, False, False
    for marker, body in _jpeg_segments(file):
        if marker == 0xDB and quality is None:  # DQT
            quality = _quality(body)
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(body) > 6:  # SOF
            progressive = marker in (0xC2, 0xCA)
            samplings = list(body[7::3])  # of each component: identifier, sampling, table
            subsampled = len(samplings) == 3 and samplings == [0x22, 0x11, 0x11]
    return JpegFacts(quality, subsampled, progressive) if quality else None


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        if head[1] == 0xFF:  # a fill byte
            file.seek(-3, os.SEEK_CUR)
            continue
        if head[1] == 0xDA:  # the scan: from here on it is entropy-coded
            return
        yield head[1], file.read(int.from_bytes(head[2:], "big") - 2)


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


# --- writing -------------------------------------------------------------------------------------


def write(
    photo: Photo, path: Path, *, quality: int | None = None, overwrite: bool = False
) -> tuple[str, ...]:
    """Write a photo, whole or not at all, in the format that the name asks for.

    quality: 1–100, for JPEG and lossy WebP. By default a JPEG keeps its quality (but never below
    90) and its chroma subsampling, and a WebP stays lossless or lossy.
    overwrite: whether an existing file may be replaced; otherwise `ExistsError`.

    Returns notices: what the format could not hold, one line each.
    """
    format = format_of(path)
    fitted, notices = _fit(photo, format)
    vips = _vips()
    try:
        image = _to_vips(vips, fitted)
        with atomically(path, overwrite=overwrite) as file:
            _encode(vips, image, fitted, format, quality, file)
    except FileExistsError as error:
        raise ExistsError(EXISTS) from error
    except OSError as error:
        raise PhotoError(f"cannot write {path}: {_reason(error)}") from error
    except vips.Error as error:
        raise PhotoError(f"cannot write {path}: {_detail(error)}") from error
    return notices


@contextmanager
def atomically(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A new file, open for reading and writing, that takes its name only once it is complete.

    Until then it is a hidden file in the same folder, and on any error, an interrupt too, nothing
    is left. Without `overwrite` an existing file raises FileExistsError, even one that somebody
    else made a moment ago.
    """
    temporary = path.parent / f".invdn-{secrets.token_hex(6)}.tmp"
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _take_name(temporary, path, overwrite)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _take_name(temporary: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
    elif os.name == "nt":
        temporary.rename(path)  # on Windows this never replaces
    else:
        try:
            os.link(temporary, path)  # unlike a rename, this never replaces
        except FileExistsError:
            raise
        except OSError:  # FAT and some network drives have no links: claim the name, then replace
            path.open("xb").close()
            try:
                temporary.replace(path)
            except BaseException:
                path.unlink()
                raise


def _fit(photo: Photo, format: str) -> tuple[Photo, tuple[str, ...]]:
    """The photo as the format can hold it, and what was lost by that."""
    notices: list[str] = []
    if format != photo.format or photo.exif is None:  # without EXIF nothing could carry the tag
        photo = _upright(photo)
    if format == "jpeg" and photo.has_alpha:
        photo = replace(photo, pixels=on_white(photo.pixels))
        notices.append("JPEG holds no transparency: the background is white now")
    depths = _DEPTHS[format]
    if photo.pixels.dtype.name not in depths:
        photo = replace(photo, pixels=to_depth(photo.pixels, depths[-1]))
        if photo.pixels.dtype == np.uint8:
            notices.append(f"{_LABELS[format]} holds 8 bits a channel")
    if photo.exif and format == "jpeg" and not metadata.fits_jpeg(photo.exif):
        photo = replace(photo, exif=None)
        notices.append("the EXIF data does not fit into a JPEG file and is left out")
    return photo, tuple(notices)


def _upright(photo: Photo) -> Photo:
    """The same picture with its pixels turned as the Orientation tag says, and the tag gone."""
    if photo.orientation == 1:
        return photo
    swap = photo.orientation >= 5
    fields = dict(photo.fields)
    if "xmp-data" in fields:
        fields["xmp-data"] = metadata.xmp_upright(fields["xmp-data"])
    return replace(
        photo,
        pixels=turned_upright(photo.pixels, photo.orientation),
        orientation=1,
        exif=metadata.upright(photo.exif, swap_sides=swap) if photo.exif else None,
        fields=fields,
        pixels_per_mm=photo.pixels_per_mm[::-1] if swap else photo.pixels_per_mm,
    )


def turned_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels (H×W or H×W×C) turned and mirrored as an EXIF Orientation of 1–8 says."""
    if orientation in (2, 5, 7, 4):
        # A mirror image: 2 is left-right; 5, 7 and 4 are that, turned further.
        pixels = pixels[:, ::-1]
    quarters = {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(orientation, 0)  # counter-clockwise
    return np.ascontiguousarray(np.rot90(pixels, quarters))


def as_rgb8(photo: Photo) -> Photo:
    """The picture alone, for training: upright, RGB, 8 bits, on white, without metadata."""
    pixels = _upright(photo).pixels
    if photo.has_alpha:
        pixels = on_white(pixels)
    pixels = to_depth(pixels, "uint8")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    return Photo(rgb, "png")


def to_depth(pixels: Pixels, dtype: str) -> Pixels:
    """Pixels with the full range of another type, rounded to nearest: 65535 is 255 is 1.0."""
    if pixels.dtype.name == dtype:
        return pixels
    if pixels.dtype == np.float32:
        top = 255 if dtype == "uint8" else 65535
        scaled: Pixels = np.rint(pixels.clip(0.0, 1.0).astype(np.float64) * top)
        return scaled.astype(dtype)
    if pixels.dtype == np.uint16 and dtype == "uint8":
        rounded: Pixels = (pixels.astype(np.uint32) + 128) // 257  # 65535 / 255 = 257
        return rounded.astype(np.uint8)
    raise ValueError(f"no way from {pixels.dtype} to {dtype}")


def on_white(pixels: Pixels) -> Pixels:
    """Pixels without alpha, blended over white: grey H×W×1 or RGB H×W×3, same type."""
    top = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    alpha = pixels[..., -1:].astype(np.float32) / np.float32(top)
    blended = pixels[..., :-1] * alpha + np.float32(top) * (1 - alpha)
    result: Pixels = blended if pixels.dtype == np.float32 else np.rint(blended)
    return result.astype(pixels.dtype)


def _to_vips(vips: Any, photo: Photo) -> Any:
    """The libvips image of a photo, with its metadata, except EXIF."""
    pixels = np.ascontiguousarray(photo.pixels)
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    formats = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
    colour = {"uint8": "srgb", "uint16": "rgb16", "float32": "scrgb"}
    grey = {"uint8": "b-w", "uint16": "grey16", "float32": "b-w"}
    depth = pixels.dtype.name
    image = vips.Image.new_from_memory(
        pixels.data, photo.width, photo.height, bands, formats[depth]
    ).copy(
        interpretation=(colour if bands >= 3 else grey)[depth],
        xres=photo.pixels_per_mm[0],
        yres=photo.pixels_per_mm[1],
    )
    for name, value in photo.fields.items():
        blob = isinstance(value, bytes)
        image.set_type(vips.GValue.blob_type if blob else vips.GValue.gstr_type, name, value)
    return image


def _encode(
    vips: Any, image: Any, photo: Photo, format: str, quality: int | None, file: BinaryIO
) -> None:
    keep = vips.ForeignKeep.ICC | vips.ForeignKeep.XMP | vips.ForeignKeep.IPTC
    keep |= vips.ForeignKeep.OTHER  # all but EXIF, which is put in below
    if format == "tiff":
        _encode_tiff(vips, image, photo, keep, file)
        return
    if format == "jpeg":
        _set_iptc(vips, image)
        data = image.jpegsave_buffer(keep=keep, **_jpeg_options(photo.jpeg, quality))
        if photo.pixels_per_mm != _NO_RESOLUTION:
            data = metadata.with_density(data, photo.pixels_per_mm)
        pieces = metadata.into_jpeg(data, photo.exif) if photo.exif else iter([data])
    elif format == "png":
        data = image.pngsave_buffer(keep=keep)
        pieces = metadata.into_png(data, photo.exif) if photo.exif else iter([data])
    else:
        data = image.webpsave_buffer(keep=keep, **_webp_options(photo, quality))
        pieces = iter([data])
        if photo.exif:
            pieces = metadata.into_webp(
                data, photo.exif, width=photo.width, height=photo.height, alpha=photo.has_alpha
            )
    for piece in pieces:
        file.write(piece)


def _jpeg_options(facts: JpegFacts | None, quality: int | None) -> dict[str, Any]:
    if facts is None:
        return {"Q": quality or DEFAULT_JPEG_QUALITY, "optimize_coding": True}
    return {
        "Q": quality or max(facts.quality, MIN_KEPT_JPEG_QUALITY),
        "subsample_mode": "on" if facts.subsampled else "off",
        "interlace": facts.progressive,
        "optimize_coding": True,
    }


def _webp_options(photo: Photo, quality: int | None) -> dict[str, Any]:
    if photo.format == "webp" and photo.lossless and quality is None:
        return {"lossless": True, "exact": True}
    return {"Q": quality or DEFAULT_WEBP_QUALITY}


def _encode_tiff(vips: Any, image: Any, photo: Photo, keep: int, file: BinaryIO) -> None:
    iptc = None
    if image.get_typeof("iptc-data"):
        iptc = metadata.iptc_for("tiff", image.get("iptc-data"))
        image.remove("iptc-data")
    if image.get_typeof("photoshop-data"):
        kept = metadata.photoshop_without_thumbnail(image.get("photoshop-data"))
        image.set_type(vips.GValue.blob_type, "photoshop-data", kept)
    predictor = "float" if photo.pixels.dtype == np.float32 else "horizontal"
    target = vips.Target.new_to_descriptor(file.fileno())
    image.tiffsave_target(
        target,
        keep=keep,
        compression="deflate",
        predictor=predictor,
        bigtiff=photo.pixels.nbytes > 2**32 - 2**26,
    )
    if photo.exif or iptc:
        metadata.into_tiff(file, photo.exif, iptc)


def _set_iptc(vips: Any, image: Any) -> None:
    """IPTC in the form that JPEG wants, without Photoshop's thumbnail."""
    if image.get_typeof("iptc-data"):
        iptc = metadata.iptc_for("jpeg", image.get("iptc-data"))
        image.remove("iptc-data")
        if iptc:
            image.set_type(vips.GValue.blob_type, "iptc-data", iptc)


# --- libvips -------------------------------------------------------------------------------------


@functools.cache
def _vips() -> Any:
    """pyvips, loaded and set up on first use.

    No operation cache: every photo is used once. One thread: decoding and encoding take well
    under a hundredth of the time of denoising (5 MP of JPEG: 0.12 s with one thread, 0.07 with
    two), and the cores belong to the network.
    """
    import pyvips

    pyvips.cache_set_max(0)
    if "VIPS_CONCURRENCY" not in os.environ:
        pyvips.concurrency_set(1)
    return pyvips


def _reason(error: OSError) -> str:
    """An operating system's error in words, without its number."""
    return (error.strerror or str(error) or type(error).__name__).lower()
