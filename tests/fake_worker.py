"""A working process whose denoiser removes nothing, for tests of what is around it.

At strength 0.5 it adds 1 to whole numbers, so that the result can be told from others.
It notes how it was called in the file $INVDN_TEST_NOTES, one JSON object a line, takes
$INVDN_TEST_SECONDS for each photo, and does what no Python code could survive for photos whose
first pixel says so: 66 crashes, 77 never ends, 88 is killed by the system. For 99 the disk is full.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from types import SimpleNamespace
from typing import Any

import invdn
from invdn import restore
from invdn.denoiser import OptionError

CRASHES, HANGS, KILLED, FULL = 66, 77, 88, 99
PROGRAM = f"import runpy; runpy.run_path({__file__!r}, run_name='__main__')"
"""For `invdn.process.PROGRAM`."""


class Fake:
    info = SimpleNamespace(name="fake", sha256="0" * 64, latent_channels=0)

    def __init__(self, name: str, threads: int | None) -> None:
        self.name, self.threads = name, threads
        self.more: dict[str, Any] = {}

    def using(self, **ensemble: Any) -> Fake:
        if ensemble.get("samples") == 99:
            raise OptionError("it has no such thing")
        self.more["ensemble"] = ensemble
        return self

    def _restore(self, image: Any, strength: float, progress: Any) -> Any:
        if strength == 1.25:
            raise OptionError("it has no such thing")
        note(name=self.name, threads=self.threads, strength=strength, **self.more)
        os.write(1, b"what libraries print")
        first = image.flat[0]
        if first == CRASHES:
            os.kill(os.getpid(), signal.SIGSEGV)
        if first == HANGS:
            time.sleep(3600)
        if first == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        if first == FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        seconds = float(os.environ.get("INVDN_TEST_SECONDS", "0"))
        for tile in range(10):
            time.sleep(seconds / 10)
            if progress is not None:
                progress((tile + 1) / 10)
        return image + image.dtype.type(strength == 0.5)

    def restore_regions(
        self,
        height: int,
        width: int,
        read: Any,
        write: Any,
        *,
        strength: float,
        progress: Any,
        origin: tuple[int, int],
    ) -> None:
        whole = slice(0, height), slice(0, width)
        write(*whole, self._restore(read(*whole), strength, progress))

    def context(self, part: slice, size: int) -> slice:
        return part


def note(**what: Any) -> None:
    if "INVDN_TEST_NOTES" in os.environ:
        with open(os.environ["INVDN_TEST_NOTES"], "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps(what) + "\n")


def load(name: str, *, device: str = "auto", threads: int | None = None) -> Fake:
    if name == "none.onnx":
        raise invdn.ModelError("there is no model file none.onnx")
    fake = Fake(name, threads)
    if device != "auto":
        fake.more["device"] = device
    return fake


if __name__ == "__main__":
    from invdn.worker import main

    invdn.load = load
    restore._SECONDS_A_TILE = 2.0  # so that a test of what never ends does end
    main()
