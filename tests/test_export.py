"""Export: the file, its description, the parity check, the halo, what is refused."""

from __future__ import annotations

import copy
import datetime
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
safetensors_torch = pytest.importorskip("safetensors.torch")

from invdn import export, images  # noqa: E402
from invdn.cli import app  # noqa: E402
from invdn.denoiser import load_denoiser  # noqa: E402
from invdn.ensembles import Ensemble  # noqa: E402
from invdn.export import (  # noqa: E402
    ExportError,
    check_parity,
    export_checkpoint,
    export_network,
    measure_halo,
    model_card,
    receptive_radius,
)
from invdn.net.ensemble import denoise_ensemble  # noqa: E402
from invdn.net.invdn import InvDN, LevelConfig  # noqa: E402
from invdn.net.paper import PaperInvDN  # noqa: E402
from invdn.runtime import load_model, shipped_models  # noqa: E402

REAL_TO_ONNX = export.to_onnx


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
        "fine_halo": "14",  # conv_in, a pair and conv_out, F, the lifting step: 7 half pixels
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


def test_any_size(small_net: InvDN, small_model_path: Path) -> None:
    model = load_model(small_model_path, device="cpu", threads=1)
    for size in ((1, 3, 4, 4), (1, 3, 8, 40), (1, 3, 100, 36)):
        image = torch.rand(size)
        expected = export._denoise(small_net, image, 0.8)[0].permute(1, 2, 0).numpy()
        found = model(image[0].permute(1, 2, 0).contiguous().numpy(), 0.8)
        np.testing.assert_allclose(found, expected, atol=1e-5)


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


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("posteriors.0.conv_in.weight", lambda x: x.sum(), "conv_in.weight has 0 dimensions"),
        ("posteriors.1.conv_out.weight", lambda x: x.sum(), "conv_out.weight has 0 dimensions"),
        ("levels.1.couplings.0.f.0.weight", lambda x: x[0], "weight has 3 dimensions, not 4"),
        ("levels.1.couplings.0.f.0.bias", lambda x: x.sum(), "does not fit the network"),
        ("posteriors.0.conv_in.weight", lambda x: x + 1j, "conv_in.weight is complex64, not float"),
        ("posteriors.0.conv_in.bias", lambda x: x.int(), "conv_in.bias is int32, not floats"),
    ],
)
def test_weights_that_are_no_networks(
    small_net: InvDN, tmp_path: Path, key: str, change: Any, message: str
) -> None:
    state = small_net.state_dict()
    state[key] = change(state[key])
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(ExportError, match=message) as error:
        export_checkpoint(tmp_path / "broken.pth", tmp_path / "out.onnx")
    assert "\n" not in str(error.value)


def test_a_pytorch_file_without_names(small_net: InvDN, tmp_path: Path) -> None:
    torch.save(dict(enumerate(small_net.state_dict().values())), tmp_path / "c.pth")
    with pytest.raises(ExportError, match="names and tensors and nothing else"):
        export_checkpoint(tmp_path / "c.pth", tmp_path / "out.onnx")


def test_output_folder_that_is_not_there(small_net: InvDN, tmp_path: Path) -> None:
    checkpoint = save(small_net, tmp_path / "c.safetensors")
    with pytest.raises(ExportError, match="there is no folder"):
        export_checkpoint(checkpoint, tmp_path / "nowhere" / "out.onnx")


def test_pytorch_file_with_nothing_but_tensors(small_net: InvDN, tmp_path: Path) -> None:
    torch.save(small_net.state_dict(), tmp_path / "c.pth")
    assert "licence unknown" in export_checkpoint(tmp_path / "c.pth", tmp_path / "out.onnx")
    torch.save({"net": small_net.state_dict()}, tmp_path / "nested.pt")
    with pytest.raises(ExportError, match="names and tensors and nothing else"):
        export_checkpoint(tmp_path / "nested.pt", tmp_path / "other.onnx")
    torch.save({"net": small_net.state_dict(), "optimisers": {}}, tmp_path / "run.pt")
    with pytest.raises(ExportError, match=r"give weights\.safetensors"):
        export_checkpoint(tmp_path / "run.pt", tmp_path / "other.onnx")


# --- the published network -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def published_state() -> dict[str, torch.Tensor]:
    """The keys and shapes of the authors' checkpoint, and random numbers."""
    torch.manual_seed(0)
    net = PaperInvDN()
    haar = {f"module.operations.{i}.haar_weights": torch.ones(12, 1, 2, 2) for i in (0, 9)}
    return haar | {f"module.{name}": value for name, value in net.state_dict().items()}


@pytest.fixture(scope="module")
def paper_path(
    published_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What ``invdn export InvDN_ResUnit_x4.pth -o paper.onnx`` writes; takes half a minute."""
    folder = tmp_path_factory.mktemp("paper")
    torch.save(published_state, folder / "InvDN_ResUnit_x4.pth")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(export, "to_onnx", REAL_TO_ONNX)
        monkeypatch.setattr(export, "measure_halo", lambda net: 64)
        export_checkpoint(folder / "InvDN_ResUnit_x4.pth", folder / "paper.onnx")
    return folder / "paper.onnx"


def published_net(state: dict[str, torch.Tensor]) -> PaperInvDN:
    net = PaperInvDN()
    net.load_published(state)
    return net


def test_published_checkpoint_describes_itself(paper_path: Path) -> None:
    info = load_model(paper_path, device="cpu", threads=1).info
    assert (info.name, info.licence) == ("paper", "unknown")
    assert (info.parameters, info.macs_per_pixel) == (2_640_960, 725_409)
    assert (info.multiple, info.latent_channels) == (4, 45)
    result = CliRunner().invoke(app, ["info", str(paper_path)])
    for row in ("paper", "2,640,960", "725,409", "unknown", "45 channels"):
        assert row in result.stdout


def test_published_network_in_onnx_runtime(
    paper_path: Path, published_state: dict[str, torch.Tensor]
) -> None:
    net = published_net(published_state)
    assert check_parity(paper_path, net) < 1e-4
    image = np.random.default_rng(0).random((16, 24, 3), np.float32)
    options = {"samples": 2, "ensemble": True, "seed": 3}
    restored = load_denoiser(paper_path, device="cpu", threads=1)(image, **options)
    y = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = denoise_ensemble(net, y, Ensemble(2, 8, 3)).clamp(0, 1)[0].permute(1, 2, 0)
    np.testing.assert_allclose(restored, expected.numpy(), atol=1e-4)
    assert np.abs(restored - image).max() > 0.1


def test_published_network_on_the_command_line(paper_path: Path, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 255, (19, 22, 3), np.uint8, endpoint=True)
    images.write(images.Photo(pixels, "png"), photo)

    def run(folder: str, *options: object) -> Any:
        arguments = ["denoise", photo, "-o", tmp_path / folder, "--model", paper_path, *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    options = ["--threads", 1, "--samples", 2, "--ensemble", "--seed", 5]
    assert run("out", *options).exit_code == 0
    den = load_denoiser(paper_path, device="cpu", threads=1)
    expected = den(pixels, samples=2, ensemble=True, seed=5)
    np.testing.assert_array_equal(images.read(tmp_path / "out" / "a.png").pixels, expected)
    result = run("none", "--strength", 0.5)
    assert result.exit_code == 2
    assert result.stderr.startswith("invdn: paper has no strength")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_published_weights_as_safetensors(
    paper_path: Path,
    published_state: dict[str, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proto = onnx.load(paper_path)
    del proto.metadata_props[:]
    monkeypatch.setattr(export, "to_onnx", lambda net: proto)
    state = {k.removeprefix("module."): v for k, v in published_state.items()}
    safetensors_torch.save_file(state, tmp_path / "p.safetensors", metadata={"licence": "MIT"})
    assert "licence MIT" in export_checkpoint(tmp_path / "p.safetensors", tmp_path / "p.onnx")
    assert metadata(tmp_path / "p.onnx")["latent_channels"] == "45"
    state.pop("operations.3.G.conv1.bias")
    safetensors_torch.save_file(state, tmp_path / "q.safetensors")
    with pytest.raises(ExportError, match=r"published InvDN.*operations\.3\.G") as error:
        export_checkpoint(tmp_path / "q.safetensors", tmp_path / "q.onnx")
    assert "\n" not in str(error.value)


def test_halo_of_the_published_network(published_state: dict[str, torch.Tensor]) -> None:
    """Tiles see the same latent as the whole image: a cut only matters near it."""
    net = published_net(published_state)
    image = torch.rand(1, 3, 8, 48, generator=torch.Generator().manual_seed(0))
    profiles = list(export._differences_at_cuts(net, image))
    assert len(profiles) == 2  # left and right; a strip is not cut along its length
    for profile in profiles:
        assert profile[0] > 1 / 255
        assert profile[-4:].max() < profile[0] / 10


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


def test_a_network_of_no_numbers_is_refused(small_net: InvDN, tmp_path: Path) -> None:
    net = copy.deepcopy(small_net)
    with torch.no_grad():
        net.posteriors[0].conv_out.bias[3] = torch.nan
    checkpoint = save(net, tmp_path / "nan.safetensors")
    with pytest.raises(ExportError, match=r"no number, in posteriors\.0\.conv_out\.bias"):
        export_checkpoint(checkpoint, tmp_path / "nan.onnx")
    with pytest.raises(ExportError, match="or computes no numbers"):
        receptive_radius(net)


def test_receptive_radius_is_where_gradients_end(small_net: InvDN) -> None:
    net = copy.deepcopy(small_net).double()
    radius = receptive_radius(net)
    middle = 2 * radius
    image = torch.rand(1, 3, 4, 2 * middle, dtype=torch.double, requires_grad=True)
    block = net.denoise(image)[..., middle : middle + net.multiple]
    (gradient,) = torch.autograd.grad(block.sum(), image)
    reach = torch.nonzero(gradient.abs().amax((0, 1, 2)))[:, 0]
    reached = int(max(middle - reach.min(), reach.max() - (middle + net.multiple - 1)))
    # Not-a-numbers pass where a kernel has a zero, too: a bound, a few pixels from the truth.
    assert reached <= radius <= reached + 4 * net.multiple


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


def test_a_level_that_restores_what_it_keeps_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "to_onnx", REAL_TO_ONNX)
    torch.manual_seed(0)
    levels = (LevelConfig(1, 4, 6, 8, 1, hint=2, whole=True), LevelConfig(1, 4, 7, 8, 1, survey=3))
    net = InvDN(levels).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    export_network(net, tmp_path / "whole.onnx", name="whole")  # which checks it
    assert load_model(tmp_path / "whole.onnx", device="cpu", threads=1).info.fine_halo
