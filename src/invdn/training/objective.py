"""What a training step computes: the pass through the network, the loss terms, the adversary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from invdn.config import LossConfig, NetworkConfig, TrainConfig
from invdn.net.invdn import InvDN
from invdn.net.losses import (
    bicubic_downscale,
    charbonnier,
    gradient_difference,
    negative_psnr,
    structural_difference,
)
from invdn.net.paper import PaperInvDN, PaperLatents
from invdn.net.vgg import (
    Discriminator,
    VGG19Features,
    adversarial_loss,
    discriminator_loss,
    load_vgg19,
)

Network = InvDN | PaperInvDN


def build_network(config: NetworkConfig) -> Network:
    """A fresh network."""
    if config.is_paper:
        return PaperInvDN(reversible=config.reversible)
    return InvDN(config.resolved(), reversible=config.reversible)


class Restoration(nn.Module):
    """A network's pass in training as one ``forward``, which data-parallel training can hook into.

    ``forward(noisy, z)`` → (restored ``[N, 3, H, W]``, code). The code, ``[N, 3, H/4, W/4]``, is
    that of the published network; None for ours. ``z`` is described at :func:`draw_z`.
    """

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, noisy: Tensor, z: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Restore a batch."""
        if isinstance(self.net, PaperInvDN):
            assert z is not None
            code = self.net(noisy).code
            return self.net.inverse(PaperLatents(code, z)), code
        return self.net.denoise(noisy), None


def draw_z(net: Network, noisy: Tensor, seed: int) -> Tensor | None:
    """The published network's ``ẑ ~ N(0, I)`` for a batch, ``[N, 45, H/4, W/4]``; else None.

    A function of the seed alone, the same on every device: so a resumed run draws what it would
    have drawn.
    """
    if not isinstance(net, PaperInvDN):
        return None
    n, channels, height, width = noisy.shape
    factor = net.multiple
    shape = (n, channels * (factor**2 - 1), height // factor, width // factor)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(noisy.device)


class Objective:
    """The loss: a weighted sum of the terms that the settings name.

    Args:
        config: The settings.
        base: Folder that ``loss.vgg19`` is relative to.
        device: Where the terms are computed.

    Raises:
        FileNotFoundError: where the perceptual term's weights are missing.
        ValueError: where they are something else.
    """

    def __init__(self, config: TrainConfig, base: Path, device: torch.device) -> None:
        self.config = config.loss
        self.epsilon = config.charbonnier_epsilon
        self.vgg19: VGG19Features | None = None
        if config.loss.perceptual_weight:
            self.vgg19 = load_vgg19(base / config.loss.vgg19).to(device)

    def terms(
        self, restored: Tensor, code: Tensor | None, target: Tensor, adversary: Adversary | None
    ) -> dict[str, Tensor]:
        """The terms of a batch, weighted; the loss is their sum."""
        config = self.config
        terms = {"pixel": self._pixel(restored, target)}
        if config.code_weight:
            assert code is not None
            small = bicubic_downscale(target, target.shape[-1] // code.shape[-1])
            squared = ((code - small) ** 2).mean() * _numbers(code, config)
            terms["code"] = config.code_weight * squared
        if config.gradient_weight:
            terms["gradient"] = config.gradient_weight * gradient_difference(restored, target)
        if config.ssim_weight:
            terms["ssim"] = config.ssim_weight * structural_difference(restored, target)
        if self.vgg19 is not None:
            difference = (self.vgg19(restored) - self.vgg19(target)).abs().mean()
            terms["perceptual"] = config.perceptual_weight * difference
        if adversary is not None:
            terms["adversarial"] = config.adversarial_weight * adversary.loss(restored)
        return terms

    def _pixel(self, restored: Tensor, target: Tensor) -> Tensor:
        if self.config.pixel == "psnr":
            return negative_psnr(restored, target)
        if self.config.pixel == "l1":
            mean = (restored - target).abs().mean()
        else:
            mean = charbonnier(restored, target, self.epsilon)
        return mean * _numbers(restored, self.config)


def _numbers(x: Tensor, config: LossConfig) -> int:
    """What makes a mean over the batch the wanted reduction: the numbers an image has, or 1."""
    return math.prod(x.shape[1:]) if config.reduction == "sum" else 1


class Adversary:
    """The discriminator and its own training."""

    def __init__(self, config: LossConfig, fabric: Fabric) -> None:
        self.net = Discriminator(config.adversarial_width).to(fabric.device)
        self.optimiser = torch.optim.Adam(
            self.net.parameters(), lr=config.adversarial_learning_rate
        )
        self._fabric = fabric
        self._trained, self._stepper = fabric.setup(
            _DiscriminatorPass(self.net), self.optimiser, move_to_device=False
        )

    def loss(self, restored: Tensor) -> Tensor:
        """What the restored images are charged for being told apart from clean ones."""
        self.net.requires_grad_(False)
        loss = adversarial_loss(self.net, restored)
        self.net.requires_grad_(True)
        return loss

    def learn(self, batches: Sequence[tuple[Tensor, Tensor]]) -> float:
        """One step of the discriminator on batches of (clean, restored); returns its mean loss.

        The images are detached. In fp16 the loss scale is yet to be updated.
        """
        self._stepper.zero_grad(set_to_none=True)
        losses = []
        for number, (clean, restored) in enumerate(batches, 1):
            with self._fabric.no_backward_sync(self._trained, enabled=number < len(batches)):
                loss: Tensor = self._trained(clean, restored) / len(batches)
                self._fabric.backward(loss)
            losses.append(loss.item())
        self._stepper.step()
        return sum(losses)


class _DiscriminatorPass(nn.Module):
    """Both halves of the discriminator's loss as one ``forward``."""

    def __init__(self, net: Discriminator) -> None:
        super().__init__()
        self.net = net

    def forward(self, clean: Tensor, restored: Tensor) -> Tensor:
        return discriminator_loss(self.net, clean, restored)
