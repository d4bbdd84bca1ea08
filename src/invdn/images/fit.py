"""Pixels made to fit what a format can hold: turned upright, another depth, no transparency."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from invdn import metadata
from invdn.images import colour, extras
from invdn.images.photo import Photo, Pixels
from invdn.images.vips import vips


def upright(photo: Photo) -> Photo:
    """The same picture with its pixels turned as the Orientation tag says, and the tag gone."""
    if photo.orientation == 1:
        return photo
    turned = turned_upright(photo.pixels, photo.orientation)
    return replace(upright_facts(photo), pixels=turned)


def upright_facts(photo: Photo) -> Photo:
    """What belongs to a photo whose pixels are being turned upright elsewhere."""
    swap = photo.orientation >= 5
    fields = dict(photo.fields)
    if "xmp-data" in fields:
        fields["xmp-data"] = metadata.xmp_upright(fields["xmp-data"])
    return replace(
        photo,
        orientation=1,
        exif=metadata.upright(photo.exif, swap_sides=swap) if photo.exif else None,
        fields=fields,
        pixels_per_mm=photo.pixels_per_mm[::-1] if swap else photo.pixels_per_mm,
    )


def image_turned_upright(image: Any, orientation: int) -> Any:
    """A libvips image turned and mirrored as an EXIF Orientation of 1–8 says."""
    image = image.copy()
    image.set_type(vips().GValue.gint_type, "orientation", orientation)
    return image.autorot()


def turned_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels (H×W or H×W×C) turned and mirrored as an EXIF Orientation of 1–8 says."""
    if orientation in (2, 5, 7, 4):
        # A mirror image: 2 is left-right; 5, 7 and 4 are that, turned further.
        pixels = pixels[:, ::-1]
    quarters = {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(orientation, 0)  # counter-clockwise
    return np.ascontiguousarray(np.rot90(pixels, quarters))


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


def as_rgb8(photo: Photo) -> Photo:
    """The picture alone, as screens show it: upright, sRGB, 8 bits, on white, without metadata."""
    pixels = on_white(photo.pixels) if photo.has_alpha else photo.pixels
    profile = colour.profile_of(photo.fields.get("icc-profile-data"), photo.colours)
    if profile is not None:
        pixels = colour.shown(pixels, profile)
    pixels = turned_upright(to_depth(pixels, "uint8"), photo.orientation)
    planes = pixels.reshape(*pixels.shape[:2], -1)
    rgb = np.ascontiguousarray(np.broadcast_to(planes, (*planes.shape[:2], 3)))
    return Photo(rgb, "png")


def without_metadata(photo: Photo) -> Photo:
    """The photo without what tells of its camera, place, time and owner.

    The ICC profile stays, without which the colours would change, and so does the resolution; the
    orientation stays as well, and with no EXIF to carry it the pixels are turned on writing.
    """
    fields = {name: photo.fields[name] for name in photo.fields if name == "icc-profile-data"}
    kept = extras.without_texts(photo.extras, photo.format)
    return replace(photo, exif=None, fields=fields, extras=kept)
