"""Optimisers and the learning rate's course."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch
from torch import nn

from invdn.config import ConfigError, TrainConfig
from invdn.training.muon import ConvMuon, orthogonal
from invdn.training.optimise import (
    copy_averaged_weights,
    learning_rate,
    make_optimisers,
)


def test_cosine_rises_then_falls_to_its_end() -> None:
    config = TrainConfig(run="x", steps=100, warmup_steps=10)
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(config.learning_rate / 10)
    assert rates[10] == config.learning_rate == max(rates)
    assert rates[100] == pytest.approx(config.final_learning_rate)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_halving_halves_and_constant_stays() -> None:
    config = TrainConfig(run="x", learning_rate=2e-4, schedule="halving", warmup_steps=0)
    rates = [learning_rate(step, config) for step in (0, 99_999, 100_000, 199_999, 599_999)]
    assert rates == [2e-4, 2e-4, 1e-4, 1e-4, 2e-4 / 32]
    config = TrainConfig(run="x", learning_rate=2e-4, schedule="constant", warmup_steps=4)
    assert [learning_rate(step, config) for step in (0, 4, 10**6)] == [5e-5, 2e-4, 2e-4]


def test_trapezoid_stays_then_falls_in_a_straight_line() -> None:
    config = TrainConfig(
        run="x", steps=100, schedule="trapezoid", decay_steps=20, warmup_steps=10, learning_rate=1.0
    )
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[9:81] == [1.0] * 72
    assert rates[90] == pytest.approx(0.5, rel=1e-5)
    assert rates[100] == pytest.approx(config.final_learning_rate)


def convs() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(8, 3, 1))
    net.to(memory_format=torch.channels_last)
    return net


@pytest.mark.parametrize("kind", ["adamw", "adam", "muon", "schedule-free"])
def test_every_optimiser_learns(kind: str) -> None:
    net, mean = convs(), convs()
    config = TrainConfig(run="x", optimiser=kind, learning_rate=1e-2)
    optimisers = make_optimisers(net, config)
    names = {name for optimiser in optimisers for name in optimiser.parameters}
    assert names == dict(net.named_parameters()).keys()
    x = torch.rand(2, 3, 8, 8)
    values = []
    for _ in range(60):
        loss = ((net(x) - 1 + x) ** 2).mean()
        net.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.inner.step()
        values.append(loss.item())
    assert values[-1] < 0.25 * values[0]
    before = [p.clone() for p in net.parameters()]
    if copy_averaged_weights(optimisers, net, mean):
        assert kind == "schedule-free"
        assert ((mean(x) - 1 + x) ** 2).mean() < 0.25 * values[0]
        assert not torch.equal(mean[0].weight, net[0].weight)
    else:
        assert kind != "schedule-free"
    for parameter, value in zip(net.parameters(), before, strict=True):
        assert torch.equal(parameter, value)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_takes_the_steps_of_pytorchs_on_matrices(layout: torch.memory_format) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon to compare with")
    torch.manual_seed(0)
    start = torch.randn(8, 4, 3, 3)
    weight = nn.Parameter(start.clone(memory_format=layout))
    matrix = nn.Parameter(start.flatten(1).clone())
    ours = ConvMuon([weight], 0.1, 0.01)
    reference = torch.optim.Muon([matrix], 0.1, 0.01, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        gradient = torch.randn(8, 4, 3, 3)
        weight.grad = gradient.clone(memory_format=layout)
        matrix.grad = gradient.flatten(1).clone()
        ours.step()
        reference.step()
    # PyTorch's orthogonalises in bfloat16.
    assert torch.allclose(weight.detach().flatten(1), matrix.detach(), atol=5e-3)
    assert (weight - start).abs().max() > 0.05


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (3, 6, 20)])
def test_orthogonal_evens_out_singular_values(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_matrices_are_made_orthogonal_each_for_itself() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, 6, 20) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    matrices[2, 4:] = matrices[2, :, 15:] = 0.0
    together = orthogonal(matrices)
    for matrix, result in zip(matrices, together, strict=True):
        torch.testing.assert_close(result, orthogonal(matrix), atol=1e-5, rtol=1e-4)
    assert (together[2, 4:] == 0).all()
    assert (together[2, :, 15:] == 0).all()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "schedulefree", None)
    with pytest.raises(ConfigError, match="pip install schedulefree"):
        make_optimisers(convs(), TrainConfig(run="x", optimiser="schedule-free"))
