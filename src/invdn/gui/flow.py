"""A row of controls that goes on in a second one where the window is narrow."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QLayout, QLayoutItem, QWidget

_SPACING_PX = 10


class FlowLayout(QLayout):
    """Puts its groups side by side, and those that do not fit below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setContentsMargins(0, 0, 0, 0)
        self._items: list[QLayoutItem] = []

    def add_group(self, *widgets: QWidget, spacing: int | None = None) -> None:
        """Append widgets that stay side by side."""
        group = QWidget()
        row = QHBoxLayout(group)
        row.setContentsMargins(0, 0, 0, 0)
        if spacing is not None:
            row.setSpacing(spacing)
        for widget in widgets:
            row.addWidget(widget)
        self.addWidget(group)

    # --- for Qt ----------------------------------------------------------------------------------

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._arrange(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, area: QRect) -> None:
        super().setGeometry(area)
        self._arrange(area, move=True)

    def sizeHint(self) -> QSize:
        sizes = [item.sizeHint() for item in self._items]
        width = sum(size.width() + _SPACING_PX for size in sizes) - _SPACING_PX
        return QSize(width, max(size.height() for size in sizes))

    def minimumSize(self) -> QSize:
        size = QSize()
        for item in self._items:
            size = size.expandedTo(item.minimumSize())
        return size

    def _arrange(self, area: QRect, *, move: bool) -> int:
        """Find each group its place; returns the height of all."""
        sizes = [item.sizeHint() for item in self._items]
        height = max(size.height() for size in sizes)  # of each, or their texts were not level
        x, y = area.x(), area.y()
        for item, size in zip(self._items, sizes, strict=True):
            if x > area.x() and x + size.width() > area.x() + area.width():
                x, y = area.x(), y + height + _SPACING_PX // 2
            if move:
                item.setGeometry(QRect(QPoint(x, y), QSize(size.width(), height)))
            x += size.width() + _SPACING_PX
        return y + height - area.y()
