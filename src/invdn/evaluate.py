"""Measure denoisers as the literature does: on pairs, and by the benchmarks' protocols.

    methods = resolve_methods(["photo", "tv"], folder)
    evaluation = evaluate(folder_pairs(folder), methods)
    print(evaluation.rows())

Scores are taken on 8-bit results: PSNR over all channels with a range of 255, and SSIM as
:func:`invdn.metrics.ssim`; means over the images, each of which counts the same. Seconds a
megapixel are wall-clock time after one warm-up, the noise estimate of the classical methods
included.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from invdn import baselines, images
from invdn.batch import UsageError
from invdn.data import dnd, sidd
from invdn.data.pairs import Pair, load_pairs
from invdn.data.patches import Pixels
from invdn.metrics import SSIM_WINDOW_PX, finite, psnr, ssim
from invdn.runtime import CHECKPOINTS, shipped_models

PROTOCOLS = ("sidd-val", "sidd-test", "dnd")
#: What the inputs are called beside the methods' results.
_NOT_METHODS = ("noisy", "clean")
#: What ``--oracle`` tries: factors on the estimated noise level, and networks' own strengths.
_LEVEL_FACTORS = tuple(2.0 ** (i / 2) for i in range(-4, 6))
_STRENGTHS = tuple(i / 8 for i in range(13))


@dataclass(frozen=True)
class Method:
    """A denoiser under test."""

    name: str
    restore: Callable[[npt.NDArray[Any], float], npt.NDArray[Any]]
    """``[H, W, 3]``, uint8 or float32 in [0, 1], and a strength → same shape and type."""
    oracle_strengths: tuple[float, ...]
    """What an oracle may choose from; 1 is the blind setting."""
    notice: str = ""
    """What a user of the method must be told."""
    smallest_px: int = 1
    """What an image must have each way at least."""


@dataclass(frozen=True)
class Result:
    """One method on one image."""

    method: str
    image: str
    psnr: float
    """dB."""
    ssim: float
    gain: float
    """dB over the noisy image."""
    strength: float
    """1, or what the oracle chose."""
    seconds: float
    megapixels: float


@dataclass(frozen=True)
class Example:
    """A crop worth showing: where a method changed most, for the better or the worse."""

    method: str
    image: str
    gain: float
    noisy: Pixels
    restored: Pixels
    clean: Pixels


@dataclass
class Evaluation:
    """All that was measured."""

    title: str
    oracle: bool = False
    noisy_psnr: dict[str, float] = field(default_factory=dict)
    """By image, dB."""
    noisy_ssim: dict[str, float] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """One row a method: its means, and its worst image."""
        by_method: dict[str, list[Result]] = defaultdict(list)
        for result in self.results:
            by_method[result.method].append(result)
        return [self._row(name, results) for name, results in by_method.items()]

    def _row(self, name: str, results: list[Result]) -> dict[str, Any]:
        worst = min(results, key=lambda r: r.gain)
        return {
            "method": name,
            "psnr": float(np.mean([r.psnr for r in results])),
            "ssim": float(np.mean([r.ssim for r in results])),
            "s_per_mp": sum(r.seconds for r in results) / sum(r.megapixels for r in results),
            "gain": float(np.mean([r.gain for r in results])),
            "n": len(results),
            "worst_image": worst.image,
            "worst_gain": worst.gain,
            "oracle": self.oracle,
        }

    def as_json(self) -> str:
        """All of it, with infinite PSNR (equal images) as null."""
        content = {
            "title": self.title,
            "oracle": self.oracle,
            "noisy": {
                "psnr": float(np.mean(list(self.noisy_psnr.values()))),
                "ssim": float(np.mean(list(self.noisy_ssim.values()))),
            },
            "rows": self.rows(),
            "images": [vars(result) for result in self.results],
            "notices": self.notices,
        }
        return json.dumps(finite(content), indent=1) + "\n"

    def as_csv(self) -> str:
        """The rows of :meth:`rows`."""
        text = io.StringIO()
        rows = self.rows()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


# --- methods -------------------------------------------------------------------------------------


def resolve_methods(
    names: Sequence[str], resources: ExitStack, *, threads: int | None = None
) -> list[Method]:
    """Methods by name: a shipped model, a classical method, or an ONNX or checkpoint file.

    Args:
        names: ``photo``, … ; ``tv``, ``sparse``, ``nlm``, ``wavelet``, ``bm3d``; or paths of
            ``.onnx`` or ``.safetensors`` files, which are called by their stems. ``photo@2`` is
            the mean of two turned restorations; 1, 2, 4 and 8 are known.
        resources: Keeps what the methods need; a checkpoint is exported to a temporary ONNX file.
        threads: Of networks; None for as many as there are usable cores.

    Raises:
        UsageError: a name is unknown or given twice, a package is missing, a file cannot be used.
        ModelError: a model cannot be loaded.
    """
    methods = [_resolve(name, resources, threads) for name in names]
    taken: set[str] = set()
    for method in methods:
        if method.name in taken:
            raise UsageError(f"there are two methods called {method.name}: rename the file")
        if method.name in _NOT_METHODS:
            raise UsageError(f"a method cannot be called {method.name}: rename the file")
        taken.add(method.name)
    return methods


def _resolve(name: str, resources: ExitStack, threads: int | None) -> Method:
    if name in baselines.METHODS:
        return _classical(name)
    from invdn.ensembles import TURNS

    model, _, turns = name.rpartition("@")
    turned = turns in map(str, TURNS)  # as text, so that each has one name: not @2 and @02
    model = model if turned else name
    path = Path(model)
    if not path.suffix and model not in (shipped := shipped_models()):
        known = ", ".join((*sorted(shipped), *baselines.METHODS))
        raise UsageError(
            f"there is no method {name}: use one of these: {known}; or a .onnx or .safetensors"
            " file; @2, @4 and @8 turn networks"
        )
    if path.suffix.lower() in CHECKPOINTS:
        path = _export(path, resources)
    from invdn.denoiser import load_denoiser

    # The same scores on every machine: "auto" may be a device that rounds more.
    denoiser = load_denoiser(path if path.suffix else model, device="cpu", threads=threads)
    denoiser = denoiser.using(turns=int(turns)) if turned else denoiser

    def restore(image: npt.NDArray[Any], strength: float) -> npt.NDArray[Any]:
        return denoiser(image, strength=strength)

    return Method(f"{path.stem}@{turns}" if turned else path.stem, restore, _STRENGTHS)


def _missing_package(name: str) -> str:
    """The package that a classical method needs and that is not installed, or nothing."""
    needs = {"sparse": "sklearn", "bm3d": "bm3d", "wavelet": "pywt"}
    package = needs.get(name, "skimage")
    return "" if importlib.util.find_spec(package) else package


def _classical(name: str) -> Method:
    if package := _missing_package(name):
        extra = "bm3d" if name == "bm3d" else "eval"
        raise UsageError(f"{name} needs {package}: pip install 'invdn[{extra}]'")

    def restore(image: npt.NDArray[Any], strength: float) -> npt.NDArray[Any]:
        return baselines.restore(image, name, strength)

    notice = baselines.BM3D_NOTICE if name == "bm3d" else ""
    return Method(name, restore, _LEVEL_FACTORS, notice, baselines.SMALLEST_PX)


def _export(checkpoint: Path, resources: ExitStack) -> Path:
    try:
        from invdn.export import ExportError, export_checkpoint
    except ImportError:
        raise UsageError(f"{checkpoint} needs PyTorch: pip install 'invdn[train]'") from None
    folder = resources.enter_context(tempfile.TemporaryDirectory())
    exported = Path(folder) / f"{checkpoint.stem}.onnx"
    try:
        export_checkpoint(checkpoint, exported)
    except ExportError as error:
        raise UsageError(str(error)) from error
    return exported


# --- pairs ---------------------------------------------------------------------------------------


def folder_pairs(folder: Path, **options: Any) -> list[Pair]:
    """The pairs of a folder: arguments as for :func:`invdn.data.pairs.load_pairs`.

    Raises:
        UsageError: the folder does not hold what it should.
    """
    try:
        return load_pairs(folder, **options)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(str(error)) from error


def evaluate(
    pairs: Sequence[Pair],
    methods: Sequence[Method],
    *,
    title: str = "",
    oracle: bool = False,
    examples: int = 3,
    save: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[str], object] | None = None,
) -> Evaluation:
    """Run all methods on all pairs.

    Args:
        pairs: At least one.
        methods: At least one.
        title: Of the report: which split, crop and rounding.
        oracle: Choose the strength with the highest PSNR for each image. That needs the clean
            image, so it is an upper bound, not a score; its time is that of one run.
        examples: Crops to keep for each method: that many of the largest gains, and of the
            smallest.
        save: Write each result as ``save/<method>/<image>.png``, and the noisy and the clean
            images as ``save/noisy`` and ``save/clean``.
        overwrite: Replace such files that exist.
        progress: Is told what has been done.

    Raises:
        UsageError: there are no pairs, or an image is too small for a method; a result cannot be
            written, or would replace an existing file. All that is found before the work begins.
    """
    _check_pairs(pairs, methods)
    if save is not None:
        names = (*_NOT_METHODS, *(method.name for method in methods))
        _prepare(save, [_saved(save, n, p) for n in names for p in pairs], overwrite)
    evaluation = Evaluation(title, oracle)
    evaluation.notices += [method.notice for method in methods if method.notice]
    keepers = {method.name: _Examples(examples) for method in methods}
    warm: set[str] = set()
    for pair in pairs:
        before = psnr(pair.noisy, pair.clean)
        evaluation.noisy_psnr[pair.name] = before
        evaluation.noisy_ssim[pair.name] = ssim(pair.noisy, pair.clean)
        if save is not None:
            _save(_saved(save, "noisy", pair), pair.noisy, overwrite)
            _save(_saved(save, "clean", pair), pair.clean, overwrite)
        for method in methods:
            strengths = method.oracle_strengths if oracle else (1.0,)
            with _limits(method, pair.name):
                if method.name not in warm:
                    method.restore(pair.noisy[:64, :64], 1.0)
                    warm.add(method.name)
                restored, strength, seconds = _best(method, pair, strengths)
            after = psnr(restored, pair.clean)
            gain = 0.0 if after == before else after - before
            evaluation.results.append(
                Result(
                    method=method.name,
                    image=pair.name,
                    psnr=after,
                    ssim=ssim(restored, pair.clean),
                    gain=gain,
                    strength=strength,
                    seconds=seconds,
                    megapixels=pair.noisy.shape[0] * pair.noisy.shape[1] / 1e6,
                )
            )
            keepers[method.name].offer(method.name, pair, restored, gain)
            if save is not None:
                _save(_saved(save, method.name, pair), restored, overwrite)
            if progress is not None:
                progress(f"{pair.name}: {method.name} {after:.2f} dB ({gain:+.2f})")
    evaluation.notices += _infinite(evaluation)
    for keeper in keepers.values():
        evaluation.examples += keeper.kept()
    return evaluation


@contextmanager
def _limits(method: Method, image: object) -> Iterator[None]:
    """Name the picture that a method does not take, in a :class:`UsageError`."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{image}: {method.name}: {error}") from error


def _infinite(evaluation: Evaluation) -> list[str]:
    """What explains infinite means, in one line, if there are any."""
    scores = [(r.image, r.psnr) for r in evaluation.results]
    scores += evaluation.noisy_psnr.items()
    equal = sorted({name for name, score in scores if math.isinf(score)})
    if not equal:
        return []
    more = f" (and {len(equal) - 1} more)" if len(equal) > 1 else ""
    return [
        f"{equal[0]}{more} equals its clean picture, noisy or restored: its PSNR is infinite, and"
        " so is each mean with it"
    ]


def _best(method: Method, pair: Pair, strengths: Sequence[float]) -> tuple[Pixels, float, float]:
    """The result with the highest PSNR, its strength, and the mean seconds of a run."""
    best: tuple[float, Pixels, float] | None = None
    seconds = 0.0
    for strength in strengths:
        start = time.perf_counter()
        restored = method.restore(pair.noisy, strength)
        seconds += time.perf_counter() - start
        score = psnr(restored, pair.clean) if len(strengths) > 1 else 0.0
        if best is None or score > best[0]:
            best = score, restored, strength
    assert best is not None
    return best[1], best[2], seconds / len(strengths)


def check_save(save: Path, data: Path) -> None:
    """Refuse a folder for results that would become a part of the data set.

    Raises:
        UsageError: it is the data set's folder, or one that its pictures are looked for in.
    """
    clean = data / "clean"
    inside = (data / "noisy", clean) if clean.is_dir() else (data,)
    where = save.resolve()
    if where == data.resolve() or any(where.is_relative_to(f.resolve()) for f in inside):
        raise UsageError(f"results in {save} would become a part of {data}: choose another folder")


def _check_pairs(pairs: Sequence[Pair], methods: Sequence[Method]) -> None:
    if not pairs:
        raise UsageError("there are no images to evaluate on")
    for pair in pairs:
        side = min(pair.clean.shape[:2])
        if side < SSIM_WINDOW_PX:
            raise UsageError(f"{pair.name} is too small: {SSIM_WINDOW_PX} pixels each way at least")
        for method in methods:
            if side < method.smallest_px:
                raise UsageError(
                    f"{pair.name} is too small for {method.name}: {method.smallest_px} pixels each"
                    " way at least"
                )


def _saved(folder: Path, name: str, pair: Pair) -> Path:
    return folder / name / f"{pair.name}.png"


def _save(path: Path, pixels: Pixels, overwrite: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write(images.Photo(pixels, "png"), path, overwrite=overwrite)
    except images.PhotoError as error:
        raise UsageError(f"{path}: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: {images.reason(error)}") from error


def _prepare(folder: Path, files: Iterable[Path], overwrite: bool) -> None:
    """Make a folder for results, and refuse, before the work, what could not be written after it.

    Raises:
        UsageError: the folder cannot be used; a file exists and is not to be replaced.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: {images.reason(error)}") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"the folder {folder} cannot be written to: choose another")
    for path in files:
        if path.exists() and not overwrite:
            raise UsageError(f"{path}: {images.EXISTS}")


class _Examples:
    """Keeps the crops of the largest gains and of the smallest."""

    CROP_PX = 192

    def __init__(self, count: int) -> None:
        self._count = count
        self._best: list[Example] = []
        self._worst: list[Example] = []

    def offer(self, method: str, pair: Pair, restored: Pixels, gain: float) -> None:
        """Consider one result."""
        if not self._count:
            return
        window = _busiest_window(pair, restored, self.CROP_PX)
        crops = (np.ascontiguousarray(x[window]) for x in (pair.noisy, restored, pair.clean))
        example = Example(method, pair.name, gain, *crops)
        self._best = sorted([*self._best, example], key=lambda e: -e.gain)[: self._count]
        self._worst = sorted([*self._worst, example], key=lambda e: e.gain)[: self._count]

    def kept(self) -> list[Example]:
        """Largest gains first, no image twice."""
        shown = {example.image for example in self._best}
        return [*self._best, *(e for e in reversed(self._worst) if e.image not in shown)]


def _busiest_window(pair: Pair, restored: Pixels, size_px: int) -> tuple[slice, slice]:
    """Where the squared error changed most, on a coarse grid."""
    target = pair.clean.astype(np.float32)
    change = np.abs(((pair.noisy - target) ** 2).sum(2) - ((restored - target) ** 2).sum(2))
    height, width = change.shape
    tops = range(0, max(1, height - size_px + 1), size_px // 2)
    lefts = range(0, max(1, width - size_px + 1), size_px // 2)
    top, left = max(
        ((t, x) for t in tops for x in lefts),
        key=lambda at: float(change[at[0] : at[0] + size_px, at[1] : at[1] + size_px].sum()),
    )
    return slice(top, top + size_px), slice(left, left + size_px)


# --- protocols -----------------------------------------------------------------------------------


def sidd_validation(folder: Path) -> list[Pair]:
    """The pairs of ``sidd-val``.

    Raises:
        UsageError: a file is missing or malformed.
    """
    noisy, clean = (folder / f"Validation{kind}BlocksSrgb.mat" for kind in ("Noisy", "Gt"))
    with _sidd_errors(), _submission_errors():
        return sidd.load_validation_blocks(noisy, clean)


def sidd_test(
    folder: Path, method: Method, submission: Path, *, overwrite: bool = False
) -> tuple[Path, float]:
    """Restore the blocks of the SIDD benchmark and write what its server takes.

    Returns the file, ``submission/SubmitSrgb.mat``, beside which is ``SubmitSrgb.csv``, and the
    seconds a megapixel.

    Raises:
        UsageError: a file is missing or malformed, or exists already; or the method refuses a
            block.
    """
    path, table = (submission / f"SubmitSrgb.{suffix}" for suffix in ("mat", "csv"))
    name = sidd.BENCHMARK_BLOCKS
    source = folder / f"{name}.mat"
    with _sidd_errors(), _submission_errors():
        blocks = sidd.read_blocks(source, name)
    _prepare(submission, (path, table), overwrite)
    with _submission_errors():
        with _limits(method, source):
            method.restore(blocks[0, 0], 1.0)  # warm-up
            denoised = np.empty_like(blocks)
            start = time.perf_counter()
            for index in np.ndindex(blocks.shape[:2]):
                denoised[index] = method.restore(blocks[index], 1.0)
        speed = (time.perf_counter() - start) / (blocks[..., 0].size / 1e6)
        sidd.write_submission(path, denoised, speed, method.name, overwrite=overwrite)
        sidd.write_submission_csv(table, denoised, overwrite=overwrite)
    return path, speed


def dnd_submission(
    folder: Path, method: Method, submission: Path, *, overwrite: bool = False
) -> tuple[Path, float]:
    """Restore the crops of DND and write them, one by one and, photo by photo, bundled.

    Returns the folder to submit, ``submission/bundled``, and the seconds a megapixel.

    Raises:
        UsageError: a file is missing or malformed, or exists already; or the method refuses a
            photo, as for pixels that are no numbers.
    """
    with _submission_errors():
        seconds = megapixels = 0.0
        boxes = [len(found) for found in dnd.bounding_boxes(folder)]
        if not sum(boxes):
            info = folder / "info.mat"
            raise UsageError(f"{info} names no bounding boxes: get it from {dnd.URL}")
        files = [dnd.bundle_path(submission, i) for i, count in enumerate(boxes) if count]
        files += [
            dnd.crop_path(submission, i, box)
            for i, count in enumerate(boxes)
            for box in range(count)
        ]
        _prepare(submission, files, overwrite)
        done: list[dnd.Crop] = []
        for crop in dnd.noisy_crops(folder):
            with _limits(method, dnd.photo_path(folder, crop.image)):
                if not megapixels:
                    method.restore(crop.pixels, 1.0)  # warm-up
                start = time.perf_counter()
                denoised = method.restore(crop.pixels, 1.0)
            seconds += time.perf_counter() - start
            megapixels += crop.pixels.shape[0] * crop.pixels.shape[1] / 1e6
            dnd.write_crop(submission, crop, denoised, overwrite=overwrite)
            done.append(denoised)
            if len(done) == boxes[crop.image]:  # of the photo: what is written need not be kept
                dnd.write_bundle(submission, crop.image, done, overwrite=overwrite)
                done = []
    return submission / "bundled", seconds / megapixels


@contextmanager
def _sidd_errors() -> Iterator[None]:
    """Say where to get a file of SIDD that is missing or malformed."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{reason}: get it from {sidd.URL}") from error


@contextmanager
def _submission_errors() -> Iterator[None]:
    """Turn what is wrong with a data set or its submission into a :class:`UsageError`."""
    try:
        yield
    except dnd.DatasetError as error:
        raise UsageError(str(error)) from error
    except FileExistsError as error:
        raise UsageError(f"{error.filename2 or error.filename}: {images.EXISTS}") from error
    except FileNotFoundError:  # of the data set: who knows where to get it says so
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise UsageError(f"{where}{images.reason(error)}") from error
    except ImportError as error:
        raise UsageError(f"{error.name} is missing: pip install 'invdn[eval]'") from error


def default_methods() -> tuple[str, ...]:
    """The shipped models, and the classical methods that take seconds rather than minutes.

    Classical ones only where their packages are installed.
    """
    classical = [n for n in ("tv", "nlm", "wavelet") if not _missing_package(n)]
    return (*shipped_models(), *classical)
