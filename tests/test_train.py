"""Training: batches, the loop, and settings files."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch
from safetensors.torch import load_file

from invdn.config import ConfigError, DataConfig, PairFolder, TrainConfig, load_config
from invdn.data.batches import Batches
from invdn.data.pairs import load_pairs
from invdn.data.patches import dihedral
from invdn.metrics import psnr
from invdn.net.invdn import InvDN, LevelConfig, infer_levels
from invdn.train import train, train_from_config_file
from invdn.training.checkpoint import CHECKPOINT, WEIGHTS
from invdn.training.objective import Network
from invdn.training.optimise import learning_rate

CROP_PX = 16
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


def test_missing_data_is_named(folder: Path) -> None:
    (folder / "data/pairs/noisy/1.png").unlink()
    with pytest.raises(ConfigError, match=r"noisy/1\.png is missing"):
        train_from_config_file(folder / "settings.toml")


def test_training_learns_saves_and_refuses_to_overwrite(folder: Path) -> None:
    text = SETTINGS.replace("steps = 6", "steps = 120").replace("= 3\n", "= 60\n")
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    train_from_config_file(folder / "settings.toml")
    entries = [json.loads(s) for s in (folder / "run/log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in entries] == [60, 120]
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
    config = replace(load_config(folder / "settings.toml"), validate_every=1)
    whole = train(replace(config, run="whole"), folder)
    resumed = stop_and_resume(replace(config, run="parts"), folder, number)
    assert_equal(whole, resumed)
    assert losses(folder / "whole") == losses(folder / "parts")


def test_learning_rate_rises_then_falls_to_its_end() -> None:
    config = TrainConfig(run="x", steps=100, warmup_steps=10)
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(config.learning_rate / 10)
    assert rates[10] == config.learning_rate == max(rates)
    assert rates[100] == pytest.approx(config.final_learning_rate)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps = 6", "step = 6"), "unknown key 'step'; did you mean 'steps'"),
        (("steps = 6", 'steps = "six"'), "steps must be int, not 'six'"),
        (("steps = 6", "steps = true"), "steps must be int, not True"),
        (('run = "run"', ""), "'run' is missing"),
        (("crop_px = 16", "crop_px = 18"), "multiple of 4"),
        (("crop_px = 16", "crop_pixels = 16"), "did you mean 'crop_px'"),
        (('precision = "fp32"', 'precision = "fp8"'), "precision must be"),
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
    assert config.data.camera.shot_range == (1e-4, 3e-2)


def test_shipped_settings_are_valid() -> None:
    for path in (Path(__file__).parents[1] / "configs").glob("*.toml"):
        load_config(path)


def test_gaussian_pairs_are_seeded(folder: Path) -> None:
    first, again, other = (
        load_pairs(folder / "data/clean", crop_px=24, sigma_8bit=25.0, seed=seed)
        for seed in (0, 0, 1)
    )
    assert [p.name for p in first] == ["0", "1", "2"]
    assert np.array_equal(first[0].noisy, again[0].noisy)
    assert not np.array_equal(first[0].noisy, other[0].noisy)
    assert psnr(first[0].noisy, first[0].clean) == pytest.approx(20.2, abs=0.6)
