"""Take the pictures of the window that the README shows.

    python docs/screenshots.py docs/images [--all]

The photos are scikit-image's (chelsea and coffee: CC0; astronaut: NASA, public domain), with noise
of our own. Whoever changes the window looks at them, with --all. Works without a screen
(QT_QPA_PLATFORM=offscreen, with fonts for Chinese installed) and under Xvfb.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyvips
import skimage.data
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from skimage.transform import resize

from invdn import images
from invdn.denoiser import load_denoiser
from invdn.gui import language, theme
from invdn.gui.app import application
from invdn.gui.window import MainWindow


def noisy_photos(folder: Path) -> list[Path]:
    """The example photos with shot and read noise that is correlated like a camera's."""
    rng = np.random.default_rng(1)
    paths = []
    for name in ("chelsea", "coffee", "astronaut"):
        clean = resize(getattr(skimage.data, name)(), _size(name), anti_aliasing=True)
        raw = rng.normal(size=clean.shape)
        mixed = 0.75 * raw + 0.25 * np.roll(raw, 1, axis=1) + 0.25 * np.roll(raw, 1, axis=0)
        noisy = clean + mixed * np.sqrt(0.006 * clean + 0.0012)
        path = folder / f"{name}.jpg"
        images.write(images.Photo(np.rint(noisy.clip(0, 1) * 255).astype(np.uint8), "jpeg"), path)
        paths.append(path)
    return paths


def _size(name: str) -> tuple[int, int]:
    height, width = getattr(skimage.data, name)().shape[:2]
    return 2 * height, 2 * width


def wait(app: QApplication, until: Callable[[], bool], seconds: float = 120) -> None:
    """Let the window work until something is so."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError
        app.processEvents()
        time.sleep(0.01)
    for _ in range(20):
        app.processEvents()
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="each view in each language and theme")
    parser.add_argument("--model", default="photo")
    options = parser.parse_args()
    app = application(["invdn"])
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        photos = noisy_photos(work)
        settings = QSettings(str(work / "settings.ini"), QSettings.Format.IniFormat)
        settings.setValue("model", options.model)
        if options.all:
            shots = [(lg, th, view) for lg in ("en", "zh_CN") for th in ("light", "dark")
                     for view in ("empty", "side", "wipe", "noise", "batch", "tab")]  # fmt: skip
        else:
            shots = [("en", "dark", "wipe"), ("en", "light", "batch"),
                     ("zh_CN", "dark", "side"), ("en", "light", "noise")]  # fmt: skip
        for language_name, theme_name, view in shots:
            language.apply(language_name)
            theme.apply(theme_name)
            window = MainWindow(settings, load_denoiser)
            window.resize(1120, 720)
            window.show()
            _arrange(app, window, view, photos)
            target = options.folder / f"window-{view}-{language_name}-{theme_name}.png"
            window.grab().save(str(target))
            _shrink(target)
            print(target, f"{target.stat().st_size / 1000:.0f} kB")
            window.stop_and_close()
            wait(app, lambda window=window: not window.isVisible())  # type: ignore[misc]
            window.join()


def _shrink(path: Path) -> None:
    """Write the picture anew with 256 colours: noise does not compress."""
    picture = pyvips.Image.new_from_buffer(path.read_bytes(), "")
    path.write_bytes(picture.pngsave_buffer(palette=True, Q=80, bitdepth=8, dither=0.5, effort=7))


def _arrange(app: QApplication, window: MainWindow, view: str, photos: list[Path]) -> None:
    wait(app, lambda: window._denoiser is not None)
    if view == "empty":
        return
    window.add_photos(photos)
    wait(app, lambda: window.session.result is not None)
    window.all_actions.modes["wipe" if view in ("wipe", "tab") else "side"].trigger()
    window.all_actions.full_size.trigger()
    if view == "noise":
        window.all_actions.noise.trigger()
    if view == "batch":
        window.all_actions.fit.trigger()
        window.start()
        wait(
            app,
            lambda: any(e.state == "working" and e.fraction > 0 for e in window.photos.entries[1:]),
        )
    if view == "tab":
        window.tabs.setCurrentIndex(1)
    wait(app, lambda: all(entry.thumbnail is not None for entry in window.photos.entries))


if __name__ == "__main__":
    main()
