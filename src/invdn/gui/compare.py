"""Before and after in one widget: side by side, with a wipe, or one of the two at a time.

Both are always looked at through the same window: zooming and panning one does the same to the
other. Only what is visible is painted, from the level of the pyramid that fits the zoom.
"""

from __future__ import annotations

import math
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from invdn.preview import Box, Pyramid, View

Mode = Literal["side", "wipe", "single"]

MAX_ZOOM = 16.0
MIN_ZOOM = 0.02
ZOOM_STEP = 1.25
_GAP_PX = 2
_GRIP_PX = 10  # how near to the divider the mouse takes it
_SMOOTH_BELOW = 2.0  # from here on the pixels themselves are to be seen


class CompareView(QWidget):
    """Shows a `View`. Zooms are physical screen pixels for each pixel of the photo."""

    visible_changed = Signal(object)
    """The upright box that is on the screen, or None."""
    zoom_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: View | None = None
        self._mode: Mode = "side"
        self._zoom: float | None = None  # None: fit
        self._centre = QPointF()
        self._size = QSize()  # of the last photo
        self._wipe = 0.5
        self._noise_shown = False
        self._original_held = False
        self._dragged: QPointF | None = None  # where the mouse was last, while it pans
        self._wiping = False
        self._titles = ("", "", "")
        self._unfinished = ""
        self._placeholder = ""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(240, 160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    # --- what is shown ---------------------------------------------------------------------------

    def set_view(self, view: View | None) -> None:
        """Show another photo, from its middle; one of the last one's size stays where that was."""
        self._view = view
        if view is not None:
            size = QSize(view.before.width, view.before.height)
            if size != self._size:
                self._centre = QPointF(size.width() / 2, size.height() / 2)
            self._size = size
        self._moved()

    def set_titles(self, before: str, after: str, noise: str, unfinished: str = "") -> None:
        """What the sides are called, in the user's language.

        unfinished: the second one while the original still shows in it; empty for `after`.
        """
        self._titles = (before, after, noise)
        self._unfinished = unfinished
        self.update()

    def set_placeholder(self, text: str) -> None:
        """What to say while there is nothing to show."""
        self._placeholder = text
        self.update()

    @property
    def mode(self) -> Mode:
        return self._mode

    def set_mode(self, mode: Mode) -> None:
        """Side by side, with a wipe, or the result alone."""
        self._mode = mode
        self._moved()

    def set_noise_shown(self, shown: bool) -> None:
        """Show what was removed instead of the result."""
        self._noise_shown = shown
        self.update()

    @property
    def original_held(self) -> bool:
        return self._original_held

    def hold_original(self, held: bool) -> None:
        """Show the original instead of the result for as long as this is held."""
        if held != self._original_held:
            self._original_held = held
            self.update()

    @property
    def wipe(self) -> float:
        """Where the divider is, 0 (left) to 1."""
        return self._wipe

    def set_wipe(self, position: float) -> None:
        self._wipe = min(1.0, max(0.0, position))
        self.update()

    # --- zoom and pan ----------------------------------------------------------------------------

    @property
    def zoom(self) -> float:
        """Screen pixels for each pixel of the photo."""
        return self._fitting_zoom() if self._zoom is None else self._zoom

    @property
    def fits(self) -> bool:
        return self._zoom is None

    @property
    def centre(self) -> QPointF:
        """The upright position in the middle of each pane."""
        return QPointF(self._centre)

    def fit(self) -> None:
        """Show the whole photo, enlarged never."""
        self._zoom = None
        self._moved()

    def set_zoom(self, zoom: float, anchor: QPointF | None = None) -> None:
        """Zoom, keeping in place what is under `anchor` (in the widget), or in the middle."""
        if self._view is None:
            return
        zoom = min(MAX_ZOOM, max(min(MIN_ZOOM, self._fitting_zoom()), zoom))
        before = self._photo_position(anchor) if anchor is not None else self._centre
        self._zoom = zoom
        if anchor is not None:
            self._centre += before - self._photo_position(anchor)
        self._moved()

    def zoom_in(self) -> None:
        self._step_zoom(1)

    def zoom_out(self) -> None:
        self._step_zoom(-1)

    def _step_zoom(self, steps: float, anchor: QPointF | None = None) -> None:
        old = self.zoom
        new = old * ZOOM_STEP**steps
        if (old - 1) * (new - 1) < 0 and not math.isclose(old, 1):
            new = 1.0  # 1:1 is where noise is judged: stop there on the way
        self.set_zoom(new, anchor)

    def pan(self, right: float, down: float) -> None:
        """Move over the photo by so many pixels of the widget."""
        if self._view is None:
            return
        self._centre += QPointF(right, down) / self._scale()
        self._moved()

    def _scale(self) -> float:
        """Widget units for each pixel of the photo."""
        return self.zoom / self.devicePixelRatioF()

    def _fitting_zoom(self) -> float:
        if self._view is None:
            return 1.0
        pane = self._panes()[0]
        ratio = self.devicePixelRatioF()
        across = pane.width() * ratio / self._view.before.width
        down = pane.height() * ratio / self._view.before.height
        return max(1e-3, min(1.0, across, down))

    def _photo_position(self, position: QPointF) -> QPointF:
        """The upright position under a point of the widget."""
        pane = next((p for p in self._panes() if p.contains(position)), self._panes()[0])
        return self._centre + (position - pane.center()) / self._scale()

    def _moved(self) -> None:
        """The visible part is another one."""
        self._clamp()
        self.visible_changed.emit(self.visible_box())
        self.zoom_changed.emit(self.zoom)
        self.update()

    def _clamp(self) -> None:
        """Keep the photo in the pane: no empty border while there is photo beyond the other."""
        if self._view is None:
            return
        pane, scale = self._panes()[0], self._scale()

        def clamped(centre: float, size: int, shown: float) -> float:
            half = shown / scale / 2
            return size / 2 if 2 * half >= size else min(max(centre, half), size - half)

        self._centre = QPointF(
            clamped(self._centre.x(), self._view.before.width, pane.width()),
            clamped(self._centre.y(), self._view.before.height, pane.height()),
        )

    def visible_box(self) -> Box | None:
        """The upright part of the photo that a pane shows."""
        if self._view is None:
            return None
        box = self._box(self._panes()[0], self._panes()[0])
        return box if box.area else None

    def _box(self, pane: QRectF, part: QRectF) -> Box:
        """The upright box that a part of a pane shows."""
        assert self._view is not None
        scale = self._scale()
        left = self._centre.x() + (part.left() - pane.center().x()) / scale
        top = self._centre.y() + (part.top() - pane.center().y()) / scale
        return Box(
            math.floor(top),
            math.floor(left),
            math.ceil(top + part.height() / scale),
            math.ceil(left + part.width() / scale),
        ).within(self._view.before.height, self._view.before.width)

    def _panes(self) -> list[QRectF]:
        whole = QRectF(self.rect())
        if self._mode != "side":
            return [whole]
        half = max(1.0, (whole.width() - _GAP_PX) / 2)
        return [
            QRectF(0, 0, half, whole.height()),
            QRectF(whole.width() - half, 0, half, whole.height()),
        ]

    # --- painting --------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().mid())
        view = self._view
        if view is None:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._placeholder)
            return
        before = view.before
        after, title = self._after(view)
        panes = self._panes()
        if self._mode == "side":
            self._paint_part(painter, panes[0], panes[0], before)
            self._paint_part(painter, panes[1], panes[1], after)
            self._paint_title(painter, panes[0], self._titles[0], Qt.AlignmentFlag.AlignLeft)
            self._paint_title(painter, panes[1], title, Qt.AlignmentFlag.AlignLeft)
        elif self._mode == "wipe":
            pane, x = panes[0], self._divider()
            self._paint_part(painter, pane, QRectF(0, 0, x, pane.height()), before)
            self._paint_part(painter, pane, QRectF(x, 0, pane.width() - x, pane.height()), after)
            self._paint_title(painter, pane, self._titles[0], Qt.AlignmentFlag.AlignLeft)
            self._paint_title(painter, pane, title, Qt.AlignmentFlag.AlignRight)
            self._paint_divider(painter, x)
        else:
            self._paint_part(painter, panes[0], panes[0], after)
            self._paint_title(painter, panes[0], title, Qt.AlignmentFlag.AlignLeft)
        if self.hasFocus():
            painter.setClipping(False)
            painter.setPen(QPen(self.palette().highlight().color(), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))

    def _after(self, view: View) -> tuple[Pyramid, str]:
        """What the second side shows, and its title."""
        if self._original_held:
            return view.before, self._titles[0]
        shown, title = view.after, self._titles[1]
        noise = view.noise  # once: another thread may take it away
        if self._noise_shown and noise is not None:
            shown, title = noise, self._titles[2]
        visible = self.visible_box()
        if self._unfinished and visible and not view.is_restored(view.stored(visible)):
            title = self._unfinished
        return shown, title

    def _paint_part(self, painter: QPainter, pane: QRectF, part: QRectF, pyramid: Pyramid) -> None:
        """Paint what a part of a pane shows."""
        assert self._view is not None
        box = self._box(pane, part)
        if not box.area:
            return
        scale, ratio = self._scale(), self.devicePixelRatioF()
        pixels, step = pyramid.cut(box, self.zoom)
        height, width = pixels.shape[:2]
        origin = pane.center() - self._centre * scale  # of the photo, in the widget
        # On whole screen pixels, or 1:1 would blur.
        origin = QPointF(round(origin.x() * ratio) / ratio, round(origin.y() * ratio) / ratio)
        target = QRectF(
            origin.x() + box.left // step * step * scale,
            origin.y() + box.top // step * step * scale,
            width * step * scale,
            height * step * scale,
        )
        photo = QRectF(origin.x(), origin.y(), pyramid.width * scale, pyramid.height * scale)
        painter.setClipRect(part.intersected(photo))
        smooth = self.zoom < _SMOOTH_BELOW and not math.isclose(self.zoom, 1)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        painter.drawImage(target, image)

    def _paint_title(
        self, painter: QPainter, pane: QRectF, title: str, side: Qt.AlignmentFlag
    ) -> None:
        if not title:
            return
        painter.setClipping(False)
        metrics = self.fontMetrics()
        width, height = metrics.horizontalAdvance(title) + 16, metrics.height() + 6
        x = pane.right() - width - 8 if side == Qt.AlignmentFlag.AlignRight else pane.left() + 8
        badge = QRectF(x, pane.top() + 8, width, height)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 160))
        painter.drawRoundedRect(badge, 4, 4)
        painter.setPen(QColor(255, 255, 255))
        painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, title)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _divider(self) -> float:
        return round(self._wipe * self.width())

    def _paint_divider(self, painter: QPainter, x: float) -> None:
        painter.setClipping(False)
        painter.fillRect(QRectF(x - 1.5, 0, 3, self.height()), QColor(0, 0, 0, 110))
        painter.fillRect(QRectF(x - 0.5, 0, 1, self.height()), QColor(255, 255, 255))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = QPointF(x, self.height() / 2)
        painter.setBrush(QColor(255, 255, 255))
        painter.setPen(QPen(QColor(0, 0, 0, 110), 1))
        painter.drawEllipse(middle, 13, 13)
        painter.setPen(QPen(QColor(60, 60, 60), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        for sign in (-1, 1):
            tip = middle + QPointF(sign * 8, 0)
            painter.drawLine(tip, tip + QPointF(-sign * 4, -4))
            painter.drawLine(tip, tip + QPointF(-sign * 4, 4))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    # --- the user --------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._moved()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._moved()
        if (
            isinstance(event, QNativeGestureEvent)
            and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture
        ):
            self.set_zoom(self.zoom * (1 + event.value()), event.position())
            return True
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        fine = event.pixelDelta()
        zooms = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if not fine.isNull() and not zooms:  # two fingers on a trackpad
            self.pan(-fine.x(), -fine.y())
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier or not event.angleDelta().y():
            turned = event.angleDelta().y() or event.angleDelta().x()
            self.pan(-turned, 0)
        else:
            self._step_zoom(event.angleDelta().y() / 120, event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            if self._near_divider(event.position()):
                self._wiping = True
            else:
                self._dragged = event.position()
                self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif event.button() == Qt.MouseButton.RightButton:
            self.hold_original(True)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._wiping:
            self.set_wipe(event.position().x() / max(1, self.width()))
        elif self._dragged is not None:
            moved = self._dragged - event.position()
            self._dragged = event.position()
            self.pan(moved.x(), moved.y())
        elif self._near_divider(event.position()):
            self.setCursor(Qt.CursorShape.SplitHCursor)
        else:
            self.setCursor(Qt.CursorShape.OpenHandCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.RightButton:
            self.hold_original(False)
        else:
            self._wiping, self._dragged = False, None
            self.setCursor(Qt.CursorShape.OpenHandCursor)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self._near_divider(event.position()):
            return
        if self.fits:
            self.set_zoom(1.0, event.position())
        else:
            self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        pane = self._panes()[0]
        across, down = pane.width() / 8, pane.height() / 8
        key = event.key()
        if key == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self.hold_original(True)
        elif key == Qt.Key.Key_Left:
            self.pan(-across, 0)
        elif key == Qt.Key.Key_Right:
            self.pan(across, 0)
        elif key == Qt.Key.Key_Up:
            self.pan(0, -down)
        elif key == Qt.Key.Key_Down:
            self.pan(0, down)
        elif key == Qt.Key.Key_BracketLeft:
            self.set_wipe(self._wipe - 0.02)
        elif key == Qt.Key.Key_BracketRight:
            self.set_wipe(self._wipe + 0.02)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self.hold_original(False)
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QEvent) -> None:
        self.hold_original(False)  # the key's release goes to somebody else
        super().focusOutEvent(event)  # type: ignore[arg-type]

    def _near_divider(self, position: QPointF) -> bool:
        return self._mode == "wipe" and abs(position.x() - self._divider()) <= _GRIP_PX
