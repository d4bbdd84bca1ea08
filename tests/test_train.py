"""Training: batches, the loop, and settings files."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import scipy.io
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from invdn.config import (
    ConfigError,
    CropStage,
    DataConfig,
    LossConfig,
    NetworkConfig,
    PairFolder,
    TrainConfig,
    ValidationSet,
    build,
    load_config,
    read_toml,
)
from invdn.data.batches import Batches
from invdn.data.pairs import MadeNoise, load_pairs
from invdn.data.patches import dihedral
from invdn.metrics import psnr
from invdn.net.haar import Haar
from invdn.net.invdn import InvDN, LevelConfig, infer_levels
from invdn.net.paper import PaperInvDN
from invdn.train import TrainingError, train, train_from_config_file
from invdn.train_noise import NoiseTrainConfig
from invdn.training.checkpoint import CHECKPOINT, WEIGHTS
from invdn.training.launch import _Autocast, loss_scaler, stop_on_signal
from invdn.training.objective import Network
from invdn.training.optimise import learning_rate

CROP_PX = 16
CONFIGS = Path(__file__).parents[1] / "configs"
SETTINGS = """
run = "run"
steps = 6
warmup_steps = 2
validate_every = 3
checkpoint_every = 3
threads = 1
workers = 0
precision = "fp32"

[network]
levels = [
    { blocks = 1, coupling_width = 4, kept = 6, posterior_width = 8, posterior_pairs = 1 },
    { blocks = 1, coupling_width = 4, kept = 8, posterior_width = 8, posterior_pairs = 1 },
]

[data]
root = "data"
clean = ["clean"]
crop_px = 16
real_crops = 1
gaussian_crops = 1
camera_crops = 1
pairs = [{ folder = "pairs" }]

[[validation]]
name = "pairs"
folder = "pairs"
crop_px = 24

[[validation]]
name = "gaussian"
folder = "clean"
crop_px = 24
sigma_8bit = 25
"""


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyvips.Image.new_from_array(pixels).write_to_file(str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A settings file with tiny photos beside it."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, 48)
    for i in range(3):
        clean = np.stack([np.add.outer(ramp, ramp[::-1]) / 2 + 10 * c for c in range(3)], -1)
        clean = np.roll(clean, 7 * i, axis=0).round().astype(np.uint8)
        noisy = np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255).astype(np.uint8)
        write(tmp_path / f"data/clean/{i}.png", clean)
        write(tmp_path / f"data/pairs/clean/{i}.png", clean)
        write(tmp_path / f"data/pairs/noisy/{i}.png", noisy)
    (tmp_path / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def test_batches_depend_on_seed_and_step_only(folder: Path) -> None:
    config = load_config(folder / "settings.toml").data
    first = Batches(config, folder / "data", seed=1)
    later = [first[5], first[2]]
    again = Batches(config, folder / "data", seed=1)
    for got, expected in zip([again[5], again[2]], later, strict=True):
        assert torch.equal(got[0], expected[0])
        assert torch.equal(got[1], expected[1])
    assert got[0].shape == got[1].shape == (3, 3, CROP_PX, CROP_PX)
    assert not torch.equal(first[5][0], first[2][0])
    assert not torch.equal(Batches(config, folder / "data", seed=2)[5][0], first[5][0])


def test_real_crops_are_turned_together(folder: Path) -> None:
    for i in range(3):  # a noisy picture that tells where each pixel came from
        path = folder / f"data/pairs/clean/{i}.png"
        clean = pyvips.Image.new_from_file(str(path)).numpy()
        write(folder / f"data/pairs/noisy/{i}.png", 255 - clean)
    config = DataConfig(
        pairs=(PairFolder("pairs"),), crop_px=CROP_PX, gaussian_crops=0, camera_crops=0
    )
    batches = Batches(config, folder / "data", seed=0)
    for step in range(8):
        noisy, target = batches[step]
        assert torch.allclose(noisy + target, torch.ones_like(target))


def test_the_eight_turns_differ() -> None:
    square = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    turns = {dihedral(square, which).tobytes() for which in range(8)}
    assert len(turns) == 8


def test_what_is_too_small_for_a_crop_is_counted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(load_config(folder / "settings.toml").data, stages=(CropStage(1, 24),))
    write(folder / "data/clean/small.png", np.zeros((40, 60, 3), np.uint8))
    Batches(config, folder / "data", seed=0)[0]
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("1 photos and pairs are too small for crops of 24 pixels")


def test_the_simulations_margin_is_only_asked_for_where_it_simulates(folder: Path) -> None:
    for path in (folder / "data/clean").iterdir():
        path.unlink()
    write(folder / "data/clean/small.png", np.full((16, 20, 3), 90, np.uint8))
    config = DataConfig(clean=("clean",), crop_px=16, real_crops=0, gaussian_crops=1)
    batches = Batches(replace(config, camera_crops=0), folder / "data", seed=0)
    assert batches[0][0].shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"no photo in data\.clean is as large as 40×40"):
        Batches(replace(config, camera_crops=1), folder / "data", seed=0)[0]


def test_missing_data_is_named(folder: Path) -> None:
    (folder / "data/pairs/noisy/1.png").unlink()
    with pytest.raises(ConfigError, match=r"noisy/1\.png is missing"):
        train_from_config_file(folder / "settings.toml")


def test_training_learns_saves_and_refuses_to_overwrite(folder: Path) -> None:
    text = SETTINGS.replace("steps = 6", "steps = 80").replace("= 3\n", "= 40\n")
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    train_from_config_file(folder / "settings.toml")
    entries = [json.loads(s) for s in (folder / "run/log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in entries] == [40, 80]
    scores = entries[-1]["scores"]
    assert scores["gaussian"]["psnr"] > scores["gaussian"]["noisy"] + 1.0
    assert scores["pairs"]["psnr"] > entries[0]["scores"]["pairs"]["psnr"]
    weights = load_file(folder / "run" / WEIGHTS)
    InvDN(infer_levels(weights)).load_state_dict(weights)
    with pytest.raises(ConfigError, match="holds a run already"):
        train_from_config_file(folder / "settings.toml")


def stopped_by(number: signal.Signals, step: int) -> Callable[[int, TrainConfig], float]:
    """A stand-in for ``learning_rate`` in which a signal arrives during a step."""

    def rate(current: int, config: TrainConfig) -> float:
        if current == step:
            signal.raise_signal(number)
        return learning_rate(current, config)

    return rate


def stop_and_resume(
    config: TrainConfig, base: Path, number: signal.Signals = signal.SIGTERM
) -> Network:
    """Train, with a signal that ends the run after three steps, and resume it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("invdn.train.learning_rate", stopped_by(number, 1))
        train(config, base)
    checkpoint = torch.load(base / config.run / CHECKPOINT, weights_only=True)
    assert checkpoint["step"] == 3
    return train(config, base, resume=True)


def losses(run: Path) -> dict[int, float]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {entry["step"]: entry["loss"] for entry in map(json.loads, lines)}


def assert_equal(first: Network, second: Network) -> None:
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_resumed_run_ends_where_an_undisturbed_one_does(
    folder: Path, number: signal.Signals
) -> None:
    config = load_config(folder / "settings.toml")
    whole = train(replace(config, run="whole"), folder)
    resumed = stop_and_resume(replace(config, run="parts"), folder, number)
    assert_equal(whole, resumed)
    assert losses(folder / "whole") == losses(folder / "parts")


ADVERSARIAL = LossConfig(adversarial_weight=0.01, adversarial_width=2)
VARIANTS: dict[str, dict[str, Any]] = {
    "accumulation": {"accumulate": 2},
    "muon": {"optimiser": "muon"},
    "schedule-free": {"optimiser": "schedule-free", "schedule": "constant"},
    "paper": {"network": NetworkConfig("paper"), "optimiser": "adam", "ema_decay": 0.0},
    "adversary": {},
}


def adversarial(folder: Path) -> TrainConfig:
    """Settings with an adversary, and photos that are large enough for it."""
    for kind in ("clean", "noisy"):
        pixels = pyvips.Image.new_from_file(str(folder / f"data/pairs/{kind}/0.png")).numpy()
        write(folder / f"data/large/{kind}/0.png", np.tile(pixels, (3, 3, 1)))
    config = load_config(folder / "settings.toml")
    crops = {"crop_px": 128, "gaussian_crops": 0, "camera_crops": 0}
    data = replace(config.data, pairs=(PairFolder("large"),), **crops)
    return replace(config, validation=(), data=data, loss=ADVERSARIAL)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_run_is_resumed_exactly(folder: Path, variant: str) -> None:
    config = load_config(folder / "settings.toml")
    config = replace(config, validation=(), **VARIANTS[variant])
    if variant == "adversary":
        config = replace(adversarial(folder), steps=4)
    whole = train(replace(config, run="whole"), folder)
    resumed = stop_and_resume(replace(config, run="parts"), folder)
    assert_equal(whole, resumed)
    assert losses(folder / "whole")[config.steps] == losses(folder / "parts")[config.steps]


def test_stages_change_the_crops_and_resume_in_their_middle(folder: Path) -> None:
    config = load_config(folder / "settings.toml")
    stages = (CropStage(2, 24, real_crops=2, camera_crops=0), CropStage(4, 20))
    config = replace(config, accumulate=2, data=replace(config.data, stages=stages))
    batches = Batches(config.data, folder / "data", seed=1, per_step=2)
    shapes = [batches[index][0].shape for index in (0, 3, 4, 7, 8, 99)]
    assert shapes == [(3, 3, 16, 16)] * 2 + [(3, 3, 24, 24)] * 2 + [(3, 3, 20, 20)] * 2
    whole = train(replace(config, run="whole"), folder)
    assert_equal(whole, stop_and_resume(replace(config, run="parts"), folder))


def test_two_processes_take_the_steps_of_one_that_accumulates_two_batches(folder: Path) -> None:
    config = load_config(folder / "settings.toml")
    expected = train(replace(config, run="one", accumulate=2, steps=3), folder)
    text = SETTINGS.replace("steps = 6", "steps = 3").replace('run = "run"', 'run = "two"')
    (folder / "two.toml").write_text(text, encoding="utf-8")
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, "-m", *launch, "-m", "invdn.cli", "train", str(folder / "two.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = load_file(folder / "two" / WEIGHTS)
    for key, value in expected.state_dict().items():
        assert torch.allclose(weights[key], value, atol=2e-5), key
    assert losses(folder / "two")[3] == pytest.approx(losses(folder / "one")[3], rel=1e-5)
    assert json.loads((folder / "two/starts.jsonl").read_text())["device"] == "2 × CPU"


def test_a_network_that_has_grown_is_resumed(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(load_config(folder / "settings.toml"), validation=(), steps=3)
    small = train(config, folder)
    levels = tuple(replace(level, blocks=2) for level in config.network.levels)
    grown = replace(config, steps=4, warmup_steps=10**9, network=NetworkConfig(levels=levels))
    net = train(grown, folder, resume=True)
    assert "levels.0.couplings.1.f.0.weight" in caplog.text
    assert "start afresh" in caplog.text
    for key, value in small.state_dict().items():  # one step at a vanishing learning rate
        assert torch.allclose(net.state_dict()[key], value, atol=1e-3), key
    state = torch.load(folder / "run" / CHECKPOINT, weights_only=True)["optimisers"]["adamw"]
    steps = {
        name: state["state"]["state"][number]["step"].item()
        for number, name in enumerate(state["parameters"])
    }
    assert steps["levels.0.couplings.0.f.0.weight"] == 4
    assert steps["levels.0.couplings.1.f.0.weight"] == 1


def test_another_networks_checkpoint_is_refused(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(load_config(folder / "settings.toml"), validation=(), steps=1)
    train(config, folder, resume=True)
    assert "to resume: it starts from the beginning" in caplog.text
    train(config, folder, resume=True)
    assert "all 1 steps are done: raise steps to go on" in caplog.text
    for network in (NetworkConfig("paper"), NetworkConfig("fast")):
        with pytest.raises(ValueError, match="not a checkpoint of this network") as error:
            train(replace(config, network=network), folder, resume=True)
        assert len(str(error.value).splitlines()) == 1
    (folder / "run" / CHECKPOINT).write_bytes(b"garbage")
    with pytest.raises(ValueError, match="is damaged, or no checkpoint: put a copy back"):
        train(config, folder, resume=True)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda content: content.pop("step"), "'step' is missing"),
        (lambda content: content.update(step="3"), "step is '3'"),
        (lambda content: content.pop("optimisers"), "'optimisers' is missing"),
        (lambda content: content.update(optimisers={"adamw": {}}), "missing 2 required"),
        (lambda content: content.update(optimisers=[1]), ""),
        (lambda content: content["optimisers"]["adamw"]["state"].clear(), "is missing"),
        (lambda content: content.update(probe=3), ""),
        (lambda content: content.update(net=3), ""),
    ],
)
def test_an_incomplete_checkpoint_is_refused_in_one_line(
    folder: Path, change: Callable[[dict[str, Any]], object], what: str
) -> None:
    text = SETTINGS.replace("steps = 6\nwarmup_steps = 2", "steps = 1\nwarmup_steps = 0")
    (folder / "settings.toml").write_text(text.partition("[[validation]]")[0], encoding="utf-8")
    train_from_config_file(folder / "settings.toml")
    checkpoint = folder / "run" / CHECKPOINT
    content = torch.load(checkpoint, weights_only=True)
    change(content)
    torch.save(content, checkpoint)
    with pytest.raises(ConfigError, match=rf"not a checkpoint of this network: .*{what}") as error:
        train_from_config_file(folder / "settings.toml", resume=True)
    assert len(str(error.value).splitlines()) == 1


def in_fp16(patch: pytest.MonkeyPatch, scale: float = 2.0**16) -> list[Fabric]:
    """Let runs compute in fp16, on the processor; returns what they run on."""
    made: list[Fabric] = []

    def start(precision: str) -> Fabric:
        plugin = _Autocast("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))
        made.append(Fabric(accelerator="cpu", devices=1, plugins=[plugin]))
        made[-1].launch()
        return made[-1]

    patch.setattr("invdn.train.start_fabric", start)
    return made


def test_the_loss_scale_is_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(load_config(folder / "settings.toml"), validation=(), steps=1)
    train(config, folder)  # in fp32, which has none
    in_fp16(monkeypatch, scale=512.0)
    train(replace(config, steps=2), folder, resume=True)
    saved = torch.load(folder / "run" / CHECKPOINT, weights_only=True)["scaler"]
    assert saved["scale"] == 512.0
    made = in_fp16(monkeypatch, scale=2.0)
    train(replace(config, steps=3), folder, resume=True)
    scaler = loss_scaler(made[0])
    assert scaler is not None
    assert scaler.get_scale() == 512.0


def test_an_infinite_gradient_in_fp16_only_halves_the_scale(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(load_config(folder / "settings.toml"), validation=(), steps=2)
    in_fp16(monkeypatch, scale=2.0**60)
    train(config, folder)
    content = torch.load(folder / "run" / CHECKPOINT, weights_only=True)
    assert content["scaler"]["scale"] == 2.0**58


def test_no_optimiser_unscales_gradients_that_are_unscaled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def spy(optimiser: torch.optim.AdamW, *given: Any) -> None:
        gradients = [p.grad for p in optimiser.param_groups[0]["params"] if p.grad is not None]
        norms.append(torch.stack([g.norm() for g in gradients]).norm().item())
        step(optimiser, *given)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    config = load_config(folder / "settings.toml")
    config = replace(config, validation=(), steps=1, optimiser="muon")
    train(replace(config, run="fp32"), folder)
    in_fp16(monkeypatch)
    train(replace(config, run="fp16"), folder)
    assert norms[1] == pytest.approx(norms[0], rel=0.05)


def test_the_loss_scale_is_saved_after_the_adversary_has_learnt(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = in_fp16(monkeypatch, scale=2.0**60)
    config = replace(adversarial(folder), steps=1, accumulate=2)
    train(config, folder)
    content = torch.load(folder / "run" / CHECKPOINT, weights_only=True)
    scaler = loss_scaler(made[0])
    assert scaler is not None
    assert content["scaler"] == scaler.state_dict()
    assert content["scaler"]["scale"] == 2.0**59  # once for both


def test_an_adversary_learns_once_a_step(folder: Path) -> None:
    config = replace(adversarial(folder), steps=1, accumulate=2)
    train(config, folder)
    content = torch.load(folder / "run" / CHECKPOINT, weights_only=True)
    assert {s["step"].item() for s in content["discriminator_optimiser"]["state"].values()} == {1}


def test_the_terms_that_are_logged_sum_to_the_loss(folder: Path) -> None:
    loss = LossConfig(ssim_weight=1.0)
    config = replace(load_config(folder / "settings.toml"), validation=(), loss=loss)
    train(replace(config, accumulate=3, steps=1), folder)
    (entry,) = map(json.loads, (folder / "run/log.jsonl").read_text().splitlines())
    assert entry["loss"] == pytest.approx(entry["pixel"] + entry["ssim"], rel=1e-5)


def test_autocast_does_not_round_the_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At strength 0 only the wavelets touch it."""
    inputs: list[torch.dtype] = []
    forward = Haar.forward

    def spy(wavelet: Haar, x: torch.Tensor) -> torch.Tensor:
        y = forward(wavelet, x)
        inputs.append(y.dtype)
        return y

    monkeypatch.setattr(Haar, "forward", spy)
    config = replace(load_config(folder / "settings.toml"), validation=(), steps=1)
    train(replace(config, precision="bf16"), folder)
    assert set(inputs) == {torch.float32}


def test_a_run_without_its_checkpoint_is_not_written_over(folder: Path) -> None:
    config = replace(load_config(folder / "settings.toml"), validation=(), steps=1)
    train(config, folder)
    (folder / "run" / CHECKPOINT).unlink()
    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"without its checkpoint\.pt"):
            train(config, folder, resume)


def test_a_run_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "run").touch()
    with pytest.raises(ConfigError, match="run cannot be made: File exists"):
        train_from_config_file(folder / "settings.toml")


def test_a_full_disk_is_said_in_one_line_and_leaves_the_last_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes
    written: list[Path] = []

    def full(path: Path, content: bytes) -> int:
        written.append(path)
        if len(written) > 2:  # the first checkpoint and its weights
            write_bytes(path, bytes(content)[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TrainingError, match=r"checkpoint\.tmp: No space left") as error:
        train_from_config_file(folder / "settings.toml")
    assert len(str(error.value).splitlines()) == 1
    assert not list((folder / "run").glob("*.tmp"))
    assert torch.load(folder / "run" / CHECKPOINT, weights_only=True)["step"] == 3


def test_a_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with stop_on_signal() as stop:
        for _ in range(2):  # one that comes by itself and with its group
            signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        monkeypatch.setattr("invdn.training.launch.SAME_SIGNAL_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def start_run(folder: Path, *changes: tuple[str, str]) -> subprocess.Popen[str]:
    """The command line's training, in a group of its own, without validation."""
    text = SETTINGS[: SETTINGS.index("[[validation]]")].replace("workers = 0", "workers = 1")
    for change in changes:
        text = text.replace(*change)
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "invdn.cli", "train", str(folder / "settings.toml")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_an_error_in_a_worker_ends_the_run_in_one_line(folder: Path) -> None:
    (folder / "data/pairs/noisy/2.png").write_bytes(b"garbage")
    process = start_run(folder)
    try:
        _, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 2
    assert "settings.toml" in errors.splitlines()[-1]
    assert "2.png cannot be read: is not a PNG file" in errors.splitlines()[-1]
    assert "Traceback" not in errors


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_an_interrupt_while_workers_start_is_no_failure(folder: Path) -> None:
    process = start_run(folder, ("steps = 6", "steps = 100000"))
    assert process.stderr is not None
    try:
        while not (folder / "run/tensorboard").is_dir() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(1.0)  # the worker is there, and imports PyTorch
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "once more ends at once" in errors
    assert "Traceback" not in errors
    assert (folder / "run" / CHECKPOINT).exists()


def test_a_network_whose_definition_changed_is_told_apart(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(load_config(folder / "settings.toml"), validation=(), steps=1)
    train(config, folder)
    train(replace(config, steps=2), folder, resume=True)
    assert "computes something else" not in caplog.text
    denoise = InvDN.denoise
    monkeypatch.setattr(InvDN, "denoise", lambda net, y: 0.9 * denoise(net, y))
    train(replace(config, steps=3), folder, resume=True)
    assert "computes something else" in caplog.text


def test_another_optimiser_starts_afresh_and_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(load_config(folder / "settings.toml"), validation=(), steps=2)
    train(config, folder)
    train(replace(config, optimiser="adam", steps=3), folder, resume=True)
    assert "the checkpoint has adamw: adam starts afresh" in caplog.text


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_batch(folder: Path) -> None:
    config = replace(
        load_config(folder / "settings.toml"),
        validation=(),
        checkpoint_every=1,
        warmup_steps=0,
        learning_rate=1e30,
    )
    with pytest.raises(TrainingError, match=r"not a number after step 1 .*bad-batch-0\.pt"):
        train(config, folder)
    bad = torch.load(folder / "run/bad-batch-0.pt", weights_only=True)
    noisy, target = Batches(config.data, folder / "data", config.seed)[1]
    assert torch.equal(bad["noisy"][0], noisy)
    assert torch.equal(bad["target"][0], target)
    assert bad["step"] == 1
    assert not bad["losses"][0].isfinite()
    assert torch.load(folder / "run" / CHECKPOINT, weights_only=True)["step"] == 1


def test_a_run_folder_tells_what_was_done(folder: Path) -> None:
    config = load_config(folder / "settings.toml")
    stop_and_resume(config, folder)
    run = folder / "run"
    settings = json.loads((run / "settings.json").read_text(encoding="utf-8"))
    assert settings["steps"] == 6
    assert settings["data"]["camera"]["shot_range"] == [2e-4, 2e-2]
    starts = [json.loads(s) for s in (run / "starts.jsonl").read_text().splitlines()]
    assert [start["step"] for start in starts] == [0, 3]
    assert starts[0]["versions"]["torch"] == torch.__version__
    assert "stopped after step 3" in (run / "messages.log").read_text(encoding="utf-8")
    curves = pyvips.Image.new_from_file(str(run / "curves.png"))
    assert (curves.width, curves.height) == (800, 900)
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [e.step for e in board.Scalars("gaussian/psnr")] == [3, 6]
    assert [e.value for e in board.Scalars("train/loss")] == pytest.approx(
        list(losses(run).values())
    )
    assert {f"{name}/noisy, restored, clean" for name in ("pairs", "gaussian")} == set(
        board.Tags()["images"]
    )
    picture = board.Images("pairs/noisy, restored, clean")[0]
    assert (picture.width, picture.height) == (72, 24)
    assert "validation/text_summary" in board.Tags()["tensors"]


def test_a_log_is_json_also_where_scores_are_infinite(folder: Path) -> None:
    """A set without any noise in it."""

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    config = load_config(folder / "settings.toml")
    config = replace(
        config, steps=3, validation=(ValidationSet("still", "clean", sigma_8bit=0, crop_px=16),)
    )
    train(config, folder)
    train(replace(config, steps=6), folder, resume=True)  # the curves are drawn from the log
    lines = (folder / "run/log.jsonl").read_text().splitlines()
    entries = [json.loads(line, parse_constant=no_constant) for line in lines]
    assert [entry["scores"]["still"]["noisy"] for entry in entries] == [None, None]


def test_a_log_that_is_ahead_of_the_checkpoint_is_cut_and_changes_are_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(load_config(folder / "settings.toml"), steps=3)
    train(config, folder)
    with (folder / "run/log.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 5, "loss": 1.0, "scores": {}}\n{"step": 6, "lo')
    caplog.set_level("INFO", "invdn")
    train(replace(config, steps=6), folder, resume=True)
    assert list(losses(folder / "run")) == [3, 6]
    assert "changed setting: steps = 6, was 3" in caplog.text


def test_the_published_recipe_trains_from_sidds_own_layout(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for scene in ("0001_001_S6_00100_00060_3200_L", "0002_001_S6_00100_00020_3200_N"):
        for frame in ("010", "011"):
            clean = np.full((40, 48, 3), 100, np.uint8)
            noisy = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
            scene_folder = tmp_path / "data/SIDD_Medium_Srgb/Data" / scene
            write(scene_folder / f"{scene[:4]}_GT_SRGB_{frame}.PNG", clean)
            write(scene_folder / f"{scene[:4]}_NOISY_SRGB_{frame}.PNG", noisy)
    for kind in ("Noisy", "Gt"):
        blocks = rng.integers(90, 110, (2, 3, 16, 16, 3), dtype=np.uint8)
        name = f"Validation{kind}BlocksSrgb"
        scipy.io.savemat(tmp_path / f"data/{name}.mat", {name: blocks})
    config = load_config(CONFIGS / "paper-sidd.toml")
    assert config.data.crop_px == 144
    data = replace(config.data, root="data", cache="cache", crop_px=16, real_crops=4)
    config = replace(config, run="run", data=data, steps=8, workers=0, threads=1, validate_every=4)
    net = train(config, tmp_path)
    assert isinstance(net, PaperInvDN)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 8
    entries = [json.loads(s) for s in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert set(entries[0]) >= {"loss", "pixel", "code", "gradient", "ssim"}
    # Sums: 768 numbers a crop, each at least ε.
    assert entries[0]["pixel"] > 768 * config.charbonnier_epsilon
    total = sum(entries[0][name] for name in ("pixel", "code", "gradient", "ssim"))
    assert entries[0]["loss"] == pytest.approx(total, rel=1e-5)
    assert entries[-1]["loss"] < 0.9 * entries[0]["loss"]
    assert entries[-1]["scores"]["sidd-val"]["noisy"] == pytest.approx(29.9, abs=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps = 6", "step = 6"), "unknown key 'step'; did you mean 'steps'"),
        (("steps = 6", 'steps = "six"'), "steps must be int, not 'six'"),
        (("steps = 6", "steps = true"), "steps must be int, not True"),
        (('run = "run"', ""), "'run' is missing"),
        (('run = "run"', 'run = ""'), "run must name a folder"),
        (("threads = 1", "threads = 1025"), "threads must be at most 1024"),
        (("steps = 6", f"steps = 6\nseed = {2**63}"), "seed must be at most 9223372036854775807"),
        (("steps = 6", "steps = 6\nfinal_learning_rate = 0.1"), "final_learning_rate must not be"),
        (("steps = 6", "steps = 2"), "warmup_steps must be less than steps, not 2 of 2"),
        (
            ("coupling_width = 4, kept = 8", "coupling_width = 5000, kept = 8"),
            "coupling_width must",
        ),
        (
            ("posterior_width = 8", "posterior_width = 4097"),
            r"network\.levels\.posterior_width must be at most 4096",
        ),
        (('name = "gaussian"', 'name = "pairs"'), "two validation sets called pairs"),
        (("crop_px = 16", "crop_px = 18"), "multiple of 4"),
        (("crop_px = 16", "crop_pixels = 16"), "did you mean 'crop_px'"),
        (("steps = 6", "steps = 6\nseed = -1"), "seed must not be negative"),
        (("camera_crops = 1", "camera_crops = -1"), "data.camera_crops must not be"),
        (('precision = "fp32"', 'precision = "fp8"'), "precision must be auto, fp32, bf16 or fp16"),
        (('precision = "fp32"', 'precision = "fp16"'), "fp16 needs a GPU"),
        (("steps = 6", 'steps = 6\noptimiser = "adamm"'), "optimiser must be"),
        (("steps = 6", 'steps = 6\noptimiser = "schedule-free"'), 'schedule = "constant"'),
        (("steps = 6", "steps = 6\naccumulate = 0"), "accumulate must be at least 1"),
        (("[data]", '[loss]\npixel = "l3"\n[data]'), "loss.pixel must be"),
        (("[data]", "[loss]\ncode_weight = 1.0\n[data]"), "code_weight is for the preset paper"),
        (("[data]", "[loss]\nperceptual_weight = 1.0\n[data]"), r"needs loss\.vgg19"),
        (
            ("[data]", '[loss]\nperceptual_weight = 1.0\nvgg19 = "no.pth"\n[data]'),
            r"no\.pth.*vgg19-dcbb9e9d\.pth",
        ),
        (
            (
                '[data]\nroot = "data"\nclean = ["clean"]\ncrop_px = 16\n',
                '[loss]\nperceptual_weight = 1.0\nvgg19 = "x.pth"\n'
                '[data]\nroot = "data"\nclean = ["clean"]\ncrop_px = 8\n',
            ),
            "perceptual_weight needs crops of 16 pixels",
        ),
        (("[data]", "[loss]\nadversarial_weight = 1.0\n[data]"), "crops of 128 pixels"),
        (("[data]", '[loss]\npixel = "psnr"\nreduction = "sum"\n[data]'), r"loss\.reduction"),
        (("[data]", "[loss]\nadversarial_width = 0\n[data]"), r"loss\.adversarial_width must be"),
        (("[data]", "[loss]\nssim_weight = -1.0\n[data]"), r"loss\.ssim_weight must not be"),
        (("steps = 6", "steps = 6\ngradient_clip = -1.0"), "gradient_clip must be more than 0"),
        (("steps = 6", "steps = 6\nlearning_rate = 0.0"), "^.*: learning_rate must be more than"),
        (("steps = 6", "steps = 6\nlearning_rate = inf"), "learning_rate must be a number"),
        (("steps = 6", "steps = 6\nema_decay = 1.0"), "ema_decay must be from 0 to less than 1"),
        (("steps = 6", "steps = 6\nweight_decay = -1.0"), "weight_decay must not be negative"),
        (("steps = 6", "steps = 6\ncharbonnier_epsilon = 0.0"), "charbonnier_epsilon must be more"),
        (("steps = 6", 'steps = 6\nschedule = "trapezoid"'), "warmup_steps and decay_steps"),
        (('{ folder = "pairs" }', '{ folder = "pairs", weight = 0.0 }'), "weight must be more"),
        (('{ folder = "pairs" }', '{ folder = "pairs", weight = -1.0 }'), "weight must not be"),
        (("crop_px = 16", "crop_px = 4"), "crop_px must be a multiple of 4, and at least 8"),
        (("crop_px = 24", "crop_px = 0"), "validation set pairs: every and crop_px must be"),
        (("sigma_8bit = 25", "sigma_8bit = -25"), "sigma_8bit must not be negative"),
        (
            ("crop_px = 16", "crop_px = 16\ncamera = { shot_range = [0.0, 0.01] }"),
            r"camera\.shot_range must be more than 0",
        ),
        (
            ("crop_px = 16", "crop_px = 16\ncamera = { exposure_range = [1.0, 0.3] }"),
            "exposure_range must be two numbers, the smaller first",
        ),
        (
            ("crop_px = 16", "crop_px = 16\ncamera = { jpeg_probability = 1.5 }"),
            "jpeg_probability must be from 0 to 1",
        ),
        (("kept = 8", "kept = 4"), "given 6 channels keeps 6 to 23 of 24, not 4"),
        (
            ("crop_px = 16\n", "crop_px = 16\nstages = [{ from_step = 2, crop_px = 18 }]\n"),
            "multiple",
        ),
        (
            ("crop_px = 16\n", "crop_px = 16\nstages = [{ from_step = 2, crop_px = 64 }]\n"),
            "crop of 64",
        ),
        (
            ('pairs = [{ folder = "pairs" }]', 'pairs = [{ folder = "pairs", layout = "sidd" }]'),
            "SIDD",
        ),
        (('folder = "clean"\n', 'noisy_mat = "a.mat"\n'), "needs folder, or noisy_mat and gt_mat"),
        (("[data]", "[data"), "not valid TOML"),
        (('pairs = [{ folder = "pairs" }]', "pairs = 3"), "must be a list"),
        (('clean = ["clean"]', 'clean = ["nowhere"]'), "nowhere is not a folder"),
    ],
)
def test_wrong_settings_are_named(folder: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in SETTINGS
    path = folder / "settings.toml"
    path.write_text(SETTINGS.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        train_from_config_file(path)


def test_settings_are_read_into_dataclasses(folder: Path) -> None:
    config = load_config(folder / "settings.toml")
    assert config.network.resolved()[1] == LevelConfig(1, 4, 8, 8, 1)
    assert config.validation[1].sigma_8bit == 25.0
    assert config.data.camera.shot_range == (2e-4, 2e-2)


def test_shipped_settings_are_valid() -> None:
    for path in CONFIGS.glob("*.toml"):
        table = read_toml(path)
        if "denoiser" in table:
            build(NoiseTrainConfig, table, str(path))
        else:
            load_config(path)


def test_gaussian_pairs_are_seeded(folder: Path) -> None:
    first, again, other = (
        load_pairs(folder / "data/clean", crop_px=24, noise=MadeNoise(25.0, seed=seed))
        for seed in (0, 0, 1)
    )
    assert [p.name for p in first] == ["0", "1", "2"]
    assert np.array_equal(first[0].noisy, again[0].noisy)
    assert not np.array_equal(first[0].noisy, other[0].noisy)
    assert psnr(first[0].noisy, first[0].clean) == pytest.approx(20.2, abs=0.6)
