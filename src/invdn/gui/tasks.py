"""Threads for the window: a lane does one thing after the other, and can be told to stop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal


class Stopped(Exception):
    """The work is not wanted any more."""


class Token:
    """Says whether a piece of work is still wanted."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        self._stopped.set()

    def check(self, _: float = 0.0) -> None:
        """Raise `Stopped` if it is not; fits as a progress hook of the engine."""
        if self.stopped:
            raise Stopped


Work = Callable[[Token], None]


class Lane(QObject):
    """One thread that does one piece of work at a time, in their order.

    What the work has to tell it tells by emitting signals of objects of the interface thread.
    """

    failed = Signal(str)
    """Something that the work did not expect, in one line."""

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._waiting: deque[tuple[Token, Work]] = deque()
        self._current: Token | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        with self._changed:
            return self._current is not None or bool(self._waiting)

    def add(self, work: Work, *, first: bool = False) -> Token:
        """Do this after all that waits already, or before it."""
        token = Token()
        with self._changed:
            if self._closed:
                token.stop()
                return token
            entry = (token, work)
            self._waiting.appendleft(entry) if first else self._waiting.append(entry)
            if self._thread is None:
                # A daemon: a read from a network drive that hangs must not keep the process.
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()
        return token

    def replace(self, work: Work) -> Token:
        """Do this instead of what waits and of what is being done, which is told to stop."""
        self.clear()
        return self.add(work)

    def clear(self) -> None:
        """Stop what is being done, and forget what waits."""
        with self._changed:
            for token, _ in self._waiting:
                token.stop()
            self._waiting.clear()
            if self._current is not None:
                self._current.stop()

    def close(self) -> None:
        """End the thread once its work has noticed that it is to stop; `join` waits for that."""
        self.clear()
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end, for so long at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """Wait for work and do it; False once there will be no more.

        On its own, so that nothing keeps what the work held, whole photos, while the next is
        waited for.
        """
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._current, work = self._waiting.popleft()
            token = self._current
        try:
            work(token)
        except Stopped:
            pass
        except Exception as error:  # no mishap in a thread may end the program
            if not token.stopped:
                self.failed.emit(f"{type(error).__name__}: {error}")
        finally:
            with self._changed:
                self._current = None
        return True
