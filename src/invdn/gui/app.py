"""Starts the window."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication

from invdn.gui import language, theme
from invdn.gui.window import MainWindow
from invdn.runtime import import_onnxruntime


def application(arguments: Sequence[str]) -> QApplication:
    """The Qt application, with the program's name and icon."""
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(list(arguments))
    app.setApplicationName("invdn")
    app.setDesktopFileName("invdn")
    app.setWindowIcon(theme.icon())
    font = app.font()
    font.setFamilies(theme.ui_fonts())
    app.setFont(font)
    return app


def missing_display() -> str | None:
    """Why no window can be opened here; Qt itself would end the process."""
    if sys.platform != "linux" or os.environ.get("QT_QPA_PLATFORM"):
        return None
    instead = "start it from a desktop, or use 'invdn denoise'"
    named = [n for name in ("WAYLAND_DISPLAY", "DISPLAY") if (n := os.environ.get(name))]
    if not named:
        return f"there is no screen here: {instead}"
    if os.environ.get("WAYLAND_DISPLAY") and _wayland_answers():
        return None
    if not (os.environ.get("DISPLAY") and _x_answers()):
        return f"there is no screen at {' nor at '.join(named)}: {instead}"
    try:
        ctypes.CDLL("libxcb-cursor.so.0")
    except OSError:
        return "the window needs the system's library xcb-cursor: install libxcb-cursor0"
    return None


def _wayland_answers() -> bool:
    """Whether there is anybody at $WAYLAND_DISPLAY, asked as Qt will ask."""
    try:
        library = ctypes.CDLL("libwayland-client.so.0")
    except OSError:
        return False
    library.wl_display_connect.restype = ctypes.c_void_p
    display = library.wl_display_connect(None)
    if display:
        library.wl_display_disconnect(ctypes.c_void_p(display))
    return bool(display)


def _x_answers() -> bool:
    """Whether there is anybody at $DISPLAY who lets us in, asked as Qt will ask."""
    try:
        library = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True  # that it is missing is said together with xcb-cursor
    library.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(library.xcb_connect(None, None))
    refused = library.xcb_connection_has_error(connection)
    library.xcb_disconnect(connection)
    return not refused


def run(files: Sequence[Path]) -> int:
    """Open the window on these files and stay until it is closed; the exit status."""
    app = application(["invdn"])
    prepare_threads()
    settings = QSettings("invdn", "invdn")
    language.apply(str(settings.value("language", "system")))
    chosen = str(settings.value("theme", "system"))
    theme.apply(chosen if chosen in theme.THEMES else "system")
    app.styleHints().colorSchemeChanged.connect(lambda _: _follow_system(settings))
    window = MainWindow(settings)
    _report_errors_in(window)
    _stop_politely(window)
    if files:
        window.add_photos(files)
    window.show()
    status = app.exec()
    window.join()
    if threading.active_count() > 1:
        # One hangs, on a network drive for example, or is inside a library, which would abort the
        # process if the interpreter ended around it. Nothing is half written: see images.atomic.
        settings.sync()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def prepare_threads() -> None:
    """See to it that threads at work do not hold up the window."""
    # Loading these later, in a thread, would make it stutter.
    import pyvips  # noqa: F401

    import_onnxruntime()

    # The interface thread waits this long for Python's lock, many times in each frame, whenever
    # another thread computes in Python; 5 ms by default.
    sys.setswitchinterval(0.0005)


def _follow_system(settings: QSettings) -> None:
    if settings.value("theme", "system") == "system":
        theme.apply("system")


def _report_errors_in(window: MainWindow) -> None:
    """A mistake of ours becomes a line in the log; the window stays."""

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        sys.__excepthook__(kind, error, trace)
        if not issubclass(kind, KeyboardInterrupt):
            window._on_unexpected(f"{kind.__name__}: {error}")

    sys.excepthook = report


def _stop_politely(window: MainWindow) -> None:
    """Ctrl-C in the terminal, and being ended, close the window: nothing half written stays."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not at once: this comes in the middle of whatever the thread does, which may have a lock.
        signal.signal(number, lambda *_: QTimer.singleShot(0, window.stop_and_close))
    timer = QTimer(window)  # Python handles signals only while Python code runs
    timer.timeout.connect(lambda: None)
    timer.start(250)
