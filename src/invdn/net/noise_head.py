"""The noise head: how strong each latent's noise is, given the clean side.

Where ``f`` is the network's transform, ``y`` a noisy image and ``x`` its clean counterpart, the
noise latents are ``n = f(y) − f(x)``. The model is, scale by scale,

    n_l = σ_l ⊙ (A_l v),   v ~ N(0, I),   σ_l = level · exp(head_l(f(x)_l, x, ln level))

with ``level`` the noise's standard deviation in the image and ``A_l A_lᵀ`` the correlation between
a latent's channels, as a function of the level. Noise added to ``f(x)`` and inverted is noise on
``x``, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invdn.net.invdn import IMAGE_CHANNELS, InvDN, Latents, LevelConfig

#: ln(level · 255) is brought to about [-1, 1] by this: levels are 1 to 60 grey levels.
_LOG_LEVEL_CENTRE = math.log(8.0)
_LOG_LEVEL_SPREAD = math.log(8.0)
#: Levels, σ of 255, at which the correlation between channels is stored; between them it is
#: interpolated along ln level.
KNOTS_8BIT = (2.0, 5.0, 12.0, 30.0)
#: How far ln σ may lie from ln level: at the finest scale, and how much more at each coarser one.
#: On photos few values in a thousand lie farther; on stripes of one pixel, which no photo that the
#: head has learned from has, they went 34 away, and all noise of the picture was there.
_FARTHEST, _FARTHER_A_SCALE = 1.5, 0.5


def scales(latents: Latents) -> tuple[Tensor, ...]:
    """A tensor for each scale, finest first; the coarsest holds the code and its detail."""
    return (*latents.details[:-1], torch.cat((latents.code, latents.details[-1]), dim=1))


def unscales(tensors: tuple[Tensor, ...], code_channels: int) -> Latents:
    """The inverse of :func:`scales`."""
    last = tensors[-1]
    return Latents(last[:, :code_channels], (*tensors[:-1], last[:, code_channels:]))


class NoiseHead(nn.Module):
    """``forward(image, clean, level)`` → ln σ of each latent value, scale by scale.

    ``image`` is ``x``, ``[N, 3, H, W]``, ``clean`` are :func:`scales` of ``f(x)``, ``level`` is
    ``[N]``, σ in units of the [0, 1] range.
    Laws: the result is shaped like ``clean``; a fresh head says σ = level everywhere, which makes
    nearly white noise of that deviation where the couplings do nothing yet: the wavelet, which
    alone is left of the transform then, is nearly orthonormal (:class:`invdn.net.haar.SmoothHaar`).
    """

    WIDTH = 32

    def __init__(self, levels: tuple[LevelConfig, ...], characters: int = 0) -> None:
        super().__init__()
        channels = channels_of_scales(levels)
        self.heads = nn.ModuleList(map(self._head, channels))
        for i, count in enumerate(channels):
            self.register_buffer(f"correlation_{i}", torch.eye(count).repeat(len(KNOTS_8BIT), 1, 1))
        #: Quantiles of the levels of the training pairs, σ of 255: what ``camera`` draws from.
        self.levels_8bit: Tensor
        self.register_buffer("levels_8bit", torch.linspace(2.0, 30.0, 21))
        self.characters = characters
        if not characters:
            return
        #: Levels of single pairs whose noise is stored, ``[K]``, σ of 255; and at each scale how it
        #: differs from the model's: gains on σ, ``[K, C]``, and the Cholesky factor of the
        #: channels' correlation, ``[K, C, C]``. Half precision keeps a factor a factor.
        self.character_levels_8bit: Tensor
        self.register_buffer("character_levels_8bit", torch.zeros(characters))
        for i, count in enumerate(channels):
            eye = torch.eye(count, dtype=torch.float16).repeat(characters, 1, 1)
            self.register_buffer(f"character_gains_{i}", torch.ones(characters, count))
            self.register_buffer(f"character_factors_{i}", eye)

    def _head(self, channels: int) -> nn.Sequential:
        last = nn.Conv2d(self.WIDTH, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        return nn.Sequential(
            nn.Conv2d(2 * channels + IMAGE_CHANNELS + 1, self.WIDTH, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=1),
            nn.LeakyReLU(0.2),
            last,
        )

    def forward(
        self, image: Tensor, clean: tuple[Tensor, ...], level: Tensor
    ) -> tuple[Tensor, ...]:
        """ln σ, shaped like ``clean``; outside training never far from ln level."""
        log_level = torch.log(level).view(-1, 1, 1, 1)
        known = (log_level + math.log(255.0) - _LOG_LEVEL_CENTRE) / _LOG_LEVEL_SPREAD
        result = []
        for scale, (head, x) in enumerate(zip(self.heads, clean, strict=True)):
            farthest = _FARTHEST + scale * _FARTHER_A_SCALE
            plane = known.expand(-1, 1, *x.shape[2:])
            # Brightness sets shot noise and clipping (the details of a scale do not tell it), and
            # local activity what a camera's smoothing leaves.
            colour = F.avg_pool2d(image, image.shape[3] // x.shape[3])
            relative = head(torch.cat((x, x.abs(), colour, plane), dim=1))
            # Not in training, which has to see a head that goes astray.
            if not self.training:
                relative = relative.clamp(-farthest, farthest)
            result.append(relative + log_level)
        return tuple(result)

    def correlation(self, scale: int, level_8bit: float) -> Tensor:
        """Correlation between a scale's channels, ``[C, C]``, at a level."""
        table: Tensor = getattr(self, f"correlation_{scale}")
        low, weight = knot(level_8bit)
        result: Tensor = torch.lerp(table[low], table[low + 1], weight)
        return result

    def character(self, number: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Gains and factors of a stored pair's noise, scale by scale."""
        stored = [
            [getattr(self, f"character_{kind}_{i}")[number].float() for i in range(len(self.heads))]
            for kind in ("gains", "factors")
        ]
        return tuple(stored[0]), tuple(stored[1])


def gains_and_factors(
    moments: Sequence[Tensor], samples: Sequence[int]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """How noise differs from the model's, scale by scale.

    ``moments`` are sums of ``u uᵀ``, ``[C, C]``, over ``samples`` places each, where ``u`` is noise
    divided by the model's σ. The result are gains on σ, ``[C]``, whose mean square over all latent
    values is 1, and Cholesky factors of the channels' correlation, ``[C, C]``.
    """
    gains, factors = [], []
    for moment, number in zip(moments, samples, strict=True):
        deviation, correlation = deviations_and_correlation(moment / number)
        gains.append(deviation)
        factors.append(correlation_factor(correlation))
    energy = sum(float((g**2).sum()) * n for g, n in zip(gains, samples, strict=True))
    overall = math.sqrt(energy / sum(len(g) * n for g, n in zip(gains, samples, strict=True)))
    return tuple(gain / overall for gain in gains), tuple(factors)


def deviations_and_correlation(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """``[C, C]`` → ``[C]`` and ``[C, C]``; a channel without noise counts as one with little."""
    deviation = covariance.diagonal().clamp_min(1e-12).sqrt()
    return deviation, covariance / torch.outer(deviation, deviation)


def correlation_factor(correlation: Tensor) -> Tensor:
    """Cholesky factor; a little of the identity keeps it positive definite."""
    eye = torch.eye(len(correlation)).double()
    factor: Tensor = torch.linalg.cholesky(0.999 * correlation.double() + 0.001 * eye)
    return factor.float()


def knot(level_8bit: float) -> tuple[int, float]:
    """The knot at or below a level, and how far it is to the next, 0 to 1."""
    for low in reversed(range(len(KNOTS_8BIT) - 1)):
        if level_8bit >= KNOTS_8BIT[low] or low == 0:
            span = math.log(KNOTS_8BIT[low + 1] / KNOTS_8BIT[low])
            weight = math.log(max(level_8bit, 1e-6) / KNOTS_8BIT[low]) / span
            return low, min(1.0, max(0.0, weight))
    raise AssertionError("there is always a lowest knot")


def channels_of_scales(levels: tuple[LevelConfig, ...]) -> list[int]:
    """Channels of each of :func:`scales`."""
    channels, result = IMAGE_CHANNELS, []
    for config in levels:
        result.append(4 * channels - config.kept)
        channels = config.kept
    result[-1] += channels
    return result


class NoiseModel(nn.Module):
    """A denoiser's transform together with a noise head; what ``invdn noise`` runs."""

    def __init__(self, net: InvDN, characters: int = 0) -> None:
        super().__init__()
        self.net = net.requires_grad_(False)
        self.head = NoiseHead(net.config, characters)
