"""Losses: against definitions computed in another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from invdn.metrics import psnr
from invdn.net.losses import (
    bicubic_downscale,
    charbonnier,
    gradient_difference,
    negative_psnr,
    structural_difference,
)


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))


def cubic(d: float) -> float:
    d = abs(d)
    if d <= 1.0:
        return 1.5 * d**3 - 2.5 * d**2 + 1.0
    return -0.5 * d**3 + 2.5 * d**2 - 4.0 * d + 2.0 if d < 2.0 else 0.0


def imresize_rows(x: np.ndarray, factor: int) -> np.ndarray:
    """MATLAB's imresize of the first axis, pixel by pixel as its documentation describes it."""
    length = len(x)
    out = []
    for i in range(length // factor):
        centre = (i + 0.5) * factor - 0.5
        total, weights = 0.0 * x[0], 0.0
        for k in range(int(centre) - 2 * factor, int(centre) + 2 * factor + 2):
            weight = cubic((centre - k) / factor)
            inside = k if 0 <= k < length else (-1 - k if k < 0 else 2 * length - 1 - k)
            total = total + weight * x[inside]
            weights += weight
        out.append(total / weights)
    return np.stack(out)


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic_downscale_is_that_of_matlab(factor: int) -> None:
    x = images(2, 3, 16, 24).double()
    expected = imresize_rows(np.moveaxis(x.numpy(), 2, 0), factor)  # [H/f, N, C, W]
    expected = imresize_rows(np.moveaxis(expected, 3, 0), factor)  # [W/f, H/f, N, C]
    expected = expected.transpose(2, 3, 1, 0)
    assert np.allclose(bicubic_downscale(x, factor).numpy(), expected, atol=1e-12)


def test_bicubic_downscale_agrees_with_pytorch_away_from_the_border() -> None:
    x = images(1, 3, 64, 64).double()
    expected = torch.nn.functional.interpolate(x, scale_factor=0.25, mode="bicubic", antialias=True)
    inner = (..., slice(2, -2), slice(2, -2))
    assert torch.allclose(bicubic_downscale(x, 4)[inner], expected[inner], atol=1e-6)


def test_psnr_loss_is_the_negative_psnr() -> None:
    clean = (255 * images(8, 8, 3)).byte().numpy()
    noisy = np.clip(clean.astype(int) + 9, 0, 255).astype(np.uint8)
    as_batch = [torch.from_numpy(x).permute(2, 0, 1)[None].double() / 255 for x in (noisy, clean)]
    assert negative_psnr(*as_batch).item() == pytest.approx(-psnr(noisy, clean), abs=1e-3)


def test_charbonnier_is_between_l1_and_l1_plus_epsilon() -> None:
    x, y = images(1, 3, 8, 8), images(2, 3, 8, 8)[1:]
    l1 = (x - y).abs().mean()
    assert l1 < charbonnier(x, y, 1e-2) < l1 + 1e-2


def test_gradient_difference_of_a_ramp_is_its_slope() -> None:
    flat = torch.zeros(1, 3, 9, 9)
    ramp = 0.1 * torch.arange(9.0).expand(1, 3, 9, 9)
    inside = gradient_difference(ramp[..., 1:-1, 1:-1] - 0.1, flat[..., 1:-1, 1:-1])
    assert gradient_difference(flat, flat) == 0
    assert gradient_difference(ramp, ramp) == 0
    # Horizontally the kernel gives 8 times the slope; the border and the vertical one add to it.
    assert inside > 0.5 * 0.8
    assert torch.isclose(gradient_difference(2 * ramp, flat), 2 * gradient_difference(ramp, flat))
    assert torch.isclose(gradient_difference(ramp.mT, flat), gradient_difference(ramp, flat))


def test_structural_difference_is_that_of_its_windows() -> None:
    x, y = images(1, 1, 5, 5).double(), images(2, 1, 5, 5)[:1].double()
    pad = [(1, 1), (1, 1)]
    a, b = (np.pad(t[0, 0].numpy(), pad, mode="reflect") for t in (x, y))
    values = []
    for i, j in np.ndindex(5, 5):
        p, q = a[i : i + 3, j : j + 3], b[i : i + 3, j : j + 3]
        covariance = ((p - p.mean()) * (q - q.mean())).mean()
        above = (2 * p.mean() * q.mean() + 1e-4) * (2 * covariance + 9e-4)
        below = (p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (p.var() + q.var() + 9e-4)
        values.append(np.clip((1 - above / below) / 2, 0, 1))
    assert structural_difference(x, y).item() == pytest.approx(np.mean(values), abs=1e-12)
    assert structural_difference(x, x).item() == pytest.approx(0, abs=1e-12)
