"""Networks that begin where others are."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from invdn.net.invdn import InvDN, LevelConfig
from invdn.net.resize import resized

OLD = (LevelConfig(1, 8, 6, 12, 2), LevelConfig(1, 8, 7, 10, 2), LevelConfig(1, 8, 8, 10, 1))
TOLD = (
    dataclasses.replace(OLD[0], hint=3),
    dataclasses.replace(OLD[1], survey=4, hint=2),
    dataclasses.replace(OLD[2], survey=5),
)

DEEPER = (TOLD[0], *(dataclasses.replace(level, posterior_pairs=3) for level in TOLD[1:]))
WIDER = tuple(
    dataclasses.replace(
        level,
        posterior_width=level.posterior_width + 3,
        survey=level.survey and level.survey + 2,
        hint=level.hint and level.hint + 1,
    )
    for level in DEEPER
)


#: The finest posterior comes to restore the kept channels too.
WHOLE = (dataclasses.replace(WIDER[0], whole=True), *WIDER[1:])


def trained(levels: tuple[LevelConfig, ...] = OLD) -> InvDN:
    """Far enough from the start that everything does something."""
    net, generator = InvDN(levels), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return net


def image() -> torch.Tensor:
    return torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def distance(a: InvDN, b: InvDN) -> float:
    return float((a.denoise(image()) - b.denoise(image())).abs().max())


@pytest.mark.parametrize("before", [OLD, TOLD])
def test_a_posterior_that_comes_to_restore_more_begins_near_where_it_was(
    before: tuple[LevelConfig, ...],
) -> None:
    net = trained(before)
    larger = resized(net, WHOLE, [])
    assert larger.config == WHOLE
    assert 0.0 < distance(net, larger) < 0.05
    gates = larger.posteriors[0].conv_out.bias
    assert isinstance(gates, torch.Tensor)
    with torch.no_grad():
        gates[: WHOLE[0].kept] = -100.0
    assert distance(net, larger) < 1e-6


@pytest.mark.parametrize(
    ("before", "levels"),
    [(OLD, OLD), (OLD, TOLD), (OLD, DEEPER), (OLD, WIDER), (TOLD, DEEPER), (TOLD, WIDER)],
)
def test_what_only_grows_computes_the_same(
    before: tuple[LevelConfig, ...], levels: tuple[LevelConfig, ...]
) -> None:
    net = trained(before)
    larger = resized(net, levels, [])
    assert larger.config == levels
    assert distance(net, larger) < 1e-6


def test_all_that_is_new_learns() -> None:
    larger = resized(trained(TOLD), WIDER, [])
    optimiser = torch.optim.SGD(larger.parameters(), 1e-3)
    for _ in range(3):  # what begins at 0 moves first, then what it is multiplied with
        optimiser.zero_grad()
        larger.denoise(image()).square().mean().backward()
        optimiser.step()
    for name, parameter in larger.named_parameters():
        gradient = parameter.grad
        assert gradient is not None
        if name.endswith("weight"):
            assert gradient.flatten(1).any(1).all(), name


def test_a_level_can_lose_its_couplings() -> None:
    levels = (dataclasses.replace(TOLD[0], blocks=0, coupling_width=0), *TOLD[1:])
    net = trained(TOLD)
    without = resized(net, levels, [])
    assert without.config == levels
    assert distance(net, without) > 1e-3
    posteriors = (n.posteriors.state_dict() for n in (net, without))
    assert all(torch.equal(a, b) for a, b in zip(*(p.values() for p in posteriors), strict=True))


def test_a_survey_can_go_under_one_that_stays() -> None:
    surveyed = (TOLD[0], TOLD[1], dataclasses.replace(TOLD[2], survey=5))
    levels = (surveyed[0], dataclasses.replace(surveyed[1], survey=0), surveyed[2])
    net = trained(surveyed)
    without = resized(net, levels, [])
    assert without.config == levels
    old, new = (n.surveys["2"].conv.weight for n in (net, without))
    assert torch.equal(old[:, : new.shape[1]], new)


def test_a_told_network_stays_what_it_is() -> None:
    net = trained(TOLD)
    assert distance(net, resized(net, TOLD, [])) == 0.0


def test_features_that_do_nothing_go_first() -> None:
    net = trained(TOLD)
    posterior, idle = net.posteriors[0], [1, 4, 7]
    with torch.no_grad():  # no weight uses these
        for pair in posterior.pairs:
            pair.conv1.weight[:, idle] = 0.0
            pair.conv2.weight[:, idle] = 0.0
        posterior.conv_out.weight[:, idle] = 0.0
    narrow = (dataclasses.replace(TOLD[0], posterior_width=9), *TOLD[1:])
    narrower = resized(net, narrow, [image()])
    assert narrower.config == narrow
    assert distance(net, narrower) < 1e-6


def test_a_narrower_coarse_posterior_hints_with_what_it_kept() -> None:
    net = trained(TOLD)
    with torch.no_grad():
        posterior = net.posteriors[1]
        for pair in posterior.pairs:
            pair.conv1.weight[:, :2] = 0.0
            pair.conv2.weight[:, :2] = 0.0
        posterior.conv_out.weight[:, :2] = 0.0
        net.hints["0"].conv.weight[:, :2] = 0.0
    narrow = (TOLD[0], dataclasses.replace(TOLD[1], posterior_width=8), TOLD[2])
    assert distance(net, resized(net, narrow, [image()])) < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kept": 7}, "kept channels"),
        ({"coupling_width": 9}, "couplings"),
        ({"hint": 2}, "not get narrower"),
    ],
)
def test_other_changes_are_refused(change: dict[str, int], message: str) -> None:
    levels = (dataclasses.replace(TOLD[0], **change), *TOLD[1:])
    with pytest.raises(ValueError, match=message):
        resized(trained(TOLD), levels, [image()])


def test_narrowing_needs_images() -> None:
    narrow = (dataclasses.replace(OLD[0], posterior_width=9), *OLD[1:])
    with pytest.raises(ValueError, match="images are needed"):
        resized(trained(), narrow, [])
