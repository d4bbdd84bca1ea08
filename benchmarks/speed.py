"""Seconds a megapixel: our models, classical methods and the published network, in one run.

    pip install '.[benchmark,eval,train]'                       # openvino and bm3d if wanted
    python benchmarks/speed.py                                  # all of it: an hour or two
    python benchmarks/speed.py --tables speed --sizes 12 --threads 2 --methods photo,nlm

Each measurement is taken in a process of its own: one warm-up on a small crop, then the median of
``--rounds`` runs, and the process's peak resident memory. The floor of a model is the time that its
multiply-adds take at the throughput of 3×3 convolutions of 48 channels, the best of the same run.
"JPEG to JPEG" is ``invdn denoise``, from the start of its process to the end. Of slow methods,
sizes that would take longer than ``--limit`` seconds are left out, judging by the size before.

Where the package ``openvino`` is installed, our models also run on the device of that name
(``openvino:photo``), with the largest difference from ONNX Runtime's result for one megapixel.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import resource
import shutil
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
from memory import make, peak_mb

Pixels = npt.NDArray[np.uint8]

CLASSICAL = {
    "nlm": "OpenCV non-local means, defaults",
    "tv": "scikit-image total variation",
    "bm3d": "BM3D",
}
PUBLISHED = "published"
#: Before the name or the path of one of our models, to be run on that device.
OPENVINO = "openvino:"
TABLES = "speed", "memory", "start"
FLOOR_CHANNELS = 48


def main() -> None:
    """Measure and print tables; with ``--child``, measure one thing and print JSON."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(CHILDREN[sys.argv[2]](*sys.argv[3:])))
        return
    # As installed, and not compiled anew by each process.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", default=",".join(TABLES), help="some of %(default)s")
    parser.add_argument("--sizes", default="0.25,2,12,48", help="megapixels")
    parser.add_argument("--memory-sizes", default="12,100", help="megapixels, for our models")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--methods", help="names of models, paths of .onnx files, nlm, tv, …")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=300, help="seconds of one round")
    options = parser.parse_args()
    tables, all_threads = options.tables.split(","), options.threads.split(",")
    sizes = [float(size) for size in options.sizes.split(",")]
    methods = options.methods.split(",") if options.methods else _all_methods()
    ours = [method for method in methods if _is_ours(method)]
    print(_machine())
    with tempfile.TemporaryDirectory() as folder:
        if "speed" in tables:
            if PUBLISHED in methods:
                path = Path(folder) / f"{PUBLISHED}.onnx"
                _child("export", path)
                methods[methods.index(PUBLISHED)] = str(path)
            for threads in all_threads:
                _compare(methods, sizes, threads, options.rounds, options.limit, Path(folder))
        if "memory" in tables:
            memory_sizes = [float(size) for size in options.memory_sizes.split(",")]
            _memory(ours, memory_sizes, all_threads[-1], Path(folder))
        if "start" in tables:
            _start_up(ours, all_threads[-1], options.rounds, Path(folder))


def _all_methods() -> list[str]:
    from invdn.runtime import shipped_models

    models = list(shipped_models())
    methods = [*models, *CLASSICAL, PUBLISHED]
    if importlib.util.find_spec("openvino"):
        methods += [f"{OPENVINO}{model}" for model in models]
    return methods


def _is_ours(method: str) -> bool:
    """Whether it is a model of ours in ONNX Runtime."""
    return method not in (*CLASSICAL, PUBLISHED) and not method.startswith(OPENVINO)


def _label(method: str) -> str:
    """What tables call it: models by their file's name."""
    model = method.removeprefix(OPENVINO)
    name = Path(model).stem if model.endswith(".onnx") else model
    return f"{name}, OpenVINO" if model != method else name


def _machine() -> str:
    """The processor, what matters of its instructions, and the versions of libraries."""
    name, instructions = platform.processor(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
        name = facts.get("model name", name)
        known = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}
        instructions = " ".join(sorted(known.intersection(facts.get("flags", "").split())))
    versions = []
    for package in ("onnxruntime", "opencv-python-headless", "scikit-image", "bm3d", "openvino"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return f"{name}, {os.cpu_count()} cores, {instructions}; {', '.join(versions)}"


def _compare(
    methods: list[str], sizes: list[float], threads: str, rounds: int, limit: float, folder: Path
) -> None:
    """One table for one number of threads."""
    # On a shared host one process can run at three quarters of the next one's speed.
    tries = [_child("convolutions", threads) for _ in range(3)]
    throughput = max(found["operations_per_second"] for found in tries)
    print(f"\n{threads} thread(s); 3×3 convolutions: {throughput / 1e9:.0f} GFLOP/s\n")
    print(
        "| method | MP | s/MP | of NLM | floor, s/MP | of the floor | JPEG to JPEG, s/MP | peak MB "
        "| from ONNX Runtime, grey levels |"
    )
    print("| --- " * 9 + "|")
    measured: dict[tuple[str, float], float] = {}
    seconds_a_megapixel: dict[str, float] = {}  # to know what would take too long
    for size in sizes:
        for method in sorted(methods, key=lambda name: name != "nlm"):
            label = _label(method)
            expected = seconds_a_megapixel.get(method, 0.0) * size
            if expected > limit:
                print(f"| {label} | {size:g} | left out: {expected:.0f} s |" + " |" * 6)
                continue
            found = _child("method", method, size, threads, rounds)
            if "missing" in found:
                print(f"| {label} | {size:g} | not installed: {found['missing']} |" + " |" * 6)
                continue
            taken = found["seconds"] / size
            seconds_a_megapixel[method] = measured[label, size] = taken
            reference = measured.get(("nlm", size))
            cells = [label, f"{size:g}", f"{taken:.3f}"]
            cells.append(f"{taken / reference:.2f}" if reference else "")
            if method in CLASSICAL:
                cells += ["", "", ""]
            else:
                floor = 2 * found["macs_per_pixel"] * 1e6 / throughput
                in_all = _jpeg_to_jpeg(method, size, threads, rounds, folder) / size
                cells += [f"{floor:.3f}", f"{floor / taken:.0%}", f"{in_all:.3f}"]
            cells.append(f"{found['peak_mb']:.0f}")
            cells.append(f"{found['difference']:.3f}" if "difference" in found else "")
            print(f"| {' | '.join(cells)} |", flush=True)
    for size in sizes:
        fast, published = measured.get(("fast", size)), measured.get((PUBLISHED, size))
        if fast and published:
            times = published / fast
            print(f"\nAt {size:g} MP fast is {times:.0f} times as fast as the published network.")


def _jpeg_to_jpeg(model: str, size: float, threads: str, rounds: int, folder: Path) -> float:
    """Seconds of the command, the median of the rounds."""
    photo = folder / f"{size:g}.jpg"
    if not photo.exists():
        _child("picture", photo, size)
    seconds = []
    for _ in range(rounds):
        # The command skips what it has done already, whatever device that was done on.
        shutil.rmtree(folder / "out", ignore_errors=True)
        start = time.perf_counter()
        subprocess.run(_command(photo, model, threads), check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _command(photo: Path, method: str, threads: str) -> list[str]:
    command = [sys.executable, "-m", "invdn.cli", "denoise", str(photo)]
    command += ["-o", str(photo.parent / "out"), "--overwrite"]
    model = method.removeprefix(OPENVINO)
    device = "cpu" if model == method else "openvino"
    return [*command, "--model", model, "--threads", threads, "--device", device]


def _memory(models: list[str], sizes: list[float], threads: str, folder: Path) -> None:
    """What the command's processes need together, JPEG to JPEG."""
    if not sys.platform.startswith("linux"):
        print("\nThe command's memory is only measured on Linux.")
        return
    print(f"\n{threads} thread(s)\n\n| model | MP | peak MB of the command | JPEG to JPEG, s/MP |")
    print("| --- " * 4 + "|")
    for size in sizes:
        photo = folder / f"memory-{size:g}.jpg"
        height = round((size * 1e6 / 1.5) ** 0.5)
        make(photo, round(1.5 * height), height)
        for model in models:
            start = time.perf_counter()
            peak, _ = peak_mb(_command(photo, model, threads))
            taken = (time.perf_counter() - start) / size
            print(f"| {_label(model)} | {size:g} | {peak:.0f} | {taken:.3f} |", flush=True)


def _start_up(models: list[str], threads: str, rounds: int, folder: Path) -> None:
    """Where the time goes before the first pixel, and a small photo in all; medians."""
    print(f"\n{threads} thread(s)\n")
    print("| model | import, s | session, s | first tile of 512², s | JPEG of 512² in all, s |")
    print("| --- " * 5 + "|")
    for model in models:
        command = [sys.executable, str(Path(__file__).with_name("start_up.py")), model, threads]
        starts = [_json_of(command) for _ in range(rounds)]
        parts = ("import", "session", "first_tile")
        seconds = [statistics.median(start[part] for start in starts) for part in parts]
        seconds.append(_jpeg_to_jpeg(model, 512 * 512 / 1e6, threads, rounds, folder))
        print(f"| {_label(model)} | {' | '.join(f'{value:.2f}' for value in seconds)} |")


# --- in a process of its own ---------------------------------------------------------------------


def _child(what: str, *arguments: object) -> dict[str, Any]:
    return _json_of([sys.executable, __file__, "--child", what, *map(str, arguments)])


def _json_of(command: list[str]) -> dict[str, Any]:
    """The last line that a command prints."""
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def _measure_method(method: str, size: str, threads: str, rounds: str) -> dict[str, Any]:
    image = noisy_picture(float(size))
    try:
        denoise, macs = _method(method, int(threads))
    except ImportError as error:
        return {"missing": str(error)}
    # OpenVINO compiles each shape of a tile when it first sees it.
    warm_up = image if method.startswith(OPENVINO) else np.ascontiguousarray(image[:256, :256])
    denoise(warm_up)
    seconds = []
    for _ in range(int(rounds)):
        start = time.perf_counter()
        denoise(image)
        seconds.append(time.perf_counter() - start)
    found = {
        # The picture has not exactly the size that was asked for.
        "seconds": statistics.median(seconds) * float(size) / (image.size / 3e6),
        "macs_per_pixel": macs,
        "peak_mb": _peak_mb(),
    }
    if method.startswith(OPENVINO):
        crop = image[:1000, :1000].astype(np.float32) / np.float32(255)
        by_onnx_runtime, _ = _method(method.removeprefix(OPENVINO), int(threads))
        found["difference"] = 255 * float(np.abs(denoise(crop) - by_onnx_runtime(crop)).max())
    return found


def _method(method: str, threads: int) -> tuple[Callable[[npt.NDArray[Any]], Any], int]:
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

        profile = bm3d.BM3DProfile()
        profile.num_threads = threads
        return lambda image: bm3d.bm3d_rgb(image / 255.0, 12 / 255, profile), 0
    import invdn

    model = method.removeprefix(OPENVINO)
    device = "cpu" if model == method else "openvino"
    denoiser = invdn.load(model, device=device, threads=threads)
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
