"""The two steps that are exported are the network's ``denoise``."""

from __future__ import annotations

import pytest
import torch

from invdn.net.invdn import InvDN, LevelConfig
from invdn.net.steps import TwoSteps

COARSEST = LevelConfig(1, 8, 9, 8, 1)
NETWORKS = {
    "couplings": (LevelConfig(2, 8, 5, 8, 1), COARSEST),
    "plain finest level": (LevelConfig(0, 0, 6, 8, 1), COARSEST),
    "kept channels restored twice": (
        LevelConfig(1, 8, 6, 8, 1, hint=3, whole=True),
        LevelConfig(1, 8, 7, 8, 2, survey=4, hint=2, whole=True),
        LevelConfig(1, 8, 9, 8, 1, survey=5),
    ),
    "surveys and hints": (
        LevelConfig(1, 8, 6, 8, 1, hint=3),
        LevelConfig(1, 8, 7, 8, 2, survey=4, hint=2),
        LevelConfig(1, 8, 9, 8, 1, survey=5),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("strength", [0.0, 0.6, 1.0])
@torch.no_grad()
def test_both_steps_are_denoise(name: str, strength: float) -> None:
    torch.manual_seed(0)
    net = InvDN(NETWORKS[name]).double()
    for parameter in net.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    image = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    # A pixel's colours side by side, as they lie in memory.
    rows = image.permute(0, 2, 3, 1).reshape(2, 1, 16, 72)
    amount = torch.tensor(strength, dtype=torch.float64)
    steps = TwoSteps(net)
    restored = steps.fine(*steps.coarse(rows, amount), amount)
    expected = net.denoise(image, amount).permute(0, 2, 3, 1).reshape(2, 1, 16, 72)
    assert (restored - expected).abs().max() < 1e-12
    coarse, noisy = steps.coarse(rows, amount)
    assert steps.channels == (coarse.shape[1], noisy.shape[1])
    finest = net.config[0]
    wanted = finest.kept + finest.hint
    # What ONNX Runtime's fast convolutions take.
    assert steps.channels[0] == (-(-wanted // 4) * 4 if finest.hint else wanted)
