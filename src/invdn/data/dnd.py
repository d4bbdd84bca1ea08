"""The Darmstadt Noise Dataset: crops of noisy photos, and the bundled submission.

The clean photos are kept by the benchmark's server.

Source: T. Plötz, S. Roth, *Benchmarking Denoising Algorithms with Real Photographs*, CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from invdn.images import atomically

URL = "https://noise.visinf.tu-darmstadt.de/downloads/"


class DatasetError(Exception):
    """A file is missing or malformed; the message is one line: which, and where to get it."""


Crop = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NoisyCrop:
    """One bounding box of one photo."""

    image: int
    """Counted from 0."""
    box: int
    """Counted from 0."""
    pixels: Crop
    """``[h, w, 3]`` sRGB, float32 in [0, 1]."""


def noisy_crops(folder: Path) -> Iterator[NoisyCrop]:
    """All crops, photo by photo.

    Reads ``info.mat`` and ``images_srgb/0001.mat`` …, which are HDF5 files written by MATLAB: so
    every array comes transposed, and boxes (top, left, bottom, right) are counted from 1 and
    include their ends.

    Raises:
        DatasetError: a file is missing or is not what it should be.
    """
    for image, boxes in enumerate(bounding_boxes(folder)):
        path = photo_path(folder, image)
        photo = _read_photo(path)
        for box, (top, left, bottom, right) in enumerate(boxes):
            pixels = photo[top - 1 : bottom, left - 1 : right]
            if pixels.shape[:2] != (bottom - top + 1, right - left + 1) or not pixels.size:
                raise DatasetError(f"{path}: box {box + 1} lies outside: get it again from {URL}")
            yield NoisyCrop(image, box, np.ascontiguousarray(pixels))


def bounding_boxes(folder: Path) -> list[npt.NDArray[np.intp]]:
    """For each photo ``[boxes, 4]``, from ``info.mat``.

    Raises:
        DatasetError: the file is missing or is not what it should be.
    """

    def read(file: Any) -> list[npt.NDArray[np.intp]]:
        info = file["info"]
        references = info["boundingboxes"][()].ravel()
        return [np.array(info[r]).T.round().astype(np.intp).reshape(-1, 4) for r in references]

    boxes: list[npt.NDArray[np.intp]] = _read(folder / "info.mat", read)
    return boxes


def _read_photo(path: Path) -> Crop:
    photo: Crop = _read(path, lambda file: np.array(file["InoisySRGB"], np.float32).T)
    if photo.ndim != 3 or photo.shape[2] != 3:
        raise DatasetError(f"{path}: InoisySRGB is {photo.shape}: get it again from {URL}")
    return photo


def _read(path: Path, what: Any) -> Any:
    import h5py

    if not path.is_file():
        raise DatasetError(f"{path} is missing: get it from {URL}")
    try:
        with h5py.File(path, "r") as file:
            return what(file)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0].strip("'\"")
        raise DatasetError(f"{path} cannot be read ({reason}): get it again from {URL}") from error


def photo_path(folder: Path, image: int) -> Path:
    """The file of a photo, counted from 0: ``images_srgb/0001.mat``."""
    return folder / "images_srgb" / f"{image + 1:04d}.mat"


def crop_path(folder: Path, image: int, box: int) -> Path:
    """Where :func:`write_crop` writes: ``0001_01.mat``."""
    return folder / f"{image + 1:04d}_{box + 1:02d}.mat"


def bundle_path(folder: Path, image: int) -> Path:
    """Where :func:`write_bundle` writes: ``bundled/0001.mat``."""
    return folder / "bundled" / f"{image + 1:04d}.mat"


def write_crop(folder: Path, crop: NoisyCrop, denoised: Crop, *, overwrite: bool = False) -> None:
    """Write one restored crop: ``[h, w, 3]`` float32 in [0, 1]."""
    from scipy.io import savemat

    path = crop_path(folder, crop.image, crop.box)
    with atomically(path, overwrite=overwrite) as file:
        savemat(file, {"Idenoised_crop": denoised})


def write_bundle(
    folder: Path, image: int, denoised: list[Crop], *, overwrite: bool = False
) -> None:
    """Write all restored crops of a photo in the form that the server takes.

    The file holds a cell array of the crops in their order; the folder ``bundled`` is what is
    submitted.
    """
    from scipy.io import savemat

    cells = np.empty(len(denoised), dtype=object)
    for i, crop in enumerate(denoised):
        cells[i] = crop
    path = bundle_path(folder, image)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"Idenoised": cells, "israw": False, "eval_version": "1.0"}
    with atomically(path, overwrite=overwrite) as file:
        savemat(file, content)
