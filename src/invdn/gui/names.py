"""Names of files as the window shows them, whatever characters and however many are in them."""

from __future__ import annotations

from PySide6 import QtGui
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget

_BUTTON_PX = 120


def shortened(name: str, widget: QWidget, width_px: int) -> str:
    """A name for a text of a widget, which would get as wide as it."""
    return widget.fontMetrics().elidedText(in_a_line(name), Qt.TextElideMode.ElideMiddle, width_px)


def in_a_line(name: str) -> str:
    """A name as it is shown: file systems allow line breaks in it."""
    return " ".join(name.splitlines())


def megapixels(size: float) -> str:
    """A size as it is said: "12.0", and "0.019" for what is small."""
    return f"{size:.1f}" if size >= 0.1 else f"{size:.2g}"


def show_on_button(button: QPushButton, name: str, whole: str) -> None:
    """Let a button show a name; the tool tip has the whole of it."""
    button.setText(shortened(name, button, _BUTTON_PX).replace("&", "&&"))  # no key to press
    button.setToolTip(tool_tip(whole))
    button.setAccessibleDescription(whole)


def tool_tip(text: str) -> str:
    """A tool tip that shows just this, where Qt would take it for HTML too."""
    rich = QtGui.Qt.mightBeRichText(text)
    return QtGui.Qt.convertFromPlainText(text) if rich else text
