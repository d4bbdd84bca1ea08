"""The noise report: its statistics on noise that is known, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from typer.testing import CliRunner  # noqa: E402

from invdn import images  # noqa: E402
from invdn.cli import app  # noqa: E402
from invdn.data.camera import camera_pair  # noqa: E402
from invdn.data.pairs import Pair  # noqa: E402
from invdn.evaluate_noise import NoiseStatistics, _simulated, evaluate_noise  # noqa: E402
from invdn.net.noise_head import NoiseModel  # noqa: E402


def pair(sigma: float = 10.0) -> Pair:
    rng = np.random.default_rng(0)
    clean = np.full((64, 72, 3), 70, np.uint8)
    clean[:, 36:] = 170
    noise = rng.normal(0, sigma, clean.shape)
    return Pair("a", np.clip(clean + noise, 0, 255).round().astype(np.uint8), clean)


def test_statistics_of_known_noise() -> None:
    rng = np.random.default_rng(1)
    clean = np.full((200, 200, 3), 0.1, np.float32)
    clean[:, 100:] = 0.9
    common = rng.normal(size=(201, 200, 1))
    common = (common[1:] + common[:-1]) / np.sqrt(2)  # correlated by ½ down, not across
    noise = np.where(clean > 0.5, 0.04, 0.02) * common * np.ones(3)
    statistics = NoiseStatistics()
    statistics.add((clean + noise).astype(np.float32), clean)
    assert statistics.sigma_of_brightness[[0, 7]] == pytest.approx([5.1, 10.2], rel=0.05)
    assert np.isnan(statistics.sigma_of_brightness[3])
    assert statistics.sigma_8bit == pytest.approx(255 * np.sqrt((0.04**2 + 0.02**2) / 2), rel=0.05)
    assert statistics.autocorrelation[:3] == pytest.approx([1, 0.25, 0], abs=0.05)
    assert statistics.channel_correlation == pytest.approx((1, 1, 1))


def test_white_noise_of_the_same_variance_is_that(small_net) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate_noise([pair()], NoiseModel(small_net).eval(), draws=2)
    real, white = (evaluation.kinds[k] for k in ("real", "white Gaussian, same variance"))
    assert white.sigma_8bit == pytest.approx(real.sigma_8bit, rel=0.03)
    assert evaluation.kinds["camera simulation, same variance"].sigma_8bit == pytest.approx(
        real.sigma_8bit, rel=0.05
    )
    # The real noise is white here: two draws of it differ by as much as their own fluctuation.
    assert 0.02 < white.aklds[0] < 0.12
    moved = evaluation.kinds["the real noise, moved"]
    assert 0.02 < moved.aklds[0] < 0.12
    assert moved.sigma_8bit == pytest.approx(real.sigma_8bit, rel=0.03)
    with pytest.raises(ValueError, match="are equal"):
        evaluate_noise([pair(0.0)], NoiseModel(small_net))
    with pytest.raises(ValueError, match="no pairs"):
        evaluate_noise([], NoiseModel(small_net))


def test_simulated_noise_lies_where_its_picture_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = np.full((48, 64, 3), 0.05, np.float32)
    clean[20:30, 12:26] = 0.8
    targets = []

    def spy(*arguments, **options):  # type: ignore[no-untyped-def]
        noisy, target = camera_pair(*arguments, **options)
        targets.append(target[0].mean(0).numpy()[:48, :64])
        return noisy, target

    monkeypatch.setattr("invdn.evaluate_noise.camera_pair", spy)
    for seed in range(8):
        _simulated(clean, 0.04, seed)
    for target in targets:
        rows, columns = np.nonzero(target > (target.min() + target.max()) / 2)
        assert (rows.mean(), columns.mean()) == pytest.approx((24.5, 18.5), abs=0.5)


def test_from_the_command_line(small_net, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from safetensors.torch import save_file

    save_file(NoiseModel(small_net).state_dict(), tmp_path / "noise.safetensors")
    made = pair()
    for kind, pixels in (("noisy", made.noisy), ("clean", made.clean)):
        (tmp_path / "set" / kind).mkdir(parents=True)
        images.write(images.Photo(pixels, "png"), tmp_path / "set" / kind / "a.png")
    arguments = [
        *("evaluate", "--noise", "--data", tmp_path / "set", "--draws", 1),
        *("--noise-model", tmp_path / "noise.safetensors"),
        *("--report", tmp_path / "r.html", "--json", tmp_path / "r.json"),
    ]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.stderr
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["kind"] for row in rows][:2] == ["real", "own latent"]
    assert rows[0]["akld"] is None
    assert all(row["akld"] > 0 for row in rows[1:])
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 3
    assert "own latent" in result.stdout


def test_what_cannot_be_computed_is_null_in_json(small_net) -> None:  # type: ignore[no-untyped-def]
    made = pair()
    made.noisy[..., 2] = made.clean[..., 2]  # no noise in blue: no correlation with it
    text = evaluate_noise([made], NoiseModel(small_net).eval(), draws=1).as_json()
    assert "NaN" not in text
    assert json.loads(text)["rows"][0]["channel_correlation"][1] is None
