"""What is said of a batch, without one."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from invdn.batch import Result
from invdn.gui import language
from invdn.gui.progress import BatchProgress, Clock

A, B = Path("a.png"), Path("b.png")


@pytest.fixture
def progress(qtbot: Any) -> BatchProgress:
    language.apply("en")
    made = BatchProgress(paused=lambda: False)
    qtbot.addWidget(made)
    made.begin()
    made.started({A: 3.0, B: 1.0})
    return made


def test_a_pause_before_the_photos_are_known_does_not_count(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    language.apply("en")
    now = [100.0]
    monkeypatch.setattr("invdn.gui.progress.Clock", partial(Clock, now=lambda: now[0]))
    paused = [True]
    progress = BatchProgress(paused=lambda: paused[0])
    qtbot.addWidget(progress)
    progress.begin()
    progress.pause()
    assert progress.label.text() == "paused"
    progress.started({A: 1.0, B: 1.0})
    assert progress.label.text() == "0 of 2 · paused"
    now[0] += 1000.0
    paused[0] = False
    progress.resume()
    now[0] += 20.0
    progress.at(A, 1.0)
    assert progress.label.text() == "0 of 2 · 20 seconds left"


def test_a_batch_from_its_begin_to_its_end(progress: BatchProgress) -> None:
    assert progress.label.text() == "0 of 2"
    progress.at(A, 0.5)
    assert progress.bar.value() == 375
    assert re.fullmatch(r"0 of 2 · \d+ seconds? left", progress.label.text())
    progress.done(Result(A, A, "done"))
    progress.at(B, 0.0)
    assert progress.bar.value() == 750
    assert re.fullmatch(r"1 of 2 · \d+ seconds? left", progress.label.text())
    assert progress.left == 1
    progress.done(Result(B, B, "failed"))
    assert progress.finished(cancelled=False) == "finished: 1 done, 1 failed"
    assert progress.label.text() == "finished, 1 failed"
    assert progress.bar.value() == 1000
    progress.tell()
    assert progress.label.text() == "finished, 1 failed"


def test_a_batch_that_is_paused_and_then_cancelled(
    progress: BatchProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_paused", lambda: True)
    progress.pause()
    assert progress.label.text() == "0 of 2 · paused"
    progress.leave_out(B)
    assert progress.label.text() == "0 of 1 · paused"
    progress.cancel()
    assert progress.cancelling
    assert progress.label.text() == "cancelling…"
    assert progress.finished(cancelled=True) == "cancelled: 0 done"
    assert not progress.cancelling
    assert progress.label.text() == "cancelled"
    assert progress.bar.value() == 0


def test_the_bar_just_moves_only_without_a_batch(progress: BatchProgress) -> None:
    progress.set_other_work(True)
    assert progress.bar.maximum() == 1000
    progress.finished(cancelled=False)
    progress.set_other_work(True)
    assert progress.bar.maximum() == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.1, "1 second left"),
        (59.5, "60 seconds left"),
        (61, "2 minutes left"),
        (5399, "90 minutes left"),
        (5400, "2 hours left"),
    ],
)
def test_durations_are_said_in_fitting_units(
    progress: BatchProgress, seconds: float, said: str
) -> None:
    assert progress._duration(seconds) == said


def test_a_clock_of_no_photos_is_at_its_end() -> None:
    """The only one was left out just as it ended."""
    clock = Clock([2.0])
    clock.leave_out(0)
    assert clock.at(0, 1.0) == 1.0
    assert clock.seconds_left is None
