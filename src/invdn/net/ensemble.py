"""Test-time ensembles of whole batches, in PyTorch; for images, :class:`invdn.Denoiser` has them.

Law: the ensemble of a batch is the batch of ensembles. Each image is restored with the same
random latents whatever else is in the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invdn.ensembles import Ensemble
from invdn.latents import normal_field
from invdn.net.invdn import InvDN
from invdn.net.paper import PaperInvDN


def denoise_ensemble(
    net: InvDN | PaperInvDN, y: Tensor, ensemble: Ensemble, strength: float = 1.0
) -> Tensor:
    """The mean of an ensemble's restorations, ``[N, 3, H, W]`` → the same shape, not clamped.

    Args:
        net: the network.
        y: images, as for ``net.denoise``; for symmetries, H and W both multiples of the net's.
        ensemble: samples need a random latent: only :class:`PaperInvDN` has one.
        strength: of :class:`InvDN`; :class:`PaperInvDN` knows no other than 1.

    Raises ValueError where the network has no use for the samples or the strength.
    """
    if isinstance(net, PaperInvDN) and strength != 1:
        raise ValueError(f"the published network has no strength, and {strength:g} was given")
    if isinstance(net, InvDN) and ensemble.samples != 1:
        raise ValueError("an InvDN has no random latent to sample")
    total = torch.zeros_like(y)
    for draw, symmetry in ensemble:
        image = _turn(y, symmetry)
        if isinstance(net, PaperInvDN):
            z = _turn(latent_like(y, seed=ensemble.seed, draw=draw), symmetry)
            restored = net.denoise(image, z.expand(len(y), -1, -1, -1))
        else:
            restored = net.denoise(image, strength)
        total = total + _turn_back(restored, symmetry)
    return total / len(ensemble)


def latent_like(
    image: Tensor, *, seed: int = 0, draw: int = 0, top: int = 0, left: int = 0
) -> Tensor:
    """The ``ẑ`` with which :class:`invdn.Denoiser` restores an image, ``[1, 45, H/4, W/4]``.

    ``image``: ``[N, 3, H, W]``, whose type and device are taken; ``top`` and ``left``: where it
    lies in a larger one, pixels, multiples of 4. See :func:`invdn.latents.normal_field`.
    """
    first, last = top // PaperInvDN.multiple, (top + image.shape[2]) // PaperInvDN.multiple
    rows = slice(first, last)
    first, last = left // PaperInvDN.multiple, (left + image.shape[3]) // PaperInvDN.multiple
    columns = slice(first, last)
    field = normal_field(PaperInvDN.latent_channels, rows, columns, seed=seed, draw=draw)
    return torch.from_numpy(field)[None].to(image)


def _turn(image: Tensor, symmetry: int) -> Tensor:
    """As :func:`invdn.ensembles.turn`."""
    image = _flip(image, symmetry)
    return image.transpose(-2, -1) if symmetry & 4 else image


def _turn_back(image: Tensor, symmetry: int) -> Tensor:
    return _flip(image.transpose(-2, -1) if symmetry & 4 else image, symmetry)


def _flip(image: Tensor, symmetry: int) -> Tensor:
    return image.flip([axis for axis, bit in ((-1, 1), (-2, 2)) if symmetry & bit])
