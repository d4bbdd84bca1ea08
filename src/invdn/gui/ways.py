"""How the photos of a batch are done: by a process of their own, or with what is in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial

import numpy as np

from invdn import batch, images, workers
from invdn.batch import Job, Result
from invdn.control import Control
from invdn.denoiser import Denoiser
from invdn.restore import Denoises, Settings

Progress = Callable[[Job, float], None]
Way = Callable[[Sequence[Job], Settings, Control, Progress], Generator[Result, None, None]]
"""How the photos of a batch are done: yields what became of each, and obeys the control."""


def in_own_process(model: str, denoiser: Denoiser) -> Way:
    """In a process of the batch's own, which ends with it: whatever a file does, the window stays.

    model: what the denoiser was loaded from. The process loads it anew, for the same device and
    as many threads.
    """
    threads, device = denoiser.info.threads, denoiser.info.device
    return lambda jobs, settings, control, progress: workers.run(
        jobs,
        workers.Setup(model, threads, settings=settings, device=device),
        progress=progress,
        control=control,
    )


def in_this_process(denoiser: Denoises) -> Way:
    """In the window's own process, for a result that is in its memory already."""

    def way(
        jobs: Sequence[Job], settings: Settings, control: Control, progress: Progress
    ) -> Generator[Result, None, None]:
        images.remove_strays({job.output.parent for job in jobs})
        for result in batch.run(
            (job for job in jobs if control.begin(job.input)),
            denoiser,
            settings=settings,
            progress=progress,
            cancelled=control.stopped,
        ):
            control.end(result)
            yield result

    return way


class AlreadyDone:
    """A denoiser for a photo whose result is there; for another, the one that it was made with."""

    def __init__(self, before: images.Pixels, after: images.Pixels, denoiser: Denoises) -> None:
        self._before, self._after, self._denoiser = before, after, denoiser

    def restore_regions(
        self,
        height: int,
        width: int,
        read: Callable[[slice, slice], images.Pixels],
        write: Callable[[slice, slice, images.Pixels], None],
        *,
        strength: float = 1.0,
        progress: Callable[[float], object] | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        """As one region: a file can only be read from top to bottom, and once."""
        whole = slice(0, height), slice(0, width)
        image, restored = read(*whole), self._after
        before = self._before
        if image.dtype != before.dtype or not np.array_equal(image, before):
            # The file has changed since it was opened.
            restored = np.empty_like(image)
            self._denoiser.restore_regions(
                height,
                width,
                lambda rows, columns: image[rows, columns],
                partial(_put_into, restored),
                strength=strength,
                progress=progress,
                origin=origin,
            )
        write(*whole, restored)

    def context(self, part: slice, size: int) -> slice:
        """As the denoiser."""
        return self._denoiser.context(part, size)


def _put_into(image: images.Pixels, rows: slice, columns: slice, part: images.Pixels) -> None:
    image[rows, columns] = part
