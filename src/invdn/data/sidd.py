"""SIDD, the Smartphone Image Denoising Dataset, as it is published.

Source: A. Abdelhamed et al., *A High-Quality Denoising Dataset for Smartphone Cameras*, CVPR 2018.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from invdn.data.pairs import Pair
from invdn.data.patches import is_hidden
from invdn.images import atomically

#: Where the validation blocks and the benchmark's are to be had.
URL = "https://www.eecs.yorku.ca/~kamel/sidd/benchmark.php"
BENCHMARK_BLOCKS = "BenchmarkNoisyBlocksSrgb"
#: Names of the arrays in the files of validation blocks.
_NOISY_BLOCKS, _GT_BLOCKS = "ValidationNoisyBlocksSrgb", "ValidationGtBlocksSrgb"


# --- training frames ------------------------------------------------------------------------------


def find_training_frames(folder: Path) -> list[tuple[Path, Path]]:
    """(noisy, ground truth) files of SIDD-Small or SIDD-Medium sRGB, sorted by scene.

    Args:
        folder: The published folder or one above it: somewhere below are folders, one a scene,
            with ``0001_NOISY_SRGB_010.PNG`` and ``0001_GT_SRGB_010.PNG``; SIDD-Medium has a
            second frame, ``_011``, in each.

    Raises:
        FileNotFoundError: where there is no such file, or one without its counterpart.
    """
    noisy = sorted(
        path
        for path in folder.rglob("*NOISY_SRGB_*")
        if path.suffix.lower() == ".png" and not is_hidden(path, folder)
    )
    if not noisy:
        raise FileNotFoundError(f"{folder} holds no SIDD scenes with …NOISY_SRGB_010.PNG")
    pairs = [(path, path.with_name(path.name.replace("NOISY", "GT"))) for path in noisy]
    for path, clean in pairs:
        if not clean.is_file():
            raise FileNotFoundError(f"{clean} is missing, the counterpart of {path.name}")
    return pairs


# --- validation blocks ----------------------------------------------------------------------------


def load_validation_blocks(noisy_mat: Path, gt_mat: Path) -> list[Pair]:
    """SIDD's 1280 sRGB validation blocks, 256² each: 32 from each of 40 scenes.

    Args:
        noisy_mat: ``ValidationNoisyBlocksSrgb.mat``, uint8 ``[scenes, blocks, H, W, 3]``.
        gt_mat: ``ValidationGtBlocksSrgb.mat``, the same with the ground truth.

    Returns:
        Pairs named ``01-01`` (scene and block, from 1), scene after scene.

    Raises:
        FileNotFoundError: where a file is missing.
        ValueError: where a file holds something else.
    """
    noisy = read_blocks(noisy_mat, _NOISY_BLOCKS)
    clean = read_blocks(gt_mat, _GT_BLOCKS)
    if noisy.shape != clean.shape:
        raise ValueError(f"{noisy_mat} and {gt_mat} differ in shape: {noisy.shape}, {clean.shape}")
    return [
        Pair(f"{scene + 1:02}-{block + 1:02}", noisy[scene, block], clean[scene, block])
        for scene, block in np.ndindex(*noisy.shape[:2])
    ]


def read_blocks(path: Path, key: str) -> npt.NDArray[np.uint8]:
    """The array of a file of blocks, uint8 ``[scenes, blocks, H, W, 3]``.

    Raises:
        FileNotFoundError: where the file is missing.
        ValueError: where it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    blocks = _read_mat(path, key)
    if blocks.dtype != np.uint8 or blocks.ndim != 5 or blocks.shape[-1] != 3:
        raise ValueError(
            f"{path}: {key} is {blocks.dtype} {list(blocks.shape)}, "
            "not uint8 [scenes, blocks, height, width, 3]"
        )
    return np.ascontiguousarray(blocks)


def _read_mat(path: Path, key: str) -> npt.NDArray[Any]:
    """One array of a MATLAB file, of either of its two formats."""
    # Outside what follows: neither a missing package nor a permission is the file's fault.
    import h5py
    import scipy.io

    with path.open("rb") as file:
        is_hdf5 = b"MATLAB 7.3" in file.read(128)
    try:
        if is_hdf5:
            with h5py.File(path, "r") as content:
                # HDF5 files of MATLAB have the axes in reverse.
                return np.asarray(content[key]).transpose()
        found: npt.NDArray[Any] = scipy.io.loadmat(path, variable_names=[key])[key]
        return found
    except MemoryError:
        raise
    except KeyError:
        raise ValueError(f"{path} holds no array {key}") from None
    except Exception as error:  # SciPy has errors of its own for damaged files
        raise ValueError(f"{path} is not a readable MATLAB file: {error}") from None


# --- the benchmark's submission -------------------------------------------------------------------


def write_submission(
    path: Path,
    denoised: npt.NDArray[np.uint8],
    seconds_a_megapixel: float,
    method: str,
    *,
    overwrite: bool = False,
) -> None:
    """Write ``SubmitSrgb.mat``, whole or not at all.

    Args:
        path: The file.
        denoised: ``[images, blocks, H, W, 3]``, 8 bits, in the order of the noisy blocks.
        seconds_a_megapixel: What the benchmark asks for beside the blocks.
        method: The method's name, for the benchmark's optional data.
        overwrite: Replace the file where it exists.

    Raises:
        FileExistsError: the file exists and is not to be replaced.
    """
    from scipy.io import savemat

    content = {
        "DenoisedBlocksSrgb": denoised,
        "TimeMPSrgb": float(seconds_a_megapixel),
        "OptionalData": {"MethodName": method},
    }
    with atomically(path, overwrite=overwrite) as file:
        savemat(file, content, do_compression=True)


def write_submission_csv(
    path: Path, denoised: npt.NDArray[np.uint8], *, overwrite: bool = False
) -> None:
    """Write the blocks as a table ``ID,BLOCK``, whole or not at all.

    A row a block, counted from 0, image after image: its bytes (``[H, W, 3]``, 8 bits) in base64.

    Args:
        path: The file.
        denoised: ``[images, blocks, H, W, 3]``, in the order of the noisy blocks.
        overwrite: Replace the file where it exists.

    Raises:
        FileExistsError: the file exists and is not to be replaced.
    """
    with atomically(path, overwrite=overwrite) as file:
        file.write(b"ID,BLOCK\n")
        for number, index in enumerate(np.ndindex(denoised.shape[:2])):
            file.write(b"%d,%s\n" % (number, base64.b64encode(denoised[index].tobytes())))
