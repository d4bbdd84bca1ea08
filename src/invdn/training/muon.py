"""Muon, for the weights of convolutions."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

#: Coefficients of the odd polynomial that drives singular values towards 1.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class ConvMuon(torch.optim.Optimizer):
    """Momentum whose every step is made orthogonal, as a matrix ``[O, I·k·k]``.

    The step has the root mean square of AdamW's (0.2), so that learning rate and decoupled
    weight decay mean the same there and here.

    ``torch.optim.Muon`` does the same in bfloat16 for matrices only; on a CPU, for matrices as
    small as these, float32 takes an eighth of the time.

    Source: K. Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024;
    the scale of the step: J. Liu et al., *Muon is Scalable for LLM Training*, 2025.

    Args:
        weights: Weights of convolutions, ``[O, I, k, k]``.
        lr: Learning rate.
        weight_decay: Decoupled.
        momentum: Of the gradients, in Nesterov's form.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the weights by one step."""
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                mean = state["momentum"].mul_(momentum).add_(weight.grad)
                matrix = (weight.grad + momentum * mean).flatten(1)  # [O, I·k·k]
                scale = 0.2 * max(matrix.shape) ** 0.5
                weight.mul_(1.0 - rate * group["weight_decay"])
                weight.add_(orthogonal(matrix).view_as(weight), alpha=-rate * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices with orthonormal rows or columns, roughly: singular values 0.7 to 1.2.

    Five steps of a Newton–Schulz iteration. Each multiplies a matrix by a polynomial of
    ``G = X·Xᵀ`` from the left; such polynomials commute, so that the iteration can go on with the
    small square G alone, and the wide matrix is multiplied once, at the end.

    Args:
        matrices: ``[..., M, N]``; what is 0 in whole rows or columns stays so.
    """
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    x: Tensor = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = NEWTON_SCHULZ
    gram = x @ x.mT
    total = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    for _ in range(5):
        factor = (gram @ gram).mul_(c).add_(gram, alpha=b)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        total = factor @ total
        gram = factor @ gram @ factor
    x = total @ x
    return x if wide is matrices else x.mT
