"""Before and after: linked zoom and pan, the wipe, the original while a key is held."""

from __future__ import annotations

import numpy as np
import pytest
from events import wheel
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor

from invdn import images
from invdn.gui.compare import CompareView
from invdn.preview import Pyramid, View

GREEN, BLUE = QColor(0, 160, 0), QColor(0, 0, 160)


@pytest.fixture
def compare(qtbot) -> CompareView:  # type: ignore[no-untyped-def]
    """A photo of 1600×1200 that is green before and blue after, in a widget of 802×400."""
    before = np.zeros((1200, 1600, 3), np.uint8)
    before[...] = GREEN.getRgb()[:3]
    view = View(images.Photo(before, "png"))
    after = np.zeros_like(before)
    after[...] = BLUE.getRgb()[:3]
    view.put(slice(0, 1200), slice(0, 1600), after, view.generation)
    widget = CompareView()
    qtbot.addWidget(widget)
    widget.resize(802, 400)
    widget.show()
    widget.set_view(view)
    return widget


def test_the_noise_may_be_given_back_while_it_is_painted(compare: CompareView) -> None:
    """By another thread, at the worst moment."""

    class Fleeting(View):
        @property
        def noise(self) -> Pyramid | None:  # type: ignore[override]
            return kept.pop() if kept else None

        @noise.setter
        def noise(self, _: Pyramid | None) -> None:
            pass

    kept: list[Pyramid] = []
    view = Fleeting(images.Photo(np.zeros((8, 8, 3), np.uint8), "png"))
    compare.set_noise_shown(True)
    noise = view.before.like()
    kept.append(noise)
    assert compare._after(view)[0] is noise


def colour(widget: CompareView, x: int, y: int) -> QColor:
    return widget.grab().toImage().pixelColor(x, y)


def test_another_photo_of_the_same_size_stays_where_the_last_one_was(compare: CompareView) -> None:
    compare.set_zoom(1.0)
    compare.pan(-300, -200)
    place = compare.centre
    assert place != QPointF(800, 600)
    compare.set_view(None)  # while the other is being opened
    compare.pan(50, 50)
    compare.set_view(View(images.Photo(np.zeros((1200, 1600, 3), np.uint8), "png")))
    assert compare.centre == place
    compare.set_view(View(images.Photo(np.zeros((1600, 1200, 3), np.uint8), "png")))
    assert compare.centre == QPointF(600, 800)


def test_a_wheel_turned_sideways_moves_and_does_not_zoom(compare: CompareView) -> None:
    wheel(compare, QPointF(50, 50), 0, sideways=1)
    assert compare.fits


def test_it_opens_with_the_whole_photo_side_by_side(compare: CompareView) -> None:
    assert compare.fits
    assert compare.zoom == 0.25
    assert compare.visible_box() == (0, 0, 1200, 1600)
    assert colour(compare, 200, 200) == GREEN
    assert colour(compare, 600, 200) == BLUE


def test_both_sides_show_the_same_part_at_any_zoom(compare: CompareView) -> None:
    view = compare._view
    assert view is not None
    for pyramid in (view.before, view.after):
        pyramid.put(
            compare.visible_box()._replace(top=600, left=800, bottom=640, right=840),  # type: ignore[union-attr]
            np.full((40, 40, 3), 255, np.uint8),
        )
    compare.set_zoom(1.0)
    compare.pan(40, 20)
    image = compare.grab().toImage()
    left = [
        (x, y) for x in range(400) for y in range(60, 400) if image.pixelColor(x, y).red() == 255
    ]
    right = [
        (x, y)
        for x in range(402, 802)
        for y in range(60, 400)
        if image.pixelColor(x, y).red() == 255
    ]
    assert len(left) == 40 * 40
    assert [(x - 402, y) for x, y in right] == left


@pytest.mark.parametrize("zoom", [1.0, 2.0])
def test_zooms_show_as_many_pixels_as_they_say(compare: CompareView, zoom: float) -> None:
    compare.set_zoom(zoom)
    box = compare.visible_box()
    assert box is not None
    assert box.right - box.left == pytest.approx(400 / zoom, abs=1)
    assert box.bottom - box.top == pytest.approx(400 / zoom, abs=1)


def test_the_wheel_zooms_where_the_mouse_is(compare: CompareView) -> None:
    at = QPointF(100, 150)
    under = compare._photo_position(at)
    compare.set_zoom(1.0, at)
    wheel(compare, at, 3)
    assert compare.zoom == pytest.approx(1.25**3)
    moved = compare._photo_position(at) - under
    assert abs(moved.x()) < 1
    assert abs(moved.y()) < 1
    compare.set_zoom(1.2)
    wheel(compare, at, -1)
    assert compare.zoom == 1.0  # 1:1 is a stop on the way


def test_the_photo_cannot_be_lost(compare: CompareView) -> None:
    compare.set_zoom(2.0)
    compare.pan(1e6, -1e6)
    assert compare.visible_box() == (0, 1400, 200, 1600)
    for _ in range(60):
        wheel(compare, QPointF(5, 5), -1)
    assert compare.visible_box() == (0, 0, 1200, 1600)
    for _ in range(60):
        wheel(compare, QPointF(5, 5), 1)
    assert compare.zoom == 16


def test_keys_pan_and_a_double_click_changes_the_zoom(compare: CompareView, qtbot) -> None:  # type: ignore[no-untyped-def]
    qtbot.mouseDClick(compare, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    assert compare.zoom == 1.0
    x, y = compare.centre.x(), compare.centre.y()
    qtbot.keyClick(compare, Qt.Key.Key_Right)
    qtbot.keyClick(compare, Qt.Key.Key_Down)
    assert (compare.centre.x(), compare.centre.y()) == (x + 50, y + 50)
    qtbot.keyClick(compare, Qt.Key.Key_Left)
    qtbot.keyClick(compare, Qt.Key.Key_Up)
    assert (compare.centre.x(), compare.centre.y()) == (x, y)
    qtbot.mouseDClick(compare, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    assert compare.fits


def test_dragging_moves_the_photo_with_the_mouse(compare: CompareView, qtbot) -> None:  # type: ignore[no-untyped-def]
    compare.set_zoom(2.0)
    x = compare.centre.x()
    qtbot.mousePress(compare, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    qtbot.mouseMove(compare, QPoint(200, 200))
    qtbot.mouseRelease(compare, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    assert compare.centre.x() == x + 50


def test_the_wipe_follows_the_mouse_and_the_keys(compare: CompareView, qtbot) -> None:  # type: ignore[no-untyped-def]
    compare.set_mode("wipe")
    assert colour(compare, 300, 60) == GREEN
    assert colour(compare, 500, 60) == BLUE
    qtbot.mousePress(compare, Qt.MouseButton.LeftButton, pos=QPoint(403, 200))
    qtbot.mouseMove(compare, QPoint(200, 200))
    qtbot.mouseRelease(compare, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    assert compare.wipe == pytest.approx(200 / 802)
    assert colour(compare, 300, 60) == BLUE
    for _ in range(10):
        qtbot.keyClick(compare, Qt.Key.Key_BracketRight)
    assert compare.wipe == pytest.approx(200 / 802 + 0.2)
    for _ in range(60):
        qtbot.keyClick(compare, Qt.Key.Key_BracketLeft)
    assert compare.wipe == 0


def test_the_original_is_seen_while_the_space_bar_is_held(compare: CompareView, qtbot) -> None:  # type: ignore[no-untyped-def]
    compare.set_mode("single")
    assert colour(compare, 400, 200) == BLUE
    qtbot.keyPress(compare, Qt.Key.Key_Space)
    assert colour(compare, 400, 200) == GREEN
    qtbot.keyRelease(compare, Qt.Key.Key_Space)
    assert colour(compare, 400, 200) == BLUE
    qtbot.mousePress(compare, Qt.MouseButton.RightButton, pos=QPoint(5, 5))
    assert colour(compare, 400, 200) == GREEN
    qtbot.mouseRelease(compare, Qt.MouseButton.RightButton, pos=QPoint(5, 5))
    assert colour(compare, 400, 200) == BLUE


def test_the_removed_noise_is_shown_in_place_of_the_result(compare: CompareView) -> None:
    view = compare._view
    assert view is not None
    compare.set_noise_shown(True)
    assert colour(compare, 600, 200) == BLUE  # until it is there
    view.show_noise(True)
    assert colour(compare, 600, 200) == QColor(128, 255, 0)
    compare.set_noise_shown(False)
    assert colour(compare, 600, 200) == BLUE


def test_nothing_to_show_is_no_trouble(qtbot) -> None:  # type: ignore[no-untyped-def]
    widget = CompareView()
    qtbot.addWidget(widget)
    widget.set_zoom(2.0)
    widget.pan(5, 5)
    wheel(widget, QPointF(5, 5), 2)
    assert widget.visible_box() is None
    assert not widget.grab().isNull()
