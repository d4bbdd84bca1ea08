"""Training of the noise head: a stage of its own, after the denoiser's, which stays as it is."""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invdn.config import AT_MOST, LAYOUTS, ConfigError, PairFolder, build, read_toml
from invdn.data.batches import read_pairs
from invdn.data.camera import MARGIN_PX, simulated_pair
from invdn.data.pairs import Pair
from invdn.data.patches import (
    dihedral,
    find_images,
    random_window,
    read_rgb8,
    to_tensor,
)
from invdn.export import ExportError, load_network
from invdn.net.noise_head import (
    KNOTS_8BIT,
    NoiseModel,
    deviations_and_correlation,
    gains_and_factors,
    knot,
    scales,
)
from invdn.training.checkpoint import write_tensors
from invdn.training.launch import TrainingError

log = logging.getLogger(__name__)

#: Rounding to 8 bits, in both pictures: without it a divergence has no bound where cameras clip.
_ROUNDING_VARIANCE = 2.0 / 12.0 / 255.0**2
#: Latents in which noise has one variance, at the finest scale and at the others.
_WINDOW, _COARSE_WINDOW = 5, 3
_LARGEST_LOG_RATIO = 4.0
_SIMULATED_PX = 128
_CHARACTER_BATCHES = 4  # of crops from which a single pair's character is measured


@dataclass(frozen=True)
class NoiseTrainConfig:
    """Everything that the training of a noise head depends on."""

    denoiser: str
    """Weights of the denoiser, ``.safetensors``; relative to the settings file."""
    output: str
    """The file to write, ``.safetensors``: transform and head together; relative likewise."""
    pairs: tuple[PairFolder, ...]
    """Real pairs."""
    clean: tuple[str, ...] = ()
    """Folders of clean photos for the simulated cameras; relative to ``root``."""
    camera_weight: float = 0.0
    """Share of crops with simulated camera noise, beside the pairs' weights."""
    camera_level_8bit: float = 0.0
    """Least deviation of simulated noise, grey levels of 255: for what is stronger than the real
    pairs' noise. Where there are real pairs, the simulation is the worse teacher."""
    camera_patches: int = 256
    """Patches with simulated noise, made once at the start, each by a camera of its own."""
    characters: int = 48
    """How many single pairs' noise is stored, spread over the folders as their weights say: which
    scales and colours it has more of than the head says. What ``camera`` draws from."""
    root: str = "."
    """Folder that the pairs' folders are relative to; itself relative to the settings file."""
    steps: int = 2000
    """Optimiser steps; the learning rate falls along half a cosine."""
    crops: int = 8
    """Crops in a batch."""
    crop_px: int = 96
    """Side of a crop; a multiple of the network's."""
    learning_rate: float = 2e-3
    """Peak, of Adam."""
    seed: int = 0
    """Of the weights at the start and of every crop."""
    threads: int = 0
    """Of PyTorch; 0 takes all cores."""


@dataclass(frozen=True)
class _Pool:
    """Pairs to draw crops from, by folder."""

    pairs: list[list[Pair]]
    levels_8bit: list[list[float]]
    """Of each pair's noise, see :func:`noise_level_8bit`."""
    shares: npt.NDArray[np.float64]
    """Of each folder among the crops; they sum to 1."""

    def only(self, folder: int, number: int) -> _Pool:
        """The pool of a single pair."""
        pair, level = self.pairs[folder][number], self.levels_8bit[folder][number]
        return _Pool([[pair]], [[level]], np.ones(1))

    def batch(
        self, config: NoiseTrainConfig, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(noisy, clean, level): ``[N, 3, crop, crop]`` twice, and ``[N]`` in the [0, 1] range."""
        noisy, clean, level = [], [], []
        for _ in range(config.crops):
            folder = int(rng.choice(len(self.pairs), p=self.shares))
            number = int(rng.integers(len(self.pairs[folder])))
            pair = self.pairs[folder][number]
            window = random_window(pair.clean.shape, config.crop_px, rng)
            turn = int(rng.integers(8))
            noisy.append(dihedral(pair.noisy[window], turn))
            clean.append(dihedral(pair.clean[window], turn))
            level.append(self.levels_8bit[folder][number] / 255.0)
        return to_tensor(noisy), to_tensor(clean), torch.tensor(level)


def train_noise_from_config_file(path: Path) -> None:
    """Train as a settings file says.

    Raises:
        ConfigError: where the settings, the denoiser or the data cannot be used, or the output is
            there already or cannot be written.
        TrainingError: as :func:`train_noise`; and where a file cannot be read or written after all.
    """
    config = build(NoiseTrainConfig, read_toml(path), str(path))
    output = path.resolve().parent / config.output
    if output.exists():
        raise ConfigError(f"{path}: {output} exists already: move it, or name another output")
    for problem in _problems(config):
        raise ConfigError(f"{path}: {problem}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output.parent):
            pass  # the folder takes files: better known before the training than after it
    except OSError as error:
        raise ConfigError(f"{path}: {output} cannot be written: {error.strerror}") from error
    try:
        train_noise(config, path.resolve().parent)
    except (FileNotFoundError, ValueError, ExportError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise TrainingError.of_system(error, output) from error


def _problems(config: NoiseTrainConfig) -> Iterator[str]:
    """What is wrong with settings whose keys and types are right, one sentence each."""
    for key in ("steps", "crops", "crop_px", "camera_patches"):
        if getattr(config, key) < 1:
            yield f"{key} must be at least 1"
    for key in ("characters", "seed", "threads", "camera_weight", "camera_level_8bit"):
        if not getattr(config, key) >= 0:
            yield f"{key} must not be negative"
        if key in AT_MOST and getattr(config, key) > AT_MOST[key]:
            yield f"{key} must be at most {AT_MOST[key]}"
    if not 0 < config.learning_rate < math.inf:
        yield "learning_rate must be above 0"
    for pair in config.pairs:
        if pair.layout not in LAYOUTS:
            yield f"{pair.folder}: layout must be {' or '.join(LAYOUTS)}"
        if not pair.weight >= 0:
            yield f"{pair.folder}: weight must not be negative"
    if not 0 < sum(pair.weight for pair in config.pairs) + config.camera_weight < math.inf:
        yield "the weights of pairs and camera_weight must be numbers, and one of them above 0"


def train_noise(config: NoiseTrainConfig, base: Path) -> NoiseModel:
    """Train a noise head on real pairs, and write it.

    Each pair has a level: the deviation of its noise over the whole photo, so that the head
    learns how much less or more of it there is in the dark and in the bright.

    Args:
        config: All settings.
        base: Folder that the settings' paths are relative to.

    Raises:
        FileNotFoundError, ValueError, ExportError: where the denoiser or the data cannot be used.
        TrainingError: where the loss or its gradient is not a number any more, or what the head
            says; nothing is then written.
        OSError: the output cannot be written.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    model = NoiseModel(load_network(base / config.denoiser), config.characters)
    if config.crop_px % model.net.multiple:
        raise ValueError(f"crop_px must be a multiple of {model.net.multiple}")
    pool = _load_pool(base / config.root, config)

    optimiser = torch.optim.Adam(model.head.parameters(), lr=config.learning_rate)
    started, losses = time.monotonic(), []
    for step in range(config.steps):
        rng = np.random.default_rng((config.seed, step))
        noisy, clean, level = pool.batch(config, rng)
        target, noise = _latents(model, noisy, clean)
        loss = divergence_loss(model, clean, target, noise, level)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(model.head.parameters(), 1.0)
        if not (loss.isfinite() and norm.isfinite()):
            raise TrainingError(
                f"the loss or its gradient is not a number at step {step + 1}: a lower "
                f"learning_rate than {config.learning_rate:g} may help"
            )
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == config.steps:
            seconds = (time.monotonic() - started) / len(losses)
            log.info("step %d  loss %.4f  %.3f s/step", step + 1, np.mean(losses), seconds)
            started, losses = time.monotonic(), []

    try:
        _measure_correlations(model, pool, config)
        _measure_characters(model, pool, config)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise _of_no_numbers(config) from error
    _store_levels(model, pool)
    # The last step has no next one that would find it out.
    if not all(value.isfinite().all() for value in model.head.state_dict().values()):
        raise _of_no_numbers(config)
    save_noise_model(model, base / config.output, config)
    return model


def _of_no_numbers(config: NoiseTrainConfig) -> TrainingError:
    return TrainingError(
        f"after the last step, {config.steps}, what the head says is not a number: a lower "
        f"learning_rate than {config.learning_rate:g} may help"
    )


def noise_level_8bit(pair: Pair) -> float:
    """Standard deviation of a pair's noise in grey levels, over the whole photo; at least 0.5."""
    total = 0.0
    for noisy, clean in zip(pair.noisy, pair.clean, strict=True):  # row by row: memory
        total += float(((noisy.astype(np.float32) - clean) ** 2).sum())
    return max(0.5, math.sqrt(total / pair.noisy.size))


def divergence_loss(
    model: NoiseModel,
    image: Tensor,
    clean: tuple[Tensor, ...],
    noise: tuple[Tensor, ...],
    level: Tensor,
) -> Tensor:
    """Divergence of N(0, σ²) from the noise latents around each place, mean over all of them.

    ``½ (r − 1 − ln r)`` with ``r`` = σ² over the mean of the squared noise in a small window, as
    AKLD has it. The likelihood of single values would make σ² the mean of the variances that
    pictures of a kind have at such a place, which a few strong ones decide; this makes it their
    harmonic mean.

    ``image`` is the clean one, ``clean`` its latents.
    """
    total, count = image.new_zeros(()), 0
    for scale, (log_sigma, n) in enumerate(
        zip(model.head(image, clean, level), noise, strict=True)
    ):
        side = _WINDOW if scale == 0 else _COARSE_WINDOW
        energy = n**2 + _ROUNDING_VARIANCE
        variance = F.avg_pool2d(energy, side, 1, side // 2, count_include_pad=False)
        log_ratio = 2.0 * log_sigma - torch.log(variance)
        # Beyond the bound a straight line goes on: a place without any noise would outweigh all.
        bounded = log_ratio.clamp_max(_LARGEST_LOG_RATIO)
        ratio = torch.exp(bounded) * (1.0 + log_ratio - bounded)
        total = total + 0.5 * (ratio - 1.0 - log_ratio).sum()
        count += n.numel()
    return total / count


@torch.no_grad()
def _latents(
    model: NoiseModel, noisy: Tensor, clean: Tensor
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Clean latents and noise latents; no gradient reaches the transform."""
    target = scales(model.net(clean))
    return target, tuple(y - x for y, x in zip(scales(model.net(noisy)), target, strict=True))


def _load_pool(root: Path, config: NoiseTrainConfig) -> _Pool:
    """All that the settings name."""
    folders = [_usable(read_pairs(root, p), config) for p in config.pairs]
    weights = [p.weight for p in config.pairs]
    if config.camera_weight > 0:
        folders.append(_simulated_pairs(root, config))
        weights.append(config.camera_weight)
    levels = [[noise_level_8bit(p) for p in pairs] for pairs in folders]
    return _Pool(folders, levels, np.array(weights) / sum(weights))


def _usable(pairs: list[Pair], config: NoiseTrainConfig) -> list[Pair]:
    usable = [p for p in pairs if min(p.clean.shape[:2]) >= config.crop_px]
    if not usable:
        raise ValueError(f"no photo is as large as a crop of {config.crop_px}")
    return usable


def _simulated_pairs(root: Path, config: NoiseTrainConfig) -> list[Pair]:
    """Patches of clean photos, each with the noise of a random camera."""
    photos = [path for folder in config.clean for path in find_images(root / folder)]
    if not photos:
        raise ValueError("camera_weight needs clean")
    rng = np.random.default_rng((config.seed, 1))
    generator = torch.Generator().manual_seed(config.seed)
    side = max(config.crop_px, _SIMULATED_PX)
    pairs: list[Pair] = []
    # Photos in turn; those that are too small are left out, and noise that is too weak.
    for index in np.resize(rng.permutation(len(photos)), 16 * config.camera_patches):
        photo = read_rgb8(photos[index])
        if min(photo.shape[:2]) < side + MARGIN_PX:
            continue
        pair = Pair(f"camera {len(pairs)}", *simulated_pair(photo, side, rng, generator))
        if noise_level_8bit(pair) < config.camera_level_8bit:
            continue
        pairs.append(pair)
        if len(pairs) == config.camera_patches:
            return pairs
    raise ValueError(
        f"too few photos in clean have at least {side + MARGIN_PX} pixels a side, "
        f"or too little simulated noise reaches camera_level_8bit = {config.camera_level_8bit:g}"
    )


@torch.no_grad()
def _measure_correlations(model: NoiseModel, pool: _Pool, config: NoiseTrainConfig) -> None:
    """Correlation between a scale's channels near each knot, of noise divided by its σ."""
    count = len(model.head.heads)
    moments = [torch.zeros_like(getattr(model.head, f"correlation_{i}")) for i in range(count)]
    seen = torch.zeros(len(KNOTS_8BIT))
    for number in range(64):
        rng = np.random.default_rng((config.seed, config.steps, number))
        noisy, clean, level = pool.batch(config, rng)
        target, noise = _latents(model, noisy, clean)
        sigmas = model.head(clean, target, level)
        for sample, sample_level in enumerate(level.tolist()):
            low, weight = knot(255.0 * sample_level)
            for k, share in ((low, 1.0 - weight), (low + 1, weight)):
                seen[k] += share
                for i in range(count):
                    u = (noise[i][sample] / sigmas[i][sample].exp()).flatten(1)
                    moments[i][k] += share * (u @ u.T) / u.shape[1]
    for i in range(count):
        for k in range(len(KNOTS_8BIT)):
            if seen[k] < 1.0:  # a level that no pair has: as at the nearest that some have
                k_known = min(
                    torch.nonzero(seen >= 1.0).flatten().tolist(), key=lambda j: abs(j - k)
                )
                covariance = moments[i][k_known]
            else:
                covariance = moments[i][k]
            _, correlation = deviations_and_correlation(covariance)
            getattr(model.head, f"correlation_{i}")[k] = correlation


@torch.no_grad()
def _measure_characters(model: NoiseModel, pool: _Pool, config: NoiseTrainConfig) -> None:
    """Gains and correlations of single pairs, relative to what the head says."""
    head = model.head
    edges = np.rint(config.characters * np.cumsum(pool.shares)).astype(int)
    edges[-1] = config.characters
    for number in range(config.characters):
        folder = int(np.searchsorted(edges, number, side="right"))
        first = edges[folder - 1] if folder else 0
        place = (number - first) / (edges[folder] - first)
        chosen = pool.only(folder, int(place * len(pool.pairs[folder])))
        moments = [torch.zeros(0)] * len(head.heads)
        samples = [0] * len(head.heads)
        for batch in range(_CHARACTER_BATCHES):
            rng = np.random.default_rng((config.seed, config.steps, 1, number, batch))
            noisy, clean, level = chosen.batch(config, rng)
            target, noise = _latents(model, noisy, clean)
            log_sigmas = head(clean, target, level)
            for i, (n, log_sigma) in enumerate(zip(noise, log_sigmas, strict=True)):
                u = (n / log_sigma.exp()).transpose(0, 1).flatten(1)  # [C, places]
                moments[i] = u @ u.T + (moments[i] if batch else 0.0)
                samples[i] += u.shape[1]
        head.character_levels_8bit[number] = chosen.levels_8bit[0][0]
        gains, factors = gains_and_factors(moments, samples)
        for i, (gain, factor) in enumerate(zip(gains, factors, strict=True)):
            getattr(head, f"character_gains_{i}")[number] = gain
            getattr(head, f"character_factors_{i}")[number] = factor.half()


def _store_levels(model: NoiseModel, pool: _Pool) -> None:
    values = np.concatenate([np.array(folder) for folder in pool.levels_8bit])
    weights = np.concatenate(
        [np.full(len(f), s / len(f)) for f, s in zip(pool.levels_8bit, pool.shares, strict=True)]
    )
    order = np.argsort(values)
    wanted = np.linspace(0.0, 1.0, len(model.head.levels_8bit))
    quantiles = np.interp(wanted, np.cumsum(weights[order]), values[order])
    model.head.levels_8bit.copy_(torch.from_numpy(quantiles))


def save_noise_model(model: NoiseModel, path: Path, config: NoiseTrainConfig) -> None:
    """Write transform and head as safetensors, whole or not at all."""
    metadata = {"steps": str(config.steps), "pairs": json.dumps([p.folder for p in config.pairs])}
    write_tensors(model.state_dict(), path, metadata)
