"""invdn.data.enlarged: what interpolation does to noise and photo alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from invdn import images
from invdn.config import ConfigError, DataConfig, load_config
from invdn.data.batches import Batches
from invdn.data.enlarged import enlarge, enlarge_some
from samples import scene


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("cubic", [False, True])
def test_a_factor_of_one_changes_nothing(cubic: bool) -> None:
    x = torch.rand(2, 3, 12, 9, generator=generator())
    same = enlarge(x, torch.ones(2), torch.rand(2, 2), torch.full((2,), cubic))
    torch.testing.assert_close(same, x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cubic", [False, True])
def test_a_part_is_enlarged_about_its_place(cubic: bool) -> None:
    ramp = torch.arange(64.0).view(1, 1, 1, 64).expand(3, 1, 64, 64)
    rows = ramp.transpose(2, 3)
    x = torch.cat((ramp, rows), 1)
    centres = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 0.5]])
    enlarged = enlarge(x, torch.full((3,), 2.0), centres, torch.full((3,), cubic))
    inner = enlarged[..., 8:-8, 8:-8]
    # Every pixel is half as large, and the part begins at 0, at a quarter, and (rows) at a half.
    first_row, first_column = inner[:, 1, 0, 0], inner[:, 0, 0, 0]
    near = {"atol": 0.1 if cubic else 1e-4, "rtol": 0.0}  # PyTorch's cubic does not keep ramps
    torch.testing.assert_close(inner[:, 0].diff(dim=2), torch.full((3, 48, 47), 0.5), **near)
    torch.testing.assert_close(inner[:, 1].diff(dim=1), torch.full((3, 47, 48), 0.5), **near)
    torch.testing.assert_close(first_row, torch.tensor([0.0, 16.0, 32.0]) + 3.75, **near)
    torch.testing.assert_close(first_column, torch.tensor([0.0, 16.0, 24.0]) + 3.75, **near)


def test_some_pairs_are_enlarged_noise_and_photo_alike() -> None:
    target = torch.full((400, 3, 16, 16), 0.5)
    target[..., 8:] = 0.25
    noise = 0.1 * torch.randn(target.shape, generator=generator())
    noisy, enlarged = enlarge_some(target + noise, target, generator(), 0.25)
    changed = ((noisy - enlarged) - noise).abs().amax((1, 2, 3)) > 0.03
    assert 65 < int(changed.sum()) < 130
    assert torch.equal(noisy[~changed], (target + noise)[~changed])
    assert torch.equal(enlarged[~changed], target[~changed])
    left = (noisy - enlarged)[changed][..., :4].flatten(1)
    assert left.std(1).median() < 0.085  # interpolation averages
    both = torch.stack((noisy, enlarged))[:, changed] * 255
    torch.testing.assert_close(both, both.round(), atol=1e-3, rtol=0)


def test_batches_have_some_where_the_noise_is_made(tmp_path: Path) -> None:
    images.write(images.Photo(scene(120, 120), "png"), tmp_path / "clean.png")

    def neighbours(enlarged: float) -> torch.Tensor:
        """Correlation of white noise, of each crop."""
        config = DataConfig(
            clean=(".",), crop_px=32, real_crops=0, gaussian_crops=30, camera_crops=0,
            gaussian_soft_chroma=0.0, enlarged=enlarged,
        )  # fmt: skip
        noisy, target = Batches(config, tmp_path, seed=0)[0]
        noise = noisy - target
        variance = (noise**2).mean((1, 2, 3)).clamp_min(1e-9)
        return (noise[..., 1:] * noise[..., :-1]).mean((1, 2, 3)) / variance

    assert neighbours(0.0).max() < 0.2
    assert 5 < int((neighbours(0.4) > 0.2).sum()) < 20
    assert (neighbours(1.0) > 0.2).float().mean() > 0.8


def test_a_share_is_from_0_to_1(tmp_path: Path) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text('run = "x"\n[data]\nenlarged = -0.5\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data\.enlarged must be from 0 to 1"):
        load_config(settings)


@pytest.mark.parametrize("factor", [1.5, 0.5])
def test_validation_sets_are_enlarged_by_a_factor(tmp_path: Path, factor: float) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text(
        'run = "x"\n[data]\nclean = ["."]\nreal_crops = 0\n[[validation]]\nname = "zoomed"\n'
        f'folder = "clean"\nsigma_8bit = 20\nenlarged = {factor}\n',
        encoding="utf-8",
    )
    if factor >= 1:
        (validation,) = load_config(settings).validation
        assert validation.enlarged == factor
    else:
        with pytest.raises(ConfigError, match="validation set zoomed: enlarged must be from 1"):
            load_config(settings)


def test_the_generator_decides_alone() -> None:
    x = torch.rand(8, 3, 16, 16, generator=generator())
    first, again = (enlarge_some(x, x, generator(), 0.5)[0] for _ in range(2))
    assert torch.equal(first, again)
    assert enlarge_some(x, x, generator(), 0.0)[0] is x
