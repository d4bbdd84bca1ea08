"""Clean pictures of colours that photos seldom have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invdn import images
from invdn.config import ConfigError, DataConfig, load_config
from invdn.data.batches import Batches
from invdn.data.vivid import _pattern, false_colours, poster, vivid
from samples import scene


def saturated(pixels: np.ndarray) -> float:
    """How much of a picture has one channel at black and another at white."""
    return float(((pixels.min(axis=-1) == 0) & (pixels.max(axis=-1) == 255)).mean())


def test_many_colours_are_as_saturated_as_can_be() -> None:
    rng = np.random.default_rng(0)
    patch = scene(48, 40)
    before = patch.copy()
    made = [vivid(patch, rng) for _ in range(60)]
    assert all(one.shape == patch.shape and one.dtype == np.uint8 for one in made)
    assert (patch == before).all()
    assert saturated(patch) < 0.01
    assert np.mean([saturated(one) for one in made]) > 0.25
    again = np.random.default_rng(0)
    assert all((vivid(patch, again) == one).all() for one in made)


def test_false_colours_keep_the_shapes() -> None:
    rng = np.random.default_rng(1)
    patch = np.zeros((16, 16, 3), np.uint8)
    patch[:, 8:] = 200, 100, 50
    for _ in range(20):
        made = false_colours(patch, rng)
        assert (made[:, :8] == made[0, 0]).all()
        assert (made[:, 8:] == made[0, 8]).all()


def test_posters_have_flat_colours_and_borders_of_all_kinds() -> None:
    rng = np.random.default_rng(2)
    made = [poster(scene(48, 48), rng) for _ in range(80)]
    counts = [len(np.unique(one.reshape(-1, 3), axis=0)) for one in made]
    assert min(counts) >= 1
    assert sum(count in (2, 3) for count in counts) > 8  # hard borders
    assert sum(count > 8 for count in counts) > 15  # soft ones
    level = [(one == one[:, :1]).all() or (one == one[:1]).all() for one in made]
    assert 5 < sum(level) < 60


def test_batches_have_as_many_of_them_as_is_asked_for(tmp_path: Path) -> None:
    images.write(images.Photo(scene(120, 120), "png"), tmp_path / "clean.png")

    def share(vivid: float) -> float:
        config = DataConfig(
            clean=(".",), crop_px=32, real_crops=0, gaussian_crops=30, camera_crops=0,
            gaussian_soft_chroma=0.0, vivid=vivid,
        )  # fmt: skip
        _, target = Batches(config, tmp_path, seed=0)[0]
        pixels = (255 * target).permute(0, 2, 3, 1).numpy()
        return float(np.mean([saturated(one) > 0.02 for one in pixels]))

    assert share(0.0) == 0.0
    assert 0.0 < share(0.3) < 0.25
    assert share(1.0) > 0.2


def test_a_share_is_from_0_to_1(tmp_path: Path) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text('run = "x"\n[data]\nvivid = 1.5\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data\.vivid must be from 0 to 1"):
        load_config(settings)


def test_patterns_are_as_fine_as_a_pixel_and_regular() -> None:
    rng = np.random.default_rng(3)
    finest = 0
    for _ in range(200):
        cover = _pattern((24, 24), rng)
        assert cover.min() >= 0.0
        assert cover.max() <= 1.0
        finest += bool((np.abs(np.diff(cover, axis=1)).mean() > 0.2) and np.ptp(cover) > 0.3)
    assert finest > 10
