"""Training batches: real pairs, white Gaussian noise and simulated cameras.

Batch ``step`` is a function of the seed and ``step`` alone, whatever was asked before. So a run
that is resumed sees what it would have seen, with any number of workers.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from invdn.config import DataConfig
from invdn.data.camera import MARGIN_PX, camera_pair, gaussian_pair
from invdn.data.pairs import Pair, load_pairs
from invdn.data.patches import (
    Pixels,
    dihedral,
    find_images,
    random_window,
    read_rgb8,
    to_tensor,
)


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """``batches[step]`` → (noisy, target), each ``[N, 3, crop, crop]`` float32 in [0, 1].

    All photos are read into memory (8 bits each; 3 bytes a pixel) when the first batch is asked
    for: so a process that only hands this on to its workers holds none, and never starts
    libvips, whose threads do not survive a fork.

    Raises:
        FileNotFoundError: where a folder is missing or empty; with the first batch, where a
            pair's counterpart is.
        ValueError: where the batch would be empty; with the first batch, where no photo is
            large enough for a crop.
    """

    def __init__(self, config: DataConfig, root: Path, seed: int) -> None:
        if not config.real_crops + config.gaussian_crops + config.camera_crops:
            raise ValueError("a batch needs at least one crop")
        if config.real_crops and not config.pairs:
            raise ValueError("data.real_crops needs data.pairs")
        if config.gaussian_crops + config.camera_crops and not config.clean:
            raise ValueError("data.gaussian_crops and data.camera_crops need data.clean")
        self.config = config
        self.root = root
        self.seed = seed
        for entry in config.pairs:
            find_images(root / entry.folder / "clean")
            find_images(root / entry.folder / "noisy")
        for folder in config.clean:
            find_images(root / folder)

    @cached_property
    def _pairs(self) -> list[list[Pair]]:
        """Pairs large enough for a crop, a list for each folder."""
        folders = []
        for entry in self.config.pairs:
            pairs = load_pairs(self.root / entry.folder)
            pairs = [p for p in pairs if min(p.clean.shape[:2]) >= self.config.crop_px]
            if not pairs:
                raise ValueError(f"no photo in {entry.folder} is larger than a crop")
            folders.append(pairs)
        return folders

    @cached_property
    def _photos(self) -> list[Pixels]:
        """Clean photos large enough for a crop and its margin."""
        side = self.config.crop_px + MARGIN_PX
        paths = [p for folder in self.config.clean for p in find_images(self.root / folder)]
        photos = [photo for photo in map(read_rgb8, paths) if min(photo.shape[:2]) >= side]
        if not photos:
            raise ValueError(f"no photo in data.clean is larger than {side}×{side}")
        return photos

    @cached_property
    def _photo_shares(self) -> npt.NDArray[np.float64]:
        """By area, so that each pixel of the collection is as likely as any other."""
        areas = np.array([p.shape[0] * p.shape[1] for p in self._photos], dtype=np.float64)
        shares: npt.NDArray[np.float64] = areas / areas.sum()
        return shares

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        config = self.config
        parts = []
        if config.real_crops:
            parts.append(self._real(config.real_crops, rng))
        if config.gaussian_crops:
            clean = self._clean(config.gaussian_crops, config.crop_px, rng)
            parts.append(gaussian_pair(clean, generator, config.gaussian_max_sigma_8bit))
        if config.camera_crops:
            clean = self._clean(config.camera_crops, config.crop_px + MARGIN_PX, rng)
            parts.append(camera_pair(clean, config.crop_px, generator, config.camera))
        noisy, target = zip(*parts, strict=True)
        return torch.cat(noisy), torch.cat(target)

    def _real(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        weights = np.array([entry.weight for entry in self.config.pairs])
        shares = weights / weights.sum()
        noisy, clean = [], []
        for _ in range(count):
            pairs = self._pairs[rng.choice(len(shares), p=shares)]
            pair = pairs[rng.integers(len(pairs))]
            window = random_window(pair.clean.shape, self.config.crop_px, rng)
            turn = int(rng.integers(8))
            noisy.append(dihedral(pair.noisy[window], turn))
            clean.append(dihedral(pair.clean[window], turn))
        return to_tensor(noisy), to_tensor(clean)

    def _clean(self, count: int, size_px: int, rng: np.random.Generator) -> Tensor:
        patches = []
        for _ in range(count):
            photo = self._photos[rng.choice(len(self._photos), p=self._photo_shares)]
            window = random_window(photo.shape, size_px, rng)
            patches.append(dihedral(photo[window], int(rng.integers(8))))
        return to_tensor(patches)
