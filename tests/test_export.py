"""Export: the file, its description, the parity check, the halo, what is refused."""

from __future__ import annotations

import copy
import datetime
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
safetensors_torch = pytest.importorskip("safetensors.torch")

from invdn import export  # noqa: E402
from invdn.export import (  # noqa: E402
    ExportError,
    check_parity,
    export_checkpoint,
    export_network,
    measure_halo,
    model_card,
    receptive_radius,
)
from invdn.net.invdn import InvDN, LevelConfig  # noqa: E402
from invdn.runtime import load_model, shipped_models  # noqa: E402


@pytest.fixture(autouse=True)
def no_repeated_work(monkeypatch: pytest.MonkeyPatch, small_model_path: Path) -> None:
    """Every export here is of the same network: take the graph from the first one."""

    def graph(net: InvDN) -> onnx.ModelProto:
        model = onnx.load(small_model_path)
        del model.metadata_props[:]
        return model

    monkeypatch.setattr(export, "to_onnx", graph)
    monkeypatch.setattr(export, "measure_halo", lambda net: 32)


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def save(net: InvDN, path: Path, **fields: str) -> Path:
    safetensors_torch.save_file(net.state_dict(), path, metadata=fields)
    return path


# --- the file --------------------------------------------------------------------------------


def test_the_file_describes_itself(small_net: InvDN, small_model_path: Path) -> None:
    fields = metadata(small_model_path)
    assert fields == {
        "name": "small",
        "version": "1.2",
        "licence": "CC0-1.0",
        "parameters": str(sum(p.numel() for p in small_net.parameters())),
        "macs_per_pixel": str(round(small_net.macs_per_pixel())),
        "multiple": "4",
        "tile": "160",
        "halo": fields["halo"],
    }
    assert 0 < int(fields["halo"]) <= receptive_radius(small_net) + 3
    assert int(fields["halo"]) % 4 == 0


def test_the_graph_is_clean(small_net: InvDN, small_model_path: Path) -> None:
    """Only arithmetic, no computing of shapes; no paths of the machine that made it."""
    model = onnx.load(small_model_path)
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Shape", "Gather", "Reshape", "If", "Loop", "Cast", "Constant"}
    assert not model.functions
    assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx"}
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert str(Path.cwd()).encode() not in small_model_path.read_bytes()
    weights = sum(p.numel() for p in small_net.parameters())
    assert small_model_path.stat().st_size < 4 * weights + 60_000


def test_batches_and_any_size(small_net: InvDN, small_model_path: Path) -> None:
    model = load_model(small_model_path, device="cpu", threads=1)
    for size in ((1, 3, 4, 4), (3, 3, 8, 40), (2, 3, 100, 36)):
        image = torch.rand(size)
        expected = export._denoise(small_net, image, 0.8).numpy()
        np.testing.assert_allclose(model(image.numpy(), 0.8), expected, atol=1e-5)


def test_the_network_is_not_changed(small_net: InvDN, tmp_path: Path) -> None:
    before = {key: value.clone() for key, value in small_net.state_dict().items()}
    small_net.train()
    export_network(small_net, tmp_path / "a.onnx", name="a")
    assert small_net.training
    small_net.eval()
    for key, value in small_net.state_dict().items():
        assert torch.equal(value, before[key])


# --- checkpoints -----------------------------------------------------------------------------


def test_checkpoint(small_net: InvDN, tmp_path: Path) -> None:
    checkpoint = save(
        small_net, tmp_path / "c.safetensors", name="tiny", version="3", licence="MIT", steps="9"
    )
    output = tmp_path / "out.onnx"
    summary = export_checkpoint(checkpoint, output)
    assert "\n" not in summary
    assert "tiny" in summary
    fields = metadata(output)
    assert (fields["name"], fields["version"], fields["licence"]) == ("tiny", "3", "MIT")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.safetensors", "out.onnx"]


def test_checkpoint_without_metadata_is_named_after_the_output(
    small_net: InvDN, tmp_path: Path
) -> None:
    checkpoint = save(small_net, tmp_path / "c.safetensors")
    export_checkpoint(checkpoint, tmp_path / "mine.onnx")
    assert metadata(tmp_path / "mine.onnx")["name"] == "mine"


def test_existing_output_is_only_replaced_if_asked(small_net: InvDN, tmp_path: Path) -> None:
    checkpoint = save(small_net, tmp_path / "c.safetensors")
    output = tmp_path / "out.onnx"
    output.write_text("precious")
    with pytest.raises(ExportError, match="exists already"):
        export_checkpoint(checkpoint, output)
    assert output.read_text() == "precious"
    export_checkpoint(checkpoint, output, overwrite=True)
    assert metadata(output)["name"] == "out"


class Mischief:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle was executed",))


def test_what_is_not_a_checkpoint(small_net: InvDN, tmp_path: Path) -> None:
    def refused(name: str, message: str, content: bytes | None = None) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ExportError, match=message) as error:
            export_checkpoint(path, tmp_path / "out.onnx")
        assert "\n" not in str(error.value)
        assert not (tmp_path / "out.onnx").exists()

    refused("missing.safetensors", "there is no checkpoint")
    refused("empty.safetensors", "not a readable checkpoint", b"")
    refused("other.txt", "a .safetensors or .pth file is expected", b"hello")
    refused("evil.pt", "damaged, or holds more than tensors", pickle.dumps(Mischief()))
    refused("evil.safetensors", "not a readable checkpoint", pickle.dumps(Mischief()))
    safetensors_torch.save_file({"weight": torch.zeros(3)}, tmp_path / "alien.safetensors")
    refused("alien.safetensors", "not the weights of an InvDN")
    state = small_net.state_dict()
    state.pop("levels.1.couplings.0.gh.2.bias")
    safetensors_torch.save_file(state, tmp_path / "partial.safetensors")
    refused("partial.safetensors", "does not fit the network: Missing key")


def test_output_folder_that_is_not_there(small_net: InvDN, tmp_path: Path) -> None:
    checkpoint = save(small_net, tmp_path / "c.safetensors")
    with pytest.raises(ExportError, match="there is no folder"):
        export_checkpoint(checkpoint, tmp_path / "nowhere" / "out.onnx")


# --- parity ----------------------------------------------------------------------------------


def test_parity_is_close(small_net: InvDN, small_model_path: Path) -> None:
    assert check_parity(small_model_path, small_net) < 1e-5


@pytest.mark.parametrize("damage", [1e-2, float("nan")])
def test_a_graph_that_was_tampered_with_is_not_left_behind(
    small_net: InvDN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: float
) -> None:
    honest = export.to_onnx

    def tampered(net: InvDN) -> onnx.ModelProto:
        model = honest(net)
        bias = next(i for i in model.graph.initializer if i.name.endswith("conv_out.bias"))
        values = onnx.numpy_helper.to_array(bias) + np.float32(damage)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return model

    monkeypatch.setattr(export, "to_onnx", tampered)
    output = tmp_path / "out.onnx"
    with pytest.raises(ExportError, match="the exported model is wrong"):
        export_network(small_net, output, name="bad")
    output.write_text("precious")
    with pytest.raises(ExportError, match="the exported model is wrong"):
        export_network(small_net, output, name="bad", overwrite=True)
    assert output.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [output]


# --- halo ------------------------------------------------------------------------------------


def test_receptive_radius_is_where_gradients_end(small_net: InvDN) -> None:
    net = copy.deepcopy(small_net).double()
    radius = receptive_radius(net)
    middle = 2 * radius
    image = torch.rand(1, 3, 4, 2 * middle, dtype=torch.double, requires_grad=True)
    block = net.denoise(image)[..., middle : middle + net.multiple]
    (gradient,) = torch.autograd.grad(block.sum(), image)
    reach = torch.nonzero(gradient.abs().amax((0, 1, 2)))[:, 0]
    assert max(middle - reach.min(), reach.max() - (middle + net.multiple - 1)) == radius


def test_halo_keeps_what_it_promises(small_net: InvDN) -> None:
    halo = measure_halo(small_net)
    torch.manual_seed(1)
    image = torch.rand(1, 3, 64, 160)
    whole = export._denoise(small_net, image)
    cut = export._denoise(small_net, image[..., 40:])
    difference = (cut - whole[..., 40:]).abs().amax((0, 1, 2))
    assert difference[halo:].max() < 1 / 255
    assert difference[:4].max() > 1 / 255  # a border does matter


def test_halo_of_a_wavelet_transform_is_zero() -> None:
    """With the last layers at zero no pixel sees its neighbours."""
    net = InvDN((LevelConfig(1, 4, 6, 4, 1),))
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith((".2.weight", "conv_out.weight")):
                parameter.zero_()
    assert measure_halo(net) == 0


# --- the card --------------------------------------------------------------------------------


def test_card_can_be_pasted(small_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(small_model_path.read_bytes())
    card = model_card(
        tmp_path / "small.onnx",
        data='photos "of cats"',
        steps=1000,
        scores={"val/polyu, PSNR dB": 40.25},
        released=datetime.date(2026, 1, 31),
    )
    (tmp_path / "models.toml").write_text(card)
    listed = shipped_models(tmp_path)["small"]
    loaded = load_model("small", device="cpu", threads=1, directory=tmp_path).info
    own = load_model(small_model_path, device="cpu", threads=1).info
    assert (listed.data, listed.steps, listed.released) == ('photos "of cats"', 1000, "2026-01-31")
    assert listed.scores == {"val/polyu, PSNR dB": 40.25}
    for field in ("version", "licence", "parameters", "macs_per_pixel", "tile", "halo", "sha256"):
        assert getattr(listed, field) == getattr(loaded, field) == getattr(own, field)
