"""Light and dark: neutral greys around the photo, as colours next to it change its own."""

from __future__ import annotations

import sys
from typing import TypeVar

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

_Widget = TypeVar("_Widget", bound=QWidget)

THEMES = ("system", "light", "dark")

_Role = QPalette.ColorRole

_LIGHT = {
    _Role.Window: "#f3f3f3",
    _Role.WindowText: "#1c1c1c",
    _Role.Base: "#ffffff",
    _Role.AlternateBase: "#f7f7f7",
    _Role.Text: "#1c1c1c",
    _Role.PlaceholderText: "#6b6b6b",
    _Role.Button: "#fbfbfb",
    _Role.ButtonText: "#1c1c1c",
    _Role.BrightText: "#c62828",
    _Role.Light: "#ffffff",
    _Role.Midlight: "#e6e6e6",
    _Role.Mid: "#c4c4c4",
    _Role.Dark: "#a0a0a0",
    _Role.Shadow: "#707070",
    _Role.Highlight: "#1f6feb",
    _Role.HighlightedText: "#ffffff",
    _Role.Link: "#1f6feb",
    _Role.ToolTipBase: "#ffffff",
    _Role.ToolTipText: "#1c1c1c",
}
_DARK = {
    _Role.Window: "#262626",
    _Role.WindowText: "#e6e6e6",
    _Role.Base: "#1d1d1d",
    _Role.AlternateBase: "#222222",
    _Role.Text: "#e6e6e6",
    _Role.PlaceholderText: "#9a9a9a",
    _Role.Button: "#363636",
    _Role.ButtonText: "#e6e6e6",
    _Role.BrightText: "#ff8a80",
    _Role.Light: "#4a4a4a",
    _Role.Midlight: "#404040",
    _Role.Mid: "#141414",
    _Role.Dark: "#101010",
    _Role.Shadow: "#000000",
    _Role.Highlight: "#3d7ee6",
    _Role.HighlightedText: "#ffffff",
    _Role.Link: "#7fb0ff",
    _Role.ToolTipBase: "#363636",
    _Role.ToolTipText: "#e6e6e6",
}
_DISABLED_TEXT = {False: "#9c9c9c", True: "#757575"}


def apply(theme: str) -> None:
    """Make the application look light, dark, or like the system ("system")."""
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    if application.style().objectName() != "fusion":
        application.setStyle("Fusion")
    # Title bars and native dialogs follow this, where the platform has it. First: until then the
    # system's own is not to be had.
    schemes = {
        "light": Qt.ColorScheme.Light,
        "dark": Qt.ColorScheme.Dark,
        "system": Qt.ColorScheme.Unknown,
    }
    QGuiApplication.styleHints().setColorScheme(schemes[theme])
    dark = is_dark(theme)
    application.setPalette(_palette(dark))
    application.setStyleSheet(_style_sheet(dark))


def is_dark(theme: str) -> bool:
    """Whether the theme is dark here and now."""
    if theme == "system":
        return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
    return theme == "dark"


def ui_fonts() -> list[str]:
    """Font families for the interface, beginning with the system's; Chinese needs the others."""
    chinese = {
        "win32": ["Microsoft YaHei UI"],
        "darwin": ["PingFang SC"],
    }.get(sys.platform, ["Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei"])
    return [*QApplication.font().families(), *chinese]


def _palette(dark: bool) -> QPalette:
    palette = QPalette()
    for role, colour in (_DARK if dark else _LIGHT).items():
        palette.setColor(role, QColor(colour))
    for role in (_Role.WindowText, _Role.Text, _Role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(_DISABLED_TEXT[dark]))
    return palette


def _style_sheet(dark: bool) -> str:
    """Only what a palette cannot say."""
    accent, hover = ("#3d7ee6", "#5590f0") if dark else ("#1f6feb", "#3a82f0")
    outline = "#808080" if dark else "#8a8a8a"  # Fusion's own can hardly be seen in the dark
    plain, edge, groove = (
        ("#363636", "#4a4a4a", "#3a3a3a") if dark else ("#fbfbfb", "#c4c4c4", "#dedede")
    )
    off, off_text = ("#343434", "#757575") if dark else ("#e2e2e2", "#9c9c9c")
    return f"""
        QPushButton {{ padding: 5px 14px; }}
        QPushButton#primary {{
            background: {accent}; color: white; border: 1px solid {accent};
            border-radius: 4px; padding: 5px 18px; font-weight: 600;
        }}
        QPushButton#primary:hover {{ background: {hover}; }}
        QPushButton#primary:focus {{ border: 2px solid palette(window-text); padding: 4px 17px; }}
        QPushButton#primary:disabled {{
            background: {off}; color: {off_text}; border-color: {off};
        }}
        QToolButton {{
            padding: 4px 4px; border: 1px solid {edge}; border-radius: 4px; background: {plain};
        }}
        QToolButton:hover {{ border-color: {accent}; }}
        QToolButton:focus {{ border: 1px solid {accent}; }}
        QToolButton:checked, QToolButton:pressed {{
            background: {accent}; color: white; border-color: {accent};
        }}
        QToolButton:checked:focus {{ border-color: palette(window-text); }}
        QToolButton:disabled {{ background: {off}; color: {off_text}; border-color: {off}; }}
        QProgressBar {{ border: none; border-radius: 4px; background: {groove}; height: 8px; }}
        QProgressBar::chunk {{ border-radius: 4px; background: {accent}; }}
        QCheckBox::indicator:unchecked, QRadioButton::indicator:unchecked {{
            width: 13px; height: 13px; background: palette(base);
            border: 1px solid {outline}; border-radius: 3px;
        }}
        QRadioButton::indicator:unchecked {{ border-radius: 7px; }}
        QRadioButton::indicator:checked {{
            width: 5px; height: 5px; background: white;
            border: 5px solid {accent}; border-radius: 7px;
        }}
        QRadioButton::indicator:checked:disabled {{ border-color: {outline}; }}
        QCheckBox::indicator:unchecked:focus, QRadioButton::indicator:unchecked:focus {{
            border-color: {accent};
        }}
        QLabel#hint {{ color: palette(placeholder-text); }}
        QLabel#headline {{ font-size: 17px; font-weight: 600; }}
    """


def named(widget: _Widget, name: str) -> _Widget:
    """The widget, with the name by which the style sheet knows it: primary, hint or headline."""
    widget.setObjectName(name)
    return widget


def icon() -> QIcon:
    """The program's icon: grain on one side, none on the other."""
    result = QIcon()
    for side in (16, 24, 32, 48, 64, 128, 256):
        pixmap = QPixmap(side, side)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.scale(side / 64, side / 64)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#1f6feb"))
        painter.drawRoundedRect(QRectF(2, 2, 60, 60), 13, 13)
        painter.setBrush(QColor("#ffffff"))
        for row in range(4):
            for column in range(2):
                shift = 3 if row % 2 else 0
                radius = 3.4 if (row + column) % 2 else 2.2
                centre = QPointF(13 + 10 * column + shift, 14 + 12 * row)
                painter.drawEllipse(centre, radius, radius)
        painter.drawRoundedRect(QRectF(34, 12, 19, 40), 5, 5)
        painter.end()
        result.addPixmap(pixmap)
    return result
