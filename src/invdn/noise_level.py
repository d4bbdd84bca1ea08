"""How noisy a photo is, from the photo alone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

BLOCK_PX = 16
_BANDS = 6  # of brightness
_FLATTEST = 0.25


CLEAN_BELOW_8BIT = 0.6
"""A photo with less noise than this, in grey levels of 255, is taken for clean.

Measured with `noise_8bit` on real pairs: 28 DSLR photos (PolyU) had 0.80 to 3.4, the means of
many shots of the same scenes 0.00 to 0.53; 49 phone photos (SIDD) 3.5 to 30; 146 clean photos
with white noise of σ 1 on top 0.98 and more. So the threshold lies in the gap, and no noisy photo
of these is taken for clean. Of fifteen noisy pictures from the web (RNI15) one is, at 0.41: strong
compression has left nothing of its noise where the picture is smooth. A clean photo that is texture
all over measures more than it has, and is denoised as without the threshold.
"""

_SMALL_PX = 8
_SMOOTHEST = 0.1  # the smoothest tenth: what varies there is noise and not the scene
_MARGIN = 8  # grey levels from black and white, where clipping hides the noise
_MAX_BLOCKS = 250_000
_FEWEST_BLOCKS = 20


def estimate_sigma(image: npt.NDArray[Any]) -> float:
    """Standard deviation of the noise, averaged over brightness and channels.

    Cameras smooth their noise, so that little of it is left between neighbouring pixels, where
    the usual estimator (the median of the finest wavelet band) looks: on DSLR pictures that finds
    a quarter of the noise. This one looks at whole blocks of 16×16 instead: in each of six bands
    of brightness it takes the flattest quarter of the blocks and averages their variance about a
    plane. Texture makes it too large, noise coarser than a block too small.

    Args:
        image: ``[H, W, C]``, any scale; at least one block.

    Returns:
        σ in the image's own units.

    Raises:
        ValueError: the image is smaller than a block.
    """
    height, width, channels = image.shape
    if min(height, width) < BLOCK_PX:
        raise ValueError(f"an image of {width}×{height} is smaller than {BLOCK_PX}×{BLOCK_PX}")
    rows, columns = height // BLOCK_PX, width // BLOCK_PX
    x = image[: rows * BLOCK_PX, : columns * BLOCK_PX].astype(np.float32)
    # [rows, 16, columns, 16, C] → [blocks, C, 256]
    blocks = x.reshape(rows, BLOCK_PX, columns, BLOCK_PX, channels).transpose(0, 2, 4, 1, 3)
    blocks = blocks.reshape(rows * columns, channels, BLOCK_PX**2)

    means = blocks.mean(axis=2, keepdims=True)
    centred = blocks - means
    slopes = centred @ _slopes()
    energy = (centred**2).sum(2) - (slopes**2).sum(2)
    variances = np.maximum(energy, 0.0).mean(1) / (BLOCK_PX**2 - 3)

    usable = _not_clipped(blocks)
    brightness, variances = means.mean((1, 2))[usable], variances[usable]
    order = np.argsort(brightness, kind="stable")
    bands = np.array_split(order, min(_BANDS, max(1, len(order) // 8)))
    flattest = [np.sort(variances[b])[: max(1, round(_FLATTEST * len(b)))].mean() for b in bands]
    return float(np.sqrt(np.mean(flattest)))


def _slopes() -> npt.NDArray[np.float32]:
    """``[256, 2]``: orthonormal, across and down."""
    ramp = np.arange(BLOCK_PX) - (BLOCK_PX - 1) / 2
    ramp /= np.sqrt(BLOCK_PX * (ramp**2).sum())
    across, down = np.meshgrid(ramp, ramp)
    return np.stack((across.ravel(), down.ravel()), axis=1).astype(np.float32)


def _not_clipped(blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Blocks that hardly touch the ends of the range, where noise is cut off; all if few do."""
    low, high = float(blocks.min()), float(blocks.max())
    margin = 0.01 * (high - low)
    inside = ((blocks > low + margin) & (blocks < high - margin)).mean((1, 2)) > 0.9
    return inside if inside.sum() >= max(8, len(inside) // 8) else np.ones(len(blocks), np.bool_)


def noise_8bit(bands: Iterable[NDArray[Any]]) -> float:
    """What noise there is at least, as a standard deviation in grey levels of 255.

    For telling clean photos from noisy ones: where `estimate_sigma` takes texture for noise, this
    looks at fewer and smaller blocks, and takes some noise for none.

    bands: the photo, or bands of its rows: H×W or H×W×C (alpha as a last of 2 or 4 channels is
    left out); uint8, uint16 or float32 in [0, 1].

    Method: blocks of 8×8 pixels, a plane fitted to each channel; the standard deviation of what
    the plane leaves; the lower tenth of that among the blocks of each quarter of brightness (noise
    depends on it); the median over the quarters.
    """
    measured = [_block_statistics(band) for band in bands if min(band.shape[:2]) >= _SMALL_PX]
    if not measured:
        return float("inf")  # too small to tell: not clean
    deviation = np.concatenate([d for d, _ in measured], axis=1)
    brightness = np.concatenate([b for _, b in measured], axis=1)
    return float(np.mean([_of_channel(d, b) for d, b in zip(deviation, brightness, strict=True)]))


def _block_statistics(band: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The deviation from a plane and the brightness of each block, both [C, blocks]."""
    planes = band.reshape(*band.shape[:2], -1)
    channels = planes.shape[2] if planes.shape[2] % 2 else planes.shape[2] - 1
    rows, columns = (side // _SMALL_PX for side in planes.shape[:2])
    # Whole rows of blocks are left out where there are more than enough.
    step = max(1, rows * columns // _MAX_BLOCKS)
    scale = 1.0 if band.dtype.kind == "f" else float(np.iinfo(band.dtype).max)
    deviation, brightness = [], []
    for row in range(0, rows, step):
        strip = planes[row * _SMALL_PX : (row + 1) * _SMALL_PX, : columns * _SMALL_PX, :channels]
        values = strip.astype(np.float32) * np.float32(255 / scale)
        # [8, columns·8, C] → [C, columns, 64]
        squares = values.reshape(_SMALL_PX, columns, _SMALL_PX, channels).transpose(3, 1, 0, 2)
        blocks = squares.reshape(channels, columns, _SMALL_PX * _SMALL_PX)
        residual = blocks @ _WITHOUT_PLANE
        freedom = _SMALL_PX * _SMALL_PX - 3
        deviation.append(np.sqrt((residual**2).sum(axis=2) / freedom))
        brightness.append(blocks.mean(axis=2))
    return np.concatenate(deviation, axis=1), np.concatenate(brightness, axis=1)


def _of_channel(deviation: NDArray[np.float32], brightness: NDArray[np.float32]) -> float:
    usable = (brightness > _MARGIN) & (brightness < 255 - _MARGIN)
    if np.count_nonzero(usable) >= _FEWEST_BLOCKS:
        deviation, brightness = deviation[usable], brightness[usable]
    edges = np.quantile(brightness, [0, 0.25, 0.5, 0.75, 1])
    quarters = []
    for low, high in pairwise(edges):
        inside = (brightness >= low) & (brightness <= high)
        quarters.append(np.quantile(deviation[inside], _SMOOTHEST))
    return float(np.median(quarters))


def _without_plane() -> NDArray[np.float32]:
    """The matrix that takes from 64 pixels of a block the plane that fits them best."""
    y, x = np.mgrid[:_SMALL_PX, :_SMALL_PX]
    plane = np.stack([np.ones(_SMALL_PX * _SMALL_PX), x.ravel(), y.ravel()], axis=1)
    residual = np.eye(_SMALL_PX * _SMALL_PX) - plane @ np.linalg.pinv(plane)
    without: NDArray[np.float32] = residual.astype(np.float32)
    return without


_WITHOUT_PLANE = _without_plane()
