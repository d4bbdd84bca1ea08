"""The device "openvino": as ONNX Runtime up to bfloat16, and exact where it must be."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from invdn import openvino_session, runtime
from invdn.denoiser import Denoiser, load_denoiser
from invdn.openvino_session import ESTIMATES, OpenVinoSession
from invdn.runtime import ModelError, load_model

# Not importorskip: only our own way of importing it is silent.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the package openvino is not installed"
)


@pytest.fixture(scope="module")
def photo() -> Denoiser:
    return load_denoiser("photo", device="openvino", threads=1)


def noisy(height: int, width: int, sigma: float = 20) -> np.ndarray:
    """Squares of colour with noise, uint8."""
    rng = np.random.default_rng(0)
    squares = rng.integers(30, 225, (height // 32 + 1, width // 32 + 1, 3))
    clean = squares.repeat(32, axis=0).repeat(32, axis=1)[:height, :width]
    return np.clip(clean + sigma * rng.standard_normal(clean.shape), 0, 255).astype(np.uint8)


def levels(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How far apart two pictures are, grey levels."""
    scale = 255 if first.dtype.kind == "f" else 1
    return np.abs(first.astype(np.float64) - second) * scale


def test_as_onnx_runtime(photo: Denoiser) -> None:
    image = noisy(200, 333).astype(np.float32) / 255
    found = photo(image)
    apart = levels(found, load_denoiser("photo", device="cpu", threads=1)(image))
    assert levels(found, image).mean() > 5
    assert apart.mean() < (0.2 if photo.info.precision == "bfloat16" else 0.001)
    assert apart.max() < (4 if photo.info.precision == "bfloat16" else 0.1)


@pytest.mark.parametrize("bits", [8, 16])
def test_strength_0_is_the_identity(photo: Denoiser, bits: int) -> None:
    image = noisy(150, 201, sigma=40)
    image = image if bits == 8 else image.astype(np.uint16) * 257 + 3
    np.testing.assert_array_equal(photo(image, strength=0), image)


def test_tiles_do_not_show(photo: Denoiser) -> None:
    image = noisy(500, 620)
    small = Denoiser(photo._model, tile=448)
    assert len(small._plan(500, 620)) > 1
    assert levels(small(image), photo(image)).max() <= 1


@pytest.mark.parametrize("width", [240, 244, 64])
def test_the_parts_of_the_second_graph_do_not_show(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    model = load_model(small_model_path, device="openvino", threads=1)
    image = np.random.default_rng(0).random((160, width, 3), np.float32)
    whole = model(image, 1.0)
    shapes = []
    run = OpenVinoSession.run

    def noted(self: OpenVinoSession, outputs, feed, options=None):  # type: ignore[no-untyped-def]
        if list(outputs) == ["restored"]:
            shapes.append(feed["detail_part"].shape)
        return run(self, outputs, feed, options)

    monkeypatch.setattr(OpenVinoSession, "run", noted)
    monkeypatch.setattr(runtime, "FINE_TILE_PX", 80)
    np.testing.assert_allclose(model(image, 1.0), whole, atol=1e-3)
    assert len(shapes) > 1
    assert all(shape[3] % openvino_session.WIDTH_MULTIPLE == 0 for shape in shapes)


def test_two_at_once_as_one(small_model_path: Path) -> None:
    """Each of several threads has results of its own."""
    image = noisy(400, 500)
    one = load_denoiser(small_model_path, device="openvino", threads=1)
    two = load_denoiser(small_model_path, device="openvino", threads=2)
    assert (one.info.at_once, two.info.at_once) == (1, 2)
    assert levels(two(image), one(image)).max() <= 1


def test_only_estimates_are_in_bfloat16(small_model_path: Path) -> None:
    """Whatever the processor has: this is the graph that is compiled where it computes so.

    What is picked of estimates is in it too.
    """
    openvino = openvino_session._import_openvino()
    session = OpenVinoSession(small_model_path.read_bytes(), 1)
    image = np.zeros((1, 1, 32, 96), np.float32)
    model = session._part(["coarse", "detail"], {"image": image, "strength": np.zeros(())})
    openvino_session._pick_by_convolutions(model)
    openvino_session._estimate_in_bfloat16(model)
    kinds = defaultdict[str, set[str]](set)
    for node in model.get_ops():
        if node.get_type_name() == "Convolution":
            weights = node.input_value(1).get_node()
            while weights.get_type_name() == "Convert":
                weights = weights.input_value(0).get_node()
            name = weights.get_friendly_name()
            kind = "estimate" if name.startswith(ESTIMATES) else name.split(".")[0].split("_")[0]
            kinds[kind].add(node.get_output_element_type(0).to_string())
    assert kinds == {"estimate": {"bf16"}, "levels": {"f32"}, "picking": {"bf16", "f32"}}
    assert not any(node.get_type_name() in ("Slice", "Split") for node in model.get_ops())
    assert {value.element_type for value in model.outputs} == {openvino.Type.f32}


def test_where_there_is_no_bfloat16(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = openvino_session._import_openvino()
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: openvino.Type.f32)
    in_float32 = load_denoiser(small_model_path, device="openvino", threads=1)
    assert in_float32.info.precision == "float32"
    image = noisy(96, 112)
    expected = load_denoiser(small_model_path, device="cpu", threads=1)(image)
    assert levels(in_float32(image), expected).max() <= 1


def test_memory_is_given_back_and_taken_again(small_model_path: Path) -> None:
    session = OpenVinoSession(small_model_path.read_bytes(), 1)
    image = np.random.default_rng(0).random((1, 1, 32, 96), np.float32)
    feed = {"image": image, "strength": np.ones((), np.float32)}
    before = [value.copy() for value in session.run(["coarse", "detail"], feed)]
    session.release_memory()
    for first, second in zip(before, session.run(["coarse", "detail"], feed), strict=True):
        np.testing.assert_array_equal(first, second)


def test_few_graphs_are_kept(small_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_session, "KEPT_GRAPHS", 2)
    session = OpenVinoSession(small_model_path.read_bytes(), 1)
    compiled = []
    compile_graph = OpenVinoSession._compiled
    monkeypatch.setattr(
        OpenVinoSession,
        "_compiled",
        lambda self, *a: compiled.append(a) or compile_graph(self, *a),
    )
    for height in (8, 12, 8, 16, 8, 12):  # 12 makes way for 16
        image = np.zeros((1, 1, height, 24), np.float32)
        session.run(["coarse", "detail"], {"image": image, "strength": np.ones((), np.float32)})
    assert len(compiled) == 4
    assert len(session._graphs) == 2


def test_not_a_model(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"bad\.onnx is not a usable ONNX model") as error:
        load_model(path, device="openvino")
    assert "\n" not in str(error.value)


def test_failure_while_running_is_one_line(small_model_path: Path) -> None:
    model = load_model(small_model_path, device="openvino", threads=1)
    with pytest.raises(ModelError, match="small failed on a tile of 7×5 pixels on openvino") as e:
        model(np.zeros((5, 7, 3), np.float32), 1.0)  # not a multiple of 4
    assert "\n" not in str(e.value)


def test_nobody_is_told(small_model_path: Path) -> None:
    """OpenVINO would report its import over the network, by way of another package."""
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('the network was used')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from invdn.openvino_session import OpenVinoSession\n"
        f"OpenVinoSession(open({str(small_model_path)!r}, 'rb').read(), 1)\n"
        "print([name for name in sys.modules if 'openvino_telemetry' in name])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.stdout == "[]\n", found.stderr
