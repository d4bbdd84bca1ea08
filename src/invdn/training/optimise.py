"""Optimisers and the learning rate's course."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from invdn.config import ConfigError, TrainConfig
from invdn.training.muon import ConvMuon


def learning_rate(step: int, config: TrainConfig) -> float:
    """The learning rate of a step: a linear warm-up, then as ``config.schedule`` says."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "halving":
        return config.learning_rate * 0.5 ** (step // config.halve_every)
    span = config.learning_rate - config.final_learning_rate
    if config.schedule == "trapezoid":
        return config.final_learning_rate + span * min(
            1.0, (config.steps - step) / config.decay_steps
        )
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.final_learning_rate + span * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


@dataclass(frozen=True)
class Optimiser:
    """An optimiser, and which of the network's parameters it moves, by name and in its order."""

    kind: str
    inner: torch.optim.Optimizer
    parameters: tuple[str, ...]


def make_optimisers(net: nn.Module, config: TrainConfig) -> list[Optimiser]:
    """Optimisers for a network that lies on its device already: together they move all of it.

    Raises:
        ConfigError: where the optimiser needs a package that is not installed.
    """
    rate, decay = config.learning_rate, config.weight_decay
    named = dict(net.named_parameters())

    def adamw(parameters: dict[str, nn.Parameter]) -> Optimiser:
        inner = torch.optim.AdamW(parameters.values(), lr=rate, weight_decay=decay)
        return Optimiser("adamw", inner, tuple(parameters))

    if config.optimiser == "adam":
        inner = torch.optim.Adam(named.values(), lr=rate, weight_decay=decay)
        return [Optimiser("adam", inner, tuple(named))]
    if config.optimiser == "schedule-free":
        return [Optimiser("schedule-free", _schedule_free(named, rate, decay), tuple(named))]
    if config.optimiser == "muon":
        weights = {name: p for name, p in named.items() if p.ndim == 4}
        rest = {name: p for name, p in named.items() if p.ndim != 4}
        muon = ConvMuon(weights.values(), rate, decay)
        return [Optimiser("muon", muon, tuple(weights)), adamw(rest)]
    return [adamw(named)]


def _schedule_free(
    parameters: dict[str, nn.Parameter], rate: float, decay: float
) -> torch.optim.Optimizer:
    """Schedule-free AdamW.

    Source: A. Defazio et al., *The Road Less Scheduled*, NeurIPS 2024.
    """
    try:
        import schedulefree
    except ImportError:
        raise ConfigError(
            "optimiser schedule-free needs a package: pip install schedulefree"
        ) from None
    optimiser: torch.optim.Optimizer = schedulefree.AdamWScheduleFree(
        list(parameters.values()), lr=rate, weight_decay=decay
    )
    optimiser.train()  # type: ignore[attr-defined]
    return optimiser


@torch.no_grad()
def copy_averaged_weights(optimisers: list[Optimiser], net: nn.Module, target: nn.Module) -> bool:
    """Copy the weights that schedule-free optimisation averages; False where there are none.

    The network's own weights, where the gradients are taken, come back exactly as they were.
    """
    averaging = [o.inner for o in optimisers if o.kind == "schedule-free"]
    if not averaging:
        return False
    before = [parameter.clone() for parameter in net.parameters()]
    for inner in averaging:
        inner.eval()  # type: ignore[attr-defined]
    for copied, parameter in zip(target.parameters(), net.parameters(), strict=True):
        copied.copy_(parameter)
    for inner in averaging:
        inner.train()  # type: ignore[attr-defined]
    for parameter, value in zip(net.parameters(), before, strict=True):
        parameter.copy_(value)
    return True
