"""Optimisers and the learning rate's course."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from invdn.config import ConfigError, TrainConfig

log = logging.getLogger(__name__)


def learning_rate(step: int, config: TrainConfig) -> float:
    """The learning rate of a step: a linear warm-up, then as ``config.schedule`` says."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "halving":
        return config.learning_rate * 0.5 ** (step // config.halve_every)
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    span = config.learning_rate - config.final_learning_rate
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
    if config.optimiser == "muon" and hasattr(torch.optim, "Muon"):
        weights = {name: p for name, p in named.items() if p.ndim == 4}
        rest = {name: p for name, p in named.items() if p.ndim != 4}
        muon = conv_muon(list(weights.values()), rate, decay)
        return [Optimiser("muon", muon, tuple(weights)), adamw(rest)]
    if config.optimiser == "muon":
        log.warning("PyTorch %s has no Muon: AdamW takes its place", torch.__version__)
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


def conv_muon(weights: list[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Muon for convolutions: each weight ``[O, I, k, k]`` as a matrix ``[O, I·k·k]``.

    Muon takes matrices only, so it gets views of the weights; what it does to a view it does to
    the weight. The weights must stay where they are (on their device, in their memory format).

    Source: K. Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024;
    its updates are scaled to AdamW's size (J. Liu et al., *Muon is Scalable for LLM Training*,
    2025), so that learning rate and weight decay mean the same.
    """
    matrices = [nn.Parameter(_as_matrix(weight.detach())) for weight in weights]
    for matrix, weight in zip(matrices, weights, strict=True):
        assert matrix.data_ptr() == weight.data_ptr(), "a copy would be trained in vain"
    optimiser = torch.optim.Muon(
        matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
    )

    def lend_gradients(*_: Any) -> None:
        for matrix, weight in zip(matrices, weights, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad, like=weight)

    optimiser.register_step_pre_hook(lend_gradients)
    return optimiser


def _as_matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """``[O, I, k, k]`` → ``[O, I·k·k]`` without a copy, columns in the order of memory.

    With ``like``: in the order of that tensor's memory instead.
    """
    like = weight if like is None else like
    if like.is_contiguous():
        return weight.reshape(len(weight), -1)
    # channels_last: [O, k, k, I] lies contiguous in memory.
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


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
