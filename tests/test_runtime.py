"""Finding, checking, loading and running models."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from invdn import runtime
from invdn.runtime import Model, ModelError, ModelInfo, load_model, shipped_models

CARD = """
[{name}]
file = "{file}"
sha256 = "{sha256}"
licence = "CC0-1.0"
version = "7"
parameters = 123
macs_per_pixel = 45
multiple = 4
tile = 160
halo = {halo}
fine_halo = 14
data = "none"
steps = 6
released = 2026-01-31

[{name}.scores]
"val, PSNR dB" = 40.5
"""


@pytest.fixture
def directory(small_model_path: Path, tmp_path: Path) -> Path:
    """A weights directory with one model, "mine"."""
    content = small_model_path.read_bytes()
    (tmp_path / "mine.onnx").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "models.toml").write_text(
        CARD.format(name="mine", file="mine.onnx", sha256=sha256, halo=32)
    )
    return tmp_path


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


def test_onnx_runtime_leaves_and_reports_nothing(small_model_path: Path, tmp_path: Path) -> None:
    places = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "USERPROFILE", "LOCALAPPDATA", "TEMP")
    others = {k: v for k, v in os.environ.items() if k not in runtime._NO_TELEMETRY}
    code = "import sys, invdn; invdn.load(sys.argv[1], device='cpu')"
    subprocess.run(
        [sys.executable, "-c", code, small_model_path],
        env={**others, **dict.fromkeys(places, str(tmp_path))},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []


def test_model_by_name(directory: Path) -> None:
    model = load_model("mine", device="cpu", threads=1, directory=directory)
    info = model.info
    assert (info.name, info.version, info.halo, info.threads, info.device) == (
        "mine", "7", 32, 1, "cpu",
    )  # fmt: skip
    assert (info.data, info.steps, info.released) == ("none", 6, "2026-01-31")
    assert info.scores == {"val, PSNR dB": 40.5}
    image = np.random.default_rng(0).random((8, 12, 3), np.float32)
    assert model(image, 1.0).shape == image.shape
    np.testing.assert_allclose(model(image, 0.0), image, atol=1e-5)


def test_model_by_path(small_model_path: Path) -> None:
    for path in (small_model_path, str(small_model_path)):
        info = load_model(path, device="cpu", threads=1).info
        assert (info.name, info.version, info.licence) == ("small", "1.2", "CC0-1.0")
        assert (info.multiple, info.tile) == (4, 160)
        assert info.sha256 == hashlib.sha256(small_model_path.read_bytes()).hexdigest()
        assert info.parameters > 1000
        assert info.macs_per_pixel > 100


def test_shipped_models_are_listed_without_loading(directory: Path) -> None:
    info = shipped_models(directory)["mine"]
    assert (info.name, info.device, info.threads) == ("mine", "", 0)


def test_unknown_name(directory: Path) -> None:
    with pytest.raises(ModelError, match="no model 'yours': use one of these: mine") as error:
        load_model("yours", directory=directory)
    one_line(error)


def test_trained_weights_are_told_from_unknown_names(directory: Path) -> None:
    with pytest.raises(ModelError, match=r"invdn export mine\.safetensors -o MODEL\.onnx") as error:
        load_model("mine.safetensors", directory=directory)
    one_line(error)


def test_damaged_file(directory: Path) -> None:
    path = directory / "mine.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged.*pip install --force-reinstall invdn") as error:
        load_model("mine", directory=directory)
    one_line(error)


def test_missing_file(directory: Path) -> None:
    (directory / "mine.onnx").unlink()
    for model in ("mine", directory / "other.onnx", str(directory / "other.onnx")):
        with pytest.raises(ModelError, match="no model file") as error:
            load_model(model, directory=directory)
        one_line(error)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 50])
def test_not_a_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a usable ONNX model") as error:
        load_model(path, device="cpu")
    one_line(error)


def test_truncated_model(small_model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(small_model_path.read_bytes()[:-2000])
    with pytest.raises(ModelError) as error:
        load_model(path, device="cpu")
    one_line(error)


def test_somebody_elses_model(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", kind, [1])],
        [helper.make_tensor_value_info("y", kind, [1])],
    )
    path = tmp_path / "other.onnx"
    opsets = [helper.make_opsetid("", 18)]
    path.write_bytes(
        helper.make_model(graph, ir_version=10, opset_imports=opsets).SerializeToString()
    )
    with pytest.raises(ModelError, match="not a model of invdn: it takes x and gives y") as error:
        load_model(path, device="cpu")
    one_line(error)


@pytest.mark.parametrize(
    ("change", "message"),
    [("missing", "does not say its halo"), ("malformed", "malformed description")],
)
def test_description_that_is_not_complete(
    small_model_path: Path, tmp_path: Path, change: str, message: str
) -> None:
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(small_model_path)
    for entry in proto.metadata_props:
        if entry.key == "halo":
            entry.value = "wide"
            if change == "missing":
                entry.key = "else"
    path = tmp_path / "changed.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=message) as error:
        load_model(path, device="cpu")
    one_line(error)


def test_malformed_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*models\.toml"):
        shipped_models(tmp_path)
    (tmp_path / "models.toml").write_text("[photo")
    with pytest.raises(ModelError, match="malformed") as error:
        shipped_models(tmp_path)
    one_line(error)


def test_cuda_that_is_not_installed(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ModelError, match="pip install onnxruntime-gpu") as error:
        load_model(small_model_path, device="cuda")
    one_line(error)


def test_openvino_that_is_not_installed(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"pip install 'invdn\[openvino\]'") as error:
        load_model(small_model_path, device="openvino")
    one_line(error)


def test_cuda_that_is_installed_but_does_not_work(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime then falls back to the CPU by itself: fine for "auto", not for "cuda"."""
    import onnxruntime

    real = onnxruntime.InferenceSession

    def without_driver(content: bytes, options: object, providers: object) -> object:
        return real(content, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_driver)
    monkeypatch.setattr(runtime, "_remember", lambda known: None)
    assert load_model(small_model_path, device="auto").info.device == "cpu"
    with pytest.raises(ModelError, match="cuda does not work here") as error:
        load_model(small_model_path, device="cuda")
    one_line(error)


def test_auto_is_the_fastest_and_is_remembered(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import onnxruntime

    seconds = {"cpu": 2.0, "cuda": 1.0}
    tests: list[str] = []

    def measured(model: Model) -> float:
        tests.append(model.info.device)
        return seconds[model.info.device]

    def load() -> str:
        return load_model(small_model_path, threads=1).info.device

    real = runtime._open_session
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    providers = list(runtime._PROVIDERS.values())
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(runtime, "_open_session", lambda c, p, device, *n: real(c, p, "cpu", *n))
    # All of them are the CPU here, which has no memory of a GPU to give back.
    monkeypatch.setattr(runtime, "_shrink_after_run", lambda device: None)
    monkeypatch.setattr(runtime, "_seconds_for_a_tile", measured)
    assert load() == load() == "cuda"
    assert sorted(tests) == ["cpu", "cuda"]  # once
    monkeypatch.setattr(onnxruntime, "__version__", "99.0")
    assert load() == "cuda"
    assert len(tests) == 4  # another version: tested again
    providers.remove(runtime._PROVIDERS["cuda"])
    assert load() == "cpu"
    (tmp_path / "invdn" / "devices.json").write_text("[damaged")
    assert load() == "cpu"
    # OpenVINO takes part where it is installed, and its version counts too.
    monkeypatch.setattr(runtime, "_openvino_to_try", lambda: "2026.1")
    seconds["openvino"] = 0.5
    tests.clear()
    assert load() == load() == "openvino"
    assert sorted(tests) == ["cpu", "openvino"]
    monkeypatch.setattr(runtime, "_openvino_to_try", lambda: "2026.2")
    seconds["openvino"] = 3.0
    assert load() == load() == "cpu"
    assert len(tests) == 4
    # What is hardly faster does not pay for its memory.
    monkeypatch.setattr(runtime, "_openvino_to_try", lambda: "2026.3")
    seconds["openvino"] = 1.9
    assert load() == "cpu"


def test_a_device_that_worked_once_and_no_longer_does_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def on(device: str) -> Any:
        if device == "cuda":
            raise ModelError("its driver is missing")
        return device

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(runtime, "_seconds_for_a_tile", lambda model: 1.0)
    runtime._remember({"this": "cuda", "another": "cuda"})
    assert runtime._fastest(on, ["cpu", "cuda"], "this") == "cpu"
    assert runtime._remembered() == {"this": "cpu", "another": "cuda"}
    (tmp_path / "invdn" / "devices.json").write_text("[1]")
    assert runtime._remembered() == {}
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):  # where nothing can be written
        monkeypatch.setenv(name, str(tmp_path / "invdn" / "devices.json"))
    assert runtime._fastest(on, ["cpu", "cuda"], "this") == "cpu"


@pytest.mark.parametrize("first", ["", "import torch; "])
def test_auto_does_not_try_openvino_beside_pytorch(first: str) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("the package openvino is not installed")
    code = f"{first}from invdn import runtime; print(runtime._openvino_to_try())"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    expected = None if first else importlib.metadata.version("openvino")
    assert found.stdout.strip() == str(expected)


def test_a_folder_called_openvino_is_not_the_package(tmp_path: Path) -> None:
    (tmp_path / "openvino").mkdir()
    code = (
        "import importlib.metadata as m, sys; real = m.version\n"
        "def version(name):\n"
        "    if name == 'openvino': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version; from invdn import runtime; print(runtime._openvino_to_try())"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=True, cwd=tmp_path
    )
    assert found.stdout.strip() == "None"


def test_the_self_test_takes_time(small_model_path: Path) -> None:
    model = load_model(small_model_path, device="cpu", threads=1)
    assert 0 < runtime._seconds_for_a_tile(model) < 60


def test_onnxruntime_that_is_not_installed(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match="pip install onnxruntime") as error:
        load_model(small_model_path)
    one_line(error)


def test_wrong_arguments(small_model_path: Path) -> None:
    with pytest.raises(ValueError, match="device must be one of auto, cpu, cuda, openvino"):
        load_model(small_model_path, device="tpu")
    for threads in (0, 1.5):
        message = f"threads must be a whole number of at least 1, not {threads}"
        with pytest.raises(ValueError, match=message):
            load_model(small_model_path, threads=threads)  # type: ignore[arg-type]


def test_failure_while_running_is_one_line(small_model_path: Path) -> None:
    model = load_model(small_model_path, device="cpu", threads=1)
    with pytest.raises(ModelError, match="small failed on a tile of 7×5 pixels on cpu") as error:
        model(np.zeros((5, 7, 3), np.float32), 1.0)  # not a multiple of 4
    one_line(error)


def test_model_whose_output_is_not_a_number_is_refused() -> None:
    info = SimpleNamespace(name="bad", multiple=4, latent_channels=0, fine_halo=0, device="cpu")
    session = SimpleNamespace(
        run=lambda names, feed, options: [feed["image"] * np.nan],
        get_inputs=lambda: [SimpleNamespace(name="image", shape=[1, 3, "h", "w"])],
    )
    with pytest.raises(ModelError, match="bad does not work on cpu"):
        runtime._warm_up(Model(session, None, info))  # type: ignore[arg-type]


def test_default_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime.default_threads() >= 1
    monkeypatch.setattr(runtime, "_physical_cores", lambda: 64)
    monkeypatch.setattr(runtime, "_cgroup_cpus", lambda: 3)
    assert runtime.default_threads() == 3
    monkeypatch.setattr(runtime, "_cgroup_cpus", lambda: 0)
    assert runtime.default_threads() == 1


def test_half_of_a_core_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    monkeypatch.setattr(runtime, "Path", lambda _: limit)
    for text, cores in (("50000 100000", 1), ("250000 100000", 3), ("max 100000", sys.maxsize)):
        limit.write_text(text)
        assert runtime._cgroup_cpus() == cores


@pytest.mark.parametrize(
    "kept", [None, (slice(13, 150), slice(60, 90)), (slice(0, 99), slice(7, 240))]
)
def test_the_parts_of_the_second_graph_do_not_show(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch, kept: tuple[slice, slice] | None
) -> None:
    """They see all that there is to see: equal up to rounding, not only within a grey level."""
    model = load_model(small_model_path, device="cpu", threads=1)
    image = np.random.default_rng(0).random((160, 240, 3), np.float32)
    whole = model(image, 1.0)
    assert np.abs(whole - image).max() > 0.1
    runs = []
    monkeypatch.setattr(runtime, "FINE_TILE_PX", 80)
    monkeypatch.setattr(Model, "_run", lambda *a, run=Model._run: runs.append(a) or run(*a))
    found = model(image, 1.0, kept=kept)
    assert len(runs) > (6 if kept is None else 2)
    np.testing.assert_allclose(found, whole[kept or ...], atol=2e-6)


@pytest.mark.parametrize("sparing", [False, True])
def test_tiles_take_turns_in_the_first_graph_only(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch, sparing: bool
) -> None:
    """Two tiles at once: are both of them in the first graph, and is the second one free?"""
    model = load_model(small_model_path, device="cpu", threads=2)
    image = np.random.default_rng(0).random((96, 80, 3), np.float32)
    right = model(image, 1.0)
    inside, together = [], set()

    def run(self: Model, session: object, outputs: list[str], *rest: Any) -> Any:
        inside.append(outputs[0])
        time.sleep(0.05)  # for the other thread to arrive
        together.add(tuple(sorted(inside)))
        try:
            return real(self, session, outputs, *rest)
        finally:
            inside.remove(outputs[0])

    real = Model._run
    monkeypatch.setattr(Model, "_run", run)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(model, image, 1.0, shared=True, sparing=sparing) for _ in range(6)]
        for call in calls:
            np.testing.assert_allclose(call.result(), right, atol=2e-6)
    assert (("coarse", "coarse") in together) == (not sparing)
    assert {("coarse", "restored"), ("restored", "restored")} & together


def test_memory_goes_back_after_the_last_tile_and_not_before() -> None:
    class Session:
        def __init__(self) -> None:
            self.runs: list[object] = []

        def get_inputs(self) -> list[SimpleNamespace]:
            image = SimpleNamespace(name="image", shape=[1, 3, "height", "width"])
            return [image, SimpleNamespace(name="strength", shape=[])]

        def run(self, _: object, feed: dict[str, np.ndarray], options: object) -> list[np.ndarray]:
            self.runs.append(options)
            return [feed["image"]]

    info = ModelInfo(
        "fake", "1", "CC0-1.0", 0, 0, multiple=8, tile=128, halo=16, sha256="", device="cpu",
        threads=2,
    )  # fmt: skip
    own, shared = Session(), Session()
    model = Model(own, "give back", info, lambda: shared)
    image = np.zeros((8, 8, 3), np.float32)
    model(image, 1.0)
    assert own.runs == [None]
    model(image, 1.0, last=True)
    assert own.runs == [None, None, "give back"]
    with model._session_for(shared=True, last=False):  # another tile, which takes longer
        model(image, 1.0, shared=True, last=True)
        assert shared.runs == [None]
    assert shared.runs == [None, "give back"]
    model(image, 1.0, shared=True)
    assert shared.runs == [None, "give back", None]
    assert len(own.runs) == 3


def test_threads_do_not_change_the_result(small_model_path: Path) -> None:
    image = np.random.default_rng(0).random((96, 80, 3), np.float32)
    one = load_model(small_model_path, device="cpu", threads=1)(image, 1.0)
    two = load_model(small_model_path, device="cpu", threads=2)(image, 1.0)
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_shipped_cards_agree_with_their_files() -> None:
    """What models.toml says of a model is what its file says of itself."""
    for name, card in shipped_models().items():
        by_name = load_model(name, device="cpu", threads=1).info
        file = load_model(runtime._find(name, runtime.WEIGHTS)[0], device="cpu", threads=1).info
        for field in ("version", "licence", "parameters", "macs_per_pixel", "multiple", "tile",
                      "halo", "sha256"):  # fmt: skip
            assert getattr(by_name, field) == getattr(file, field) == getattr(card, field), field
