"""scripts/train_on_gpu.py: on the processor here, which takes the same steps."""

from __future__ import annotations

import copy
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from safetensors.torch import load_file, save_file

from invdn.config import DataConfig, TrainConfig
from invdn.data.patches import dihedral
from invdn.net.haar import SmoothHaar
from invdn.net.invdn import InvDN, LevelConfig
from invdn.net.losses import negative_psnr
from invdn.training.launch import keep_images_in_float32
from invdn.training.muon import ConvMuon
from samples import scene

torch = pytest.importorskip("torch")

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_on_gpu.py"
#: With sizes that are no multiples of 4.
SMALL = (LevelConfig(1, 4, 6, 6, 1, hint=2), LevelConfig(1, 5, 7, 5, 1, survey=3))
SETTINGS = """
run = "run"
learning_rate = 2e-3
optimiser = "muon"
[loss]
pixel = "psnr"
[data]
clean = ["clean"]
crop_px = 24
real_crops = 1
gaussian_crops = 1
vivid = 0.5
enlarged = 0.5
camera_crops = 2
[[data.pairs]]
folder = "pairs"
[[validation]]
name = "real"
folder = "pairs"
crop_px = 32
"""


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("train_on_gpu", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_on_gpu"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_crops_are_the_turned_squares_of_their_photos(script: Any) -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((9, 12), (7, 8))]
    flat = torch.from_numpy(np.concatenate([p.reshape(-1, 3) for p in photos]))
    corner = 108 + 1 * 8 + 2  # the second photo's row 1, column 2
    turned = [
        script.cut([flat], np.array([corner]), np.array([8]), np.array([turn]), 5)[0][0]
        for turn in range(8)
    ]
    square = photos[1][1:6, 2:7]
    wanted = {dihedral(square, turn).tobytes() for turn in range(8)}
    made = {(t * 255).round().byte().permute(1, 2, 0).numpy().tobytes() for t in turned}
    assert len(made) == 8
    assert made == wanted


def test_random_crops_of_a_pair_are_of_the_same_place(script: Any) -> None:
    rng = np.random.default_rng(0)
    clean = [rng.integers(0, 128, (h, w, 3), dtype=np.uint8) for h, w in ((20, 31), (16, 16))]
    photos = script.Photos([(2 * c, c) for c in clean], torch.device("cpu"))
    noisy, target = photos.draw(40, 16, rng)
    assert noisy.shape == (40, 3, 16, 16)
    assert torch.equal((noisy * 255).round(), (target * 255).round() * 2)
    squares = {c.tobytes() for c in (target * 255).round().byte().numpy()}
    assert len(squares) > 20


def test_the_flat_optimiser_takes_the_steps_of_the_plain_ones(script: Any) -> None:
    torch.manual_seed(0)
    config = TrainConfig("run", weight_decay=0.01, ema_decay=0.5)
    net = InvDN(SMALL)
    plain, average = copy.deepcopy(net), copy.deepcopy(net).requires_grad_(False)
    flat = script.FlatMuon(net, average, config)
    flat.rate.fill_(1e-2)
    convolutions = [p for p in plain.parameters() if p.ndim == 4]
    rest = [p for p in plain.parameters() if p.ndim != 4]
    optimisers = [
        ConvMuon(convolutions, 1e-2, config.weight_decay),
        torch.optim.AdamW(rest, lr=1e-2, weight_decay=config.weight_decay),
    ]
    mean = [p.detach().clone() for p in plain.parameters()]
    for _ in range(3):
        noisy, target = torch.rand(2, 2, 3, 16, 16)
        for network in (net, plain):
            network.zero_grad(set_to_none=True)
            negative_psnr(network.denoise(noisy), target).backward()
        flat.step()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), config.gradient_clip)
        for optimiser in optimisers:
            optimiser.step()
        mean = [m.lerp(p.detach(), 0.5) for m, p in zip(mean, plain.parameters(), strict=True)]
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    for ours, theirs in zip(average.parameters(), mean, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("channels", [3, 5])
def test_the_wavelets_as_sums_are_those_of_the_network(script: Any, channels: int) -> None:
    wavelet = SmoothHaar(channels)
    sums = copy.deepcopy(wavelet)
    keep_images_in_float32(sums, script.analysis, script.synthesis)
    x = torch.randn(2, channels, 8, 12)
    y = wavelet(x)
    torch.testing.assert_close(sums(x), y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sums.inverse(y), x, rtol=1e-5, atol=1e-5)
    y = torch.randn_like(y)
    torch.testing.assert_close(sums.inverse(y), wavelet.inverse(y), rtol=1e-5, atol=1e-5)


def test_weights_and_averages_lie_channels_last(script: Any) -> None:
    net, average = InvDN(SMALL), InvDN(SMALL).requires_grad_(False)
    script.FlatMuon(net, average, TrainConfig("run"))
    weights = [p for n in (net, average) for p in n.parameters() if p.ndim == 4]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


def test_a_gradient_that_is_no_number_moves_no_weight(script: Any) -> None:
    net = InvDN(SMALL)
    config = TrainConfig("run", weight_decay=0.01)
    flat = script.FlatMuon(net, copy.deepcopy(net).requires_grad_(False), config)
    flat.rate.fill_(1e-2)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    flat.step()  # which leaves a momentum
    before = copy.deepcopy(net.state_dict())
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    flat.step()
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_rate_rises_stays_and_falls_to_nothing(script: Any) -> None:
    rates = [script.rate_at(t, 1.0, 0.5) for t in (0.0, 0.01, 0.02, 0.49, 0.75, 1.0, 1.1)]
    assert rates == [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]


def test_batches_may_lack_white_noise(script: Any) -> None:
    class Few:
        def draw(self, number: int, crop_px: int, _: object) -> list[torch.Tensor]:
            return [torch.ones(number, 3, crop_px, crop_px)] * 2

    config = DataConfig(crop_px=24, real_crops=0, gaussian_crops=0, camera_crops=2)
    crops = script.Crops(config, [], Few(), None, Few(), torch.Generator())
    assert [part.shape[0] for part in crops.batch(np.random.default_rng(0))] == [2, 2]


def make_photos(folder: Path) -> None:
    """Two clean photos, and two pairs of which one is smaller than a crop."""
    sizes = {"clean": [(80, 90), (80, 91)], "pairs/clean": [(80, 90), (20, 90)]}
    sizes["pairs/noisy"] = sizes["pairs/clean"]
    for name, found in sizes.items():
        (folder / name).mkdir(parents=True)
        for number, (height, width) in enumerate(found):
            image = pyvips.Image.new_from_array(scene(height, width))
            image.write_to_file(str(folder / name / f"{number}.png"))
    (folder / "gpu.toml").write_text(SETTINGS)


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """Fresh ones, in a file."""
    state = {key: value.contiguous() for key, value in InvDN(SMALL).state_dict().items()}
    save_file(state, folder / f"{name}.safetensors")
    return state


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(folder / "gpu.toml"), "--device", "cpu"]
    command += map(str, arguments)
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1"},
    )


def run(folder: Path, *arguments: object) -> tuple[int, str, str]:
    """Exit status, output, errors."""
    process = start(folder, *arguments)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def start_and_wait_for_a_score(folder: Path, workers: int) -> subprocess.Popen[str]:
    """A run that would take ten minutes, after its first steps."""
    make_photos(folder)
    weights(folder, "one")
    net = f"one={folder / 'one.safetensors'}"
    pool = ("--pool", 12, "--workers", workers)
    process = start(folder, "--seconds", 600, "--net", net, *pool, "--every", 0.5)
    assert process.stdout is not None
    for line in process.stdout:
        if "loss" in line:
            break
    return process


def test_two_networks_train_at_once(tmp_path: Path) -> None:
    make_photos(tmp_path)
    states = {name: weights(tmp_path, name) for name in ("one", "two")}
    nets = [part for n in states for part in ("--net", f"{n}={tmp_path / n}.safetensors")]
    arguments = [*nets, "--hold", 0.5, "--pool", 12, "--workers", 1]
    for seconds in (4, 16, 64):  # a busy computer takes a single step in the first
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        status, output, errors = run(tmp_path, "--seconds", seconds, *arguments)
        assert (status, errors) == (0, "")
        found = re.search(r"(\d+) steps of", output)
        assert found is not None
        if int(found[1]) >= 4:
            break
    assert "simulated pairs drawn" in output
    assert (tmp_path / "run/messages.log").read_text(encoding="utf-8") == output
    for name, before in states.items():
        peak = load_file(tmp_path / f"run/{name}-peak.safetensors")
        after = load_file(tmp_path / f"run/{name}.safetensors")
        assert any(not torch.equal(after[k], before[k]) for k in before)
        assert any(not torch.equal(after[k], peak[k]) for k in before)
        assert all(v.isfinite().all() for v in after.values())
    status, _, errors = run(tmp_path, "--seconds", 4, *arguments)
    assert status == 2
    assert "holds one already" in errors


def test_weights_that_cannot_be_written_end_in_one_line(tmp_path: Path) -> None:
    make_photos(tmp_path)
    weights(tmp_path, "one")
    net = f"one={tmp_path / 'one.safetensors'}"
    (tmp_path / "run/one-peak.safetensors/full").mkdir(parents=True)
    arguments = ("--net", net, "--hold", 0.1, "--pool", 12, "--workers", 0)
    status, _, errors = run(tmp_path, "--seconds", 1, *arguments)
    assert status == 1
    assert "one-peak.safetensors" in errors
    assert errors.count("\n") == 1


def test_an_interrupt_writes_the_weights_as_they_are(tmp_path: Path) -> None:
    process = start_and_wait_for_a_score(tmp_path, workers=0)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "finishing the step; once more ends at once\n")
    assert "the rate had not fallen" in output
    assert (tmp_path / "run/one.safetensors").exists()


WRONG = {
    "weights that are not there": ((), "one=none.safetensors", "no checkpoint none.safetensors"),
    "no name": ((), "none.safetensors", "is not NAME=WEIGHTS"),
    "another loss": (('pixel = "psnr"', 'pixel = "l1"'), "one={one}", "only loss.pixel"),
    "no pairs": (("[[data.pairs]]\nfolder", "[unknown]\nfolder"), "one={one}", "unknown key"),
    "large crops": (("crop_px = 24", "crop_px = 64"), "one={one}", "no photo in clean is as large"),
    "another layout": (
        ('folder = "pairs"', 'folder = "pairs"\nlayout = "sidd"'),
        "one={one}",
        "sidd",
    ),
    "no such folder": (('["clean"]', '["white"]'), "one={one}", "white is not a folder"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(
    script: Any,
    tmp_path: Path,
    case: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_photos(tmp_path)
    weights(tmp_path, "one")
    change, net, complaint = WRONG[case]
    settings = tmp_path / "gpu.toml"
    if change:
        settings.write_text(settings.read_text().replace(*change, 1))
    net = net.format(one=tmp_path / "one.safetensors")
    options = ["--device", "cpu", "--seconds", "1", "--net", net]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(settings), *options])
    with pytest.raises(SystemExit) as end:
        script.main()
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    assert complaint in said.err
    assert said.err.count("\n") == 1


def test_a_process_that_dies_ends_the_run(tmp_path: Path) -> None:
    process = start_and_wait_for_a_score(tmp_path, workers=1)
    # Of whichever of its threads started them.
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [child for found in lists for child in found.read_text().split()]
    makers = [c for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]
    if not makers:
        process.kill()
        pytest.skip("this system does not tell of a process's children")
    for maker in makers:
        os.kill(int(maker), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no more simulated pairs are made" in errors
    assert (tmp_path / "run/one.safetensors").exists()
