"""The posterior: what a clean latent was, given the noisy one and everything coarser."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from invdn.net.coupling import scale_last_layer

#: Bias of the gate's logit at the start: σ(2) = 0.88, so that training begins by keeping.
GATE_LOGIT_AT_START = 2.0
#: The same where there is a guess: σ(−4) = 0.02, so that training begins by believing it.
GUESSED_GATE_LOGIT_AT_START = -4.0


class ResidualPair(nn.Module):
    """``x + conv(LeakyReLU(conv(x)))``, 3×3, ``[N, width, H, W]`` → the same shape."""

    #: A tenth rather than near zero was worth 0.2 dB in short runs.
    LAST_LAYER_SCALE = 0.1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.act = nn.LeakyReLU(0.2)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        scale_last_layer(self.conv2, self.LAST_LAYER_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` plus a learned correction."""
        correction: Tensor = self.conv2(self.act(self.conv1(x)))
        return x + correction


def gated(z: Tensor, gate_and_bias: Tensor) -> Tensor:
    """``z · σ(a) + b``: ``z`` is ``[N, C, H, W]``, ``a, b`` are the halves of ``[N, 2C, H, W]``."""
    a, b = gate_and_bias.chunk(2, dim=1)
    return z * torch.sigmoid(a) + b


def gated_from(guess: Tensor, z: Tensor, gate_and_bias: Tensor) -> Tensor:
    """:func:`gated`, where for the first channels there is a guess already.

    ``guess + (z − guess) · σ(a) + b`` there; ``guess`` is ``[N, G, H, W]`` with G ≤ C.
    """
    a, b = gate_and_bias.chunk(2, dim=1)
    known = guess.shape[1]
    first = guess + (z[:, :known] - guess) * torch.sigmoid(a[:, :known]) + b[:, :known]
    rest = z[:, known:] * torch.sigmoid(a[:, known:]) + b[:, known:]
    return torch.cat((first, rest), dim=1)


class Posterior(nn.Module):
    """``ẑ = z · σ(a) + b`` with ``a, b`` computed from ``z`` and a context.

    ``forward(z, context)``: ``z`` is ``[N, channels, H, W]``, the context
    ``[N, context, H, W]`` (or None where ``context`` is 0); the estimate is shaped like ``z``.

    The gate σ(a) shrinks what is mostly noise, as a Wiener filter would; ``b`` restores what
    the context foretells. The gate is worth 0.6 to 1 dB over ``z + b``.

    Of the first ``guessed`` channels the context begins with a guess; there the gate chooses
    between that and ``z``, see :func:`gated_from`.
    """

    def __init__(
        self, channels: int, context: int, width: int, pairs: int, guessed: int = 0
    ) -> None:
        super().__init__()
        self.guessed = guessed
        self.conv_in = nn.Conv2d(channels + context, width, 3, padding=1)
        self.pairs = nn.Sequential(*(ResidualPair(width) for _ in range(pairs)))
        self.conv_out = nn.Conv2d(width, 2 * channels, 3, padding=1)
        scale_last_layer(self.conv_out, ResidualPair.LAST_LAYER_SCALE)
        assert self.conv_out.bias is not None
        with torch.no_grad():
            self.conv_out.bias[:guessed].fill_(GUESSED_GATE_LOGIT_AT_START)
            self.conv_out.bias[guessed:channels].fill_(GATE_LOGIT_AT_START)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The estimate of the clean latent, and the features ``[N, width, H, W]`` behind it."""
        x = z if context is None else torch.cat((context, z), dim=1)
        features: Tensor = self.pairs(self.conv_in(x))
        gate_and_bias: Tensor = self.conv_out(features)
        if context is None or not self.guessed:
            return gated(z, gate_and_bias), features
        return gated_from(context[:, : self.guessed], z, gate_and_bias), features


class Survey(nn.Module):
    """What a level's noisy latents tell about the noise, for the posterior of the next level.

    ``forward(detail, finer)``: the latent of a level ``[N, channels, H, W]`` and the survey that
    this level was given ``[N, finer, H, W]`` (or None) → ``[N, width, H/2, W/2]``.

    A coarse latent alone does not show how strong the fine noise is; but a camera's curve moves
    the mean of noisy values away from the clean one, by an amount that depends on that.
    """

    def __init__(self, channels: int, finer: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + finer, width, 3, stride=2, padding=1)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, detail: Tensor, finer: Tensor | None = None) -> Tensor:
        """Features at half the size."""
        x = detail if finer is None else torch.cat((detail, finer), dim=1)
        features: Tensor = self.act(self.conv(x))
        return features


class Hint(nn.Module):
    """What a posterior has seen, for that of the next finer level, at its size.

    ``forward``: ``[N, features, H, W]`` → ``[N, width, 2H, 2W]``; a 1×1 convolution and a
    rearrangement of channels into pixels.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(features, 4 * width, 1)
        self.spread = nn.PixelShuffle(2)

    def forward(self, features: Tensor) -> Tensor:
        """Features at twice the size."""
        hint: Tensor = self.spread(self.conv(features))
        return hint
