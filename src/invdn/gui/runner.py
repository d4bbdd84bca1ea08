"""A batch, led by a thread of its own: pause, go on, cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from invdn import batch
from invdn.batch import Job
from invdn.control import Control
from invdn.gui.ways import Way
from invdn.restore import Settings


class Runner(QObject):
    """Runs one batch at a time."""

    started = Signal(object)
    """The jobs, a tuple."""
    progressed = Signal(object, float)
    """A job, and how much of it is done, 0–1."""
    photo_done = Signal(object)
    """A `Result`; where the disk is full, the batch is paused."""
    finished = Signal(bool)
    """The thread is about to end; whether it was cancelled."""
    failed = Signal(str)
    """Nothing could be done at all, or nothing more: why."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread: threading.Thread | None = None
        self._control = Control()  # of the last batch
        self._busy = False
        self.finished.connect(self._on_finished)

    @property
    def busy(self) -> bool:
        """Whether a batch is under way, paused or not."""
        return self._busy

    @property
    def paused(self) -> bool:
        return self._busy and self._control.paused

    def start(self, jobs: Callable[[], Sequence[Job]], way: Way, settings: Settings) -> bool:
        """Begin a batch, unless one is under way: then False. `jobs` is called in the thread."""
        if self._busy:
            return False
        self._busy = True
        control = self._control = Control()

        def work() -> None:
            try:
                found = tuple(jobs())
                self.started.emit(found)
                with closing(way(found, settings, control, self.progressed.emit)) as results:
                    for result in results:
                        self.photo_done.emit(result)
            except Exception as error:  # no mishap in a thread may end the program
                self.failed.emit(batch.reason_of(error))
            self.finished.emit(control.cancelled)

        self._thread = threading.Thread(target=work, name="batch", daemon=True)
        self._thread.start()
        return True

    def leave_out(self, photo: Path) -> bool:
        """Do not do a photo of the batch; False if it is being done."""
        return self._control.leave_out(photo)

    def pause(self) -> None:
        """Stop after the tile in work, until `resume`; a cancelled batch does not wait."""
        if self._busy:
            self._control.pause()

    def resume(self) -> None:
        self._control.resume()

    def cancel(self) -> None:
        """Stop after the tile in work; the photo in work leaves no trace."""
        self._control.cancel()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end, for so long at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _on_finished(self) -> None:
        self._busy = False
