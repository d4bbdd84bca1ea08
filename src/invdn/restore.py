"""From a photo to its denoised copy: colours, pages, pictures larger than the memory.

photo = restore_photo(images.read(path), denoiser)       # in memory
outcome = restore_file(path, output, denoiser)           # from file to file, of any size
"""

from __future__ import annotations

import math
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from invdn import images
from invdn.denoiser import Denoiser, check_range
from invdn.images import OpenPhoto, Photo, Pixels, colour, fit, writing
from invdn.images.photo import first_page_only
from invdn.images.reading import opened
from invdn.images.tiffpages import PageWriter
from invdn.images.vips import vips

STREAMED_ABOVE_BYTES = 1 << 28
"""Pictures whose pixels take more than this (90 megapixels of 8-bit RGB) are worked on in bands."""

CLEAN_BELOW_8BIT = 1.25
"""A photo of which the network would take away less than this, in grey levels of 255, is clean."""
_SAMPLE_PX = 256  # three of them along each axis of a larger photo are looked at for that

PREVIEW_SIDE_PX = 512
PREVIEW_SUFFIX = ".preview.png"

Progress = Callable[[float], object]


class Denoises(Protocol):
    """The part of `invdn.Denoiser` that is used here."""

    def restore_regions(
        self,
        height: int,
        width: int,
        read: Callable[[slice, slice], Pixels],
        write: Callable[[slice, slice, Pixels], None],
        *,
        strength: float = 1.0,
        progress: Progress | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> None: ...

    def context(self, part: slice, size: int) -> slice: ...


@dataclass(frozen=True)
class Settings:
    """What is to be done with photos; each field is an option of `invdn denoise`."""

    strength: float = 1.0
    quality: int | None = None
    """1–100, as in `invdn.images.write`."""
    auto: bool = False
    """Leave photos as they are that are clean already, see `CLEAN_BELOW_8BIT`."""
    preview: bool = False
    """Write only a crop, before and after side by side, as an sRGB PNG of 8 bits."""
    metadata: bool = True
    """Keep what `invdn.images.without_metadata` would take away."""
    keep_time: bool = False
    """Give the output the modification time of its input."""
    overwrite: bool = False
    max_pixels: int = images.MAX_PIXELS


@dataclass(frozen=True)
class Outcome:
    """What restoring a file came to."""

    width: int
    height: int
    notices: tuple[str, ...]
    noise: float | None = None
    """What `auto` found that the network would take away, root mean square, grey levels of 255."""
    left_as_is: bool = False
    """Whether the photo was found clean and copied."""


@dataclass(frozen=True)
class Hooks:
    """What a caller may want to hear of while a file is being restored."""

    progress: Progress | None = None
    """Called with the fraction that is done, 0–1; what it raises stops the work."""
    step: Callable[[float], object] = lambda seconds: None
    """Called before each step that native code might never return from, with more seconds than
    it can take; a watchdog's matter."""
    before_naming: Callable[[BinaryIO], None] | None = None
    """Called with the complete output just before it takes its name."""


# --- in memory -----------------------------------------------------------------------------------


def restore_photo(
    photo: Photo,
    denoiser: Denoises,
    *,
    strength: float = 1.0,
    progress: Progress | None = None,
    origin: tuple[int, int] = (0, 0),
) -> Photo:
    """The photo without its noise, its tones shown to the network as its profile says.

    ``origin``: see `Denoiser.restore_regions`.
    """
    restored = np.empty_like(photo.pixels)

    def read(rows: slice, columns: slice) -> Pixels:
        return photo.pixels[rows, columns]

    def write(rows: slice, columns: slice, pixels: Pixels) -> None:
        restored[rows, columns] = pixels

    restore_regions(photo, read, write, denoiser, strength, progress, origin)
    return replace(photo, pixels=restored)


def tones_of(photo: Photo) -> colour.Profile | None:
    """The profile through which a photo is restored; None if its pixels go as they are."""
    return colour.tones_of(photo.fields.get("icc-profile-data"), photo.colours)


def restore_regions(
    photo: Photo,
    read: Callable[[slice, slice], Pixels],
    write: Callable[[slice, slice, Pixels], None],
    denoiser: Denoises,
    strength: float,
    progress: Progress | None,
    origin: tuple[int, int] = (0, 0),
) -> None:
    """`Denoiser.restore_regions` on the photo's own pixels, through its profile if it has one.

    Of the photo only the shape, the type and the profile are looked at.
    """
    profile = tones_of(photo)
    if profile is not None:
        through = _ThroughProfile(profile, read, write)
        read, write = through.read, through.write
    denoiser.restore_regions(
        photo.height,
        photo.width,
        read,
        write,
        strength=strength,
        progress=progress,
        origin=origin,
    )


def restore_crop(
    photo: Photo,
    rows: slice,
    columns: slice,
    denoiser: Denoiser,
    *,
    strength: float = 1.0,
    progress: Progress | None = None,
) -> Pixels:
    """A part of what `restore_photo` gives, with the work that this part takes.

    rows, columns: slices with a start and a stop inside the photo, and without a step.

    The pixels are those of the whole result within one 8-bit grey level (two where the photo has a
    profile): what lies around the part is looked at as far as the network sees. Raises ValueError
    where the part is empty or not inside.
    """
    seen_rows = denoiser.context(rows, photo.height)
    seen_columns = denoiser.context(columns, photo.width)
    seen = replace(photo, pixels=photo.pixels[seen_rows, seen_columns])
    origin = seen_rows.start, seen_columns.start
    restored = restore_photo(
        seen, denoiser, strength=strength, progress=progress, origin=origin
    ).pixels
    return restored[
        rows.start - seen_rows.start : rows.stop - seen_rows.start,
        columns.start - seen_columns.start : columns.stop - seen_columns.start,
    ]


class _ThroughProfile:
    """Stands between the network and a photo of another colour space than sRGB."""

    def __init__(
        self,
        profile: colour.Profile,
        read: Callable[[slice, slice], Pixels],
        write: Callable[[slice, slice, Pixels], None],
    ) -> None:
        self._profile, self._read, self._write = profile, read, write
        #: Regions that were read and not yet written: where they begin, as stored, as shown.
        self._waiting: deque[tuple[int, int, Pixels, NDArray[np.float32]]] = deque()

    def read(self, rows: slice, columns: slice) -> Pixels:
        pixels = self._read(rows, columns)
        check_range(pixels)  # before curves, which end at black and white, hide what lies outside
        shown = colour.shown(pixels, self._profile)
        self._waiting.append((rows.start, columns.start, pixels, shown))
        return shown

    def write(self, rows: slice, columns: slice, restored: Pixels) -> None:
        # Of each region that was read, and in their order, a part is written.
        top, left, all_pixels, all_shown = self._waiting.popleft()
        here = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        pixels, shown = all_pixels[here], all_shown[here]
        self._write(rows, columns, colour.changed(pixels, self._profile, shown, restored))


# --- from file to file ---------------------------------------------------------------------------


def restore_file(
    source: Path,
    output: Path,
    denoiser: Denoises,
    settings: Settings | None = None,
    hooks: Hooks | None = None,
) -> Outcome:
    """Denoise a file into another: whole or not at all, every page, in little memory.

    Raises `images.PhotoError` (`ExistsError` where the output exists and is not to be replaced),
    and what the denoiser and `hooks.progress` raise.
    """
    settings, hooks = settings or Settings(), hooks or Hooks()
    hooks.step(_seconds_to_read(source))
    if settings.preview:
        return _preview(source, output, denoiser, settings, hooks)
    with opened(source, max_pixels=settings.max_pixels) as found:
        photo = found.photo
        # Better known before the work than after it; but that there is no such photo comes first.
        format = images.format_of(output)
        writing.check_sides(photo, format)
        outcome = Outcome(photo.width, photo.height, photo.notices)
        if settings.auto:
            noise = _noise(source, photo, denoiser, settings, hooks)
            outcome = replace(outcome, noise=noise)
            if noise < CLEAN_BELOW_8BIT:
                left = _leave_as_is(source, photo, output, settings, hooks)
                if photo.pages > 1 and format != "tiff":
                    left = (*left, first_page_only(photo.pages))
                return replace(outcome, left_as_is=True, notices=(*outcome.notices, *left))
        if photo.pages > 1 and format == "tiff":
            written = _restore_pages(source, output, photo.pages, denoiser, settings, hooks)
        else:
            # Opened before the work: where nothing can be written, that is known at once.
            with writing.into(output, **_file_options(source, settings, hooks)) as file:
                written = _page_into(found, format, file, output.parent, denoiser, settings, hooks)
    if photo.pages > 1 and format != "tiff":
        written = (*written, first_page_only(photo.pages))
    # Each page has what was to be said of the file once more.
    return replace(outcome, notices=tuple(dict.fromkeys((*outcome.notices, *written))))


def is_large(photo: Photo) -> bool:
    """Whether a photo is worked on in bands."""
    return photo.pixels.nbytes > STREAMED_ABOVE_BYTES


def _restore_pages(
    source: Path, output: Path, pages: int, denoiser: Denoises, settings: Settings, hooks: Hooks
) -> tuple[str, ...]:
    """All pages of a TIFF file; one at a time is in memory."""
    notices: list[str] = []
    with writing.into(output, **_file_options(source, settings, hooks)) as file:
        writer = PageWriter(file)
        for page in range(pages):
            its_hooks = replace(hooks, progress=_of_page(hooks.progress, page, pages))
            try:
                with (
                    opened(source, page=page, max_pixels=settings.max_pixels) as found,
                    images.scratch(output.parent) as (_, one_page),
                ):
                    folder = output.parent
                    notices += found.photo.notices
                    notices += _page_into(
                        found, "tiff", one_page, folder, denoiser, settings, its_hooks
                    )
                    writer.add(one_page)
            except images.PhotoError as error:
                raise images.PhotoError(f"page {page + 1} of {pages}: {error}") from error
    return tuple(notices)


def _page_into(
    found: OpenPhoto,
    format: str,
    file: BinaryIO,
    folder: Path,
    denoiser: Denoises,
    settings: Settings,
    hooks: Hooks,
) -> tuple[str, ...]:
    if is_large(found.photo):
        return _stream(found, format, file, folder, denoiser, settings, hooks)
    hooks.step(_seconds_for(found.photo))
    photo = _kept(found.whole(), settings)
    hooks.step(_SECONDS_A_TILE)
    progress = _ticking(hooks)
    photo = restore_photo(photo, denoiser, strength=settings.strength, progress=progress)
    hooks.step(_seconds_for(photo))
    fitted, notices = writing.fit_to(photo, format)
    writing.encode(fitted, format, settings.quality, file)
    return notices


def _of_page(progress: Progress | None, page: int, pages: int) -> Progress | None:
    return None if progress is None else lambda fraction: progress((page + fraction) / pages)


def _kept(photo: Photo, settings: Settings) -> Photo:
    return photo if settings.metadata else images.without_metadata(photo)


def _file_options(source: Path, settings: Settings, hooks: Hooks) -> dict[str, Any]:
    """How the output is to be written, into a folder that is made if it is not there."""
    return {
        "make_folder": True,
        "overwrite": settings.overwrite,
        "modified_ns": source.stat().st_mtime_ns if settings.keep_time else None,
        "before_naming": hooks.before_naming,
    }


# --- larger than the memory ----------------------------------------------------------------------


def _stream(
    found: OpenPhoto,
    format: str,
    file: BinaryIO,
    folder: Path,
    denoiser: Denoises,
    settings: Settings,
    hooks: Hooks,
) -> tuple[str, ...]:
    """Denoise in bands of rows, and encode from scratch files of bare pixels.

    libvips' encoders ask for pixels, and tiles come when they are ready: the scratch files, as
    large as the decoded picture, lie in between.
    """
    photo = _kept(found.photo, settings)
    by_vips = format in ("tiff", "jpeg", "png")
    with ExitStack() as scratch_files:
        bare = _BarePixels(photo, format, folder, scratch_files, in_pieces=by_vips)
        hooks.step(_SECONDS_A_TILE)
        restore_regions(
            photo, _reader(found), bare.write, denoiser, settings.strength, _ticking(hooks)
        )
        hooks.step(_seconds_for(photo))
        return _encode_bare(bare, photo, format, settings.quality, file, by_vips=by_vips)


def _encode_bare(
    bare: _BarePixels,
    photo: Photo,
    format: str,
    quality: int | None,
    file: BinaryIO,
    *,
    by_vips: bool,
) -> tuple[str, ...]:
    """Encode from scratch files; once this has returned nothing has them open but their owner."""
    facts, notices = writing.fit_facts(photo, format)
    if by_vips:
        image = bare.image()
        if writing.must_turn(photo, format):
            image = fit.image_turned_upright(image, photo.orientation)
            facts = fit.upright_facts(facts)
        writing.encode_image(image, facts, format, quality, file)
    else:
        facts = replace(facts, pixels=bare.mapped())
        whole, _ = writing.fit_to(facts, format)
        writing.encode(whole, format, quality, file)
    return notices


def _reader(found: OpenPhoto) -> Callable[[slice, slice], Pixels]:
    if found.region is not None:
        return found.region
    pixels = found.photo.pixels
    return lambda rows, columns: pixels[rows, columns]


class _BarePixels:
    """Takes tiles, row of tiles by row of tiles, into scratch files of nothing but pixels.

    The files are many, because libvips maps each of them whole: from one large file, all of it
    would count as this process' memory in the end. Of a file that is done with, nothing does.
    """

    def __init__(
        self, photo: Photo, format: str, folder: Path, files: ExitStack, *, in_pieces: bool
    ) -> None:
        self._width, self._height = photo.width, photo.height
        self._format, self._folder, self._files = format, folder, files
        self._in_pieces = in_pieces
        self._rows_a_piece = 0  # known once the size of a pixel is
        self._pieces: list[tuple[Path, BinaryIO]] = []
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._channels: tuple[int, ...] = ()

    def write(self, rows: slice, columns: slice, pixels: Pixels) -> None:
        tile = np.ascontiguousarray(writing.fit_pixels(pixels, self._format))
        self._dtype, self._channels = tile.dtype, tile.shape[2:]
        pixel_bytes = tile[0, 0].nbytes
        row_bytes = self._width * pixel_bytes
        piece_bytes = max(_PIECE_BYTES, row_bytes * self._height // _MAX_PIECES)
        in_pieces = max(1, piece_bytes // row_bytes)
        self._rows_a_piece = in_pieces if self._in_pieces else sys.maxsize
        for row, values in zip(range(rows.start, rows.stop), tile, strict=True):
            piece, row_in_piece = divmod(row, self._rows_a_piece)
            if piece == len(self._pieces):
                self._pieces.append(self._files.enter_context(images.scratch(self._folder)))
            _, file = self._pieces[piece]
            file.seek(row_in_piece * row_bytes + columns.start * pixel_bytes)
            file.write(values.data)

    def image(self) -> Any:
        """What was written, as a libvips image that reads it from the files."""
        channels = self._channels[0] if self._channels else 1
        below_each_other = []
        for number, (path, file) in enumerate(self._pieces):
            file.flush()
            rows = min(self._rows_a_piece, self._height - number * self._rows_a_piece)
            name = str(path) if os.name == "nt" else os.fsencode(path)
            bare = vips().Image.rawload(name, self._width, rows, channels * self._dtype.itemsize)
            piece = bare.copy(bands=channels, format=writing.vips_type(self._dtype.name))
            below_each_other.append(writing.interpreted(piece, self._dtype.name))
        # All have the height of the first, so that the last, if it is lower, is filled up.
        joined = vips().Image.arrayjoin(below_each_other, across=1)
        return joined.crop(0, 0, self._width, self._height)

    def mapped(self) -> Pixels:
        """What was written into one file, as an array that is read from it."""
        ((path, file),) = self._pieces
        file.flush()
        shape = (self._height, self._width, *self._channels)
        return np.memmap(path, self._dtype, "r", shape=shape)


# --- clean already -------------------------------------------------------------------------------


def _noise(
    source: Path, photo: Photo, denoiser: Denoises, settings: Settings, hooks: Hooks
) -> float:
    """What the network takes for noise in the noisiest page; a pass over the file of its own."""
    measured = []
    for page in range(photo.pages):
        hooks.step(_seconds_to_read(source) + _seconds_for(photo) + _SECONDS_A_TILE)
        with opened(source, page=page, max_pixels=settings.max_pixels) as found:
            measured.append(_noise_8bit(found, denoiser))
    return max(measured)


def _noise_8bit(found: OpenPhoto, denoiser: Denoises) -> float:
    """The root mean square of what the network would take away, in grey levels of 255."""
    photo, read = found.photo, _reader(found)
    squares = values = 0.0
    for rows in _samples(photo.height):
        for columns in _samples(photo.width):
            before = replace(photo, pixels=np.ascontiguousarray(read(rows, columns)))
            after = restore_photo(before, denoiser)
            removed = _levels_8bit(before) - _levels_8bit(after)
            squares += float((removed**2).sum(dtype=np.float64))
            values += removed.size
    return math.sqrt(squares / values)


def _samples(size: int) -> list[slice]:
    """Along one axis all there is, or three parts of it, evenly spread."""
    if size <= 3 * _SAMPLE_PX:
        return [slice(0, size)]
    starts = [(2 * i + 1) * size // 6 - _SAMPLE_PX // 2 for i in range(3)]
    return [slice(start, start + _SAMPLE_PX) for start in starts]


def _levels_8bit(photo: Photo) -> NDArray[np.float32]:
    """A photo's values without alpha, in grey levels of 255."""
    pixels = photo.pixels[..., :-1] if photo.has_alpha else photo.pixels
    top = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float32) * np.float32(255.0 / top)


def _leave_as_is(
    source: Path, photo: Photo, output: Path, settings: Settings, hooks: Hooks
) -> tuple[str, ...]:
    """Copy a clean photo, byte for byte unless another format was asked for."""
    options = _file_options(source, settings, hooks)
    if images.format_of(output) == photo.format and settings.metadata:
        writing.copy(source, output, **options)
        return ("is clean already: copied as it is",)
    if is_large(photo):
        raise images.PhotoError(
            "is clean already, and too large to be converted only: leave --auto out"
        )
    if photo.pages > 1 and images.format_of(output) == "tiff":
        raise images.PhotoError(
            "is clean already, and only its first page could be written: leave --auto out"
        )
    kept = _kept(images.read(source, max_pixels=settings.max_pixels), settings)
    written = images.write(kept, output, quality=settings.quality, **options)
    return ("is clean already: only converted", *written)


# --- before and after ----------------------------------------------------------------------------


def _preview(
    source: Path, output: Path, denoiser: Denoises, settings: Settings, hooks: Hooks
) -> Outcome:
    """The middle of the photo at 100%, before and after side by side."""
    with opened(source, max_pixels=settings.max_pixels) as found:
        photo = found.photo
        rows, inner_rows = _middle(photo.height, denoiser)
        columns, inner_columns = _middle(photo.width, denoiser)
        crop = replace(photo, pixels=np.ascontiguousarray(_reader(found)(rows, columns)))
    hooks.step(_SECONDS_A_TILE)
    progress = _ticking(hooks)
    origin = rows.start, columns.start
    after = restore_photo(
        crop, denoiser, strength=settings.strength, progress=progress, origin=origin
    )
    sides = [
        images.as_rgb8(replace(photo, pixels=one.pixels[inner_rows, inner_columns])).pixels
        for one in (crop, after)
    ]
    gap = np.full((sides[0].shape[0], 8, 3), 255, np.uint8)
    together = Photo(np.concatenate([sides[0], gap, sides[1]], axis=1), "png")
    images.write(together, output, **_file_options(source, settings, hooks))
    return Outcome(photo.width, photo.height, photo.notices)


def _middle(size: int, denoiser: Denoises) -> tuple[slice, slice]:
    """What to read along one axis, all that the network looks at; what to show of that."""
    start = max(0, (size - PREVIEW_SIDE_PX) // 2)
    stop = min(size, start + PREVIEW_SIDE_PX)
    read = denoiser.context(slice(start, stop), size)
    return read, slice(start - read.start, stop - read.start)


# --- how long it may take ------------------------------------------------------------------------
#
# Generous, for slow disks and busy computers: they only tell a step that takes long from one that
# never ends.

_SECONDS_A_TILE = 900.0
_PIECE_BYTES = 1 << 25
_MAX_PIECES = 64  # all are open at once, and some systems allow 256 files


def _seconds_to_read(path: Path) -> float:
    try:
        return 20.0 + path.stat().st_size / 500_000
    except OSError:
        return 20.0  # the reason is found when it is opened


def _seconds_for(photo: Photo) -> float:
    return 20.0 + 10.0 * photo.width * photo.height / 1e6


def _ticking(hooks: Hooks) -> Progress:
    def progress(fraction: float) -> None:
        hooks.step(_SECONDS_A_TILE)
        if hooks.progress is not None:
            hooks.progress(fraction)

    return progress
