"""Array in, array out: pads, cuts into tiles, runs the network, puts the tiles together."""

from __future__ import annotations

import math
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from invdn.ensembles import SYMMETRIES, TURNS, Ensemble, Member, turn, turn_back
from invdn.latents import normal_field
from invdn.runtime import AT_ONCE, ModelInfo, is_whole, load_model
from invdn.tiling import Blender, Window, windows

MAX_STRENGTH = 1.5

#: How far outside [0, 1] float32 images may reach: wide-gamut conversions and sharpening
#: overshoot a little; anything further off is scaled otherwise.
FLOAT_TOLERANCE = 0.5

_ROWS_AT_ONCE = 32

#: From so many tiles on, those that are restored at once take turns where they need most memory:
#: that one of them waits for the other once, in the beginning, is then next to nothing.
_MANY_TILES = 32

_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))

#: ``read(rows, columns)`` → the pixels there, ``[h, w]`` or ``[h, w, C]``.
Read = Callable[[slice, slice], NDArray[Any]]
#: ``write(rows, columns, pixels)`` takes the restored pixels, shaped like what was read.
Write = Callable[[slice, slice, NDArray[Any]], None]
#: Is told the fraction that is done, in (0, 1]; may raise to stop.
Progress = Callable[[float], object]


#: Region, restored pixels, and the memory that they are in.
_Found = tuple[NDArray[Any], NDArray[np.float32], "_Buffer"]
Tell = Callable[[], None]


class OptionError(ValueError):
    """What was asked for is not to be had from this model, whatever the image; one line."""


class TileModel(Protocol):
    """What a :class:`Denoiser` needs: :class:`invdn.runtime.Model`, or anything like it.

    ``z`` is only given to models whose ``info`` has latent channels, ``kept`` and ``out`` to
    those that it gives a fine halo, and ``shared`` and ``sparing`` to those that can do several
    tiles at once.
    """

    @property
    def info(self) -> ModelInfo:
        """Name, sizes, where it runs."""

    def __call__(
        self,
        image: NDArray[np.float32],
        strength: float,
        *,
        z: NDArray[np.float32] = ...,
        kept: tuple[slice, slice] = ...,
        out: NDArray[np.float32] = ...,
        last: bool = False,
        shared: bool = ...,
        sparing: bool = ...,
    ) -> NDArray[np.float32]:
        """Restore a tile, ``[H, W, 3]`` → its ``kept`` rows and columns, or all; ``out`` if given.

        The tile may be overwritten after the call; ``out`` may be in the tile's memory.
        """


class _Buffer:
    """Memory for one tile, and then for what becomes of it; used again for other tiles.

    Fresh memory is dear: the system clears it page by page, as long as a conversion takes.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)

    def array(self, height: int, width: int) -> NDArray[np.float32]:
        """``[height, width, 3]``, of any content; the same memory each time."""
        size = height * width * 3
        if self._memory.size < size:
            self._memory = np.empty(size, np.float32)
        return self._memory[:size].reshape(height, width, 3)


@dataclass(frozen=True)
class _Call:
    """How a model is called for a tile."""

    shared: bool
    """Other tiles are restored at the same time."""
    sparing: bool
    """They take turns where they need most memory."""
    last: bool
    """No further tile follows."""
    origin: tuple[int, int] = (0, 0)
    """Where the image begins in the one that it is a part of, for random latents; pixels."""

    def options(self, *, last: bool) -> dict[str, Any]:
        """For :class:`TileModel`; ``last`` says that it is the last time for this tile."""
        options: dict[str, Any] = {"last": self.last and last}
        return options | {"shared": True, "sparing": self.sparing} if self.shared else options


#: What becomes of a region, given its number, the region and what is told of its progress.
_Restore = Callable[[int, NDArray[Any], Progress], _Found]


def _in_turn(
    regions: Iterable[NDArray[Any]], restore: _Restore, shares: list[float], tell: Tell
) -> Iterator[_Found]:
    """Restore regions one after the other; ``shares`` says how much of each is done."""
    for number, region in enumerate(regions):

        def report(fraction: float, number: int = number) -> None:
            shares[number] = fraction
            tell()

        yield restore(number, region, report)


def _several(
    regions: Iterable[NDArray[Any]],
    restore: _Restore,
    shares: list[float],
    tell: Tell,
    *,
    at_once: int,
) -> Iterator[_Found]:
    """The same in the same order, several at once.

    Regions are read, and what becomes of them is taken, in the thread that asks for it, while
    others compute: so reading and writing files costs no time of its own.
    """
    stopped = threading.Event()
    news: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work(number: int, region: NDArray[Any]) -> _Found:
        def report(fraction: float) -> None:
            if stopped.is_set():
                raise _StoppedError
            shares[number] = fraction
            news.put(None)

        return restore(number, region, report)

    def result(future: Future[_Found]) -> _Found:
        while not future.done():
            news.get()
            tell()
        return future.result()

    waiting: deque[Future[_Found]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for number, region in enumerate(regions):
                future = pool.submit(work, number, region)
                future.add_done_callback(lambda _: news.put(None))
                waiting.append(future)
                # One more than are computed, so that none has to wait for a region.
                if len(waiting) > at_once:
                    yield result(waiting.popleft())
            while waiting:
                yield result(waiting.popleft())
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


class _StoppedError(Exception):
    """Ends the work on a tile that nobody waits for any more."""


class Denoiser:
    """Takes the noise out of images of any size; made by :func:`invdn.load`.

    Keeps no state between calls; one object may serve any number of threads at once. Pickled, as
    for another process, it is where its model is and how it was loaded: that process loads the
    model again, from the same file.

    Laws:

    * ``den(image).shape == image.shape``, and the same for the type; the input is not changed.
    * ``den(image, strength=0)`` is the image: bit for bit for integer types, within 1e-5 for
      float32. The network's own arithmetic sees to that: nothing is skipped. (A model with a
      random latent has no strength.)
    * The same image, options and seed give the same result, random latents or not.
    * An alpha channel comes back bit for bit.
    * The tiles do not show: the result is within one 8-bit grey level of an untiled one.
    """

    def __init__(
        self, model: TileModel, *, tile: int | None = None, ensemble: Ensemble | None = None
    ) -> None:
        """A tile has at most ``tile²`` pixels; None for the model's own.

        ``ensemble``: see :meth:`using`. Raises ValueError where the tile does not fit the
        model's halo or multiple, or the ensemble the model.
        """
        self._model = model
        self._tile = model.info.tile if tile is None else tile
        self._ensemble = Ensemble() if ensemble is None else ensemble
        _check_ensemble(self._ensemble, model.info)
        self._plan(1, 1)

    @property
    def info(self) -> ModelInfo:
        """The model: name, version, licence, sizes, the device and the threads it uses."""
        return self._model.info

    def using(
        self,
        *,
        samples: int | None = None,
        ensemble: bool | None = None,
        seed: int | None = None,
        turns: int | None = None,
    ) -> Denoiser:
        """A denoiser with the same model that averages several restorations of each image.

        What is None stays as it is here; :func:`invdn.load` begins with 1 sample, 1 turn, seed 0.

        Args:
            samples: random latents for each turn, for models that have one; at least 1.
            ensemble: True is ``turns=8``, whatever ``turns`` says; False is ``turns=1`` where
                ``turns`` says nothing.
            seed: of the random latents; any whole number.
            turns: how many of the eight flips and rotations to average: 1, 2, 4 or 8; each has
                ``samples`` latents.

        Raises OptionError where there are several samples, and the model has no random latent;
        at another number of turns; and at what is no whole number.
        """
        if ensemble is not None:
            turns = SYMMETRIES if ensemble else 1 if turns is None else turns
        asked = {"samples": samples, "turns": turns, "seed": seed}
        chosen = replace(self._ensemble, **{k: v for k, v in asked.items() if v is not None})
        return Denoiser(self._model, tile=self._tile, ensemble=chosen)

    def __call__(
        self,
        image: NDArray[Any],
        *,
        strength: float = 1.0,
        samples: int | None = None,
        ensemble: bool | None = None,
        seed: int | None = None,
        turns: int | None = None,
        progress: Progress | None = None,
    ) -> NDArray[Any]:
        """Restore an image.

        Args:
            image: ``[H, W]`` grey, or ``[H, W, C]`` with C = 1 (grey), 2 (grey, alpha), 3 (RGB)
                or 4 (RGB, alpha); sRGB; uint8, uint16, or float32 in [0, 1]. float32 may exceed
                that range a little (by :data:`FLOAT_TOLERANCE`). Alpha must not be premultiplied.
            strength: 0 returns the image, 1 removes what the network believes to be noise, up
                to 1.5 removes more. A model with a random latent knows no other than 1.
            samples, ensemble, seed, turns: as for :meth:`using`, for this image; each that is
                None is as that was told.
            progress: called with the fraction that is done, in (0, 1], after each run of the
                network. What it raises stops the work and reaches the caller.

        Returns:
            A new array of the same shape and type. float32 results stay in [0, 1], or in the
            range of the input where that is wider.

        Raises:
            ValueError: an image of the wrong kind; the message says what was expected.
            OptionError: a strength or a number of samples that this model does not know, or of
                turns; or what is no number.
            ModelError: the device failed.
        """
        if any(option is not None for option in (samples, ensemble, seed, turns)):
            other = self.using(samples=samples, ensemble=ensemble, seed=seed, turns=turns)
            return other(image, strength=strength, progress=progress)
        image = np.asarray(image)
        _check_layout(image)
        check_range(image)
        restored = np.empty(image.shape, image.dtype)

        def write(rows: slice, columns: slice, pixels: NDArray[Any]) -> None:
            restored[rows, columns] = pixels

        self.restore_regions(
            image.shape[0],
            image.shape[1],
            lambda rows, columns: image[rows, columns],
            write,
            strength=strength,
            progress=progress,
        )
        return restored

    def restore_regions(
        self,
        height: int,
        width: int,
        read: Read,
        write: Write,
        *,
        strength: float = 1.0,
        progress: Progress | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        """Restore an image that need not fit in memory, region by region.

        ``read`` is asked for overlapping regions, row of tiles by row of tiles from top to
        bottom, each row from left to right, and some of them ahead: what it gave must stay as it
        is. ``write`` gets every pixel once: of each region that was read, in the same order, a
        part. Both are called from the thread that calls this.
        Pixels, strength, progress and errors are those of :meth:`__call__`. Where the image is cut
        out of a larger one, ``origin`` is the row and the column there of its first pixel, as
        :meth:`context` gives them: so a place has the same random latent in both.
        """
        _check_strength(strength, self.info)
        plan = self._plan(height, width)
        shares = [0.0] * len(plan)

        def tell() -> None:
            if progress is not None:
                progress(sum(shares) / len(plan))

        def regions() -> Iterator[NDArray[Any]]:
            for window in plan:
                region = np.asarray(read(window.rows.read, window.columns.read))
                _check_layout(region)
                check_range(region)
                yield region

        spare: list[_Buffer] = []
        at_once = min(self.info.at_once, len(plan))

        def restore(number: int, region: NDArray[Any], report: Progress) -> _Found:
            buffer = spare.pop() if spare else _Buffer()
            call = _Call(
                shared=at_once > 1,
                sparing=len(plan) >= _MANY_TILES,
                last=number == len(plan) - 1,
                origin=origin,
            )
            values = self._restore_tile(region, plan[number], strength, buffer, call, report)
            return region, values, buffer

        restored = _in_turn if at_once == 1 else partial(_several, at_once=at_once)
        blender = Blender(width)
        for number, found in enumerate(restored(regions(), restore, shares, tell)):
            region, values, buffer = found
            window = plan[number]
            complete = blender.add(window, values)
            write(window.rows.done, window.columns.done, _to_pixels(complete, region, window))
            spare.append(buffer)
            shares[number] = 1.0
            tell()

    def context(self, part: slice, size: int) -> slice:
        """What the network has to see along an axis of this size to restore a part of it.

        That is the part and a halo around it, from one multiple of the network's to another.
        Raises ValueError where it is empty or not inside.
        """
        if not 0 <= part.start < part.stop <= size:
            raise ValueError(f"{part.start} to {part.stop} is not a part of {size} pixels")
        halo, multiple = self.info.halo, self.info.multiple
        start = max(0, part.start - halo) // multiple * multiple
        stop = -(-(part.stop + halo) // multiple) * multiple
        return slice(start, min(stop, size))

    def _plan(self, height: int, width: int) -> list[Window]:
        info = self.info
        sizes = {"tile": self._tile, "halo": info.halo, "multiple": info.multiple}
        # Whatever the number of threads is: it does not change the result.
        return list(windows(height, width, **sizes, at_once=AT_ONCE))

    def _restore_tile(
        self,
        region: NDArray[Any],
        window: Window,
        strength: float,
        buffer: _Buffer,
        call: _Call,
        report: Progress,
    ) -> NDArray[np.float32]:
        """The kept pixels of a window, ``[rows, columns, 1 or 3]``, float32, not clipped."""
        rows, columns = window.rows, window.columns
        tile = buffer.array(len(region) + rows.padding, region.shape[1] + columns.padding)
        _to_values(region, tile)
        _pad(tile, rows.padding, columns.padding)
        restored = self._average(tile, window, strength, buffer, call, report)
        return restored.mean(axis=2, keepdims=True) if _is_grey(region) else restored

    def _average(
        self,
        tile: NDArray[np.float32],
        window: Window,
        strength: float,
        buffer: _Buffer,
        call: _Call,
        report: Progress,
    ) -> NDArray[np.float32]:
        """The mean of the ensemble's restorations of a tile, ``[H, W, 3]``; what is kept of it."""
        kept = (window.rows.kept, window.columns.kept)
        size = len(self._ensemble)
        if size == 1 and self.info.fine_halo:
            # The tile has been read before anything is written.
            out = buffer.array(*window.weights.shape)
            return self._model(tile, strength, kept=kept, out=out, **call.options(last=True))
        total = np.zeros_like(tile)
        for number, member in enumerate(self._ensemble, start=1):
            turned = np.ascontiguousarray(_turn(tile, member.symmetry))
            latent = self._latent(window, member, call.origin)
            options = call.options(last=number == size)
            restored = self._model(turned, strength, **options, **latent)
            total += _turn_back(restored, member.symmetry)
            if number < size:  # the last one has still to be written
                report(number / size)
        total /= np.float32(size)
        return total[kept]

    def _latent(self, window: Window, member: Member, origin: tuple[int, int]) -> dict[str, Any]:
        """The random latent of a tile, ``[1, C, H / multiple, W / multiple]``, if there is one."""
        info = self.info
        if not info.latent_channels:
            return {}
        rows, columns = (
            slice(
                (first + span.start) // info.multiple,
                (first + span.stop + span.padding) // info.multiple,
            )
            for first, span in zip(origin, (window.rows, window.columns), strict=True)
        )
        seed, draw = self._ensemble.seed, member.draw
        z = normal_field(info.latent_channels, rows, columns, seed=seed, draw=draw)[None]
        # Turned like the image, so that a place has the same latent in every tile that shows it.
        return {"z": np.ascontiguousarray(turn(z, member.symmetry))}


def load_denoiser(
    model: str | os.PathLike[str], *, device: str = "auto", threads: int | None = None
) -> Denoiser:
    """See :func:`invdn.load`."""
    return Denoiser(load_model(model, device=device, threads=threads))


#: A name and a path that are spelt alike are two models.
_shared: dict[str | Path, Denoiser] = {}
_shared_lock = threading.Lock()


def shared_denoiser(model: str | os.PathLike[str]) -> Denoiser:
    """A denoiser with the default settings, loaded at the first call for this model."""
    key = model if isinstance(model, str) else Path(model)
    with _shared_lock:
        if key not in _shared:
            _shared[key] = load_denoiser(model)
        return _shared[key]


def _is_number(value: object) -> bool:
    return isinstance(value, Real)


def _check_strength(strength: float, info: ModelInfo) -> None:
    if not (_is_number(strength) and 0 <= strength <= MAX_STRENGTH):  # nor NaN
        raise OptionError(f"strength must be from 0 to {MAX_STRENGTH}, not {strength!r}")
    if info.latent_channels and strength != 1:
        raise OptionError(
            f"{info.name} has no strength: it replaces all detail at random, and knows nothing "
            f"between that and none; use 1, not {strength:g}"
        )


def _check_ensemble(ensemble: Ensemble, info: ModelInfo) -> None:
    if not is_whole(ensemble.turns) or ensemble.turns not in TURNS:
        raise OptionError(f"turns must be 1, 2, 4 or 8, not {ensemble.turns!r}")
    if not is_whole(ensemble.samples) or ensemble.samples < 1:
        raise OptionError(f"samples must be a whole number of at least 1, not {ensemble.samples!r}")
    if not is_whole(ensemble.seed):
        raise OptionError(f"seed must be a whole number, not {ensemble.seed!r}")
    if ensemble.samples > 1 and not info.latent_channels:
        raise OptionError(f"{info.name} has no random latent: each of several samples is the same")


def _check_layout(image: NDArray[Any]) -> None:
    if image.ndim not in (2, 3):
        raise ValueError(
            f"an image must be [height, width] or [height, width, channels], not {image.ndim}-"
            f"dimensional (shape {image.shape})"
        )
    if image.ndim == 3 and image.shape[2] not in (1, 2, 3, 4):
        hint = "; channels come last" if image.shape[0] in (1, 2, 3, 4) else ""
        raise ValueError(
            f"an image must have 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha) channels, "
            f"not {image.shape[2]} (shape {image.shape}){hint}"
        )
    if image.size == 0:
        raise ValueError(f"the image has no pixels (shape {image.shape})")
    if _native(image.dtype) not in _TYPES:
        hint = ": image.astype(np.float32) makes them that" if image.dtype.kind == "f" else ""
        raise ValueError(
            f"pixels must be uint8, uint16, or float32 in [0, 1], not {image.dtype}{hint}"
        )


def check_range(image: NDArray[Any]) -> None:
    """Raise ValueError for floats that are no numbers, or too far outside [0, 1]."""
    if image.dtype.kind != "f":
        return
    colour = image if image.ndim == 2 else image[..., : _colour_channels(image)]
    low, high = float(colour.min()), float(colour.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("the image has pixels that are not finite numbers (NaN or infinity)")
    if low < -FLOAT_TOLERANCE or high > 1 + FLOAT_TOLERANCE:
        raise ValueError(
            f"float32 pixels must be in [0, 1], and these go from {low:g} to {high:g}: "
            "scale them first"
        )


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("=")


def _colour_channels(image: NDArray[Any]) -> int:
    """Channels of ``[H, W, C]`` without alpha: 1 or 3."""
    channels: int = image.shape[2]
    return channels if channels % 2 else channels - 1


def _is_grey(region: NDArray[Any]) -> bool:
    return region.ndim == 2 or _colour_channels(region) == 1


def _to_values(region: NDArray[Any], tile: NDArray[np.float32]) -> None:
    """``[h, w]`` or ``[h, w, C]`` → the beginning of ``[H, W, 3]`` float32 in [0, 1], no alpha."""
    if region.ndim == 2:
        region = region[:, :, None]
    colour = region[:, :, : _colour_channels(region)]
    # A few rows at a time stay in the processor's cache.
    for start in range(0, len(colour), _ROWS_AT_ONCE):
        few = colour[start : start + _ROWS_AT_ONCE]
        values = tile[start : start + len(few), : few.shape[1]]
        values[...] = few
        if region.dtype.kind != "f":
            values /= np.float32(np.iinfo(region.dtype).max)


def _to_pixels(complete: NDArray[np.float32], region: NDArray[Any], window: Window) -> NDArray[Any]:
    """``[h, w, 1 or 3]`` → pixels shaped and typed like ``region``, with its alpha.

    ``region`` is what the window read; ``complete`` is its done area. The network may overshoot;
    what was black or white stays within the range.
    """
    rows, columns = window.rows, window.columns
    done = region[
        rows.keep_start - rows.start : rows.done_stop - rows.start,
        columns.keep_start - columns.start : columns.done_stop - columns.start,
    ]
    pixels = np.empty(done.shape, region.dtype)
    colour = pixels[:, :, None] if region.ndim == 2 else pixels[:, :, : complete.shape[2]]
    if region.ndim == 3:
        pixels[:, :, complete.shape[2] :] = done[:, :, complete.shape[2] :]
    if region.dtype.kind == "f":
        shown = region if region.ndim == 2 else region[:, :, : complete.shape[2]]
        low, high = min(0.0, float(shown.min())), max(1.0, float(shown.max()))
        np.clip(complete, np.float32(low), np.float32(high), out=colour)
        return pixels
    largest = np.float32(np.iinfo(region.dtype).max)
    for start in range(0, len(complete), _ROWS_AT_ONCE):
        few = complete[start : start + _ROWS_AT_ONCE] * largest
        few += np.float32(0.5)  # conversion then rounds down
        np.clip(few, np.float32(0), largest, out=few)
        colour[start : start + _ROWS_AT_ONCE] = few
    return pixels


def _turn(values: NDArray[np.float32], symmetry: int) -> NDArray[np.float32]:
    """:func:`turn` of ``[H, W, C]``."""
    return turn(values.transpose(2, 0, 1), symmetry).transpose(1, 2, 0)


def _turn_back(values: NDArray[np.float32], symmetry: int) -> NDArray[np.float32]:
    return turn_back(values.transpose(2, 0, 1), symmetry).transpose(1, 2, 0)


def _pad(tile: NDArray[np.float32], rows: int, columns: int) -> None:
    """Fill the last rows and columns of ``[H, W, 3]`` by reflection."""
    for axis, padding in ((0, rows), (1, columns)):
        if padding:
            given = tile.shape[axis] - padding
            # Reflection does not repeat the border pixel: one pixel has nothing to reflect.
            mode: Literal["reflect", "edge"] = "reflect" if given > 1 else "edge"
            sources = np.pad(np.arange(given), (0, padding), mode=mode)[given:]
            across = tile if axis == 0 else tile.swapaxes(0, 1)
            across[given:] = across[sources]
