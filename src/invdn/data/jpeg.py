"""JPEG compression in memory, for the simulation of camera files."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def jpeg_round_trip(
    pixels: npt.NDArray[np.uint8], quality: int, subsample_chroma: bool
) -> npt.NDArray[np.uint8]:
    """Compress and decompress.

    Args:
        pixels: ``[H, W, 3]`` sRGB.
        quality: 1 to 100, on the scale of the Independent JPEG Group.
        subsample_chroma: 4:2:0 instead of 4:4:4.

    Returns:
        ``[H, W, 3]`` sRGB, with the artefacts.
    """
    import pyvips

    image = pyvips.Image.new_from_array(pixels, interpretation="srgb")
    mode = "on" if subsample_chroma else "off"
    data = image.jpegsave_buffer(Q=quality, subsample_mode=mode)
    decoded: npt.NDArray[np.uint8] = pyvips.Image.jpegload_buffer(data).numpy()
    return decoded
