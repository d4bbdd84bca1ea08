"""Seconds a megapixel: our models, classical methods and the published network, in one run.

    pip install '.[benchmark,eval,train]'
    python benchmarks/speed.py                                  # all of it: an hour or two
    python benchmarks/speed.py --sizes 12 --threads 2 --methods photo,nlm

Each measurement is taken in a process of its own: one warm-up on a small crop, then the median of
``--rounds`` runs, and the process's peak resident memory. The floor of a model is the time that its
multiply-adds take at the throughput of 3×3 convolutions of 48 channels, measured in the same run.
"JPEG to JPEG" is ``invdn denoise``, from the start of its process to the end. Of slow methods,
sizes that would take longer than ``--limit`` seconds are left out, judging by the size before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

CLASSICAL = {
    "nlm": "OpenCV non-local means, defaults",
    "tv": "scikit-image total variation",
    "bm3d": "BM3D",
}
PUBLISHED = "published"
FLOOR_CHANNELS = 48


def main() -> None:
    """Measure and print tables; with ``--child``, measure one thing and print JSON."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(CHILDREN[sys.argv[2]](*sys.argv[3:])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="0.25,2,12,48", help="megapixels")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--methods", help="names of models, paths of .onnx files, nlm, tv, …")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=300, help="seconds of one round")
    options = parser.parse_args()
    sizes = [float(size) for size in options.sizes.split(",")]
    methods = options.methods.split(",") if options.methods else _all_methods()
    with tempfile.TemporaryDirectory() as folder:
        if PUBLISHED in methods:
            path = Path(folder) / f"{PUBLISHED}.onnx"
            _child("export", path)
            methods[methods.index(PUBLISHED)] = str(path)
        for threads in options.threads.split(","):
            _compare(methods, sizes, threads, options.rounds, options.limit, Path(folder))
        _start_up([method for method in methods if method not in CLASSICAL], Path(folder))


def _all_methods() -> list[str]:
    from invdn.runtime import shipped_models

    return [*shipped_models(), *CLASSICAL, PUBLISHED]


def _compare(
    methods: list[str], sizes: list[float], threads: str, rounds: int, limit: float, folder: Path
) -> None:
    """One table for one number of threads."""
    throughput = _child("convolutions", threads)["operations_per_second"]
    print(f"\n{threads} thread(s); 3×3 convolutions: {throughput / 1e9:.0f} GFLOP/s\n")
    print("| method | MP | s/MP | of NLM | floor, s/MP | of the floor | JPEG to JPEG | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in sizes:
        reference: float | None = None
        for method in sorted(methods, key=lambda name: name != "nlm"):
            expected = SECONDS_A_MEGAPIXEL.get(method, 0.0) * size
            if expected > limit:
                print(f"| {Path(method).stem} | {size:g} | left out: {expected:.0f} s |")
                continue
            found = _child("method", method, size, threads, rounds)
            if "missing" in found:
                print(f"| {method} | {size:g} | not installed: {found['missing']} |")
                continue
            taken = SECONDS_A_MEGAPIXEL[method] = found["seconds"] / size
            if method == "nlm":
                reference = taken
            cells = [Path(method).stem, f"{size:g}", f"{taken:.3f}"]
            cells.append(f"{taken / reference:.2f}" if reference else "")
            if method in CLASSICAL:
                cells += ["", "", ""]
            else:
                floor = 2 * found["macs_per_pixel"] * 1e6 / throughput
                in_all = (
                    "" if "/" in method else f"{_jpeg_to_jpeg(method, size, threads, folder):.3f}"
                )
                cells += [f"{floor:.3f}", f"{floor / taken:.0%}", in_all]
            print(f"| {' | '.join(cells)} | {found['peak_mb']:.0f} |", flush=True)


#: What has been measured, to know what would take too long.
SECONDS_A_MEGAPIXEL: dict[str, float] = {}


def _jpeg_to_jpeg(model: str, size: float, threads: str, folder: Path) -> float:
    """Seconds a megapixel of the command."""
    photo = folder / f"{size:g}.jpg"
    if not photo.exists():
        _child("picture", photo, size)
    command = [sys.executable, "-m", "invdn.cli", "denoise", str(photo), "-o", str(folder / "out")]
    command += ["--model", model, "--threads", threads, "--overwrite"]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) / size


def _start_up(models: list[str], folder: Path) -> None:
    """Where the time goes before the first pixel, and a small photo in all."""
    print("\n| model | import, s | load, s | first tile of 512², s | JPEG of 512² in all, s |")
    print("| --- | --- | --- | --- | --- |")
    for model in models:
        found = _child("start", model)
        seconds = [found[key] for key in ("import", "load", "first_tile")]
        size = 512 * 512 / 1e6
        seconds.append(_jpeg_to_jpeg(model, size, str(os.cpu_count()), folder) * size)
        print(f"| {Path(model).stem} | {' | '.join(f'{value:.2f}' for value in seconds)} |")


# --- in a process of its own ---------------------------------------------------------------------


def _child(what: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", what, *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def _measure_method(method: str, size: str, threads: str, rounds: str) -> dict[str, Any]:
    image = noisy_picture(float(size))
    try:
        denoise, macs = _method(method, int(threads))
    except ImportError as error:
        return {"missing": str(error)}
    denoise(np.ascontiguousarray(image[:256, :256]))
    seconds = []
    for _ in range(int(rounds)):
        start = time.perf_counter()
        denoise(image)
        seconds.append(time.perf_counter() - start)
    return {
        # The picture has not exactly the size that was asked for.
        "seconds": statistics.median(seconds) * float(size) / (image.size / 3e6),
        "macs_per_pixel": macs,
        "peak_mb": _peak_mb(),
    }


def _method(method: str, threads: int) -> tuple[Callable[[Pixels], object], int]:
    """What takes a picture, and its multiply-adds a pixel, if it is one of our models."""
    if method == "nlm":
        import cv2

        cv2.setNumThreads(threads)
        return cv2.fastNlMeansDenoisingColored, 0
    if method == "tv":
        from skimage import restoration

        total_variation: Callable[..., object] = restoration.denoise_tv_chambolle
        return lambda image: total_variation(image, channel_axis=-1), 0
    if method == "bm3d":
        import bm3d

        return lambda image: bm3d.bm3d_rgb(image / 255.0, 12 / 255), 0
    import invdn

    denoiser = invdn.load(method, threads=threads)
    return denoiser, denoiser.info.macs_per_pixel


def _measure_convolutions(threads: str) -> dict[str, Any]:
    """Operations a second of a chain of convolutions in ONNX Runtime, the best of ten."""
    import onnx
    import onnxruntime

    channels, side, layers = FLOOR_CHANNELS, 384, 4
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((channels, channels, 3, 3), np.float32) * np.float32(0.05)
    names = [f"x{i}" for i in range(layers + 1)]
    nodes = [
        onnx.helper.make_node("Conv", [a, "kernel"], [b], kernel_shape=[3, 3], pads=[1] * 4)
        for a, b in itertools.pairwise(names)
    ]
    shape = [1, channels, side, side]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name in (names[0], names[-1])
    ]
    graph = onnx.helper.make_graph(
        nodes, "floor", ends[:1], ends[1:], [onnx.numpy_helper.from_array(kernel, "kernel")]
    )
    opsets = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings)
    feed = {"x0": rng.random(shape, np.float32)}
    seconds = []
    for _ in range(11):
        start = time.perf_counter()
        session.run(None, feed)
        seconds.append(time.perf_counter() - start)
    operations = 2 * layers * kernel.size * side * side
    return {"operations_per_second": operations / min(seconds)}


def _measure_start(model: str) -> dict[str, float]:
    begin = time.perf_counter()
    import invdn

    imported = time.perf_counter()
    denoiser = invdn.load(model)
    loaded = time.perf_counter()
    denoiser(np.zeros((512, 512, 3), np.uint8))
    done = time.perf_counter()
    return {"import": imported - begin, "load": loaded - imported, "first_tile": done - loaded}


def _make_picture(path: str, size: str) -> dict[str, Any]:
    import pyvips

    pyvips.Image.new_from_array(noisy_picture(float(size))).jpegsave(path, Q=92)
    return {}


def _export_published(path: str) -> dict[str, Any]:
    """The published network with random weights: as fast as with any."""
    import torch

    from invdn.export import export_network
    from invdn.net.paper import PaperInvDN

    torch.manual_seed(0)
    return dict(export_network(PaperInvDN(), Path(path), name=PUBLISHED, halo=64))


CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {
    "method": _measure_method,
    "convolutions": _measure_convolutions,
    "start": _measure_start,
    "picture": _make_picture,
    "export": _export_published,
}


def noisy_picture(megapixels: float) -> Pixels:
    """Squares of colour, and noise, ``[H, W, 3]`` in the proportions 3:2."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (height // 64 + 1, width // 64 + 1, 3), dtype=np.uint8)
    clean = blocks.repeat(64, axis=0)[:height].repeat(64, axis=1)[:, :width]
    noise = rng.integers(-26, 27, clean.shape, dtype=np.int8)
    noise[clean < 26], noise[clean > 229] = 0, 0  # nothing to clip
    noisy: Pixels = clean + noise.view(np.uint8)  # wraps, as two's complement does
    return noisy


def _peak_mb() -> float:
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
