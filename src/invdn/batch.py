"""Many photos: what to do (`plan`), and doing it one by one (`run`).

    jobs = plan(inputs, Path("clean"), recursive=True).jobs
    for result in run(jobs, denoiser):
        print(result.status, result.input)

One bad photo costs that photo only. A photo whose output is there already is skipped, so that a
batch that was stopped goes on where it stopped when it is run again; with a manifest (see
`invdn.manifest`) a photo is also done again if it, or what is asked for, has changed.

This runs in the caller's process; `invdn.workers` does the same in processes of their own, where
not even a crash of a decoder ends the batch: so the command line and the window do it.
"""

from __future__ import annotations

import dataclasses
import errno
import glob
import os
import re
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from invdn import images, manifest
from invdn._version import __version__
from invdn.denoiser import OptionError
from invdn.manifest import Manifest
from invdn.restore import PREVIEW_SUFFIX, Denoises, Hooks, Settings, restore_file
from invdn.runtime import ModelError

FORMATS = {suffix[1:]: format for suffix, format in images.SUFFIXES.items()}
"""What a caller may ask for as the output format, and the format that it means."""


DONE_ALREADY = "done already, and nothing has changed"
"""Why photos are skipped that an earlier run has done."""


class UsageError(Exception):
    """What was asked for makes no sense, whatever the photos hold; the message is one line."""


class Cancelled(Exception):
    """The caller's cancel hook said stop while a photo was being worked on."""


@dataclass(frozen=True)
class Job:
    """One photo to read, and the file to write."""

    input: Path
    output: Path


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
    noise: float | None = None
    """In grey levels of 255, where it was measured."""
    left_as_is: bool = False
    """Whether the photo was found clean and copied."""
    no_room: bool = False
    """Whether it failed because the disk is full, so that the next one would as well."""
    unwritable: bool = False
    """Whether it failed because nothing can be written into the folder of all outputs."""

    @property
    def stops_batch(self) -> bool:
        """Whether all further photos would fail in the same way."""
        return self.no_room or self.unwritable

    @property
    def megapixels(self) -> float:
        return (self.width or 0) * (self.height or 0) / 1e6


@dataclass(frozen=True)
class Plan:
    """All that a call's inputs come to."""

    jobs: tuple[Job, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Pictures in the folders that cannot be read, counted by suffix."""
    unreadable: tuple[tuple[Path, str], ...] = ()
    """Folders that could not be looked into, and why."""
    refused: tuple[Result, ...] = ()
    """Photos that are not done for the sake of others: their outputs would replace something."""
    deeper: bool = False
    """Whether a folder has subfolders that were not looked into."""
    links: tuple[Path, ...] = ()
    """Links to folders, which are not followed where others are gone into."""
    folder: Path | None = None
    """The folder of the outputs; None where one output was named as a file."""

    @property
    def hints(self) -> tuple[str, ...]:
        """What to install for pictures that are left out, one line each."""
        hints = {images.missing_extra(suffix) for suffix in self.left_out}
        return tuple(sorted(hint for hint in hints if hint is not None))


# --- what to do ----------------------------------------------------------------------------------


def plan(
    inputs: Sequence[Path],
    output: Path,
    *,
    recursive: bool = False,
    format: str | None = None,
    preview: bool = False,
    into_folder: bool = False,
    files: Callable[[Path], Sequence[Path]] | None = None,
    spare: Sequence[Path] = (),
) -> Plan:
    """Find the photos, and name the output of each. Nothing is written.

    inputs: files, folders, and patterns as in "in/*.jpg" where there is no file of that name. A
    folder stands for the pictures in it, and with `recursive` for those in its subfolders too,
    whose tree is kept below `output`. Hidden files are passed over, and results of ours in a
    folder that is `output` too.
    output: a folder, or, for exactly one input file, a file name with a picture's suffix.
    format: one of `FORMATS`, in small or capital letters, for outputs in another format than
    their inputs'.
    preview: outputs are previews, see `invdn.restore.Settings`.
    into_folder: `output` is meant as a folder, whatever its name looks like.
    files: which files are written for an output, where it is not just one of that name.
    spare: photos that are no inputs, and that no output may replace either.

    Photos whose output would replace an input, or is another photo's too, are refused; raises
    `UsageError` if no others are left.
    """
    if format is not None and format.lower() not in FORMATS:
        raise UsageError(f"unknown format '{format}': choose {images.WRITABLE}")
    format = format and format.lower()
    inputs = [path for given in inputs for path in _matching(given)]
    if preview:
        format = None
    single = _single_output(inputs, output, format, into_folder)
    if single is not None:
        if preview and images.SUFFIXES[single.suffix.lower()] != "png":
            raise UsageError(f"a preview is a PNG file: name {single.with_suffix('.png')}")
        found = Plan((Job(inputs[0], single),))
    else:
        found = _plan_folder(inputs, output, recursive, format, preview)
    return _without_collisions(found, files or (lambda output: (output,)), spare)


def _matching(given: Path) -> list[Path]:
    """What a pattern stands for, in order; what is no pattern, or is a file's name, as it is."""
    if os.path.lexists(given) or not glob.has_magic(str(given)):
        return [given]
    found = sorted(glob.glob(str(given), recursive=True))  # noqa: PTH207 - for absolute ones too
    return [Path(name) for name in found] or [given]


def find(
    inputs: Sequence[Path],
    *,
    is_known_result: Callable[[Path], bool] = lambda _: False,
    check: Callable[[], object] = lambda: None,
) -> Plan:
    """Find the photos as `plan` does, where it is not yet known what the results will be called.

    The plan's outputs mean nothing; `place` names them later. Results that `place` has put beside
    their photos are no photos to be done, unless they are named themselves.

    is_known_result: says of another file, by its `identity`, whether `place` put it elsewhere.
    check: called for each file; what it raises stops the search.
    """
    found = _plan_folder(inputs, Path(os.devnull), True, None, preview=False, check=check)
    photos = {(job.input.parent, job.input.stem) for job in found.jobs}
    named = {identity(path) for path in inputs}

    def is_wanted(photo: Path) -> bool:
        who = identity(photo)
        match = _RESULT_STEM.fullmatch(photo.stem)
        beside = match is not None and (photo.parent, match[1]) in photos
        return who in named or not (beside or is_known_result(who))

    jobs = (job for job in found.jobs if is_wanted(job.input))
    return replace(found, jobs=tuple(jobs))


BESIDE = "-denoised"
"""What `place` appends to the name of a result that lies beside its photo."""

_LIKE_A_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{1,4}")

_RESULT_STEM = re.compile(rf"(.+){BESIDE}(?:-\d+)?", re.DOTALL)


def place(
    photos: Iterable[Path],
    folder: Path | None,
    *,
    format: str | None = None,
    number: bool = True,
) -> tuple[Job, ...]:
    """Name an output for each photo of a list, wherever the photos come from.

    folder: where the results go, without subfolders; None for beside each photo. There, and so in
    a folder that is the photo's own, a result has the photo's name with `BESIDE` appended.
    format: one of `FORMATS`, for outputs in another format than the photos'.
    number: whether a name that a file has already gets a number ("a-2.jpg"). Otherwise the job
    keeps that name, and `run` skips it. Two photos never get the same output, nor one of the
    photos' own names.
    """
    photos = tuple(photos)
    taken = {identity(photo) for photo in photos}
    where = None if folder is None else identity(folder)
    jobs = []
    for photo in photos:
        name = Path(_renamed(photo.name, format))
        if where is None or where == identity(photo.parent):
            name = Path(name.stem + BESIDE + name.suffix)
        target = (folder or photo.parent) / name
        count = 1
        while identity(target) in taken or (number and os.path.lexists(target)):
            count += 1
            target = target.with_name(f"{name.stem}-{count}{name.suffix}")
        taken.add(identity(target))
        jobs.append(Job(photo, target))
    return tuple(jobs)


def _single_output(
    inputs: Sequence[Path], output: Path, format: str | None, into_folder: bool
) -> Path | None:
    """The output if it is meant as a file, None if it is meant as a folder."""
    if output == Path("-"):
        raise UsageError("results cannot go to the standard output: name a file or a folder")
    if is_folder(output):
        return None
    if into_folder:
        if _is_there(output):
            raise UsageError(f"{output} is a file: name a folder")
        return None
    suffix = output.suffix.lower()
    if suffix in images.UNSUPPORTED_SUFFIXES | images.RAW_SUFFIXES:
        raise UsageError(f"cannot write {suffix} files: choose {images.WRITABLE}")
    if suffix not in images.SUFFIXES:
        if _is_there(output):
            raise UsageError(f"{output} is a file, and not a picture: name a folder")
        one_photo = len(inputs) == 1 and not is_folder(inputs[0]) and _is_there(inputs[0])
        if one_photo and _LIKE_A_SUFFIX.fullmatch(suffix):
            raise UsageError(
                f"{suffix} is no suffix of pictures: choose {images.WRITABLE}; or, for a folder of"
                f" that name, {output}{os.sep}"
            )
        return None
    if len(inputs) != 1 or is_folder(inputs[0]):
        raise UsageError(f"{output} names one file, but the input is more: name a folder")
    if format is not None and FORMATS[format] != images.SUFFIXES[suffix]:
        raise UsageError(f"--format {format} contradicts the name {output.name}")
    return output


def _plan_folder(
    inputs: Sequence[Path],
    output: Path,
    recursive: bool,
    format: str | None,
    preview: bool,
    check: Callable[[], object] = lambda: None,
) -> Plan:
    jobs: dict[Path, Job] = {}  # by the resolved input: a photo given twice is done once
    left_out: Counter[str] = Counter()
    unreadable: list[tuple[Path, str]] = []
    links: list[Path] = []
    deeper = False

    def named(name: str) -> str:
        return name + PREVIEW_SUFFIX if preview else _renamed(name, format)

    # Photos that lie where the results go, in another format: the results are no photos to do.
    among_results = any(
        is_folder(start) and identity(start) == identity(output) for start in inputs
    )
    results = manifest.load(output) if among_results else None

    for start in inputs:
        if not is_folder(start):
            # One that is not there gets its job too, and fails by itself: the others are done.
            jobs.setdefault(identity(start), Job(start, output / named(start.name)))
            continue
        for folder, subfolders, names in _walk(start, unreadable):
            for name in sorted(names):
                check()
                path = folder / name
                suffix = path.suffix.lower()
                if name.startswith("."):  # among them macOS' "._x.jpg", which are no pictures
                    continue
                if _is_left_out(suffix):
                    left_out[suffix] += 1
                elif suffix in images.SUFFIXES or suffix in images.RAW_SUFFIXES:
                    if results is not None and results.made(path):
                        continue
                    target = output / folder.relative_to(start) / named(name)
                    jobs.setdefault(identity(path), Job(path, target))
            subfolders[:] = [s for s in sorted(subfolders) if _is_input(folder / s, output)]
            if not recursive:
                deeper |= bool(subfolders)
                subfolders.clear()
            links += (folder / s for s in subfolders if os.path.islink(folder / s))  # noqa: PTH114
    return Plan(
        tuple(jobs.values()),
        dict(left_out),
        tuple(unreadable),
        deeper=deeper,
        links=tuple(links),
        folder=output,
    )


def is_folder(path: Path) -> bool:
    """Whether it is a folder, or a link to one; not where one may not look."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises there


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - as above


def _is_left_out(suffix: str) -> bool:
    """Whether files of a suffix are pictures that cannot be read here."""
    return suffix in images.UNSUPPORTED_SUFFIXES or images.missing_extra(suffix) is not None


def _walk(
    start: Path, unreadable: list[tuple[Path, str]]
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`os.walk` with paths, noting folders that cannot be opened."""

    def note(error: OSError) -> None:
        folder = Path(os.fsdecode(error.filename))
        unreadable.append((folder, f"cannot be opened: {images.reason(error)}"))

    for folder, subfolders, names in os.walk(start, onerror=note):
        yield Path(folder), subfolders, names


def _is_input(folder: Path, output: Path) -> bool:
    """Whether to go into a subfolder: not if it is hidden, nor if it is where the results go."""
    return not folder.name.startswith(".") and identity(folder) != identity(output)


def _renamed(name: str, format: str | None) -> str:
    """The output's name: the input's, with another suffix where the format asks for it."""
    suffix = Path(name).suffix
    if format is None:
        # What cannot be written as it was becomes a TIFF file, which holds its 16 bits.
        raw = suffix.lower() in images.RAW_SUFFIXES
        return name[: -len(suffix)] + ".tif" if raw else name
    if images.SUFFIXES.get(suffix.lower()) == FORMATS[format]:
        return name
    known = {*images.SUFFIXES, *images.UNSUPPORTED_SUFFIXES, *images.RAW_SUFFIXES}
    return (name[: -len(suffix)] if suffix.lower() in known else name) + "." + format


def identity(path: Path) -> Path:
    """The same for two names of one file, whether it exists or not."""
    try:
        found = os.path.normcase(os.path.realpath(path))
    except OSError:  # a link that may not be read, as some in /proc
        found = os.path.normcase(path.absolute())
    if sys.platform == "darwin":  # whose file systems mostly tell neither apart
        found = unicodedata.normalize("NFC", found).casefold()
    return Path(found)


def _inode(path: Path) -> tuple[int, int] | None:
    """The same for two names of one existing file, however the file system compares names."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _without_collisions(
    found: Plan, files: Callable[[Path], Sequence[Path]], spare: Sequence[Path]
) -> Plan:
    """The plan without photos whose output is an input, or is another photo's output as well.

    files: what is written for an output.
    spare: photos that count as inputs.
    """
    photos = [*(job.input for job in found.jobs), *spare]
    inputs = {identity(photo) for photo in photos}
    inodes = {_inode(photo) for photo in photos} - {None}
    claims: defaultdict[Path, list[Job]] = defaultdict(list)
    for job in found.jobs:
        for file in files(job.output):
            claims[identity(file)].append(job)
    kept, refused = [], []
    for job in found.jobs:
        reason = None
        for file in files(job.output):
            if identity(file) in inputs or _inode(file) in inodes:
                reason = f"the output {file} is an input: name another folder with -o"
            elif others := [str(o.input) for o in claims[identity(file)] if o != job]:
                both = f"this and {', '.join(others)} would both become {file}"
                reason = f"{both}: give them separately, with other folders"
            if reason is not None:
                break
        if reason is None:
            kept.append(job)
        else:
            refused.append(Result(job.input, job.output, "failed", reason))
    if refused and not kept:
        raise UsageError(f"{refused[0].input}: {refused[0].reason}")
    return replace(found, jobs=tuple(kept), refused=tuple(refused))


# --- doing it ------------------------------------------------------------------------------------


def run(
    jobs: Iterable[Job],
    denoiser: Denoises,
    *,
    settings: Settings | None = None,
    progress: Callable[[Job, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[Result]:
    """Do jobs one after the other, yielding what became of each.

    progress: called with a job and how much of it is done, 0–1, from the thread that runs this.
    cancelled: asked before each photo, at each progress and before a result takes its name; once
    it says yes, this ends, and the photo in work leaves no trace.

    Raises `UsageError` where the model does not know the strength.
    """
    chosen = settings or Settings()
    for job in jobs:

        def report(fraction: float, job: Job = job) -> None:
            if cancelled is not None and cancelled():
                raise Cancelled
            if progress is not None:
                progress(job, fraction)

        try:
            report(0.0)
            result = run_one(job, denoiser, settings=chosen, progress=report)
        except Cancelled:
            return
        yield result


def run_one(
    job: Job,
    denoiser: Denoises,
    *,
    settings: Settings | None = None,
    progress: Callable[[float], None] | None = None,
    step: Callable[[float], object] = lambda seconds: None,
    record: Manifest | None = None,
    model: Mapping[str, Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Do one job. Whatever is wrong with the photo is in the result, not raised.

    step: see `invdn.restore.Hooks`.
    record: the manifest to which what was done is added, and `model` what it says of the model.
    clock: seconds, by which it is told how long it took.

    Raises `UsageError` where the model does not know the strength.
    """
    settings = settings or Settings()
    start = clock()
    result = Result(job.input, job.output, "done")
    version = manifest.version_of(job.input)

    def write_down(file: BinaryIO) -> None:
        entry = None
        if record is not None:
            seconds = clock() - start
            chosen = recorded(settings, model)
            entry = manifest.done(job.input, version, file, chosen, seconds)
        if progress is not None:
            progress(1.0)  # encoding takes long: whoever has cancelled it meanwhile gets no result
        # After its checksum was taken, which is to be that of what was worked on.
        if manifest.version_of(job.input) not in (version, None):
            raise images.PhotoError(images.CHANGED)
        if record is not None and entry is not None:
            with _list_named(record):
                record.append(job.output, entry)

    try:
        if record is not None:
            with _list_named(record):
                record.check()  # better known before the work than after it
        if not settings.overwrite and is_taken(job.output) and _is_there(job.input):
            raise images.ExistsError(images.EXISTS)
        hooks = Hooks(progress=progress, step=step, before_naming=write_down)
        outcome = restore_file(job.input, job.output, denoiser, settings, hooks)
        result = replace(result, **vars(outcome))
    except Cancelled:
        raise
    except OptionError as error:  # no photo would fare better
        raise UsageError(str(error)) from error
    except images.ExistsError as error:
        reason = str(error)
        if record is not None and reason == images.EXISTS:
            # Those who asked for this job knew of no such output of ours; is there one by now?
            known = manifest.load(record.folder)
            if known.state(job.input, job.output, recorded(settings, model)) != "foreign":
                reason = images.MADE
        result = replace(result, status="skipped", reason=reason)
    except Exception as error:  # one photo must not cost the others theirs
        result = replace(
            result,
            status="failed",
            reason=reason_of(error),
            no_room=_is_of_a_full_disk(error),
            unwritable=record is not None and _is_of_the_folder(error, record.folder),
        )
    return replace(result, seconds=clock() - start)


def is_taken(output: Path) -> bool:
    """Whether something lies there that is only replaced where that is asked for."""
    return os.path.lexists(output) and not images.is_empty_file(output)


# --- what was done already -----------------------------------------------------------------------


def recorded(settings: Settings, model: Mapping[str, Any] | None) -> dict[str, Any]:
    """What an output depends on besides its input, as the manifest notes it."""
    chosen = dataclasses.asdict(settings)
    for without_effect in ("overwrite", "max_pixels", "keep_time"):
        del chosen[without_effect]
    return {**chosen, "version": __version__, **(model or {})}


def due(
    job: Job, record: Manifest, settings: Settings, model: Mapping[str, Any]
) -> Result | Settings:
    """The settings to do a job with, or its result if there is nothing to be done.

    An output that the same work would give again is left, even with `overwrite`. One of ours
    that nobody has changed is replaced when its input or what is asked for has changed.
    """
    try:
        state = record.state(job.input, job.output, recorded(settings, model))
    except OSError:
        return settings  # the reason is found when it is opened
    if state == "current":
        return Result(job.input, job.output, "skipped", DONE_ALREADY)
    return replace(settings, overwrite=True) if state == "ours" else settings


@contextmanager
def _list_named(record: Manifest) -> Iterator[None]:
    """Around what is done to the manifest: its errors are not the photo's."""
    try:
        yield
    except OSError as error:
        path = record.folder / manifest.NAME
        raise images.FolderError(
            f"cannot write the list {path}: {images.reason(error)}", record.folder
        ) from error


def _is_of_the_folder(error: Exception, folder: Path) -> bool:
    """Whether nothing at all can be written into a folder."""
    if not isinstance(error, images.FolderError):
        return False
    too_long = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENAMETOOLONG
    return folder.is_relative_to(error.folder) and not too_long


def _is_of_a_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in images.FULL:
            return True
        error = error.__cause__
    return False


def reason_of(error: Exception) -> str:
    """Why a photo failed, in one line."""
    if isinstance(error, images.PhotoError | ModelError | UsageError | ValueError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "not enough memory for a picture of this size"
    elif isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        text = where + images.reason(error)
    else:
        text = f"unexpected error, please report it: {type(error).__name__}: {error}"
    return " ".join(text.split())
