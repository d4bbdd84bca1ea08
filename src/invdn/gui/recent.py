"""The files and folders that were opened last, remembered in the settings, as a menu."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSettings, Signal
from PySide6.QtWidgets import QMenu, QWidget

MOST_RECENT = 10


class RecentMenu(QMenu):
    """Offers what was opened last."""

    chosen = Signal(object)
    """A path."""

    def __init__(self, settings: QSettings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self.aboutToShow.connect(self.fill)
        self.fill()  # an empty menu cannot be opened everywhere

    def remember(self, paths: Sequence[Path]) -> None:
        """These were opened just now."""
        recent = [str(path.absolute()) for path in paths[:MOST_RECENT]] + self._names()
        self._settings.setValue("recent", list(dict.fromkeys(recent))[:MOST_RECENT])

    def fill(self) -> None:
        """Offer what is remembered now."""
        self.clear()
        for name in self._names():
            action = self.addAction(name.replace("&", "&&"))
            action.triggered.connect(lambda _=False, name=name: self.chosen.emit(Path(name)))
        if self.isEmpty():
            self.addAction(self.tr("nothing yet")).setEnabled(False)

    def _names(self) -> list[str]:
        stored = self._settings.value("recent")
        return [stored] if isinstance(stored, str) else list(stored or [])
