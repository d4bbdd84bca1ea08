"""Reading photos: what is in the file, with all that belongs to it, whole or in regions."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from invdn import metadata
from invdn.images import colour, extras, fit, heif, jpeg, plain, raw
from invdn.images.photo import (
    LABELS,
    MAX_PIXELS,
    NO_RESOLUTION,
    NO_SUCH_FILE,
    RAW_SUFFIXES,
    READABLE,
    SUFFIXES,
    WRONG_PROFILE,
    Photo,
    PhotoError,
    Pixels,
    check_size,
    first_page_only,
    reason,
    scale_up,
    without_pixels,
)
from invdn.images.vips import detail, vips

_RGB = ("srgb", "rgb", "rgb16", "scrgb", "multiband", "b-w", "grey16")
_KEPT_FIELDS = ("icc-profile-data", "xmp-data", "iptc-data", "photoshop-data", "image-description")
_DEPTHS = "only 8, 16 bits and float are read"
_MAX_PAGES = 10_000
_FETCHED_ROWS = 64


@dataclass(frozen=True)
class OpenPhoto:
    """A photo whose file is open: all about it, and its pixels on demand."""

    photo: Photo
    """Its `pixels` may only have a shape and a type, see `region`."""
    region: Region | None
    """Gives the pixels; None if `photo` has them."""

    def whole(self) -> Photo:
        """The photo with its pixels in memory."""
        if self.region is None:
            return self.photo
        return replace(self.photo, pixels=self.region.whole())


class Region:
    """Pixels of a libvips image, from top to bottom, without ever holding all of them."""

    def __init__(self, image: Any, source: _Source, format: str, bits: int | None) -> None:
        self._image = image
        self._format = format
        self._bits = bits
        self._decoder: Any = None
        self._start = self._stop = 0  # the rows of the image that the band holds
        self._band: Pixels | None = None
        self._source = source  # the last to go

    def whole(self) -> Pixels:
        """All pixels at once; a region gives its pixels only once."""
        with _damage_named(self._format, self._source):
            return self._scaled(self._image.numpy())

    def __call__(self, rows: slice, columns: slice) -> Pixels:
        """The pixels there, in memory of their own; rows never start above those before."""
        band = self._band
        kept = 0 if band is None else max(0, self._stop - rows.start)
        height = rows.stop - rows.start
        if band is None or len(band) < height:
            shape = (height, self._image.width, self._image.bands)
            self._band = np.empty(shape, numpy_type(self._image))
        assert self._band is not None
        offset = rows.start - self._start
        if band is not None and kept and (offset or band is not self._band):
            self._band[:kept] = band[offset : offset + kept]
        # In small pieces: what libvips hands over is a copy.
        for start in range(rows.start + kept, rows.stop, _FETCHED_ROWS):
            stop = min(start + _FETCHED_ROWS, rows.stop)
            self._band[start - rows.start : stop - rows.start] = self._fetch(start, stop)
        self._start, self._stop = rows.start, rows.start + max(height, kept)
        found = self._band[:height, columns].copy()
        return found if found.shape[2] > 1 else found[..., 0]

    def _fetch(self, start: int, stop: int) -> Pixels:
        """Rows of the image, H×W×C."""
        image = self._image
        with _damage_named(self._format, self._source):
            if self._decoder is None:
                # One region for all calls: a new one would start to decode from the top again.
                self._decoder = vips().Region.new(image)
            data = self._decoder.fetch(0, start, image.width, stop - start)
        shape = (stop - start, image.width, image.bands)
        return self._scaled(np.frombuffer(data, numpy_type(image)).reshape(shape))

    def _scaled(self, pixels: Pixels) -> Pixels:
        if self._bits in (10, 12) and pixels.dtype == np.uint16:
            return scale_up(pixels, self._bits)
        return pixels


def read(path: Path, *, page: int | None = None, max_pixels: int = MAX_PIXELS) -> Photo:
    """The photo in a file. The content decides the format, not the name.

    page: which page of a TIFF file, from 0; if None the first, with a notice if there are more.
    max_pixels: what has more is refused before it is decoded.
    """
    with opened(path, page=page or 0, max_pixels=max_pixels) as open_photo:
        photo = open_photo.whole()
    return with_pages_notice(photo) if page is None else photo


def read_small(path: Path, side_px: int) -> tuple[Pixels, bytes | None, float]:
    """A photo shrunk so that its longer side is at most `side_px`, upright, fast where that can be.

    Returns the pixels, the ICC profile that they are in, and the megapixels of the whole photo.
    """
    with opened(path) as found, _opened(path) as file:
        photo, library = found.photo, vips()
        megapixels = photo.width * photo.height / 1e6
        source = _Source(file)
        with _damage_named(photo.format, source):
            if found.region is None:
                upright = np.ascontiguousarray(fit.turned_upright(photo.pixels, photo.orientation))
                whole = library.Image.new_from_array(upright)
                image = whole.thumbnail_image(side_px, height=side_px, size="down")
            elif photo.pixels.dtype == np.float32:
                # libvips takes floats for linear, and goes from 0 to 1 or to 255 as it sees fit.
                image = _load(source, photo.format, 0)
                tones = "b-w" if image.bands < 3 else "srgb"
                image = image.linear(255, 0.5, uchar=True).copy(interpretation=tones)
                image = image.thumbnail_image(side_px, height=side_px, size="down")
            else:
                image = library.Image.thumbnail_source(
                    source.vips, side_px, height=side_px, size="down", no_rotate=True
                )
                image, _ = _to_rgb(library, image)
                image = fit.image_turned_upright(image, photo.orientation)
            pixels = image.numpy()
        return pixels, photo.fields.get("icc-profile-data"), megapixels


def with_pages_notice(photo: Photo) -> Photo:
    """The photo with a notice if it is only the first of many pages."""
    if photo.pages == 1:
        return photo
    return replace(photo, notices=(*photo.notices, first_page_only(photo.pages)))


@contextmanager
def opened(path: Path, *, page: int = 0, max_pixels: int = MAX_PIXELS) -> Iterator[OpenPhoto]:
    """As `read`, but the pixels are decoded when they are asked for."""
    with _opened(path) as file:
        format = _sniff(file.read(32), path)
        if format == "tiff" and _is_dng(file):
            format = "raw"
        if format == "heic":
            found = OpenPhoto(heif.read_heic(file, max_pixels), None)
        elif format == "raw":
            found = OpenPhoto(raw.read_raw(file, max_pixels), None)
        elif format in ("bmp", "ppm"):
            read_plain = plain.read_bmp if format == "bmp" else plain.read_ppm
            pixels, notices = read_plain(file, max_pixels)
            per_mm = plain.resolution_of_bmp(file) if format == "bmp" else None
            photo = Photo(pixels, format, pixels_per_mm=per_mm or NO_RESOLUTION, notices=notices)
            found = OpenPhoto(photo, None)
        else:
            found = _open_with_vips(file, format, page, max_pixels)
        yield replace(found, photo=_with_name_notice(found.photo, path))


def _open_with_vips(file: BinaryIO, format: str, page: int, max_pixels: int) -> OpenPhoto:
    library, source = vips(), _Source(file)
    if format == "tiff":
        _check_depth(file, page)
    with _damage_named(format, source):
        image = _load(source, format, page)
        check_size(image.width, image.height, max_pixels)
        pages = _pages(image, file, format)
        image, converted = _to_rgb(library, image)
        bits = image.get("bits-per-sample") if format == "avif" else None
        chunks = extras.facts_of_png(file) if format == "png" else {}
        exif = _exif(image, file, format, page, chunks)
        fields = _fields(image, file, format, page, chunks)
        notices = list(converted)
        if format == "tiff":
            notices += _tiff_notices(image, file, page)
        if b"iCCP" in chunks and not image.get_typeof("icc-profile-data"):
            notices.append(WRONG_PROFILE)
        photo = Photo(
            pixels=without_pixels(image.height, image.width, image.bands, numpy_type(image)),
            format=format,
            orientation=_orientation(image, format, exif),
            exif=exif,
            fields=fields,
            extras=_extras(file, format),
            pixels_per_mm=_resolution(image, file, format, exif, chunks),
            jpeg=jpeg.jpeg_facts(file) if format == "jpeg" else None,
            lossless=_is_lossless(file, format),
            bits=bits,
            subsampled=format == "avif" and heif.is_subsampled_avif(file),
            others=format == "jpeg" and (jpeg.holds_others(file) or _promises_others(image)),
            pages=pages,
            notices=tuple(notices),
        )
    return OpenPhoto(photo, Region(image, source, format, bits))


def numpy_type(image: Any) -> str:
    """The NumPy name for the type of a libvips image's pixels."""
    return {"uchar": "uint8", "ushort": "uint16", "float": "float32"}[image.format]


def _with_name_notice(photo: Photo, path: Path) -> Photo:
    """The photo with a notice if its name promises another format."""
    suffix = path.suffix.lower()
    promised = "raw" if suffix in RAW_SUFFIXES else SUFFIXES.get(suffix, photo.format)
    if promised == photo.format or photo.format == "raw":
        return photo
    misnamed = f"this is really {_a(LABELS[photo.format])} file"
    return replace(photo, notices=(misnamed, *photo.notices))


def _a(label: str) -> str:
    return f"an {label}" if label.startswith("A") else f"a {label}"


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
        # Unbuffered: what reads it here seeks first, and libvips has buffers of its own.
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        raise PhotoError(NO_SUCH_FILE) from None
    except OSError as error:
        raise PhotoError(f"cannot be read: {reason(error)}") from error
    with file:
        yield file


# --- which format --------------------------------------------------------------------------------


def _sniff(head: bytes, path: Path) -> str:
    """The format that a file's first bytes promise."""
    if not head:
        raise PhotoError("the file is empty")
    suffix = path.suffix.lower()
    if suffix in RAW_SUFFIXES and not _is_ordinary(head):
        return "raw"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_iso(head)
    if head.startswith(b"BM") and head[14:18] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return "bmp"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n#":
        return "ppm"
    if head.startswith((b"FUJIFILM", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")):
        return "raw"
    known = _unsupported(head)
    if known:
        raise PhotoError(f"{known} is not supported: convert it to JPEG, PNG or TIFF first")
    if suffix in SUFFIXES:
        label = LABELS[SUFFIXES[suffix]]
        raise PhotoError(f"is not {_a(label)} file, nor any other picture that can be read")
    raise PhotoError(f"is not a picture that can be read ({READABLE})")


def _is_ordinary(head: bytes) -> bool:
    """Whether a file named as camera raw is a JPEG or a PNG, as some phones' are."""
    return head.startswith((b"\xff\xd8\xff", b"\x89PNG"))


def _sniff_iso(head: bytes) -> str:
    """Which of the formats in ISO base media files; the brand, or those it is compatible with."""
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4))]
    if brands[0] == b"crx ":
        return "raw"
    if b"avis" in brands[:1]:
        raise PhotoError("is an animation, not a photo")
    if b"avif" in brands:
        return "avif"
    if {b"heic", b"heix", b"mif1", b"heim", b"heis", b"hevc", b"hevx"} & set(brands):
        return "heic"
    raise PhotoError("is a film or something like it, not a photo")


def _unsupported(head: bytes) -> str | None:
    """The name of a format that is recognised, only to say that it is not read."""
    marks = {
        b"GIF8": "GIF",
        b"8BPS": "Photoshop (PSD)",
        b"\xff\x0a": "JPEG XL",
        b"\0\0\0\x0cJXL ": "JPEG XL",
        b"\0\0\0\x0cjP  ": "JPEG 2000",
        b"%PDF": "PDF",
        b"<svg": "SVG",
    }
    return next((name for mark, name in marks.items() if head.startswith(mark)), None)


def _is_dng(file: BinaryIO) -> bool:
    """A DNG is a TIFF whose first picture is the thumbnail: it is to be developed instead."""
    with _mapped(file) as data:
        return metadata.is_dng(data)


# --- with libvips --------------------------------------------------------------------------------


class _Source:
    """A file as libvips reads it: by calls, from a place that is its own.

    Not by name: libvips takes “a[1].jpg” for a name with options, and a name that is not UTF-8 for
    none. Not by descriptor: it would map a JPEG file, so that all of it counts as this process'
    memory, and one that is cut off meanwhile, or a network that fails, ends the process.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._calls = _Calls(file)
        #: For one of libvips' loaders; to be kept as long as what that gives.
        self.vips = vips().SourceCustom()
        self.vips.on_read(self._calls.read)
        self.vips.on_seek(self._calls.seek)

    @property
    def error(self) -> OSError | None:
        """What the system said if the file could not be read."""
        return self._calls.error


class _Calls:
    """What libvips calls; an exception must not pass through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._place = 0
        self.error: OSError | None = None

    def read(self, size: int) -> bytes | None:
        """Up to as many bytes; None at the end."""
        try:
            self._file.seek(self._place)  # others read the file too
            data = self._file.read(size)
        except OSError as error:
            self.error = error
            return None
        self._place += len(data)
        return data or None

    def seek(self, offset: int, whence: int) -> int:
        """Where that is, from the start; -1 where that cannot be known."""
        try:
            size = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            self.error = error
            return -1
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: size}[whence]
        self._place = start + offset
        return self._place


def _load(source: _Source, format: str, page: int) -> Any:
    """The libvips image, its pixels not yet read.

    By the format's own loader. "error" lets through what cameras do (stray bytes between
    markers), but nothing truncated or damaged.
    """
    loader = getattr(vips().Image, f"{'heif' if format == 'avif' else format}load_source")
    options = {"page": page} if format == "tiff" and page else {}
    return loader(source.vips, access="sequential", fail_on="error", **options)


def _pages(image: Any, file: BinaryIO, format: str) -> int:
    pages = int(image.get("n-pages")) if image.get_typeof("n-pages") else 1
    if format == "png":  # of which libvips shows the first, and says nothing
        pages = extras.frames_of_png(file)
    if pages > 1 and format in ("png", "webp", "avif"):
        raise PhotoError(f"is an animation of {pages} frames, not a photo")
    if pages > _MAX_PAGES:
        raise PhotoError(f"has {pages} pages: at most {_MAX_PAGES} are read")
    return pages


def _to_rgb(library: Any, image: Any) -> tuple[Any, tuple[str, ...]]:
    """The image as grey or RGB, 8 or 16 bits or float; and what had to be done for that."""
    if image.get_typeof("bits-per-sample") and image.get("bits-per-sample") == 1:
        raise PhotoError("is black and white only (1 bit): there is no noise to remove")
    if image.format not in ("uchar", "ushort", "float"):
        raise PhotoError(f"has pixels of type {image.format}: {_DEPTHS}")
    if image.interpretation == "cmyk":
        depth = 16 if image.format == "ushort" else 8
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth)
        return image, ("CMYK was converted to sRGB",)
    if image.interpretation not in _RGB:
        raise PhotoError(f"is in the colour space {image.interpretation}: convert it to RGB first")
    if image.bands > 4:
        raise PhotoError(f"has {image.bands} channels: at most 4 (RGB and alpha) are read")
    if image.get_typeof("palette"):
        return image, ("its palette was expanded",)
    return image, ()


def _check_depth(file: BinaryIO, page: int) -> None:
    """Raise PhotoError for a TIFF page of 64 bits, of which libvips speaks in riddles."""
    with _mapped(file) as data:
        bits = metadata.numbers_of(data, page, metadata.BITS_PER_SAMPLE)
    if bits[:1] == [64]:
        raise PhotoError(f"has pixels of type double: {_DEPTHS}")


def _tiff_notices(image: Any, file: BinaryIO, page: int) -> tuple[str, ...]:
    """What has to be said of a TIFF page; raises PhotoError for those that would go wrong."""
    with _mapped(file) as data:
        extra = metadata.numbers_of(data, page, metadata.EXTRA_SAMPLES)
        reduced = metadata.numbers_of(data, page, metadata.SUBFILE_TYPE)
        further = metadata.numbers_of(data, page, metadata.SUB_IFDS)
    if further and reduced and reduced[0] & 1:
        raise PhotoError(
            "its first picture is a thumbnail, and the photo is behind it: export an ordinary TIFF"
        )
    if image.bands in (2, 4) and extra[:1] == [0]:
        raise PhotoError(
            "has a channel besides its colours that is no transparency: save it without that one"
        )
    if image.bands in (2, 4) and extra[:1] == [1]:
        return ("its colours were multiplied by its transparency, and are not now",)
    return ()


def _orientation(image: Any, format: str, exif: bytes | None) -> int:
    if format == "avif":  # upright from its decoder
        return 1
    if format == "png":  # where libvips overlooks what comes after the pixels
        return metadata.orientation_of(exif) if exif else 1
    value = image.get("orientation") if image.get_typeof("orientation") else 1
    return value if 1 <= value <= 8 else 1


def _resolution(
    image: Any, file: BinaryIO, format: str, exif: bytes | None, chunks: dict[bytes, bytes]
) -> tuple[float, float]:
    """Pixels a millimetre as the file itself says; libvips prefers what EXIF says."""
    if format == "tiff":
        return image.xres, image.yres
    own = jpeg.density_of(file) if format == "jpeg" else None
    if b"pHYs" in chunks:
        own = extras.density_of_png(chunks[b"pHYs"])
    return own or (metadata.resolution_of(exif) if exif else None) or NO_RESOLUTION


def _exif(
    image: Any, file: BinaryIO, format: str, page: int, chunks: dict[bytes, bytes]
) -> bytes | None:
    """The EXIF block, without its thumbnail."""
    if format == "tiff":
        with _mapped(file) as data:
            return metadata.from_tiff(data, page)
    found = image.get("exif-data") if image.get_typeof("exif-data") else chunks.get(b"eXIf")
    if not found:
        return None
    block = metadata.without_thumbnail(metadata.block_of(found))
    if not block:
        return None
    return heif.turned(block, image.width, image.height) if format == "avif" else block


def _fields(
    image: Any, file: BinaryIO, format: str, page: int, chunks: dict[bytes, bytes]
) -> dict[str, Any]:
    fields = {name: image.get(name) for name in image.get_fields() if name in _KEPT_FIELDS}
    if "icc-profile-data" not in fields:
        profile = heif.profile_of_codes(file) if format == "avif" else None
        if len(codes := chunks.get(b"cICP", b"")) == 4:
            profile = colour.profile_of_codes(codes[0], codes[1])
        fields |= {"icc-profile-data": profile} if profile else {}
    if chunks.get(b"iTXt"):
        fields["xmp-data"] = chunks[b"iTXt"]
    if format == "jpeg" and "xmp-data" in fields:
        # libvips may take the second part of long XMP for it.
        fields["xmp-data"] = jpeg.xmp_of(file) or fields["xmp-data"]
    if "xmp-data" in fields:
        xmp = metadata.xmp_without_thumbnails(fields["xmp-data"])
        fields["xmp-data"] = metadata.xmp_without_others(xmp)
    if format == "avif" and "xmp-data" in fields:
        fields["xmp-data"] = metadata.xmp_upright(fields["xmp-data"])
    if format == "tiff" and "iptc-data" in fields:
        with _mapped(file) as data:
            # libvips counts in 4-byte words here, and takes as many bytes.
            fields["iptc-data"] = metadata.iptc_from_tiff(data, page) or fields["iptc-data"]
    return fields


def _promises_others(image: Any) -> bool:
    """Whether a picture's XMP speaks of others in its file."""
    xmp = image.get("xmp-data") if image.get_typeof("xmp-data") else b""
    return metadata.xmp_without_others(xmp) != xmp


def _extras(file: BinaryIO, format: str) -> tuple[bytes, ...]:
    if format == "jpeg":
        return extras.of_jpeg(file)
    return extras.of_png(file) if format == "png" else ()


def _is_lossless(file: BinaryIO, format: str) -> bool:
    """Whether a WebP file is of the lossless kind (other formats: whether they all are)."""
    if format != "webp":
        return format not in ("jpeg", "avif")
    file.seek(12)
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8 ", b"VP8L"):
            return head[:4] == b"VP8L"
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, os.SEEK_CUR)
    return False


def _mapped(file: BinaryIO) -> mmap.mmap:
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@contextmanager
def _damage_named(format: str, source: _Source) -> Iterator[None]:
    """Around what libvips does with a file: its errors become reasons."""
    try:
        yield
    except vips().Error as error:
        if source.error is not None:
            raise PhotoError(f"cannot be read: {reason(source.error)}") from source.error
        raise PhotoError(_reading_failed(error, format)) from error
    except UnicodeDecodeError as error:  # of what libvips has to say, or of a name in the file
        raise PhotoError(f"the {LABELS[format]} file is damaged (texts make no sense)") from error


def _reading_failed(error: Exception, format: str) -> str:
    """What a libvips error means for the owner of the file."""
    what = detail(error)
    if "bad labq" in str(error):
        return "is in the colour space lab: convert it to RGB first"
    if "out of range" in what or "unsupported" in what or "not supported" in what:
        return f"this kind of {LABELS[format]} file is not supported ({what})"
    return f"the {LABELS[format]} file is damaged or cut off ({what})"
