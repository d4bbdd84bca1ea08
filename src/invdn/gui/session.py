"""The photo that is being looked at: what is visible is restored first, the rest behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from invdn import images, manifest, preview
from invdn.batch import reason_of
from invdn.denoiser import Denoiser
from invdn.gui.tasks import Lane, Token
from invdn.restore import restore_crop, restore_regions

FIRST_PX = 288
"""Side of the square in the middle of what is visible that is restored before the rest of it: a
small one is there within a second on slow computers too."""

PREVIEW_LIMIT = 4_000_000
"""Pixels. Where more than this is visible, zoomed out far, nobody sees noise: no preview then."""

SETTLE_MS = 60
"""How long the view or the slider must rest before the preview starts."""
WHOLE_SETTLE_MS = 300
"""And before the whole photo is begun again."""


@dataclass
class _Sample:
    """A part of a result, from which drafts at other strengths are made."""

    box: preview.Box
    restored: images.Pixels
    strength: float
    drafted: int = -1
    """The last of the view's generations for which it was used: once is enough."""


class Session(QObject):
    """One photo, its result so far, and the threads that work on it.

    Restores on its own whatever is opened, shown or set; `view` holds what can be seen of it.
    """

    opened = Signal()
    failed = Signal(object, str)
    """A photo, by its path, cannot be opened or restored: why."""
    changed = Signal()
    """There is something new to paint."""
    progressed = Signal(float)
    """How much of the whole result is there, 0–1."""
    completed = Signal()
    """`result` is there."""
    _loaded = Signal(object, object, object)
    _sampled = Signal(object, object)
    _finished = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path: Path | None = None
        self.view: preview.View | None = None
        self.version: tuple[int, int] | None = None
        """Of the file that `view` shows, see `manifest.version_of`."""
        self.result: images.Pixels | None = None
        """The whole result, stored as the file is, once `completed`."""
        self._denoiser: Denoiser | None = None
        self._strength = 1.0
        self._visible: preview.Box | None = None
        self._whole_strength = 1.0
        self._whole_allowed = True
        self._noise_wanted = False
        # The whole waits between two tiles while the preview works: the cores belong to it then.
        self._preview_idle = threading.Event()
        self._preview_idle.set()
        self._sample: _Sample | None = None  # of this photo and this model
        self._opening: Token | None = None
        self._lanes = [Lane(name, self) for name in ("open", "preview", "whole", "noise")]
        self._open_lane, self._preview_lane, self._whole_lane, self._noise_lane = self._lanes
        for lane in self._lanes:
            lane.failed.connect(self._on_mishap)
        self._preview_timer = _single_shot(self, SETTLE_MS, self._start_preview)
        self._whole_timer = _single_shot(self, WHOLE_SETTLE_MS, self._start_whole)
        self._loaded.connect(self._on_loaded)
        self._sampled.connect(self._on_sampled)
        self._finished.connect(self._on_finished)

    @property
    def can_restore(self) -> bool:
        """Whether there is a photo, and a model to restore it with."""
        return self.view is not None and self._denoiser is not None

    # --- what the window asks for ----------------------------------------------------------------

    def open(self, path: Path | None) -> None:
        """Show another photo, or none."""
        self._forget()
        self.path = path
        if path is not None:
            self._opening = self._open_lane.replace(lambda token: self._read(token, path))

    def set_denoiser(self, denoiser: Denoiser | None) -> None:
        """Restore with this from now on."""
        self._denoiser = denoiser
        self._sample = self.result = None  # another model's
        self._begin_again()

    def set_strength(self, strength: float) -> None:
        """Restore this much from now on."""
        if strength != self._strength:
            self._strength = strength
            self._begin_again()

    def set_visible(self, box: preview.Box | None) -> None:
        """Say what is on the screen, in upright positions."""
        self._visible = box
        if self.result is None:
            self._preview_timer.start()

    def set_whole_allowed(self, allowed: bool) -> None:
        """Whether the whole photo may be restored behind the preview; not while a batch runs."""
        self._whole_allowed = allowed
        if not allowed:
            self._whole_timer.stop()
            self._whole_lane.clear()
        elif self.view is not None and self.result is None:
            self._whole_timer.start()

    def set_noise_wanted(self, wanted: bool) -> None:
        """Whether `view.noise` is needed."""
        self._noise_wanted = wanted
        view = self.view
        if view is not None:

            def work(token: Token) -> None:
                view.show_noise(wanted)
                self.changed.emit()

            self._noise_lane.replace(work)

    def close(self) -> None:
        """Stop everything; `join` waits for it."""
        self._preview_timer.stop()
        self._whole_timer.stop()
        for lane in self._lanes:
            lane.close()

    def join(self, seconds: float) -> None:
        """Wait for the threads to end, for so long each at most."""
        for lane in self._lanes:
            lane.join(seconds)

    # --- opening ---------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._preview_timer.stop()
        self._whole_timer.stop()
        for lane in self._lanes:
            lane.clear()
        self.view = self.result = self._sample = self._visible = self._opening = None
        self.version = None

    def _read(self, token: Token, path: Path) -> None:
        version = manifest.version_of(path)  # from before: an older one is found to be so
        try:
            photo = preview.read(path)
            token.check()
            view = preview.View(photo)
        except (images.PhotoError, OSError, MemoryError) as error:
            token.check()
            self.failed.emit(path, reason_of(error))
            return
        token.check()
        self._loaded.emit(token, version, view)

    def _on_mishap(self, reason: str) -> None:
        self.failed.emit(self.path, reason)

    def _on_loaded(self, token: Token, version: tuple[int, int] | None, view: preview.View) -> None:
        if token is not self._opening:
            return
        self.view, self.version = view, version
        if self._noise_wanted:
            self.set_noise_wanted(True)
        self.opened.emit()
        self._begin_again()

    # --- restoring -------------------------------------------------------------------------------

    def _begin_again(self) -> None:
        """The result that was there is no longer the one that is wanted."""
        self._preview_lane.clear()
        self._whole_lane.clear()
        if self.view is None:
            return
        if self.result is not None:
            self._take_sample()
        self.result = None
        self.view.outdate()
        if self._denoiser is None:
            return
        self._preview_timer.start()
        if self._whole_allowed:
            self.progressed.emit(0.0)
            self._whole_timer.start()

    def _take_sample(self) -> None:
        """Keep what is visible of a result, for drafts at other strengths."""
        if self._visible is None or self.view is None or self.result is None:
            return
        box = self.view.stored(self._visible)
        if self._whole_strength > 0 and 0 < box.area <= PREVIEW_LIMIT:
            restored = self.result[box.rows, box.columns].copy()
            self._sample = _Sample(box, restored, self._whole_strength)

    def _start_preview(self) -> None:
        view, denoiser, visible = self.view, self._denoiser, self._visible
        if view is None or denoiser is None or visible is None or self.result is not None:
            return
        box = view.stored(visible)
        strength, generation, sample = self._strength, view.generation, self._sample
        if 0 < box.area <= PREVIEW_LIMIT:
            path = self.path
            self._preview_lane.replace(
                lambda token: self._preview(
                    token, path, view, denoiser, box, strength, generation, sample
                )
            )

    def _preview(
        self,
        token: Token,
        path: Path | None,
        view: preview.View,
        denoiser: Denoiser,
        box: preview.Box,
        strength: float,
        generation: int,
        sample: _Sample | None,
    ) -> None:
        if view.missing(box) is None:
            return
        self._preview_idle.clear()
        try:
            if sample is not None and sample.strength > strength:
                self._draft(view, sample, strength, generation)
            for part in (box.centre(FIRST_PX), box):
                missing = view.missing(part)
                if missing is None:
                    continue
                token.check()
                restored = restore_crop(
                    view.photo,
                    missing.rows,
                    missing.columns,
                    denoiser,
                    strength=strength,
                    progress=token.check,
                )
                if view.put(missing.rows, missing.columns, restored, generation):
                    self.changed.emit()
                    if strength > 0 and missing.contains(box):
                        cut = _Sample(box, missing.cut(restored, box).copy(), strength)
                        self._sampled.emit(token, (view, denoiser, cut))
        except Exception as error:
            token.check()
            self.failed.emit(path, reason_of(error))
        finally:
            self._preview_idle.set()

    def _draft(self, view: preview.View, sample: _Sample, strength: float, generation: int) -> None:
        """Show at once nearly what comes, where the result at a higher strength is known."""
        if sample.drafted == generation:
            return
        sample.drafted = generation
        box = sample.box
        before = view.photo.pixels[box.rows, box.columns]
        draft = preview.at_strength(before, sample.restored, sample.strength, strength)
        if view.put(box.rows, box.columns, draft, generation, draft=True):
            self.changed.emit()

    def _on_sampled(self, token: Token, told: tuple[preview.View, Denoiser, _Sample]) -> None:
        view, denoiser, sample = told
        # A token is not stopped any more once its work has ended, so that it says too little of a
        # sample that is heard of only after another photo or model was chosen.
        if not token.stopped and view is self.view and denoiser is self._denoiser:
            self._sample = sample

    def _start_whole(self) -> None:
        view, denoiser = self.view, self._denoiser
        if view is None or denoiser is None or self.result is not None or not self._whole_allowed:
            return
        path, strength, generation = self.path, self._strength, view.generation
        self._whole_lane.replace(
            lambda token: self._whole(token, path, view, denoiser, strength, generation)
        )

    def _whole(
        self,
        token: Token,
        path: Path | None,
        view: preview.View,
        denoiser: Denoiser,
        strength: float,
        generation: int,
    ) -> None:
        pixels = view.photo.pixels

        def write(rows: slice, columns: slice, restored: images.Pixels) -> None:
            result[rows, columns] = restored
            view.put(rows, columns, restored, generation)
            self.changed.emit()

        def progress(fraction: float) -> None:
            while not self._preview_idle.wait(0.1):
                token.check()
            token.check()
            self.progressed.emit(fraction)

        try:
            result = np.empty_like(pixels)
            restore_regions(
                view.photo,
                lambda rows, columns: pixels[rows, columns],
                write,
                denoiser,
                strength,
                progress,
            )
        except Exception as error:
            token.check()
            self.failed.emit(path, reason_of(error))
            return
        self._finished.emit(token, (view, generation, strength, result))

    def _on_finished(
        self, token: Token, outcome: tuple[preview.View, int, float, images.Pixels]
    ) -> None:
        view, generation, strength, result = outcome
        if token.stopped or view is not self.view or generation != view.generation:
            return
        self.result, self._whole_strength = result, strength
        self._preview_lane.clear()
        self.completed.emit()


def _single_shot(parent: QObject, milliseconds: int, slot: Callable[[], None]) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(slot)
    return timer
