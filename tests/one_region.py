"""Denoisers made of a function, for tests of what is around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class InOneRegion:
    """Restores what it is to restore as one region, by a function.

    That is called as ``restore(pixels, strength=…, progress=…)`` and gives pixels like them.
    """

    def __init__(self, restore: Callable[..., Any]) -> None:
        self.restore = restore

    def restore_regions(
        self,
        height: int,
        width: int,
        read: Any,
        write: Any,
        *,
        strength: float = 1.0,
        progress: Any = None,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        whole = slice(0, height), slice(0, width)
        write(*whole, self.restore(read(*whole), strength=strength, progress=progress))

    def context(self, part: slice, size: int) -> slice:
        """All there is."""
        return slice(0, size)
