"""Controls beside the photo, and names and sizes as they are shown."""

from __future__ import annotations

from typing import Any

import pytest
from events import wheel
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QApplication, QSpinBox, QWidget

from invdn.gui import language
from invdn.gui.controls import QualityBox, heed_wheel_in_use_only
from invdn.gui.names import in_a_line, megapixels


def test_from_automatic_a_step_leads_to_a_good_quality(qtbot: Any) -> None:
    box = QualityBox()
    qtbot.addWidget(box)
    steps = []
    for step in (1, 1, -1, -1, -90, 1):
        box.stepBy(step)
        steps.append(box.value())
    assert steps == [90, 91, 90, 89, 0, 90]


def test_the_wheel_changes_only_what_is_in_use(qtbot: Any) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    box, other = QSpinBox(parent), QSpinBox(parent)
    other.move(0, 100)
    heed_wheel_in_use_only(box)
    with qtbot.waitActive(parent):
        parent.show()
        parent.activateWindow()
    other.setFocus()
    wheel(box, QPointF(box.rect().center()), 1)
    assert box.value() == 0
    box.setFocus()
    wheel(box, QPointF(box.rect().center()), 1)
    assert box.value() == 1


@pytest.mark.parametrize(
    ("size", "shown"), [(12.0, "12.0"), (0.1, "0.1"), (0.0192, "0.019"), (3e-6, "3e-06")]
)
def test_small_pictures_have_a_size_too(size: float, shown: str) -> None:
    assert megapixels(size) == shown


def test_a_name_is_shown_in_one_line() -> None:
    assert in_a_line("a\nb\r\nc.jpg") == "a b c.jpg"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            "cannot write /a/b.jpg: file name too long: choose a shorter name",
            "/a/b.jpg cannot be written: the name is too long",
        ),
        ("/a/b.jpg: the file is empty", "/a/b.jpg: the file is empty"),
    ],
)
def test_reasons_keep_their_parts_apart(qapp: QApplication, reason: str, said: str) -> None:
    language.apply("en")
    assert language.translated_reason(reason) == said


def test_reasons_behind_a_file_s_name_are_translated(qapp: QApplication) -> None:
    try:
        language.apply("zh_CN")
        said = language.translated_reason("/a/b.jpg: the file is empty")
    finally:
        language.apply("en")
    assert said.startswith("/a/b.jpg：")
    assert "empty" not in said
