"""What happened, line by line, each with its time."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtWidgets import QPlainTextEdit, QWidget

_MOST_LINES = 5000


class LogPane(QPlainTextEdit):
    """A read-only text that grows at its end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setMaximumBlockCount(_MOST_LINES)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)

    def say(self, sentence: str) -> None:
        """Add a line."""
        self.appendPlainText(f"{datetime.now():%H:%M:%S}  {sentence}")
