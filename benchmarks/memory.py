"""Peak memory of `invdn denoise`, its processes together, for pictures up to a gigapixel.

    python benchmarks/memory.py                     # 12 MP as JPEG
    python benchmarks/memory.py --gigapixel         # and 40,000 × 25,000 as TIFF
    python benchmarks/memory.py --size 40000x4000   # and a TIFF of that size

Linux only. The command and its worker are two processes: "peak MB" is the largest sum of what they
have for themselves and of their shares of what they have in common (Pss, libraries and mapped
files included), looked at twenty times a second; "of their own" the sum of what each of them had at
its largest (VmHWM), which counts libraries twice.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyvips

SIGMA_8BIT = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gigapixel", action="store_true")
    parser.add_argument("--size", metavar="WxH", help="a TIFF of this size")
    parser.add_argument("--model", default="photo")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="where there is room for the pictures")
    options = parser.parse_args()
    sizes = {"photo.jpg": (4000, 3000)}
    if options.gigapixel:
        sizes["gigapixel.tif"] = (40_000, 25_000)
    if options.size:
        width, height = map(int, options.size.split("x"))
        sizes["other.tif"] = (width, height)
    print("| picture | MP | peak MB | of their own | seconds | s/MP |\n" + "| --- " * 6 + "|")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name, (width, height) in sizes.items():
            path = Path(folder) / name
            make(path, width, height)
            start = time.monotonic()
            peak, own = peak_mb(
                [
                    *(
                        sys.executable,
                        "-m",
                        "invdn.cli",
                        "denoise",
                        str(path),
                        "-o",
                        folder + "/out",
                    ),
                    *("--model", options.model, "--threads", options.threads),
                    *("--device", options.device),
                ]
            )
            seconds, megapixels = time.monotonic() - start, width * height / 1e6
            print(
                f"| {name} {width} × {height} | {megapixels:.0f} | {peak:.0f} | {own:.0f} "
                f"| {seconds:.0f} | {seconds / megapixels:.2f} |",
                flush=True,
            )
            for written in (path, Path(folder) / "out" / name):
                written.unlink()


def make(path: Path, width: int, height: int) -> None:
    """A noisy picture, without ever holding all of it."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:1000, 0:1000]
    scene = np.stack([x / 5 + 20, y / 5 + 20, (x + y) / 10 + 20], axis=-1)
    values = scene + rng.normal(0, SIGMA_8BIT, scene.shape)
    tile = pyvips.Image.new_from_array(values.clip(0, 255).astype(np.uint8))
    image = tile.replicate(-(-width // 1000), -(-height // 1000)).crop(0, 0, width, height)
    if path.suffix == ".tif":
        image.tiffsave(str(path), compression="deflate", tile=True)
    else:
        image.jpegsave(str(path), Q=92)


def peak_mb(command: list[str]) -> tuple[float, float]:
    """The peak of what a command and its processes use, and the sum of their own peaks, MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    together, peaks = 0, dict[int, int]()
    while process.poll() is None:
        pids = [process.pid, *children(process.pid)]
        together = max(together, sum(kibibytes(pid, "smaps_rollup", "Pss") for pid in pids))
        for pid in pids:
            peaks[pid] = max(peaks.get(pid, 0), kibibytes(pid, "status", "VmHWM"))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return together * 1024 / 1e6, sum(peaks.values()) * 1024 / 1e6


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:  # it has just ended
            continue
    return found


def kibibytes(pid: int, file: str, name: str) -> int:
    """A line of a file of a process; 0 where the process has just ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(values.get(name, "0 kB").split()[0])


if __name__ == "__main__":
    main()
