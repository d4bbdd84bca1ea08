"""Pairs of a noisy photo and its clean counterpart, in folders ``noisy/`` and ``clean/``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from invdn.data.patches import Pixels, find_images, read_rgb8


@dataclass(frozen=True)
class Pair:
    """One noisy photo and its clean counterpart, both ``[H, W, 3]`` sRGB, 8 bits."""

    name: str
    noisy: Pixels
    clean: Pixels


def load_pairs(
    folder: Path,
    *,
    crop_px: int | None = None,
    sigma_8bit: float | None = None,
    seed: int = 0,
    read: Callable[[Path], Pixels] = read_rgb8,
) -> list[Pair]:
    """Read pairs.

    Args:
        folder: Holds ``noisy/`` and ``clean/`` with the same file names; or, where
            ``sigma_8bit`` is given, clean images only (in ``clean/`` or directly).
        crop_px: Keep the centre square of this side (smaller images stay whole).
        sigma_8bit: Make the noisy ones: white Gaussian noise of this σ in grey levels,
            rounded and clipped to 8 bits.
        seed: Of that noise, together with the image's position in the folder.
        read: Reads an image file.

    Raises:
        FileNotFoundError: where a folder or a counterpart is missing.
        ValueError: where the two pictures of a pair differ in size.
    """
    clean_folder = folder / "clean" if (folder / "clean").is_dir() else folder
    pairs = []
    paths = find_images(clean_folder)
    for index, (path, name) in enumerate(zip(paths, _names(paths, clean_folder), strict=True)):
        clean = _centre(read(path), crop_px)
        if sigma_8bit is None:
            noisy_path = folder / "noisy" / path.relative_to(clean_folder)
            if not noisy_path.is_file():
                raise FileNotFoundError(f"{noisy_path} is missing: each clean image needs one")
            noisy = _centre(read(noisy_path), crop_px)
            _check_sizes(noisy_path, noisy, path, clean)
        else:
            rng = np.random.default_rng((seed, index))
            noise = sigma_8bit * rng.standard_normal(clean.shape)
            noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
        pairs.append(Pair(name, noisy, clean))
    return pairs


def _names(paths: Sequence[Path], folder: Path) -> list[str]:
    """Below the folder and without suffixes, but for those that tell two apart."""
    whole = [path.relative_to(folder) for path in paths]
    short = Counter(path.with_suffix("") for path in whole)
    found = (path if short[path.with_suffix("")] > 1 else path.with_suffix("") for path in whole)
    return [path.as_posix() for path in found]


def load_pair_files(
    files: Iterable[tuple[Path, Path]], read: Callable[[Path], Pixels] = read_rgb8
) -> list[Pair]:
    """Read pairs of (noisy, clean) files.

    Raises:
        ValueError: where the two pictures of a pair differ in size.
    """
    pairs = []
    for noisy_path, path in files:
        noisy, clean = read(noisy_path), read(path)
        _check_sizes(noisy_path, noisy, path, clean)
        pairs.append(Pair(noisy_path.stem, noisy, clean))
    return pairs


def _check_sizes(noisy_path: Path, noisy: Pixels, path: Path, clean: Pixels) -> None:
    if noisy.shape != clean.shape:
        raise ValueError(f"{noisy_path} and {path} differ in size")


def _centre(pixels: Pixels, crop_px: int | None) -> Pixels:
    if crop_px is None:
        return pixels
    height, width = (min(side, crop_px) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
