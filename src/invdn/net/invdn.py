"""The multi-scale invertible denoising network.

Laws, for any weights and any input whose height and width are multiples of ``net.multiple``:

* ``inverse(forward(y)) == y`` up to rounding,
* ``denoise(y, strength=0) == y`` up to rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from invdn.net.coupling import Coupling
from invdn.net.haar import SmoothHaar
from invdn.net.posterior import Hint, Posterior, Survey
from invdn.net.reversible import chain_forward, chain_inverse

IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class LevelConfig:
    """One scale of the network."""

    blocks: int
    """Number of coupling blocks; 0 leaves the wavelet alone, at any level but the coarsest."""
    coupling_width: int
    """Features inside the coupling subnets; 0 where there are none."""
    kept: int
    """Channels that go on to the next level (at the last one: channels of the code)."""
    posterior_width: int
    """Features inside the posterior."""
    posterior_pairs: int
    """Number of residual pairs inside the posterior."""
    survey: int = 0
    """Features about the finer levels' noise that the posterior is given; 0 at the finest."""
    hint: int = 0
    """Features of the next coarser posterior that this one is given; 0 at the coarsest."""
    whole: bool = False
    """Whether the posterior restores the kept channels as well, given both what they were and what
    the coarser levels made of them. (At the coarsest it always restores all there are.)"""


#: The default network: 0.89 M parameters, 53 k multiply-adds a pixel.
PHOTO = (
    LevelConfig(1, 16, 6, 48, 2, hint=8, whole=True),
    LevelConfig(1, 32, 12, 48, 4, survey=24, hint=16),
    LevelConfig(1, 48, 24, 64, 5, survey=48),
)
#: The largest: 1.93 M parameters, 120 k multiply-adds a pixel.
BEST = (
    LevelConfig(1, 16, 6, 64, 3, hint=16, whole=True),
    LevelConfig(1, 32, 12, 80, 4, survey=32, hint=32),
    LevelConfig(1, 48, 24, 96, 5, survey=64),
)
#: The quick one: 0.52 M parameters, 24 k multiply-adds a pixel.
FAST = (
    LevelConfig(1, 16, 6, 32, 1, hint=8, whole=True),
    LevelConfig(1, 32, 12, 32, 2, survey=24, hint=16),
    LevelConfig(1, 48, 24, 64, 3, survey=48),
)


class Latents(NamedTuple):
    """What ``forward`` makes of an image; ``inverse`` takes it back."""

    code: Tensor
    """``[N, kept of the last level, H/2^L, W/2^L]``: the coarsest content."""
    details: tuple[Tensor, ...]
    """One latent a level, finest first: ``[N, 4·inputs − kept, H/2^l, W/2^l]`` for l = 1 … L."""


class Level(nn.Module):
    """A wavelet, then coupling blocks: ``[N, C, H, W]`` ↔ ``[N, 4C, H/2, W/2]``."""

    def __init__(self, channels: int, config: LevelConfig, reversible: bool = False) -> None:
        super().__init__()
        self.reversible = reversible
        self.wavelet = SmoothHaar(channels)
        self.couplings = nn.ModuleList(
            Coupling(4 * channels, config.kept, config.coupling_width) for _ in range(config.blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Image or kept channels → this level's latent channels."""
        y: Tensor = self.wavelet(x)
        if self.reversible:
            return chain_forward(self._chain(), y)
        for coupling in self.couplings:
            y = coupling(y)
        return y

    def inverse(self, y: Tensor) -> Tensor:
        """This level's latent channels → image or kept channels."""
        if self.reversible:
            return self.wavelet.inverse(chain_inverse(self._chain(), y))
        for coupling in reversed(self._chain()):
            y = coupling.inverse(y)
        return self.wavelet.inverse(y)

    def log_det(self, x: Tensor) -> Tensor:
        """log |det ∂forward/∂x| for each sample, ``[N]``."""
        total = self.wavelet.log_det(x)
        y: Tensor = self.wavelet(x)
        for coupling in self._chain():
            total = total + coupling.log_det(y)
            y = coupling(y)
        return total

    def _chain(self) -> list[Coupling]:
        return [coupling for coupling in self.couplings if isinstance(coupling, Coupling)]


def check_levels(levels: Sequence[LevelConfig]) -> None:
    """Raise ValueError where there is no network of these sizes."""
    if not levels:
        raise ValueError("a network needs at least one level")
    if levels[0].survey or levels[-1].hint:
        raise ValueError("there is no survey at the finest level and no hint at the coarsest")
    if levels[-1].whole:
        raise ValueError("whole is for levels that have a coarser one")
    if not levels[-1].blocks:
        raise ValueError("the coarsest level needs a coupling block")
    channels = IMAGE_CHANNELS
    for config in levels:
        if bool(config.blocks) != bool(config.coupling_width):
            raise ValueError("a level has coupling blocks of some width, or 0 of width 0")
        if min(dataclasses.astuple(config)) < 0 or not config.posterior_width:
            raise ValueError("sizes are not negative, and a posterior has some width")
        # The inverse wavelet, as it is exported, takes all averages from the kept channels.
        if not channels <= config.kept < 4 * channels:
            raise ValueError(
                f"a level that is given {channels} channels keeps {channels} to "
                f"{4 * channels - 1} of {4 * channels}, not {config.kept}"
            )
        channels = config.kept


class InvDN(nn.Module):
    """Multi-scale invertible denoiser with a posterior on every latent.

    Each level is a wavelet transform and coupling blocks; the first ``kept`` channels go on to the
    next level, the rest are that level's latent. To denoise, every latent is replaced by the
    posterior's estimate of its clean counterpart, from coarse to fine, each given the already
    restored coarser ones; then the levels are inverted.

    Images are ``[N, 3, H, W]`` sRGB in [0, 1] (not clamped), H and W multiples of ``multiple``.
    """

    def __init__(
        self, levels: tuple[LevelConfig, ...] = PHOTO, *, reversible: bool = False
    ) -> None:
        """``reversible``: train without keeping the couplings' activations.

        Worth it with many blocks a level; see :mod:`invdn.net.reversible`.

        Raises ValueError where there is no network of these sizes.
        """
        super().__init__()
        check_levels(levels)
        self.config = tuple(levels)
        self.levels = nn.ModuleList()
        self.posteriors = nn.ModuleList()
        #: By level; a level that is given none has no entry.
        self.surveys = nn.ModuleDict()
        self.hints = nn.ModuleDict()
        channels, details, survey = IMAGE_CHANNELS, 0, 0
        for i, config in enumerate(levels):
            self.levels.append(Level(channels, config, reversible))
            # The coarsest posterior restores the code together with its latent.
            last = i == len(levels) - 1
            kept = 0 if last else config.kept
            restored = 4 * channels - (0 if config.whole else kept)
            context = kept + config.survey + config.hint
            guessed = kept if config.whole else 0
            self.posteriors.append(
                Posterior(
                    restored, context, config.posterior_width, config.posterior_pairs, guessed
                )
            )
            if config.survey:
                self.surveys[str(i)] = Survey(details, survey, config.survey)
            if config.hint:
                self.hints[str(i)] = Hint(levels[i + 1].posterior_width, config.hint)
            details, survey = 4 * channels - config.kept, config.survey
            channels = config.kept

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return 1 << len(self.levels)

    def forward(self, y: Tensor) -> Latents:
        """Image ``[N, 3, H, W]`` → latents."""
        return self._analyse(y)[0]

    def _analyse(self, y: Tensor) -> tuple[Latents, list[Tensor]]:
        """The latents, and of each level but the coarsest the kept channels."""
        details, passed = [], []
        kept = y
        for config, level in zip(self.config, self.levels, strict=True):
            latent = level(kept)
            kept = latent[:, : config.kept]
            passed.append(kept)
            details.append(latent[:, config.kept :])
        return Latents(kept, tuple(details)), passed[:-1]

    def _kept_of(self, latents: Latents) -> list[Tensor]:
        """The kept channels that latents decode to, of each level but the coarsest."""
        kept, passed = latents.code, []
        for i in reversed(range(1, len(self.levels))):
            kept = self._level(i).inverse(torch.cat((kept, latents.details[i]), dim=1))
            passed.append(kept)
        return passed[::-1]

    def inverse(self, latents: Latents) -> Tensor:
        """Latents → image ``[N, 3, H, W]``."""
        kept = latents.code
        for level, detail in zip(reversed(self.levels), reversed(latents.details), strict=True):
            assert isinstance(level, Level)
            kept = level.inverse(torch.cat((kept, detail), dim=1))
        return kept

    def restore(self, latents: Latents, strength: float | Tensor = 1.0) -> tuple[Latents, Tensor]:
        """Move noisy latents towards the posterior's estimate of the clean ones.

        Each latent ``u`` becomes ``u + strength · (û − u)``: 0 leaves everything as it is, 1 is
        full restoration, more than 1 removes more than the network believes to be noise.

        Returns the restored latents and the image ``[N, 3, H, W]`` that they decode to.
        """
        if not any(config.whole for config in self.config):
            return self._restore(latents, [], strength)
        _, image = self._restore(latents, self._kept_of(latents), strength)
        # Restored kept channels are other ones than the coarser levels' restored latents decode to.
        return self.forward(image), image

    def _restore(
        self, latents: Latents, passed: list[Tensor], strength: float | Tensor
    ) -> tuple[Latents, Tensor]:
        """Each level's restored latents, and the image.

        ``passed``: the noisy kept channels of each level but the coarsest, if any restores its own.
        """
        surveys = self._survey(latents)
        coarsest, features = self._restore_coarsest(latents, surveys[-1], strength)
        kept, details = self._level(-1).inverse(coarsest), []
        for i in reversed(range(len(self.levels) - 1)):
            detail, known = latents.details[i], self.config[i].kept
            noisy = torch.cat((passed[i], detail), dim=1) if self.config[i].whole else detail
            context = _joined(kept, surveys[i], self._hint(i, features))
            estimate, features = self.posteriors[i](noisy, context)
            restored = noisy + strength * (estimate - noisy)
            if not self.config[i].whole:
                restored = torch.cat((kept, restored), dim=1)
            details.append(restored[:, known:])
            kept = self._level(i).inverse(restored)
        code = self.config[-1].kept
        latents = Latents(coarsest[:, :code], (*details[::-1], coarsest[:, code:]))
        return latents, kept

    def _restore_coarsest(
        self, latents: Latents, survey: Tensor | None, strength: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """The coarsest level's channels, code first, restored; and its posterior's features."""
        noisy = torch.cat((latents.code, latents.details[-1]), dim=1)
        estimate, features = self.posteriors[-1](noisy, survey)
        return noisy + strength * (estimate - noisy), features

    def _hint(self, i: int, features: Tensor) -> Tensor | None:
        """What the posterior of a level is told by the next coarser one's features."""
        return self.hints[str(i)](features) if str(i) in self.hints else None

    def _level(self, i: int) -> Level:
        level = self.levels[i]
        assert isinstance(level, Level)
        return level

    def _survey(self, latents: Latents) -> list[Tensor | None]:
        """What each level's posterior is told of the noise at the finer levels."""
        surveys: list[Tensor | None] = [None]
        for i in range(1, len(self.levels)):
            there = str(i) in self.surveys
            surveys.append(
                self.surveys[str(i)](latents.details[i - 1], surveys[-1]) if there else None
            )
        return surveys

    def denoise(self, y: Tensor, strength: float | Tensor = 1.0) -> Tensor:
        """Noisy image ``[N, 3, H, W]`` → restored image, same shape, not clamped."""
        latents, kept = self._analyse(y)
        return self._restore(latents, kept, strength)[1]

    def log_det(self, y: Tensor) -> Tensor:
        """log |det ∂forward/∂y| for each sample, ``[N]``."""
        total = y.new_zeros(y.shape[0])
        kept = y
        for config, level in zip(self.config, self.levels, strict=True):
            assert isinstance(level, Level)
            total = total + level.log_det(kept)
            kept = level(kept)[:, : config.kept]
        return total

    def macs_per_pixel(self) -> float:
        """Multiply-adds of ``denoise`` for each pixel, learned convolutions only."""
        total = 0.0
        for index, (level, posterior) in enumerate(
            zip(self.levels, self.posteriors, strict=True), start=1
        ):
            # Every coupling runs twice: once forward, once inverse.
            macs: float = 2 * _conv_weights(level) + _conv_weights(posterior)
            # A level's survey is computed at its size, its hint at the next coarser one's.
            name = str(index - 1)
            macs += _conv_weights(self.surveys[name]) if name in self.surveys else 0
            macs += _conv_weights(self.hints[name]) / 4 if name in self.hints else 0
            total += macs / 4**index
        return total


def _joined(*parts: Tensor | None) -> Tensor:
    """Those of the parts that there are, as one context."""
    return torch.cat([part for part in parts if part is not None], dim=1)


def _conv_weights(module: nn.Module) -> int:
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


def check_weights(state_dict: Mapping[str, Tensor]) -> None:
    """Raise ValueError at weights that are no real numbers, which loading would silently change."""
    for key, value in state_dict.items():
        if not value.is_floating_point():
            raise ValueError(f"{key} is {str(value.dtype).removeprefix('torch.')}, not floats")


def infer_levels(state_dict: Mapping[str, Tensor]) -> tuple[LevelConfig, ...]:
    """The sizes of the network that a state dict belongs to, from the shapes of its tensors.

    Raises ValueError where the keys, or the weights' dimensions, are not those of an
    :class:`InvDN`.
    """

    def count(prefix: str) -> int:
        names = {k[len(prefix) :].split(".")[0] for k in state_dict if k.startswith(prefix)}
        return len(names)

    def shape(key: str) -> torch.Size:
        """Of a convolution's weights."""
        found = state_dict[key].shape
        if len(found) != 4:
            raise ValueError(
                f"not the weights of an InvDN: {key} has {len(found)} dimensions, not 4"
            )
        return found

    def outputs(key: str) -> int:
        return shape(key)[0] if key in state_dict else 0

    levels = []
    channels = IMAGE_CHANNELS
    number = count("posteriors.")
    try:
        for i in range(number):
            posterior, coupling, width = f"posteriors.{i}.", f"levels.{i}.couplings.", 0
            survey = outputs(f"surveys.{i}.conv.weight")
            hint = outputs(f"hints.{i}.conv.weight") // 4
            posterior_width, seen = shape(f"{posterior}conv_in.weight")[:2]
            restored = shape(f"{posterior}conv_out.weight")[0] // 2
            whole = i < number - 1 and restored == 4 * channels
            if blocks := count(coupling):
                width, changed = shape(f"{coupling}0.f.0.weight")[:2]
                kept = 4 * channels - changed
            else:
                kept = seen - survey - hint - restored
            levels.append(
                LevelConfig(
                    blocks=blocks,
                    coupling_width=width,
                    kept=kept,
                    posterior_width=posterior_width,
                    posterior_pairs=count(f"{posterior}pairs."),
                    survey=survey,
                    hint=hint,
                    whole=whole,
                )
            )
            channels = kept
    except KeyError as error:
        raise ValueError(f"not the weights of an InvDN: {error} is missing") from None
    if not levels:
        raise ValueError("not the weights of an InvDN: there are no keys 'posteriors.…'")
    return tuple(levels)
