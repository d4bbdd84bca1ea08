"""Measures of image quality."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def psnr(image: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio, ``10 · log10(255² / mean((image − reference)²))``, in dB.

    Args:
        image: Any shape, 8 bits.
        reference: Of the same shape, 8 bits.

    Returns:
        dB over all pixels and channels; infinity for equal images.

    Raises:
        ValueError: where the shapes differ.
    """
    if image.shape != reference.shape:
        raise ValueError(f"shapes differ: {image.shape} and {reference.shape}")
    difference = image.astype(np.float64) - reference.astype(np.float64)
    error = float(np.mean(difference**2))
    return math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)
