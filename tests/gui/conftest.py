"""A window with a network that halves, is quick, and can be held up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("PySide6", reason="the window needs PySide6", exc_type=ImportError)

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication

from invdn import images
from invdn.denoiser import Denoiser
from invdn.gui import language, theme
from invdn.gui.app import application
from invdn.gui.ways import in_this_process
from invdn.gui.window import MainWindow
from invdn.runtime import ModelInfo


class Halving:
    """A model that halves the image at strength 1; `gate`, while cleared, holds up every tile.

    At half the strength it takes only 1/16 away, so that a draft can be told from the result.
    """

    def __init__(self) -> None:
        self.info = ModelInfo(
            "halving", "1", "CC0-1.0", 0, 0, multiple=8, tile=128, halo=16, sha256="", device="cpu",
            threads=1,
        )  # fmt: skip
        self.gate = threading.Event()
        self.gate.set()
        self.seconds = 0.0  # for each tile
        self.tiles: list[tuple[int, ...]] = []

    def __call__(self, image: np.ndarray, strength: float, *, last: bool = False) -> np.ndarray:
        self.tiles.append(image.shape)
        assert self.gate.wait(30)
        time.sleep(self.seconds)
        return image * np.float32(1 - strength**3 / 2)


@pytest.fixture
def photo() -> Callable[..., Path]:
    """Makes a photo of one grey with a red corner: `photo(path, height, width)`."""
    return _photo


def _photo(path: Path, height: int = 60, width: int = 80, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((height, width, 3), value, np.uint8)
    pixels[: height // 4, : width // 4] = (200, 40, 40)
    images.write(images.Photo(pixels, images.format_of(path)), path)
    return path


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    return application(["invdn"])


@pytest.fixture
def model() -> Iterator[Halving]:
    halving = Halving()
    yield halving
    halving.gate.set()


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def make_window(qtbot, model: Halving, settings: QSettings) -> Iterator[Callable[..., MainWindow]]:  # type: ignore[no-untyped-def]
    """Makes windows, and closes them at the end; they may be given what `MainWindow` takes."""
    made: list[MainWindow] = []
    language.apply("en")
    theme.apply("light")

    def make(**arguments: Any) -> MainWindow:
        usual = {
            "load": lambda _: Denoiser(model),
            "way": lambda _, halves: in_this_process(halves),
        }
        window = MainWindow(settings, **(usual | arguments))
        made.append(window)
        window.show()
        qtbot.waitUntil(lambda: window._denoiser is not None, timeout=30_000)
        return window

    yield make
    model.gate.set()
    for window in made:
        window.stop_and_close()
        qtbot.waitUntil(lambda window=window: not window.isVisible(), timeout=30_000)  # type: ignore[misc]
        window.join()
        window.deleteLater()
    QApplication.processEvents()
    language.apply("en")


@pytest.fixture
def window(make_window: Callable[..., MainWindow]) -> MainWindow:
    return make_window()
