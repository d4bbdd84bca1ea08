"""How noisy a photo is, from the photo alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK_PX = 16
_BANDS = 6  # of brightness
_FLATTEST = 0.25


def estimate_sigma(image: npt.NDArray[Any]) -> float:
    """Standard deviation of the noise, averaged over brightness and channels.

    Cameras smooth their noise, so that little of it is left between neighbouring pixels, where
    the usual estimator (the median of the finest wavelet band) looks: on DSLR pictures that finds
    a quarter of the noise. This one looks at whole blocks of 16×16 instead: in each of six bands
    of brightness it takes the flattest quarter of the blocks and averages their variance about a
    plane. Texture makes it too large, noise coarser than a block too small; and of blocks that
    differ by chance only, the flattest are too flat: white noise of 10 on a flat picture is found
    to be 9.7, and 9.4 where all channels have the same.

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
