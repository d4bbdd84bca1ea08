"""Seconds a megapixel of invdn and of OpenCV's non-local means, on the same picture in one run.

    pip install '.[benchmark]' && python benchmarks/speed.py [--megapixels 6] [--threads 2]

The two take turns after a warm-up; medians and the ratio are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

import invdn

Pixels = npt.NDArray[np.uint8]


def main() -> None:
    """Time both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=6.0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    image = noisy_picture(arguments.megapixels)
    megapixels = image.shape[0] * image.shape[1] / 1e6
    cv2.setNumThreads(arguments.threads)
    denoiser = invdn.load("photo", threads=arguments.threads)
    contestants: dict[str, Callable[[Pixels], object]] = {
        "invdn photo": denoiser,
        "OpenCV fastNlMeansDenoisingColored": cv2.fastNlMeansDenoisingColored,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_number in range(arguments.rounds + 1):
        for name, denoise in contestants.items():
            start = time.perf_counter()
            denoise(image if round_number else image[:256, :256].copy())
            if round_number:
                seconds[name].append(time.perf_counter() - start)

    medians = {name: statistics.median(times) / megapixels for name, times in seconds.items()}
    print(f"{megapixels:.1f} MP, {arguments.threads} threads, median of {arguments.rounds}")
    for name, median in medians.items():
        print(f"{median:8.2f} s/MP  {name}")
    ours, theirs = medians.values()
    print(f"ratio {ours / theirs:.2f}")


def noisy_picture(megapixels: float) -> Pixels:
    """Smooth colours, edges and noise, ``[H, W, 3]`` in the proportions 3:2."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (height // 64 + 1, width // 64 + 1, 3), dtype=np.uint8)
    clean = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(-26, 27, clean.shape, dtype=np.int16)
    noisy: Pixels = np.clip(clean + noise, 0, 255).astype(np.uint8)
    return noisy


if __name__ == "__main__":
    main()
