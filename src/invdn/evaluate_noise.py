"""How much made noise resembles real noise, on real pairs. Needs the extras ``train, eval``.

Compared are: the perturbation of the noisy photo's own latent (which starts from the real noise);
noise from the clean photo alone, with the level estimated from the noisy one, and with all of its
character; and, of the same variance as the real noise, white Gaussian noise and the camera
simulation of the training. The first is another task than the others and is never mixed with
them. What an AKLD is worth says the real noise itself, moved to other places of the picture, where
it no longer goes with brightness: correlated noise fluctuates, and where the real noise happens to
be weak any other scores badly.
All noisy pictures are rounded to 8 bits, as the real ones are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from invdn.data.camera import BORDER_PX, MARGIN_PX, camera_pair
from invdn.data.pairs import Pair
from invdn.metrics import akld, finite
from invdn.net.noise_head import NoiseModel
from invdn.noise import (
    Character,
    add_noise,
    calibrated,
    character_of,
    perturb,
    perturbation_factor,
)
from invdn.report import new_figure, page, svg, table

DRAWS = 50
EPSILON = 0.25
_LAGS_PX = 9
_BRIGHTNESS_BANDS = 8

Image = npt.NDArray[np.float32]
#: ``draw(seed)`` → a noisy image ``[H, W, 3]`` in [0, 1].
Draw = Callable[[int], Image]


@dataclass
class NoiseStatistics:
    """Sums over images of what is known of a kind of noise; pixels count the same."""

    variance_sums: npt.NDArray[np.float64] = field(
        default_factory=lambda: np.zeros(_BRIGHTNESS_BANDS)
    )
    """By brightness of the clean image."""
    counts: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(_BRIGHTNESS_BANDS))
    lag_sums: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(_LAGS_PX))
    """Mean product of a residual and itself some pixels further, across and down."""
    channel_sums: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 3)))
    aklds: list[float] = field(default_factory=list)
    """One an image: the mean over the draws."""

    def add(self, noisy: Image, clean: Image) -> None:
        """Add one image's residual, in grey levels."""
        residual = 255.0 * (noisy.astype(np.float64) - clean)
        band = np.minimum((clean.mean(2) * _BRIGHTNESS_BANDS).astype(int), _BRIGHTNESS_BANDS - 1)
        energy = (residual**2).mean(2)
        self.variance_sums += np.bincount(band.ravel(), energy.ravel(), _BRIGHTNESS_BANDS)
        self.counts += np.bincount(band.ravel(), minlength=_BRIGHTNESS_BANDS)
        for lag in range(_LAGS_PX):
            across = residual[:, lag:] * residual[:, : residual.shape[1] - lag]
            down = residual[lag:] * residual[: residual.shape[0] - lag]
            self.lag_sums[lag] += residual[..., 0].size * (across.mean() + down.mean()) / 2
        flat = residual.reshape(-1, 3)
        self.channel_sums += flat.T @ flat

    @property
    def sigma_8bit(self) -> float:
        """Over all pixels, in grey levels."""
        return math.sqrt(self.variance_sums.sum() / self.counts.sum())

    @property
    def sigma_of_brightness(self) -> npt.NDArray[np.float64]:
        """By band, grey levels; NaN where no pixel is that bright."""
        with np.errstate(invalid="ignore"):
            result: npt.NDArray[np.float64] = np.sqrt(self.variance_sums / self.counts)
        return result

    @property
    def autocorrelation(self) -> npt.NDArray[np.float64]:
        """At lags of 0, 1, … pixels."""
        result: npt.NDArray[np.float64] = self.lag_sums / self.lag_sums[0]
        return result

    @property
    def channel_correlation(self) -> tuple[float, float, float]:
        """R–G, R–B, G–B; NaN where a channel has no noise."""
        deviation = np.sqrt(np.diagonal(self.channel_sums))
        with np.errstate(invalid="ignore"):
            correlation = self.channel_sums / np.outer(deviation, deviation)
        return float(correlation[0, 1]), float(correlation[0, 2]), float(correlation[1, 2])


@dataclass
class NoiseEvaluation:
    """Real noise, and each kind that was made."""

    title: str
    draws: int
    epsilon: float
    kinds: dict[str, NoiseStatistics] = field(default_factory=dict)
    """The first, ``real``, is what the others should be like."""

    def rows(self) -> list[dict[str, Any]]:
        """One row a kind; AKLD is None for the real noise itself."""
        return [
            {
                "kind": kind,
                "akld": float(np.mean(s.aklds)) if s.aklds else None,
                "sigma": s.sigma_8bit,
                "autocorrelation": [float(s.autocorrelation[lag]) for lag in (1, 2, 4)],
                "channel_correlation": list(s.channel_correlation),
                "n": len(s.aklds) or len(self.kinds[self.made[0]].aklds),
            }
            for kind, s in self.kinds.items()
        ]

    @property
    def made(self) -> list[str]:
        """All kinds but the real one."""
        return [kind for kind in self.kinds if kind != "real"]

    def as_json(self) -> str:
        """The rows, the number of draws and ε; what cannot be computed is null."""
        content = {"title": self.title, "draws": self.draws, "epsilon": self.epsilon}
        return json.dumps(finite({**content, "rows": self.rows()}), indent=1) + "\n"


def evaluate_noise(
    pairs: Iterable[Pair],
    model: NoiseModel,
    *,
    title: str = "",
    draws: int = DRAWS,
    epsilon: float = EPSILON,
    threads: int | None = None,
    progress: Callable[[str], object] | None = None,
) -> NoiseEvaluation:
    """Compare made noise with the real noise of pairs.

    Args:
        pairs: Real ones.
        model: From :func:`invdn.noise.load_noise_model`.
        title: Of the report.
        draws: Of each kind and image, for the AKLD.
        epsilon: Of the perturbation of the own latent.
        threads: Of PyTorch; None leaves them as they are.
        progress: Is told which pair has been done.

    Raises:
        ValueError: there are no pairs, or one has no noise.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    evaluation = NoiseEvaluation(title, draws, epsilon, {"real": NoiseStatistics()})
    for pair in pairs:
        real, clean = (x.astype(np.float32) / np.float32(255) for x in (pair.noisy, pair.clean))
        if np.array_equal(real, clean):
            raise ValueError(f"{pair.name}: the noisy and the clean picture are equal")
        evaluation.kinds["real"].add(real, clean)
        for kind, draw in _kinds(real, clean, model, epsilon).items():
            statistics = evaluation.kinds.setdefault(kind, NoiseStatistics())
            values = []
            for seed in range(draws):
                made = _rounded(draw(seed))
                values.append(akld(made, real, clean))
                if seed == 0:
                    statistics.add(made, clean)
            statistics.aklds.append(float(np.mean(values)))
        if progress is not None:
            progress(pair.name)
    if not evaluation.made:
        raise ValueError("there are no pairs to evaluate on")
    return evaluation


def _rounded(image: Image) -> Image:
    """To 8 bits, still float32 in [0, 1]."""
    rounded: Image = (np.rint(np.clip(image, 0.0, 1.0) * 255.0) / 255.0).astype(np.float32)
    return rounded


def _kinds(real: Image, clean: Image, model: NoiseModel, epsilon: float) -> dict[str, Draw]:
    character = character_of(real, model)
    level_only = calibrated(clean, model, Character(character.level_8bit))
    like = calibrated(clean, model, character)
    factor = perturbation_factor(real, model, epsilon)
    sigma = float(np.sqrt(np.mean((real - clean) ** 2)))

    def white(seed: int) -> Image:
        noise = np.random.default_rng(seed).standard_normal(clean.shape, np.float32)
        return clean + np.float32(sigma) * noise

    return {
        "own latent": lambda seed: perturb(real, model, epsilon, seed, factor=factor),
        "from clean, level estimated": lambda seed: add_noise(clean, model, level_only, seed),
        "from clean, like the noisy one": lambda seed: add_noise(clean, model, like, seed),
        "white Gaussian, same variance": white,
        "camera simulation, same variance": lambda seed: _simulated(clean, sigma, seed),
        "the real noise, moved": lambda seed: _moved(real, clean, seed),
    }


def _moved(real: Image, clean: Image, seed: int) -> Image:
    """The clean image with the real noise of other places, a quarter of the image away or more."""
    rng = np.random.default_rng(seed)
    shift = [int(rng.integers(side // 4, side - side // 4 + 1)) for side in clean.shape[:2]]
    moved: Image = clean + np.roll(real - clean, shift, (0, 1))
    return moved


def _simulated(clean: Image, sigma: float, seed: int) -> Image:
    """A random camera's noise on a clean image, each place's own there, scaled to a deviation."""
    height, width = clean.shape[:2]
    side = max(height, width)
    # The margin is divided at random: so the grid of JPEG's blocks falls anywhere.
    rng = np.random.default_rng(seed)
    top, left = (int(rng.integers(BORDER_PX, MARGIN_PX - BORDER_PX + 1)) for _ in range(2))
    rows, columns = (
        (before, side - size + MARGIN_PX - before)
        for before, size in ((top, height), (left, width))
    )
    square = np.pad(clean, (rows, columns, (0, 0)), "symmetric")
    patch = torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1)))[None]
    generator = torch.Generator().manual_seed(seed)
    noisy, target = camera_pair(patch, side, generator, place=(top, left))
    residual = (noisy - target)[0].permute(1, 2, 0).numpy()[:height, :width]
    factor = np.float32(sigma / max(1e-6, float(np.sqrt(np.mean(residual**2)))))
    noisy_clean: Image = (clean + factor * residual).astype(np.float32)
    return noisy_clean


# --- the page ------------------------------------------------------------------------------------


def html_noise_report(evaluation: NoiseEvaluation) -> str:
    """A self-contained page: AKLD, deviation against brightness, and correlations."""
    sections = [
        f"<p>AKLD: mean of {evaluation.draws} draws of each image; own latent: ε = "
        f"{evaluation.epsilon:g}, another task than the others.</p>",
        _table(evaluation),
        "<h2>Deviation against brightness</h2>" + _against_brightness(evaluation),
        "<h2>Spatial autocorrelation</h2>" + _autocorrelation(evaluation),
        "<h2>Correlation between channels</h2>" + _channels(evaluation),
    ]
    return page(evaluation.title or "Noise", [], sections)


def _table(evaluation: NoiseEvaluation) -> str:
    def numbers(values: list[float]) -> str:
        return " ".join(f"{value:.2f}" for value in values)

    head = ["noise", "AKLD", "σ of 255", "autocorrelation at 1, 2, 4 px", "RG, RB, GB"]
    body = [
        [
            row["kind"],
            "" if row["akld"] is None else f"{row['akld']:.3f}",
            f"{row['sigma']:.1f}",
            numbers(row["autocorrelation"]),
            numbers(row["channel_correlation"]),
        ]
        for row in evaluation.rows()
    ]
    return table(head, body)


def _against_brightness(evaluation: NoiseEvaluation) -> str:
    figure, axes = new_figure()
    centres = (np.arange(_BRIGHTNESS_BANDS) + 0.5) * 255 / _BRIGHTNESS_BANDS
    for kind, statistics in evaluation.kinds.items():
        axes.plot(centres, statistics.sigma_of_brightness, "o-", label=kind, lw=_width(kind))
    axes.set(xlabel="brightness of the clean picture", ylabel="σ of 255", ylim=(0, None))
    _legend(axes)
    return svg(figure)


def _autocorrelation(evaluation: NoiseEvaluation) -> str:
    figure, axes = new_figure()
    for kind, statistics in evaluation.kinds.items():
        axes.plot(statistics.autocorrelation, "o-", label=kind, lw=_width(kind))
    axes.set(xlabel="lag, pixels", ylabel="correlation")
    _legend(axes)
    return svg(figure)


def _channels(evaluation: NoiseEvaluation) -> str:
    figure, axes = new_figure()
    width = 0.8 / len(evaluation.kinds)
    for i, (kind, statistics) in enumerate(evaluation.kinds.items()):
        axes.bar(np.arange(3) + i * width, statistics.channel_correlation, width, label=kind)
    axes.set_xticks(np.arange(3) + 0.4 - width / 2, ["R–G", "R–B", "G–B"])
    _legend(axes)
    return svg(figure)


def _legend(axes: Any) -> None:
    """Beside the plot, where it hides nothing."""
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _width(kind: str) -> float:
    return 3.0 if kind == "real" else 1.2
