"""A process that does photos for `invdn.workers`: one line of JSON in, some lines out.

The first line says what is wanted of all photos; then each line is a photo:

    {"model": "photo", "device": "auto", "threads": null,
     "jobs": 2, "ensemble": {}}                             → {"ready": {"model": ...}}
    {"input": ..., "output": ..., "folder": ...,
     "settings": {...}}                                     → {"step": 21.5}, {"progress": 0.5},
                                                              ..., {"result": {...}}

or {"fatal": ...} if the model cannot be loaded, {"options": ...} if it does not know what is
asked for. "jobs" is how many processes share the cores, "folder" the one whose manifest is kept;
"ensemble" holds arguments for `invdn.Denoiser.using`. At any time {"pause": true} has it
wait once the tile in work is done, until {"pause": false}; to both it answers nothing. When its
input ends, paused or not, it gives up its photo, which leaves no trace, and ends: so it never
outlives the process that it works for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import queue
import signal
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import invdn
from invdn import batch, manifest
from invdn.denoiser import OptionError
from invdn.restore import Settings
from invdn.runtime import ModelError, default_threads

_SECONDS_TO_GIVE_UP = 10.0


def main() -> None:
    """Serve the process at the other end of stdin and stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process to handle
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries may print
        # Unbuffered: a buffer has a lock, which a thread that waits for a line has, and for which
        # Python, as it ends, does not wait but aborts.
        with _Requests(io.FileIO(0, closefd=False)) as requests:
            _serve(requests, out)


def _serve(requests: _Requests, out: BinaryIO) -> None:
    def send(**message: Any) -> None:
        out.write(json.dumps(message).encode() + b"\n")

    wanted = requests.next()
    if wanted is None:
        return
    try:
        threads = max(1, (wanted["threads"] or default_threads()) // wanted["jobs"])
        denoiser = invdn.load(wanted["model"], device=wanted["device"], threads=threads)
        if wanted["ensemble"]:
            denoiser = denoiser.using(**wanted["ensemble"])
    except ModelError as error:
        send(fatal=str(error))
        return
    except OptionError as error:
        send(options=str(error))
        return
    model = {"model": denoiser.info.name, "model_sha256": denoiser.info.sha256}
    latents = denoiser.info.latent_channels > 0
    # Without random latents a seed changes nothing, and nothing has to be done again for it.
    model |= {k: v for k, v in wanted["ensemble"].items() if latents or k != "seed"}
    send(ready=model)

    def progress(fraction: float) -> None:
        requests.go_on()
        send(progress=fraction)

    while (job := requests.next()) is not None:
        folder = job["folder"]
        record = None if folder is None else manifest.Manifest(Path(folder), {})
        try:
            requests.go_on()  # a pause may have begun before the photo
            result = batch.run_one(
                batch.Job(Path(job["input"]), Path(job["output"])),
                denoiser,
                settings=Settings(**job["settings"]),
                progress=progress,
                step=lambda seconds: send(step=seconds),
                record=record,
                model=model,
                clock=requests.clock,
            )
        except batch.Cancelled:
            return
        except batch.UsageError as error:
            send(options=str(error))
            continue
        fields = dataclasses.asdict(result)
        send(result={**fields, "input": job["input"], "output": job["output"]})


class _Requests:
    """The lines of a pipe, read ahead by a thread: its end and pauses are noticed at once."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._ended, self._going = threading.Event(), threading.Event()
        self._going.set()
        self._finished = threading.Event()
        self._seconds_paused = 0.0

    def __enter__(self) -> _Requests:
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finished.set()

    def next(self) -> dict[str, Any] | None:
        """The next request; None once there are no more."""
        return self._waiting.get()

    def go_on(self) -> None:
        """Wait while paused. Raises `batch.Cancelled` once there are no more requests."""
        began = time.monotonic()
        self._going.wait()
        self._seconds_paused += time.monotonic() - began
        if self._ended.is_set():
            raise batch.Cancelled

    def clock(self) -> float:
        """Seconds, which stand still while `go_on` waits."""
        return time.monotonic() - self._seconds_paused

    def _read(self) -> None:
        for line in iter(self._pipe.readline, b""):
            with contextlib.suppress(ValueError):  # cut off: whoever wrote it is gone
                self._take(json.loads(line))
        self._ended.set()
        self._going.set()  # nobody is left to end a pause
        self._waiting.put(None)
        # Native code may not come back: this process must end all the same.
        if not self._finished.wait(_SECONDS_TO_GIVE_UP):
            os._exit(1)

    def _take(self, request: dict[str, Any]) -> None:
        if "pause" not in request:
            self._waiting.put(request)
        elif request["pause"]:
            self._going.clear()
        else:
            self._going.set()
