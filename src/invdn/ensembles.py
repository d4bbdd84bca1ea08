"""Test-time ensembles: the mean over random latents, over the symmetries of a square, or both.

Source: Y. Liu et al., *Invertible Denoising Network*, CVPR 2021, who average 16 samples of the
latent (Monte-Carlo), or the eight flips and rotations of the image with a sample for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SYMMETRIES = 8

#: How many of the symmetries may be averaged → which: the image as it is first, then rotations.
#: A quarter turn is worth more than a flip, which leaves rows rows.
TURNS = {1: (0,), 2: (0, 5), 4: (0, 5, 3, 6), SYMMETRIES: tuple(range(SYMMETRIES))}


class Member(NamedTuple):
    """One restoration of the image."""

    draw: int
    """Number of its random latent; each member has its own."""
    symmetry: int
    """How the image is turned for it, 0–7; 0 leaves it as it is."""


@dataclass(frozen=True)
class Ensemble:
    """Which restorations are averaged."""

    samples: int = 1
    """Random latents for each symmetry, at least 1."""
    turns: int = 1
    """Flips and rotations of the image, one of :data:`TURNS`; 1 is just the image as it is."""
    seed: int = 0
    """Of the random latents."""

    def __len__(self) -> int:
        return self.samples * self.turns

    def __iter__(self) -> Iterator[Member]:
        symmetries = TURNS[self.turns]
        return (Member(draw, symmetries[draw % self.turns]) for draw in range(len(self)))


def turn(image: NDArray[Any], symmetry: int) -> NDArray[Any]:
    """Flip and rotate ``[…, H, W]`` → ``[…, H, W]``, or ``[…, W, H]`` from symmetry 4 on.

    A view; symmetries are 0–7.
    """
    image = _flip(image, symmetry)
    return image.swapaxes(-2, -1) if symmetry & 4 else image


def turn_back(image: NDArray[Any], symmetry: int) -> NDArray[Any]:
    """Undo :func:`turn`."""
    return _flip(image.swapaxes(-2, -1) if symmetry & 4 else image, symmetry)


def _flip(image: NDArray[Any], symmetry: int) -> NDArray[Any]:
    if symmetry & 1:
        image = np.flip(image, -1)
    if symmetry & 2:
        image = np.flip(image, -2)
    return image
