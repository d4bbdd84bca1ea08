"""Training batches: real pairs, white Gaussian noise and simulated cameras.

Batch ``index`` is a function of the seed and ``index`` alone, whatever was asked before. So a run
that is resumed sees what it would have seen, with any number of workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from invdn.config import DataConfig, PairFolder
from invdn.data.camera import MARGIN_PX, camera_pair, gaussian_pair
from invdn.data.enlarged import enlarge_some
from invdn.data.pairs import Pair, load_pair_files, load_pairs
from invdn.data.patches import (
    Pixels,
    dihedral,
    find_images,
    random_window,
    read_rgb8,
    read_rgb8_cached,
    to_tensor,
)
from invdn.data.sidd import find_training_frames
from invdn.data.vivid import vivid

log = logging.getLogger(__name__)


def read_pairs(
    root: Path, entry: PairFolder, read: Callable[[Path], Pixels] = read_rgb8
) -> list[Pair]:
    """The pairs of a folder of the settings, whatever its layout.

    Raises:
        FileNotFoundError: where the folder, a picture or its counterpart is missing.
        ValueError: where a picture cannot be read, or two of a pair differ in size.
    """
    folder = root / entry.folder
    if entry.layout == "sidd":
        return load_pair_files(find_training_frames(folder), read)
    return load_pairs(folder, read=read)


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """``batches[index]`` → (noisy, target), each ``[N, 3, crop, crop]`` float32 in [0, 1].

    All photos are read into memory (8 bits each; 3 bytes a pixel), or mapped from the cache, when
    the first batch is asked for: so a process that only hands this on to its workers holds none,
    and never starts libvips, whose threads do not survive a fork.

    Args:
        config: What to draw.
        root: Folder that the settings' folders are relative to.
        seed: Of everything that is drawn.
        per_step: Batches that make one training step, which decides on the stage of progressive
            crop sizes: batch ``index`` belongs to step ``index // per_step``.
        cache: Folder for decoded photos; None holds them in memory.

    Raises:
        FileNotFoundError: where a folder is missing or empty; with the first batch, where a
            pair's counterpart is.
        ValueError: where a batch would be empty; with the first batch, where no photo is large
            enough for a crop of some stage.
    """

    def __init__(
        self,
        config: DataConfig,
        root: Path,
        seed: int,
        *,
        per_step: int = 1,
        cache: Path | None = None,
    ) -> None:
        for stage in config.all_stages:
            if not stage.real_crops + stage.gaussian_crops + stage.camera_crops:
                raise ValueError("a batch needs at least one crop")
            if stage.real_crops and not stage.pairs:
                raise ValueError("data.real_crops needs data.pairs")
            if stage.gaussian_crops + stage.camera_crops and not stage.clean:
                raise ValueError("data.gaussian_crops and data.camera_crops need data.clean")
        self.config = config
        self.root = root
        self.seed = seed
        self.per_step = per_step
        self.cache = cache
        for entry in config.pairs:
            if entry.layout == "sidd":
                find_training_frames(root / entry.folder)
            else:
                find_images(root / entry.folder / "clean")
                find_images(root / entry.folder / "noisy")
        for folder in config.clean:
            find_images(root / folder)

    def fill_cache(self) -> None:
        """Decode all photos into the cache, so that no worker has to; without a cache, nothing."""
        if self.cache is None:
            return
        paths = [path for entry in self.config.pairs for path in self._paths(entry)]
        paths += [path for folder in self.config.clean for path in find_images(self.root / folder)]
        for number, path in enumerate(paths, 1):
            self.read(path)
            if number % 50 == 0 or number == len(paths):
                log.info("photos in the cache: %d of %d", number, len(paths))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        stage = self._stages[self.config.at(index // self.per_step)]
        config = stage.config
        parts = []
        if config.real_crops:
            parts.append(stage.real(config.real_crops, rng))
        if config.gaussian_crops:
            clean = stage.clean(config.gaussian_crops, config.crop_px, rng)
            pair = gaussian_pair(clean, generator, *config.gaussian)
            parts.append(enlarge_some(*pair, generator, config.enlarged))
        if config.camera_crops:
            clean = stage.clean(config.camera_crops, config.crop_px + MARGIN_PX, rng)
            pair = camera_pair(clean, config.crop_px, generator, config.camera)
            parts.append(enlarge_some(*pair, generator, config.enlarged))
        noisy, target = zip(*parts, strict=True)
        return torch.cat(noisy), torch.cat(target)

    @cached_property
    def _stages(self) -> dict[DataConfig, _Stage]:
        """The photos that each stage draws from, by its settings."""
        pairs = [read_pairs(self.root, entry, self.read) for entry in self.config.pairs]
        paths = [p for folder in self.config.clean for p in find_images(self.root / folder)]
        photos = [self.read(path) for path in paths]
        stages = {stage: _Stage.of(stage, pairs, photos) for stage in self.config.all_stages}
        worker = get_worker_info()
        if worker is None or worker.id == 0:
            for config, stage in stages.items():
                left_out = len(photos) - len(stage.photos)
                left_out += sum(map(len, pairs)) - sum(map(len, stage.pairs))
                if left_out:
                    log.warning(
                        "%d photos and pairs are too small for crops of %d pixels and left out",
                        left_out,
                        config.crop_px,
                    )
        return stages

    def _paths(self, entry: PairFolder) -> list[Path]:
        folder = self.root / entry.folder
        if entry.layout == "sidd":
            return [path for pair in find_training_frames(folder) for path in pair]
        return find_images(folder / "noisy") + find_images(folder / "clean")

    def read(self, path: Path) -> Pixels:
        """A photo, ``[H, W, 3]`` of 8 bits: mapped from the cache, if there is one."""
        return read_rgb8(path) if self.cache is None else read_rgb8_cached(path, self.cache)


@dataclass(frozen=True)
class _Stage:
    """What batches of one crop size are drawn from: pictures that are large enough."""

    config: DataConfig
    pairs: list[list[Pair]]
    """A list for each folder of pairs."""
    photos: list[Pixels]
    """Large enough for a crop, and for the simulation's margin where there is one."""
    photo_shares: npt.NDArray[np.float64]
    """By area, so that each pixel of the collection is as likely as any other."""

    @staticmethod
    def of(config: DataConfig, pairs: list[list[Pair]], photos: list[Pixels]) -> _Stage:
        """Keep what is large enough."""
        large_pairs = [
            [p for p in folder if min(p.clean.shape[:2]) >= config.crop_px] for folder in pairs
        ]
        for entry, folder in zip(config.pairs, large_pairs, strict=True):
            if config.real_crops and not folder:
                raise ValueError(
                    f"no photo in {entry.folder} is as large as a crop of {config.crop_px}"
                )
        side = config.crop_px + (MARGIN_PX if config.camera_crops else 0)
        large_photos = [photo for photo in photos if min(photo.shape[:2]) >= side]
        if config.gaussian_crops + config.camera_crops and not large_photos:
            raise ValueError(f"no photo in data.clean is as large as {side}×{side}")
        areas = np.array([p.shape[0] * p.shape[1] for p in large_photos], dtype=np.float64)
        return _Stage(config, large_pairs, large_photos, areas / max(1.0, areas.sum()))

    def real(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Crops of real pairs: (noisy, clean)."""
        weights = np.array([entry.weight for entry in self.config.pairs])
        shares = weights / weights.sum()
        noisy, clean = [], []
        for _ in range(count):
            pairs = self.pairs[rng.choice(len(shares), p=shares)]
            pair = pairs[rng.integers(len(pairs))]
            window = random_window(pair.clean.shape, self.config.crop_px, rng)
            turn = int(rng.integers(8))
            noisy.append(dihedral(pair.noisy[window], turn))
            clean.append(dihedral(pair.clean[window], turn))
        return to_tensor(noisy), to_tensor(clean)

    def clean(self, count: int, size_px: int, rng: np.random.Generator) -> Tensor:
        """Patches of clean photos, some of them in other colours."""
        patches = []
        for _ in range(count):
            photo = self.photos[rng.choice(len(self.photos), p=self.photo_shares)]
            window = random_window(photo.shape, size_px, rng)
            patch = dihedral(photo[window], int(rng.integers(8)))
            if self.config.vivid and rng.random() < self.config.vivid:
                patch = vivid(patch, rng)
            patches.append(patch)
        return to_tensor(patches)
