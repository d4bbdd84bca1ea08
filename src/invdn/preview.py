"""Photos as a screen shows them: 8-bit sRGB, upright, in several sizes, and only where asked for.

    view = View(images.read(path))
    view.put(rows, columns, restored, view.generation)    # a part of the result, as it comes
    view.before.cut(box, zoom)                            # the pixels to paint

Positions come in two kinds. *Stored* ones count rows and columns as in the file, which is how the
network gets them; *upright* ones as the viewer sees the photo, turned by its EXIF Orientation.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdn import images
from invdn.images import colour

Screen = NDArray[np.uint8]
"""``[H, W, 3]``, sRGB."""

NOISE_GAIN = 8
"""How many times larger than it is the removed noise is shown."""

BLOCK_PX = 4
"""The grain in which a view knows which parts of it are up to date, pixels: tiles end on it."""

MOST_BYTES = 3_600_000_000
"""Of memory for a photo that is looked at, with its result: 200 megapixels of 8-bit RGB. Batches
have no such limit."""
_SCREEN_BYTES = 12
"""A pixel of before, after and noise: three channels, and a third more for smaller sizes."""

_SMALLEST_LEVEL_PX = 512
_BAND_PX = 256  # rows converted at a time, so that no float copy of a whole photo is made

# The inverse of turning upright: a quarter to the right undoes a quarter to the left.
_INVERSE = {6: 8, 8: 6}


class Box(NamedTuple):
    """A rectangle of pixels; ``bottom`` and ``right`` are past its end."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)

    @property
    def area(self) -> int:
        """Pixels; 0 where it is empty."""
        return max(0, self.bottom - self.top) * max(0, self.right - self.left)

    def contains(self, other: Box) -> bool:
        """Whether another box lies in it."""
        return (
            self.top <= other.top
            and self.left <= other.left
            and other.bottom <= self.bottom
            and other.right <= self.right
        )

    def cut(self, pixels: images.Pixels, part: Box) -> images.Pixels:
        """Those of its pixels that lie in a part of it."""
        return pixels[
            part.top - self.top : part.bottom - self.top,
            part.left - self.left : part.right - self.left,
        ]

    def within(self, height: int, width: int) -> Box:
        """The part of it that an image of this size has."""
        return Box(
            max(0, self.top), max(0, self.left), min(self.bottom, height), min(self.right, width)
        )

    def centre(self, side: int) -> Box:
        """A square of this side in its middle, or what there is of it."""
        middle_row, middle_column = (self.top + self.bottom) // 2, (self.left + self.right) // 2
        square = Box(
            middle_row - side // 2,
            middle_column - side // 2,
            middle_row + side // 2,
            middle_column + side // 2,
        )
        return Box(
            max(square.top, self.top),
            max(square.left, self.left),
            min(square.bottom, self.bottom),
            min(square.right, self.right),
        )


def turned_box(box: Box, height: int, width: int, orientation: int) -> Box:
    """Where a box of stored positions lies once an image of this size is turned upright."""
    top, left, bottom, right = box
    if orientation in (2, 4, 5, 7):  # mirrored first, as in images.turned_upright
        left, right = width - right, width - left
    if orientation in (3, 4):
        return Box(height - bottom, width - right, height - top, width - left)
    if orientation in (5, 8):
        return Box(width - right, top, width - left, bottom)
    if orientation in (6, 7):
        return Box(left, height - bottom, right, height - top)
    return Box(top, left, bottom, right)


class Pyramid:
    """An image in full size, half, a quarter, and so on, so that any zoom is cheap to paint."""

    def __init__(self, full: Screen) -> None:
        self.levels = [full]
        while max(self.levels[-1].shape[:2]) > _SMALLEST_LEVEL_PX:
            self.levels.append(_halved(self.levels[-1]))

    @property
    def height(self) -> int:
        return int(self.levels[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.levels[0].shape[1])

    def copy(self) -> Pyramid:
        """Another one with the same pixels."""
        other = object.__new__(Pyramid)
        other.levels = [level.copy() for level in self.levels]
        return other

    def like(self) -> Pyramid:
        """Another one of the same size, all grey."""
        other = object.__new__(Pyramid)
        other.levels = [np.full_like(level, 128) for level in self.levels]
        return other

    def put(self, box: Box, pixels: Screen) -> None:
        """Replace what is in a box, in every size."""
        top, left, bottom, right = box
        self.levels[0][top:bottom, left:right] = pixels
        for finer, coarser in zip(self.levels, self.levels[1:], strict=False):
            top, left, bottom, right = top // 2, left // 2, -(-bottom // 2), -(-right // 2)
            source = finer[2 * top : 2 * bottom, 2 * left : 2 * right]
            coarser[top:bottom, left:right] = _halved(source)

    def cut(self, box: Box, zoom: float) -> tuple[Screen, int]:
        """The pixels to paint a box at a zoom (screen pixels for each image pixel).

        Returns a contiguous copy from the level that is at least as fine as the screen, and how
        many image pixels one of its pixels stands for, a power of two; it starts at
        ``box.top // that`` and ``box.left // that``.
        """
        level = 0
        while level + 1 < len(self.levels) and zoom * 2 ** (level + 1) <= 1:
            level += 1
        step = 2**level
        cut = self.levels[level][
            box.top // step : -(-box.bottom // step), box.left // step : -(-box.right // step)
        ]
        return np.ascontiguousarray(cut), step


class View:
    """A photo before and after, as the screen shows them, while the result is coming in.

    Parts of the result may be put in from any thread. ``generation`` counts the settings that
    were tried: a part that was made with older ones is not taken.
    """

    def __init__(self, photo: images.Photo) -> None:
        self.photo = photo
        self.generation = 0
        self.before = Pyramid(images.turned_upright(_on_screen(photo), photo.orientation))
        self.after = self.before.copy()
        self.noise: Pyramid | None = None
        """What was removed, `NOISE_GAIN` times as strong, around a middle grey; where wanted."""
        self._lock = threading.Lock()
        # One after the other: a draft must not come between a result and its being up to date.
        self._putting = threading.Lock()
        blocks = (-(-photo.height // BLOCK_PX), -(-photo.width // BLOCK_PX))
        self._fresh = np.zeros(blocks, bool)
        self._restored = np.zeros(blocks, bool)  # whatever the settings were

    def outdate(self) -> int:
        """From now on the result is another one: returns the new generation."""
        with self._lock:
            self._fresh[:] = False
            self.generation += 1
            return self.generation

    def put(
        self,
        rows: slice,
        columns: slice,
        pixels: images.Pixels,
        generation: int,
        *,
        draft: bool = False,
    ) -> bool:
        """Take a part of the result, stored as in the file; False if it is an outdated one.

        draft: whether it is only nearly right: it still counts as missing, and is not taken where
        the result is there.
        """
        photo = self.photo
        shown = images.turned_upright(to_screen(pixels, photo.fields), photo.orientation)
        box = self.upright(Box(rows.start, columns.start, rows.stop, columns.stop))
        with self._putting:
            return self._put(rows, columns, box, shown, generation, draft)

    def _put(
        self, rows: slice, columns: slice, box: Box, shown: Screen, generation: int, draft: bool
    ) -> bool:
        photo = self.photo
        for band in _bands(box):
            with self._lock:  # for a moment only: the interface thread calls outdate()
                if generation != self.generation:
                    return False
                part = shown[band.top - box.top : band.bottom - box.top]
                if draft:
                    done, there = self._done(band), self.after.levels[0][band.rows, band.columns]
                    part = np.where(done[:, :, None], there, part)
                self.after.put(band, part)
                self._put_noise(band)
        blocks = _inner_blocks(rows, photo.height), _inner_blocks(columns, photo.width)
        with self._lock:
            if generation != self.generation:
                return False
            self._restored[blocks] = True
            if not draft:
                self._fresh[blocks] = True
        return True

    def _done(self, box: Box) -> NDArray[np.bool_]:
        """Which pixels of an upright box are up to date."""
        stored = self.stored(box)
        rows = np.arange(stored.top, stored.bottom) // BLOCK_PX
        columns = np.arange(stored.left, stored.right) // BLOCK_PX
        return images.turned_upright(self._fresh[np.ix_(rows, columns)], self.photo.orientation)

    def _put_noise(self, box: Box) -> None:
        noise = self.noise  # once: another thread may take it away
        if noise is not None:
            before, after = self.before.levels[0], self.after.levels[0]
            noise.put(
                box, removed_noise(before[box.rows, box.columns], after[box.rows, box.columns])
            )

    def is_restored(self, box: Box) -> bool:
        """Whether all of a stored box shows a result, be it one of earlier settings."""
        return bool(self._restored[_outer_blocks(box)].all())

    def missing(self, box: Box) -> Box | None:
        """The smallest stored box around what is not up to date of one; None if all is."""
        first_row, first_column = box.top // BLOCK_PX, box.left // BLOCK_PX
        with self._lock:
            stale = ~self._fresh[_outer_blocks(box)]
        rows, columns = np.flatnonzero(stale.any(axis=1)), np.flatnonzero(stale.any(axis=0))
        if len(rows) == 0:
            return None
        return Box(
            (first_row + int(rows[0])) * BLOCK_PX,
            (first_column + int(columns[0])) * BLOCK_PX,
            (first_row + int(rows[-1]) + 1) * BLOCK_PX,
            (first_column + int(columns[-1]) + 1) * BLOCK_PX,
        ).within(self.photo.height, self.photo.width)

    def show_noise(self, wanted: bool) -> None:
        """Keep `noise` up to date from now on, or give its memory back."""
        if not wanted:
            self.noise = None
        elif self.noise is None:
            self.noise = self.before.like()
            for band in _bands(Box(0, 0, self.before.height, self.before.width)):
                with self._lock:
                    self._put_noise(band)

    def upright(self, box: Box) -> Box:
        """A stored box as the viewer sees it."""
        return turned_box(box, self.photo.height, self.photo.width, self.photo.orientation)

    def stored(self, box: Box) -> Box:
        """An upright box as the file has it."""
        orientation = self.photo.orientation
        return turned_box(
            box, self.before.height, self.before.width, _INVERSE.get(orientation, orientation)
        )


class TooLargeError(images.PhotoError):
    """A photo would take more memory than what is only looked at may, see `MOST_BYTES`."""


def read(path: Path) -> images.Photo:
    """The photo in a file. Raises `images.PhotoError`, `TooLargeError` too."""
    with images.opened(path) as found:
        _check_size(found.photo)
        return found.whole()


def check(path: Path) -> None:
    """Raise what `read` would raise before it reads the pixels."""
    with images.opened(path) as found:
        _check_size(found.photo)


def _check_size(photo: images.Photo) -> None:
    pixels = photo.width * photo.height
    if 2 * photo.pixels.nbytes + _SCREEN_BYTES * pixels > MOST_BYTES:
        raise TooLargeError(f"has {pixels / 1e6:.0f} megapixels, too many to be shown")


def to_screen(pixels: images.Pixels, fields: Mapping[str, Any] | None = None) -> Screen:
    """Pixels (H×W or H×W×C of any type that photos have) as 8-bit sRGB, ``[H, W, 3]``.

    fields: the photo's, of which the ICC profile is applied. Transparent pixels are shown on
    white. May share memory with `pixels` where nothing had to change.
    """
    shown = images.to_depth(pixels, "uint8")
    if shown.ndim == 2:
        shown = shown[:, :, None]
    if shown.shape[2] in (2, 4):
        shown = images.on_white(shown)
    profile = (fields or {}).get("icc-profile-data")
    if shown.shape[2] == 1:
        if curve := colour.profile_of(profile, 1):
            shown = images.to_depth(colour.shown(shown, curve), "uint8")
        shown = np.repeat(shown, 3, axis=2)
    elif profile is not None and _changes_colours(profile):
        shown = images.to_srgb(shown, profile)
    return np.ascontiguousarray(shown)


def removed_noise(before: Screen, after: Screen) -> Screen:
    """What was taken away, `NOISE_GAIN` times as strong, around a middle grey of 128."""
    difference = before.astype(np.int16)
    difference -= after
    difference *= NOISE_GAIN
    difference += 128
    np.clip(difference, 0, 255, out=difference)
    return difference.astype(np.uint8)


def at_strength(
    before: images.Pixels, restored: images.Pixels, strength: float, wanted: float
) -> images.Pixels:
    """A draft of the result at one strength, from that at a higher one, at once.

    The network decodes a point on a line between two latents, so that a point on the line between
    two images is nearer to it than the old result: for the time until the result is there. On
    waves with noise of σ 15 a draft for 0.6 made from 1.0 is 3.6 grey levels off, where showing
    the old result would be 5.2 off. Beyond the higher strength it is no good: with strong noise
    it is further off than the old result is.
    """
    high = 1.0 if before.dtype.kind == "f" else float(np.iinfo(before.dtype).max)
    weight = np.float32(wanted / strength)
    mixed = restored.astype(np.float32)
    mixed -= before
    mixed *= weight
    mixed += before
    np.clip(mixed, 0, high, out=mixed)
    draft: images.Pixels = mixed if before.dtype.kind == "f" else np.rint(mixed)
    return draft.astype(before.dtype)


def thumbnail(path: Path, side_px: int) -> tuple[Screen, float]:
    """A small upright picture of a photo, its longer side `side_px`, and the photo's megapixels.

    Raises `images.PhotoError` where there is none to be had.
    """
    pixels, profile, megapixels = images.read_small(path, side_px)
    return to_screen(pixels, {"icc-profile-data": profile} if profile else None), megapixels


def _on_screen(photo: images.Photo) -> Screen:
    pixels = photo.pixels
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3:
        return to_screen(pixels, photo.fields)
    shown = np.empty((photo.height, photo.width, 3), np.uint8)
    for start in range(0, photo.height, _BAND_PX):
        band = slice(start, start + _BAND_PX)
        shown[band] = to_screen(pixels[band], photo.fields)
    return shown


def _halved(image: Screen) -> Screen:
    """Half the size, each pixel the mean of four; an odd last row or column is repeated."""
    height, width = image.shape[:2]
    half = np.empty((-(-height // 2), -(-width // 2), 3), np.uint8)
    for start in range(0, len(half), _BAND_PX):
        band = image[2 * start : 2 * (start + _BAND_PX)]
        if len(band) % 2 or width % 2:
            band = np.pad(band, ((0, len(band) % 2), (0, width % 2), (0, 0)), mode="edge")
        total = band[0::2, 0::2].astype(np.uint16)
        for part in (band[0::2, 1::2], band[1::2, 0::2], band[1::2, 1::2]):
            total += part
        total += 2
        total >>= 2
        half[start : start + _BAND_PX] = total
    return half


def _bands(box: Box) -> Iterator[Box]:
    """The box from top to bottom in pieces that are quickly done."""
    for top in range(box.top, box.bottom, _BAND_PX):
        yield Box(top, box.left, min(top + _BAND_PX, box.bottom), box.right)


def _inner_blocks(part: slice, size: int) -> slice:
    """The blocks that lie in a part as a whole; at the end of the image, as far as it goes."""
    last = -(-size // BLOCK_PX) if part.stop == size else part.stop // BLOCK_PX
    return slice(-(-part.start // BLOCK_PX), last)


def _outer_blocks(box: Box) -> tuple[slice, slice]:
    """The blocks of which a box has anything."""
    return (
        slice(box.top // BLOCK_PX, -(-box.bottom // BLOCK_PX)),
        slice(box.left // BLOCK_PX, -(-box.right // BLOCK_PX)),
    )


@functools.lru_cache(maxsize=8)
def _changes_colours(profile: bytes) -> bool:
    """Whether a profile means anything else than sRGB; one that cannot be used does not."""
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(6, 36, 3)
    try:
        moved = images.to_srgb(cube, profile)
    except images.PhotoError:
        return False
    return bool(np.abs(moved.astype(int) - cube).max() > 2)
