"""What a batch is told from other threads while it runs: to pause, to go on, to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from invdn.batch import Result


class Control:
    """Of one batch. Whoever wants something of it calls the first methods, the batch the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = self._cancelled = self._over = False
        self._at_work: set[Path] = set()
        self._left_out: set[Path] = set()
        self._listener: Callable[[], object] = lambda: None

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def pause(self) -> None:
        """Stop after the tiles in work, until `resume`; a cancelled batch does not wait."""
        with self._changed:
            if not self._cancelled:
                self._tell(paused=True)

    def resume(self) -> None:
        with self._changed:
            self._tell(paused=False)

    def cancel(self) -> None:
        """Stop after the tiles in work, paused or not; the photos in work leave no trace."""
        with self._changed:
            self._cancelled = True
            self._tell(paused=False)

    def leave_out(self, photo: Path) -> bool:
        """Do not do a photo of the batch; False if it is being done."""
        with self._changed:
            if photo in self._at_work:
                return False
            self._left_out.add(photo)
            self._changed.notify_all()
            return True

    # --- for the batch ---------------------------------------------------------------------------

    def begin(self, photo: Path) -> bool:
        """Wait while paused; whether a photo is to be done, which counts as begun then."""
        with self._changed:
            # One that is only next may still be left out: then it does not hold up the others.
            self._changed.wait_for(
                lambda: not self._paused or self._over or photo in self._left_out
            )
            if self._cancelled or self._over or photo in self._left_out:
                return False
            self._at_work.add(photo)
            return True

    def end(self, result: Result) -> None:
        """A photo is done with. Where the disk is full this pauses: so it is for the others."""
        with self._changed:
            self._at_work.discard(result.input)
        if result.no_room:
            self.pause()

    def stopped(self) -> bool:
        """Wait while paused; whether the batch is cancelled, or over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._paused or self._over)
            return self._cancelled or self._over

    def close(self) -> None:
        """Nothing more is done, whoever wanted that: what waits in a pause does not any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def listen(self, listener: Callable[[], object]) -> None:
        """Have this called, in any thread, whenever `paused` or `cancelled` may have changed."""
        self._listener = listener

    def _tell(self, *, paused: bool) -> None:
        # Within the lock, so that the last that a listener hears is what is so in the end.
        self._paused = paused
        self._changed.notify_all()
        self._listener()
