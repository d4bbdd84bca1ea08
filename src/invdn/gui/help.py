"""What the help menu shows: which keys there are, and what invdn is."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from invdn._version import __version__


def show_keys(parent: QWidget) -> None:
    """Show what keyboard and mouse do; see `invdn.gui.actions` for the keys of all actions."""
    QMessageBox.information(
        parent,
        QCoreApplication.translate("Help", "Keyboard and mouse"),
        QCoreApplication.translate(
            "Help",
            "<table cellspacing=6>"
            "<tr><td>Mouse wheel</td><td>zoom</td></tr>"
            "<tr><td>Drag, arrow keys</td><td>move over the photo</td></tr>"
            "<tr><td>Space or right button, held</td><td>see the original</td></tr>"
            "<tr><td>Double click</td><td>whole photo or 100 %</td></tr>"
            "<tr><td>[ and ]</td><td>move the divider of the wipe view</td></tr>"
            "<tr><td>F6</td><td>go to the photo</td></tr>"
            "<tr><td>Ctrl+Page Up, Ctrl+Page Down</td><td>other photo</td></tr>"
            "<tr><td>Ctrl+Up, Ctrl+Down</td><td>more or less strength</td></tr>"
            "<tr><td>Ctrl+Enter</td><td>start</td></tr>"
            "<tr><td>Ctrl+S</td><td>save the result as…</td></tr>"
            "<tr><td>Delete</td><td>remove from the list; the file stays</td></tr>"
            "</table>",
        ),
    )


def show_about(parent: QWidget) -> None:
    """Show what invdn is, its version and its licence."""
    QMessageBox.about(
        parent,
        QCoreApplication.translate("Help", "About invdn"),
        QCoreApplication.translate(
            "Help",
            "<b>invdn {0}</b><p>Takes the noise out of photographs, on this computer: no photo"
            " ever leaves it.</p><p>Apache License 2.0. The window uses Qt (LGPL) through"
            " PySide6.</p>",
        ).format(__version__),
    )
