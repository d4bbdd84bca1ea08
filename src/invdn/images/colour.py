"""Colour profiles: the network sees sRGB-like values, the file keeps its own profile.

The network was trained on sRGB. Of a wider or otherwise different space (Display P3, Adobe RGB,
ProPhoto) each channel is shown to it with sRGB's tones, and with the primaries that it has: a
matrix would mix the noise of the channels, and near black the curve would then make it many times
as strong (see docs/decisions.md). What the network changed, and nothing else, then goes back: with
`s` what it was shown of a pixel `p`, and `r` what it made of that,

    result = p + (from_shown(r) − from_shown(s)),

so that what the network leaves alone stays bit for bit, however exact the conversions are.

Profiles of three curves and a matrix (the three above; ICC.1:2022, 8.3.3) and grey ones with a
curve are computed here; those with tables go through libvips and Little CMS. For screens colours
are converted as a whole, to *extended* sRGB, where those outside sRGB have values below 0 or
above 1 instead of being clipped (far outside in smaller steps).
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from invdn.images.photo import PhotoError, Pixels
from invdn.images.vips import detail, vips

Values = npt.NDArray[np.float32]
"""H×W×C without alpha, C = 1 or 3; 0 is black, 1 is white, and beyond is allowed."""

_SRGB_LIKE = 0.01  # a profile that differs by less than this on a test grid is sRGB itself

# Linear sRGB to the profile connection space (XYZ under D50), the columns of the sRGB profile.
_SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
_SAMPLES = 4096
_LEFT_ALONE, _STEP = 0.2, 0.25


class Profile(Protocol):
    """Between a profile's values and extended sRGB, or its tones alone, both as `Values`."""

    def to_srgb(self, values: Values) -> Values: ...

    def from_srgb(self, values: Values) -> Values: ...


@dataclass(frozen=True, eq=False)
class CurvesAndMatrix:
    """Three curves to linear light, then a matrix; or one curve, for grey."""

    curves: npt.NDArray[np.float32]
    """[1 or 3, 4096]: linear light at equal steps of the value from 0 to 1, never falling."""
    matrix: npt.NDArray[np.float32] | None
    """3×3: linear RGB of the profile to linear sRGB; None for grey, and for tones alone."""

    def to_srgb(self, values: Values) -> Values:
        steps = np.linspace(0, 1, _SAMPLES, dtype=np.float32)
        linear = self._through(values, [(steps, curve) for curve in self.curves])
        if self.matrix is not None:
            linear = linear @ self.matrix.T
        return _encode(linear)

    def from_srgb(self, values: Values) -> Values:
        steps = np.linspace(0, 1, _SAMPLES, dtype=np.float32)
        linear = _decode(values)
        if self.matrix is not None:
            linear = linear @ np.linalg.inv(self.matrix).T.astype(np.float32)
        return self._through(linear, [(curve, steps) for curve in self.curves])

    @staticmethod
    def _through(values: Values, curves: list[tuple[Values, Values]]) -> Values:
        """Each channel through its curve, given as (where, what there)."""
        result = np.empty_like(values)
        for channel, (at, there) in enumerate(curves):
            result[..., channel] = np.interp(values[..., channel], at, there)
        return result


@dataclass(frozen=True, eq=False)
class Tables:
    """A profile with look-up tables, through Little CMS; within the gamut of sRGB."""

    profile: bytes

    def to_srgb(self, values: Values) -> Values:
        return self._transformed(values, "srgb", from_own=True)

    def from_srgb(self, values: Values) -> Values:
        return self._transformed(values, "", from_own=False)

    def _transformed(self, values: Values, target: str, *, from_own: bool) -> Values:
        import tempfile
        from pathlib import Path

        library = vips()
        whole = np.rint(values.clip(0, 1) * np.float32(65535)).astype(np.uint16)
        image = library.Image.new_from_memory(
            whole.tobytes(), whole.shape[1], whole.shape[0], whole.shape[2], "ushort"
        ).copy(interpretation="rgb16")
        if from_own:
            image.set_type(library.GValue.blob_type, "icc-profile-data", self.profile)
            done = image.icc_transform(target, embedded=True, depth=16).numpy()
        else:
            with tempfile.TemporaryDirectory() as folder:  # libvips takes profiles as files only
                path = Path(folder) / "own.icc"
                path.write_bytes(self.profile)
                done = image.icc_transform(str(path), input_profile="srgb", depth=16).numpy()
        result: Values = done.astype(np.float32) / np.float32(65535)
        return result


def tones_of(icc: bytes | None, channels: int) -> Profile | None:
    """What a photo's profile does to each channel's tones; None where they are sRGB's.

    Channels and profiles are those of `profile_of`; one with tables is taken as a whole.
    """
    profile = profile_of(icc, channels)
    if not isinstance(profile, CurvesAndMatrix):
        return profile
    tones = replace(profile, matrix=None)
    return None if _is_srgb(tones, channels) else tones


def profile_of(icc: bytes | None, channels: int) -> Profile | None:
    """What a photo's profile does to its colours; None where they are sRGB or as good as.

    channels: 1 (grey) or 3, without alpha. A profile that makes no sense, or is for other
    channels, counts as sRGB: viewers do the same.
    """
    if not icc or len(icc) < 132 or len(icc) > 1 << 24:
        return None
    wanted = {1: b"GRAY", 3: b"RGB "}[channels]
    if icc[16:20] != wanted:
        return None
    tags = _tags(icc)
    try:
        profile: Profile
        if channels == 1:
            profile = CurvesAndMatrix(_curve(tags[b"kTRC"])[None], None)
        elif b"rXYZ" in tags:
            columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
            curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
            matrix = np.linalg.inv(_SRGB_TO_XYZ) @ np.stack(columns, axis=1)
            np.linalg.inv(matrix)  # a singular one makes no sense
            profile = CurvesAndMatrix(curves, matrix.astype(np.float32))
        else:
            profile = Tables(icc)
        return None if _is_srgb(profile, channels) else profile
    except (KeyError, ValueError, struct.error, np.linalg.LinAlgError):
        return None
    except Exception as error:
        if type(error).__module__.startswith("pyvips"):  # Little CMS does not understand it
            return None
        raise


@functools.cache
def builtin_profile(name: str) -> bytes:
    """One of the profiles that come with libvips: "srgb" or "p3"."""
    pixel = vips().Image.black(1, 1, bands=3).copy(interpretation="srgb")
    return bytes(pixel.icc_transform(name, input_profile="srgb").get("icc-profile-data"))


_DISPLAY_P3, _BT2020 = 12, 9  # colour primaries (ITU-T H.273, 8.1)
_HDR = (16, 18)  # transfer characteristics (8.2): PQ and HLG


def profile_of_codes(primaries: int, transfer: int) -> bytes | None:
    """A profile for what a file without one says of its colours in two numbers; None for sRGB.

    Raises `PhotoError` for what no profile here can say.
    """
    if transfer in _HDR:
        raise PhotoError("is HDR (PQ or HLG), which cannot be kept: convert it to SDR first")
    if primaries == _BT2020:
        raise PhotoError("has the colours of BT.2020 and no profile: convert it to RGB first")
    return builtin_profile("p3") if primaries == _DISPLAY_P3 else None


def fits(icc: bytes, channels: int) -> bool:
    """Whether a profile is for pixels of 1 (grey) or 3 channels; libvips drops others."""
    kind = {1: b"GRAY", 3: b"RGB "}[channels]
    whole = len(icc) >= 132 and int.from_bytes(icc[:4], "big") <= len(icc)
    return whole and icc[36:40] == b"acsp" and icc[16:20] == kind


def shown(pixels: Pixels, profile: Profile) -> Values:
    """Pixels without alpha as the network, or a screen, is to see them, H×W×C, −0.5 to 1.5."""
    extended = profile.to_srgb(_values(pixels))
    return _squeezed(extended).clip(-0.5, 1.5)


def changed(pixels: Pixels, profile: Profile, before: Values, after: Values) -> Pixels:
    """Pixels with the change that the network made to what it was shown; alpha stays.

    before, after: H×W×C without alpha, as shown and as restored.
    """
    own = _values(pixels)
    change = profile.from_srgb(_unsqueezed(after)) - profile.from_srgb(_unsqueezed(before))
    result = own + change
    colours = result.shape[2]
    restored = pixels.reshape(*pixels.shape[:2], -1).copy()
    if pixels.dtype.kind == "f":
        restored[..., :colours] = result
    else:
        top = np.float32(np.iinfo(pixels.dtype).max)
        restored[..., :colours] = np.rint(result.clip(0, 1) * top).astype(pixels.dtype)
    return restored.reshape(pixels.shape)


def _squeezed(values: Values) -> Values:
    """Extended sRGB with what lies more than 0.2 outside [0, 1] in steps of a quarter.

    ProPhoto's green is −0.9 in the red of extended sRGB: that becomes −0.375.
    """
    low, high, step = np.float32(-_LEFT_ALONE), np.float32(1 + _LEFT_ALONE), np.float32(_STEP)
    inner = values.clip(low, high)
    squeezed: Values = inner + (values - inner) * step
    return squeezed


def _unsqueezed(values: Values) -> Values:
    low, high, step = np.float32(-_LEFT_ALONE), np.float32(1 + _LEFT_ALONE), np.float32(_STEP)
    inner = values.clip(low, high)
    extended: Values = inner + (values - inner) / step
    return extended


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """8-bit RGB pixels ``[H, W, 3]`` from the colour space of an ICC profile to sRGB.

    Raises `PhotoError` where the profile cannot be used.
    """
    library = vips()
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    image = library.Image.new_from_memory(pixels.data, width, height, 3, "uchar")
    image = image.copy(interpretation="srgb")
    image.set_type(library.GValue.blob_type, "icc-profile-data", profile)
    try:
        converted: Pixels = image.icc_transform("srgb", embedded=True).numpy()
    except library.Error as error:
        raise PhotoError(f"the colour profile cannot be used ({detail(error)})") from error
    return converted


def _values(pixels: Pixels) -> Values:
    planes = pixels.reshape(*pixels.shape[:2], -1)
    colours = planes.shape[2] if planes.shape[2] % 2 else planes.shape[2] - 1
    values = planes[..., :colours].astype(np.float32)
    return values if pixels.dtype.kind == "f" else values / np.float32(np.iinfo(pixels.dtype).max)


def _encode(linear: Values) -> Values:
    """sRGB's curve, mirrored below 0."""
    size = np.abs(linear)
    curved = np.float32(1.055) * np.power(size, np.float32(1 / 2.4)) - np.float32(0.055)
    encoded = np.where(size <= 0.0031308, np.float32(12.92) * size, curved)
    return np.copysign(encoded, linear).astype(np.float32)


def _decode(values: Values) -> Values:
    size = np.abs(values)
    curved = np.power((size + np.float32(0.055)) / np.float32(1.055), np.float32(2.4))
    linear = np.where(size <= 0.04045, size / np.float32(12.92), curved)
    return np.copysign(linear, values).astype(np.float32)


def _is_srgb(profile: Profile, channels: int) -> bool:
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    grid = np.stack(np.meshgrid(*[steps] * channels, indexing="ij"), axis=-1)
    grid = grid.reshape(1, -1, channels)
    return bool(np.abs(profile.to_srgb(grid) - grid).max() < _SRGB_LIKE)


# --- the bytes of a profile ----------------------------------------------------------------------


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    tags = {}
    for row in range(132, min(132 + 12 * min(count, 200), len(icc) - 11), 12):
        name, start, size = struct.unpack_from(">4sII", icc, row)
        tags[name] = icc[start : start + size]
    return tags


def _xyz(tag: bytes) -> Any:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> npt.NDArray[np.float32]:
    """A tone curve, sampled at `_SAMPLES` equal steps; never falling."""
    with np.errstate(all="ignore"):  # what comes of nonsense is looked at
        y = _sampled(tag, np.linspace(0, 1, _SAMPLES))
    if not np.isfinite(y).all() or y.max() <= y.min():
        raise ValueError("no curve that makes sense")
    return np.maximum.accumulate(y.clip(0, 1)).astype(np.float32)


def _sampled(tag: bytes, x: Any) -> Any:
    if tag[:4] == b"para":
        return _parametric(tag, x)
    if tag[:4] != b"curv":
        raise ValueError("no curve")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return x
    if count == 1:
        return x ** (struct.unpack_from(">H", tag, 12)[0] / 256)
    table = np.frombuffer(tag, ">u2", count, 12) / 65535
    return np.interp(x, np.linspace(0, 1, count), table)


def _parametric(tag: bytes, x: Any) -> Any:
    """Parametric curves, types 0 to 4 (ICC.1:2022, 10.18)."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    counts = (1, 3, 4, 5, 7)
    if kind >= len(counts):
        raise ValueError("an unknown curve")
    g, *rest = np.array(struct.unpack_from(f">{counts[kind]}i", tag, 12)) / 65536
    a, b, c, d, e, f = np.pad(rest, (0, 6 - len(rest)))
    if kind == 0:
        return x**g
    power = np.maximum(a * x + b, 0) ** g
    if kind in (1, 2):
        if a == 0:
            raise ValueError("a curve that makes no sense")
        return np.where(x >= -b / a, power + c, c)
    return np.where(x >= d, power + e, c * x + f)
