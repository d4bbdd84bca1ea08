"""Ensembles of batches."""

from __future__ import annotations

import pytest
import torch

from invdn.ensembles import Ensemble
from invdn.net.ensemble import denoise_ensemble, latent_like
from invdn.net.invdn import InvDN, LevelConfig
from invdn.net.paper import PaperInvDN


def ours() -> InvDN:
    torch.manual_seed(0)
    return InvDN((LevelConfig(1, 8, 6, 8, 1), LevelConfig(1, 8, 12, 8, 1))).double()


def published() -> PaperInvDN:
    torch.manual_seed(0)
    return PaperInvDN().double()


@pytest.mark.parametrize(
    ("make", "ensemble"),
    [
        (ours, Ensemble(turns=8)),
        (published, Ensemble(samples=3, seed=5)),
        (published, Ensemble(samples=2, turns=8)),
    ],
)
@torch.no_grad()
def test_ensemble_of_a_batch_is_the_batch_of_ensembles(make, ensemble: Ensemble) -> None:  # type: ignore[no-untyped-def]
    net = make()
    y = torch.rand(3, 3, 8, 12, dtype=torch.float64)
    together = denoise_ensemble(net, y, ensemble)
    alone = torch.cat([denoise_ensemble(net, image[None], ensemble) for image in y])
    assert (together - alone).abs().max() < 1e-12
    assert (together - net.denoise(y, *latents(net, y))).abs().max() > 1e-6


def latents(net: InvDN | PaperInvDN, y: torch.Tensor) -> list[torch.Tensor]:
    return [latent_like(y).expand(len(y), -1, -1, -1)] if isinstance(net, PaperInvDN) else []


@torch.no_grad()
def test_an_ensemble_of_symmetries_is_equivariant() -> None:
    """Turning the image turns the result: what a network by itself does not promise."""
    net, y = ours(), torch.rand(1, 3, 8, 12, dtype=torch.float64)
    ensemble = Ensemble(turns=8)
    turned = denoise_ensemble(net, y.rot90(1, (2, 3)), ensemble, strength=0.7)
    assert (turned - denoise_ensemble(net, y, ensemble, 0.7).rot90(1, (2, 3))).abs().max() < 1e-12
    assert (net.denoise(y.flip(3)) - net.denoise(y).flip(3)).abs().max() > 1e-6


@torch.no_grad()
def test_an_ensemble_of_one_is_the_plain_restoration() -> None:
    net, y = published(), torch.rand(1, 3, 8, 12, dtype=torch.float64)
    z = latent_like(y, seed=5)
    assert torch.equal(denoise_ensemble(net, y, Ensemble(seed=5)), net.denoise(y, z))
    part = latent_like(y[:, :, 4:, 8:], seed=5, top=4, left=8)
    assert torch.equal(part, z[:, :, 1:, 2:])


def test_what_a_network_does_not_have_is_refused() -> None:
    y = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="no random latent"):
        denoise_ensemble(ours(), y, Ensemble(samples=2))
    with pytest.raises(ValueError, match=r"no strength, and 0\.5"):
        denoise_ensemble(published(), y, Ensemble(), strength=0.5)
