"""Losses."""

from __future__ import annotations

import torch
from torch import Tensor


def charbonnier(output: Tensor, target: Tensor, epsilon: float = 1e-3) -> Tensor:
    """``mean(√((output − target)² + ε²))``: L1, smooth at zero.

    Source: P. Charbonnier et al., *Two deterministic half-quadratic regularization algorithms
    for computed imaging*, ICIP 1994.
    """
    return torch.sqrt((output - target) ** 2 + epsilon**2).mean()
