"""Controls that behave as one expects beside a photo that is being looked at."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QSpinBox, QWidget


class QualityBox(QSpinBox):
    """1 to 100, or 0 for automatic, from which a step leads to a quality that is worth having."""

    FIRST = 90

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0, 100)

    def stepBy(self, steps: int) -> None:
        """As the arrows, the keys and the wheel do it."""
        if self.value() == 0 and steps > 0:
            self.setValue(self.FIRST)
        else:
            super().stepBy(steps)


class _Unfocused(QObject):
    """Lets the wheel pass over a control that is not the one in use."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        assert isinstance(watched, QWidget)
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()  # so that what lies around it scrolls
            return True
        return False


def heed_wheel_in_use_only(*controls: QWidget) -> None:
    """Have the mouse's wheel change these only once they were clicked or reached by the Tab key."""
    for control in controls:
        control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        control.installEventFilter(_Unfocused(control))
