"""Writing photos: whole or not at all, with all that belonged to the file they come from."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from invdn import metadata
from invdn.images import colour, extras, fit, heif, plain
from invdn.images.atomic import InWorkError, atomically
from invdn.images.photo import (
    EXISTS,
    IN_WORK,
    LABELS,
    NO_RESOLUTION,
    WRONG_PROFILE,
    ExistsError,
    FolderError,
    JpegFacts,
    Photo,
    PhotoError,
    Pixels,
    format_of,
    reason,
    scale_down,
)
from invdn.images.vips import detail, vips

DEFAULT_JPEG_QUALITY = 92
MIN_KEPT_JPEG_QUALITY = 90
"""A rough JPEG is not written as roughly again: its blocks would come back on top of the result."""
LARGEST_WHOLE_JPEG_PX = 32_000_000
"""A larger JPEG is written as it comes, baseline and with the standard's codes: for codes of its
own or progressive scans the encoder would hold all coefficients, 6 bytes a pixel."""
DEFAULT_WEBP_QUALITY = 90
DEFAULT_AVIF_QUALITY = 90
_AVIF_EFFORT = 2  # libvips' own 4 takes nine times as long, and ten times as long as the network

_DEPTHS: dict[str, tuple[str, ...]] = {
    "jpeg": ("uint8",),
    "webp": ("uint8",),
    "bmp": ("uint8",),
    "png": ("uint8", "uint16"),
    "ppm": ("uint8", "uint16"),
    "avif": ("uint8", "uint16"),
    "heic": ("uint8", "uint16"),
    "tiff": ("uint8", "uint16", "float32"),
}
_LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "avif": 16_384, "heic": 32_768}
_CLASSIC_TIFF_BYTES = 2**32 - 2**26  # the pixels; 32-bit offsets end at 4 GB
_OPAQUE = ("jpeg", "bmp", "ppm")
_WITHOUT_METADATA = ("bmp", "ppm")
_WITHOUT_IPTC = ("png", "webp", "avif", "heic")
_USUAL_PIXELS_PER_MM = 72 / 25.4  # what readers take for granted
_AVIF_BITS = 12  # what 16 bits become in AVIF; a 10-bit AVIF stays one


def write(
    photo: Photo,
    path: Path,
    *,
    quality: int | None = None,
    overwrite: bool = False,
    modified_ns: int | None = None,
    before_naming: Callable[[BinaryIO], None] | None = None,
    make_folder: bool = False,
) -> tuple[str, ...]:
    """Write a photo, whole or not at all, in the format that the name asks for.

    quality: 1–100, for JPEG, AVIF, HEIC and lossy WebP. By default a JPEG keeps its quality (but
    never below 90) and its chroma subsampling, and a WebP stays lossless or lossy.
    overwrite, modified_ns, before_naming, make_folder: as for `into`, as the errors are.

    Returns notices: what the format could not hold, one line each.
    """
    format = format_of(path)
    check_sides(photo, format)
    fitted, notices = fit_to(photo, format)
    with into(
        path,
        overwrite=overwrite,
        modified_ns=modified_ns,
        before_naming=before_naming,
        make_folder=make_folder,
    ) as file:
        encode(fitted, format, quality, file)
    return notices


def copy(source: Path, path: Path, **options: Any) -> None:
    """Copy a file byte for byte, whole or not at all; options and errors are those of `into`."""
    try:
        original = source.open("rb")
    except OSError as error:
        raise PhotoError(f"cannot be read: {reason(error)}") from error
    with original, into(path, **options) as file:
        while chunk := original.read(1 << 22):
            file.write(chunk)


@contextmanager
def into(
    path: Path,
    *,
    overwrite: bool = False,
    modified_ns: int | None = None,
    before_naming: Callable[[BinaryIO], None] | None = None,
    make_folder: bool = False,
) -> Iterator[BinaryIO]:
    """The file to write into, which takes its name once it is complete.

    overwrite: whether an existing file may be replaced; otherwise `ExistsError`.
    modified_ns: the modification time that the file is to have, nanoseconds since 1970.
    before_naming: called with the complete file just before it takes its name.
    make_folder: whether to make the folder if it is not there; no empty one is left on an error.

    Raises `FolderError`, at once, where nothing can be written into the folder.
    """
    opened = False

    def finish(file: BinaryIO) -> None:
        if modified_ns is not None:
            os.utime(file.name, ns=(modified_ns, modified_ns))
        if before_naming is not None:
            before_naming(file)

    made = _make(path.parent) if make_folder else []
    try:
        with atomically(path, overwrite=overwrite, before_naming=finish) as file:
            opened = True
            yield file
    except FileExistsError as error:
        raise ExistsError(IN_WORK if isinstance(error, InWorkError) else EXISTS) from error
    except OSError as error:
        if not opened and error.errno != errno.ENAMETOOLONG:
            raise FolderError(
                f"cannot write into the folder {path.parent}: {reason(error)}", path.parent
            ) from error
        raise PhotoError(f"cannot write {path}: {reason(error)}") from error
    except vips().Error as error:
        raise PhotoError(f"cannot write {path}: {detail(error)}") from error
    finally:
        for folder in made:
            with suppress(OSError):  # it mostly holds something by now: this one, or another
                folder.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder; returns what was made for that, the innermost first."""
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        # What it could not make lies in the folder that is at fault, or is a file itself.
        named = Path(error.filename or folder)
        fault = named if os.path.lexists(named) else named.parent
        raise FolderError(
            f"cannot make the folder {folder}: {fault}: {reason(error)}", fault
        ) from error
    return missing


# --- what a format can hold ----------------------------------------------------------------------


def fit_to(photo: Photo, format: str) -> tuple[Photo, tuple[str, ...]]:
    """The photo as the format can hold it, and what was lost by that."""
    if must_turn(photo, format):
        photo = fit.upright(photo)
    pixels = fit_pixels(photo.pixels, format)
    photo, notices = fit_facts(photo, format)
    return replace(photo, pixels=pixels), notices


def check_sides(photo: Photo, format: str) -> None:
    """Raise PhotoError for a picture that is too large for the format."""
    limit = _LONGEST_SIDE.get(format)
    if limit is not None and max(photo.width, photo.height) > limit:
        label = LABELS[format]
        raise PhotoError(
            f"{label} holds at most {limit} pixels a side: choose another with --format"
        )
    if format == "bmp":
        plain.check_bmp_size(photo.height, photo.width)


def must_turn(photo: Photo, format: str) -> bool:
    """Whether the pixels are to be turned upright: where the file would not say how to."""
    if photo.orientation == 1:
        return False
    return format != photo.format or photo.exif is None


def fit_pixels(pixels: Pixels, format: str) -> Pixels:
    """Pixels, or a band of them, as the format can hold them: see `fit_facts`."""
    if format in _OPAQUE and pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = fit.on_white(pixels)
    depths = _DEPTHS[format]
    return pixels if pixels.dtype.name in depths else fit.to_depth(pixels, depths[-1])


def fit_facts(photo: Photo, format: str) -> tuple[Photo, tuple[str, ...]]:
    """What belongs to the photo as the format can hold it, and what was lost by that."""
    notices: list[str] = []
    label, depths = LABELS[format], _DEPTHS[format]
    if format in _OPAQUE and photo.has_alpha:
        notices.append(f"{label} holds no transparency: the background is white now")
    deep = {"avif": _AVIF_BITS, "heic": 10}.get(format, 8 if depths[-1] == "uint8" else 16)
    loses_depth = photo.pixels.dtype.name not in depths
    if loses_depth or (photo.pixels.dtype.name == "uint16" and deep < 16 and not photo.bits):
        notices.append(f"{label} holds {deep} bits a channel")
    if format in _WITHOUT_METADATA and (photo.exif or photo.fields):
        photo = replace(photo, exif=None, fields={}, extras=())
        notices.append(f"{label} holds no metadata: EXIF, profile and texts are left out")
    elif format in _WITHOUT_IPTC and "iptc-data" in photo.fields:
        photo = _without_field(photo, "iptc-data")
        notices.append(f"{label} holds no IPTC texts: they are left out")
    profile = photo.fields.get("icc-profile-data")
    if profile is not None and not colour.fits(profile, photo.colours):
        photo = _without_field(photo, "icc-profile-data")
        notices.append(WRONG_PROFILE)
    if photo.extras and format != photo.format:
        own = LABELS[photo.format]
        if len(extras.without_texts(photo.extras, photo.format)) < len(photo.extras):
            notices.append(f"comments and other parts that only {own} holds are left out")
        if photo.format == "png" and profile is None and extras.odd_colours(photo.extras):
            notices.append(f"only {own} holds in numbers how its colours are meant: they change")
        photo = replace(photo, extras=())
    if photo.exif and format == "jpeg" and not metadata.fits_jpeg(photo.exif):
        photo = replace(photo, exif=None)
        notices.append("the EXIF data does not fit into a JPEG file and is left out")
    if photo.exif and format == "tiff" and not metadata.fits_tiff(photo.exif):
        photo = replace(photo, exif=None)
        notices.append("the EXIF data makes no sense and is left out")
    xmp = photo.fields.get("xmp-data")
    if xmp and format == "jpeg" and not metadata.xmp_fits_jpeg(xmp):
        photo = _without_field(photo, "xmp-data")
        notices.append("the XMP data does not fit into a JPEG file and is left out")
    if photo.others:
        photo = replace(photo, others=False)
        notices.append(
            "what else the file holds is left out: it may be a gain map, a depth map or a video"
        )
    return photo, tuple(notices)


def _without_field(photo: Photo, name: str) -> Photo:
    return replace(photo, fields={n: value for n, value in photo.fields.items() if n != name})


# --- encoding ------------------------------------------------------------------------------------


def encode(photo: Photo, format: str, quality: int | None, file: BinaryIO) -> None:
    """Write a photo that fits the format into a file that is open for reading and writing."""
    if format == "heic":
        heif.write_heic(photo, quality, file)
    elif format == "bmp":
        file.writelines(plain.bmp_pieces(photo.pixels, photo.pixels_per_mm))
    elif format == "ppm":
        file.writelines(plain.ppm_pieces(photo.pixels))
    else:
        if format == "avif" and photo.pixels.dtype == np.uint16:
            bits = photo.bits if photo.bits in (10, 12) else _AVIF_BITS
            photo = replace(photo, pixels=scale_down(photo.pixels, bits), bits=bits)
        encode_image(_image_of(photo.pixels), photo, format, quality, file)


def encode_image(
    image: Any, photo: Photo, format: str, quality: int | None, file: BinaryIO
) -> None:
    """The same for a libvips image; of the photo all is taken but the pixels' values."""
    image = _with_fields(image, photo)
    keep = vips().ForeignKeep.ICC | vips().ForeignKeep.XMP | vips().ForeignKeep.IPTC
    keep |= vips().ForeignKeep.OTHER  # all but EXIF, which is put in below
    if format == "tiff":
        _encode_tiff(image, photo, keep, file)
    elif format == "jpeg":
        _set_iptc(image)
        if image.get_typeof("xmp-data"):  # of which libvips leaves out more than 60 kB
            image.remove("xmp-data")
        head = _JpegHead(photo)
        options = _jpeg_options(photo.jpeg, quality, image.width * image.height)
        _save(image.jpegsave_target, head, file, keep=keep, **options)
    elif format == "png":
        _save(image.pngsave_target, _PngHead(photo), file, keep=keep)
    elif format == "avif":
        if photo.exif:
            keep |= vips().ForeignKeep.EXIF
        data = image.heifsave_buffer(keep=keep, **_avif_options(photo, quality))
        file.writelines(heif.into_avif(data, photo.exif) if photo.exif else [data])
    else:
        data = image.webpsave_buffer(keep=keep, **_webp_options(photo, quality))
        sides = {"width": image.width, "height": image.height, "alpha": photo.has_alpha}
        file.writelines(metadata.into_webp(data, photo.exif, **sides) if photo.exif else [data])


def _image_of(pixels: Pixels) -> Any:
    pixels = np.ascontiguousarray(pixels)
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    image = vips().Image.new_from_memory(
        pixels.data, pixels.shape[1], pixels.shape[0], bands, vips_type(pixels.dtype.name)
    )
    return interpreted(image, pixels.dtype.name)


def vips_type(dtype: str) -> str:
    return {"uint8": "uchar", "uint16": "ushort", "float32": "float"}[dtype]


def interpreted(image: Any, dtype: str) -> Any:
    """A libvips image that knows whether it is grey or RGB, and of which depth."""
    colour = {"uint8": "srgb", "uint16": "rgb16", "float32": "scrgb"}
    grey = {"uint8": "b-w", "uint16": "grey16", "float32": "b-w"}
    return image.copy(interpretation=(colour if image.bands >= 3 else grey)[dtype])


def _with_fields(image: Any, photo: Photo) -> Any:
    """The image with the photo's resolution and metadata, except EXIF."""
    image = image.copy(xres=photo.pixels_per_mm[0], yres=photo.pixels_per_mm[1])
    for name, value in photo.fields.items():
        blob = isinstance(value, bytes)
        image.set_type(vips().GValue.blob_type if blob else vips().GValue.gstr_type, name, value)
    return image


class _JpegHead:
    """Puts the resolution, the EXIF, the XMP and the extras into the first bytes of a JPEG file."""

    def __init__(self, photo: Photo) -> None:
        self._photo = photo

    def is_enough(self, first: bytearray) -> bool:
        """Whether so many of a file's first bytes can be given."""
        return len(first) >= 64  # more than the JFIF header takes

    def __call__(self, data: bytes) -> Iterator[bytes | memoryview]:
        photo = self._photo
        per_mm = photo.pixels_per_mm
        data = metadata.with_density(data, per_mm if per_mm != NO_RESOLUTION else None)
        return metadata.into_jpeg(data, photo.exif, photo.fields.get("xmp-data"), photo.extras)


class _PngHead:
    """Puts the EXIF and the extras into the first bytes of a PNG file."""

    def __init__(self, photo: Photo) -> None:
        self._photo = photo
        self._looked_at = 0

    def is_enough(self, first: bytearray) -> bool:
        """Whether so many of a file's first bytes can be given."""
        if self._photo.pixels_per_mm != NO_RESOLUTION:
            return len(first) >= 64  # more than the signature and the first chunk take
        place, self._looked_at = max(0, self._looked_at - 4), len(first)
        return first.find(b"IDAT", place) >= 0

    def __call__(self, data: bytes) -> Iterator[bytes | memoryview]:
        if self._photo.pixels_per_mm == NO_RESOLUTION:
            data = metadata.without_resolution(data)
        return metadata.into_png(data, self._photo.exif, self._photo.extras)


def _save(save: Any, head: _JpegHead | _PngHead, file: BinaryIO, **options: Any) -> None:
    """Run one of libvips' savers into a file as it goes, with other first bytes.

    Raises OSError where the file cannot be written.
    """
    first, errors = bytearray(), []
    given = False

    def take(data: Any) -> int:
        nonlocal given
        try:
            if given:
                file.write(data)
            else:
                first.extend(data)
                if head.is_enough(first):
                    given = True
                    file.writelines(head(bytes(first)))
        except OSError as error:  # an exception must not pass through libvips
            errors.append(error)
            return -1
        return len(data)

    target = vips().TargetCustom()
    target.on_write(take)
    try:
        save(target, **options)
    except vips().Error:
        if errors:
            raise errors[0] from None
        raise
    if errors:
        raise errors[0]
    if not given:
        file.writelines(head(bytes(first)))


def _jpeg_options(facts: JpegFacts | None, quality: int | None, pixels: int) -> dict[str, Any]:
    whole = pixels <= LARGEST_WHOLE_JPEG_PX
    if facts is None:
        return {"Q": quality or DEFAULT_JPEG_QUALITY, "optimize_coding": whole}
    return {
        "Q": quality or max(facts.quality, MIN_KEPT_JPEG_QUALITY),
        "subsample_mode": "on" if facts.subsampled else "off",
        "interlace": facts.progressive and whole,
        "optimize_coding": whole,
    }


def _webp_options(photo: Photo, quality: int | None) -> dict[str, Any]:
    if photo.format == "webp" and photo.lossless and quality is None:
        return {"lossless": True, "exact": True}
    return {"Q": quality or DEFAULT_WEBP_QUALITY}


def _avif_options(photo: Photo, quality: int | None) -> dict[str, Any]:
    bits = (photo.bits or _AVIF_BITS) if photo.pixels.dtype == np.uint16 else 8
    return {
        "Q": quality or DEFAULT_AVIF_QUALITY,
        "compression": "av1",
        "bitdepth": bits,
        "subsample_mode": "on" if photo.is_420 else "off",
        "effort": _AVIF_EFFORT,
    }


def _encode_tiff(image: Any, photo: Photo, keep: int, file: BinaryIO) -> None:
    iptc = None
    if image.get_typeof("iptc-data"):
        iptc = metadata.iptc_for("tiff", image.get("iptc-data"))
        image.remove("iptc-data")
    if image.get_typeof("photoshop-data"):
        kept = metadata.photoshop_without_thumbnail(image.get("photoshop-data"))
        image.set_type(vips().GValue.blob_type, "photoshop-data", kept)
    if photo.pixels_per_mm == NO_RESOLUTION:  # TIFF has to have one
        image = image.copy(xres=_USUAL_PIXELS_PER_MM, yres=_USUAL_PIXELS_PER_MM)
    predictor = "float" if photo.pixels.dtype == np.float32 else "horizontal"
    file.flush()
    target = vips().Target.new_to_descriptor(file.fileno())
    try:
        image.tiffsave_target(
            target,
            keep=keep,
            compression="deflate",
            predictor=predictor,
            resunit="inch" if metadata.in_inches((image.xres, image.yres)) else "cm",
            bigtiff=photo.pixels.nbytes > _CLASSIC_TIFF_BYTES,
        )
    except vips().Error:
        _check_room(file)
        raise
    if photo.exif or iptc:
        metadata.into_tiff(file, photo.exif, iptc)


def _check_room(file: BinaryIO) -> None:
    """Raise the system's reason for what libvips calls a "write error", if it is still there."""
    file.seek(0, os.SEEK_END)
    file.write(bytes(1 << 16))
    file.flush()


def _set_iptc(image: Any) -> None:
    """IPTC in the form that JPEG wants, without Photoshop's thumbnail."""
    if image.get_typeof("iptc-data"):
        iptc = metadata.iptc_for("jpeg", image.get("iptc-data"))
        image.remove("iptc-data")
        if iptc:
            image.set_type(vips().GValue.blob_type, "iptc-data", iptc)
