"""How long the window's interface thread is held up, while it works on 24-megapixel photos.

    python benchmarks/gui_latency.py [--photos 10] [--megapixels 24]

A timer of 5 ms in the interface thread notes when it is late. Meanwhile the window is used: photos
are added, opened, looked at in every mode, zoomed and moved, the strength is changed, and a batch
is begun, paused and cancelled. Says the largest gap of each step, how long it takes until the
visible part is restored, and the peak memory with all photos in the list and each opened once.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication

from invdn import images
from invdn.gui import language, theme
from invdn.gui.app import application, prepare_threads
from invdn.gui.window import MainWindow

BEAT_MS = 5


class Heart:
    """Beats in the interface thread; a late beat is a gap."""

    def __init__(self) -> None:
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._last = time.monotonic()
        self.largest = 0.0
        self._timer.start(BEAT_MS)

    def _beat(self) -> None:
        now = time.monotonic()
        self.largest = max(self.largest, now - self._last)
        self._last = now

    @contextmanager
    def watching(self, what: str) -> Iterator[None]:
        self.largest, self._last = 0.0, time.monotonic()
        start = time.monotonic()
        yield
        gap, seconds = 1000 * self.largest, time.monotonic() - start
        print(f"{what:<44} largest gap {gap:5.0f} ms, took {seconds:6.2f} s", flush=True)
        overall.append(gap)


overall: list[float] = []


def wait(condition: Callable[[], object], seconds: float = 600) -> None:
    """Run the event loop until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        QApplication.processEvents()
        time.sleep(0.001)


def spend(seconds: float) -> None:
    """Run the event loop for so long."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def make_photos(folder: Path, count: int, megapixels: float) -> list[Path]:
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    scene = 120 + 60 * np.sin(rows / 97) * np.cos(columns / 131)
    paths = []
    for number in range(count):
        noise = rng.standard_normal((height, width, 3), np.float32) * 12
        pixels = (scene[:, :, None] + noise).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"photo-{number}.jpg")
        images.write(images.Photo(pixels, "jpeg"), paths[-1])
    return paths


@contextmanager
def photos_for_window(count: int, megapixels: float) -> Iterator[tuple[list[Path], QSettings]]:
    """An application, JPEGs that are deleted afterwards, and a window's settings beside them."""
    application(["invdn"])
    prepare_threads()
    language.apply("en")
    theme.apply("light")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own, so that its memory is not counted.
        if os.fork() == 0:
            make_photos(folder, count, megapixels)
            os._exit(0)
        os.wait()
        settings = QSettings(str(folder / "settings.ini"), QSettings.Format.IniFormat)
        yield sorted(folder.glob("*.jpg")), settings


def memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=10)
    parser.add_argument("--megapixels", type=float, default=24)
    options = parser.parse_args()
    with photos_for_window(options.photos, options.megapixels) as (photos, settings):
        heart = Heart()
        window = MainWindow(settings)
        window.resize(1600, 1000)
        window.show()
        wait(lambda: window._denoiser is not None)
        with heart.watching("load the model"):
            window._load_model("photo")
            wait(lambda: window._denoiser is not None)
        _use(window, heart, photos)
        print(f"largest gap of all {max(overall):.0f} ms, peak memory {memory_mib():.0f} MiB")
        window.stop_and_close()
        wait(lambda: not window.isVisible())
        window.join()


def _use(window: MainWindow, heart: Heart, photos: list[Path]) -> None:
    session, compare = window.session, window.photo_tab.compare

    def restored_here() -> bool:
        box = compare.visible_box()
        view = session.view
        return view is not None and box is not None and view.missing(view.stored(box)) is None

    with heart.watching("open the first photo"):
        window.add_photos(photos)
        wait(lambda: session.view is not None)
    with heart.watching("100 %, until the middle is restored"):
        window.all_actions.full_size.trigger()
        view = session.view
        assert view is not None
        box = view.stored(compare.visible_box()).centre(256)  # type: ignore[arg-type]
        wait(lambda: view.missing(box) is None)
    with heart.watching("until all that is visible is restored"):
        wait(restored_here)
    with heart.watching("move over the photo at 100 %"):
        for _ in range(60):
            compare.pan(30, 10)
            spend(0.02)
    with heart.watching("another strength, until the middle is there"):
        window.options.strength_slider.setValue(60)
        box = view.stored(compare.visible_box()).centre(256)  # type: ignore[arg-type]
        wait(lambda: view.missing(box) is None)
    with heart.watching("drag the strength slider"):
        for percent in range(60, 120, 3):
            window.options.strength_slider.setValue(percent)
            spend(0.05)
    with heart.watching("zoom out and in, in each mode"):
        for action in window.all_actions.modes.values():
            action.trigger()
            for step in (compare.zoom_out, compare.zoom_in):
                for _ in range(15):
                    step()
                    spend(0.02)
    with heart.watching("show the removed noise, whole photo"):
        compare.fit()
        window.all_actions.noise.trigger()
        wait(lambda: view.noise is not None)
        spend(2)
        window.all_actions.noise.trigger()
    with heart.watching("the whole photo at work, 15 s"):
        spend(15)
    with heart.watching(f"open {len(photos)} photos, one after the other"):
        for row in range(len(photos)):
            window.list_view.setCurrentIndex(window.photos.index(row))
            wait(lambda row=row: session.view is not None and session.path == photos[row])  # type: ignore[misc]
            spend(1)
    with heart.watching("a batch: begin, pause, go on, cancel"):
        window.start()
        wait(lambda: any(entry.fraction > 0 for entry in window.photos.entries))
        window.pause_or_resume()
        spend(1)
        window.pause_or_resume()
        spend(5)
        window.cancel()
        wait(lambda: not window.runner.busy)


if __name__ == "__main__":
    main()
