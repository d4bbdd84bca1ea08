"""SIDD's published files: training frames and validation blocks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import pyvips
import scipy.io

from invdn.config import DataConfig, PairFolder
from invdn.data.batches import Batches
from invdn.data.patches import read_rgb8, read_rgb8_cached
from invdn.data.sidd import find_training_frames, load_validation_blocks, read_blocks


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyvips.Image.new_from_array(pixels).write_to_file(str(path))


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """Two scenes with two frames each; a noisy frame is its clean one plus 100."""
    for scene in (1, 2):
        for frame in ("010", "011"):
            clean = np.random.default_rng(scene).integers(0, 100, (24, 20, 3), dtype=np.uint8)
            folder = tmp_path / f"SIDD_Medium_Srgb/Data/{scene:04}_001_S6_00100_00060_3200_L"
            write(folder / f"{scene:04}_GT_SRGB_{frame}.PNG", clean)
            write(folder / f"{scene:04}_NOISY_SRGB_{frame}.PNG", clean + 100)
    return tmp_path


def test_frames_are_found_with_their_counterparts(medium: Path) -> None:
    frames = find_training_frames(medium)
    assert [noisy.name for noisy, _ in frames] == [
        f"000{scene}_NOISY_SRGB_{frame}.PNG" for scene in (1, 2) for frame in ("010", "011")
    ]
    assert all(clean.name == noisy.name.replace("NOISY", "GT") for noisy, clean in frames)
    for path in frames[0]:  # what macOS leaves on other file systems
        path.with_name(f"._{path.name}").write_bytes(b"resource fork")
    assert find_training_frames(medium) == frames
    frames[0][1].unlink()
    with pytest.raises(FileNotFoundError, match=r"0001_GT_SRGB_010\.PNG is missing"):
        find_training_frames(medium)
    with pytest.raises(FileNotFoundError, match="no SIDD scenes"):
        find_training_frames(medium / "nowhere")


@pytest.mark.parametrize("cached", [False, True])
def test_crops_come_from_the_frames(medium: Path, cached: bool) -> None:
    config = DataConfig(
        pairs=(PairFolder("SIDD_Medium_Srgb", layout="sidd"),),
        crop_px=8,
        real_crops=4,
        gaussian_crops=0,
        camera_crops=0,
    )
    batches = Batches(config, medium, seed=0, cache=medium / "cache" if cached else None)
    batches.fill_cache()
    assert len(list(medium.glob("cache/*.npy"))) == (8 if cached else 0)
    noisy, clean = batches[0]
    assert noisy.shape == (4, 3, 8, 8)
    assert np.allclose((noisy - clean).numpy(), 100 / 255, atol=1e-6)


def test_cache_is_mapped_and_follows_a_changed_file(tmp_path: Path) -> None:
    path, cache = tmp_path / "a.png", tmp_path / "cache"
    write(path, np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8))
    for changed in (0, 0, 1):
        os.utime(path, (changed, changed))
        pixels = read_rgb8_cached(path, cache)
        assert isinstance(pixels, np.memmap)
        assert np.array_equal(pixels, read_rgb8(path))
    assert len(list(cache.iterdir())) == 2


def save_blocks(path: Path, key: str, blocks: np.ndarray, hdf5: bool) -> None:
    if not hdf5:
        scipy.io.savemat(path, {key: blocks})
        return
    with h5py.File(path, "w", userblock_size=512) as file:
        file[key] = blocks.transpose()  # MATLAB's order of axes
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))


@pytest.mark.parametrize("hdf5", [False, True])
def test_validation_blocks_are_read_scene_by_scene(tmp_path: Path, hdf5: bool) -> None:
    rng = np.random.default_rng(0)
    noisy, clean = (rng.integers(0, 256, (2, 3, 8, 10, 3), dtype=np.uint8) for _ in range(2))
    save_blocks(tmp_path / "noisy.mat", "ValidationNoisyBlocksSrgb", noisy, hdf5)
    save_blocks(tmp_path / "gt.mat", "ValidationGtBlocksSrgb", clean, hdf5)
    pairs = load_validation_blocks(tmp_path / "noisy.mat", tmp_path / "gt.mat")
    assert [p.name for p in pairs] == ["01-01", "01-02", "01-03", "02-01", "02-02", "02-03"]
    assert np.array_equal(pairs[4].noisy, noisy[1, 1])
    assert np.array_equal(pairs[4].clean, clean[1, 1])


def test_a_missing_package_is_not_the_file_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_blocks(tmp_path / "a.mat", "key", np.zeros((1, 1, 4, 4, 3), np.uint8), False)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ImportError):
        read_blocks(tmp_path / "a.mat", "key")


def test_other_mat_files_are_refused(tmp_path: Path) -> None:
    gt = tmp_path / "gt.mat"
    save_blocks(gt, "ValidationGtBlocksSrgb", np.zeros((1, 1, 4, 4, 3)), False)
    with pytest.raises(ValueError, match="holds no array ValidationNoisyBlocksSrgb"):
        load_validation_blocks(gt, gt)
    noisy = tmp_path / "noisy.mat"
    blocks = np.zeros((1, 1, 4, 4, 3), np.uint8)
    save_blocks(noisy, "ValidationNoisyBlocksSrgb", blocks, False)
    with pytest.raises(ValueError, match="float64"):
        load_validation_blocks(noisy, gt)
    (tmp_path / "text.mat").write_text("not a MATLAB file")
    with pytest.raises(ValueError, match="not a readable MATLAB file"):
        load_validation_blocks(tmp_path / "text.mat", gt)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_validation_blocks(tmp_path / "nowhere.mat", gt)
