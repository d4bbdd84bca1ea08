"""`invdn gui` as a process."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fake_worker
from invdn.gui import app
from invdn.gui.window import MainWindow

# Says on stdout when the photo that was named is open, and in which state the window is then.
_STARTED = """
import sys
from PySide6.QtCore import QTimer
from invdn.gui import window
class Watched(window.MainWindow):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.session.opened.connect(self.say)
    def say(self):
        print("opened", self.session.path.name, flush=True)
import invdn.gui.app as app
app.MainWindow = Watched
from invdn.cli import main
sys.argv = ["invdn", "gui", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_opens_on_the_files_of_the_command_and_ends_politely(
    photo: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    path = photo(tmp_path / "照片.png", 200, 200)
    home = tmp_path / "home"
    environment = {k: v for k, v in os.environ.items() if "TELEMETRY" not in k}
    environment |= {"QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    command = [sys.executable, "-c", _STARTED, str(path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "opened 照片.png\n"
        process.send_signal(number)
        assert process.wait(60) == 0
    assert not list(home.rglob("*onnxruntime*"))  # it would leave an identifier there


_LEFT_AT_WORK = """
import sys
from PySide6.QtCore import QTimer
import invdn.gui.app as app
from invdn.gui import tasks, window
tasks.Lane.join = lambda self, seconds: None  # as if it had taken too long
class Closing(window.MainWindow):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        QTimer.singleShot(int(sys.argv[1]), self.stop_and_close)
app.MainWindow = Closing
sys.exit(app.run([]))
"""


def test_a_thread_that_does_not_end_does_not_end_the_process_badly(tmp_path: Path) -> None:
    """It loads a model when the window is closed, and so may be inside a library."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    for milliseconds in (80, 100, 120, 140):  # one of them is in the middle of it
        command = [sys.executable, "-c", _LEFT_AT_WORK, str(milliseconds)]
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=100)
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "invdn" / "invdn.conf").exists()  # where the window was


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_a_signal_interrupts_nothing_that_the_window_is_doing(
    qtbot: Any, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come while the thread has a lock that closing needs too."""
    closed: list[bool] = []
    monkeypatch.setattr(window, "stop_and_close", lambda: closed.append(True))
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        app._stop_politely(window)
        signal.raise_signal(signal.SIGTERM)
        assert not closed
        qtbot.waitUntil(lambda: closed == [True], timeout=10_000)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


# Begins a batch with the fake worker, pauses it, and says on stdout which process works for it.
_PAUSED = """
import sys
from invdn import process, workers
from invdn.gui import window
process.PROGRAM = sys.argv.pop(1)
class Told(process.Process):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.number = self._process.pid
    def set_paused(self, paused):
        super().set_paused(paused)
        print(self.number, flush=True)
workers.Process = Told
class Batch(window.MainWindow):
    def _on_found(self, *found):
        super()._on_found(*found)
        self.start()
    def _on_batch_progress(self, job, fraction):
        super()._on_batch_progress(job, fraction)
        if fraction > 0 and not self.runner.paused:
            self.pause_or_resume()
import invdn.gui.app as app
app.MainWindow = Batch
from invdn.cli import main
sys.argv = ["invdn", "gui", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_window_that_is_killed_in_a_pause_leaves_no_process(
    photo: Callable[..., Path], tmp_path: Path
) -> None:
    path = photo(tmp_path / "a.png")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-c", _PAUSED, fake_worker.PROGRAM, str(path)]
    environment["INVDN_TEST_SECONDS"] = "1"
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = Path("/proc", process.stdout.readline().strip())
        assert "fake_worker" in (worker / "cmdline").read_text()
        time.sleep(0.5)
        assert worker.exists()
        process.kill()
        process.wait(60)
        end = time.monotonic() + 30
        while _is_running(worker) and time.monotonic() < end:
            time.sleep(0.1)
    assert not _is_running(worker)
    assert not (tmp_path / "a-denoised.png").exists()


def _is_running(process: Path) -> bool:
    """Whether a process, by its folder in /proc, is there, and not only waited for by nobody."""
    try:
        return "State:\tZ" not in (process / "status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_without_a_screen_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    command = [sys.executable, "-m", "invdn.cli", "gui"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("invdn: there is no screen here")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
@pytest.mark.parametrize(
    ("screens", "where"),
    [
        ({"DISPLAY": ":4711"}, ":4711"),
        ({"DISPLAY": "localhost:4711"}, "localhost:4711"),
        ({"WAYLAND_DISPLAY": "wayland-4711"}, "wayland-4711"),
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":4711"}, "w nor at :4711"),
    ],
)
def test_a_screen_at_which_nobody_is_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, screens: dict[str, str], where: str
) -> None:
    for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY", "DISPLAY", "WAYLAND_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name, value in screens.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "invdn.cli", "gui"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"invdn: there is no screen at {where}: start it from")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
@pytest.mark.parametrize("lets_in", [True, False])
def test_an_x_server_is_asked(monkeypatch: pytest.MonkeyPatch, lets_in: bool) -> None:
    """One that only says hello, or that it lets nobody in."""
    setup = bytearray(32)
    setup[20] = 1  # screen
    hello = struct.pack("<BBHHH", lets_in, 0, 11, 0, len(setup) // 4) + setup
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("DISPLAY", f"127.0.0.1:{server.getsockname()[1] - 6000}")
        greeted = threading.Event()

        def serve() -> None:
            client, _ = server.accept()
            greeted.set()
            with client:
                client.recv(1000)
                client.sendall(hello)
                client.recv(1000)  # until it goes

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert app._x_answers() == lets_in
        assert greeted.is_set()
        thread.join(10)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_where_somebody_answers_the_window_opens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("WAYLAND_DISPLAY", "w")
    with socket.socket(socket.AF_UNIX) as somebody:
        somebody.bind(str(tmp_path / "w"))
        somebody.listen()
        assert app.missing_display() is None
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(app, "_x_answers", lambda: True)
    monkeypatch.setattr(app.ctypes, "CDLL", lambda _: None)
    assert app.missing_display() is None

    def missing(_: str) -> None:
        raise OSError("no such library")

    monkeypatch.setattr(app.ctypes, "CDLL", missing)
    assert "libxcb-cursor0" in str(app.missing_display())


def test_without_qt_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['PySide6'] = None; sys.argv = ['invdn', 'gui'];"
        "from invdn.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "invdn: gui needs PySide6: pip install 'invdn[gui]'\n"
    assert done.stdout == ""
