"""Pairs of a noisy photo and its clean counterpart, in folders ``noisy/`` and ``clean/``."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from invdn.data.patches import Pixels, find_images, read_rgb8

log = logging.getLogger(__name__)

MOST_ENLARGED = 8.0
"""The largest factor by which :class:`MadeNoise` enlarges."""


@dataclass(frozen=True)
class Pair:
    """One noisy photo and its clean counterpart, both ``[H, W, 3]`` sRGB, 8 bits."""

    name: str
    noisy: Pixels
    clean: Pixels


@dataclass(frozen=True)
class MadeNoise:
    """Gaussian noise that clean pictures are given where they have no noisy counterparts.

    Raises ValueError where a number is out of its range.
    """

    sigma_8bit: float
    """Its standard deviation, ≥ 0, in grey levels; the sum is rounded and clipped to 8 bits."""
    grain_px: float | None = None
    """Blur, ≥ 0, of noise that is not white, see :func:`grained_noise`; None for white noise."""
    enlarged: float | None = None
    """By what factor, 1 to :data:`MOST_ENLARGED`, both pictures are enlarged afterwards, by
    bicubic interpolation; None for not at all."""
    seed: int = 0
    """Together with the picture's position in its folder."""

    def __post_init__(self) -> None:
        for what, value in (("sigma", self.sigma_8bit), ("grain", self.grain_px)):
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{what} must be a number from 0 on, not {value:g}")
        if self.enlarged is not None and not 1 <= self.enlarged <= MOST_ENLARGED:
            raise ValueError(f"enlarged must be from 1 to {MOST_ENLARGED:g}, not {self.enlarged:g}")

    def __str__(self) -> str:
        """For titles: "white noise σ 25, enlarged 1.5 times"."""
        kind = "white noise" if self.grain_px is None else f"noise of {self.grain_px:g} px grain,"
        larger = "" if self.enlarged is None else f", enlarged {self.enlarged:g} times"
        return f"{kind} σ {self.sigma_8bit:g}{larger}"

    def on(self, clean: Pixels, position: int, crop_px: int | None) -> tuple[Pixels, Pixels]:
        """The noisy and the clean picture, the centre square of each; see :func:`load_pairs`."""
        clean = _centre(clean, crop_px)
        rng = np.random.default_rng((self.seed, position))
        noise = (
            rng.standard_normal(clean.shape)
            if self.grain_px is None
            else grained_noise(clean.shape[:2], self.grain_px, rng)
        )
        noisy = np.clip(np.rint(clean + self.sigma_8bit * noise), 0, 255).astype(np.uint8)
        if self.enlarged is None:
            return noisy, clean
        noisy, clean = (_centre(_enlarged(x, self.enlarged), crop_px) for x in (noisy, clean))
        return noisy, clean


def load_pairs(
    folder: Path,
    *,
    crop_px: int | None = None,
    noise: MadeNoise | None = None,
    read: Callable[[Path], Pixels] = read_rgb8,
    notice: Callable[[str], object] = log.warning,
) -> list[Pair]:
    """Read pairs.

    Args:
        folder: Holds ``noisy/`` and ``clean/`` with the same file names; or, where there is
            ``noise``, clean images only (in ``clean/`` or directly).
        crop_px: Keep the centre square of this side (smaller images stay whole).
        noise: What the clean images are given.
        read: Reads an image file.
        notice: Is told, in one line, how many noisy pictures have no clean one and are left out.

    Raises:
        FileNotFoundError: where a folder or a counterpart is missing.
        ValueError: where the two pictures of a pair differ in size.
    """
    clean_folder, noisy_folder = folder / "clean", folder / "noisy"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not clean_folder.is_dir():
        if noise is None:
            raise FileNotFoundError(
                f"{folder} has no folder clean/: pairs lie in noisy/ and clean/ (clean pictures"
                " alone need a sigma)"
            )
        clean_folder = folder
    pairs = []
    paths = find_images(clean_folder)
    if noise is None and noisy_folder.is_dir():
        noisy_paths = {path.relative_to(noisy_folder) for path in find_images(noisy_folder)}
        if alone := len(noisy_paths - {path.relative_to(clean_folder) for path in paths}):
            notice(f"{noisy_folder}: {alone} without a counterpart in clean/ left out")
    for index, (path, name) in enumerate(zip(paths, _names(paths, clean_folder), strict=True)):
        clean = read(path)
        if noise is not None:
            noisy, clean = noise.on(clean, index, crop_px)
        else:
            noisy_path = noisy_folder / path.relative_to(clean_folder)
            if not noisy_path.is_file():
                raise FileNotFoundError(f"{noisy_path} is missing: each clean image needs one")
            noisy = read(noisy_path)
            _check_sizes(noisy_path, noisy, path, clean)  # the middles of two sizes do not match
            noisy, clean = _centre(noisy, crop_px), _centre(clean, crop_px)
        pairs.append(Pair(name, noisy, clean))
    return pairs


def grained_noise(
    size: tuple[int, int], grain_px: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Gaussian noise with what processed photos' noise has and white noise has not.

    Half of its variance is common to all three channels, and it is blurred by a Gaussian of σ
    ``grain_px`` pixels (0 for none), which at 0.7 px correlates neighbours by 0.6.

    Args:
        size: Height and width, pixels.
        grain_px: ≥ 0.
        rng: Source of randomness.

    Returns:
        ``[H, W, 3]``, of mean 0 and variance 1.
    """
    margin = math.ceil(4 * grain_px)
    height, width = (side + 2 * margin for side in size)
    common = rng.standard_normal((height, width, 1))
    noise = (common + rng.standard_normal((height, width, 3))) / math.sqrt(2)
    if not margin:
        return noise
    taps = np.exp(-0.5 * (np.arange(-margin, margin + 1) / grain_px) ** 2)
    taps /= np.sqrt((taps**2).sum())  # keeps the variance
    for axis in (0, 1):
        shifted = np.lib.stride_tricks.sliding_window_view(noise, len(taps), axis=axis)
        noise = shifted @ taps
    return noise


def _names(paths: Sequence[Path], folder: Path) -> list[str]:
    """Below the folder and without suffixes, but for those that tell two apart."""
    whole = [path.relative_to(folder) for path in paths]
    # A whole name counts too: a.png.png without its suffix is another's a.png.
    taken = Counter([*whole, *(path.with_suffix("") for path in whole)])
    found = (path if taken[path.with_suffix("")] > 1 else path.with_suffix("") for path in whole)
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
        sizes = (f"{x.shape[1]}×{x.shape[0]}" for x in (noisy, clean))
        raise ValueError(f"{noisy_path} and {path} differ in size: {', '.join(sizes)}")


def _enlarged(pixels: Pixels, factor: float) -> Pixels:
    import pyvips

    image = pyvips.Image.new_from_array(pixels, interpretation="srgb")
    larger: Pixels = image.resize(factor, kernel="cubic").numpy()
    return larger


def _centre(pixels: Pixels, crop_px: int | None) -> Pixels:
    if crop_px is None:
        return pixels
    height, width = (min(side, crop_px) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
