"""A process that does photos, seen from the one that it works for; see `invdn.worker`.

This module imports nothing heavy: the command line starts a process here before it imports the
rest, so that the two start up at the same time.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

SECONDS_TO_START = 300.0
_SECONDS_TO_STOP = 15.0  # more than a worker takes to give up, see `invdn.worker`
_SECONDS_TO_BE_KILLED = 5.0
_SLICE_SECONDS = 1.0
_KILLED = (-9, 137)  # as the system does it where memory runs out
PROGRAM = "from invdn.worker import main; main()"
"""What the process runs, after its path is set."""
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""For glibc's: memory of tiles and bands goes back to the system as soon as it is free. Left to
itself it keeps more and more of it, in pieces: 70 MB with a photo of 100 megapixels."""


def python(program: str) -> list[str]:
    """The command that runs a program of Python, with the modules of this process.

    So that it is the same invdn, and nothing in the current folder is taken for a module.
    """
    return [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}"]


class ProcessError(Exception):
    """The process cannot work, or is gone; the message is one line that says why."""


class StartError(ProcessError):
    """The process was gone before it said anything."""


class WrongOptions(Exception):
    """The model does not know what is asked for; the message is one line."""


class Process:
    """A process that runs `invdn.worker`, with its model loaded or about to be."""

    def __init__(
        self,
        model: str,
        threads: int | None = None,
        jobs: int = 1,
        ensemble: Mapping[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        """Start it, without waiting.

        threads: of all `jobs` processes together, each of which has an equal share; None for as
            many as there are usable cores.
        ensemble: arguments for `invdn.Denoiser.using`.
        device: as for `invdn.load`.
        """
        self._process = subprocess.Popen(
            python(PROGRAM),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**_MALLOC, **os.environ},
        )
        self.is_gone = False
        self._is_silent = False
        self._model: dict[str, Any] | None = None
        self._at_work = self._is_paused = False
        # Besides its messages, {} for a change of `_is_paused`, and None for its end.
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._send(
            {
                "model": model,
                "device": device,
                "threads": threads,
                "jobs": jobs,
                "ensemble": dict(ensemble or {}),
            }
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def model(self) -> dict[str, Any]:
        """The name and the checksum of the model, once it is loaded.

        Raises ProcessError if it cannot be, WrongOptions if it cannot do what is asked for.
        """
        if self._model is None:
            message = self._first_message()
            if message is not None and "options" in message:
                self.end()
                raise WrongOptions(message["options"])
            if message is None:
                why = self._why_ended()  # before `end`, which may be what kills it
                self.end()
                raise StartError(f"the working process does not start ({why})")
            if "fatal" in message:
                self.end()
                raise ProcessError(message["fatal"])
            self._model = message["ready"]
        return self._model

    def do(self, job: dict[str, Any], progress: Callable[[float], None]) -> dict[str, Any]:
        """What became of a job; both as `invdn.worker` has them.

        A process whose step takes longer than it told is killed, unless it is paused.
        Raises ProcessError if the process is gone before that, and WrongOptions.
        """
        self.model()
        self._at_work = True
        self._send(job)
        seconds = SECONDS_TO_START
        while True:
            try:
                message = self._next_message(None if self._is_paused else seconds)
            except queue.Empty:
                self._process.kill()  # it would not listen either
                self.end()
                raise ProcessError(
                    f"reading or writing it did not end within {seconds:.0f} s"
                ) from None
            if message is None:
                self.end()
                raise ProcessError(self._how_it_ended())
            if not message:
                continue  # a pause begins or ends: the step has all of its time again
            if "progress" in message:
                progress(message["progress"])
            elif "step" in message:
                seconds = message["step"]
            elif "options" in message:
                raise WrongOptions(message["options"])
            else:
                self._at_work = False
                return dict(message["result"])

    def set_paused(self, paused: bool) -> None:
        """Have the process wait after the tile in work, or go on. From any thread."""
        self._is_paused = paused
        self._send({"pause": paused})
        self._messages.put({})  # `do` may be waiting, with the time limit of before

    def dismiss(self) -> None:
        """Tell the process to give up what it is doing and to end. From any thread."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        if not self._at_work:  # it would not notice while it loads a model, and leaves no trace
            self._process.kill()

    def end(self) -> None:
        """End the process, politely if it is at work, and wait for that, but not for ever."""
        self.is_gone = True
        self.dismiss()
        if self._at_work:
            self._reader.join(_SECONDS_TO_STOP)
        if self._reader.is_alive():
            self._process.kill()
        self._wait()

    def _send(self, message: dict[str, Any]) -> None:
        # A line at once, which those of other threads do not interrupt.
        with contextlib.suppress(OSError, ValueError):  # it is gone: receiving will tell
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _first_message(self) -> dict[str, Any] | None:
        """What it says first; None if that is nothing in time, or it is gone."""
        message: dict[str, Any] | None = {}
        try:
            while message == {}:
                message = self._next_message(SECONDS_TO_START)
        except queue.Empty:
            return None
        return message

    def _next_message(self, seconds: float | None) -> dict[str, Any] | None:
        """The next message, with None as the time for as long as it takes; raises `queue.Empty`.

        Time is counted in slices. What passes while this process stands still, by Ctrl-Z or with
        the whole computer, costs one of them at most: the other process stands still as well.
        """
        while seconds is not None and seconds > _SLICE_SECONDS:
            with contextlib.suppress(queue.Empty):
                return self._messages.get(timeout=_SLICE_SECONDS)
            seconds -= _SLICE_SECONDS
        return self._messages.get(timeout=seconds)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            for line in iter(pipe.readline, b""):
                with contextlib.suppress(ValueError):  # a line cut off by a crash
                    self._messages.put(json.loads(line))
        self._messages.put(None)

    def _wait(self) -> int:
        """Its exit status. One that has closed its pipe and does not end is killed.

        One that not even that ends, since it is in a call of the system that does not return (a
        network drive is gone), counts as killed.
        """
        if not self._is_silent:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(_SECONDS_TO_STOP)
            self._is_silent = True
            self._process.kill()
        try:
            return self._process.wait(_SECONDS_TO_BE_KILLED)
        except subprocess.TimeoutExpired:
            return _KILLED[0]

    def _how_it_ended(self) -> str:
        status = self._wait()
        if self._is_silent:
            return "the work on it went silent and did not end"
        if status in _KILLED:
            return "the system ended the work on it, probably for want of memory"
        return f"it crashed its decoder ({self._status()})"

    def _why_ended(self) -> str:
        killed = self._wait() in _KILLED
        if killed and not self._is_silent:
            return "the system ended it, probably for want of memory: close other programs"
        return self._status()

    def _status(self) -> str:
        status = self._wait()
        if status < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-status).name
        return f"exit status {status & 0xFFFFFFFF}"
