"""Clean pictures that photos seldom are: neon, flags, logos, stage light, print, meshes.

A network that has seen photos alone fails where two saturated colours meet: at the border of pure
green and magenta it left dots of any colour, ten to twenty pixels deep, even without noise. And it
took stripes and checks of a pixel for noise, whatever their contrast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from invdn.data.patches import Pixels

Floats = npt.NDArray[np.floating[Any]]

MOST_CONTRAST = 2.5
"""Beyond that texture is as strong as noise, and nobody could tell the two apart."""
_SMOOTH_PX = 5


def vivid(patch: Pixels, rng: np.random.Generator) -> Pixels:
    """Other colours for a patch ``[H, W, 3]``: half of the time its own shapes in false ones, else
    a poster of two or three flat colours."""
    return false_colours(patch, rng) if rng.random() < 0.5 else poster(patch, rng)


def false_colours(patch: Pixels, rng: np.random.Generator) -> Pixels:
    """The patch with its channels exchanged, some of them inverted, and more contrast."""
    values = patch[..., rng.permutation(3)].astype(np.float32)
    values = np.where(rng.random(3) < 0.5, 255.0 - values, values)
    pivot = rng.uniform(64.0, 192.0, 3)
    contrast = np.exp(rng.uniform(0.0, np.log(MOST_CONTRAST)))
    return _rounded((values - pivot) * contrast + pivot)


def poster(patch: Pixels, rng: np.random.Generator) -> Pixels:
    """Flat colours in the shapes of the patch, with straight borders, or in fine regular patterns;
    hard ones or soft."""
    picture = np.broadcast_to(_colour(rng), patch.shape)
    for _ in range(rng.integers(1, 3)):
        kind = rng.random()
        if kind < 0.4:
            cover = _shape(patch, rng)
        elif kind < 0.75:
            cover = _half_plane(patch.shape, rng)
        else:
            cover = _pattern(patch.shape, rng)
        picture = picture + cover[..., None] * (_colour(rng) - picture)
    return _rounded(picture)


def _colour(rng: np.random.Generator) -> Floats:
    """Each channel at one of its ends, more often than not."""
    ends = 255.0 * rng.integers(0, 2, 3)
    return np.where(rng.random(3) < 0.7, ends, rng.uniform(0.0, 255.0, 3))


def _shape(patch: Pixels, rng: np.random.Generator) -> Floats:
    """Where the patch is brighter than about half of it, ``[H, W]`` in [0, 1]."""
    around = np.pad(patch.mean(axis=2), _SMOOTH_PX // 2, mode="edge")
    # Means over squares: borders that follow texture would be noise.
    brightness = sliding_window_view(around, (_SMOOTH_PX, _SMOOTH_PX)).mean(axis=(2, 3))
    middle = np.quantile(brightness, rng.uniform(0.2, 0.8))
    cover: Floats = (brightness - middle) * np.exp(rng.uniform(-3.0, 1.0)) + 0.5
    return np.clip(cover, 0.0, 1.0)


def _half_plane(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """One side of a straight line through the patch, ``[H, W]`` in [0, 1]; half of them level."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    angle = _angle(rng)
    at = rng.uniform(0.1, 0.9, 2) * shape[:2]
    # Level lines lie between two pixels: their borders are as hard as any.
    distance = np.sin(angle) * (rows - np.floor(at[0]) - 0.5)
    distance = distance + np.cos(angle) * (columns - np.floor(at[1]) - 0.5)
    softness = rng.uniform(0.3, 3.0) if rng.random() < 0.5 else 0.3
    cover: Floats = distance / softness + 0.5
    return np.clip(cover, 0.0, 1.0)


def _pattern(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Stripes or checks of 1 to 6 pixels, ``[H, W]`` in [0, 1]: nearly as fine as noise, but
    regular."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    angle, period = _angle(rng), 2.0 * np.exp(rng.uniform(0.0, np.log(6.0)))
    across = np.cos(angle) * columns + np.sin(angle) * rows
    along = np.cos(angle) * rows - np.sin(angle) * columns
    waves = np.sin(2 * np.pi * across / period + rng.uniform(0.0, 2 * np.pi))
    if rng.random() < 0.4:
        waves = waves * np.sin(2 * np.pi * along / period + rng.uniform(0.0, 2 * np.pi))
    cover: Floats = (waves > 0).astype(np.float64) if rng.random() < 0.5 else 0.5 + 0.5 * waves
    return rng.uniform(0.1, 1.0) * cover


def _angle(rng: np.random.Generator) -> float:
    """Of a direction, radians; level or upright half of the time."""
    if rng.random() < 0.5:
        return float(rng.integers(4) * np.pi / 2)
    return float(rng.uniform(0.0, 2 * np.pi))


def _rounded(values: Floats) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0.0, 255.0).astype(np.uint8)
    return rounded
