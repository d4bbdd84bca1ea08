"""The noise head's laws, and that its training leaves the denoiser as it is."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from invdn import images  # noqa: E402
from invdn.cli import app  # noqa: E402
from invdn.config import ConfigError, PairFolder  # noqa: E402
from invdn.net.noise_head import (  # noqa: E402
    KNOTS_8BIT,
    NoiseModel,
    channels_of_scales,
    knot,
    scales,
    unscales,
)
from invdn.noise import Character, add_noise, camera_character, load_noise_model  # noqa: E402
from invdn.train_noise import (  # noqa: E402
    NoiseTrainConfig,
    divergence_loss,
    train_noise,
    train_noise_from_config_file,
)
from invdn.training.launch import TrainingError  # noqa: E402

#: Settings of a short training on pairs in ``pairs`` with the network in ``net.safetensors``.
SHORT = NoiseTrainConfig(
    denoiser="net.safetensors",
    output="noise.safetensors",
    pairs=(PairFolder("pairs"),),
    steps=2,
    crops=4,
    crop_px=32,
)


def test_what_would_be_lost_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = tmp_path / "noise.toml"
    settings.write_text('denoiser = "net.safetensors"\noutput = "there.safetensors"\npairs = []\n')
    (tmp_path / "there.safetensors").write_bytes(b"of hours")
    result = CliRunner().invoke(app, ["train", str(settings)])
    assert result.exit_code == 2
    assert "there.safetensors exists already" in result.stderr
    assert (tmp_path / "there.safetensors").read_bytes() == b"of hours"
    result = CliRunner().invoke(app, ["train", str(settings), "--resume"])
    assert result.exit_code == 2
    assert "leave --resume out" in result.stderr


def test_scales_and_back(small_net) -> None:  # type: ignore[no-untyped-def]
    latents = small_net(torch.rand(2, 3, 16, 24))
    parts = scales(latents)
    assert [p.shape[1] for p in parts] == channels_of_scales(small_net.config)
    back = unscales(parts, latents.code.shape[1])
    assert torch.equal(back.code, latents.code)
    assert all(map(torch.equal, back.details, latents.details))


def test_a_fresh_head_says_the_level(small_net) -> None:  # type: ignore[no-untyped-def]
    model = NoiseModel(small_net)
    level = torch.tensor([0.02, 0.2])
    image = torch.rand(2, 3, 16, 24)
    parts = scales(small_net(image))
    for log_sigma, part in zip(model.head(image, parts, level), parts, strict=True):
        assert log_sigma.shape == part.shape
        assert torch.allclose(log_sigma.exp(), level.view(2, 1, 1, 1).expand_as(part))


@pytest.mark.parametrize(
    ("level", "low", "weight"),
    [(0.1, 0, 0.0), (KNOTS_8BIT[0], 0, 0.0), (KNOTS_8BIT[2], 2, 0.0), (1e3, 2, 1.0)],
)
def test_knots(level: float, low: int, weight: float) -> None:
    assert knot(level) == (low, pytest.approx(weight))
    middle = math.sqrt(KNOTS_8BIT[1] * KNOTS_8BIT[2])
    assert knot(middle) == (1, pytest.approx(0.5))


def test_the_divergence_is_least_at_the_truth(small_net) -> None:  # type: ignore[no-untyped-def]
    model = NoiseModel(small_net)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 64, 64, generator=generator)
    parts = scales(small_net(image))
    noise = tuple(0.1 * torch.randn(p.shape, generator=generator) for p in parts)
    losses = [
        divergence_loss(model, image, parts, noise, torch.tensor([level])).item()
        for level in (0.05, 0.09, 0.16)
    ]
    assert 0 < losses[1] == min(losses) < 0.2


def test_more_noise_than_there_is_is_worse_however_much(small_net) -> None:  # type: ignore[no-untyped-def]
    """Also beyond the bound of the ratio, where places have no noise at all."""
    model = NoiseModel(small_net)
    image = torch.full((1, 3, 16, 16), 0.5)
    parts = scales(small_net(image))
    none = tuple(torch.zeros_like(part) for part in parts)
    losses, slopes = [], []
    for level in (0.01, 0.1, 0.5, 2.0):
        ln_level = torch.tensor([math.log(level)], requires_grad=True)
        loss = divergence_loss(model, image, parts, none, ln_level.exp())
        loss.backward()
        losses.append(loss.item())
        slopes.append(float(ln_level.grad))
    assert losses == sorted(losses)
    assert min(slopes) > 0
    assert max(slopes) < 100


def test_what_no_photo_has_does_not_take_the_head_far(small_net) -> None:  # type: ignore[no-untyped-def]
    model = NoiseModel(small_net)
    for head in model.head.heads:
        torch.nn.init.constant_(head[-1].bias, 50.0)
    image = torch.rand(1, 3, 16, 16)
    level = torch.tensor([0.02])
    for log_sigma in model.eval().head(image, scales(small_net(image)), level):
        assert (log_sigma - math.log(0.02)).max() < 4


def test_training_learns_the_noise_and_keeps_the_denoiser(small_net, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Noise that is three times as strong in the bright half: the head finds that."""
    rng = np.random.default_rng(0)
    for number in range(4):
        clean = np.full((48, 48, 3), 60, np.uint8)
        clean[:, 24:] = 180
        sigma = np.where(clean > 100, 18.0, 6.0)
        noisy = np.clip(clean + sigma * rng.normal(size=clean.shape), 0, 255).round()
        for kind, pixels in (("clean", clean), ("noisy", noisy.astype(np.uint8))):
            path = tmp_path / "pairs" / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            images.write(images.Photo(pixels, "png"), path)
    save_file(small_net.state_dict(), tmp_path / "net.safetensors")
    train_noise(replace(SHORT, steps=150, learning_rate=5e-3), tmp_path)
    state = load_file(tmp_path / "noise.safetensors")
    for name, value in small_net.state_dict().items():
        assert torch.equal(state[f"net.{name}"], value)

    model = load_noise_model(tmp_path / "noise.safetensors")
    clean = np.full((64, 64, 3), 60, np.uint8)
    clean[:, 32:] = 180
    made = add_noise(clean, model, Character(13.4)).astype(np.float64) - clean
    dark, bright = made[:, 4:28].std(), made[:, 36:60].std()
    assert dark == pytest.approx(6, rel=0.3)
    assert bright == pytest.approx(18, rel=0.3)


def test_simulated_cameras_are_trained_on_too(small_net, tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    for name in ("pairs/clean/a", "pairs/noisy/a", "photos/b"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(96, 160, (160, 160, 3), dtype=np.uint8)
        images.write(images.Photo(pixels, "png"), path)
    save_file(small_net.state_dict(), tmp_path / "net.safetensors")
    config = replace(
        SHORT,
        pairs=(PairFolder("pairs", weight=0.5),),
        clean=("photos",),
        camera_weight=0.5,
        camera_patches=8,
        characters=6,
    )
    model = train_noise(config, tmp_path)
    # Half of what --camera draws from are the simulated cameras' levels, all different.
    levels = model.head.levels_8bit
    assert len(levels.unique()) > 5
    # And so are half of the stored characters; they come back from the file.
    stored = load_noise_model(tmp_path / "noise.safetensors").head
    assert stored.characters == 6
    assert len(stored.character_levels_8bit[:3].unique()) == 1
    assert len(stored.character_levels_8bit.unique()) == 4
    with pytest.raises(ValueError, match="camera_weight needs clean"):
        train_noise(replace(config, clean=()), tmp_path)
    with pytest.raises(ValueError, match="too few photos"):
        train_noise(replace(config, crop_px=144), tmp_path)
    strong = train_noise(replace(config, camera_level_8bit=12.0), tmp_path).head
    assert (strong.character_levels_8bit[3:] >= 12.0).all()
    assert (stored.character_levels_8bit[3:] < 12.0).any()
    with pytest.raises(ValueError, match="too little simulated noise"):
        train_noise(replace(config, camera_level_8bit=500.0), tmp_path)


def test_a_stored_character_is_that_of_its_pair(small_net, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Grey noise without fine detail stays grey and coarse when it is made of its character."""
    rng = np.random.default_rng(0)
    clean = np.full((160, 160, 3), 120, np.uint8)
    coarse = 9.0 * np.kron(rng.normal(size=(40, 40)), np.ones((4, 4)))
    noisy = np.clip(np.rint(clean + coarse[..., None]), 0, 255).astype(np.uint8)
    for name, pixels in (("noisy", noisy), ("clean", clean)):
        path = tmp_path / "pairs" / name / "a.png"
        path.parent.mkdir(parents=True)
        images.write(images.Photo(pixels, "png"), path)
    save_file(small_net.state_dict(), tmp_path / "net.safetensors")
    model = train_noise(replace(SHORT, crop_px=64, characters=2), tmp_path).eval()
    character = camera_character(model, 0)
    assert character.gains is not None
    made = add_noise(clean, model, replace(character, level_8bit=9.0)).astype(np.float64) - clean
    plain = add_noise(clean, model, Character(9.0)).astype(np.float64) - clean
    assert made.std() == pytest.approx(9.0, rel=0.15)
    assert np.corrcoef(made.reshape(-1, 3).T)[0, 1] > 0.8
    assert lag_1(made) > max(0.5, lag_1(plain) + 0.2)


def lag_1(noise: np.ndarray) -> float:
    return float((noise[:, 1:] * noise[:, :-1]).mean() / (noise**2).mean())


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("characters = -3", "characters must not be negative"),
        ("crop_px = 0", "crop_px must be at least 1"),
        ("crop_px = 31", "crop_px must be a multiple of"),
        ("steps = 0", "steps must be at least 1"),
        ("learning_rate = nan", "learning_rate must be above 0"),
        ("threads = 1025", "threads must be at most 1024"),
        (f"seed = {2**63}", "seed must be at most"),
        ("pairs = []", "one of them above 0"),
        ('pairs = [{ folder = "p", weight = 0 }]', "one of them above 0"),
        ('pairs = [{ folder = "p", weight = -1.0 }]', "p: weight must not be negative"),
        ('pairs = [{ folder = "p", layout = "other" }]', "layout must be noisy-clean or sidd"),
        ('pairs = [{ folder = "p", layout = "sidd" }]', "holds no SIDD scenes"),
    ],
)
def test_settings_that_make_no_sense(small_net, tmp_path, setting, said) -> None:  # type: ignore[no-untyped-def]
    save_file(small_net.state_dict(), tmp_path / "net.safetensors")
    lines = ['denoiser = "net.safetensors"', 'output = "noise.safetensors"', setting]
    if not setting.startswith("pairs"):
        lines.append('pairs = [{ folder = "p" }]')
    path = tmp_path / "noise.toml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=said):
        train_noise_from_config_file(path)


@pytest.fixture
def settings(small_net, tmp_path):  # type: ignore[no-untyped-def]
    """A settings file with one step, the network and a pair beside it."""
    rng = np.random.default_rng(0)
    for kind in ("noisy", "clean"):
        path = tmp_path / "pairs" / kind / "a.png"
        path.parent.mkdir(parents=True)
        pixels = rng.integers(96, 160, (64, 64, 3), dtype=np.uint8)
        images.write(images.Photo(pixels, "png"), path)
    save_file(small_net.state_dict(), tmp_path / "net.safetensors")
    lines = [
        'denoiser = "net.safetensors"',
        'output = "noise.safetensors"',
        'pairs = [{ folder = "pairs" }]',
        "steps = 1\ncrops = 1\ncrop_px = 32\ncharacters = 0",
    ]
    path = tmp_path / "noise.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("steps", "characters", "said"),
    [
        (3, 0, "the loss or its gradient is not a number at step 2"),
        (1, 0, "after the last step, 1, what the head says is not a number"),
        (1, 2, "after the last step, 1, what the head says is not a number"),
    ],
)
def test_what_is_no_number_ends_the_training_in_one_line(settings, steps, characters, said) -> None:  # type: ignore[no-untyped-def]
    text = settings.read_text().replace("steps = 1", f"steps = {steps}\nlearning_rate = 1e30")
    settings.write_text(text.replace("characters = 0", f"characters = {characters}"))
    result = CliRunner().invoke(app, ["train", str(settings)])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert said in result.stderr.splitlines()[-1]
    assert not settings.with_name("noise.safetensors").exists()


def test_an_output_that_cannot_be_written_is_known_before_the_work(settings, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("invdn.train_noise.train_noise", lambda *_: pytest.fail("work has begun"))
    text = settings.read_text()
    for output in ("net.safetensors/noise.safetensors", "/proc/noise.safetensors"):
        settings.write_text(text.replace("noise.safetensors", output))
        with pytest.raises(ConfigError, match=f"{output} cannot be written: "):
            train_noise_from_config_file(settings)


def test_a_full_disk_is_said_in_one_line(settings, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def full(path, content):  # type: ignore[no-untyped-def]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TrainingError, match=r"noise\.tmp: No space left on device$"):
        train_noise_from_config_file(settings)


def test_sidd_is_read_as_it_is_published(small_net, tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    for kind in ("NOISY", "GT"):
        path = tmp_path / "sidd" / "0001_scene" / f"0001_{kind}_SRGB_010.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(96, 160, (64, 64, 3), dtype=np.uint8)
        images.write(images.Photo(pixels, "png"), path)
    save_file(small_net.state_dict(), tmp_path / "net.safetensors")
    pairs = (PairFolder("sidd", layout="sidd"),)
    model = train_noise(replace(SHORT, pairs=pairs, steps=2), tmp_path)
    assert float(model.head.levels_8bit[0]) > 10
