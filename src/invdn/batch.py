"""Many photos: what to do (`plan`), and doing it one by one (`run`).

    jobs = plan(inputs, Path("clean"), recursive=True).jobs
    for result in run(jobs, denoiser):
        print(result.status, result.input)

One bad photo costs that photo only. A photo whose output is there already is skipped, so that a
batch that was stopped goes on where it stopped when it is run again.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from invdn import images
from invdn.denoiser import OptionError
from invdn.runtime import ModelError

FORMATS = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "tif": "tiff", "tiff": "tiff"}
FORMATS |= {"webp": "webp"}
"""What a caller may ask for as the output format, and the format that it means."""


class UsageError(Exception):
    """What was asked for makes no sense, whatever the photos hold; the message is one line."""


class Cancelled(Exception):
    """The caller's cancel hook said stop while a photo was being worked on."""


class Denoises(Protocol):
    """The part of `invdn.Denoiser` that is used here."""

    def __call__(
        self,
        image: images.Pixels,
        *,
        strength: float = 1.0,
        progress: Callable[[float], None] | None = None,
    ) -> images.Pixels: ...


@dataclass(frozen=True)
class Job:
    """One photo to read, and the file to write."""

    input: Path
    output: Path


@dataclass(frozen=True)
class Plan:
    """All that a call's inputs come to."""

    jobs: tuple[Job, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Pictures in the folders that cannot be read, counted by suffix."""
    unreadable: tuple[tuple[Path, str], ...] = ()
    """Folders that could not be looked into, and why."""
    deeper: bool = False
    """Whether a folder has subfolders that were not looked into."""


@dataclass(frozen=True)
class Result:
    """What became of one photo."""

    input: Path
    output: Path
    status: Literal["done", "skipped", "failed"]
    reason: str | None = None
    """Why it was skipped or failed, in one line."""
    notices: tuple[str, ...] = ()
    """What reading and writing had to change, one line each."""
    seconds: float = 0.0
    """From opening the input to the finished output."""
    width: int | None = None
    height: int | None = None
    """Pixels, as the input stores them."""

    @property
    def megapixels(self) -> float:
        return (self.width or 0) * (self.height or 0) / 1e6


# --- what to do ----------------------------------------------------------------------------------


def plan(
    inputs: Sequence[Path], output: Path, *, recursive: bool = False, format: str | None = None
) -> Plan:
    """Find the photos, and name the output of each. Nothing is written.

    inputs: files and folders. A folder stands for the pictures in it, and with `recursive` for
    those in its subfolders too, whose tree is kept below `output`. Hidden files are passed over.
    output: a folder, or, for exactly one input file, a file name with a picture's suffix.
    format: one of `FORMATS`, for outputs in another format than their inputs'.

    Raises `UsageError` if an output would replace an input, or two photos had the same output.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    single = _single_output(inputs, output, format)
    if single is not None:
        found = Plan((Job(inputs[0], single),))
    else:
        found = _plan_folder(inputs, output, recursive, format)
    _refuse_collisions(found.jobs)
    return found


def find(inputs: Sequence[Path], *, recursive: bool = True) -> Plan:
    """Find the photos as `plan` does, where it is not yet known what the results will be called.

    The plan's outputs mean nothing; `place` names them later.
    """
    return _plan_folder(inputs, Path(os.devnull), recursive, None)


BESIDE = "-denoised"
"""What `place` appends to the name of a result that lies beside its photo."""


def place(
    photos: Iterable[Path],
    folder: Path | None,
    *,
    format: str | None = None,
    number: bool = True,
) -> tuple[Job, ...]:
    """Name an output for each photo of a list, wherever the photos come from.

    folder: where the results go, without subfolders; None for beside each photo, under its name
    with `BESIDE` appended.
    format: as in `plan`.
    number: whether a name that a file has already gets a number ("a-2.jpg"). Otherwise the job
    keeps that name, and `run` skips it. Two photos never get the same output, nor one of the
    photos' own names.
    """
    photos = tuple(photos)
    taken = {_identity(photo) for photo in photos}
    jobs = []
    for photo in photos:
        name = Path(_renamed(photo.name, format))
        if folder is None:
            name = Path(name.stem + BESIDE + name.suffix)
        target = (folder or photo.parent) / name
        count = 1
        while _identity(target) in taken or (number and os.path.lexists(target)):
            count += 1
            target = target.with_name(f"{name.stem}-{count}{name.suffix}")
        taken.add(_identity(target))
        jobs.append(Job(photo, target))
    return tuple(jobs)


def _single_output(inputs: Sequence[Path], output: Path, format: str | None) -> Path | None:
    """The output if it is meant as a file, None if it is meant as a folder."""
    if output.is_dir():
        return None
    suffix = output.suffix.lower()
    if suffix in images.UNSUPPORTED_SUFFIXES:
        raise UsageError(f"cannot write {suffix} files: choose jpg, png, tif or webp")
    if suffix not in images.SUFFIXES:
        if output.exists():
            raise UsageError(f"{output} is a file, and not a picture: name a folder")
        return None
    if len(inputs) != 1 or inputs[0].is_dir():
        raise UsageError(f"{output} names one file, but the input is more: name a folder")
    if format is not None and FORMATS[format] != images.SUFFIXES[suffix]:
        raise UsageError(f"--format {format} contradicts the name {output.name}")
    return output


def _plan_folder(inputs: Sequence[Path], output: Path, recursive: bool, format: str | None) -> Plan:
    jobs: dict[Path, Job] = {}  # by the resolved input: a photo given twice is done once
    left_out: Counter[str] = Counter()
    unreadable: list[tuple[Path, str]] = []
    deeper = False
    for start in inputs:
        if not start.is_dir():
            # One that is not there gets its job too, and fails by itself: the others are done.
            jobs.setdefault(_identity(start), Job(start, output / _renamed(start.name, format)))
            continue
        for folder, subfolders, names in _walk(start, unreadable):
            for name in sorted(names):
                path = folder / name
                suffix = path.suffix.lower()
                if name.startswith("."):  # among them macOS' "._x.jpg", which are no pictures
                    continue
                if suffix in images.UNSUPPORTED_SUFFIXES:
                    left_out[suffix] += 1
                elif suffix in images.SUFFIXES:
                    target = output / folder.relative_to(start) / _renamed(name, format)
                    jobs.setdefault(_identity(path), Job(path, target))
            subfolders[:] = [s for s in sorted(subfolders) if _is_input(folder / s, output)]
            if not recursive:
                deeper |= bool(subfolders)
                subfolders.clear()
    return Plan(tuple(jobs.values()), dict(left_out), tuple(unreadable), deeper)


def _walk(
    start: Path, unreadable: list[tuple[Path, str]]
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`os.walk` with paths, noting folders that cannot be opened."""

    def note(error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        unreadable.append((Path(os.fsdecode(error.filename)), f"cannot be opened: {reason}"))

    for folder, subfolders, names in os.walk(start, onerror=note):
        yield Path(folder), subfolders, names


def _is_input(folder: Path, output: Path) -> bool:
    """Whether to go into a subfolder: not if it is hidden, nor if it is where the results go."""
    return not folder.name.startswith(".") and _identity(folder) != _identity(output)


def _renamed(name: str, format: str | None) -> str:
    """The output's name: the input's, with another suffix where the format asks for it."""
    suffix = Path(name).suffix
    if format is None or images.SUFFIXES.get(suffix.lower()) == FORMATS[format]:
        return name
    known = suffix.lower() in images.SUFFIXES or suffix.lower() in images.UNSUPPORTED_SUFFIXES
    return (name[: -len(suffix)] if known else name) + "." + format


def _identity(path: Path) -> Path:
    """The same for two names of one file, whether it exists or not."""
    return Path(os.path.normcase(os.path.realpath(path)))


def _inode(path: Path) -> tuple[int, int] | None:
    """The same for two names of one existing file, however the file system compares names."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    inputs = {_identity(job.input) for job in jobs}
    inodes = {_inode(job.input) for job in jobs} - {None}
    taken: dict[Path, Path] = {}
    for job in jobs:
        output = _identity(job.output)
        if output in inputs or _inode(job.output) in inodes:
            raise UsageError(
                f"{job.input}: the output {job.output} is an input: name another folder with -o"
            )
        if output in taken:
            raise UsageError(
                f"{taken[output]} and {job.input} would both become {job.output}:"
                " give them separately"
            )
        taken[output] = job.input


# --- doing it ------------------------------------------------------------------------------------


def run(
    jobs: Iterable[Job],
    denoiser: Denoises,
    *,
    strength: float = 1.0,
    quality: int | None = None,
    metadata: bool = True,
    overwrite: bool = False,
    progress: Callable[[Job, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[Result]:
    """Do jobs one after the other, yielding what became of each.

    strength, quality: as in `invdn.Denoiser` and `invdn.images.write`.
    metadata: whether results keep what `invdn.images.without_metadata` would take away.
    progress: called with a job and how much of it is done, 0–1, from the thread that runs this.
    cancelled: asked before each photo and at each progress; once it says yes, this ends, and the
    photo in work leaves no trace.

    Raises `UsageError` where the model does not know the strength.
    """
    for job in jobs:

        def report(fraction: float, job: Job = job) -> None:
            if cancelled is not None and cancelled():
                raise Cancelled
            if progress is not None:
                progress(job, fraction)

        try:
            report(0.0)
            result = run_one(
                job,
                denoiser,
                strength=strength,
                quality=quality,
                metadata=metadata,
                overwrite=overwrite,
                progress=report,
            )
        except Cancelled:
            return
        yield result


def run_one(
    job: Job,
    denoiser: Denoises,
    *,
    strength: float = 1.0,
    quality: int | None = None,
    metadata: bool = True,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Result:
    """Do one job. Whatever is wrong with the photo is in the result, not raised.

    Raises `UsageError` where the model does not know the strength.
    """
    start = time.monotonic()
    result = Result(job.input, job.output, "done")
    try:
        images.format_of(job.output)  # better known before the work than after it
        if not overwrite and os.path.lexists(job.output) and job.input.exists():
            raise images.ExistsError(images.EXISTS)
        photo = images.read(job.input)
        result = replace(result, width=photo.width, height=photo.height, notices=photo.notices)
        clean = denoiser(photo.pixels, strength=strength, progress=progress)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        restored = replace(photo, pixels=clean)
        if not metadata:
            restored = images.without_metadata(restored)
        written = images.write(restored, job.output, quality=quality, overwrite=overwrite)
        result = replace(result, notices=(*result.notices, *written))
    except Cancelled:
        raise
    except OptionError as error:  # no photo would fare better
        raise UsageError(str(error)) from error
    except images.ExistsError as error:
        result = replace(result, status="skipped", reason=str(error))
    except Exception as error:  # one photo must not cost the others theirs
        result = replace(result, status="failed", reason=reason_of(error))
    return replace(result, seconds=time.monotonic() - start)


def reason_of(error: Exception) -> str:
    """Why a photo failed, in one line."""
    if isinstance(error, images.PhotoError | ModelError | ValueError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "not enough memory for a picture of this size"
    elif isinstance(error, OSError):
        where = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        text = (error.strerror or str(error)).lower() + where
    else:
        text = f"unexpected error, please report it: {type(error).__name__}: {error}"
    return " ".join(text.split())
