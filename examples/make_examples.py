"""Makes the two noisy photos of this folder from photos that scikit-image ships.

Run with the `train` extra and scikit-image installed: ``python examples/make_examples.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyvips
import skimage.data
import torch

from invdn.data.camera import MARGIN_PX, CameraNoiseConfig, camera_pair
from invdn.data.patches import to_tensor

FOLDER = Path(__file__).parent


def make(name: str, pixels: np.ndarray, shot: float, seed: int) -> None:
    """Photograph ``[S, S, 3]`` 8-bit pixels with a simulated camera, with noise and without."""
    config = CameraNoiseConfig(
        plain_probability=1.0,
        plain_shot_range=(shot, shot),
        exposure_range=(0.8, 0.8),
        lens_blur_range_px=(0.4, 0.4),
    )
    generator = torch.Generator().manual_seed(seed)
    crop_px = pixels.shape[0] - MARGIN_PX
    for kind, image in zip(
        ("noisy", "clean"),
        camera_pair(to_tensor([pixels]), crop_px, generator, config),
        strict=True,
    ):
        array = (image[0] * 255.0).round().byte().permute(1, 2, 0).numpy()
        folder = FOLDER / kind
        folder.mkdir(exist_ok=True)
        pyvips.Image.new_from_array(np.ascontiguousarray(array), interpretation="srgb").jpegsave(
            str(folder / f"{name}.jpg"), Q=95, subsample_mode="off", optimize_coding=True
        )


if __name__ == "__main__":
    make("astronaut", skimage.data.astronaut(), shot=4e-3, seed=1)
    make("coffee", skimage.data.coffee()[:, 100:500], shot=5e-2, seed=2)
