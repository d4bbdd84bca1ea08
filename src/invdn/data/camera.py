"""Camera noise made from clean photos: back to the sensor, noise there, and the way to sRGB again.

The noisy picture and its target take the very same way; only the noise differs. (With the clean
photo itself as the target a network would also learn to undo demosaicing and gamut clipping,
which alone differ from it by 13 grey levels rms.)

Everything works on batches of patches, ``[N, 3, H, W]`` float32 sRGB in [0, 1], and draws from
the given generator only: the same seed gives the same noise.

Sources: T. Brooks et al., *Unprocessing Images for Learned Raw Denoising*, CVPR 2019 (the way
back, noise levels); A. Foi et al., *Practical Poissonian-Gaussian noise modeling*, IEEE TIP 2008
(the noise, whose shot part is drawn from Poisson's distribution here); H. Malvar et al., ICASSP
2004, and J. Hamilton and J. Adams, US patent 5,629,734 (expired), for the two ways of demosaicing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from invdn.data.jpeg import jpeg_round_trip
from invdn.data.patches import Pixels, random_window, to_pixels, to_tensor

#: Patches must be larger than the wanted crop by this many pixels on each axis: the filters'
#: borders are cut off, and the rest is a random shift against the JPEG and Bayer grids.
MARGIN_PX = 24
#: What the filters below can reach, all together, at ordinary strength.
BORDER_PX = 8


@dataclass(frozen=True)
class CameraNoiseConfig:
    """Ranges from which a camera is drawn for each patch; which way of demosaicing there is, and
    where its Bayer pattern begins, is drawn once for all patches of a batch."""

    plain_probability: float = 0.4
    """How often a picture is neither processed nor compressed, as one developed from raw data."""
    plain_shot_range: tuple[float, float] = (1e-3, 0.12)
    """λs of plain pictures, log-uniform: variance of the raw signal is λs·raw + λr, raw in
    [0, 1]. Phones' reach half of the upper end: a network does worst where its training ends."""
    shot_range: tuple[float, float] = (2e-4, 2e-2)
    """λs of the others, log-uniform."""
    read_log_slope: float = 2.18
    """log λr = slope · log λs + offset + N(0, spread²)."""
    read_log_offset: float = 1.20
    """See ``read_log_slope``."""
    read_log_spread: float = 0.26
    """See ``read_log_slope``."""
    read_factor_range: tuple[float, float] = (0.01, 1.0)
    """Factor on λr, log-uniform. The fit overrates it beyond λs of 0.01, where it was not made:
    phones' strong noise is a third as strong in shadows as in midtones."""
    exposure_range: tuple[float, float] = (0.3, 1.0)
    """Factor on linear light, log-uniform: darker pictures have more noise."""
    white_balance_range: tuple[float, float] = (1.2, 2.4)
    """Gains of red and blue."""
    lens_blur_range_px: tuple[float, float] = (0.3, 0.9)
    """σ of the lens's and the sensor's own blur. Downscaled photos are sharper than any camera's
    at full size; without it demosaicing fills the target with false colour."""
    edge_directed_probability: float = 0.35
    """How often demosaicing is edge-directed rather than linear, for a whole batch."""
    black_clip_probability: float = 0.25
    """How often what the read noise puts below black is cut off before demosaicing. Where it is
    not, strong noise darkens the shadows, as it does in phones' pictures."""
    processing_probability: float = 0.75
    """How often the camera smooths chroma and luma, sharpens, and bends the tone curve, where the
    picture is not plain."""
    noise_smoothing_probability: float = 0.6
    """How often that smoothing spares the picture and acts on the noise alone, as an edge-aware
    filter does: what it leaves are weak blotches under a sharp picture."""
    jpeg_probability: float = 0.75
    """How often the noisy picture is JPEG compressed, where it is not plain."""
    jpeg_quality_range: tuple[int, int] = (60, 99)
    """Quality, uniform."""


def srgb_to_linear(x: Tensor) -> Tensor:
    """sRGB in [0, 1] → linear light in [0, 1] (IEC 61966-2-1)."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.0) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(x: Tensor) -> Tensor:
    """Linear light in [0, 1] → sRGB in [0, 1] (IEC 61966-2-1)."""
    bent = 1.055 * x.clamp_min(1e-8) ** (1.0 / 2.4) - 0.055
    return torch.where(x <= 0.0031308, 12.92 * x, bent)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """``[N, 1, 1, 1]`` uniform in [low, high]."""
    draw = torch.rand(n, 1, 1, 1, generator=generator, device=generator.device)
    return low + (high - low) * draw


def _log_uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.exp(_uniform(n, math.log(low), math.log(high), generator))


def _bernoulli(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """``[N, 1, 1, 1]`` of 0 and 1."""
    return (torch.rand(n, 1, 1, 1, generator=generator) < probability).float()


def random_colour_matrices(n: int, generator: torch.Generator) -> Tensor:
    """sRGB → camera RGB matrices, ``[N, 3, 3]``; rows sum to 1, so that grey stays grey.

    Camera filters overlap: each raw channel is mostly its own colour plus some of the others, at
    most as in published camera matrices. The skew that phones' strong noise keeps in each channel
    shows that their renderings mix channels less than these would.
    """
    low = torch.tensor([[0.0, 0.10, 0.0], [0.06, 0.0, 0.04], [0.0, 0.10, 0.0]])
    high = torch.tensor([[0.0, 0.34, 0.10], [0.22, 0.0, 0.22], [0.08, 0.34, 0.0]])
    off_diagonal = low + (high - low) * torch.rand(n, 3, 3, generator=generator)
    off_diagonal = off_diagonal * (0.2 + 0.8 * torch.rand(n, 1, 1, generator=generator))
    return off_diagonal + torch.diag_embed(1.0 - off_diagonal.sum(2))


def _apply_matrices(x: Tensor, matrices: Tensor) -> Tensor:
    return torch.einsum("nij,njhw->nihw", matrices, x)


def bayer_masks(height: int, width: int, phase: int) -> Tensor:
    """Which colour each sensor pixel sees: ``[1, 3, H, W]`` of 0 and 1, RGGB.

    ``phase`` 0–3 shifts the pattern: bit 0 by a column, bit 1 by a row.
    """
    rows = ((torch.arange(height) + (phase >> 1)) % 2).view(-1, 1)
    columns = ((torch.arange(width) + (phase & 1)) % 2).view(1, -1)
    red = (1 - rows) * (1 - columns)
    blue = rows * columns
    return torch.stack((red, 1 - red - blue, blue)).float().unsqueeze(0)


def add_raw_noise(raw: Tensor, shot: Tensor, read: Tensor, generator: torch.Generator) -> Tensor:
    """Add shot and read noise to a mosaic.

    Strong shot noise is skewed, as a sensor pixel then holds a few electrons only; so it is drawn
    as counts of them.

    Args:
        raw: ``[N, 1, H, W]`` in [0, 1].
        shot: λs, the value of one electron, ``[N, 1, 1, 1]``; 0 for no shot noise.
        read: λr, ``[N, 1, 1, 1]``.
        generator: Source of randomness.

    Returns:
        ``raw`` plus noise of mean 0 and variance ``λs·raw + λr``; not clipped.
    """
    electron = shot.clamp_min(torch.finfo(raw.dtype).tiny)
    counts = torch.poisson(torch.where(shot > 0, raw.clamp_min(0.0) / electron, 0.0), generator)
    exposed = torch.where(shot > 0, counts * electron, raw)
    return exposed + torch.sqrt(read) * torch.randn(raw.shape, generator=generator)


def _filter(x: Tensor, taps: Sequence[Sequence[float]]) -> Tensor:
    """Correlate ``[N, C, H, W]`` with one odd-sized kernel, borders reflected (Bayer-safe)."""
    kernel = torch.tensor(taps, dtype=x.dtype)
    height, width = kernel.shape
    padded = F.pad(x, (width // 2, width // 2, height // 2, height // 2), mode="reflect")
    channels = x.shape[1]
    return F.conv2d(padded, kernel.expand(channels, 1, height, width), groups=channels)


_MALVAR_GREEN = [
    [0, 0, -1, 0, 0],
    [0, 0, 2, 0, 0],
    [-1, 2, 4, 2, -1],
    [0, 0, 2, 0, 0],
    [0, 0, -1, 0, 0],
]
_MALVAR_ROW: list[
    list[float]
] = [  # red or blue where its neighbours stand in the same row of a green pixel
    [0, 0, 0.5, 0, 0],
    [0, -1, 0, -1, 0],
    [-1, 4, 5, 4, -1],
    [0, -1, 0, -1, 0],
    [0, 0, 0.5, 0, 0],
]
_MALVAR_COLUMN = [[row[i] for row in _MALVAR_ROW] for i in range(5)]
_MALVAR_OPPOSITE: list[list[float]] = [
    [0, 0, -1.5, 0, 0],
    [0, 2, 0, 2, 0],
    [-1.5, 0, 6, 0, -1.5],
    [0, 2, 0, 2, 0],
    [0, 0, -1.5, 0, 0],
]


def _eighth(taps: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[tap / 8.0 for tap in row] for row in taps]


def demosaic_malvar(raw: Tensor, masks: Tensor) -> Tensor:
    """Gradient-corrected linear interpolation (Malvar et al.), ``[N, 1, H, W]`` → ``[N, 3, H, W]``.

    ``masks`` is :func:`bayer_masks`. Sampled values are kept as they are.
    """
    red, green, blue = masks[:, 0:1], masks[:, 1:2], masks[:, 2:3]
    at_green = _filter(raw, _eighth(_MALVAR_GREEN))
    in_row = _filter(raw, _eighth(_MALVAR_ROW))
    in_column = _filter(raw, _eighth(_MALVAR_COLUMN))
    opposite = _filter(raw, _eighth(_MALVAR_OPPOSITE))
    # A green pixel shares its row with red where its left neighbour (mirrored: its right) is red.
    red_row = green * _filter(red, [[0.5, 0.0, 0.5]])
    blue_row = green - red_row
    return torch.cat(
        (
            red * raw + red_row * in_row + blue_row * in_column + blue * opposite,
            green * raw + (1 - green) * at_green,
            blue * raw + blue_row * in_row + red_row * in_column + red * opposite,
        ),
        dim=1,
    )


def demosaic_hamilton_adams(raw: Tensor, masks: Tensor) -> Tensor:
    """Edge-directed green, then colour differences (Hamilton and Adams); shapes as for Malvar.

    Green is interpolated along the direction that changes less, and red and blue follow green:
    so green's noise passes to the other channels, as it does in real cameras.
    """
    green_mask = masks[:, 1:2]
    second_h = _filter(raw, [[-1.0, 0.0, 2.0, 0.0, -1.0]])
    second_v = _filter(raw, [[-1.0], [0.0], [2.0], [0.0], [-1.0]])
    gradient_h = _filter(raw, [[-1.0, 0.0, 1.0]]).abs() + second_h.abs()
    gradient_v = _filter(raw, [[-1.0], [0.0], [1.0]]).abs() + second_v.abs()
    green_h = _filter(raw, [[0.5, 0.0, 0.5]]) + second_h / 4.0
    green_v = _filter(raw, [[0.5], [0.0], [0.5]]) + second_v / 4.0
    directed = torch.where(gradient_h < gradient_v, green_h, green_v)
    directed = torch.where(gradient_h == gradient_v, (green_h + green_v) / 2.0, directed)
    green = torch.where(green_mask > 0, raw, directed)
    # Bilinear interpolation of R − G and B − G from the places where they are known.
    chroma_masks = masks[:, 0::2]
    differences = (raw - green) * chroma_masks
    differences = _filter(differences, [[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]])
    chroma = green + differences
    return torch.cat((chroma[:, 0:1], green, chroma[:, 1:2]), dim=1)


def _gaussian_blur(
    x: Tensor,
    sigmas_px: Tensor,
    most_px: float | None = None,
    vertical_sigmas_px: Tensor | None = None,
) -> Tensor:
    """Blur ``[N, C, H, W]``, each sample with its own σ in pixels, ``[N, 1, 1, 1]``, ≥ 0.

    The kernel is cut off at 2 σ, and where the picture ends: reflection reaches no further.

    ``most_px``: what no σ exceeds; where it is not given, a device's values are waited for.
    ``vertical_sigmas_px``: where it is not the same along columns.
    """
    n, channels, height, width = x.shape
    if most_px is None:
        most_px = float(sigmas_px.max())
    radius = min(max(1, math.ceil(2.0 * most_px)), min(height, width) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    size = 2 * radius + 1

    def taps(sigmas_px: Tensor) -> Tensor:
        each = torch.exp(-0.5 * (offsets / sigmas_px.view(n, 1).clamp_min(1e-3)) ** 2)
        return (each / each.sum(1, keepdim=True)).repeat_interleave(channels, 0)

    across = taps(sigmas_px)
    down = across if vertical_sigmas_px is None else taps(vertical_sigmas_px)
    flat = x.reshape(1, n * channels, height, width)
    flat = F.pad(flat, (radius, radius, radius, radius), mode="reflect")
    flat = F.conv2d(flat, across.view(-1, 1, 1, size), groups=n * channels)
    flat = F.conv2d(flat, down.view(-1, 1, size, 1), groups=n * channels)
    return flat.reshape(n, channels, height, width)


# Rows: Y, Cb, Cr of JPEG (ITU-R BT.601), for the smoothing that cameras do on luma and chroma.
_TO_YCC = torch.tensor(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ]
)
_FROM_YCC = torch.linalg.inv(_TO_YCC.double()).float()


@dataclass(frozen=True)
class _Processing:
    """In-camera processing, one value a sample, each ``[N, 1, 1, 1]``."""

    chroma_sigma_px: Tensor
    luma_sigma_px: Tensor
    luma_mix: Tensor
    sharpening: Tensor
    contrast: Tensor
    gamma: Tensor
    noise_chroma_sigma_px: Tensor
    noise_chroma_gain: Tensor
    noise_luma_sigmas_px: tuple[Tensor, Tensor]
    noise_luma_mix: Tensor


def _draw_processing(
    used: Tensor, config: CameraNoiseConfig, generator: torch.Generator
) -> _Processing:
    """``used``: which samples are processed at all, ``[N, 1, 1, 1]`` of 0 and 1."""
    n = used.shape[0]
    smoothed = used * _bernoulli(n, 0.7, generator)
    on_noise = used * _bernoulli(n, config.noise_smoothing_probability, generator)
    return _Processing(
        chroma_sigma_px=(used - on_noise) * _uniform(n, 0.3, 2.5, generator),
        luma_sigma_px=_uniform(n, 0.4, 1.6, generator),
        luma_mix=smoothed * (1.0 - on_noise) * _uniform(n, 0.0, 0.85, generator),
        sharpening=used * _uniform(n, 0.0, 0.8, generator),
        contrast=used * _uniform(n, 0.0, 0.5, generator),
        gamma=torch.exp(used * _uniform(n, -0.25, 0.25, generator)),
        noise_chroma_sigma_px=on_noise * _uniform(n, 0.5, 5.0, generator),
        noise_chroma_gain=_uniform(n, 0.2, 1.0, generator),
        noise_luma_sigmas_px=(
            on_noise * _uniform(n, 0.2, 1.0, generator),
            _uniform(n, 1.5, 5.0, generator),
        ),
        noise_luma_mix=smoothed * on_noise * _uniform(n, 0.4, 0.97, generator),
    )


def _luma_and_chroma(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """``[N, 3, H, W]`` → ``[N, 1, H, W]`` and ``[N, 2, H, W]``; :func:`_rgb` is the inverse."""
    ycc = torch.einsum("ij,njhw->nihw", _TO_YCC.to(rgb.device), rgb)
    return ycc[:, :1], ycc[:, 1:]


def _rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    ycc = torch.cat((luma, chroma), dim=1)
    return torch.einsum("ij,njhw->nihw", _FROM_YCC.to(ycc.device), ycc)


def _smooth_noise(noise: Tensor, p: _Processing) -> Tensor:
    """What an edge-aware filter leaves of the noise, ``[N, 3, H, W]``.

    Of luma a part that is little smoothed, and coarse blotches; of chroma the blotches only.
    """
    luma, chroma = _luma_and_chroma(noise)
    chroma = p.noise_chroma_gain * _gaussian_blur(chroma, p.noise_chroma_sigma_px)
    fine, coarse = (_gaussian_blur(luma, sigmas) for sigmas in p.noise_luma_sigmas_px)
    return _rgb(fine + p.noise_luma_mix * (coarse - fine), chroma)


def _process(x: Tensor, p: _Processing) -> Tensor:
    """What a camera does after rendering, on sRGB ``[N, 3, H, W]`` in [0, 1]."""
    luma, chroma = _luma_and_chroma(x)
    chroma = _gaussian_blur(chroma, p.chroma_sigma_px)
    luma = luma + p.luma_mix * (_gaussian_blur(luma, p.luma_sigma_px) - luma)
    luma = luma + p.sharpening * (luma - _gaussian_blur(luma, torch.ones_like(p.gamma)))
    x = _rgb(luma, chroma).clamp(0.0, 1.0) ** p.gamma
    return x + p.contrast * (x * x * (3.0 - 2.0 * x) - x)


def quantise(x: Tensor) -> Tensor:
    """Clip to [0, 1] and round to 8 bits; any shape."""
    return torch.round(x.clamp(0.0, 1.0) * 255.0) / 255.0


def simulated_pair(
    photo: Pixels,
    size_px: int,
    rng: np.random.Generator,
    generator: torch.Generator,
    config: CameraNoiseConfig | None = None,
) -> tuple[Pixels, Pixels]:
    """A random patch of a photo with the noise of a random camera, and without: 8 bits each.

    Args:
        photo: ``[H, W, 3]``, larger than the patch by :data:`MARGIN_PX` each way at least.
        size_px: Side of the patch.
        rng: Chooses the place.
        generator: Of the camera and its noise.
        config: What cameras there are.

    Raises:
        ValueError: the photo is too small.
    """
    patch = photo[random_window(photo.shape, size_px + MARGIN_PX, rng)]
    both = camera_pair(to_tensor([patch]), size_px, generator, config)
    noisy, target = (to_pixels(x)[0] for x in both)
    return noisy, target


def camera_pair(
    clean: Tensor,
    crop_px: int,
    generator: torch.Generator,
    config: CameraNoiseConfig | None = None,
    *,
    noise: float = 1.0,
    place: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Render clean photos as one camera a photo would have taken them, with noise and without.

    Args:
        clean: ``[N, 3, S, S]`` sRGB in [0, 1] with ``S ≥ crop_px + MARGIN_PX``.
        crop_px: Side of the result.
        generator: Source of all randomness.
        config: Ranges to draw from.
        noise: Factor on the raw noise's standard deviation. With 0 and without JPEG the two
            results are equal.
        place: Row and column of ``clean`` where the results begin, each :data:`BORDER_PX` or more
            from both ends; None draws them, so that a caller who must know them gives them.

    Returns:
        (noisy, target), each ``[N, 3, crop_px, crop_px]`` sRGB in [0, 1], quantised to 8 bits.

    Raises:
        ValueError: where the patches are too small for the crop and its margin, or the place is
            not in them.
    """
    config = config or CameraNoiseConfig()
    n, _, height, width = clean.shape
    if min(height, width) < crop_px + MARGIN_PX:
        raise ValueError(
            f"patches of {width}×{height} are too small for crops of {crop_px}: "
            f"{crop_px + MARGIN_PX} are needed"
        )
    largest = tuple(size - crop_px - BORDER_PX for size in (height, width))
    if place is not None and not all(
        BORDER_PX <= start <= most for start, most in zip(place, largest, strict=True)
    ):
        raise ValueError(f"results begin from {BORDER_PX} to {largest}, not at {place}")
    matrices = random_colour_matrices(n, generator)
    exposure = _log_uniform(n, *config.exposure_range, generator)
    red_blue = config.white_balance_range[0] + torch.rand(n, 2, generator=generator) * (
        config.white_balance_range[1] - config.white_balance_range[0]
    )
    gains = torch.stack((red_blue[:, 0], torch.ones(n), red_blue[:, 1]), 1).view(n, 3, 1, 1)
    plain = _bernoulli(n, config.plain_probability, generator) > 0
    shot = torch.where(
        plain,
        _log_uniform(n, *config.plain_shot_range, generator),
        _log_uniform(n, *config.shot_range, generator),
    )
    spread = config.read_log_spread * torch.randn(n, 1, 1, 1, generator=generator)
    read = torch.exp(config.read_log_slope * torch.log(shot) + config.read_log_offset + spread)
    read = read * _log_uniform(n, *config.read_factor_range, generator)
    masks = bayer_masks(height, width, int(torch.randint(4, (1,), generator=generator)))
    processed = _bernoulli(n, config.processing_probability, generator) * ~plain
    processing = _draw_processing(processed, config, generator)
    clip_at_zero = _bernoulli(n, config.black_clip_probability, generator) > 0
    edge_directed = torch.rand(1, generator=generator) < config.edge_directed_probability
    demosaic = demosaic_hamilton_adams if edge_directed else demosaic_malvar
    lens_blur = _uniform(n, *config.lens_blur_range_px, generator)

    light = _gaussian_blur(srgb_to_linear(clean) * exposure, lens_blur)
    camera = _apply_matrices(light, matrices) / gains
    raw = (camera * masks).sum(1, keepdim=True).clamp_max(1.0)  # a sensor is full there
    noisy_raw = add_raw_noise(raw, shot * noise**2, read * noise**2, generator)
    noisy_raw = torch.where(clip_at_zero, noisy_raw.clamp_min(0.0), noisy_raw).clamp_max(1.0)

    def render(mosaic: Tensor) -> Tensor:
        linear = (demosaic(mosaic, masks) * gains).clamp_max(1.0)
        linear = _apply_matrices(linear, torch.linalg.inv(matrices)).clamp(0.0, 1.0)
        return linear_to_srgb(linear)

    noisy, target = render(noisy_raw), render(raw)
    spared = processing.noise_chroma_sigma_px > 0
    noisy = torch.where(spared, target + _smooth_noise(noisy - target, processing), noisy)
    noisy, target = _process(noisy, processing), _process(target, processing)
    top, left = place or (
        int(torch.randint(BORDER_PX, most + 1, (1,), generator=generator)) for most in largest
    )
    window = (..., slice(top, top + crop_px), slice(left, left + crop_px))
    noisy = _jpeg_some(quantise(noisy), plain, window, config, generator)
    return noisy, quantise(target[window])


def _jpeg_some(
    x: Tensor,
    plain: Tensor,
    window: tuple[EllipsisType, slice, slice],
    config: CameraNoiseConfig,
    generator: torch.Generator,
) -> Tensor:
    """JPEG some samples that are not plain, then cut the window out.

    So the grid of 8×8 blocks falls anywhere.
    """
    out = x[window].clone()
    low, high = config.jpeg_quality_range
    for i in range(x.shape[0]):
        used = torch.rand(1, generator=generator) < config.jpeg_probability
        quality = int(torch.randint(low, high + 1, (1,), generator=generator))
        subsample = bool(torch.rand(1, generator=generator) < 0.5)
        if used and not plain[i]:
            pixels = (x[i] * 255.0).round().byte().permute(1, 2, 0).numpy()
            decoded = jpeg_round_trip(np.ascontiguousarray(pixels), quality, subsample)
            out[i] = (torch.from_numpy(decoded).permute(2, 0, 1).float() / 255.0)[window]
    return out


#: σ of the blur that makes a downscaled photo's chroma as soft as a camera's, px. In the finest
#: octave the photos that we train on have a tenth of luma's energy in chroma (median), those of
#: cameras at full size 0.01 to 0.03: a Bayer sensor and JPEG's 4:2:0 leave no more.
SOFT_CHROMA_RANGE_PX = (0.5, 2.5)


def gaussian_pair(
    clean: Tensor,
    generator: torch.Generator,
    max_sigma_8bit: float = 70.0,
    soft_chroma_probability: float = 0.0,
    coloured_probability: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Gaussian noise of a random strength, white or coloured, quantised and clipped to 8 bits.

    Args:
        clean: ``[N, 3, H, W]`` sRGB in [0, 1], on the generator's device, 8 pixels or more a side.
        generator: Source of all randomness.
        max_sigma_8bit: σ is uniform between 0 and this, in grey levels of 255. One time in
            five all channels get the same noise.
        soft_chroma_probability: How often the photo's chroma is first made as soft as a camera's.
        coloured_probability: How often the noise is not white, see :func:`coloured_noise`; its σ
            is then 0.05 to 0.6 times what it would be.

    Returns:
        (noisy, target), each shaped like ``clean``. The target is ``clean`` but for the chroma.
    """
    n = clean.shape[0]
    if soft_chroma_probability:
        used = _uniform(n, 0.0, 1.0, generator) < soft_chroma_probability
        luma, chroma = _luma_and_chroma(clean)
        sigmas_px = _uniform(n, *SOFT_CHROMA_RANGE_PX, generator)
        chroma = _gaussian_blur(chroma, sigmas_px, SOFT_CHROMA_RANGE_PX[1])
        clean = torch.where(used, quantise(_rgb(luma, chroma)), clean)
    sigma = _uniform(n, 0.0, max_sigma_8bit / 255.0, generator)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    noise = torch.where(_uniform(n, 0.0, 1.0, generator) < 0.2, noise[:, :1], noise)
    if coloured_probability:
        used = _uniform(n, 0.0, 1.0, generator) < coloured_probability
        coloured = _uniform(n, 0.05, 0.6, generator) * coloured_noise(clean, generator)
        noise = torch.where(used, coloured, noise)
    return quantise(clean + sigma * noise), clean


#: The largest σ of the blur that gives coloured noise its grain, px: along rows, and of chroma.
_GRAIN_PX, _CHROMA_GRAIN_PX = 1.3, 2.8
#: How often rows or columns are offset, as by a sensor's readout.
_BANDS = 0.15


def coloured_noise(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise as processing leaves it, of any make: for what no simulated camera does.

    Drawn for each sample: how much of the noise the channels have in common, each one's strength,
    the grain of luma (which may be coarser along columns than along rows, or sharpened) and that
    of chroma, which is as fine or coarser, how the strength depends on brightness, and now and
    then bands, where rows or columns have an offset of their own.

    Args:
        clean: ``[N, 3, H, W]`` sRGB in [0, 1], on the generator's device, 8 pixels or more a side.
        generator: Source of all randomness.

    Returns:
        Noise shaped like ``clean``, of mean 0 and a deviation of about 1 at middle brightness.
    """
    n, _, height, width = clean.shape

    def some(probability: float) -> Tensor:
        return (_uniform(n, 0.0, 1.0, generator) < probability).to(clean.dtype)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=clean.device)

    common = _uniform(n, 0.0, 1.0, generator)
    noise = (1.0 - common).sqrt() * normal(n, 3, height, width)
    noise = noise + common.sqrt() * normal(n, 1, height, width)
    bands = some(_BANDS) * _uniform(n, 0.1, 0.8, generator)
    rows = some(0.7)
    offsets = rows * normal(n, 1, height, 1) + (1.0 - rows) * normal(n, 1, 1, width)
    noise = (noise + bands * offsets) / (1.0 + bands**2).sqrt()
    luma, chroma = _luma_and_chroma(noise * torch.exp(0.25 * normal(n, 3, 1, 1)))

    stretch = torch.exp(_uniform(n, -0.3, 0.3, generator))
    grain = some(0.75) * _uniform(n, 0.3, _GRAIN_PX, generator)
    soft = _gaussian_blur(luma, grain, 1.35 * _GRAIN_PX, grain * stretch)
    sharpening = some(0.5) * _uniform(n, 0.0, 1.0, generator)
    soft = soft + sharpening * (soft - _gaussian_blur(soft, torch.ones_like(grain), 1.0))
    coarser = grain + some(0.7) * _uniform(n, 0.0, _CHROMA_GRAIN_PX - _GRAIN_PX, generator)
    blotches = _gaussian_blur(chroma, coarser, 1.35 * _CHROMA_GRAIN_PX, coarser * stretch)
    gain = _uniform(n, 0.3, 1.2, generator)
    noise = _rgb(_as_strong(soft, luma), gain * _as_strong(blotches, chroma))

    slope = _uniform(n, -0.7, 0.7, generator)
    return noise * (1.0 + slope * (2.0 * _luma_and_chroma(clean)[0] - 1.0))


def _as_strong(x: Tensor, original: Tensor) -> Tensor:
    """``x`` with each sample's deviation made that of ``original``."""
    return x * (original.std((1, 2, 3), keepdim=True) / x.std((1, 2, 3), keepdim=True))
