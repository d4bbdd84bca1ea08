"""Overlapping windows whose blend weights sum to exactly 1.

An image is restored tile by tile, so that memory does not grow with the image. What a tile shows
within ``halo`` pixels of one of its artificial borders is not what the whole image would show
there; tiles therefore overlap by twice the halo, and one tile hands over to the next in the
middle of the overlap, where both are right. The hand-over is a linear ramp of ``blend`` pixels,
centred on that middle: it costs no extra overlap, and what difference remains between the two
becomes a slope instead of an edge, which the eye would find in a smooth sky.

Laws, for any height, width, tile, halo, multiple and blend that :func:`spans` accepts:

* every window starts at a multiple of ``multiple`` and is a multiple of it long,
* at each pixel the weights sum to exactly 1 (they are multiples of a power of two),
* where a weight is at least ½, the pixel is at least ``halo`` away from any artificial border,
* the ``done`` areas of the windows, in their order, cover the image once and without overlap.

Everything here is a pure function of sizes; no image is needed to plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: Width of the hand-over from one tile to the next, pixels; a power of two.
BLEND_PX = 16


@dataclass(frozen=True)
class Span:
    """One window along one axis. All positions are pixels of the image."""

    start: int
    """First pixel that the window reads."""
    stop: int
    """End of what it reads; the image's end at the latest."""
    padding: int
    """Pixels to add after ``stop``, by reflection, to reach a multiple of the network's."""
    keep_start: int
    """First pixel to which the window contributes."""
    keep_stop: int
    """End of the pixels to which it contributes."""
    done_stop: int
    """Pixels from ``keep_start`` to here are complete once the window has been added; from here
    to ``keep_stop`` the next window contributes as well."""
    weights: NDArray[np.float32]
    """Blend weights in (0, 1] for ``keep_start`` … ``keep_stop``."""

    @property
    def read(self) -> slice:
        """What to read from the image."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """Where the kept pixels lie inside the window."""
        return slice(self.keep_start - self.start, self.keep_stop - self.start)

    @property
    def done(self) -> slice:
        """The pixels of the image that this window completes."""
        return slice(self.keep_start, self.done_stop)


@dataclass(frozen=True)
class Window:
    """One tile: its rows and its columns. The weight of a pixel is the product of the two."""

    rows: Span
    columns: Span

    @property
    def weights(self) -> NDArray[np.float32]:
        """``[kept rows, kept columns]``."""
        return self.rows.weights[:, None] * self.columns.weights[None, :]


def windows(
    height: int,
    width: int,
    *,
    tile: int,
    halo: int,
    multiple: int,
    blend: int = BLEND_PX,
    at_once: int = 1,
) -> Iterator[Window]:
    """The windows of an image, row by row and from left to right.

    None has more than ``tile²`` pixels. Of all grids of which that is true, it is the one that
    computes the fewest pixels; so a narrow image gets windows that are longer than ``tile``.
    ``at_once`` windows are computed at the same time: if that is two, three take as long as four.
    The other arguments, and the ValueErrors, are those of :func:`spans`.
    """
    sizes = {"tile": tile, "halo": halo, "multiple": multiple, "blend": blend, "at_once": at_once}
    rows, columns = grid(height, width, **sizes)
    return (Window(row, column) for row in rows for column in columns)


def grid(
    height: int,
    width: int,
    *,
    tile: int,
    halo: int,
    multiple: int,
    blend: int = BLEND_PX,
    at_once: int = 1,
) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The rows and the columns of :func:`windows`."""
    sizes = {"halo": halo, "multiple": multiple, "blend": blend}
    smallest = _smallest_window(halo, multiple, blend)
    best = spans(height, tile=tile, **sizes), spans(width, tile=tile, **sizes)
    if len(best[0]) == len(best[1]) == 1:
        return best
    fewest = _computed(best, at_once)
    padded_height, padded_width = _round_up(height, multiple), _round_up(width, multiple)
    for count in range(1, len(best[0]) * 4 + 1):
        length = _window_length(padded_height, count, halo, multiple)
        widest = tile * tile // length // multiple * multiple
        if (count > 1 and length < smallest) or widest < smallest:
            continue
        rows = spans(height, tile=max(length, smallest), **sizes)
        if len(rows) != count:
            continue
        across = len(spans(width, tile=widest, **sizes))
        for number in range(across, across + at_once):
            narrower = min(widest, _window_length(padded_width, number, halo, multiple))
            if number > 1 and narrower < smallest:
                continue
            found = rows, spans(width, tile=max(narrower, smallest), **sizes)
            if _computed(found, at_once) < fewest:
                best, fewest = found, _computed(found, at_once)
    return best


@dataclass(frozen=True)
class Cut:
    """A part of one axis of a tile, for what has no blending."""

    seen: slice
    """What to work on."""
    inner: slice
    """Where the wanted pixels lie in that."""
    target: slice
    """Where they lie among all wanted pixels."""


def parts(
    rows: slice,
    columns: slice,
    height: int,
    width: int,
    *,
    tile: int,
    halo: int,
    width_multiple: int = 2,
) -> list[tuple[Cut, Cut]]:
    """Cut the wanted rows and columns of a tile into parts that see ``halo`` pixels around them.

    Everything seen begins and ends at even pixels; the tile's borders are not artificial ones.
    ``width_multiple``, an even number: a part is as many pixels wide, or a multiple, unless the
    tile is narrower; it then sees more than it has to.
    """
    (top, bottom), (left, right) = _seen(rows, height, halo), _seen(columns, width, halo)
    even = _round_up(halo, 2)
    found = grid(bottom - top, right - left, tile=tile, halo=even, multiple=2, blend=0)
    across = [_widened(_cut(x, left, columns), width, width_multiple) for x in found[1]]
    return [(_cut(y, top, rows), x) for y in found[0] for x in across]


def _seen(wanted: slice, size: int, halo: int) -> tuple[int, int]:
    return max(0, wanted.start - halo) // 2 * 2, min(size, _round_up(wanted.stop + halo, 2))


def _cut(span: Span, offset: int, wanted: slice) -> Cut:
    seen = slice(offset + span.start, offset + span.stop)
    first = max(wanted.start, offset + span.keep_start)
    last = min(wanted.stop, offset + span.keep_stop)
    return Cut(
        seen,
        inner=slice(first - seen.start, last - seen.start),
        target=slice(first - wanted.start, last - wanted.start),
    )


def _widened(cut: Cut, size: int, multiple: int) -> Cut:
    """The same with more to see, where there is more."""
    length = _round_up(cut.seen.stop - cut.seen.start, multiple)
    if length > size:
        return cut
    start = min(cut.seen.start, size - length)
    shift = cut.seen.start - start
    inner = slice(cut.inner.start + shift, cut.inner.stop + shift)
    return Cut(slice(start, start + length), inner, cut.target)


def _computed(found: tuple[tuple[Span, ...], tuple[Span, ...]], at_once: int) -> int:
    """Pixels of all windows, and of those that are missing to a multiple of ``at_once``."""
    height, width = (axis[0].stop - axis[0].start + axis[0].padding for axis in found)
    return _round_up(len(found[0]) * len(found[1]), at_once) * height * width


def spans(
    size: int, *, tile: int, halo: int, multiple: int, blend: int = BLEND_PX
) -> tuple[Span, ...]:
    """Cut one axis of ``size`` pixels into windows of equal length, at most ``tile``.

    As few windows as the tile size allows, then as small as that number allows: 800 pixels with
    tiles of 768 and a halo of 48 give two windows of 448, not 768 twice.

    Args:
        size: pixels along this axis, at least 1.
        tile: longest window, overlaps included; a multiple of ``multiple``.
        halo: how far from an artificial border a window is not to be trusted; a multiple of
            ``multiple``.
        multiple: what the network divides its input by.
        blend: pixels of the linear hand-over; 0 (a hard cut) or a power of two; where the
            overlap is narrower than that, the largest power of two that fits.

    Raises:
        ValueError: sizes that do not fit together.
    """
    _check_sizes(size, tile, halo, multiple, blend)
    padded = _round_up(size, multiple)
    count = 1 if padded <= tile else -(-(padded - 2 * halo) // (tile - 2 * halo))
    length = _window_length(padded, count, halo, multiple)
    # Evenly spread; the last window ends where the padded image ends.
    steps = (padded - length) // multiple
    starts = [multiple * (i * steps // max(count - 1, 1)) for i in range(count)]
    # One window hands over to the next in the middle of their overlap.
    cuts = [(start + length + following) // 2 for start, following in pairwise(starts)]
    ramp = _ramp(_usable_blend(blend, halo))
    half = len(ramp) // 2
    result = []
    for i, start in enumerate(starts):
        first, last = i == 0, i == count - 1
        keep_start = 0 if first else cuts[i - 1] - half
        keep_stop = size if last else cuts[i] + half
        weights = np.ones(keep_stop - keep_start, np.float32)
        if not first:
            weights[: len(ramp)] *= ramp
        if not last:
            weights[len(weights) - len(ramp) :] *= 1 - ramp
        weights.flags.writeable = False
        stop = min(start + length, size)
        result.append(
            Span(
                start=start,
                stop=stop,
                padding=start + length - stop,
                keep_start=keep_start,
                keep_stop=keep_stop,
                done_stop=size if last else cuts[i] - half,
                weights=weights,
            )
        )
    return tuple(result)


class Blender:
    """Adds up weighted windows in their order and gives out pixels as they become complete.

    Keeps only the bands in which windows overlap: ``blend`` rows of the image and ``blend``
    columns of one tile, as float32. One blender serves one image once.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._above: NDArray[np.float32] | None = None  # [band, width, C], complete
        self._below: NDArray[np.float32] | None = None  # [band, width, C], being filled
        self._left: NDArray[np.float32] | None = None  # [kept rows, band, C]

    def add(self, window: Window, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add a window's kept pixels; return the pixels of its ``done`` area.

        ``values``: ``[kept rows, kept columns, C]``, which the blender weights in place; the
        result, ``[done rows, done columns, C]``, is a view of it.
        """
        rows, columns = window.rows, window.columns
        done_rows = rows.done_stop - rows.keep_start
        done_columns = columns.done_stop - columns.keep_start
        if columns.keep_start == 0:
            self._start_row(values.shape[2], rows)
        for band in _bands(rows):
            values[band] *= rows.weights[band, None, None]
        for band in _bands(columns):
            values[:, band] *= columns.weights[band, None]
        if self._left is not None:
            values[:, : self._left.shape[1]] += self._left
        self._left = values[:, done_columns:].copy()
        complete = values[:, :done_columns]
        if self._above is not None:
            complete[: self._above.shape[0]] += self._above[:, columns.done]
        if self._below is not None:
            self._below[:, columns.done] = complete[done_rows:]
        return complete[:done_rows]

    def _start_row(self, channels: int, rows: Span) -> None:
        band = rows.keep_stop - rows.done_stop
        self._above = self._below
        self._below = np.empty((band, self._width, channels), np.float32) if band else None
        self._left = None


def _bands(span: Span) -> tuple[slice, slice]:
    """Of what a window keeps, the beginning and the end, where weights are below 1."""
    return slice(0, int(np.argmax(span.weights))), slice(span.done_stop - span.keep_start, None)


def _window_length(padded: int, count: int, halo: int, multiple: int) -> int:
    """Length of ``count`` equal windows that cover ``padded`` pixels."""
    return _round_up(-(-(padded + (count - 1) * 2 * halo) // count), multiple)


def _smallest_window(halo: int, multiple: int, blend: int) -> int:
    # Windows are spread evenly in steps of `multiple`; this much keeps two hand-overs apart.
    return 2 * halo + 2 * _round_up(_usable_blend(blend, halo), multiple) + 3 * multiple


def _usable_blend(blend: int, halo: int) -> int:
    while blend > 2 * halo:
        blend //= 2
    return blend if blend > 1 else 0


def _ramp(blend: int) -> NDArray[np.float32]:
    """``[blend]``: rises from 0 to 1; ``ramp + (1 − ramp)`` is exactly 1."""
    if blend == 0:
        return np.zeros(0, np.float32)
    return ((np.arange(blend) + 0.5) / blend).astype(np.float32)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _check_sizes(size: int, tile: int, halo: int, multiple: int, blend: int) -> None:
    if size < 1 or multiple < 1 or halo < 0:
        raise ValueError(f"size {size}, multiple {multiple} or halo {halo} is too small")
    if halo % multiple:
        raise ValueError(f"halo {halo} is not a multiple of {multiple}")
    if tile % multiple:
        raise ValueError(f"tile {tile} is not a multiple of {multiple}")
    if blend and (blend < 2 or blend & (blend - 1)):
        raise ValueError(f"blend {blend} is neither 0 nor a power of two from 2 on")
    smallest = _smallest_window(halo, multiple, blend)
    if tile < smallest:
        raise ValueError(f"tile {tile} is too small for halo {halo}: use at least {smallest}")
