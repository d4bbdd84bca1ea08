"""Camera noise for clean photos, and new noise for noisy ones. Needs the extra ``train``.

    model = load_noise_model()
    noisy = add_noise(clean, model, Character(level_8bit=12.0), seed=1)
    noisy = add_noise(clean, model, character_of(reference, model))   # like another photo
    other = perturb(noisy, model, epsilon=0.25)                       # the photo's own latent

Everything is reproducible from the seed, on images of any size: the random numbers belong to
places of the image, not to tiles, so that neither tiles nor their size can be seen in the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from invdn.denoiser import check_range
from invdn.latents import normal_field
from invdn.net.invdn import InvDN, check_weights, infer_levels
from invdn.net.noise_head import (
    NoiseModel,
    channels_of_scales,
    correlation_factor,
    gains_and_factors,
    scales,
    unscales,
)
from invdn.noise_level import estimate_sigma
from invdn.runtime import NOISE_MODEL, ModelError
from invdn.tiling import Blender, Window, windows

#: How often the strength of made noise is tried, and how close to the level is close enough.
_MOST_TRIALS, _LEVEL_TOLERANCE = 10, 0.02
#: No picture of 8 bits has a larger deviation than half its range.
LARGEST_LEVEL_8BIT = 127.5
#: Of a perturbation: beyond, the pictures are little but noise that is cut off.
LARGEST_EPSILON = 4.0

#: level = factor · estimate + offset, in grey levels of 255, at most so many times the estimate.
#: Both of the estimates that go in miss about the same part of strong noise, and of weak noise
#: more: what is coarse in it. Fitted to real and simulated training pairs, see docs/decisions.md.
_LEVEL_FACTOR, _LEVEL_OFFSET_8BIT, _LARGEST_LEVEL_FACTOR = 1.04, 0.65, 1.65
TILE_PX = 512
HALO_PX = 64
BRIGHTNESS_BANDS = 16
#: A stored character is used at levels within a factor 1.5 of its own, and where there are too few
#: such, so many nearest ones.
_NEAR, _NEAREST_CHARACTERS = math.log(1.5), 4
_FLAT_BLOCK_PX = 32
_FLATTEST = 0.25
_FEWEST_PIXELS = 256  # of a band of brightness, for its noise to be known

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Character:
    """What noise to make."""

    level_8bit: float
    """Standard deviation in grey levels of 255, over the image, before the result is clipped to
    black and white; 0 makes none, 127.5 is the most."""
    gains: tuple[Tensor, ...] | None = None
    """For each scale ``[C]``: factors on the model's σ; None for 1."""
    factors: tuple[Tensor, ...] | None = None
    """For each scale ``[C, C]``: Cholesky factor of the channels' correlation; None for the
    model's own at this level."""
    curve_8bit: Tensor | None = None
    """``[3, BRIGHTNESS_BANDS]``: standard deviation of each channel's noise where the picture is
    that bright, grey levels of 255. With it the noise of another picture is as strong as its
    brightness says, not ``level_8bit``. None for what the model says."""


@dataclass(frozen=True)
class Calibrated:
    """A :class:`Character` as it is made on one picture; see :func:`calibrated`."""

    level_8bit: float
    gains: tuple[Tensor, ...]
    """For each scale ``[C]``."""
    factors: tuple[Tensor, ...]
    """For each scale ``[C, C]``."""
    ratio: Tensor | None
    """``[3, BRIGHTNESS_BANDS]``: factors on each channel's noise by brightness."""


def load_noise_model(path: Path | None = None) -> NoiseModel:
    """Load a transform and its noise head, as ``invdn train`` writes them; None: the shipped ones.

    Raises:
        ModelError: the file is missing or is something else, in one line.
    """
    path = NOISE_MODEL if path is None else path
    if not path.is_file():
        raise ModelError(f"there is no noise model {path}: train one (configs/noise.toml)")
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        check_weights(state)
        net = {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
        stored = state.get("head.character_levels_8bit", torch.empty(0))
        model = NoiseModel(InvDN(infer_levels(net)), characters=stored.numel())
        model.load_state_dict(state)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        # Of weights that do not fit PyTorch's first line is a heading; the next one says which.
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ModelError(f"{path} is not a noise model: {reason}") from error
    return model.eval()


def camera_character(model: NoiseModel, seed: int) -> Character:
    """A level that cameras have, and the character of one of the model's training pairs.

    The level is log-uniform over those of the training pairs, but for the highest twentieth. Of
    the pairs whose characters are stored one is taken whose own level is near; a model that stores
    none makes noise as it expects it at that level.
    """
    rng = np.random.default_rng((seed, 1))
    low, high = (float(model.head.levels_8bit[i]) for i in (0, -2))
    level = math.exp(rng.uniform(math.log(low), math.log(high)))
    if not model.head.characters:
        return Character(level)
    distance = torch.log(model.head.character_levels_8bit / level).abs().numpy()
    count = max(_NEAREST_CHARACTERS, int(np.sum(distance < _NEAR)))
    near = np.argsort(distance, kind="stable")[:count]
    return Character(level, *model.head.character(int(rng.choice(near))))


@torch.inference_mode()
def add_noise(
    clean: Pixels, model: NoiseModel, character: Character | Calibrated, seed: int = 0
) -> Pixels:
    """Noise on a clean image.

    Args:
        clean: ``[H, W, 3]`` sRGB; uint8, uint16, or float32 in [0, 1], which may exceed that range
            a little (by :data:`invdn.denoiser.FLOAT_TOLERANCE`).
        model: From :func:`load_noise_model`.
        character: How much, and of what kind; for many draws on one image, what
            :func:`calibrated` makes of it for this image.
        seed: The same seed makes the same noise.

    Returns:
        Same shape and type, clipped to the range; integers are rounded.

    Raises:
        ValueError: another kind of image, floats that are no numbers or too far outside [0, 1],
            or a level that is not a number from 0 to 127.5.
    """
    _check(clean)
    recipe = calibrated(clean, model, character) if isinstance(character, Character) else character
    if recipe.level_8bit == 0:
        return clean.copy()

    def make(tile: Tensor, window: Window) -> Tensor:
        return _with_noise(tile, model, recipe, partial(_field_of_window, seed, window))

    return _by_tiles(clean, model, make)


@torch.inference_mode()
def perturb(
    noisy: Pixels,
    model: NoiseModel,
    epsilon: float,
    seed: int = 0,
    *,
    factor: float | None = None,
) -> Pixels:
    """Another noisy image from a noisy one: the paper's perturbation ``z + ε·v``, ``v ~ N(0, I)``.

    Here each value of ``v`` is scaled by the noise that the posterior found around it, and all by
    one factor, so that ``epsilon`` is relative to the photo's own noise: 0 returns the photo, 1
    adds as much again, before clipping, as the network takes away.

    Source: Y. Liu et al., *Invertible Denoising Network*, CVPR 2021, section 3.4.

    Args:
        noisy: As for :func:`add_noise`.
        model: From :func:`load_noise_model`.
        epsilon: From 0 to 4.
        seed: The same seed makes the same noise.
        factor: For many draws on one image, what :func:`perturbation_factor` finds for it.

    The result and the errors are those of :func:`add_noise`.
    """
    _check(noisy)
    if factor is None:
        factor = perturbation_factor(noisy, model, epsilon)

    def make(tile: Tensor, window: Window) -> Tensor:
        own = _OwnNoise.of(tile, model)
        return own.perturbed(model, factor, partial(_field_of_window, seed, window))

    return _by_tiles(noisy, model, make)


@torch.inference_mode()
def perturbation_factor(
    noisy: Pixels, model: NoiseModel, epsilon: float, *, channels: int = 3
) -> float:
    """What the own noise's latents are to be multiplied by for ``epsilon``; see :func:`perturb`.

    Couplings stretch latents, each network its own way. So it is found by trial, on tiles spread
    over the picture, on its first ``channels`` channels.

    Raises:
        ValueError: as for :func:`add_noise`, or for an epsilon that is not from 0 to 4.
    """
    check_number("epsilon", epsilon, LARGEST_EPSILON)
    _check(noisy)
    known: list[tuple[Tensor, _OwnNoise]] = []
    removed: list[Tensor] = []
    for tile in _sample_tiles(noisy.astype(np.float32) / largest_value(noisy), model.net.multiple):
        own = _OwnNoise.of(tile, model)
        known.append((tile, own))
        removed.append(tile - own.image)
    wanted = epsilon * _deviation_8bit(removed, channels)
    if wanted == 0:
        return 0.0

    def made(factor: float) -> float:
        white = _white_noise()
        return _deviation_8bit(
            [own.perturbed(model, factor, white) - tile for tile, own in known], channels
        )

    return _factor_for(wanted, made)


@dataclass(frozen=True)
class _OwnNoise:
    """What the network says of a noisy tile."""

    latents: tuple[Tensor, ...]
    """By scale."""
    sigmas: tuple[Tensor, ...]
    """By scale: how much noise the posterior found around each place."""
    image: Tensor
    """The restored tile."""
    code_channels: int

    @staticmethod
    def of(tile: Tensor, model: NoiseModel) -> _OwnNoise:
        latents = model.net(tile)
        restored, image = model.net.restore(latents)
        noisy = scales(latents)
        sigmas = tuple(
            F.avg_pool2d((z - clean) ** 2, 7, 1, 3, count_include_pad=False).sqrt()
            for z, clean in zip(noisy, scales(restored), strict=True)
        )
        return _OwnNoise(noisy, sigmas, image, latents.code.shape[1])

    def perturbed(
        self, model: NoiseModel, factor: float, field: Callable[[int, Tensor], Tensor]
    ) -> Tensor:
        """The tile with ``factor · σ · v`` on its latents; ``field(scale, latent)`` makes v."""
        changed = tuple(
            z + factor * sigma * field(scale, z)
            for scale, (z, sigma) in enumerate(zip(self.latents, self.sigmas, strict=True))
        )
        return model.net.inverse(unscales(changed, self.code_channels))


def _deviation_8bit(differences: list[Tensor], channels: int) -> float:
    """Root of the mean square of the first channels of ``[1, 3, h, w]`` each, of 255."""
    energy = sum(float((d[:, :channels] ** 2).sum()) for d in differences)
    return 255.0 * math.sqrt(energy / sum(d[:, :channels].numel() for d in differences))


@torch.inference_mode()
def character_of(noisy: Pixels, model: NoiseModel) -> Character:
    """The character of a noisy photo's noise, as far as the model can express it.

    The level comes from the smaller of two estimates, that of flat blocks (:func:`estimate_sigma`),
    which texture raises, and what the denoiser removes: see :func:`_level`. How it depends on
    brightness is measured on what is removed. How it divides into scales and channels, and how
    the channels correlate, is measured on the photo's own latents where the restored photo is
    flattest: there they are noise, and all of it, while a denoiser leaves the coarse part in.

    Raises:
        ValueError: as for :func:`add_noise`.
    """
    _check(noisy)
    x = np.asarray(noisy, np.float32) / largest_value(noisy)
    flat_level = estimate_sigma(x)
    energy, pixels = torch.zeros(3, BRIGHTNESS_BANDS), torch.zeros(BRIGHTNESS_BANDS)
    counts = channels_of_scales(model.net.config)
    moments = [torch.zeros(count, count) for count in counts]
    samples = [0] * len(counts)
    # Whole tiles without overlap: a halo would count twice, and borders hardly matter here.
    for tile in _sample_tiles(x, model.net.multiple):
        latents = model.net(tile)
        restored, image = model.net.restore(latents)
        band_energy, band_pixels = _by_brightness((tile - image) ** 2, image)
        energy += band_energy
        pixels += band_pixels
        level = torch.tensor([max(flat_level, 0.5 / 255)])
        flat = _flat_blocks(image)
        for i, (z, log_sigma) in enumerate(
            zip(scales(latents), model.head(image, scales(restored), level), strict=True)
        ):
            u = _within_blocks(z / log_sigma.exp(), image, flat)
            moments[i] += u @ u.T
            samples[i] += u.shape[1]
    removed = math.sqrt(float(energy.sum() / (3 * pixels.sum())))
    level_8bit = min(LARGEST_LEVEL_8BIT, _level(255.0 * min(flat_level, removed)))
    return Character(
        level_8bit,
        *gains_and_factors(moments, samples),
        level_8bit / max(removed, 1e-6) * _curve(energy, pixels),
    )


def _level(estimate_8bit: float) -> float:
    """What an estimate means that misses a part, of weak noise more than of strong noise."""
    corrected = _LEVEL_FACTOR * estimate_8bit + _LEVEL_OFFSET_8BIT
    return min(corrected, _LARGEST_LEVEL_FACTOR * estimate_8bit)


def _by_brightness(values: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``values``, ``[1, 3, H, W]``, by the brightness of ``image`` around them.

    Returns ``[3, BRIGHTNESS_BANDS]``, and the number of pixels ``[BRIGHTNESS_BANDS]``.
    """
    band = _brightness(image).mul(BRIGHTNESS_BANDS).long().clamp(0, BRIGHTNESS_BANDS - 1).flatten()
    sums = torch.zeros(3, BRIGHTNESS_BANDS).index_add_(1, band, values[0].flatten(1))
    return sums, torch.bincount(band, minlength=BRIGHTNESS_BANDS).float()


def _brightness(image: Tensor) -> Tensor:
    """Mean of the channels over 5×5 pixels: ``[1, 3, H, W]`` → ``[1, 1, H, W]``."""
    return F.avg_pool2d(image.mean(1, keepdim=True), 5, 1, 2, count_include_pad=False)


def _curve(energy: Tensor, pixels: Tensor) -> Tensor:
    """Deviation by brightness, ``[3, BRIGHTNESS_BANDS]``; where too few pixels are that bright,
    between or as the nearest that are known."""
    known = torch.nonzero(pixels >= min(_FEWEST_PIXELS, float(pixels.max()))).flatten().numpy()
    deviation = torch.sqrt(energy[:, known] / pixels[known]).numpy()
    places = np.arange(BRIGHTNESS_BANDS)
    return torch.from_numpy(np.stack([np.interp(places, known, d) for d in deviation])).float()


def _flat_blocks(image: Tensor) -> Tensor:
    """Which blocks of ``[1, 3, H, W]`` vary least, ``[rows, columns]``; clipped ones are not."""
    side = _flat_block_px(image)
    mean = F.avg_pool2d(image, side)
    variance = (F.avg_pool2d(image**2, side) - mean**2).mean((0, 1))
    inside = ((mean > 0.04) & (mean < 0.96)).all(1)[0]
    if not inside.any():
        inside = torch.ones_like(inside)
    return inside & (variance <= torch.quantile(variance[inside], _FLATTEST))


def _flat_block_px(image: Tensor) -> int:
    return int(min(_FLAT_BLOCK_PX, *image.shape[2:]))


def _within_blocks(latent: Tensor, image: Tensor, chosen: Tensor) -> Tensor:
    """The deviations of a latent of the image, ``[1, C, h, w]``, from the means of the chosen of
    the blocks of :func:`_flat_blocks`: ``[C, values]``."""
    rows, columns = chosen.shape
    side = _flat_block_px(image) * latent.shape[2] // image.shape[2]
    x = latent[0, :, : rows * side, : columns * side]
    # [C, rows, side, columns, side] → [C, rows, columns, side²]
    x = x.reshape(-1, rows, side, columns, side).transpose(2, 3).flatten(3)
    x = x[:, chosen]
    scale = math.sqrt(side**2 / max(1, side**2 - 1))
    return (scale * (x - x.mean(2, keepdim=True))).flatten(1)


@torch.inference_mode()
def calibrated(
    clean: Pixels, model: NoiseModel, character: Character, *, channels: int = 3
) -> Calibrated:
    """Factors with which the noise over the picture has the level, or follows the curve.

    The head knows where there is more noise and where there is less; how much there is over the
    whole picture is what was asked for. Found by a trial on tiles spread over the picture, before
    clipping, so that where it is cut off there is less of it: a level says how noisy a camera is.

    Args:
        clean: As for :func:`add_noise`.
        model: From :func:`load_noise_model`.
        character: What is wanted.
        channels: How many of the channels, from the first on, have the level together: 1 where
            the others are not used.

    Raises:
        ValueError: as for :func:`add_noise`.
    """
    _check(clean)
    check_number("a noise level", character.level_8bit, LARGEST_LEVEL_8BIT)
    if character.level_8bit == 0:
        return Calibrated(0.0, (), (), None)
    gains = character.gains or tuple(torch.ones(c) for c in channels_of_scales(model.net.config))
    factors = character.factors or _model_factors(model, character.level_8bit)
    trial = Calibrated(character.level_8bit, gains, factors, None)
    tiles = _sample_tiles(clean.astype(np.float32) / largest_value(clean), model.net.multiple)
    if character.curve_8bit is not None:
        made_curve = _curve(*_made(tiles, model, trial)).clamp_min(1e-6)
        return replace(trial, ratio=character.curve_8bit / 255.0 / made_curve)

    def made_level(factor: float) -> float:
        energy, pixels = _made(tiles, model, _times(trial, factor))
        return 255.0 * math.sqrt(float(energy[:channels].sum() / (channels * pixels.sum())))

    return _times(trial, _factor_for(character.level_8bit, made_level))


def _times(recipe: Calibrated, factor: float) -> Calibrated:
    return replace(recipe, gains=tuple(factor * gain for gain in recipe.gains))


def _factor_for(wanted: float, made: Callable[[float], float]) -> float:
    """The factor at which ``made(factor)``, which grows with it, is about ``wanted``.

    f⁻¹ is not linear: half the latent noise is not half the noise. Strong noise can grow with the
    third power of the factor, so that dividing by what came out too large swings for ever. So: a
    straight line between logarithms, through the nearest trials on either side of what is wanted.
    """
    place, reach, below, above = 0.0, 1.0, None, None
    best = (math.inf, place)
    for _ in range(_MOST_TRIALS):
        excess = math.log(max(made(math.exp(place)), 1e-9) / wanted)
        best = min(best, (abs(excess), place))
        if abs(excess) < _LEVEL_TOLERANCE:
            break
        if excess < 0:
            below = (place, excess)
        else:
            above = (place, excess)
        if below is None or above is None:
            place -= max(-reach, min(reach, excess))
            reach *= 2.0
        else:
            share = -below[1] / (above[1] - below[1])
            # Never close to an end: else one end may stay for ever.
            place = below[0] + (above[0] - below[0]) * min(0.85, max(0.15, share))
    return math.exp(best[1])


def _made(tiles: list[Tensor], model: NoiseModel, recipe: Calibrated) -> tuple[Tensor, Tensor]:
    """Energy of the noise made on tiles ``[3, BRIGHTNESS_BANDS]``, and how many pixels a band has.

    The same white noise each time.
    """
    energy, pixels = torch.zeros(3, BRIGHTNESS_BANDS), torch.zeros(BRIGHTNESS_BANDS)
    white = _white_noise()
    for tile in tiles:
        noise = _with_noise(tile, model, recipe, white) - tile
        band_energy, band_pixels = _by_brightness(noise**2, tile)
        energy += band_energy
        pixels += band_pixels
    return energy, pixels


def _white_noise() -> Callable[[int, Tensor], Tensor]:
    """``field(scale, latent)`` → v ~ N(0, 1), the same sequence each time."""
    generator = torch.Generator().manual_seed(0)
    return lambda scale, latent: torch.randn(latent.shape, generator=generator)


def _with_noise(
    tile: Tensor, model: NoiseModel, recipe: Calibrated, field: Callable[[int, Tensor], Tensor]
) -> Tensor:
    """``f⁻¹(f(x) + gain · σ · A v)`` of ``[1, 3, H, W]``; ``field(scale, latent)`` makes v."""
    latents = model.net(tile)
    clean = scales(latents)
    log_sigmas = model.head(tile, clean, torch.tensor([recipe.level_8bit / 255.0]))
    noisy = tuple(
        x
        + gain.view(1, -1, 1, 1)
        * log_sigma.exp()
        * torch.einsum("ij,njhw->nihw", factor, field(scale, x))
        for scale, (x, gain, log_sigma, factor) in enumerate(
            zip(clean, recipe.gains, log_sigmas, recipe.factors, strict=True)
        )
    )
    made = model.net.inverse(unscales(noisy, latents.code.shape[1]))
    if recipe.ratio is None:
        return made
    return tile + _at_brightness(recipe.ratio, tile) * (made - tile)


def _at_brightness(table: Tensor, image: Tensor) -> Tensor:
    """``[3, BRIGHTNESS_BANDS]`` at the brightness of ``[1, 3, H, W]``: shaped like the image."""
    # Bands are known at their middles; beyond the outermost ones they stay.
    place = (_brightness(image) * BRIGHTNESS_BANDS - 0.5).clamp(0, BRIGHTNESS_BANDS - 1)[0, 0]
    low = place.floor().long().clamp_max(BRIGHTNESS_BANDS - 2)
    return torch.lerp(table[:, low], table[:, low + 1], place - low)[None]


def _model_factors(model: NoiseModel, level_8bit: float) -> tuple[Tensor, ...]:
    count = len(model.head.heads)
    return tuple(correlation_factor(model.head.correlation(i, level_8bit)) for i in range(count))


# --- random numbers that belong to places --------------------------------------------------------


def _field_of_window(seed: int, window: Window, scale: int, latent: Tensor) -> Tensor:
    """v ~ N(0, 1) for a window's latent ``[1, C, h, w]`` of scale ``scale`` (0 the finest)."""
    channels, height, width = latent.shape[1:]
    side = 2 << scale
    top, left = window.rows.start // side, window.columns.start // side
    rows, columns = slice(top, top + height), slice(left, left + width)
    field = normal_field(channels, rows, columns, seed=seed, draw=scale)
    return torch.from_numpy(field).unsqueeze(0)


# --- tiles ---------------------------------------------------------------------------------------


def _by_tiles(
    image: Pixels, model: NoiseModel, make: Callable[[Tensor, Window], Tensor], tile: int = TILE_PX
) -> Pixels:
    """Run ``make`` on overlapping tiles, ``[1, 3, h, w]`` each, and put the results together."""
    height, width = image.shape[:2]
    largest = largest_value(image)
    result = np.empty_like(image)
    blender = Blender(width)
    plan = windows(height, width, tile=tile, halo=HALO_PX, multiple=model.net.multiple)
    for window in plan:
        region = image[window.rows.read, window.columns.read].astype(np.float32) / largest
        pad = [(0, window.rows.padding), (0, window.columns.padding), (0, 0)]
        region = np.pad(region, pad, mode="symmetric")
        made = make(torch.from_numpy(region).permute(2, 0, 1)[None].contiguous(), window)[0]
        kept = made[:, window.rows.kept, window.columns.kept].permute(1, 2, 0).numpy()
        done = np.clip(blender.add(window, kept), 0.0, 1.0) * largest
        if image.dtype.kind == "u":
            done = np.rint(done)
        result[window.rows.done, window.columns.done] = done.astype(image.dtype)
    return result


def _sample_tiles(x: npt.NDArray[np.float32], multiple: int) -> list[Tensor]:
    """Up to sixteen tiles ``[1, 3, h, w]``, spread over the image: enough for its statistics."""
    count = 16
    if min(x.shape[:2]) < multiple:
        short = [(0, max(0, multiple - side)) for side in x.shape[:2]]
        x = np.pad(x, [*short, (0, 0)], mode="symmetric")
    height, width = (side // multiple * multiple for side in x.shape[:2])
    size = 256
    rows, columns = -(-height // size), -(-width // size)
    places = [(row, column) for row in range(rows) for column in range(columns)]
    if len(places) > count:
        # A lattice: each sixteenth of the height is seen once, and each of the width.
        middles = [(i + 0.5, i * 5 % count + 0.5) for i in range(count)]
        places = list(
            dict.fromkeys((int(y * rows / count), int(z * columns / count)) for y, z in middles)
        )
    corners = [(size * row, size * column) for row, column in places]
    tiles = (x[t : min(t + size, height), s : min(s + size, width)] for t, s in corners)
    return [torch.from_numpy(np.ascontiguousarray(t.transpose(2, 0, 1)))[None] for t in tiles]


def check_number(what: str, value: float, largest: float) -> None:
    if not 0 <= value <= largest:  # nor NaN
        raise ValueError(f"{what} must be from 0 to {largest:g}, not {value:g}")


def _check(image: Pixels) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"an image must be [height, width, 3], not {image.shape}")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f"pixels must be uint8, uint16 or float32, not {image.dtype}")
    check_range(image)


def largest_value(image: Pixels) -> np.float32:
    return np.float32(np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0)
