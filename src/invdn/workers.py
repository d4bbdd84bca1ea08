"""Many photos in processes of their own, so that nothing that a file does ends the batch.

    for result in run(plan.jobs, Setup("photo", jobs=2), folder=plan.folder):
        print(result.status, result.input)

Decoders are native code and photos come from anywhere: a crash, a hang, or the system's end of a
process that wants too much memory costs the one photo that was in work. The process is replaced.
The pixels never travel between processes, only names and results do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdn import batch, images, manifest
from invdn.batch import Job, Result
from invdn.control import Control
from invdn.manifest import Manifest
from invdn.process import Process, ProcessError, StartError, WrongOptions
from invdn.restore import Settings
from invdn.runtime import ModelError


class NotStartedError(ModelError):
    """A process was gone before it could say whether the model can be loaded."""


@dataclass(frozen=True)
class Setup:
    """What all photos of a batch have in common."""

    model: str
    threads: int | None = None
    """Processor threads of all processes; None for as many as there are usable cores."""
    jobs: int = 1
    """How many photos are worked on at once, each in a process."""
    settings: Settings = dataclasses.field(default_factory=Settings)
    ensemble: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Arguments for `invdn.Denoiser.using`."""
    device: str = "auto"
    """As for `invdn.load`."""


def run(
    jobs: Sequence[Job],
    setup: Setup,
    *,
    folder: Path | None = None,
    first: Process | None = None,
    progress: Callable[[Job, float], None] | None = None,
    control: Control | None = None,
) -> Generator[Result, None, None]:
    """Do jobs, yielding what became of each, in the order in which they are finished.

    folder: the folder whose manifest says what was done already and gets what is done now.
    first: a process that was started with the same model, device, threads and jobs as in `setup`.
    progress: called with a job and how much of it is done, 0–1, from the thread that runs this.
    control: pauses the work, and ends it, from other threads; paused where the disk is full. With
    one, `progress` hears of each photo as soon as it is begun.

    Raises `ModelError` if the model cannot be loaded, and `batch.UsageError` if it does not know
    what is asked for. When the batch is cancelled, or the generator is closed or an exception is
    thrown into it (Ctrl-C), the photos in work are given up and leave no trace.
    """
    _start_afresh(jobs, folder)
    record = manifest.load(folder) if folder is not None else None
    team = _Team(jobs, setup, record, first, control)
    try:
        for event in team.events():
            if isinstance(event, Result):
                yield event
            elif progress is not None:
                progress(*event)
    finally:
        team.stop()


def _start_afresh(jobs: Sequence[Job], folder: Path | None) -> None:
    """Remove what killed runs left behind where this one will write."""
    folders = {job.output.parent for job in jobs} | ({folder} if folder is not None else set())
    images.remove_strays(sorted(folders))


class _Team:
    """Threads that each lead a process through jobs, and what they report."""

    def __init__(
        self,
        jobs: Sequence[Job],
        setup: Setup,
        record: Manifest | None,
        first: Process | None,
        control: Control | None,
    ) -> None:
        self._setup, self._record, self._control = setup, record, control
        self._jobs = iter(jobs)
        self._lock = threading.Lock()
        self._events: queue.Queue[Result | tuple[Job, float] | BaseException | None] = queue.Queue()
        self._stopped = threading.Event()
        count = max(1, min(setup.jobs, len(jobs)))
        if first is not None and count != setup.jobs:
            first.end()  # it has but a share of the threads, and there are fewer to share them
            first = None
        self._processes = [] if first is None else [first]
        self._started_ahead = list(self._processes)
        self._threads = [threading.Thread(target=self._lead, daemon=True) for _ in range(count)]

    def events(self) -> Iterator[Result | tuple[Job, float]]:
        """Results, and (job, progress), until all is done."""
        if self._control is not None:
            self._control.listen(self._obey)
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        while working:
            try:
                event = self._events.get(timeout=1.0)  # without one, Windows never interrupts it
            except queue.Empty:
                continue
            if event is None:
                working -= 1
            elif isinstance(event, BaseException):
                raise event
            else:
                yield event

    def stop(self) -> None:
        """End all processes, politely first, and wait for that."""
        self._dismiss()
        if self._control is not None:
            self._control.close()  # threads may be waiting for the end of a pause
        for thread in self._threads:
            thread.join()

    def _dismiss(self) -> None:
        """Have all processes end, without waiting."""
        self._stopped.set()
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            process.dismiss()

    def _obey(self) -> None:
        """Pass on what the control says now."""
        assert self._control is not None
        if self._control.cancelled:
            self._dismiss()
            return
        with self._lock:
            for process in self._processes:
                process.set_paused(self._control.paused)

    def _lead(self) -> None:
        """Lead one process, and its replacements, through jobs until there are no more."""
        process = None
        try:
            for job in iter(self._next_job, None):
                if process is None or process.is_gone:
                    process = self._new_process()
                result = None if process is None else self._do(job, process)
                if result is None:
                    break
                if self._control is not None:
                    self._control.end(result)
                self._events.put(result)
        except WrongOptions as error:  # no photo would fare better
            self._events.put(batch.UsageError(str(error)))
        except BaseException as error:  # it is the main thread's to raise
            self._events.put(error)
        finally:
            if process is not None:
                process.end()
            self._events.put(None)

    def _next_job(self) -> Job | None:
        while True:
            with self._lock:
                job = None if self._stopped.is_set() else next(self._jobs, None)
            if job is None or self._control is None:
                return job
            if self._control.begin(job.input):
                self._told(job)(0.0)  # it cannot be left out any more; its process may yet start
                return job

    def _new_process(self) -> Process | None:
        """A process to lead; None after `stop`."""
        with self._lock:
            if self._stopped.is_set():
                return None
            if self._started_ahead:
                process = self._started_ahead.pop()
            else:
                process = Process(
                    self._setup.model,
                    self._setup.threads,
                    len(self._threads),
                    self._setup.ensemble,
                    self._setup.device,
                )
                self._processes.append(process)
            if self._control is not None and self._control.paused:
                process.set_paused(True)  # a pause that began just now was told only to others
            return process

    def _do(self, job: Job, process: Process) -> Result | None:
        """What became of a job; None if it was given up because of `stop`."""
        try:
            model = process.model()
        except ProcessError as error:
            if self._stopped.is_set():
                return None
            kind = NotStartedError if isinstance(error, StartError) else ModelError
            raise kind(str(error)) from error
        settings = self._setup.settings
        if self._record is not None:
            due = batch.due(job, self._record, settings, model)
            if isinstance(due, Result):
                return due
            settings = due
        start = time.monotonic()
        try:
            result = _done_by(process, job, settings, self._folder, self._told(job))
        except ProcessError as error:
            images.remove_strays([job.output.parent])
            if self._stopped.is_set():
                return None
            seconds = time.monotonic() - start
            result = Result(job.input, job.output, "failed", str(error), seconds=seconds)
        if self._record is not None and result.status == "failed":
            with contextlib.suppress(OSError):  # the reason is told anyway
                self._record.append(job.output, manifest.failed(job.input, str(result.reason)))
        return result

    def _told(self, job: Job) -> Callable[[float], None]:
        return lambda fraction: self._events.put((job, fraction))

    @property
    def _folder(self) -> str | None:
        return None if self._record is None else str(self._record.folder)


def _done_by(
    process: Process,
    job: Job,
    settings: Settings,
    folder: str | None,
    progress: Callable[[float], None],
) -> Result:
    request = {
        "input": str(job.input),
        "output": str(job.output),
        "folder": folder,
        "settings": dataclasses.asdict(settings),
    }
    fields = process.do(request, progress)
    return Result(
        **{**fields, "input": job.input, "output": job.output, "notices": tuple(fields["notices"])}
    )
