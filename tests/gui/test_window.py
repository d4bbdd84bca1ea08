"""The window, used as somebody in front of it would."""

from __future__ import annotations

import ast
import errno
import gc
import os
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QMimeData, QPointF, QProcess, QSettings, QSize, Qt, QTimer, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QMessageBox,
    QTabBar,
    QWidget,
)

import fake_worker
from invdn import batch, images, preview, process, workers
from invdn.batch import Plan
from invdn.denoiser import Denoiser, load_denoiser
from invdn.gui import language, noise_tab, session, theme
from invdn.gui import window as window_module
from invdn.gui.noise_tab import NoiseTab
from invdn.gui.ways import in_own_process
from invdn.gui.window import MainWindow
from invdn.runtime import ModelError

Photo = Callable[..., Path]
NO_KEYS = Qt.KeyboardModifier.NoModifier


def drop(window: MainWindow, *paths: Path) -> None:
    """Drag files over the window and let go."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy = Qt.DropAction.CopyAction
    enter = QDragEnterEvent(
        QPointF(50, 50).toPoint(), copy, data, Qt.MouseButton.LeftButton, NO_KEYS
    )
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    event = QDropEvent(QPointF(50, 50), copy, data, Qt.MouseButton.LeftButton, NO_KEYS)
    QApplication.sendEvent(window, event)


def until(qtbot: Any, condition: Callable[[], object]) -> None:
    """Wait, long enough for a busy machine."""
    qtbot.waitUntil(lambda: bool(condition()), timeout=30_000)


def states(window: MainWindow) -> list[str]:
    return [entry.state for entry in window.photos.entries]


def log(window: MainWindow) -> str:
    return window.log.toPlainText()


def click(qtbot: Any, button: QWidget) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def open_photos(qtbot: Any, window: MainWindow, *paths: Path) -> None:
    before = len(window.photos)
    drop(window, *paths)
    until(qtbot, lambda: len(window.photos) > before)


def wait_restored(qtbot: Any, window: MainWindow) -> None:
    until(qtbot, lambda: window.session.result is not None)


def run_all(qtbot: Any, window: MainWindow) -> None:
    """Press Start and wait for the end."""
    click(qtbot, window.start_button)
    until(qtbot, lambda: not window.runner.busy)


# --- photos in -----------------------------------------------------------------------------------


def test_photos_that_are_called_alike_are_told_apart(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    paths = [photo(tmp_path / name) for name in ("card1/a.png", "card2/a.png", "card2/b.png")]
    open_photos(qtbot, window, *paths)

    def shown() -> list[str]:
        return [window.photos.index(row).data() for row in range(len(window.photos))]

    assert shown() == ["card1/a.png", "card2/a.png", "b.png"]
    run_all(qtbot, window)
    assert "card2/a.png: 0.0048 MP in " in log(window)
    window.list_view.go_to(0)
    window.remove_selected()
    assert shown() == ["a.png", "b.png"]


def test_results_where_results_go_are_no_photos(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    a = photo(tmp_path / "in" / "a.png")
    window.options.where_box.setCurrentIndex(window.options.where_box.findData("folder"))
    window.options.set_folder(tmp_path / "in" / "out")
    open_photos(qtbot, window, tmp_path / "in")
    run_all(qtbot, window)
    photo(tmp_path / "in" / "out" / "of_before.png")
    drop(window, tmp_path / "in")
    until(qtbot, lambda: "these photos are in the list already" in log(window))
    assert "2 left out, for lying where results go" in log(window)
    window.options.where_box.setCurrentIndex(window.options.where_box.findData("beside"))
    open_photos(qtbot, window, tmp_path / "in")
    assert window.photos.paths == [a, tmp_path / "in" / "out" / "of_before.png"]


def test_what_lies_where_results_go_can_be_opened(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    photo(tmp_path / "out" / "a.png")
    window.options.where_box.setCurrentIndex(window.options.where_box.findData("folder"))
    window.options.set_folder(tmp_path / "out")
    open_photos(qtbot, window, tmp_path / "out")
    assert len(window.photos) == 1


def test_what_cannot_be_read_is_marked_before_it_is_opened(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    open_photos(qtbot, window, photo(tmp_path / "a.png"), tmp_path / "broken.jpg")
    entry = window.photos[1]
    until(qtbot, lambda: window.photos.state_text(entry) == "cannot be read")


def test_photos_can_be_removed_one_after_the_other(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png") for i in range(5)))
    window.list_view.go_to(2)
    names = []
    for _ in range(4):
        qtbot.keyClick(window.list_view, Qt.Key.Key_Delete)
        names.append([path.stem for path in window.photos.paths])
    assert [len(left) for left in names] == [4, 3, 2, 1]
    assert names[:2] == [["0", "1", "3", "4"], ["0", "1", "4"]]
    assert window.session.path == window.photos.paths[0]


def test_an_empty_window_invites(window: MainWindow) -> None:
    assert window.photo_tab.stack.currentIndex() == 0
    assert window.photo_tab._invitation_title.text() == "Drop photos or folders here"
    assert window.photo_tab.invitation_button.isVisible()
    assert window.choose_button.isEnabled()
    assert not window.start_button.isEnabled()
    assert not window.save_button.isEnabled()


@pytest.mark.parametrize("name", ["图片 测试.jpg", "фото.png", "写真[1] #2%41.tif", "a & b.webp"])
def test_a_photo_of_any_name_is_opened_restored_and_saved(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, name: str
) -> None:
    path = photo(tmp_path / "目录" / name)
    original = path.read_bytes()
    open_photos(qtbot, window, path)
    wait_restored(qtbot, window)
    assert window.photo_tab.stack.currentWidget() is window.photo_tab.compare
    run_all(qtbot, window)
    assert states(window) == ["done"]
    result = images.read(path.with_name(f"{path.stem}-denoised{path.suffix}"))
    assert abs(int(result.pixels[50, 50, 0]) - 50) <= 2
    assert path.read_bytes() == original
    assert name in log(window)


def test_dialogs_choose_files_and_folders(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = photo(tmp_path / "a.png"), photo(tmp_path / "in" / "sub" / "b.jpg")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(a)], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "in"))
    click(qtbot, window.photo_tab.invitation_button)
    until(qtbot, lambda: len(window.photos) == 1)
    window.all_actions.choose_folder.trigger()
    until(qtbot, lambda: len(window.photos) == 2)
    assert [entry.path.name for entry in window.photos.entries] == ["a.png", "b.jpg"]
    window.menus.recent.fill()
    recent = [action.text() for action in window.menus.recent.actions()]
    assert recent == [str(tmp_path / "in"), str(a)]


def test_a_recent_file_is_opened_again(
    qtbot: Any, make_window: Callable[[], MainWindow], photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, make_window(), photo(tmp_path / "a.png"))
    second = make_window()
    second.menus.recent.fill()
    second.menus.recent.actions()[0].trigger()
    until(qtbot, lambda: len(second.photos) == 1)


def test_200_files_dropped_at_once(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    paths = [photo(tmp_path / f"{i:03}.png", 16, 16) for i in range(200)]
    start = time.monotonic()
    drop(window, *paths)
    assert time.monotonic() - start < 0.1
    until(qtbot, lambda: len(window.photos) == 200)
    assert "200 photos added" in log(window)
    until(qtbot, lambda: window.photos[0].thumbnail is not None)
    drop(window, *paths[:50])
    until(qtbot, lambda: "in the list already" in log(window))
    assert len(window.photos) == 200
    run_all(qtbot, window)
    assert states(window) == ["done"] * 200
    assert len(list(tmp_path.glob("*-denoised.png"))) == 200


def test_files_that_are_no_photos_are_named(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    photo(tmp_path / "in" / "a.png")
    for name in ("b.psd", "c.psd", "notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"?")
    open_photos(qtbot, window, tmp_path / "in")
    assert len(window.photos) == 1
    assert "left out, because these cannot be read: 2 .psd" in log(window)


def test_a_photo_is_in_the_list_once_by_whatever_path(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    path = photo(tmp_path / "in" / "a.png")
    open_photos(qtbot, window, path)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for other in (tmp_path / "in" / ".." / "in" / "a.png", tmp_path / "link" / "a.png"):
        window.log.clear()
        drop(window, other)
        until(qtbot, lambda: "in the list already" in log(window))
    assert len(window.photos) == 1
    window.all_actions.clear.trigger()
    open_photos(qtbot, window, path)


def test_removing_every_second_of_many_photos_is_quick(qtbot: Any, window: MainWindow) -> None:
    window.photos.add({Path(f"/{i}.png"): Path(f"/{i}.png") for i in range(6000)})
    start = time.thread_time()  # other processes' time does not count
    window.photos.remove(range(0, 6000, 2))
    assert time.thread_time() - start < 3
    assert window.photos.row_of(Path("/5999.png")) == 2999


def test_a_search_for_photos_can_be_cancelled(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "in" / "a.png")
    find, begun = batch.find, threading.Event()

    def slow(inputs: list[Path], *, check: Callable[[], object], **_: object) -> Plan:
        begun.set()
        while True:
            check()
            time.sleep(0.01)

    monkeypatch.setattr(batch, "find", slow)
    assert not window.cancel_button.isEnabled()
    window.add_photos([tmp_path / "in"])
    assert begun.wait(30)
    click(qtbot, window.cancel_button)
    assert not window.cancel_button.isEnabled()
    assert "the search for photos was cancelled" in log(window)
    until(qtbot, lambda: not window._finder.busy)
    monkeypatch.setattr(batch, "find", find)
    open_photos(qtbot, window, tmp_path / "in")
    assert not window.cancel_button.isEnabled()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_to_folders_are_said_to_be_left_out(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "elsewhere" / "b.png")
    for number in range(4):
        (tmp_path / "in" / f"link{number}").symlink_to(tmp_path / "elsewhere")
    open_photos(qtbot, window, tmp_path / "in")
    assert len(window.photos) == 1
    assert "left out, because links to folders are not followed: " in log(window)
    assert f"{tmp_path / 'in' / 'link2'}, …" in log(window)


def test_an_empty_list_is_not_called_done(window: MainWindow) -> None:
    window.start()
    assert "all photos are done" not in log(window)
    assert "nothing to do: the list is empty" in log(window)


def test_a_search_that_fails_is_told_and_over(
    qtbot: Any, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(inputs: list[Path], **options: Any) -> Plan:
        raise ValueError("what")

    monkeypatch.setattr(batch, "find", failing)
    drop(window, tmp_path)
    until(qtbot, lambda: "unexpected error" in log(window))
    until(qtbot, lambda: not window.cancel_button.isEnabled())


def test_names_are_shown_as_they_are_and_do_not_widen_the_window(
    qtbot: Any, window: MainWindow, tmp_path: Path
) -> None:
    width = window.minimumSizeHint().width()
    for name in ("x" * 200 + ".jpg", "<b>R&D<br>.jpg"):
        (tmp_path / name).write_bytes(b"")
        open_photos(qtbot, window, tmp_path / name)
        window.list_view.setCurrentIndex(window.photos.index(len(window.photos) - 1))
        until(qtbot, lambda: "the file is empty" in window.photo_tab.message.text())
        window.noise_tab.set_like(tmp_path / name)
        window.options.set_folder(tmp_path / name)
        qtbot.wait(50)
        assert window.minimumSizeHint().width() == width
    assert window.photo_tab.message.text().startswith("<b>R&D<br>.jpg: ")
    assert window.photo_tab.message.textFormat() == Qt.TextFormat.PlainText
    assert window.noise_tab.hint.textFormat() == Qt.TextFormat.PlainText
    assert window.noise_tab.like_button.text() == "<b>R&&D<br>.jpg"
    tips = [window.noise_tab.like_button.toolTip(), window.options.folder_button.toolTip()]
    tips.append(window.photos.data(window.photos.index(1), Qt.ItemDataRole.ToolTipRole))
    for tip in tips:
        assert "&lt;b&gt;R&amp;D&lt;br&gt;.jpg" in tip


def test_removing_takes_photos_from_the_list_only(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    paths = [photo(tmp_path / f"{name}.png") for name in "abc"]
    open_photos(qtbot, window, *paths)
    wait_restored(qtbot, window)
    window.list_view.setFocus()
    qtbot.keyClick(window.list_view, Qt.Key.Key_Delete)
    assert [entry.path.name for entry in window.photos.entries] == ["b.png", "c.png"]
    until(qtbot, lambda: window.session.path == paths[1])
    window.all_actions.clear.trigger()
    assert len(window.photos) == 0
    until(qtbot, lambda: window.photo_tab.stack.currentIndex() == 0)
    assert all(path.exists() for path in paths)


# --- the photo that is looked at -----------------------------------------------------------------


def test_the_visible_part_is_there_before_the_whole(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    path = photo(tmp_path / "large.png", 1500, 1500)
    open_photos(qtbot, window, path)
    until(qtbot, lambda: window.session.view is not None)
    view = window.session.view
    assert view is not None
    window.all_actions.full_size.trigger()
    middle = view.after.levels[0][750, 750]
    until(qtbot, lambda: view.after.levels[0][750, 750, 0] == 50)
    assert window.session.result is None
    assert middle.dtype == np.uint8
    wait_restored(qtbot, window)
    assert view.after.levels[0][1499, 1499, 0] == 50
    assert window.photo_tab.photo_state.text() == "Preview ready"


def test_strength_changes_what_is_seen_and_then_the_rest(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 600, 600))
    wait_restored(qtbot, window)
    view = window.session.view
    assert view is not None
    window.options.strength_slider.setFocus()
    window.options.strength_slider.setValue(50)
    assert window.session.result is None
    until(qtbot, lambda: view.after.levels[0][300, 300, 0] == 94)
    wait_restored(qtbot, window)
    assert window.session.result is not None
    assert (window.session.result[590, 590] == 94).all()
    qtbot.keyClick(window.options.strength_slider, Qt.Key.Key_Home)
    assert window.options.strength == 0
    wait_restored(qtbot, window)
    assert (window.session.result == view.photo.pixels).all()
    qtbot.keyClick(window.options.strength_slider, Qt.Key.Key_End)
    assert window.options.strength == 1.5
    wait_restored(qtbot, window)


def test_moving_the_slider_fast_ends_at_its_last_place(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 500, 500))
    until(qtbot, lambda: window.session.view is not None)
    for percent in (*range(0, 150, 7), 80):
        window.options.strength_slider.setValue(percent)
        qtbot.wait(15)
    wait_restored(qtbot, window)
    view = window.session.view
    assert view is not None
    assert (view.after.levels[0][200:] == 74).all()


def test_no_draft_stays_in_a_result(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    """However the photo is moved while the result for less strength is coming."""
    open_photos(qtbot, window, photo(tmp_path / "a.png", 1000, 1400))
    wait_restored(qtbot, window)
    window.all_actions.full_size.trigger()
    window.photo_tab.compare.pan(33, 17)
    model.seconds = 0.01
    window.options.strength_slider.setValue(50)
    until(qtbot, lambda: view_of(window).after.levels[0][500, 700, 0] != 50)
    steps = 0
    while window.session.result is None:
        qtbot.wait(100)
        steps += 1
        window.photo_tab.compare.pan(37 if steps % 2 else -30, 0)
    qtbot.wait(300)
    assert steps > 3
    np.testing.assert_array_equal(view_of(window).after.levels[0], window.session.result)


def view_of(window: MainWindow) -> preview.View:
    assert window.session.view is not None
    return window.session.view


def test_a_draft_comes_from_what_was_visible_before(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 1000, 1400))
    wait_restored(qtbot, window)
    window.all_actions.full_size.trigger()
    window.session.set_whole_allowed(False)
    window.options.strength_slider.setValue(120)
    until(qtbot, lambda: window.session._sample and window.session._sample.strength == 1.2)
    model.gate.clear()
    window.options.strength_slider.setValue(60)
    draft = round(100 - (100 - 100 * (1 - 1.2**3 / 2)) / 2)
    until(qtbot, lambda: abs(int(view_of(window).after.levels[0][500, 700, 0]) - draft) <= 1)
    window.options.model_changed.emit("photo")
    assert window.session._sample is None  # of another model


def test_a_draft_does_not_come_from_another_photo_or_another_model(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    """Whatever is told of them only once they are not there any more."""
    open_photos(qtbot, window, photo(tmp_path / "a.png"), photo(tmp_path / "b.png"))
    wait_restored(qtbot, window)
    one, denoiser = window.session, Denoiser(model)
    former = preview.View(images.read(tmp_path / "b.png"))
    box = preview.Box(0, 0, 60, 80)

    until(qtbot, lambda: not any(lane.busy for lane in one._lanes))

    def tell(view: preview.View, by: Denoiser) -> None:
        one._sample = None
        one._preview(session.Token(), None, view, by, box, 1.0, view.generation, None)

    assert window._denoiser is not None
    tell(former, window._denoiser)
    assert one._sample is None
    view_of(window).outdate()
    tell(view_of(window), denoiser)
    assert one._sample is None
    view_of(window).outdate()
    tell(view_of(window), window._denoiser)
    assert one._sample is not None


def test_a_turned_photo_is_shown_upright_and_saved_as_it_was(
    qtbot: Any, window: MainWindow, tmp_path: Path
) -> None:
    pixels = np.full((80, 120, 3), 100, np.uint8)
    pixels[:20, :20] = 240
    path = tmp_path / "a.tif"
    exif = (
        b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    )  # one entry: Orientation 6
    images.write(images.Photo(pixels, "tiff", orientation=6, exif=exif), path)
    open_photos(qtbot, window, path)
    wait_restored(qtbot, window)
    view = window.session.view
    assert view is not None
    assert view.after.levels[0].shape == (120, 80, 3)
    assert view.after.levels[0][5, 75, 0] == 120  # the corner went to the top right
    window.save_as(tmp_path / "b.tif")
    until(qtbot, lambda: not window.runner.busy)
    saved = images.read(tmp_path / "b.tif")
    assert saved.orientation == 6
    assert saved.pixels[5, 5, 0] == 120


def test_the_removed_noise_can_be_seen(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    click(qtbot, window.photo_tab.noise_button)
    view = window.session.view
    assert view is not None
    until(qtbot, lambda: view.noise is not None)
    assert window.all_actions.noise.isChecked()
    click(qtbot, window.photo_tab.noise_button)
    until(qtbot, lambda: view.noise is None)


def test_the_original_button_works_while_it_is_held(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    qtbot.mousePress(window.photo_tab.hold_button, Qt.MouseButton.LeftButton)
    assert window.photo_tab.compare.original_held
    qtbot.mouseRelease(window.photo_tab.hold_button, Qt.MouseButton.LeftButton)
    assert not window.photo_tab.compare.original_held


def test_views_and_zooms_are_reached_by_keys(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 900, 900), photo(tmp_path / "b.png"))
    wait_restored(qtbot, window)
    window.activateWindow()
    until(qtbot, window.isActiveWindow)
    control = Qt.KeyboardModifier.ControlModifier
    for key, mode in ((Qt.Key.Key_T, "wipe"), (Qt.Key.Key_E, "single"), (Qt.Key.Key_D, "side")):
        qtbot.keyClick(window, key, control)
        assert window.photo_tab.compare.mode == mode
    qtbot.keyClick(window, Qt.Key.Key_1, control)
    assert window.photo_tab.compare.zoom == 1.0
    qtbot.keyClick(window, Qt.Key.Key_2, control)
    assert window.photo_tab.zoom_label.text() == "Zoom 200 %"
    qtbot.keyClick(window, Qt.Key.Key_0, control)
    assert window.photo_tab.compare.fits
    qtbot.keyClick(window, Qt.Key.Key_Up, control)
    assert window.options.strength == 1.05
    qtbot.keyClick(window, Qt.Key.Key_PageDown, control)
    assert window.list_view.currentIndex().row() == 1
    wait_restored(qtbot, window)
    qtbot.keyClick(window, Qt.Key.Key_F6)
    assert window.photo_tab.compare.hasFocus()


def test_going_to_another_photo_selects_it_alone(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    control = Qt.KeyboardModifier.ControlModifier
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png") for i in range(4)))
    window.activateWindow()
    until(qtbot, window.isActiveWindow)
    assert window.list_view.selected_rows() == [0]
    for key, row in ((Qt.Key.Key_PageDown, 1), (Qt.Key.Key_PageDown, 2), (Qt.Key.Key_PageUp, 1)):
        qtbot.keyClick(window, key, control)
        assert window.list_view.selected_rows() == [row]
    qtbot.keyClick(window.list_view, Qt.Key.Key_Delete)
    assert [path.name for path in window.photos.paths] == ["0.png", "2.png", "3.png"]


def test_without_a_selection_there_is_nothing_to_remove(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    assert window.all_actions.remove.isEnabled()
    window.list_view.clearSelection()
    assert not window.all_actions.remove.isEnabled()
    window.list_view.selectAll()
    assert window.all_actions.remove.isEnabled()


def test_on_the_noise_tab_no_key_changes_what_is_hidden(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 900, 900))
    wait_restored(qtbot, window)
    window.activateWindow()
    until(qtbot, window.isActiveWindow)
    window.tabs.setCurrentWidget(window.noise_tab)
    control = Qt.KeyboardModifier.ControlModifier
    for key in (Qt.Key.Key_Up, Qt.Key.Key_T, Qt.Key.Key_1, Qt.Key.Key_R):
        qtbot.keyClick(window, key, control)
    assert window.options.strength == 1.0
    assert window.photo_tab.compare.mode == "side"
    assert window.photo_tab.compare.fits
    assert not window.all_actions.noise.isChecked()
    window.tabs.setCurrentIndex(0)
    qtbot.keyClick(window, Qt.Key.Key_T, control)
    assert window.photo_tab.compare.mode == "wipe"


def test_space_shows_the_original_wherever_the_focus_is(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    for widget in (
        window.list_view,
        window.options.strength_slider,
        window.photo_tab.compare,
        window,
    ):
        qtbot.keyPress(widget, Qt.Key.Key_Space)
        assert window.photo_tab.compare.original_held, widget
        qtbot.keyRelease(widget, Qt.Key.Key_Space)
        assert not window.photo_tab.compare.original_held, widget
    qtbot.keyPress(window, Qt.Key.Key_Space)
    QApplication.sendEvent(window, QEvent(QEvent.Type.ActivationChange))  # another window came
    assert not window.photo_tab.compare.original_held


def test_a_model_without_strength_has_no_slider(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    window.options.strength_slider.setValue(50)
    info = model.info
    model.info = replace(info, latent_channels=1)
    window._load_model("published")
    until(qtbot, lambda: not window.options.strength_slider.isEnabled())
    assert window.options.strength == 1.0
    assert window.session._strength == 1.0
    assert "knows no strength" in window.options._strength_hint.text()
    window.all_actions.stronger.trigger()
    assert window.options.strength_slider.value() == 50
    model.info = info
    window._load_model("photo")
    until(qtbot, lambda: window.options.strength_slider.isEnabled())
    assert window.options.strength == 0.5
    assert window.session._strength == 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 5)])
def test_small_and_thin_photos_of_any_depth(
    qtbot: Any, window: MainWindow, tmp_path: Path, size: tuple[int, int], dtype: Any
) -> None:
    high = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = np.full((*size, 3), 0.4 * high, dtype)
    path = tmp_path / "a.tif"
    images.write(images.Photo(pixels, "tiff"), path)
    open_photos(qtbot, window, path)
    wait_restored(qtbot, window)
    acts = window.all_actions
    for action in (*acts.modes.values(), acts.noise, acts.double_size):
        action.trigger()
        assert not window.grab().isNull()
    run_all(qtbot, window)
    saved = images.read(tmp_path / "a-denoised.tif")
    assert saved.pixels.dtype == dtype
    assert saved.pixels.shape == pixels.shape
    assert np.allclose(saved.pixels / high, 0.2, atol=0.01)


def test_a_wide_gamut_photo_is_shown_in_its_colours(
    qtbot: Any, window: MainWindow, tmp_path: Path
) -> None:
    pyvips = pytest.importorskip("pyvips")
    grey = pyvips.Image.black(40, 30, bands=3).copy(interpretation="srgb")
    red = grey.linear(1, [200, 30, 30]).cast("uchar").copy(interpretation="srgb")
    path = tmp_path / "p3.png"
    wide = red.icc_transform("p3", input_profile="srgb")
    wide.pngsave(str(path))
    stored = images.read(path)
    assert "icc-profile-data" in stored.fields
    assert abs(int(stored.pixels[9, 9, 0]) - 200) > 5
    open_photos(qtbot, window, path)
    wait_restored(qtbot, window)
    view = window.session.view
    assert view is not None
    assert np.abs(view.before.levels[0][9, 9].astype(int) - [200, 30, 30]).max() <= 2
    until(qtbot, lambda: window.photos[0].thumbnail is not None)
    small = window.photos[0].thumbnail
    assert small is not None
    assert abs(small.pixelColor(9, 9).red() - 200) <= 3


def test_a_photo_too_large_to_be_shown_can_still_be_done(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "MOST_BYTES", 18 * 1_000_000)
    open_photos(qtbot, window, photo(tmp_path / "large.png", 1000, 1500))
    until(qtbot, lambda: "2 megapixels are too many to be shown" in window.photo_tab.message.text())
    run_all(qtbot, window)
    assert states(window) == ["done"]


def second_title(window: MainWindow) -> str:
    return window.photo_tab.compare._after(view_of(window))[1]


def test_the_original_is_not_called_denoised_while_a_batch_has_the_cores(
    qtbot: Any,
    window: MainWindow,
    model: Any,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "PREVIEW_LIMIT", 1000)  # more than that is to be seen
    open_photos(qtbot, window, photo(tmp_path / "a.png"), photo(tmp_path / "b.png", 300, 300))
    wait_restored(qtbot, window)
    assert second_title(window) == "Denoised"
    model.gate.clear()
    click(qtbot, window.start_button)
    window.all_actions.next.trigger()
    until(qtbot, lambda: window.session.view is not None)
    qtbot.wait(200)
    assert second_title(window) == "Not denoised yet"
    window.all_actions.noise.trigger()
    until(qtbot, lambda: view_of(window).noise is not None)
    assert second_title(window) == "Not denoised yet"
    window.all_actions.noise.trigger()
    until(qtbot, lambda: view_of(window).noise is None)
    window.photo_tab.compare.hold_original(True)
    assert second_title(window) == "Original"
    window.photo_tab.compare.hold_original(False)
    click(qtbot, window.cancel_button)
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    assert second_title(window) == "Not denoised yet"
    wait_restored(qtbot, window)
    assert second_title(window) == "Denoised"
    window.options.strength_slider.setValue(50)
    assert second_title(window) == "Denoised"  # a draft, and soon the result


def test_without_a_model_no_photo_is_called_denoised(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ModelError(f"there is no model {name!r}: use one of these: x")

    open_photos(qtbot, window, photo(tmp_path / "a.png"), photo(tmp_path / "b.png"))
    wait_restored(qtbot, window)
    load = window._load
    monkeypatch.setattr(window, "_load", missing)
    window._load_model("nonsense")
    until(qtbot, lambda: window.photo_tab.photo_state.text() == "no model")
    window.all_actions.next.trigger()
    until(qtbot, lambda: window.session.view is not None)
    assert second_title(window) == "Not denoised yet"
    assert window.photo_tab.photo_state.text() == "no model"
    monkeypatch.setattr(window, "_load", load)
    window._load_model("photo")
    assert window.photo_tab.photo_state.text() == ""
    wait_restored(qtbot, window)
    assert second_title(window) == "Denoised"


def test_a_photo_that_is_no_longer_shown_is_given_back(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 500, 500), photo(tmp_path / "b.png"))
    wait_restored(qtbot, window)
    window.all_actions.noise.trigger()
    until(qtbot, lambda: view_of(window).noise is not None)
    window.all_actions.noise.trigger()
    view = weakref.ref(view_of(window))
    window.all_actions.next.trigger()
    wait_restored(qtbot, window)
    until(qtbot, lambda: gc.collect() >= 0 and view() is None)


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_broken_and_a_vanished_photo_cost_only_themselves(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    good, gone = photo(tmp_path / "good.jpg", 400, 400), photo(tmp_path / "gone.jpg")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(good.read_bytes()[:-300])
    open_photos(qtbot, window, broken, gone, good)
    gone.unlink()
    until(qtbot, lambda: "broken.jpg: the JPEG file is damaged or cut off" in log(window))
    assert window.photo_tab.stack.currentIndex() == 2
    assert "damaged" in window.photo_tab.message.text()
    window.all_actions.next.trigger()
    until(qtbot, lambda: "gone.jpg: the file is not there any more" in log(window))
    run_all(qtbot, window)
    assert states(window) == ["failed", "failed", "done"]
    assert "finished: 1 done, 2 failed" in log(window)
    assert window.progress.label.text() == "finished, 2 failed"
    window.all_actions.next.trigger()
    wait_restored(qtbot, window)


def test_a_full_disk_is_said(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    monkeypatch.setattr("os.fsync", full)
    run_all(qtbot, window)
    assert states(window) == ["failed"]
    assert "a.png: failed: the disk is full" in log(window)
    assert [path.name for path in tmp_path.iterdir() if "a" in path.stem] == ["a.png"]
    monkeypatch.undo()
    run_all(qtbot, window)  # once there is room
    assert states(window) == ["done"]


def test_a_missing_model_is_said_and_another_can_be_chosen(
    qtbot: Any, make_window: Callable[[], MainWindow], model: Any, photo: Photo, tmp_path: Path
) -> None:
    window = make_window()
    load = window._load

    def missing(name: str) -> Any:
        raise ModelError(f"there is no model {name!r}: use one of these: x")

    window._load = missing  # type: ignore[method-assign]
    window._load_model("nonsense")
    until(qtbot, lambda: "there is no model “nonsense” here" in log(window))
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    until(qtbot, lambda: window.session.view is not None)
    assert not window.start_button.isEnabled()
    window._load = load  # type: ignore[method-assign]
    window.options.model_changed.emit("photo")
    wait_restored(qtbot, window)
    assert window.start_button.isEnabled()


def test_a_model_that_cannot_be_loaded_is_not_begun_with_the_next_time(
    qtbot: Any,
    make_window: Callable[[], MainWindow],
    settings: QSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window = make_window()
    good, bad = str(tmp_path / "good.onnx"), str(tmp_path / "bad.onnx")
    load = window._load

    def load_good(name: str) -> Any:
        if name == bad:
            raise ModelError(f"{name} is not a usable ONNX model: it is cut off")
        return load(name)

    monkeypatch.setattr(window, "_load", load_good)
    box = window.options.model_box
    for name in (good, bad):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, name=name: (name, ""))
        box.setCurrentIndex(box.count() - 1)
        box.activated.emit(box.currentIndex())
        until(qtbot, lambda: not window._model_lane.busy)
        until(qtbot, lambda: window._denoiser is not None or window.photo_tab._no_model)
    assert window.options.model == bad  # and the log says why it does not work
    assert settings.value("model") == good
    assert make_window().options.model == good


def test_a_model_that_is_loaded_too_late_is_not_taken(
    qtbot: Any, make_window: Callable[..., MainWindow], model: Any
) -> None:
    released, loaded = threading.Event(), {}
    released.set()

    def load(name: str) -> Denoiser:
        assert released.wait(30)
        loaded[name] = Denoiser(model)
        return loaded[name]

    window = make_window(load=load)
    window._load_model("former")
    end = time.monotonic() + 30
    while window._model_lane.busy and time.monotonic() < end:
        time.sleep(0.01)  # it has been said; nobody has heard it yet
    released.clear()
    window._load_model("chosen")
    qtbot.wait(100)
    assert window._denoiser is None
    released.set()
    until(qtbot, lambda: window._denoiser is loaded.get("chosen"))


def test_an_unexpected_error_of_a_model_forgets_the_start(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    load, going = window._load, threading.Event()

    def fail(name: str) -> Any:
        assert going.wait(30)
        raise RuntimeError("what")

    monkeypatch.setattr(window, "_load", fail)
    window._load_model("x")
    window.start()  # as soon as it is there
    going.set()
    until(qtbot, lambda: "unexpected error, please report it: RuntimeError: what" in log(window))
    until(qtbot, lambda: window.photo_tab.photo_state.text() == "no model")
    monkeypatch.setattr(window, "_load", load)
    window._load_model("photo")
    wait_restored(qtbot, window)
    assert states(window) == ["waiting"]


def test_a_failure_that_is_told_late_is_not_the_next_photo_s(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    open_photos(qtbot, window, photo(tmp_path / "good.png"), bad)
    wait_restored(qtbot, window)
    window.all_actions.next.trigger()
    window.session._open_lane.join(0.5)  # meanwhile nothing is heard of it
    window.all_actions.previous.trigger()
    wait_restored(qtbot, window)
    assert "the file is empty" not in log(window)


def test_a_mishap_in_the_network_is_a_sentence(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModelError("halving failed on a tile")

    assert window._denoiser is not None
    monkeypatch.setattr(window._denoiser, "_model", _Failing(window._denoiser._model, fail))
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    until(qtbot, lambda: "a.png: halving failed on a tile" in log(window))
    run_all(qtbot, window)
    assert states(window) == ["failed"]


class _Failing:
    def __init__(self, model: Any, fail: Callable[..., None]) -> None:
        self.info, self._fail = model.info, fail

    def __call__(self, *args: object, **kwargs: object) -> None:
        self._fail(*args, **kwargs)


# --- the batch -----------------------------------------------------------------------------------


def test_two_starts_in_a_row(qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"), photo(tmp_path / "b.png"))
    window.start()
    window.start()  # a second press while it runs does nothing
    until(qtbot, lambda: not window.runner.busy)
    window.start()  # and when all is done, it says so
    assert "nothing to do: all photos are done" in log(window)
    assert len(list(tmp_path.glob("*-denoised*"))) == 2
    window.options.strength_slider.setValue(50)  # other settings: other results, beside the first
    run_all(qtbot, window)
    names = sorted(path.name for path in tmp_path.glob("a-*"))
    assert names == ["a-denoised-2.png", "a-denoised.png"]
    assert images.read(tmp_path / "a-denoised.png").pixels[50, 50, 0] == 50
    assert images.read(tmp_path / "a-denoised-2.png").pixels[50, 50, 0] == 94


def test_pause_stops_the_work_and_going_on_finishes_it(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png", 300, 300) for i in range(3)))
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    click(qtbot, window.pause_button)
    assert window.pause_button.text() == "&Go on"
    assert "paused" in window.progress.label.text()
    model.gate.set()
    qtbot.wait(100)
    tiles = len(model.tiles)
    qtbot.wait(300)
    assert len(model.tiles) == tiles
    assert states(window) == ["working", "waiting", "waiting"]
    click(qtbot, window.pause_button)
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["done"] * 3
    assert window.progress.bar.value() == 1000


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Whether the disk is full, to be set."""
    full, encode = threading.Event(), images.writing.encode

    def encode_if_there_is_room(*arguments: Any) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        encode(*arguments)

    monkeypatch.setattr(images.writing, "encode", encode_if_there_is_room)
    return full


def test_a_full_disk_pauses_the_batch(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, full: threading.Event
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png") for i in range(3)))
    wait_restored(qtbot, window)
    full.set()
    click(qtbot, window.start_button)
    until(qtbot, lambda: window.runner.paused)
    until(qtbot, lambda: states(window)[0] == "failed")
    assert "make room on the disk" in log(window)
    assert window.pause_button.text() == "&Go on"
    assert "paused" in window.progress.label.text()
    qtbot.wait(200)
    assert states(window)[1:] == ["waiting", "waiting"]
    full.clear()
    click(qtbot, window.pause_button)
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["failed", "done", "done"]
    run_all(qtbot, window)
    assert states(window) == ["done"] * 3


def test_after_a_full_disk_the_next_photo_can_be_left_out(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, full: threading.Event
) -> None:
    paths = [photo(tmp_path / f"{i}.png") for i in range(3)]
    open_photos(qtbot, window, *paths)
    wait_restored(qtbot, window)
    full.set()
    click(qtbot, window.start_button)
    until(qtbot, lambda: window.runner.paused and states(window)[0] == "failed")
    qtbot.wait(100)
    assert window.runner.leave_out(paths[1])
    full.clear()
    window.pause_or_resume()
    until(qtbot, lambda: not window.runner.busy)
    assert [path.exists() for path in map(denoised, paths)] == [False, False, True]


def test_after_a_full_disk_a_cleared_list_ends_the_batch(
    qtbot: Any,
    window: MainWindow,
    model: Any,
    photo: Photo,
    tmp_path: Path,
    full: threading.Event,
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png", 300, 300) for i in range(3)))
    wait_restored(qtbot, window)
    full.set()
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    window.all_actions.clear.trigger()
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    assert window.pause_button.text() == "&Pause"


def test_a_paused_batch_ends_once_the_rest_is_removed(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, full: threading.Event
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png") for i in range(3)))
    wait_restored(qtbot, window)
    full.set()
    click(qtbot, window.start_button)
    until(qtbot, lambda: window.pause_button.text() == "&Go on")
    window.all_actions.clear.trigger()
    until(qtbot, lambda: not window.runner.busy)


def test_what_a_window_that_was_killed_left_is_removed(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    stray = tmp_path / ".invdn-0123456789ab.tmp"
    stray.touch()
    run_all(qtbot, window)
    assert not stray.exists()


def denoised(path: Path) -> Path:
    return path.with_name(f"{path.stem}-denoised{path.suffix}")


def cancel_while_encoding(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each batch cancelled while it encodes a result."""
    encode = images.writing.encode

    def and_cancel(*arguments: Any) -> None:
        window.runner.cancel()
        encode(*arguments)

    monkeypatch.setattr(images.writing, "encode", and_cancel)


def test_a_cancelled_batch_ends_even_where_the_disk_is_full(
    qtbot: Any,
    window: MainWindow,
    photo: Photo,
    tmp_path: Path,
    full: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cancel_while_encoding(window, monkeypatch)
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png") for i in range(3)))
    wait_restored(qtbot, window)
    full.set()
    click(qtbot, window.start_button)
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["failed", "waiting", "waiting"]
    assert "cancelled" in log(window)


def test_cancel_really_stops(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png", 300, 300) for i in range(3)))
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    window.session.set_whole_allowed(False)
    tiles = len(model.tiles)
    click(qtbot, window.cancel_button)
    assert window.progress.label.text() == "cancelling…"
    window.retranslate()
    for button in (window.cancel_button, window.pause_button):
        assert not button.isEnabled()
    for action in (window.all_actions.cancel, window.all_actions.pause):
        assert not action.isEnabled()
    window.progress.tell()  # as it is each second
    assert window.progress.label.text() == "cancelling…"
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    assert len(model.tiles) <= tiles + 1
    assert states(window) == ["waiting"] * 3
    assert "cancelled: 0 done" in log(window)
    assert not list(tmp_path.glob("*-denoised*"))
    assert not list(tmp_path.glob(".invdn-*"))
    assert window.progress.label.text() == "cancelled"
    run_all(qtbot, window)
    assert states(window) == ["done"] * 3


def test_cancel_while_a_result_is_encoded_leaves_what_has_its_name(
    qtbot: Any,
    window: MainWindow,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    former = photo(tmp_path / "mine.png", value=7).read_bytes()
    cancel_while_encoding(window, monkeypatch)
    window.save_as(tmp_path / "mine.png")
    until(qtbot, lambda: not window.runner.busy)
    assert (tmp_path / "mine.png").read_bytes() == former
    assert "cancelled: 0 done" in log(window)
    run_all(qtbot, window)
    assert states(window) == ["waiting"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["a.png", "mine.png"]
    assert not list(tmp_path.glob(".invdn-*"))


def test_closing_while_working_asks(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300))
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")

    def answer(role: QMessageBox.ButtonRole) -> None:
        (box,) = (w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox))
        next(b for b in box.buttons() if box.buttonRole(b) == role).click()

    QTimer.singleShot(200, lambda: answer(QMessageBox.ButtonRole.RejectRole))
    click(qtbot, window.quit_button)
    assert window.isVisible()
    assert window.runner.busy
    QTimer.singleShot(200, lambda: answer(QMessageBox.ButtonRole.DestructiveRole))
    click(qtbot, window.quit_button)
    assert window.isVisible()
    assert window.progress.label.text() == "cancelling…"
    model.gate.set()
    until(qtbot, lambda: not window.isVisible())
    assert not list(tmp_path.glob("*-denoised*"))
    assert not list(tmp_path.glob(".invdn-*"))


def open_question() -> QMessageBox | None:
    boxes = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox)]
    return next((box for box in boxes if box.isVisible()), None)


def test_being_ended_while_the_question_is_open_stops_and_closes(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300))
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")

    def end() -> None:
        assert open_question() is not None
        window.stop_and_close()
        model.gate.set()

    QTimer.singleShot(200, end)
    window.close()
    assert open_question() is None
    until(qtbot, lambda: not window.isVisible())
    assert not list(tmp_path.glob("*-denoised*"))


def test_whoever_keeps_working_is_asked_again(
    qtbot: Any,
    window: MainWindow,
    model: Any,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300))
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    asked = []
    monkeypatch.setattr(window, "_really_stop", lambda: bool(asked.append(1)))
    window.close()
    window.close()
    assert len(asked) == 2
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    qtbot.wait(50)
    assert window.isVisible()


@pytest.mark.parametrize("again", ["asked", "left alone"])
def test_a_window_whose_save_hangs_can_be_closed(
    qtbot: Any,
    window: MainWindow,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    again: str,
) -> None:
    """As on a network drive that is gone; one that only takes its time is waited for."""
    hangs, released = threading.Event(), threading.Event()

    def hang(*_: Any) -> None:
        hangs.set()
        released.wait(30)

    monkeypatch.setattr(window_module, "SECONDS_TO_STOP", 2.0, raising=False)
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    monkeypatch.setattr(images.writing, "encode", hang)
    window.save_as(tmp_path / "mine.png")
    until(qtbot, hangs.is_set)
    try:
        window.stop_and_close()
        qtbot.wait(200)
        assert window.isVisible()
        if again == "asked":
            window.stop_and_close()
            assert not window.isVisible()
        else:
            qtbot.waitUntil(lambda: not window.isVisible(), timeout=6_000)
    finally:
        released.set()


def test_closing_an_idle_window_just_closes(window: MainWindow) -> None:
    window.close()
    assert not window.isVisible()


def test_time_left_is_told(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png", 300, 300) for i in range(3)))
    wait_restored(qtbot, window)
    seen: set[str] = set()
    window.runner.progressed.connect(lambda *_: seen.add(window.progress.label.text()))
    run_all(qtbot, window)
    assert any(text.startswith("1 of 3 · ") and text.endswith("left") for text in seen), seen


def test_photos_can_be_taken_out_of_a_running_batch(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    paths = [photo(tmp_path / f"{i}.png", 300, 300) for i in range(4)]
    open_photos(qtbot, window, *paths)
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    window.list_view.selectAll()
    window.list_view.setCurrentIndex(window.photos.index(2))
    window.all_actions.remove.trigger()
    assert [entry.path for entry in window.photos.entries] == [paths[0], paths[1], paths[3]]
    assert window.progress.label.text().startswith("0 of 3")
    window.list_view.setCurrentIndex(window.photos.index(0))
    window.all_actions.remove.trigger()
    assert "0.png is being worked on: cancel that to remove it" in log(window)
    late = photo(tmp_path / "late.png")
    open_photos(qtbot, window, late)  # it came too late for this batch, and can go as well
    window.list_view.setCurrentIndex(window.photos.index(3))
    window.all_actions.remove.trigger()
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["done"] * 3
    assert "finished: 3 done" in log(window)
    assert window.progress.bar.value() == 1000
    assert not (tmp_path / "2-denoised.png").exists()
    assert (tmp_path / "3-denoised.png").exists()


def test_photos_can_be_taken_out_of_a_batch_that_has_only_just_begun(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"), photo(tmp_path / "b.png"))
    wait_restored(qtbot, window)
    window.start()
    window.list_view.setCurrentIndex(window.photos.index(1))
    window.all_actions.remove.trigger()
    until(qtbot, lambda: not window.runner.busy)
    assert [path.name for path in tmp_path.glob("*-denoised*")] == ["a-denoised.png"]
    assert "1 photo to do" in log(window)
    assert "finished: 1 done" in log(window)


def test_a_photo_that_is_done_can_be_removed_added_and_removed_while_others_are_done(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    paths = [photo(tmp_path / f"{i}.png", 300, 300) for i in range(2)]
    open_photos(qtbot, window, *paths)
    wait_restored(qtbot, window)
    window.runner.photo_done.connect(
        lambda _: model.gate.clear(), Qt.ConnectionType.DirectConnection
    )
    window.start()
    until(
        qtbot, lambda: states(window)[0] == "done" and window.runner._control._at_work == {paths[1]}
    )
    for _ in range(2):
        row = window.photos.row_of(paths[0])
        assert row is not None
        window._remove([row])
        assert len(window.photos) == 1
        open_photos(qtbot, window, paths[0])
    assert window.progress.label.text().startswith("1 of 2")
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)


def test_while_photos_are_done_nothing_is_said_of_removing_noise_from_another(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png", 300, 300) for i in range(2)))
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    window.all_actions.next.trigger()
    until(qtbot, lambda: window.session.view is not None)
    assert window.photo_tab.photo_state.text() == ""
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    until(qtbot, lambda: window.photo_tab.photo_state.text() == "Preview ready")


def test_where_nothing_could_be_saved_it_says_so(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    (tmp_path / "b.jpg").write_bytes(b"")
    open_photos(qtbot, window, tmp_path / "b.jpg", photo(tmp_path / "a.png"))
    window.list_view.setCurrentIndex(window.photos.index(0))
    window._remove([1])
    run_all(qtbot, window)
    assert window.progress.label.text() == "nothing was saved"
    assert window.progress.bar.value() == 0
    assert "nothing was saved: 0 done, 1 failed" in log(window)


def test_a_name_for_camera_raw_is_refused(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    filters: list[str] = []

    def choose(*arguments: Any) -> tuple[str, str]:
        filters.append(arguments[3])
        return str(tmp_path / "x.dng"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    window.save_result()
    until(qtbot, lambda: not window.runner.busy)
    assert "*.jpg" in filters[0]
    assert "*.dng" not in filters[0]
    assert ".dng files cannot be written: choose another format" in log(window)
    assert "unexpected" not in log(window)
    assert window.progress.label.text() == "nothing was saved"


def test_the_focus_is_lent_while_a_control_cannot_be_used(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    """It must not jump to Quit, which Space would then press."""
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300))
    wait_restored(qtbot, window)
    for control in (window.start_button, window.options.strength_box):
        window.options.strength_box.setValue(window.options.strength_box.value() - 1)
        wait_restored(qtbot, window)
        control.setFocus()
        model.gate.clear()
        window.start()
        until(qtbot, lambda: states(window)[0] == "working")
        assert window.focusWidget() is window.pause_button
        model.gate.set()
        until(qtbot, lambda: not window.runner.busy)
        assert window.focusWidget() is control


def test_photos_that_come_during_a_batch_wait_for_the_next(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300))
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    open_photos(qtbot, window, photo(tmp_path / "b.png"), photo(tmp_path / "c.png"))
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["done", "waiting", "waiting"]
    assert "2 photos came later: Start does them" in log(window)


def test_the_format_that_a_photo_has_is_as_the_original(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.jpg"), photo(tmp_path / "b.png"))
    run_all(qtbot, window)
    window.options.format_box.setCurrentIndex(window.options.format_box.findData("jpg"))
    assert states(window) == ["done", "waiting"]


def test_a_result_is_known_again_when_its_settings_come_back(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    run_all(qtbot, window)
    wait_restored(qtbot, window)
    window.options.strength_slider.setValue(50)
    assert states(window) == ["waiting"]
    window.options.strength_slider.setValue(100)
    assert states(window) == ["done"]
    (tmp_path / "no folder").touch()
    window.save_as(tmp_path / "no folder" / "a.png")
    until(qtbot, lambda: not window.runner.busy)
    assert "a.png: failed" in log(window)
    assert states(window) == ["done"]  # beside the photo it is


def test_a_photo_saved_under_a_name_of_its_own_is_still_to_be_done(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    path = photo(tmp_path / "a.png")
    open_photos(qtbot, window, path)
    wait_restored(qtbot, window)
    window.save_as(tmp_path / "trial.jpg")
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["waiting"]
    assert window.photos[0].output == tmp_path / "trial.jpg"
    run_all(qtbot, window)
    assert denoised(path).exists()
    window.save_as(tmp_path / "trial.jpg")
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["done"]  # beside the photo it is
    (tmp_path / "trial.jpg").unlink()
    window.start()
    assert "nothing to do" in log(window)


@pytest.mark.parametrize("what", ["result deleted", "original edited", "original deleted"])
def test_a_result_counts_as_long_as_it_is_there_and_of_the_photo(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, what: str
) -> None:
    path = photo(tmp_path / "a.png")
    open_photos(qtbot, window, path, photo(tmp_path / "b.png"))
    run_all(qtbot, window)
    if what == "result deleted":
        denoised(path).unlink()
    else:
        path.unlink()
    if what == "original edited":
        photo(path, 61, 80, value=80)
    window.start()
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["done", "done"]
    names = sorted(file.name for file in tmp_path.glob("*-denoised*"))
    again = ["a-denoised-2.png"] if what == "original edited" else []
    assert names == [*again, "a-denoised.png", "b-denoised.png"]
    assert ("nothing to do" in log(window)) == (what == "original deleted")
    if again:
        assert images.read(tmp_path / again[0]).pixels[60, 50, 0] == 40


def test_clearing_the_list_while_it_is_worked_on_leaves_what_is_in_work(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png", 300, 300) for i in range(5)))
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    window.all_actions.clear.trigger()
    assert [entry.path.name for entry in window.photos.entries] == ["0.png"]
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    assert [path.name for path in tmp_path.glob("*-denoised*")] == ["0-denoised.png"]


def test_no_setting_of_a_batch_is_changed_while_it_runs(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"), tmp_path / "gone.png")
    until(qtbot, lambda: window.session.result is not None)
    options = window.options
    settings = (
        options.strength_slider, options.strength_box, options.model_box, options._saving_group
    )  # fmt: skip
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    window.all_actions.stronger.trigger()
    assert options.strength == 1.0
    for setting in settings:
        assert not setting.isEnabled()
        assert setting.toolTip() == "Not while photos are being worked on"
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["done", "failed"]
    for setting in settings:
        assert setting.isEnabled()
        assert setting.toolTip() == ""
    options.strength_slider.setValue(50)
    assert states(window) == ["waiting", "failed"]  # why it failed can still be read
    run_all(qtbot, window)
    assert images.read(tmp_path / "a-denoised.png").pixels[50, 50, 0] == 50
    assert images.read(tmp_path / "a-denoised-2.png").pixels[50, 50, 0] == 94


def test_language_and_looks_can_be_switched_while_it_works(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    broken = tmp_path / "x.jpg"
    broken.write_bytes(b"")
    open_photos(qtbot, window, photo(tmp_path / "a.png"), broken)
    wait_restored(qtbot, window)
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    window.all_actions.languages["zh_CN"].trigger()
    window.all_actions.themes["dark"].trigger()
    until(qtbot, lambda: window.photo_tab.photo_state.text() == "预览已就绪")
    assert window.photo_tab.zoom_label.text() == "缩放 100%"
    assert window.progress.label.text().startswith("0 / 2")
    click(qtbot, window.pause_button)
    assert window.pause_button.text() == "继续(&G)"
    window.list_view.setCurrentIndex(window.photos.index(1))
    until(qtbot, lambda: window.photo_tab.message.text() == "x.jpg：文件是空的")
    window.all_actions.languages["en"].trigger()
    until(qtbot, lambda: window.photo_tab.message.text() == "x.jpg: the file is empty")
    assert window.progress.label.text() == "0 of 2 · paused"
    assert window.pause_button.text() == "&Go on"
    window.pause_or_resume()
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    assert states(window) == ["done", "failed"]
    window.all_actions.languages["zh_CN"].trigger()
    until(qtbot, lambda: window.progress.label.text() == "处理结束，1 张失败")


def test_cancel_and_start_at_once(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, *(photo(tmp_path / f"{i}.png", 300, 300) for i in range(3)))
    wait_restored(qtbot, window)
    for _ in range(3):
        model.gate.clear()
        click(qtbot, window.start_button)
        until(qtbot, lambda: states(window)[0] == "working")
        click(qtbot, window.pause_button)
        click(qtbot, window.cancel_button)
        window.start()  # the first batch is still at its tile
        model.gate.set()
        until(qtbot, lambda: not window.runner.busy)
        assert states(window) == ["waiting"] * 3
    run_all(qtbot, window)
    assert states(window) == ["done"] * 3
    assert len(list(tmp_path.iterdir())) == 3 + 3 + 1  # and the settings


def test_a_settings_file_that_was_edited_does_not_stop_the_start(
    make_window: Callable[[], MainWindow], settings: QSettings
) -> None:
    for key in ("strength", "save/quality"):
        settings.setValue(key, "99999999999")
    for key in ("window/geometry", "window/columns", "window/middle"):
        settings.setValue(key, "abc")
    window = make_window()
    assert window.options.strength == 1.5
    assert window.options.saving.quality == 100


def test_a_model_file_that_could_not_be_loaded_can_be_chosen_again(
    qtbot: Any, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = str(tmp_path / "mine.onnx")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (mine, ""))
    box, loaded = window.options.model_box, []
    monkeypatch.setattr(window, "_load_model", loaded.append)
    for _ in range(2):
        box.setCurrentIndex(box.count() - 1)
        box.activated.emit(box.currentIndex())
        assert box.currentData() == mine
    assert loaded == [mine, mine]


# --- the batch in a process of its own -----------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[process.Process]:
    """The processes that batches have started."""
    made: list[process.Process] = []

    class Noted(process.Process):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(workers, "Process", Noted)
    return made


@pytest.fixture
def apart(
    make_window: Callable[..., MainWindow],
    started: list[process.Process],
    monkeypatch: pytest.MonkeyPatch,
) -> MainWindow:
    """A window whose batches are done by `fake_worker`, which removes nothing."""
    monkeypatch.setattr(process, "PROGRAM", fake_worker.PROGRAM)
    return make_window(way=in_own_process)


def plain(path: Path, value: int = 100) -> Path:
    images.write(images.Photo(np.full((60, 80, 3), value, np.uint8), "png"), path)
    return path


def assert_all_ended(started: list[process.Process], number: int = 1) -> None:
    assert len(started) == number
    assert all(one._process.poll() is not None for one in started)


def start_slowly(qtbot: Any, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Begin a batch, wait until its first photo is begun; the progress of it from then on."""
    monkeypatch.setenv("INVDN_TEST_SECONDS", "3")
    fractions: list[float] = []
    window.runner.progressed.connect(lambda _, fraction: fractions.append(fraction))
    click(qtbot, window.start_button)
    until(qtbot, lambda: fractions and fractions[-1] > 0)
    return fractions


def test_a_batch_is_done_with_the_model_of_the_window_in_another_process(
    qtbot: Any,
    make_window: Callable[..., MainWindow],
    started: list[process.Process],
    tmp_path: Path,
) -> None:
    """The real one, with real weights; with the settings of the window too."""
    window = make_window(load=load_denoiser, way=in_own_process)
    rng = np.random.default_rng(0)
    path = tmp_path / "a.png"
    images.write(images.Photo(rng.integers(90, 150, (60, 80, 3), np.uint8), "png"), path)
    window.options.strength_slider.setValue(70)
    open_photos(qtbot, window, path)
    wait_restored(qtbot, window)
    expected = window.session.result
    run_all(qtbot, window)
    assert states(window) == ["done"]
    assert np.array_equal(images.read(denoised(path)).pixels, expected)
    assert_all_ended(started)
    assert sorted(file.name for file in tmp_path.glob("*a*.*")) == ["a-denoised.png", "a.png"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_crash_costs_its_photo_only(
    qtbot: Any, apart: MainWindow, started: list[process.Process], tmp_path: Path
) -> None:
    values = {"a": 100, "b": fake_worker.CRASHES, "c": 120, "d": fake_worker.KILLED}
    open_photos(qtbot, apart, *(plain(tmp_path / f"{n}.png", v) for n, v in values.items()))
    run_all(qtbot, apart)
    assert states(apart) == ["done", "failed", "done", "failed"]
    assert "b.png: failed: its decoder crashed (SIGSEGV)" in log(apart)
    assert "d.png: failed: the system ended the work on it, probably for want" in log(apart)
    assert "finished: 2 done, 2 failed" in log(apart)
    assert images.read(tmp_path / "c-denoised.png").pixels.max() == 120
    assert len(list(tmp_path.glob("*.png"))) == 6
    assert not list(tmp_path.glob(".invdn-*"))
    assert_all_ended(started, 2)


def test_a_pause_in_the_middle_of_a_photo(
    qtbot: Any,
    apart: MainWindow,
    started: list[process.Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_photos(qtbot, apart, plain(tmp_path / "a.png"), plain(tmp_path / "b.png"))
    fractions = start_slowly(qtbot, apart, monkeypatch)
    click(qtbot, apart.pause_button)
    qtbot.wait(700)  # the tile in work is done
    before = list(fractions)
    qtbot.wait(2500)  # longer than a step may take in this worker
    assert fractions == before
    assert before[-1] < 0.9
    assert states(apart) == ["working", "waiting"]
    click(qtbot, apart.pause_button)
    until(qtbot, lambda: not apart.runner.busy)
    assert states(apart) == ["done", "done"]
    assert_all_ended(started)


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("way", ["cancel", "close"])
def test_a_batch_that_is_ended_leaves_no_process_and_no_half_file(
    qtbot: Any,
    apart: MainWindow,
    started: list[process.Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    paused: bool,
    way: str,
) -> None:
    open_photos(qtbot, apart, plain(tmp_path / "a.png"), plain(tmp_path / "b.png"))
    start_slowly(qtbot, apart, monkeypatch)
    if paused:
        click(qtbot, apart.pause_button)
        qtbot.wait(700)
    if way == "cancel":
        click(qtbot, apart.cancel_button)
        until(qtbot, lambda: not apart.runner.busy)
        assert states(apart) == ["waiting", "waiting"]
        assert "cancelled: 0 done" in log(apart)
    else:
        apart.stop_and_close()
        until(qtbot, lambda: not apart.isVisible())
        apart.join()
    assert_all_ended(started)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["a.png", "b.png"]
    assert not list(tmp_path.glob(".invdn-*"))


def test_a_photo_that_waits_is_taken_out_of_the_process_s_batch(
    qtbot: Any, apart: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_photos(qtbot, apart, *(plain(tmp_path / f"{name}.png") for name in "abc"))
    start_slowly(qtbot, apart, monkeypatch)
    apart._remove([0, 1])
    assert "a.png is being worked on: cancel that to remove it" in log(apart)
    until(qtbot, lambda: not apart.runner.busy)
    assert states(apart) == ["done", "done"]
    assert {path.name for path in tmp_path.glob("*-*.png")} == {"a-denoised.png", "c-denoised.png"}


def test_a_full_disk_pauses_the_process_s_batch(
    qtbot: Any, apart: MainWindow, tmp_path: Path
) -> None:
    full = plain(tmp_path / "a.png", fake_worker.FULL)
    open_photos(qtbot, apart, full, plain(tmp_path / "b.png"))
    click(qtbot, apart.start_button)
    until(qtbot, lambda: "make room on the disk" in log(apart))
    qtbot.wait(300)
    assert states(apart) == ["failed", "waiting"]
    click(qtbot, apart.pause_button)
    until(qtbot, lambda: not apart.runner.busy)
    assert states(apart) == ["failed", "done"]


@pytest.mark.parametrize(
    ("program", "weights", "reason"),
    [
        ("raise SystemExit(3)", "photo", "the process that works on the photos does not start"),
        (fake_worker.PROGRAM, "none.onnx", "there is no model file"),
    ],
    ids=["no start", "no model"],
)
def test_a_process_that_cannot_work_is_a_sentence(
    qtbot: Any,
    apart: MainWindow,
    started: list[process.Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    weights: str,
    reason: str,
) -> None:
    open_photos(qtbot, apart, plain(tmp_path / "a.png"), plain(tmp_path / "b.png"))
    monkeypatch.setattr(process, "PROGRAM", program)
    monkeypatch.setattr(apart, "_way", lambda _, denoiser: in_own_process(weights, denoiser))
    run_all(qtbot, apart)
    assert reason in log(apart)
    assert "nothing was saved: 0 done" in log(apart)
    assert states(apart) == ["waiting", "waiting"]
    assert_all_ended(started)
    monkeypatch.setattr(process, "PROGRAM", fake_worker.PROGRAM)
    monkeypatch.setattr(apart, "_way", in_own_process)
    run_all(qtbot, apart)
    assert states(apart) == ["done", "done"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_batch_that_stops_early_says_what_is_saved(
    qtbot: Any,
    apart: MainWindow,
    started: list[process.Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process is ended in the middle, and none can take its place."""
    noted = workers.Process

    def then_none(*arguments: Any) -> process.Process:
        if started:
            monkeypatch.setattr(process, "PROGRAM", "raise SystemExit(3)")
        return noted(*arguments)

    monkeypatch.setattr(workers, "Process", then_none)
    values = {"a": 100, "b": fake_worker.KILLED, "c": 100, "d": 100}
    open_photos(qtbot, apart, *(plain(tmp_path / f"{n}.png", v) for n, v in values.items()))
    run_all(qtbot, apart)
    assert states(apart) == ["done", "failed", "waiting", "waiting"]
    assert "the process that works on the photos does not start" in log(apart)
    assert "stopped early: 1 done, 1 failed" in log(apart)
    assert apart.progress.label.text() == "stopped early"
    assert apart.progress.bar.value() == 500
    language.apply("zh_CN")
    until(qtbot, lambda: apart.progress.label.text() == "提前停止")


def test_saving_what_is_there_needs_no_process(
    qtbot: Any, apart: MainWindow, started: list[process.Process], tmp_path: Path
) -> None:
    open_photos(qtbot, apart, plain(tmp_path / "a.png"))
    wait_restored(qtbot, apart)
    apart.save_as(tmp_path / "mine.png")
    until(qtbot, lambda: not apart.runner.busy)
    assert images.read(tmp_path / "mine.png").pixels.max() == 50
    assert not started


# --- saving --------------------------------------------------------------------------------------


def test_results_go_where_and_how_the_settings_say(
    qtbot: Any, make_window: Callable[[], MainWindow], photo: Photo, tmp_path: Path
) -> None:
    window = make_window()
    options = window.options
    options.where_box.setCurrentIndex(options.where_box.findData("folder"))
    options.set_folder(tmp_path / "结果")
    options.format_box.setCurrentIndex(options.format_box.findData("jpg"))
    options.quality_box.setValue(77)
    options.metadata_box.setChecked(False)
    options.skip_box.setChecked(True)
    options.strength_slider.setValue(80)
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    run_all(qtbot, window)
    saved = images.read(tmp_path / "结果" / "a.jpg")
    assert saved.jpeg is not None
    assert saved.jpeg.quality == 77
    window.close()
    again = make_window()
    assert again.options.saving == options.saving
    assert again.options.strength == 0.8
    open_photos(qtbot, again, tmp_path / "a.png")
    run_all(qtbot, again)
    assert states(again) == ["skipped"]
    assert "a.png: skipped: there is a result of that name already" in log(again)


@pytest.mark.parametrize("name", language.LANGUAGES)
def test_the_settings_labels_are_all_seen(qtbot: Any, window: MainWindow, name: str) -> None:
    language.apply(name)
    window.options._insert_model("/" + "x" * 100 + ".onnx")
    window.options.where_box.setCurrentIndex(window.options.where_box.findData("folder"))
    window.options.set_folder(Path("/" + "文件夹" * 50))
    qtbot.wait(100)
    for label in window.options._labels.values():
        assert not label.isVisible() or label.width() >= label.sizeHint().width(), label.text()


def test_asking_for_a_folder_can_be_answered_with_no(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.options.where_box.setCurrentIndex(window.options.where_box.findData("ask"))
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    click(qtbot, window.start_button)
    assert not window.runner.busy
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "x"))
    run_all(qtbot, window)
    assert (tmp_path / "x" / "a.png").exists()


def test_saving_on_request_uses_what_is_there(
    qtbot: Any,
    window: MainWindow,
    model: Any,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300))
    wait_restored(qtbot, window)
    tiles = len(model.tiles)
    proposals: list[str] = []

    def choose(_: object, __: str, proposal: str, *___: Any) -> tuple[str, str]:
        proposals.append(proposal)
        return str(tmp_path / "mine.tif"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    click(qtbot, window.save_button)
    until(qtbot, lambda: not window.runner.busy)
    assert proposals == [str(tmp_path / "a-denoised.png")]
    assert images.read(tmp_path / "mine.tif").pixels[200, 200, 0] == 50
    assert len(model.tiles) == tiles


def test_only_what_is_seen_is_saved(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300), photo(tmp_path / "b.png"))
    wait_restored(qtbot, window)
    (tmp_path / "a.png").unlink()
    photo(tmp_path / "a.png", 310, 300, value=80)  # another picture in its place
    window.save_as(tmp_path / "other.tif")
    until(qtbot, lambda: not window.runner.busy)
    assert "a.png has changed since it was opened: open it again" in log(window)
    assert not (tmp_path / "other.tif").exists()
    window.all_actions.next.trigger()
    window.all_actions.previous.trigger()
    wait_restored(qtbot, window)
    window.save_as(tmp_path / "other.tif")
    until(qtbot, lambda: not window.runner.busy)
    assert images.read(tmp_path / "other.tif").pixels[305, 200, 0] == 40


@pytest.mark.parametrize("missing", ["x", "x/y", "."])
def test_a_folder_that_is_not_there_yet_is_no_place_to_begin_in(
    qtbot: Any,
    window: MainWindow,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
) -> None:
    (tmp_path / "results").mkdir()
    photo(tmp_path / "results" / "a-denoised.png")
    window.options.where_box.setCurrentIndex(window.options.where_box.findData("folder"))
    window.options.set_folder(tmp_path / "results" / missing)
    open_photos(qtbot, window, photo(tmp_path / "results" / "a.png"))
    wait_restored(qtbot, window)
    proposals: list[str] = []

    def choose(_: object, __: str, proposal: str, *___: Any) -> tuple[str, str]:
        proposals.append(proposal)
        return "", ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    click(qtbot, window.save_button)
    # No photo's own name, and no result's.
    assert proposals == [str(tmp_path / "results" / "a-denoised-2.png")]


def test_the_original_is_never_replaced(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    path = photo(tmp_path / "a.png")
    original = path.read_bytes()
    open_photos(qtbot, window, path)
    wait_restored(qtbot, window)
    window.save_as(path)
    until(qtbot, lambda: "an original is never replaced" in log(window))
    assert path.read_bytes() == original
    window.options.where_box.setCurrentIndex(window.options.where_box.findData("folder"))
    window.options.set_folder(tmp_path)
    run_all(qtbot, window)
    assert path.read_bytes() == original
    assert (tmp_path / "a-denoised.png").exists()


def test_whoever_chooses_an_original_is_asked_again(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    answers = iter([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    warnings: list[str] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (next(answers), ""))
    monkeypatch.setattr(QMessageBox, "warning", lambda *arguments: warnings.append(arguments[2]))
    window.save_result()
    until(qtbot, lambda: not window.runner.busy)
    assert warnings == ["An original is never replaced: choose another name."]
    assert (tmp_path / "b.png").exists()


@pytest.mark.parametrize("name", ["b.png", "link.png", "sub/../b.png"])
def test_no_other_photo_of_the_list_is_replaced_either(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, name: str
) -> None:
    a, b = photo(tmp_path / "a.png"), photo(tmp_path / "b.png", value=50)
    (tmp_path / "link.png").hardlink_to(b)
    (tmp_path / "sub").mkdir()
    before = b.read_bytes()
    open_photos(qtbot, window, a, b)
    wait_restored(qtbot, window)
    window.save_as(tmp_path / name)
    until(qtbot, lambda: not window.runner.busy)
    assert "an original is never replaced: choose another name" in log(window)
    assert b.read_bytes() == before
    assert (tmp_path / "link.png").read_bytes() == before


def test_a_suffix_is_appended_to_a_name_without_one_and_replaces_nothing(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    for name, saved in (("b", "b.png"), ("c.v2", "c.v2.png")):
        window.save_as(tmp_path / name)
        until(qtbot, lambda: not window.runner.busy)
        assert images.read(tmp_path / saved).format == "png"
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"mine")
    window.save_as(tmp_path / "mine")  # the dialog has asked about "mine", which is not there
    until(qtbot, lambda: not window.runner.busy)
    assert mine.read_bytes() == b"mine"
    assert "there is a result of that name already" in log(window)
    window.save_as(mine)  # and about this it has asked
    until(qtbot, lambda: not window.runner.busy)
    assert images.read(mine).pixels[50, 50, 0] == 50


def test_a_name_without_a_suffix_gets_that_of_the_chosen_format(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    options = window.options
    options.format_box.setCurrentIndex(options.format_box.findData("tif"))
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    window.save_as(tmp_path / "mine")
    until(qtbot, lambda: not window.runner.busy)
    assert images.read(tmp_path / "mine.tif").format == "tiff"
    assert not (tmp_path / "mine.png").exists()


def test_results_are_not_taken_for_photos_when_a_folder_is_opened_again(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    photo(tmp_path / "in" / "a.png")
    open_photos(qtbot, window, tmp_path / "in")
    run_all(qtbot, window)
    drop(window, tmp_path / "in")
    until(qtbot, lambda: "in the list already" in log(window))
    assert len(window.photos) == 1
    open_photos(qtbot, window, tmp_path / "in" / "a-denoised.png")  # unless it is meant
    assert len(window.photos) == 2


# --- the noise tab -------------------------------------------------------------------------------

_NOISE_COMMAND = """
import sys
from itertools import pairwise
from pathlib import Path
from invdn import images
from dataclasses import replace
source, _, output, *rest = sys.argv[1:]
if rest[0] == "--like" and "bad" in rest[1]:
    sys.exit(print("invdn: bad.png: the file is empty", file=sys.stderr) or 1)
photo = images.read(Path(source))
images.write(replace(photo, pixels=photo.pixels + 20), Path(output))
"""


@pytest.fixture
def noise_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of `invdn noise`: 20 grey levels brighter."""
    command = staticmethod(lambda: [sys.executable, "-c", _NOISE_COMMAND])
    monkeypatch.setattr(NoiseTab, "command", command)
    monkeypatch.setattr(NoiseTab, "available", staticmethod(lambda: True))
    monkeypatch.setattr(noise_tab, "NOISE_MODEL", Path(__file__))  # any file that is there


@pytest.mark.usefixtures("noise_command")
def test_a_noisy_version_is_made_shown_and_saved(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = photo(tmp_path / "干净.png")
    open_photos(qtbot, window, path)
    tab = window.noise_tab
    window.tabs.setCurrentWidget(tab)
    click(qtbot, tab.make_button)
    until(qtbot, lambda: tab.save_button.isEnabled())
    view = tab.compare._view
    assert view is not None
    assert view.before.levels[0][50, 50, 0] == 100
    assert view.after.levels[0][50, 50, 0] == 120
    target = tmp_path / "noisy.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    click(qtbot, tab.save_button)
    until(qtbot, target.exists)
    assert images.read(target).pixels[50, 50, 0] == 120
    other = photo(tmp_path / "other.png")  # noise is not made from this one
    open_photos(qtbot, window, other)
    for original in (path, other):
        window.log.clear()
        tab.save(original)
        until(qtbot, lambda: "an original is never replaced" in log(window))
        assert images.read(original).pixels[50, 50, 0] == 100


@pytest.mark.usefixtures("noise_command")
def test_a_noisy_picture_is_a_png_file_that_replaces_nothing_unasked(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    tab = window.noise_tab
    window.tabs.setCurrentWidget(tab)
    click(qtbot, tab.make_button)
    until(qtbot, lambda: tab.save_button.isEnabled())
    tab.save(tmp_path / "b.jpg")
    until(qtbot, (tmp_path / "b.jpg.png").exists)
    assert images.read(tmp_path / "b.jpg.png").format == "png"
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"mine")
    tab.save(tmp_path / "taken")  # the dialog has asked about "taken", which is not there
    until(qtbot, lambda: "there is a file of that name already" in log(window))
    assert taken.read_bytes() == b"mine"
    assert not list(tmp_path.glob(".invdn-*"))


@pytest.mark.usefixtures("noise_command")
def test_a_photo_too_large_to_be_shown_gets_no_noise_in_the_window(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(QProcess, "start", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(preview, "MOST_BYTES", 18 * 1_000_000)
    open_photos(qtbot, window, photo(tmp_path / "large.png", 1000, 1500))
    tab = window.noise_tab
    window.tabs.setCurrentWidget(tab)
    click(qtbot, tab.make_button)
    until(qtbot, lambda: "no noise was made: it is too large for the window" in log(window))
    assert not tab.busy
    assert not started
    assert tab.make_button.isEnabled()


def test_a_noisy_picture_that_is_being_written_is_said_to_be(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, noise_command: None
) -> None:
    path = photo(tmp_path / "a.png")
    open_photos(qtbot, window, path)
    window.tabs.setCurrentIndex(1)
    window.noise_tab.make()
    until(qtbot, lambda: window.noise_tab._result is not None)
    with images.atomically(tmp_path / "noisy.png") as file:
        file.write(b"by another one")
        window.noise_tab.save(tmp_path / "noisy.png")
        until(qtbot, lambda: f"{tmp_path}/noisy.png was not saved: another" in log(window))
    assert "another invdn is making this result just now" in log(window)
    assert "choose another folder" not in log(window)


@pytest.fixture
def endless_noise(noise_command: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of `invdn noise`: nothing, for a minute."""
    sleeping = staticmethod(lambda: [sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(NoiseTab, "command", sleeping)


@pytest.mark.usefixtures("endless_noise")
def test_closing_while_noise_is_made_asks(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    window.tabs.setCurrentWidget(window.noise_tab)
    click(qtbot, window.noise_tab.make_button)
    assert window.noise_tab.busy
    answers = [False, True]
    monkeypatch.setattr(window, "_really_stop", lambda: answers.pop(0))
    click(qtbot, window.quit_button)
    assert window.isVisible()
    assert window.noise_tab.busy
    click(qtbot, window.quit_button)
    assert not window.isVisible()
    assert not window.noise_tab.busy
    assert not answers


@pytest.mark.usefixtures("endless_noise")
def test_making_noise_can_be_cancelled_and_seen(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    run_all(qtbot, window)
    assert window.progress.label.text() == "finished"
    tab, bar = window.noise_tab, window.progress.bar
    window.tabs.setCurrentWidget(tab)
    assert not window.cancel_button.isEnabled()
    for _ in range(2):
        click(qtbot, tab.make_button)
        assert bar.maximum() == 0  # it moves
        assert window.progress.label.text() == ""
        click(qtbot, window.cancel_button)
        assert not tab.busy
        assert bar.maximum() == 1000
        assert not window.cancel_button.isEnabled()
        assert tab.make_button.isEnabled()
    assert log(window).count("making noise was cancelled") == 2
    until(qtbot, lambda: not tab.findChildren(QProcess))


@pytest.mark.usefixtures("endless_noise")
def test_cancel_is_about_the_tab_that_is_seen(
    qtbot: Any, window: MainWindow, model: Any, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300))
    wait_restored(qtbot, window)
    window.noise_tab.make()
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    assert window.progress.bar.maximum() == 1000
    window.tabs.setCurrentWidget(window.noise_tab)
    click(qtbot, window.cancel_button)
    assert not window.noise_tab.busy
    assert window.progress.label.text() == "0 of 1"
    window.noise_tab.make()
    window.tabs.setCurrentIndex(0)
    click(qtbot, window.cancel_button)
    assert window.noise_tab.busy
    assert window.progress.label.text() == "cancelling…"
    model.gate.set()
    until(qtbot, lambda: not window.runner.busy)
    click(qtbot, window.cancel_button)
    assert not window.noise_tab.busy


@pytest.mark.usefixtures("noise_command")
def test_on_the_noise_tab_nothing_of_the_other_one_can_be_pressed(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    controls = (
        window.start_button, window.all_actions.start, window.save_button, window.all_actions.save
    )  # fmt: skip
    for tab in (0, 1, 0):
        window.tabs.setCurrentIndex(tab)
        assert [control.isEnabled() for control in controls] == [tab == 0] * 4


@pytest.mark.usefixtures("noise_command")
def test_a_noisy_picture_has_the_name_of_its_photo(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"), photo(tmp_path / "b.png"))
    tab = window.noise_tab
    window.tabs.setCurrentWidget(tab)
    click(qtbot, tab.make_button)
    until(qtbot, lambda: tab.save_button.isEnabled())
    window.all_actions.next.trigger()
    assert tab.compare._titles[:2] == ("Clean: a.png", "Noisy: a.png")
    language.apply("zh_CN")
    until(qtbot, lambda: tab.compare._titles[:2] == ("干净：a.png", "带噪：a.png"))


@pytest.mark.usefixtures("endless_noise")
@pytest.mark.parametrize("way", ["quit", "ended"])
def test_closing_while_noise_is_made_and_photos_are_done(
    qtbot: Any,
    window: MainWindow,
    model: Any,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png", 300, 300))
    wait_restored(qtbot, window)
    window.noise_tab.make()
    model.gate.clear()
    click(qtbot, window.start_button)
    until(qtbot, lambda: states(window)[0] == "working")
    monkeypatch.setattr(window, "_really_stop", lambda: True)
    window.close() if way == "quit" else window.stop_and_close()
    assert not window.noise_tab.busy
    model.gate.set()
    until(qtbot, lambda: not window.isVisible())


@pytest.mark.usefixtures("noise_command")
def test_a_result_stays_that_of_its_picture_when_another_one_fails(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = photo(tmp_path / "a.png"), photo(tmp_path / "b.png", value=50)
    open_photos(qtbot, window, a, b)
    tab = window.noise_tab
    tab.make()
    until(qtbot, lambda: "a.png: a noisy version is made" in log(window))
    window.all_actions.next.trigger()
    tab.set_like(tmp_path / "bad.png")  # makes it fail
    tab.make()
    until(qtbot, lambda: "b.png: no noise was made" in log(window))
    proposals: list[str] = []

    def choose(_: object, __: str, proposal: str, *___: Any) -> tuple[str, str]:
        proposals.append(Path(proposal).name)
        return proposal, ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    tab._save()
    until(qtbot, lambda: "saved: " in log(window))
    assert proposals == ["a-noisy.png"]
    assert images.read(tmp_path / "a-noisy.png").pixels[50, 50, 0] == 120
    for path, value in ((a, 100), (b, 50)):
        window.log.clear()
        tab.save(path)
        until(qtbot, lambda: "an original is never replaced" in log(window))
        assert images.read(path).pixels[50, 50, 0] == value


@pytest.mark.usefixtures("noise_command")
def test_only_the_last_noisy_picture_is_kept_until_it_is_saved(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    tab = window.noise_tab
    for _ in range(3):
        window.log.clear()
        tab.make()
        until(qtbot, lambda: "a noisy version is made" in log(window))
    until(qtbot, lambda: not tab.lane.busy)
    assert tab._folder is not None
    assert [path.name for path in tab._folder.iterdir()] == ["3.png"]
    until(qtbot, lambda: not tab.findChildren(QProcess))


@pytest.mark.usefixtures("noise_command")
def test_a_noise_command_that_is_ended_is_a_sentence(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = "import os, sys; print('loading', file=sys.stderr); os.abort()"
    monkeypatch.setattr(NoiseTab, "command", staticmethod(lambda: [sys.executable, "-c", killed]))
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    window.noise_tab.make()
    said = "a.png: no noise was made: the command ended before it was done"
    until(qtbot, lambda: said in log(window))


@pytest.mark.usefixtures("noise_command")
def test_why_no_noise_was_made_names_the_photo_once(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = photo(tmp_path / "a.png")
    failing = f"import sys; sys.exit('invdn: {path}: the file is empty')"
    monkeypatch.setattr(NoiseTab, "command", staticmethod(lambda: [sys.executable, "-c", failing]))
    open_photos(qtbot, window, path)
    window.noise_tab.make()
    until(qtbot, lambda: "a.png: no noise was made: the file is empty" in log(window))


def test_the_noise_command_takes_no_modules_of_the_current_folder(tmp_path: Path) -> None:
    for name in ("typer.py", "invdn.py"):
        (tmp_path / name).write_text("raise SystemExit('taken')", encoding="utf-8")
    command = [*NoiseTab.command(), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--level" in done.stdout


@pytest.mark.usefixtures("noise_command")
def test_without_weights_the_noise_tab_says_so_and_takes_others(
    qtbot: Any,
    make_window: Callable[[], MainWindow],
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(noise_tab, "NOISE_MODEL", tmp_path / "none.safetensors")
    window = make_window()
    tab = window.noise_tab
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    window.tabs.setCurrentWidget(tab)
    assert tab.hint.text().startswith("The noise model is missing: train one")
    assert not tab.make_button.isEnabled()
    mine = tmp_path / "我的.safetensors"
    mine.write_bytes(b"weights")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(mine), ""))
    tab._other_action.trigger()
    assert tab.model_button.text() == "我的.safetensors"
    assert tab.make_button.isEnabled()
    click(qtbot, tab.make_button)
    until(qtbot, lambda: tab.save_button.isEnabled())
    again = make_window().noise_tab
    assert (again.model, again.model_button.text()) == (mine, "我的.safetensors")
    again._shipped_action.trigger()
    assert (again.model, again.model_button.text()) == (None, "Model")


def test_the_noise_tab_runs_the_command_with_real_weights(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    """Nothing is put in the place of anything: fresh weights of a small network."""
    torch = pytest.importorskip("torch", reason="making noise needs PyTorch")
    from safetensors.torch import save_file

    from invdn.net.invdn import InvDN, LevelConfig
    from invdn.net.noise_head import NoiseModel

    torch.manual_seed(0)
    model = NoiseModel(InvDN((LevelConfig(1, 8, 6, 8, 1),)))
    save_file(model.state_dict(), tmp_path / "small.safetensors")
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    tab = window.noise_tab
    window.tabs.setCurrentWidget(tab)
    tab.set_model(tmp_path / "small.safetensors")
    tab.level_box.setValue(20)
    click(qtbot, tab.make_button)
    qtbot.waitUntil(lambda: not tab.busy and tab.save_button.isEnabled(), timeout=120_000)
    view = tab.compare._view
    assert view is not None
    noise_made = view.after.levels[0].astype(float) - view.before.levels[0]
    assert 5 < noise_made.std() < 60


@pytest.mark.usefixtures("noise_command")
def test_what_the_noise_command_says_is_in_the_log(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    tab = window.noise_tab
    window.tabs.setCurrentWidget(tab)
    bad = str(tmp_path / "bad.png")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (bad, ""))
    click(qtbot, tab.like_button)
    assert tab.like_radio.isChecked()
    click(qtbot, tab.make_button)
    until(qtbot, lambda: "no noise was made: bad.png: the file is empty" in log(window))
    assert tab.make_button.isEnabled()


def test_the_noise_tab_says_what_to_install(
    qtbot: Any, make_window: Callable[[], MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NoiseTab, "available", staticmethod(lambda: False))
    tab = make_window().noise_tab
    assert tab.hint.text() == "Adding noise needs PyTorch: pip install 'invdn[train]'"
    assert not tab.make_button.isEnabled()


# --- language, looks, access ---------------------------------------------------------------------


def test_the_language_can_be_switched(
    qtbot: Any, window: MainWindow, settings: QSettings, photo: Photo, tmp_path: Path
) -> None:
    (tmp_path / "b.jpg").write_bytes(b"")
    open_photos(qtbot, window, tmp_path / "b.jpg")
    window.all_actions.languages["zh_CN"].trigger()
    assert settings.value("language") == "zh_CN"
    until(qtbot, lambda: window.choose_button.text() == "选择文件(&C)…")
    assert window.start_button.text() == "开始去噪(&S)"
    assert window.quit_button.text() == "退出(&I)"
    assert window.options._labels["strength"].text() == "强度(&T)"
    assert window.noise_tab.make_button.text() == "生成(&M)"
    run_all(qtbot, window)
    assert "b.jpg：失败：文件是空的" in log(window)
    window.all_actions.languages["en"].trigger()
    until(qtbot, lambda: window.start_button.text() == "&Start")


@pytest.mark.parametrize("name", language.LANGUAGES)
def test_no_two_keys_are_the_same(window: MainWindow, name: str) -> None:
    """What Alt and a letter mean is unique, on each tab and in each menu."""
    language.apply(name)
    QApplication.sendPostedEvents()
    window.retranslate()
    bar = [action.text() for action in window.menuBar().actions()]
    window.options.where_box.setCurrentIndex(window.options.where_box.findData("folder"))
    for tab in range(window.tabs.count()):
        window.tabs.setCurrentIndex(tab)
        buttons = [b for b in window.findChildren(QAbstractButton) if b.isVisible()]
        labels = [x for x in window.findChildren(QLabel) if x.isVisible() and x.buddy()]
        texts = [*bar, *(w.text() for w in (*buttons, *labels)), "&Go on"]
        keys = [m[1].upper() for text in texts if (m := re.search(r"&([^&])", text))]
        assert len(keys) > 10
        assert len(set(keys)) == len(keys), sorted(texts)
    for menu in window.menuBar().findChildren(QMenu):
        items = [action.text() for action in menu.actions()]
        keys = [m[1].upper() for text in items if (m := re.search(r"&([^&])", text))]
        assert len(set(keys)) == len(keys), items
    used = [key.toString() for a in window.findChildren(QAction) for key in a.shortcuts()]
    assert len(set(used)) == len(used), used


@pytest.mark.parametrize("name", language.LANGUAGES)
def test_no_button_is_cut_off_in_the_smallest_window(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path, name: str
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    language.apply(name)
    window.resize(100, 100)
    for tab in range(window.tabs.count()):
        window.tabs.setCurrentIndex(tab)
        buttons = [b for b in window.findChildren(QAbstractButton) if b.isVisible() and b.text()]
        # A busy machine takes its time to lay out the window anew.
        until(
            qtbot, lambda buttons=buttons: all(b.width() >= b.sizeHint().width() for b in buttons)
        )
    assert window.width() <= 800
    assert window.height() <= 600


@pytest.mark.parametrize(("across", "down"), [(800, 600), (1366, 768), (3840, 2160)])
def test_at_first_the_window_is_no_larger_than_the_screen(
    make_window: Callable[[], MainWindow], monkeypatch: pytest.MonkeyPatch, across: int, down: int
) -> None:
    screen = type("Screen", (), {"availableSize": lambda _: QSize(across, down)})()
    monkeypatch.setattr(MainWindow, "screen", lambda _: screen)
    window = make_window()
    assert window.width() == min(1280, max(across - 16, window.minimumSizeHint().width()))
    assert window.width() <= across
    assert window.height() <= min(800, down)


def test_settings_that_are_higher_than_the_window_are_scrolled(
    qtbot: Any, window: MainWindow
) -> None:
    bar = window.options_column.verticalScrollBar()
    assert bar.maximum() == 0
    window.options.setMinimumHeight(600)  # with large letters, or another style
    window.resize(800, 480)
    until(qtbot, lambda: bar.maximum() > 0)
    assert window.height() == 480
    assert window.options_column.viewport().width() >= window.options.minimumSizeHint().width()


def test_tab_reaches_everything_and_comes_back(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    window.activateWindow()
    until(qtbot, window.isActiveWindow)
    window.list_view.setFocus()
    reached = [window.list_view]
    for _ in range(60):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        if QApplication.focusWidget() is window.list_view:
            break
        reached.append(QApplication.focusWidget())
    assert QApplication.focusWidget() is window.list_view
    for widget in (
        *window.photo_tab.mode_buttons.values(),
        *window.photo_tab.zoom_buttons,
        window.photo_tab.noise_button,
        window.photo_tab.hold_button,
        window.photo_tab.compare,
        window.log,
        window.options.strength_slider,
        window.options.model_box,
        window.options.where_box,
        window.options.skip_box,
        window.choose_button,
        window.start_button,
        window.save_button,
        window.quit_button,
    ):
        assert widget in reached or widget.focusProxy() in reached, widget
    places = [reached.index(w) for w in (window.photo_tab.compare, window.log, window.start_button)]
    assert places == sorted(places)


def test_nothing_is_left_in_english(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    """Every text of every widget and menu, in Chinese; but for names, units and keys."""
    open_photos(qtbot, window, photo(tmp_path / "照片.png"))
    wait_restored(qtbot, window)
    window.log.clear()
    language.apply("zh_CN")
    until(qtbot, lambda: window.start_button.text() == "开始去噪(&S)")
    run_all(qtbot, window)
    window._on_found(Plan(()), {}, 0)
    window.menus.recent.fill()
    texts = [action.text() for action in window.findChildren(QAction)]
    texts += [menu.title() for menu in window.findChildren(QMenu)]
    for widget in window.findChildren(QWidget):
        own = not widget.objectName().startswith("qt_") and not isinstance(widget, QLineEdit)
        if not own or isinstance(widget.parent(), QTabBar):
            continue
        texts += [widget.toolTip(), widget.accessibleName(), widget.accessibleDescription()]
        if isinstance(widget, QAbstractButton | QLabel):
            texts.append(widget.text())
        if isinstance(widget, QComboBox):
            texts += [widget.itemText(i) for i in range(widget.count())]
    texts += [window.tabs.tabText(i) for i in range(window.tabs.count())]
    texts += log(window).splitlines()
    texts += [window.photos.data(window.photos.index(0), role) for role in
              (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole)]  # fmt: skip
    known = (
        r"English|invdn train configs/noise\.toml|invdn|JPEG|PNG|TIFF|WebP|HEIC|RAW|EXIF|XMP|IPTC"
        r"|PyTorch|F1|Ctrl\+\S+|halving|photo|best|fast|cpu|\(&\w\)|-denoised|\.png|\.jpg"
    )
    assert len(texts) > 100
    for text in texts:
        for folder in (tmp_path, window.options.saving.folder):
            text = text.replace(str(folder), "")
        rest = re.sub(known, "", text)
        assert not re.search(r"[A-Za-z]{2}", rest), text


def test_what_the_engine_says_is_said_in_chinese(qapp: QApplication) -> None:
    """Every reason and notice of the modules that read, write and restore photos, in whatever
    process that is."""
    language.apply("zh_CN")
    sentences = [*_engine_sentences()]
    assert len(sentences) > 50
    assert "the file is empty" in sentences
    for sentence in sentences:
        said = language.translated_reason(sentence)
        assert said != sentence, sentence
        assert re.search("[一-鿿]", said), sentence
    language.apply("en")
    said = language.translated_reason("this is really an AVIF file")
    assert said == "its format is really AVIF"


def _engine_sentences() -> Iterator[str]:
    """What errors are raised with, and what is returned or appended as a notice."""
    package = Path(images.__file__).parent
    for source in (*package.glob("*.py"), package.parent / "restore.py"):
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                owner = getattr(getattr(node.func, "value", None), "id", "")
                if name in ("PhotoError", "FolderError") or (
                    name == "append" and owner == "notices"
                ):
                    yield from _sentence(node.args[0])
            if isinstance(node, ast.keyword) and node.arg == "notices":
                yield from (s for part in ast.walk(node.value) for s in _sentence(part))
            if isinstance(node, ast.FunctionDef) and node.name == "_reading_failed":
                returned = (n for n in ast.walk(node) if isinstance(n, ast.Return))
                yield from (s for n in returned for s in _sentence(n.value))
            elif (
                isinstance(node, ast.FunctionDef)
                and node.returns is not None
                and "tuple[str, ...]" in ast.unparse(node.returns)  # notices
            ):
                returned = (n for n in ast.walk(node) if isinstance(n, ast.Return))
                yield from (s for n in returned for s in _sentences_in(n.value) if " " in s)
    for source, errors in (
        (package.parent / "runtime.py", ("ModelError",)),
        (package.parent / "openvino_session.py", ("OpenVinoError",)),
        (package.parent / "denoiser.py", ("ValueError",)),
    ):
        for function in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            # Not what only those hear who call it with something else than a photo.
            if isinstance(function, ast.FunctionDef) and function.name not in (
                "context", "_check_layout", "_load_again",
            ):  # fmt: skip
                for node in ast.walk(function):
                    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in errors:
                        yield from _sentence(node.args[0])
    raised = ("ProcessError", "StartError")
    for node in ast.walk(ast.parse(Path(process.__file__).read_text(encoding="utf-8"))):
        said: list[ast.expr | None] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in raised:
            said = [*node.args]
        elif isinstance(node, ast.FunctionDef) and node.name in ("_how_it_ended", "_why_ended"):
            said = [part.value for part in ast.walk(node) if isinstance(part, ast.Return)]
        for value in said:
            either = value.values if isinstance(value, ast.BoolOp) else [value]
            yield from (s for part in either for s in _sentence(part))
    yield from (images.EXISTS, images.IN_WORK, images.MADE, images.CHANGED, images.NO_SUCH_FILE)
    yield from (images.photo.WRONG_PROFILE, images.photo.first_page_only(7))
    yield "HEIC needs: pip install 'invdn[heif]'"
    yield "camera raw needs: pip install 'invdn[raw]'"
    yield batch.reason_of(MemoryError())
    yield batch.reason_of(RuntimeError("what"))
    numbers = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.ENAMETOOLONG)
    for number in (*numbers, errno.EDQUOT, errno.ESTALE, errno.ETIMEDOUT, errno.ELOOP):
        yield batch.reason_of(OSError(number, os.strerror(number), "a.jpg"))
        yield f"cannot write a.jpg: {os.strerror(number).lower()}"


def _sentences_in(node: ast.AST | None) -> Iterator[str]:
    """All texts within an expression, each as a whole."""
    found = [*_sentence(node)]
    yield from found
    if not found and node is not None:
        for child in ast.iter_child_nodes(node):
            yield from _sentences_in(child)


def _sentence(node: ast.AST | None) -> Iterator[str]:
    """The text of a literal, with 7 in the place of what is put in; "a 7" where it is a noun."""

    def filled(part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        noun = isinstance(part, ast.FormattedValue) and "id='_a'" in ast.dump(part.value)
        quoted = isinstance(part, ast.FormattedValue) and part.conversion == ord("r")
        return "a 7" if noun else "'7'" if quoted else "7"

    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(filled(part) for part in node.values)


def test_the_system_s_looks_come_back(qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the platform knows its own only once none is asked for."""

    class Hints:
        asked = Qt.ColorScheme.Unknown

        def setColorScheme(self, scheme: Qt.ColorScheme) -> None:
            self.asked = scheme

        def colorScheme(self) -> Qt.ColorScheme:
            unknown = self.asked == Qt.ColorScheme.Unknown
            return Qt.ColorScheme.Light if unknown else self.asked

    hints = Hints()
    monkeypatch.setattr(theme.QGuiApplication, "styleHints", staticmethod(lambda: hints))
    theme.apply("dark")
    assert qapp.palette().window().color().lightness() < 60
    theme.apply("system")
    assert qapp.palette().window().color().lightness() > 200


def test_the_looks_can_be_switched(window: MainWindow, settings: QSettings) -> None:
    window.all_actions.themes["dark"].trigger()
    assert settings.value("theme") == "dark"
    assert window.palette().window().color().lightness() < 60
    window.all_actions.themes["light"].trigger()
    assert window.palette().window().color().lightness() > 200


def test_everything_has_a_name_and_can_be_reached_by_keyboard(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    open_photos(qtbot, window, photo(tmp_path / "a.png"))
    wait_restored(qtbot, window)
    kinds = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox)
    controls = [
        w for kind in kinds for w in window.findChildren(kind) if w.objectName()[:3] != "qt_"
    ]
    labelled = {label.buddy() for label in window.options._labels.values()}
    labelled.add(window.noise_tab.seed_label.buddy())
    own = [
        w
        for w in controls
        if not type(w.parent()).__name__.startswith(("QScroll", "QTab", "QMenu"))
    ]
    for control in own:
        if isinstance(control, QAbstractSlider) and control is not window.options.strength_slider:
            continue
        text = control.text() if isinstance(control, QAbstractButton) else ""
        assert text or control.accessibleName() or control in labelled, control
        if control.isVisible():
            assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, control
    for widget in (window.photo_tab.compare, window.list_view, window.log, window.progress.bar):
        assert widget.accessibleName()
    assert window.photo_tab.compare.accessibleDescription() == "Side by side, Zoom 100 %"


def test_the_interface_thread_is_never_held_up(
    qtbot: Any, window: MainWindow, photo: Photo, tmp_path: Path
) -> None:
    """A modest version of benchmarks/gui_latency.py, on a machine that may be busy."""
    path = photo(tmp_path / "a.jpg", 3000, 4000)
    beats: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.monotonic()))
    timer.start(5)
    open_photos(qtbot, window, path)
    wait_restored(qtbot, window)
    window.all_actions.full_size.trigger()
    window.options.strength_slider.setValue(50)
    wait_restored(qtbot, window)
    timer.stop()
    gaps = sorted(after - before for before, after in pairwise(beats))
    assert len(gaps) > 30
    assert gaps[-1] < 0.4


# --- translations --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["invdn_en", "invdn_zh_CN"])
def test_translations_are_complete_and_compiled(name: str, tmp_path: Path) -> None:
    """Every text of the source is translated, and the .qm file is that of the .ts file."""
    import shutil

    # Beside Python, where a virtual environment has them, whether it is activated or not.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    tools = [shutil.which(tool, path=path) for tool in ("pyside6-lupdate", "pyside6-lrelease")]
    if None in tools:
        pytest.skip("PySide6's tools are neither beside Python nor on the path")
    ts, qm = (language.TRANSLATIONS / f"{name}.{suffix}" for suffix in ("ts", "qm"))
    sources = sorted(str(path) for path in language.TRANSLATIONS.parent.glob("*.py"))
    again = Path(shutil.copy(ts, tmp_path))
    plural = ["-pluralonly"] if name == "invdn_en" else []
    update = [
        str(tools[0]),
        *sources,
        *plural,
        "-locations",
        "none",
        "-no-obsolete",
        "-ts",
        str(again),
    ]
    subprocess.run(update, check=True, capture_output=True)
    assert "unfinished" not in again.read_text(encoding="utf-8")
    assert again.read_text(encoding="utf-8") == ts.read_text(encoding="utf-8")
    compiled = tmp_path / "again.qm"
    subprocess.run([str(tools[1]), str(ts), "-qm", str(compiled)], check=True, capture_output=True)
    assert compiled.read_bytes() == qm.read_bytes()


def test_the_system_language_is_used(qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    for names, expected in [
        (["zh-Hans-CN", "en"], "zh_CN"),
        (["de-DE", "zh-CN"], "zh_CN"),
        (["en-GB", "zh-CN"], "en"),
        (["fr-FR"], "en"),
    ]:
        fake = type("System", (), {"uiLanguages": staticmethod(lambda names=names: names)})
        real = language.QLocale
        monkeypatch.setattr(real, "system", staticmethod(lambda fake=fake: fake()))
        assert language.system_language() == expected


def test_themes_have_readable_text(qapp: QApplication) -> None:
    """Contrast as WCAG 2.1 counts it: 4.5 for text."""
    for dark in (False, True):
        palette = theme._palette(dark)
        for text, ground in (
            (palette.windowText(), palette.window()),
            (palette.text(), palette.base()),
            (palette.buttonText(), palette.button()),
            (palette.placeholderText(), palette.window()),
            (palette.placeholderText(), palette.base()),
            (palette.brightText(), palette.base()),
        ):
            assert _contrast(text.color(), ground.color()) >= 4.5


def _contrast(one: Any, other: Any) -> float:
    def luminance(colour: Any) -> float:
        parts = []
        for part in (colour.redF(), colour.greenF(), colour.blueF()):
            parts.append(part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4)
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_a_language_change_reaches_every_part(window: MainWindow) -> None:
    tab = window.noise_tab
    parts = (
        (window, lambda: window.start_button.setText("?"), lambda: window.start_button.text()),
        (window.options, lambda: window.options._saving_group.setTitle("?"),
         lambda: window.options._saving_group.title()),
        (tab, lambda: tab.make_button.setText("?"), lambda: tab.make_button.text()),
    )  # fmt: skip
    for widget, spoil, text in parts:
        before = text()
        spoil()
        QApplication.sendEvent(widget, QEvent(QEvent.Type.LanguageChange))
        assert text() == before != "?"
