"""What a batch of the window takes: time until something is done, and memory with its process.

    python benchmarks/gui_batch.py [--photos 2] [--megapixels 12]

Linux only. The first photo is open and restored, as it is for somebody who looks before pressing
Start. Memory is what the window and the process that works for it have for themselves and their
shares of what they have in common (Pss), looked at twenty times a second.
"""

from __future__ import annotations

import argparse
import os
import threading
import time

from gui_latency import photos_for_window, wait
from memory import children, kibibytes

from invdn.gui.window import MainWindow


class Memory:
    """Looks at what this process and its children use, in a thread."""

    def __init__(self) -> None:
        self.window = self.all = 0.0
        """The largest of this process, and of all together, MB."""
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            pids = [os.getpid(), *children(os.getpid())]
            used = [kibibytes(pid, "smaps_rollup", "Pss") * 1024 / 1e6 for pid in pids]
            self.window, self.all = max(self.window, used[0]), max(self.all, sum(used))
            time.sleep(0.05)

    def say(self, what: str) -> None:
        print(f"{what}: {self.all:.0f} MB at most, the window's own {self.window:.0f}", flush=True)
        self.window = self.all = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=2)
    parser.add_argument("--megapixels", type=float, default=12)
    options = parser.parse_args()
    with photos_for_window(options.photos, options.megapixels) as (photos, settings):
        window = MainWindow(settings)
        window.show()
        memory = Memory()
        wait(lambda: window._denoiser is not None)
        window.add_photos(photos)
        wait(lambda: window.session.result is not None)
        memory.say("the first photo is restored")
        start = time.monotonic()
        window.start()
        wait(lambda: any(entry.fraction > 0 for entry in window.photos.entries))
        print(f"first progress {time.monotonic() - start:.2f} s after Start", flush=True)
        wait(lambda: not window.runner.busy)
        print(f"the batch took {time.monotonic() - start:.1f} s")
        memory.say("the batch")
        window.stop_and_close()
        wait(lambda: not window.isVisible())
        window.join()


if __name__ == "__main__":
    main()
