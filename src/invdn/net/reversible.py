"""Backpropagation through coupling chains without keeping their activations.

Autograd keeps what every block computed on the way until the backward pass, so that memory grows
with depth. But a coupling can be inverted: the backward pass can walk the chain from its output
back to its input and compute each block's activations again, one block at a time. Memory is then
that of the output and of half a block, whatever the depth.

Each subnet runs once more than usual, and no more than that: what inverts a block, ``G`` and
``H`` at ``y1`` and ``F`` at ``x2``, is just what its gradients need. With a backward pass that
costs twice a forward pass, that is 4/3 of the time.

Law: values are those of the plain chain, bit for bit; gradients are equal up to rounding.
Rounding errors of the recomputed activations are of the size that they have in the first place.
Where one carries a feature across the kink of a LeakyReLU, the slope there is another: gradients
then differ locally, as autograd's own float32 gradients differ from the exact ones, and no more.

What to know when using it:

* Blocks must be deterministic (no dropout), since they run twice.
* float32 and float64 only; lower precisions do not survive the inversion. Under autocast the
  values that pass from block to block are float32, and only the insides of the subnets are of
  lower precision: the recomputed activations are then as good as the first ones, and gradients
  differ from autograd's by no more than the lower precision itself makes them uncertain.
* Second derivatives are refused, and so is changing weights between forward and backward.

Source: A. Gomez et al., *The Reversible Residual Network: Backpropagation Without Storing
Activations*, NIPS 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from invdn.net.coupling import (
    Shift,
    ShiftAndScale,
    bounded_log_scale,
    couple,
    uncouple,
)


class AffineBlock(Protocol):
    """What a coupling block has to offer; see :mod:`invdn.net.coupling` for the names."""

    @property
    def split(self) -> int:
        """Channels of ``x1``."""

    @property
    def f(self) -> Shift:
        """F."""

    @property
    def shift_and_scale(self) -> ShiftAndScale:
        """G and H together."""

    def parameters(self) -> Iterator[Parameter]:
        """All that is learned in F, G and H."""


def chain_forward(blocks: Sequence[AffineBlock], x: Tensor) -> Tensor:
    """All blocks one after the other, ``[N, C, H, W]`` → the same shape.

    Raises TypeError where ``x`` is neither float32 nor float64 and autocast is off, ValueError
    where the blocks do not all split the channels at the same place.
    """
    return _apply(blocks, x, inverse=False)


def chain_inverse(blocks: Sequence[AffineBlock], y: Tensor) -> Tensor:
    """The inverse of :func:`chain_forward` with the same blocks, in their forward order."""
    return _apply(blocks, y, inverse=True)


#: The two halves of a chain's values, or of their gradients: ``x1`` and ``x2``.
Halves = tuple[Tensor, Tensor]
#: One gradient for each of a block's parameters; None for those that a subnet does not use.
Gradients = Sequence[Tensor | None]
#: (block, output, gradient of the output, parameters) → (input, gradient of the input, gradients
#: of the parameters from both halves of the block).
Step = Callable[
    [AffineBlock, Halves, Halves, Sequence[Parameter]],
    tuple[Halves, Halves, tuple[Gradients, Gradients]],
]


def _undo_forward(
    block: AffineBlock, y: Halves, dy: Halves, parameters: Sequence[Parameter]
) -> tuple[Halves, Halves, tuple[Gradients, Gradients]]:
    """From ``y`` and its gradient back to ``x`` and its gradient."""
    (y1, y2), (dy1, dy2) = y, dy
    with torch.enable_grad():
        y1 = y1.detach().requires_grad_()
        g, h = block.shift_and_scale(y1)
        g, scale = g.to(y2.dtype), torch.exp(bounded_log_scale(h)).to(y2.dtype)
    x2 = (y2 - g) / scale
    through, of_gh = _gradients((g, scale), y1, parameters, (dy2, dy2 * x2))
    dx1, dx2 = dy1 + through, dy2 * scale
    # The graph of G and H goes before that of F comes: never more than half a block is held.
    del g, h, scale
    with torch.enable_grad():
        x2 = x2.detach().requires_grad_()
        shift = block.f(x2).to(x2.dtype)
    through, of_f = _gradients((shift,), x2, parameters, (dx1,))
    return (y1 - shift, x2), (dx1, dx2 + through), (of_gh, of_f)


def _undo_inverse(
    block: AffineBlock, x: Halves, dx: Halves, parameters: Sequence[Parameter]
) -> tuple[Halves, Halves, tuple[Gradients, Gradients]]:
    """From ``x``, which the block's inverse made, and its gradient to ``y`` and its gradient."""
    (x1, x2), (dx1, dx2) = x, dx
    with torch.enable_grad():
        x2 = x2.detach().requires_grad_()
        shift = block.f(x2).to(x2.dtype)
    y1 = x1 + shift
    through, of_f = _gradients((shift,), x2, parameters, (-dx1,))
    dx2 = dx2 + through
    del shift
    with torch.enable_grad():
        y1 = y1.detach().requires_grad_()
        g, h = block.shift_and_scale(y1)
        # exp(−s) is what the inverse multiplied by; in bfloat16 it is not 1 / exp(s).
        g, scale = g.to(x2.dtype), torch.exp(-bounded_log_scale(h)).to(x2.dtype)
    unshifted = x2 / scale
    dy2 = dx2 * scale
    through, of_gh = _gradients((g, scale), y1, parameters, (-dy2, dx2 * unshifted))
    return (y1, unshifted + g), (dx1 + through, dy2), (of_f, of_gh)


class _Chain(torch.autograd.Function):
    """``apply(blocks, inverse, x, *parameters)``."""

    @staticmethod
    def forward(
        ctx: Any, blocks: Sequence[AffineBlock], inverse: bool, x: Tensor, *parameters: Parameter
    ) -> Tensor:
        ctx.blocks, ctx.inverse = blocks, inverse
        ctx.autocast = _Autocast(x.device.type)
        with ctx.autocast.again():
            y = _run(blocks, x, inverse)
        # The parameters too: autograd then notices when they have been changed in between.
        ctx.save_for_backward(y, *parameters)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        output, *parameters = ctx.saved_tensors
        split = ctx.blocks[0].split
        y, dy = _halves(output, split), _halves(gradient, split)
        totals: dict[Parameter, Tensor] = {}
        undo: Step = _undo_inverse if ctx.inverse else _undo_forward
        with ctx.autocast.again():
            for block in ctx.blocks if ctx.inverse else reversed(ctx.blocks):
                learned = [p for p in block.parameters() if p.requires_grad]
                y, dy, gradients = undo(block, y, dy, learned)
                for some in gradients:
                    _accumulate(totals, learned, some)
        return None, None, torch.cat(dy, dim=1), *(totals.get(p) for p in parameters)


class _Autocast:
    """The state of autocast at this moment, to be had again in the backward pass."""

    def __init__(self, device_type: str) -> None:
        self.device_type = device_type
        self.enabled = torch.is_autocast_enabled(device_type)
        self.dtype = torch.get_autocast_dtype(device_type)

    def again(self) -> torch.autocast:
        # Not cached: a weight that was cast without gradients must not be used with them.
        return torch.autocast(
            self.device_type, dtype=self.dtype, enabled=self.enabled, cache_enabled=False
        )


def _apply(blocks: Sequence[AffineBlock], x: Tensor, inverse: bool) -> Tensor:
    if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        x = x.float()
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"a reversible chain needs float32 or float64, not {x.dtype}")
    if len({block.split for block in blocks}) > 1:
        raise ValueError("the blocks of a reversible chain must have the same split")
    # As a dict, which drops those that several blocks share.
    learned = {p: None for block in blocks for p in block.parameters() if p.requires_grad}
    if not blocks or not torch.is_grad_enabled() or not (learned or x.requires_grad):
        return _run(blocks, x, inverse)
    y: Tensor = _Chain.apply(tuple(blocks), inverse, x, *learned)  # type: ignore[no-untyped-call]
    return y


def _run(blocks: Sequence[AffineBlock], x: Tensor, inverse: bool) -> Tensor:
    if not blocks:
        return x
    halves = _halves(x, blocks[0].split)
    step = uncouple if inverse else couple
    for block in reversed(blocks) if inverse else blocks:
        halves = step(*halves, block.f, block.shift_and_scale)
    return torch.cat(halves, dim=1)


def _halves(x: Tensor, split: int) -> Halves:
    # Contiguous, as convolutions want them; from here on they are never put together again.
    return x[:, :split].contiguous(), x[:, split:].contiguous()


def _gradients(
    outputs: Sequence[Tensor], leaf: Tensor, parameters: Sequence[Parameter], of: Sequence[Tensor]
) -> tuple[Tensor, Gradients]:
    """The gradient of the leaf and those of the parameters; frees the graph."""
    first, *rest = torch.autograd.grad(outputs, (leaf, *parameters), of, allow_unused=True)
    return first, rest


def _accumulate(
    totals: dict[Parameter, Tensor], parameters: Sequence[Parameter], gradients: Gradients
) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            known = totals.get(parameter)
            totals[parameter] = gradient if known is None else known + gradient
