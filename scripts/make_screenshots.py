"""Makes the README's pictures of the window, of the example photos and the shipped weights.

    QT_QPA_PLATFORM=offscreen python scripts/make_screenshots.py

Needs the extra ``gui`` and a font for Chinese (Debian: fonts-noto-cjk).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication

from invdn.gui import language, theme
from invdn.gui.app import application, prepare_threads
from invdn.gui.window import MainWindow

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/images"
SIZE_PX = (1120, 720)
#: Where to look at 100% and more, as parts of the astronaut's width and height.
FACE = (0.44, 0.22)


def main() -> None:
    """One window for each picture, closed afterwards."""
    application(["invdn"])
    prepare_threads()
    picture("window-wipe-en-dark", "en", "dark", wipe)
    picture("window-side-zh_CN-dark", "zh_CN", "dark", side_by_side)
    picture("window-batch-en-light", "en", "light", batch)
    picture("window-noise-en-light", "en", "light", removed_noise)


def picture(name: str, spoken: str, colours: str, prepare: Callable[[MainWindow], None]) -> None:
    """Open the window on copies of the example photos, prepare it, and save what it shows."""
    language.apply(spoken)
    theme.apply(colours)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = [
            Path(shutil.copy(photo, folder))
            for photo in sorted((ROOT / "examples/noisy").glob("*.jpg"))
        ]
        settings = QSettings(str(folder / "settings.ini"), QSettings.Format.IniFormat)
        window = MainWindow(settings)
        window.resize(*SIZE_PX)
        window.show()
        window.add_photos(photos)
        wait(lambda: window.session.result is not None)
        prepare(window)
        wait_a_moment()
        window.grab().save(str(FOLDER / f"{name}.png"))
        window.stop_and_close()
        wait(lambda: not window.isVisible())
        window.join()


def wipe(window: MainWindow) -> None:
    """The wipe, over a face at 100%."""
    window.mode_actions["wipe"].trigger()
    window.full_size_action.trigger()
    _look_at(window, *FACE)


def side_by_side(window: MainWindow) -> None:
    """Original and result side by side at 200%."""
    window.mode_actions["side"].trigger()
    window.double_size_action.trigger()
    _look_at(window, *FACE)


def batch(window: MainWindow) -> None:
    """A batch of which one photo is done."""
    window.start()
    wait(lambda: sum(entry.fraction > 0 for entry in window.photos.entries) == 2)


def removed_noise(window: MainWindow) -> None:
    """What was removed, eight times as strong."""
    window.mode_actions["side"].trigger()
    window.noise_action.trigger()
    wait(lambda: window.session.view is not None and window.session.view.noise is not None)


def _look_at(window: MainWindow, across: float, down: float) -> None:
    """Bring a place, in parts of the photo's width and height, to the middle of the view."""
    view, compare = window.session.view, window.compare
    assert view is not None
    scale = compare.zoom / compare.devicePixelRatioF()
    compare.pan(
        (across * view.before.width - compare.centre.x()) * scale,
        (down * view.before.height - compare.centre.y()) * scale,
    )


def wait(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Run the event loop until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        QApplication.processEvents()
        time.sleep(0.001)


def wait_a_moment() -> None:
    """Let the window draw what it has computed."""
    end = time.monotonic() + 0.3
    wait(lambda: time.monotonic() > end)


if __name__ == "__main__":
    main()
