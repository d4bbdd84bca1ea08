"""What the README promises, checked on the files that it speaks of."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import pyvips

import invdn
from invdn.metrics import psnr
from invdn.runtime import shipped_models

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def denoiser() -> invdn.Denoiser:
    return invdn.load("photo", threads=1)


def read(path: Path) -> np.ndarray:
    return pyvips.Image.new_from_file(str(path)).numpy()


@pytest.mark.parametrize(("name", "gain_db"), [("astronaut", 5.0), ("coffee", 8.5)])
def test_bundled_photos_become_much_cleaner(
    denoiser: invdn.Denoiser, name: str, gain_db: float
) -> None:
    noisy, clean = (read(ROOT / f"examples/{kind}/{name}.jpg") for kind in ("noisy", "clean"))
    restored = denoiser(noisy)
    assert psnr(restored, clean) > psnr(noisy, clean) + gain_db
    # Where clipped noise has shifted the channels' means (in the very noisy one blue by 7 grey
    # levels up, red by 6 down), more than a third is taken back of the largest shift, and three
    # quarters of what is colour in it.
    before, after = (x.mean((0, 1)) - clean.mean((0, 1)) for x in (noisy, restored))
    assert np.abs(after).max() < max(2.0, 0.65 * np.abs(before).max())
    before, after = (shift - shift.mean() for shift in (before, after))
    assert np.abs(after).max() < max(1.5, 0.25 * np.abs(before).max())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_zero_of_the_shipped_network_is_the_identity(
    denoiser: invdn.Denoiser, dtype: type[np.unsignedinteger]
) -> None:
    rng = np.random.default_rng(0)
    photo = read(ROOT / "examples/noisy/coffee.jpg")[:120, :137].astype(dtype)
    noise = rng.integers(0, np.iinfo(dtype).max, (75, 58, 3), dtype=dtype, endpoint=True)
    for image in (photo, noise):
        assert np.array_equal(denoiser(image, strength=0.0), image)


def test_more_strength_removes_more(denoiser: invdn.Denoiser) -> None:
    noisy = read(ROOT / "examples/noisy/astronaut.jpg")[100:260, 150:310].astype(float)
    distances = [
        np.abs(denoiser(noisy.astype(np.uint8), strength=s).astype(float) - noisy).mean()
        for s in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert distances[0] == 0.0
    assert all(a < b for a, b in itertools.pairwise(distances))


def test_readme_states_the_shipped_scores() -> None:
    scores = shipped_models()["photo"].scores
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("polyu", "sidd", "bsd23, σ 25"):
        row = re.search(rf"^\| {name} \| ([\d.]+) \| ([\d.]+) \|$", readme, re.MULTILINE)
        assert row, name
        assert float(row[2]) == scores[f"{name}: PSNR, dB"]
        assert float(row[1]) == scores[f"{name}: PSNR of the input, dB"]


def test_ci_runs_the_readme_command() -> None:
    commands = [s for s in (ROOT / "README.md").read_text().splitlines() if ".[dev]" in s]
    assert commands
    assert all("pytest" in command for command in commands)
    assert commands[0] in (ROOT / "CONTRIBUTING.md").read_text()
