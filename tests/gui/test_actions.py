"""Actions and menus, without a window that does what they are for."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSettings
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QMenuBar

from invdn.gui import language
from invdn.gui.actions import Actions, Menus


def test_each_action_has_words_and_a_place_in_a_menu(qtbot: Any, settings: QSettings) -> None:
    language.apply("en")
    bar = QMenuBar()
    qtbot.addWidget(bar)
    actions = Actions(settings, bar)
    menus = Menus(bar, actions, settings)
    offered = [action for menu in bar.findChildren(QMenu) for action in menu.actions()]
    all_actions = actions.findChildren(QAction)
    assert len(all_actions) > 20
    for action in all_actions:
        assert action.text()
        assert offered.count(action) == 1, action.text()
    assert all(menu.title() for menu in bar.findChildren(QMenu))
    language.apply("zh_CN")
    actions.set_paused(True)
    for part in (actions, menus):
        part.retranslate()
    assert actions.pause.text() == "继续(&G)"
    assert actions.modes["wipe"].iconText() == "滑动对比"
    language.apply("en")


def test_what_the_settings_say_is_chosen(qapp: Any, settings: QSettings) -> None:
    settings.setValue("language", "zh_CN")
    settings.setValue("theme", "?")  # anybody may have edited the file
    actions = Actions(settings)
    assert [name for name, action in actions.languages.items() if action.isChecked()] == ["zh_CN"]
    assert not any(action.isChecked() for action in actions.themes.values())
    actions.languages["en"].trigger()
    assert not actions.languages["zh_CN"].isChecked()
