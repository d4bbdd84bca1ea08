"""What was opened last, in the settings and in its menu."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings

from invdn.gui import language
from invdn.gui.recent import RecentMenu


def test_the_last_ten_are_offered_the_newest_first(
    qtbot: Any, settings: QSettings, tmp_path: Path
) -> None:
    language.apply("en")
    menu = RecentMenu(settings)
    qtbot.addWidget(menu)
    (nothing,) = menu.actions()
    assert nothing.text() == "nothing yet"
    assert not nothing.isEnabled()
    paths = [tmp_path / f"{number} & more.png" for number in range(12)]
    for path in (*paths, paths[5]):
        menu.remember([path])
    again = RecentMenu(settings)
    qtbot.addWidget(again)
    chosen: list[Path] = []
    again.chosen.connect(chosen.append)
    for action in again.actions():
        assert "&& more" in action.text()
        action.trigger()
    assert chosen == [paths[number] for number in (5, 11, 10, 9, 8, 7, 6, 4, 3, 2)]
