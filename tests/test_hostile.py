"""Hostile and damaged files: a reason for each, no traceback, no hang, and the others done."""

from __future__ import annotations

import io
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import hostile
import invdn
import samples
from invdn import images, metadata
from invdn.denoiser import Denoiser
from invdn.images import Photo, PhotoError, colour, extras
from invdn.runtime import ModelInfo

FAKE_PATH = str(Path(__file__).with_name("fake_worker.py"))
THOROUGH = bool(os.environ.get("INVDN_THOROUGH"))
"""Whether to take many more files, and the real network instead of none."""
COMMAND = f"""
import invdn.process
if not {THOROUGH}:
    invdn.process.PROGRAM = "import runpy; runpy.run_path({FAKE_PATH!r}, run_name='__main__')"
from invdn.cli import main
main()
"""
UNHURRIED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def denoise(folder: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "denoise", str(folder), "-o", str(output), "--json"],
        env={**os.environ, "PYTHONPATH": str(Path(invdn.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )


@pytest.mark.parametrize("kind", ["crafted", "mutated"])
def test_a_folder_of_hostile_files(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "seeds").mkdir()
    files = (
        hostile.crafted().items()
        if kind == "crafted"
        else hostile.corpus(tmp_path / "seeds", 500 if THOROUGH else 60)
    )
    neighbours = set()
    for number, (name, content) in enumerate(files):
        (tmp_path / "in" / name).write_bytes(content)
        if number % 5 == 0:
            neighbours.add(f"{number:04d}-valid.png")
            path = tmp_path / "in" / f"{number:04d}-valid.png"
            images.write(Photo(samples.scene(), "png"), path)
    result = denoise(tmp_path / "in", tmp_path / "out")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr + result.stdout
    assert "unexpected error" not in result.stderr
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert neighbours <= written
    assert not [name for name in written if name.endswith(".tmp")]
    results = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(results) == len(list((tmp_path / "in").iterdir()))
    assert max(one["seconds"] for one in results) < 30
    assert all(one["reason"] for one in results if one["status"] != "done")
    print(
        Counter(one["status"] for one in results), f"slowest {max(r['seconds'] for r in results)} s"
    )
    print(*sorted({re.sub("[0-9]+", "N", r["reason"]) for r in results if r["reason"]}), sep="\n")


def test_each_crafted_file_has_its_reason(tmp_path: Path) -> None:
    reasons = {}
    for name, content in hostile.crafted().items():
        (tmp_path / name).write_bytes(content)
        start = time.monotonic()
        try:
            images.read(tmp_path / name)
        except PhotoError as error:
            reasons[name] = str(error)
        assert time.monotonic() - start < 20, name
    expected = {
        "empty.jpg": "the file is empty",
        "zeros.png": "not a PNG file",
        "page.jpg": "not a JPEG file",
        "bomb.png": "more than the limit",
        "absurd.bmp": "more than the limit",
        "absurd.ppm": "more than the limit",
        "absurd.tif": "more than the limit",
        "digits.ppm": "damaged",
        "deep.tif": "20000 pages",
        "movie.heic": "a film",
        "boxes.avif": "damaged",
        "nikon.nef": "camera raw",
        "fuji.raf": "camera raw",
    }
    for name, reason in expected.items():
        assert reason in reasons[name]
    # What is only strange around a sound picture does not cost the picture.
    assert not {"icc.jpg", "icc-lies.jpg", "exif.jpg", "exif-loop.jpg"} & set(reasons)


# --- fuzzing -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return hostile.seeds(tmp_path_factory.mktemp("seeds"))


@UNHURRIED
@given(
    suffix=st.sampled_from(["jpg", "png", "tif", "tiff", "webp", "bmp", "ppm"]),
    seed=st.integers(0, 2**32),
)
def test_reading_gives_a_photo_or_a_reason(
    tmp_path: Path, seeds: dict[str, bytes], suffix: str, seed: int
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(hostile.mutated(seeds[suffix], random.Random(seed)))
    photo = reason = None
    try:
        photo = images.read(path, max_pixels=1_000_000)
    except PhotoError as error:
        reason = str(error)
    if photo is None:
        assert reason
        assert "\n" not in reason
        return
    assert photo.pixels.ndim in (2, 3)
    assert photo.pixels.dtype in (np.uint8, np.uint16, np.float32)
    for after in ("tif", "jpg"):
        output = tmp_path / f"out.{after}"
        images.write(photo, output, overwrite=True)
        assert images.read(output).pixels.shape[0] in photo.pixels.shape[:2]


@UNHURRIED
@given(block=st.binary(max_size=400), page=st.integers(0, 5))
@example(block=b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0", page=3)
@example(block=b"MM\0*\0\0\0\x08\xff\xff", page=0)
@example(block=b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + b"\xff" * 60, page=2)
def test_metadata_of_any_bytes(block: bytes, page: int) -> None:
    big = b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"
    heads = (b"", b"II*\0", b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0", big)
    for data in (head + block for head in heads):
        metadata.without_thumbnail(data)
        metadata.upright(data, swap_sides=True)
        metadata.pixel_sides(data)
        metadata.from_tiff(data, page)
        metadata.iptc_from_tiff(data, page)
        metadata.joined(data, data, data, data)
        metadata.is_dng(data)
        metadata.xmp_from_tiff(data, page)
    for start in (b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xfe\0\x09comment"):
        kept = extras.of_jpeg(io.BytesIO(start + block)), extras.of_png(io.BytesIO(start + block))
        assert sum(map(len, kept[0] + kept[1])) <= 3 * len(start + block) + 40
    metadata.iptc_for("tiff", b"Photoshop 3.0\0" + block)
    metadata.iptc_for("jpeg", block)


@UNHURRIED
@given(
    place=st.integers(0, 479),
    value=st.binary(min_size=1, max_size=8),
    channels=st.sampled_from([1, 3]),
)
def test_profiles_of_any_bytes(place: int, value: bytes, channels: int) -> None:
    icc = bytearray(samples.libvips_profile("p3"))
    icc[place : place + len(value)] = value
    profile = colour.profile_of(bytes(icc), channels)
    if profile is not None:
        pixels = samples.scene(8, 8, channels)
        before = colour.shown(pixels, profile)
        assert np.isfinite(before).all()
        np.testing.assert_array_equal(colour.changed(pixels, profile, before, before), pixels)


class _Identity:
    """A network that changes nothing, with tiles as small as they can be."""

    info = ModelInfo("identity", "1", "CC0", 0, 0, 4, 64, 8, "", "cpu", 1)

    def __call__(self, image: np.ndarray, strength: float, *, last: bool = False) -> np.ndarray:
        return image


@UNHURRIED
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    channels=st.sampled_from([0, 1, 2, 3, 4]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    seed=st.integers(0, 99),
)
def test_the_tiler_gives_back_what_it_gets(
    height: int, width: int, channels: int, dtype: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.random((height, width, channels) if channels else (height, width), np.float32)
    if dtype != "float32":
        pixels = (pixels * np.iinfo(dtype).max).round().astype(dtype)
    restored = Denoiser(_Identity())(pixels)
    if dtype == "float32":
        np.testing.assert_allclose(restored, pixels, atol=1e-6)
    else:
        np.testing.assert_array_equal(restored, pixels)
