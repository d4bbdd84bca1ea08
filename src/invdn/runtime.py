"""ONNX Runtime or OpenVINO: find a model, check it, load it, run it.

A model is an ONNX file with inputs ``image`` (float32 ``[1, 3, H, W]``, sRGB in [0, 1], H and W
multiples of the model's ``multiple``) and ``strength`` (float32 scalar), and one output
``restored`` of the image's shape. A model that samples, as the published InvDN does, takes in
place of the strength a random latent ``z ~ N(0, I)``, float32 ``[1, latent_channels, H /
multiple, W / multiple]``. The file carries its own description (:class:`ModelInfo`) in
its metadata; shipped models have the same, and more, in ``weights/models.toml``.

A model with a ``fine_halo`` is two graphs in one file, to be run one after the other, and takes
and gives images as they lie in memory, ``[1, 1, H, 3 W]``. ``image``, ``strength`` → ``coarse``,
``detail``, both float32 ``[1, C, H / 2, W / 2]``: all that the finest level takes from the coarser
ones, and its own noisy latent. ``coarse_part``, ``detail_part``, ``strength`` → ``restored``: the
same part of both, and the image there. The first graph sees far and does little work at the full
size; the second does most of the work and sees no further than its ``fine_halo``.

ONNX Runtime and OpenVINO are imported when a model is first loaded there, not before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invdn._version import __version__
from invdn.openvino_session import WIDTH_MULTIPLE, OpenVinoError, OpenVinoSession
from invdn.tiling import parts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Where the shipped models and their ``models.toml`` are.
WEIGHTS = Path(__file__).parent / "weights"

#: The shipped noise model, for :mod:`invdn.noise`.
NOISE_MODEL = WEIGHTS / "noise.safetensors"

#: How files of trained weights end, of which :mod:`invdn.export` makes models.
CHECKPOINTS = frozenset({".pt", ".pth", ".safetensors"})

#: How many tiles are restored at once, by half of the threads each. Operations of ONNX Runtime that
#: only one thread does, and threads that wait for another, then do not leave a core idle.
AT_ONCE = 2

#: No two tiles that are larger than this are restored at once, for the memory that they need:
#: those of model files that were made for one at a time.
LARGEST_AT_ONCE_PX = 1408

#: The second graph of a model works on at most the square of this at a time, pixels.
FINE_TILE_PX = 1024
#: The same where several tiles are restored at once.
SHARED_FINE_TILE_PX = 512

#: Side of the tile on which devices are compared.
SELF_TEST_PX = 256

DEVICES = ("auto", "cpu", "cuda", "openvino")

#: Of ONNX Runtime; "openvino" is a library of its own.
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

# Full float32: with TF32 the forward and the inverse transform no longer cancel, and strength 0
# would no longer return the image.
_PROVIDER_OPTIONS: dict[str, dict[str, str]] = {"cpu": {}, "cuda": {"use_tf32": "0"}}

# The two packages have their files in one folder: one alone may be there.
_INSTALL = {"cuda": "pip uninstall onnxruntime, then pip install onnxruntime-gpu"}


class ModelError(Exception):
    """A model or a device is not there or cannot be used; the message is one line."""


@dataclass(frozen=True)
class ModelInfo:
    """What there is to know about a loaded model."""

    name: str
    version: str
    licence: str
    parameters: int
    macs_per_pixel: int
    """Multiply-adds for each pixel of the image, tile overlaps not counted."""
    multiple: int
    """The network takes heights and widths that are multiples of this."""
    tile: int
    """A tile has at most the square of this many pixels, overlaps included."""
    halo: int
    """How far from an artificial border a tile is not to be trusted, pixels."""
    sha256: str
    """Of the model's file."""
    device: str
    """"cpu", "cuda" or "openvino"; empty where the model has not been loaded."""
    threads: int
    """CPU threads that one image uses; 0 where the model has not been loaded."""
    precision: str = ""
    """"float32"; or "bfloat16" where the posteriors' convolutions are computed in that, and what
    carries the image in float32; empty where the model has not been loaded."""
    at_once: int = 1
    """Tiles of an image that may be restored at once, by a share of the threads each."""
    fine_halo: int = 0
    """How far the second of a model's two graphs sees, pixels; 0 for a model that is one graph."""
    latent_channels: int = 0
    """Channels of the random latent that the model takes in place of a strength; 0 for none."""
    data: str = ""
    """What the model was trained on."""
    steps: int = 0
    """Training steps."""
    released: str = ""
    """ISO date."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Measured quality: what was measured → the number."""


class Model:
    """A network that is loaded; safe to call from several threads at once."""

    def __init__(
        self,
        session: Any,
        run_options: Any,
        info: ModelInfo,
        make_shared: Callable[[], Any] | None = None,
        origin: tuple[str | Path, Path] | None = None,
    ) -> None:
        """``session``: of ONNX Runtime, or an :class:`OpenVinoSession`.

        ``run_options`` make a run of ONNX Runtime give working memory back.

        ``make_shared`` makes the session for tiles that are restored at the same time as others,
        once there are some.

        ``origin``: the model and the directory that :func:`load_model` finds it by again; without
        it this cannot be pickled.
        """
        self.info = info
        self._session = session
        self._run_options_last = run_options
        self._make_shared = make_shared
        self._origin = origin
        self._shared: Any = None
        self._lock = threading.Lock()
        #: Of calls of the shared session; and whether the last one is among them.
        self._running, self._ending = 0, False
        self._in_first_graph = threading.Lock()
        self._smallest = _smallest_inputs(session, info)
        #: Next to nothing, for the inputs of the graph of the two that is not wanted.
        self._no_parts = self._smallest if info.fine_halo else {}

    def __call__(
        self,
        image: NDArray[np.float32],
        strength: float,
        *,
        z: NDArray[np.float32] | None = None,
        kept: tuple[slice, slice] | None = None,
        out: NDArray[np.float32] | None = None,
        last: bool = False,
        shared: bool = False,
        sparing: bool = False,
    ) -> NDArray[np.float32]:
        """Restore a tile: ``[H, W, 3]`` → the same shape, not clamped.

        A model with a random latent takes ``z``, and no notice of the strength. ``kept`` are
        the rows and columns that are wanted: the result is of these only, in ``out`` where that is
        given, which may lie in the memory of the image. ``last`` says that no further tile of the
        same image follows: working memory then goes back to the system. ``shared`` says that
        other tiles are restored at the same time; ``sparing``, that only one of them is to be
        in the first of the model's graphs, which needs most of the memory.

        Raises ModelError where the device fails, for want of memory for example.
        """
        height, width = image.shape[:2]
        rows, columns = kept or (slice(0, height), slice(0, width))
        if out is None:
            out = np.empty((rows.stop - rows.start, columns.stop - columns.start, 3), np.float32)
        with self._session_for(shared=shared, last=last) as session:
            if self.info.fine_halo:
                tile = SHARED_FINE_TILE_PX if shared else FINE_TILE_PX
                turns = self._in_first_graph if sparing else contextlib.nullcontext()
                self._run_in_two(session, image, strength, rows, columns, out, tile, turns)
            else:
                self._run_in_one(session, image, strength, z, rows, columns, out)
        return out

    def __reduce__(self) -> tuple[Callable[..., Model], tuple[Any, ...]]:
        """What loads the model again, on the same device: sessions cannot be pickled.

        Raises TypeError where it was not loaded by :func:`load_model`.
        """
        if self._origin is None:
            raise TypeError(
                f"{self.info.name} cannot be pickled: it was not loaded from a file of its own"
            )
        info = self.info
        return _load_again, (*self._origin, info.device, info.threads, info.sha256)

    @contextlib.contextmanager
    def _session_for(self, *, shared: bool, last: bool) -> Iterator[Any]:
        """The session for a tile; after the last one its memory goes back."""
        if not shared:
            yield self._session
            if last:
                self._release_memory(self._session)
            return
        with self._lock:
            if self._shared is None:
                self._shared = self._make_shared() if self._make_shared else self._session
            self._running += 1
            self._ending = self._ending or last
        try:
            yield self._shared
        finally:
            with self._lock:
                self._running -= 1
                release = self._ending and not self._running
                self._ending = self._ending and not release
        if release:
            self._release_memory(self._shared)

    def _release_memory(self, session: Any) -> None:
        """Give a session's working memory back to the system."""
        if isinstance(session, OpenVinoSession):
            session.release_memory()
        else:
            self._run(session, ["restored"], self._smallest, (0, 0), last=True)

    def _run_in_one(
        self,
        session: Any,
        image: NDArray[np.float32],
        strength: float,
        z: NDArray[np.float32] | None,
        rows: slice,
        columns: slice,
        out: NDArray[np.float32],
    ) -> None:
        feed = {"image": np.ascontiguousarray(image.transpose(2, 0, 1))[None]}
        feed |= {"strength": np.array(strength, np.float32)} if z is None else {"z": z}
        (restored,) = self._run(session, ["restored"], feed, image.shape)
        out[...] = restored[0, :, rows, columns].transpose(1, 2, 0)

    def _run_in_two(
        self,
        session: Any,
        image: NDArray[np.float32],
        strength: float,
        rows: slice,
        columns: slice,
        out: NDArray[np.float32],
        tile: int,
        turns: contextlib.AbstractContextManager[Any],
    ) -> None:
        """The first graph on the whole tile, within ``turns``; then the second one part by part.

        A part has all around it that the second graph sees, so that there are no seams.
        """
        alpha = {"strength": np.array(strength, np.float32)}
        feed = self._no_parts | {"image": _as_one_plane(image), **alpha}
        size = image.shape[:2]
        with turns:
            coarse, detail = self._run(session, ["coarse", "detail"], feed, size)
        # A position is two pixels wide.
        multiple = 2 * WIDTH_MULTIPLE if isinstance(session, OpenVinoSession) else 2
        sizes = {"tile": tile, "halo": self.info.fine_halo, "width_multiple": multiple}
        for y, x in parts(rows, columns, *size, **sizes):
            y_half = slice(y.seen.start // 2, y.seen.stop // 2)
            x_half = slice(x.seen.start // 2, x.seen.stop // 2)
            feed = self._no_parts | {
                "coarse_part": np.ascontiguousarray(coarse[:, :, y_half, x_half]),
                "detail_part": np.ascontiguousarray(detail[:, :, y_half, x_half]),
                **alpha,
            }
            (fine,) = self._run(session, ["restored"], feed, size)
            out[y.target, x.target] = fine.reshape(fine.shape[2], -1, 3)[y.inner, x.inner]

    def _run(
        self,
        session: Any,
        outputs: list[str],
        feed: Mapping[str, NDArray[np.float32]],
        size: tuple[int, ...],
        last: bool = False,
    ) -> Any:
        """The outputs; ``size`` is that of the tile, for the error's message."""
        try:
            return session.run(outputs, feed, self._run_options_last if last else None)
        except Exception as error:  # the runtimes' exceptions have no common base class
            raise ModelError(
                f"{self.info.name} failed on a tile of {size[1]}×{size[0]} pixels on "
                f"{self.info.device}: {_first_line(error)}"
            ) from error


def load_model(
    model: str | os.PathLike[str],
    *,
    device: str = "auto",
    threads: int | None = None,
    directory: Path = WEIGHTS,
) -> Model:
    """Load and warm up a model.

    Args:
        model: a name from ``models.toml`` in ``directory``, or the path of a file: anything
            that is not a plain string, or a string that ends in ``.onnx``.
        device: one of :data:`DEVICES`; "auto" is the fastest of those that are installed, "cpu"
            unless another is clearly faster, without "openvino" where the process has loaded
            PyTorch. Where there is more than "cpu", the first start with a model finds that out
            on a small tile.
        threads: CPU threads for one image, at least 1; None for :func:`default_threads`.
        directory: where the shipped models are.

    Raises:
        ModelError: the model is missing, damaged or something else, or the device is not there.
        ValueError: an unknown device, or threads that are no whole number, or below 1.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
    if threads is not None and not (is_whole(threads) and threads >= 1):
        raise ValueError(f"threads must be a whole number of at least 1, not {threads!r}")
    threads = threads or default_threads()
    path, card = _find(model, directory)
    content = _read(path)
    sha256 = hashlib.sha256(content).hexdigest()
    if card is not None and sha256 != card.get("sha256"):
        raise ModelError(
            f"{path.name} is damaged (its SHA-256 is not the published one): "
            "pip install --force-reinstall invdn"
        )

    def on(device: str) -> Model:
        open_session = partial(_open_session, content, path, device)
        session = open_session(threads)
        fields = card if card is not None else session.get_modelmeta().custom_metadata_map
        latent, in_two = ("latent_channels" in fields), ("fine_halo" in fields)
        _check_interface(session, path, takes_latent=latent, in_two=in_two)
        name = str(model) if card is not None else fields.get("name", path.stem)
        info = _info(name, fields, path, sha256=sha256, device=device, threads=threads)
        in_bfloat16 = isinstance(session, OpenVinoSession) and session.in_bfloat16
        info = dataclasses.replace(info, precision="bfloat16" if in_bfloat16 else "float32")
        make_shared = None
        if device != "cuda" and threads > 1 and info.tile <= LARGEST_AT_ONCE_PX:
            info = dataclasses.replace(info, at_once=AT_ONCE)
            make_shared = partial(open_session, threads, AT_ONCE)
        run_options = None if device == "openvino" else _shrink_after_run(device)
        # A file is to be found from whatever folder another process works in.
        origin = (name if card is not None else path.absolute()), directory.absolute()
        loaded = Model(session, run_options, info, make_shared, origin)
        # OpenVINO prepares for one size at a time: there is nothing to warm up, and it takes long.
        if device != "openvino":
            _warm_up(loaded)
        return loaded

    if device != "auto":
        return on(device)
    ort = import_onnxruntime()
    providers = ort.get_available_providers()
    candidates = [name for name, provider in _PROVIDERS.items() if provider in providers]
    import platform

    # A home folder may serve several machines.
    libraries = f"{platform.node()} {__version__} {ort.__version__} {sorted(providers)}"
    if openvino := _openvino_to_try():
        candidates.append("openvino")
        libraries += f" openvino {openvino}"
    return _fastest(on, candidates, f"{sha256} {threads} {libraries}")


def _openvino_to_try() -> str | None:
    """The version of the OpenVINO that "auto" compares; None without one.

    And None beside PyTorch, see docs/decisions.md.
    """
    if "torch" in sys.modules or importlib.util.find_spec("openvino") is None:
        return None
    from importlib import metadata  # slow, and seldom needed

    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:  # any folder of that name is found too
        return None


def is_whole(value: object) -> bool:
    """Whether an argument is a whole number, Python's or NumPy's, whatever it was declared."""
    return isinstance(value, Integral)


def _load_again(
    model: str | Path, directory: Path, device: str, threads: int, sha256: str
) -> Model:
    """The model that was pickled; see :meth:`Model.__reduce__`.

    Raises ModelError as :func:`load_model`, and where the file is another one by now.
    """
    loaded = load_model(model, device=device, threads=threads, directory=directory)
    if loaded.info.sha256 != sha256:
        raise ModelError(f"{model} is another model than the one that was pickled")
    return loaded


_WORTHWHILE = 0.85
"""Of the time that "cpu" takes: a device that takes more is not worth its memory. Without bfloat16
OpenVINO is as fast as ONNX Runtime, for several hundred MB more."""


def _fastest(on: Callable[[str], Model], candidates: list[str], key: str) -> Model:
    """The model on the device that is fastest by a self-test, whose outcome is remembered; "cpu"
    where no other is clearly faster.

    A device can be built in and still not work, for want of a driver: then it is left out.
    """
    if candidates == ["cpu"]:
        return on("cpu")
    known = _remembered()
    if known.get(key) in candidates:
        try:
            return on(known[key])
        except ModelError:  # it worked then
            pass
    seconds: dict[str, float] = {}
    working: dict[str, Model] = {}
    for device in candidates:
        try:
            loaded = on(device)
            seconds[device] = _seconds_for_a_tile(loaded)
            working[device] = loaded
        except ModelError:
            if device == "cpu":
                raise
    chosen = min(seconds, key=lambda device: seconds[device])
    if seconds[chosen] > _WORTHWHILE * seconds["cpu"]:
        chosen = "cpu"
    _remember({**known, key: chosen})
    return working[chosen]


def _seconds_for_a_tile(model: Model) -> float:
    """The faster of two runs on a small tile, after one that does not count."""
    side = -(-SELF_TEST_PX // model.info.multiple)
    image = np.full((side * model.info.multiple, side * model.info.multiple, 3), 0.5, np.float32)
    channels = model.info.latent_channels
    z = np.zeros((1, channels, side, side), np.float32) if channels else None
    taken = []
    for number in range(3):
        start = time.perf_counter()
        model(image, 1.0, z=z, last=number == 2)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def _memory_of_self_tests() -> Path:
    local = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(local or Path.home() / ".cache") / "invdn" / "devices.json"


def _remembered() -> dict[str, str]:
    """Model, threads and libraries → the device that was fastest."""
    try:
        known = json.loads(_memory_of_self_tests().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # not there, damaged, or no home
        return {}
    return known if isinstance(known, dict) else {}


def _remember(known: dict[str, str]) -> None:
    """Where it cannot be written the next start tests again."""
    with contextlib.suppress(OSError, RuntimeError):
        path = _memory_of_self_tests()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(known), encoding="utf-8")
        temporary.replace(path)


def shipped_models(directory: Path = WEIGHTS) -> dict[str, ModelInfo]:
    """Name → description of each model in ``models.toml``, without loading any.

    Raises ModelError where the file is missing or malformed.
    """
    return {
        name: _info(name, card, directory / "models.toml", sha256=str(card.get("sha256", "")))
        for name, card in _cards(directory).items()
    }


def default_threads() -> int:
    """Usable physical cores; what a container's CPU limit allows, if that is less."""
    return max(1, min(_physical_cores(), _cgroup_cpus()))


def _find(model: str | os.PathLike[str], directory: Path) -> tuple[Path, Mapping[str, Any] | None]:
    """The model's file and, for a shipped model, its entry in ``models.toml``."""
    if not isinstance(model, str) or model.lower().endswith(".onnx"):
        return Path(model), None
    cards = _cards(directory)
    if model not in cards and Path(model).suffix.lower() in CHECKPOINTS:
        raise ModelError(
            f"{model} holds trained weights: make a model of it with 'invdn export {model} -o "
            "MODEL.onnx'"
        )
    if model not in cards:
        names = ", ".join(sorted(cards)) or "none is installed"
        raise ModelError(
            f"there is no model {model!r}: use one of these: {names}; or the path of an .onnx file"
        )
    card = cards[model]
    return directory / str(card.get("file", f"{model}.onnx")), card


def _cards(directory: Path) -> dict[str, Mapping[str, Any]]:
    path = directory / "models.toml"
    try:
        text = path.read_text(encoding="utf-8")
        return dict(tomllib.loads(text))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path} is malformed: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"there is no model file {path}") from None
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error


def _info(
    name: str,
    fields: Mapping[str, Any],
    path: Path,
    *,
    sha256: str,
    device: str = "",
    threads: int = 0,
) -> ModelInfo:
    try:
        return ModelInfo(
            name=name,
            version=str(fields["version"]),
            licence=str(fields["licence"]),
            parameters=int(fields["parameters"]),
            macs_per_pixel=int(fields["macs_per_pixel"]),
            multiple=int(fields["multiple"]),
            tile=int(fields["tile"]),
            halo=int(fields["halo"]),
            sha256=sha256,
            device=device,
            threads=threads,
            fine_halo=int(fields.get("fine_halo", 0)),
            latent_channels=int(fields.get("latent_channels", 0)),
            data=str(fields.get("data", "")),
            steps=int(fields.get("steps", 0)),
            released=str(fields.get("released", "")),
            scores=dict(fields.get("scores", {})),
        )
    except KeyError as error:
        raise ModelError(
            f"{path} is not a model of invdn: it does not say its {error.args[0]}; "
            "models are made with 'invdn export'"
        ) from None
    except ValueError as error:
        raise ModelError(f"{path} has a malformed description: {error}") from None


#: Read when ONNX Runtime is loaded. Without them it writes an identifier of this computer into the
#: home folder and reports to its makers, whatever `disable_telemetry_events` says afterwards. The
#: first is that of 1.32, the second what later versions call it.
_NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")


def import_onnxruntime() -> ModuleType:
    """ONNX Runtime, which is to be imported nowhere else.

    Raises ModelError where it cannot be.
    """
    for name in _NO_TELEMETRY:
        os.environ.setdefault(name, "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"ONNX Runtime cannot be imported ({_first_line(error)}): pip install onnxruntime"
        ) from error
    onnxruntime.disable_telemetry_events()
    return onnxruntime  # type: ignore[no-any-return]


def _open_session(
    content: bytes, path: Path, device: str, threads: int, at_once: int = 1
) -> OpenVinoSession | Any:
    """A session on a device that works, for a number of runs at once that share the threads."""
    if device == "openvino":
        try:
            return OpenVinoSession(content, threads, at_once)
        except OpenVinoError as error:
            raise ModelError(str(error)) from error
        except RuntimeError as error:
            raise ModelError(f"{path} is not a usable ONNX model: {_first_line(error)}") from error
    ort = import_onnxruntime()
    if _PROVIDERS[device] not in ort.get_available_providers():
        raise ModelError(f"there is no support for {device} here: {_INSTALL[device]}")
    session = _new_session(ort, content, path, device, -(-threads // at_once))
    if session.get_providers()[0] != _PROVIDERS[device]:
        raise ModelError(f"{device} does not work here: its driver or its libraries are missing")
    return session


def _new_session(ort: ModuleType, content: bytes, path: Path, device: str, threads: int) -> Any:
    providers: list[Any] = [(_PROVIDERS[device], _PROVIDER_OPTIONS[device])]
    if device != "cpu":
        providers.append(_PROVIDERS["cpu"])
    try:
        return ort.InferenceSession(content, _session_options(ort, threads), providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise ModelError(f"{path} is not a usable ONNX model: {_first_line(error)}") from error


def _session_options(ort: ModuleType, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads sleep: 1% slower, 10% less processor time, and the computer stays usable.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena makes a tile 13% faster. The memory pattern gains nothing on top of it, and keeps
    # a plan for every tile size that it has seen.
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only; they come as exceptions as well
    return options


def _shrink_after_run(device: str) -> Any:
    """Run options that give the arena's memory back once the run is over."""
    options = import_onnxruntime().RunOptions()
    arenas = "cpu:0;gpu:0" if device == "cuda" else "cpu:0"
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", arenas)
    return options


def _check_interface(session: Any, path: Path, *, takes_latent: bool, in_two: bool) -> None:
    """Inputs and outputs are those of the module's docstring, all float32, of the right rank."""

    def described(values: Any) -> dict[str, tuple[str, int]]:
        return {value.name: (value.type, len(value.shape)) for value in values}

    image = ("tensor(float)", 4)
    wanted_inputs = {"image": image}
    wanted_inputs |= {"z": image} if takes_latent else {"strength": ("tensor(float)", 0)}
    wanted_outputs = {"restored": image}
    if in_two:
        wanted_inputs |= {"coarse_part": image, "detail_part": image}
        wanted_outputs |= {"coarse": image, "detail": image}
    inputs, outputs = described(session.get_inputs()), described(session.get_outputs())
    if inputs != wanted_inputs or outputs != wanted_outputs:
        raise ModelError(
            f"{path} is not a model of invdn: it takes {', '.join(inputs)} and gives "
            f"{', '.join(outputs)}, not {' and '.join(wanted_inputs)} → {', '.join(wanted_outputs)}"
        )


def _as_one_plane(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """``[H, W, 3]`` → ``[1, 1, H, 3·W]``, the same memory."""
    return image.reshape(1, 1, len(image), -1)


def _smallest_inputs(session: Any, info: ModelInfo) -> dict[str, NDArray[np.float32]]:
    """All inputs, as small as may be."""
    side = info.multiple
    sizes = {"image": (side, 3 * side) if info.fine_halo else (side, side), "z": (1, 1)}
    found = {}
    for value in session.get_inputs():
        if value.name == "strength":
            found[value.name] = np.zeros((), np.float32)
        else:
            channels = value.shape[1]
            found[value.name] = np.zeros(
                (1, int(channels), *sizes.get(value.name, (side // 2, side // 2))), np.float32
            )
    return found


def _warm_up(model: Model) -> None:
    """Run once on a small tile: a model that cannot run is found out here, and GPUs start up."""
    side = 8 * model.info.multiple
    image = np.full((side, side, 3), 0.5, np.float32)
    z = None
    if model.info.latent_channels:
        z = np.zeros((1, model.info.latent_channels, 8, 8), np.float32)
    restored = model(image, 1.0, z=z, last=True)
    if restored.shape != image.shape or not np.isfinite(restored).all():
        raise ModelError(f"{model.info.name} does not work on {model.info.device}: bad output")


def _usable_cpus() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _physical_cores() -> int:
    """Usable CPUs, the hardware threads of one core counted once where the system says so."""
    cores = set()
    for cpu in _usable_cpus():
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text())
        except OSError:
            cores.add(str(cpu))
    return len(cores)


def _cgroup_cpus() -> int:
    """The CPU limit of a Linux container in whole CPUs, rounded up; a large number if none."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return sys.maxsize


def _first_line(error: BaseException) -> str:
    """The first line that says something: OpenVINO's messages begin with places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception from ")]
    return next(iter(told or lines), type(error).__name__)
