"""``InvDN.denoise`` as it is exported: in two steps, and so that ONNX Runtime has less to do.

What is constant is folded into weights, kept channels and details are not joined where they would
be cut again, and a convolution of joined channels becomes the sum of two. All of it is the same
arithmetic up to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invdn.net.coupling import Coupling, CouplingSubnet
from invdn.net.haar import Haar, SmoothHaar
from invdn.net.invdn import IMAGE_CHANNELS, InvDN, Level
from invdn.net.posterior import Hint, Posterior, gated, gated_from


class TwoSteps(nn.Module):
    """``net.denoise`` in two steps, of images as they lie in memory: ``[N, 1, H, 3·W]``.

    Law: ``fine(*coarse(image, strength), strength) == net.denoise(image, strength)``, with the
    colours of a pixel side by side.

    The first step is all that sees far, and does little work at the full size. The second sees
    no further than the finest posterior, the inverse couplings and the wavelet reach.
    """

    def __init__(self, net: InvDN) -> None:
        """Of a network with at least two levels; it is not changed."""
        super().__init__()
        net = copy.deepcopy(net)
        self.config = net.config
        self.surveys, self.hints = net.surveys, net.hints
        finest = net.levels[0]
        assert isinstance(finest, Level)
        finest.wavelet.haar = _InterleavedHaar(finest.wavelet.haar)
        self.levels = nn.ModuleList(
            _PairLevel(level, config.kept)
            for level, config in zip(net.levels, self.config, strict=True)
        )
        kept, hint = self.config[0].kept, self.config[0].hint
        filling = -(kept + hint) % _CHANNELS if hint else 0
        if filling:
            self.hints["0"] = _wider(self.hints["0"], filling)
        whole = self.config[0].whole
        self.channels = kept + hint + filling, 4 * IMAGE_CHANNELS - (0 if whole else kept)
        """Of the two that the first step gives and the second takes."""
        self.posteriors = nn.ModuleList(
            [_TwoInputs(net.posteriors[0], kept + hint, filling), *list(net.posteriors)[1:]]
        )

    def coarse(self, image: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
        """All that the finest level takes from the coarser ones, and what it restores itself.

        That is its noisy latent, and where its posterior is ``whole``, the kept channels before it.
        """
        kept = image
        details: list[Tensor] = []
        noisy: list[Tensor] = []
        surveys: list[Tensor | None] = [None]
        for i, level in enumerate(self.levels):
            if i:
                there = str(i) in self.surveys
                surveys.append(self.surveys[str(i)](details[-1], surveys[-1]) if there else None)
            kept, detail = level(kept)
            details.append(detail)
            whole = self.config[i].whole
            noisy.append(torch.cat((kept, detail), dim=1) if whole else detail)
        last = len(self.levels) - 1
        # The coarsest posterior restores the code together with its latent.
        everything = torch.cat((kept, details[last]), dim=1)
        estimate, features = self.posteriors[last](everything, surveys[last])
        restored = everything + strength * (estimate - everything)
        code = self.config[last].kept
        kept = self._level(last).inverse(restored[:, :code], restored[:, code:])
        for i in range(last - 1, 0, -1):
            parts = [kept, surveys[i], self._hint(i, features), noisy[i]]
            seen = torch.cat([part for part in parts if part is not None], dim=1)
            posterior = self._posterior(i)
            features = posterior.pairs(posterior.conv_in(seen))
            gate_and_bias = posterior.conv_out(features)
            kept = self._level(i).inverse(
                *self._restored(i, kept, noisy[i], gate_and_bias, strength)
            )
        hint = self._hint(0, features)
        context = kept if hint is None else torch.cat((kept, hint), dim=1)
        return context, noisy[0]

    def fine(self, coarse: Tensor, noisy: Tensor, strength: Tensor) -> Tensor:
        """The restored image, or any part of it from the same part of both."""
        gate_and_bias = self.posteriors[0](coarse, noisy)
        kept = coarse[:, : self.config[0].kept]
        return self._level(0).inverse(*self._restored(0, kept, noisy, gate_and_bias, strength))

    def _restored(
        self, i: int, kept: Tensor, noisy: Tensor, gate_and_bias: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Kept channels and detail of a level; ``kept``: as the coarser ones restored them."""
        if not self.config[i].whole:
            return kept, noisy + strength * (gated(noisy, gate_and_bias) - noisy)
        estimate = gated_from(kept, noisy, gate_and_bias)
        restored = noisy + strength * (estimate - noisy)
        return restored[:, : self.config[i].kept], restored[:, self.config[i].kept :]

    def forward(
        self, image: Tensor, strength: Tensor, coarse: Tensor, noisy: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Both steps, which have nothing to do with each other here."""
        return (*self.coarse(image, strength), self.fine(coarse, noisy, strength))

    def _level(self, i: int) -> _PairLevel:
        level = self.levels[i]
        assert isinstance(level, _PairLevel)
        return level

    def _posterior(self, i: int) -> Posterior:
        posterior = self.posteriors[i]
        assert isinstance(posterior, Posterior)
        return posterior

    def _hint(self, i: int, features: Tensor) -> Tensor | None:
        return self.hints[str(i)](features) if str(i) in self.hints else None


#: ONNX Runtime has fast convolutions, into which it also draws sums, for multiples of so many
#: input channels. One convolution of 14 kept all residual pairs behind it from that.
_CHANNELS = 4


def _wider(hint: nn.Module, filling: int) -> Hint:
    """A hint with so many channels more, which are 0."""
    assert isinstance(hint, Hint)
    conv = hint.conv
    assert conv.bias is not None
    wider = Hint(conv.in_channels, conv.out_channels // 4 + filling).to(conv.weight)
    with torch.no_grad():
        for new, old in ((wider.conv.weight, conv.weight), (wider.conv.bias, conv.bias)):
            assert new is not None
            new.zero_()
            new[: len(old)] = old
    return wider


class _TwoInputs(nn.Module):
    """A posterior whose first convolution is the sum of two, of its context and of ``z``.

    At the finest level joining them takes longer than adding. The context has ``filling`` channels
    more than the posterior was made for, of any content.
    """

    def __init__(self, posterior: nn.Module, context: int, filling: int) -> None:
        super().__init__()
        assert isinstance(posterior, Posterior)
        conv = posterior.conv_in
        assert conv.bias is not None
        self.pairs, self.conv_out = posterior.pairs, posterior.conv_out
        self.context = nn.Parameter(
            F.pad(conv.weight.detach()[:, :context], (0, 0, 0, 0, 0, filling))
        )
        self.z = nn.Parameter(conv.weight.detach()[:, context:].clone())
        self.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, context: Tensor, z: Tensor) -> Tensor:
        """Gate and bias of ``z``."""
        x = F.conv2d(context, self.context, self.bias, padding=1) + F.conv2d(z, self.z, padding=1)
        gate_and_bias: Tensor = self.conv_out(self.pairs(x))
        return gate_and_bias


class _PairLevel(nn.Module):
    """A level that gives and takes kept channels and detail apart."""

    def __init__(self, level: nn.Module, kept: int) -> None:
        super().__init__()
        assert isinstance(level, Level)
        self.wavelet = level.wavelet
        self.couplings = nn.ModuleList(_PairCoupling(coupling) for coupling in level.couplings)
        self.kept = kept
        self.synthesis = _PairSynthesis(level.wavelet, kept)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Image or kept channels of the level before → kept channels, detail."""
        y = self.wavelet(x)
        x1, x2 = y[:, : self.kept], y[:, self.kept :]
        for coupling in self._chain():
            x1, x2 = coupling(x1, x2)
        return x1, x2

    def inverse(self, y1: Tensor, y2: Tensor) -> Tensor:
        """Kept channels and detail → image or kept channels of the level before."""
        for coupling in reversed(list(self._chain())):
            y1, y2 = coupling.inverse(y1, y2)
        x: Tensor = self.synthesis(y1, y2)
        return x

    def _chain(self) -> Iterator[_PairCoupling]:
        for coupling in self.couplings:
            assert isinstance(coupling, _PairCoupling)
            yield coupling


class _PairCoupling(nn.Module):
    """A coupling whose signs and factors are in its weights: what is left is +, ·, tanh and exp."""

    def __init__(self, coupling: nn.Module) -> None:
        super().__init__()
        assert isinstance(coupling, Coupling)
        last = coupling.gh[2]
        assert isinstance(last, nn.Conv2d)
        outputs = last.out_channels // 2
        one, half = torch.ones(outputs), torch.full((outputs,), 0.5)
        self.f = coupling.f
        self.minus_f = _scaled(coupling.f, -torch.ones(coupling.split))
        self.gh = _scaled(coupling.gh, torch.cat((one, half)))
        self.minus_gh = _scaled(coupling.gh, torch.cat((-one, -half)))

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """As :func:`invdn.net.coupling.couple`."""
        y1 = x1 + self.f(x2)
        g, h = self.gh(y1).chunk(2, dim=1)
        return y1, x2 * torch.exp(torch.tanh(h)) + g

    def inverse(self, y1: Tensor, y2: Tensor) -> tuple[Tensor, Tensor]:
        """As :func:`invdn.net.coupling.uncouple`."""
        g, h = self.minus_gh(y1).chunk(2, dim=1)
        x2 = (y2 + g) * torch.exp(torch.tanh(h))
        return y1 + self.minus_f(x2), x2


def _scaled(subnet: CouplingSubnet, factors: Tensor) -> nn.Sequential:
    """A copy whose outputs are multiplied by one factor each."""
    scaled = copy.deepcopy(subnet)
    last = scaled[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.mul_(factors.to(last.weight)[:, None, None, None])
        last.bias.mul_(factors.to(last.bias))
    return scaled


class _PairSynthesis(nn.Module):
    """The inverse wavelet of two parts of its channels, the first of which holds the averages."""

    def __init__(self, wavelet: SmoothHaar, first: int) -> None:
        super().__init__()
        self.haar = wavelet.haar
        averages, channels = wavelet.channels, 4 * wavelet.channels
        if first < averages:
            raise ValueError(f"{first} kept channels do not hold all {averages} averages")
        # Puts all channels in their places, and adds to the details what the averages foretell.
        near = torch.zeros(channels, first, 3, 3)
        near[averages:, :averages] = wavelet.prediction
        near[:first, :, 1, 1] += torch.eye(first)
        far = torch.zeros(channels, channels - first, 1, 1)
        far[first:, :, 0, 0] = torch.eye(channels - first)
        self.near: Tensor
        self.far: Tensor
        self.register_buffer("near", near.to(wavelet.prediction), persistent=False)
        self.register_buffer("far", far.to(wavelet.prediction), persistent=False)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """As :meth:`invdn.net.haar.SmoothHaar.inverse` of both, joined."""
        near = F.conv2d(F.pad(x1, (1, 1, 1, 1), mode="replicate"), self.near)
        image: Tensor = self.haar.inverse(near + F.conv2d(x2, self.far))
        return image


class _InterleavedHaar(Haar):
    """The Haar transform of images whose colours lie side by side, ``[N, 1, H, 3·W]``.

    A 2×2 square is 2×6 numbers of the one channel: no transposition comes first.
    """

    def __init__(self, haar: Haar) -> None:
        super().__init__(haar.channels, haar.divisor)
        # [12, 3, 2, 2] → [12, 1, 2, 2·3]
        self.analysis = haar.analysis.permute(0, 2, 3, 1).reshape(-1, 1, 2, 6).contiguous()
        self.synthesis = haar.synthesis.permute(0, 2, 3, 1).reshape(-1, 1, 2, 6).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 1, H, 3·W]`` → ``[N, 12, H/2, W/2]``."""
        return F.conv2d(x, self.analysis, stride=(2, 6))

    def inverse(self, y: Tensor) -> Tensor:
        """``[N, 12, H/2, W/2]`` → ``[N, 1, H, 3·W]``."""
        return F.conv_transpose2d(y, self.synthesis, stride=(2, 6))
