"""Photos in memory, and random patches of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from invdn import images

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]


def find_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted; hidden ones, as macOS' ``._x.png``, are passed over.

    Raises:
        FileNotFoundError: where the folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in images.SUFFIXES and not is_hidden(path, folder) and path.is_file()
    )
    if not paths:
        raise FileNotFoundError(f"{folder} holds no images ({', '.join(sorted(images.SUFFIXES))})")
    return paths


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file, or one of its folders below this one, is hidden: macOS' ``._x.png`` is."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def read_rgb8(path: Path) -> Pixels:
    """An image file as ``[H, W, 3]`` sRGB, 8 bits: upright, on white, through its profile.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        return images.as_rgb8(images.read(path)).pixels
    except images.PhotoError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def read_rgb8_cached(path: Path, cache: Path) -> Pixels:
    """As :func:`read_rgb8`, decoded only once: mapped from a file in ``cache``, not held in memory.

    The cache knows the picture by its path, size and time of change.
    """
    status = path.stat()
    identity = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    decoded = cache / f"{path.stem}-{digest}.npy"
    if not decoded.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Several processes may decode the same picture at once; each writes its own file.
        temporary = decoded.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.save(file, read_rgb8(path))
        temporary.replace(decoded)
    mapped: Pixels = np.load(decoded, mmap_mode="r")
    return mapped


def to_tensor(pixels: Sequence[Pixels]) -> Tensor:
    """Equal-sized ``[H, W, 3]`` patches of 0–255 → ``[N, 3, H, W]`` float32 in [0, 1]."""
    import torch  # only here: reading photos must not need it

    batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    return batch.float().div_(255.0)


def to_pixels(batch: Tensor) -> list[Pixels]:
    """The inverse of :func:`to_tensor`, rounded to 8 bits."""
    rounded: list[Pixels] = list(batch.permute(0, 2, 3, 1).mul(255.0).round().byte().numpy())
    return rounded


def random_window(
    shape: tuple[int, ...], size_px: int, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Rows and columns of a random square of an image of the given shape.

    Raises:
        ValueError: where the image is smaller than the square.
    """
    if min(shape[:2]) < size_px:
        raise ValueError(f"an image of {shape[1]}×{shape[0]} has no patch of {size_px}×{size_px}")
    top = int(rng.integers(shape[0] - size_px + 1))
    left = int(rng.integers(shape[1] - size_px + 1))
    return slice(top, top + size_px), slice(left, left + size_px)


def dihedral(pixels: Pixels, which: int) -> Pixels:
    """One of the eight rotations and reflections of a square, ``which`` in 0–7."""
    turned = np.rot90(pixels, which & 3)
    return turned[:, ::-1] if which & 4 else turned
