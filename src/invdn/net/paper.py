"""The published Invertible Denoising Network, exactly.

Source: Y. Liu et al., *Invertible Denoising Network: A Light Solution for Real Noise Removal*,
CVPR 2021, arXiv 2104.10546, with the sizes of the authors' released checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from invdn.net.coupling import Shift, affine_forward, affine_inverse, affine_log_det
from invdn.net.haar import Haar
from invdn.net.invdn import IMAGE_CHANNELS
from invdn.net.reversible import chain_forward, chain_inverse

SUBNET_WIDTH = 64
LEVELS = 2
BLOCKS_PER_LEVEL = 8


class ResidualSubnet(nn.Module):
    """Two convs and LeakyReLUs, then a conv on input and features together.

    ``[N, inputs, H, W]`` → ``[N, outputs, H, W]``.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, SUBNET_WIDTH, 3, padding=1)
        self.conv2 = nn.Conv2d(SUBNET_WIDTH, SUBNET_WIDTH, 3, padding=1)
        self.conv3 = nn.Conv2d(inputs + SUBNET_WIDTH, outputs, 3, padding=1)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """What one half of the channels has to say about the other."""
        features = self.act(self.conv2(self.act(self.conv1(x))))
        out: Tensor = self.conv3(torch.cat((x, features), dim=1))
        return out


class PaperCoupling(nn.Module):
    """Affine coupling of the first three channels with all others; subnets F, G and H."""

    split = IMAGE_CHANNELS

    def __init__(self, channels: int) -> None:
        super().__init__()
        rest = channels - IMAGE_CHANNELS
        self.F = ResidualSubnet(rest, IMAGE_CHANNELS)
        self.G = ResidualSubnet(IMAGE_CHANNELS, rest)
        self.H = ResidualSubnet(IMAGE_CHANNELS, rest)

    @property
    def f(self) -> Shift:
        """F, under the name that all couplings have for it."""
        return self.F

    def shift_and_scale(self, y1: Tensor) -> tuple[Tensor, Tensor]:
        """G and H at ``y1``."""
        return self.G(y1), self.H(y1)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` → the same shape."""
        return affine_forward(x, IMAGE_CHANNELS, self.F, self.shift_and_scale)

    def inverse(self, y: Tensor) -> Tensor:
        """``[N, channels, H, W]`` → the same shape."""
        return affine_inverse(y, IMAGE_CHANNELS, self.F, self.shift_and_scale)

    def log_det(self, x: Tensor) -> Tensor:
        """log |det ∂forward/∂x| for each sample, ``[N]``."""
        return affine_log_det(x, IMAGE_CHANNELS, self.F, self.shift_and_scale)


class PaperLatents(NamedTuple):
    """The two latents of the published network."""

    code: Tensor
    """``[N, 3, H/4, W/4]``: trained to be the clean image, downscaled."""
    z: Tensor
    """``[N, 45, H/4, W/4]``: detail and noise, mixed."""


class PaperInvDN(nn.Module):
    """Two Haar levels with eight coupling blocks each: 2,640,960 parameters.

    Images are ``[N, 3, H, W]`` sRGB in [0, 1], H and W multiples of 4. To denoise, the noisy
    ``z`` is thrown away and a fresh ``ẑ ~ N(0, I)`` takes its place.

    Law: ``inverse(forward(y)) == y`` up to rounding.
    """

    #: Height and width must be multiples of this.
    multiple = 1 << LEVELS
    #: Channels of ``z``, at 1 / ``multiple`` of the size.
    latent_channels = IMAGE_CHANNELS * (4**LEVELS - 1)

    def __init__(self, *, reversible: bool = False) -> None:
        super().__init__()
        #: Train without keeping the couplings' activations: :mod:`invdn.net.reversible`.
        self.reversible = reversible
        operations: list[nn.Module] = []
        channels = IMAGE_CHANNELS
        for _ in range(LEVELS):
            operations.append(Haar(channels, divisor=4.0))
            channels *= 4
            operations += [PaperCoupling(channels) for _ in range(BLOCKS_PER_LEVEL)]
        # One list, as in the authors' code: their checkpoint's keys count Haar layers too.
        self.operations = nn.ModuleList(operations)

    def forward(self, y: Tensor) -> PaperLatents:
        """Image ``[N, 3, H, W]`` → latents."""
        for haar, couplings in self._levels():
            y = haar(y)
            if self.reversible:
                y = chain_forward(couplings, y)
            else:
                for coupling in couplings:
                    y = coupling(y)
        return PaperLatents(y[:, :IMAGE_CHANNELS], y[:, IMAGE_CHANNELS:])

    def inverse(self, latents: PaperLatents) -> Tensor:
        """Latents → image ``[N, 3, H, W]``."""
        x = torch.cat(latents, dim=1)
        for haar, couplings in reversed(self._levels()):
            if self.reversible:
                x = chain_inverse(couplings, x)
            else:
                for coupling in reversed(couplings):
                    x = coupling.inverse(x)
            x = haar.inverse(x)
        return x

    def _levels(self) -> list[tuple[Haar, list[PaperCoupling]]]:
        """Each level's Haar transform and its couplings, finest first."""
        levels: list[tuple[Haar, list[PaperCoupling]]] = []
        for operation in self.operations:
            if isinstance(operation, Haar):
                levels.append((operation, []))
            else:
                assert isinstance(operation, PaperCoupling)
                levels[-1][1].append(operation)
        return levels

    def denoise(self, y: Tensor, z: Tensor) -> Tensor:
        """Restore ``[N, 3, H, W]`` with a given sample ``z ~ N(0, I)``, ``[N, 45, H/4, W/4]``.

        The mean over several samples is the paper's Monte-Carlo self-ensemble. Not clamped.
        """
        return self.inverse(PaperLatents(self.forward(y).code, z))

    def perturb(self, y: Tensor, epsilon: float, v: Tensor) -> Tensor:
        """Another noisy image: ``z + ε·v`` in place of ``z``, ``v`` shaped like ``z``."""
        code, z = self.forward(y)
        return self.inverse(PaperLatents(code, z + epsilon * v))

    def log_det(self, y: Tensor) -> Tensor:
        """log |det ∂forward/∂y| for each sample, ``[N]``."""
        total = y.new_zeros(y.shape[0])
        for operation in self.operations:
            assert isinstance(operation, Haar | PaperCoupling)
            total = total + operation.log_det(y)
            y = operation(y)
        return total

    def macs_per_pixel(self) -> float:
        """Multiply-adds of ``denoise`` for each pixel, convolutions only, Haar left out."""
        total = 0.0
        for index, (_, couplings) in enumerate(self._levels(), start=1):
            weights = sum(p.numel() for c in couplings for p in c.parameters() if p.ndim == 4)
            total += 2 * weights / 4**index  # each coupling runs forward, then inverse
        return total

    def load_published(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the authors' checkpoint, ``InvDN_ResUnit_x4.pth``.

        Its keys are ``operations.N.…``, or ``module.operations.N.…`` where it was saved from a
        data-parallel wrapper; it may hold the fixed Haar kernels, which are left out here.

        Raises:
            ValueError: where a key is missing or unknown, or a shape differs.
        """
        own = {
            key.removeprefix("module."): value
            for key, value in state_dict.items()
            if not key.endswith("haar_weights")
        }
        try:
            self.load_state_dict(own)
        except RuntimeError as error:
            raise ValueError(f"not the weights of the published InvDN: {error}") from None
