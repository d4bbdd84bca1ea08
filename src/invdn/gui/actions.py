"""What can be done by menu and key: each action, the keys it has, its words, and the menus."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QObject, QSettings
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenuBar

from invdn.gui import language, theme
from invdn.gui.compare import Mode
from invdn.gui.recent import RecentMenu
from invdn.preview import NOISE_GAIN


class Actions(QObject):
    """All actions. Whoever can do what one of them is for connects to its `triggered`."""

    def __init__(self, settings: QSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        keys = QKeySequence.StandardKey
        self.choose = self._action(keys.Open)
        self.choose_folder = self._action("Ctrl+Shift+O")
        self.save = self._action(keys.Save)
        self.reveal = self._action("Ctrl+Shift+R")
        self.remove = self._action()  # Delete does it too, in the list
        self.clear = self._action()
        self.quit = self._action("Ctrl+Q")

        self.modes: dict[Mode, QAction] = {
            "side": self._action("Ctrl+D", checkable=True),
            "wipe": self._action("Ctrl+T", checkable=True),
            "single": self._action("Ctrl+E", checkable=True),
        }
        self._only_one_of(self.modes.values())
        self.noise = self._action("Ctrl+R", checkable=True)
        self.fit = self._action("Ctrl+0")
        self.full_size = self._action("Ctrl+1")
        self.double_size = self._action("Ctrl+2")
        self.zoom_in = self._action(keys.ZoomIn, "Ctrl+=")
        self.zoom_out = self._action(keys.ZoomOut)
        self.previous = self._action("Ctrl+PgUp")
        self.next = self._action("Ctrl+PgDown")
        self.focus = self._action("F6")

        self.start = self._action("Ctrl+Return", "Ctrl+Enter")
        self.pause = self._action("Ctrl+P")
        self.cancel = self._action("Ctrl+Backspace")
        self.stronger = self._action("Ctrl+Up")
        self.weaker = self._action("Ctrl+Down")

        self.languages = self._choices(("system", *language.LANGUAGES), settings, "language")
        self.themes = self._choices(theme.THEMES, settings, "theme")

        self.help = self._action(keys.HelpContents)
        self.about = self._action()

        self._paused = False
        self.retranslate()

    @property
    def of_view(self) -> tuple[QAction, ...]:
        """Those that change how a photo is shown."""
        zooms = (self.fit, self.full_size, self.double_size, self.zoom_in, self.zoom_out)
        return (*self.modes.values(), self.noise, *zooms)

    def set_paused(self, paused: bool) -> None:
        """Whether `pause` goes on with a batch, and says so."""
        self._paused = paused
        self.pause.setText(self.tr("&Go on") if paused else self.tr("&Pause"))

    def _action(self, *keys: Any, checkable: bool = False) -> QAction:
        made = QAction(self)
        made.setShortcuts([QKeySequence(key) for key in keys])
        made.setCheckable(checkable)
        return made

    def _only_one_of(self, actions: Iterable[QAction]) -> None:
        group = QActionGroup(self)
        for action in actions:
            group.addAction(action)

    def _choices(self, names: Iterable[str], settings: QSettings, key: str) -> dict[str, QAction]:
        """One action for each name; the one that the settings name is chosen."""
        chosen = str(settings.value(key, "system"))
        actions = {name: self._action(checkable=True) for name in names}
        for name, action in actions.items():
            action.setChecked(name == chosen)
        self._only_one_of(actions.values())
        return actions

    def retranslate(self) -> None:
        """Say everything in the language of now."""
        self.choose.setText(self.tr("&Choose photos…"))
        self.choose_folder.setText(self.tr("Choose a &folder…"))
        self.save.setText(self.tr("&Save result as…"))
        self.reveal.setText(self.tr("Open the result's f&older"))
        self.remove.setText(self.tr("Re&move from the list"))
        self.clear.setText(self.tr("C&lear the list"))
        self.quit.setText(self.tr("&Quit"))
        self.modes["side"].setText(self.tr("Side by si&de"))
        self.modes["wipe"].setText(self.tr("&Wipe"))
        self.modes["single"].setText(self.tr("R&esult"))
        self.noise.setText(self.tr("Removed &noise"))
        tip = self.tr("Shows what is removed, {0} times as strong")
        self.noise.setToolTip(tip.format(NOISE_GAIN))
        self.fit.setText(self.tr("&Fit"))
        self.full_size.setText("&100 %")
        self.double_size.setText("&200 %")
        for on_button in (*self.modes.values(), self.fit, self.noise):
            # Chinese appends the key to the text: right in a menu, odd on a button.
            on_button.setIconText(re.sub(r"\(&.\)|&", "", on_button.text()))
        self.zoom_in.setText(self.tr("Zoom &in"))
        self.zoom_out.setText(self.tr("Zoom &out"))
        self.previous.setText(self.tr("&Previous photo"))
        self.next.setText(self.tr("Ne&xt photo"))
        self.focus.setText(self.tr("&Go to the photo"))
        self.start.setText(self.tr("&Start"))
        self.set_paused(self._paused)
        self.cancel.setText(self.tr("&Cancel"))
        self.stronger.setText(self.tr("&More strength"))
        self.weaker.setText(self.tr("&Less strength"))
        self.languages["system"].setText(self.tr("As the system"))
        for name, shown in language.LANGUAGES.items():
            self.languages[name].setText(shown)
        self.themes["system"].setText(self.tr("As the system"))
        self.themes["light"].setText(self.tr("Light"))
        self.themes["dark"].setText(self.tr("Dark"))
        self.help.setText(self.tr("&Keyboard and mouse"))
        self.about.setText(self.tr("&About invdn"))


class Menus(QObject):
    """The menus, in which each action has its place."""

    def __init__(self, bar: QMenuBar, actions: Actions, settings: QSettings) -> None:
        super().__init__(bar)
        self._file, self._view = bar.addMenu(""), bar.addMenu("")
        self._work, self._settings = bar.addMenu(""), bar.addMenu("")
        self._help = bar.addMenu("")

        self.recent = RecentMenu(settings, self._file)
        self._file.addActions([actions.choose, actions.choose_folder])
        self._file.addMenu(self.recent)
        self._file.addSeparator()
        self._file.addActions([actions.save, actions.reveal])
        self._file.addSeparator()
        self._file.addActions([actions.remove, actions.clear])
        self._file.addSeparator()
        self._file.addAction(actions.quit)

        self._view.addActions(list(actions.modes.values()))
        self._view.addAction(actions.noise)
        self._view.addSeparator()
        self._view.addActions([actions.fit, actions.full_size, actions.double_size])
        self._view.addActions([actions.zoom_in, actions.zoom_out])
        self._view.addSeparator()
        self._view.addActions([actions.previous, actions.next, actions.focus])

        self._work.addActions([actions.start, actions.pause, actions.cancel])
        self._work.addSeparator()
        self._work.addActions([actions.stronger, actions.weaker])

        self._language = self._settings.addMenu("")
        self._language.addActions(list(actions.languages.values()))
        self._theme = self._settings.addMenu("")
        self._theme.addActions(list(actions.themes.values()))

        self._help.addActions([actions.help, actions.about])
        self.retranslate()

    def retranslate(self) -> None:
        """Say everything in the language of now."""
        self._file.setTitle(self.tr("&File"))
        self._view.setTitle(self.tr("&View"))
        self._work.setTitle(self.tr("&Work"))
        self._settings.setTitle(self.tr("Setti&ngs"))
        self._help.setTitle(self.tr("&Help"))
        self.recent.setTitle(self.tr("&Recent"))
        self._language.setTitle(self.tr("&Language"))
        self._theme.setTitle(self.tr("&Appearance"))
