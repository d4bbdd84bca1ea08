"""How far a batch is, as the user is told: a bar, how long it still takes, how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QWidget

from invdn.batch import Result

_TICK_MS = 1000
"""How often it is said anew how long it still takes."""


class Clock:
    """How long a batch still takes, from what it has done; pauses do not count.

    sizes: of each photo in megapixels, where known; 0 where not, which counts as the mean.
    """

    def __init__(self, sizes: Sequence[float], now: Callable[[], float] = time.monotonic) -> None:
        known = [size for size in sizes if size > 0]
        mean = sum(known) / len(known) if known else 1.0
        self._sizes = [size if size > 0 else mean for size in sizes]
        self._done = 0.0
        self._skipped = 0.0
        self._now = now
        self._start = now()
        self._paused_at: float | None = None

    @property
    def total(self) -> float:
        return sum(self._sizes)

    def at(self, number: int, fraction: float) -> float:
        """Note that so much of a photo is done; returns how much of all is, 0–1."""
        self._done = sum(self._sizes[:number]) + fraction * self._sizes[number]
        return self._done / self.total if self.total else 1.0  # the only one was left out

    def leave_out(self, number: int) -> None:
        """A photo will not be done at all."""
        self._sizes[number] = 0.0

    def skip(self, number: int) -> None:
        """A photo was not worked on: it must not make the others look quick."""
        self._skipped += self._sizes[number]

    def pause(self) -> None:
        self._paused_at = self._now()

    def resume(self) -> None:
        if self._paused_at is not None:
            self._start += self._now() - self._paused_at
            self._paused_at = None

    @property
    def seconds_left(self) -> float | None:
        """None until something is done."""
        worked = self._done - self._skipped
        if worked <= 0:
            return None
        now = self._paused_at if self._paused_at is not None else self._now()
        return (now - self._start) * (self.total - self._done) / worked


class BatchProgress(QWidget):
    """A bar and a few words beside it.

    It is told what happens: `begin`; `started`, once it is known which photos there are; `at` and
    `done` for each photo; `finished`.

    paused: says whether the batch is paused, which it may be by itself, where the disk is full.
    """

    def __init__(self, paused: Callable[[], bool], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._paused = paused
        self._running = False
        self._cancelling = False  # until the tile in work is done
        self._refused = False  # the batch as a whole, or what was left of it
        self._counts = {"done": 0, "skipped": 0, "failed": 0}
        self._rows: dict[Path, int] = {}  # place of a photo in the batch
        self._left: set[Path] = set()  # photos of the batch of which nothing has become yet
        self._clock: Clock | None = None
        self._outcome_said: Callable[[], str] = str  # to be said anew in another language
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setMinimumWidth(40)
        self.label = QLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.label)
        self._ticker = QTimer(self)
        self._ticker.setInterval(_TICK_MS)
        self._ticker.timeout.connect(self.tell)
        self.retranslate()

    @property
    def cancelling(self) -> bool:
        """Whether the batch was told to stop, and has not yet."""
        return self._cancelling

    @property
    def left(self) -> int:
        """Of how many photos nothing has become yet."""
        return len(self._left)

    # --- what happens ----------------------------------------------------------------------------

    def begin(self) -> None:
        """A batch begins; its photos are not known yet."""
        self._running, self._refused = True, False
        self._counts = {"done": 0, "skipped": 0, "failed": 0}
        self._rows, self._left = {}, set()
        self._ticker.start()

    def started(self, megapixels: Mapping[Path, float]) -> None:
        """These photos are to be done, in this order; 0 for a size that is not known."""
        self._rows = {photo: number for number, photo in enumerate(megapixels)}
        self._left = set(megapixels)
        self._clock = Clock(list(megapixels.values())) if megapixels else None
        if self._clock is not None and self._paused():
            self._clock.pause()
        self.bar.setValue(0)
        self.tell()

    def at(self, photo: Path, fraction: float) -> None:
        """So much of a photo is done, 0–1."""
        if self._clock is not None:
            self.bar.setValue(round(1000 * self._clock.at(self._rows[photo], fraction)))
        self.tell()

    def done(self, result: Result) -> None:
        """Nothing more will be done of a photo."""
        self._counts[result.status] += 1
        self._left.discard(result.input)
        if self._clock is not None:
            self._clock.at(self._rows[result.input], 1.0)
            if result.status != "done":
                self._clock.skip(self._rows[result.input])

    def leave_out(self, photo: Path) -> None:
        """A photo will not be done; nothing changes where it is none of the batch's, or done."""
        if photo in self._left:
            self._left.remove(photo)
            if self._clock is not None:
                self._clock.leave_out(self._rows[photo])
            self.tell()

    def pause(self) -> None:
        if self._clock is not None:
            self._clock.pause()
        self.tell()

    def resume(self) -> None:
        if self._clock is not None:
            self._clock.resume()
        self.tell()

    def cancel(self) -> None:
        """The batch was told to stop."""
        self._cancelling = True
        self.tell()

    def refuse(self) -> None:
        """Nothing could be done at all, or nothing more can be."""
        self._refused = True

    def finished(self, cancelled: bool) -> str:
        """The batch has ended; returns how, in a sentence for the log."""
        self._ticker.stop()
        counts, ended = self._counts, sum(self._counts.values())
        none_is_there = counts["done"] == counts["skipped"] == 0
        nothing = none_is_there and (self._refused or counts["failed"] > 0)
        early = self._refused and not nothing
        self._outcome_said = partial(self._outcome, cancelled, nothing, early, counts["failed"])
        parts = [self.tr("%n done", "", counts["done"])]
        if counts["skipped"]:
            parts.append(self.tr("%n skipped", "", counts["skipped"]))
        if counts["failed"]:
            parts.append(self.tr("%n failed", "", counts["failed"]))
        share = ended / (ended + len(self._left)) if early else 1.0
        self.bar.setValue(0 if cancelled or nothing else round(1000 * share))
        self.label.setText(self._outcome_said())
        self._clock = None
        self._running = self._cancelling = False
        said = self._outcome(cancelled, nothing, early)
        return self.tr("{0}: {1}").format(said, self.tr(", ").join(parts))

    def forget_outcome(self) -> None:
        """How the last batch ended is not said any longer."""
        if not self._running:
            self._outcome_said = str
            self.label.setText("")

    def clear(self) -> None:
        """There is nothing that could have been done."""
        if not self._running:
            self.forget_outcome()
            self.bar.setValue(0)

    def set_other_work(self, busy: bool) -> None:
        """Whether something is done of which nobody knows how much; the bar just moves then.

        Not while a batch runs: the bar is for that.
        """
        self.bar.setMaximum(0 if busy and not self._running else 1000)

    # --- words -----------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)

    def retranslate(self) -> None:
        self.bar.setAccessibleName(self.tr("Progress of all photos"))
        if self._running:
            self.tell()
        else:
            self.label.setText(self._outcome_said())

    def tell(self) -> None:
        """Say how many are done, and how long it still takes."""
        if not self._running:
            return
        if self._cancelling:
            self.label.setText(self.tr("cancelling…"))
            return
        done = sum(self._counts.values())
        in_all = done + len(self._left)
        parts = [self.tr("{0} of {1}").format(done, in_all)] if in_all else []
        if self._paused():
            parts.append(self.tr("paused"))
        elif self._clock is not None and self._clock.seconds_left is not None:
            parts.append(self._duration(self._clock.seconds_left))
        self.label.setText(" · ".join(parts))

    def _duration(self, seconds: float) -> str:
        if seconds < 60:
            return self.tr("%n second(s) left", "", max(1, math.ceil(seconds)))
        if seconds < 5400:
            return self.tr("%n minute(s) left", "", math.ceil(seconds / 60))
        return self.tr("%n hour(s) left", "", round(seconds / 3600))

    def _outcome(self, cancelled: bool, nothing: bool, early: bool, failed: int = 0) -> str:
        if cancelled:
            return self.tr("cancelled")
        if nothing:
            return self.tr("nothing was saved")
        if early:
            return self.tr("stopped early")
        return self.tr("finished, %n failed", "", failed) if failed else self.tr("finished")
