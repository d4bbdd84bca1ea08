"""Peak memory of `invdn denoise`, its processes together, for pictures up to a gigapixel.

    python benchmarks/memory.py                     # 12 MP as JPEG
    python benchmarks/memory.py --gigapixel         # and 40,000 × 25,000 as TIFF
    python benchmarks/memory.py --size 40000x4000   # and a TIFF of that size

Linux only: the peak of each process is its VmHWM (with the parts of files that it has mapped),
added up over the command and its worker.
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
    print("| picture | MP | peak MB | seconds | s/MP |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name, (width, height) in sizes.items():
            path = Path(folder) / name
            make(path, width, height)
            start = time.monotonic()
            peak = peak_mb(
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
                f"| {name} {width} × {height} | {megapixels:.0f} | {peak:.0f} | {seconds:.0f} "
                f"| {seconds / megapixels:.2f} |",
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


def peak_mb(command: list[str]) -> float:
    """The sum of the peaks of a command and of the processes that it starts, MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for pid in [process.pid, *children(process.pid)]:
            peaks[pid] = max(peaks.get(pid, 0), high_water_kb(pid))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return sum(peaks.values()) / 1000


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:  # it has just ended
            continue
    return found


def high_water_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines.get("VmHWM", "0 kB").split()[0])


if __name__ == "__main__":
    main()
