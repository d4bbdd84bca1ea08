"""The denoiser: types, shapes, strength 0, alpha, tiles, errors, threads."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import invdn
from invdn import images, restore
from invdn.denoiser import Denoiser, OptionError, shared_denoiser
from invdn.ensembles import TURNS, Ensemble, turn, turn_back
from invdn.runtime import Model, ModelError, ModelInfo

INTEGER_TYPES = [np.uint8, np.uint16]
SHAPES = [
    (1, 1, 3),
    (1, 7, 3),
    (9, 1, 3),
    (2, 2),
    (5, 5, 1),
    (33, 47, 2),
    (61, 40, 4),
    (203, 331, 3),
]


def random_image(shape: tuple[int, ...], dtype: type, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype is np.float32:
        return rng.random(shape, np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


class Fake:
    """A model that halves the image at strength 1, and records what it gets."""

    def __init__(self, tile: int = 128) -> None:
        self.info = ModelInfo(
            "fake", "1", "CC0-1.0", 0, 0, multiple=8, tile=tile, halo=16, sha256="", device="cpu",
            threads=1,
        )  # fmt: skip
        self.shapes: list[tuple[int, ...]] = []
        self.last: list[bool] = []

    def __call__(self, image: np.ndarray, strength: float, *, last: bool = False) -> np.ndarray:
        assert image.dtype == np.float32
        assert image.flags.c_contiguous
        self.shapes.append(image.shape)
        self.last.append(last)
        return image * np.float32(1 - strength / 2)


# --- the laws --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", INTEGER_TYPES)
def test_strength_0_returns_the_image_bit_for_bit(
    small_denoiser: Denoiser, shape: tuple[int, ...], dtype: type
) -> None:
    image = random_image(shape, dtype)
    restored = small_denoiser(image, strength=0)
    assert restored.dtype == image.dtype
    np.testing.assert_array_equal(restored, image)


def test_strength_0_returns_floats_nearly(small_denoiser: Denoiser) -> None:
    image = random_image((70, 201, 3), np.float32)
    np.testing.assert_allclose(small_denoiser(image, strength=0), image, atol=1e-5)


def test_strength_0_runs_the_network() -> None:
    model = Fake()
    Denoiser(model)(random_image((8, 8, 3), np.uint8), strength=0)
    assert model.shapes == [(8, 8, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [*INTEGER_TYPES, np.float32])
def test_shape_and_type_are_kept_and_the_input_is_not_changed(
    small_denoiser: Denoiser, shape: tuple[int, ...], dtype: type
) -> None:
    image = random_image(shape, dtype)
    image.flags.writeable = False
    original = image.copy()
    restored = small_denoiser(image)
    assert restored.shape == image.shape
    assert restored.dtype == image.dtype
    assert not np.array_equal(restored, image)
    np.testing.assert_array_equal(image, original)


@pytest.mark.parametrize("dtype", [*INTEGER_TYPES, np.float32])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_kept_bit_for_bit(small_denoiser: Denoiser, dtype: type, channels: int) -> None:
    image = random_image((90, 215, channels), dtype)
    restored = small_denoiser(image, strength=1.5)
    np.testing.assert_array_equal(restored[..., -1], image[..., -1])
    np.testing.assert_array_equal(restored[..., :-1], small_denoiser(image[..., :-1], strength=1.5))


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.5])
def test_tiles_do_not_show(small_denoiser: Denoiser, strength: float) -> None:
    image = random_image((330, 415, 3), np.uint8)
    untiled = Denoiser(small_denoiser._model, tile=512)(image, strength=strength)
    tiled = small_denoiser(image, strength=strength)
    difference = np.abs(tiled.astype(int) - untiled)
    assert difference.max() <= 1
    assert np.abs(untiled.astype(int) - image).max() > 20  # the network does something


def test_the_halo_is_needed(small_denoiser: Denoiser) -> None:
    """Without it the tiles do show: the test above can fail."""
    image = random_image((330, 415, 3), np.uint8)
    info = small_denoiser.info

    class WithoutHalo(Fake):
        def __init__(self) -> None:
            super().__init__()
            self.info = ModelInfo(**{**vars(info), "halo": 0})

        def __call__(self, *args: object, **kwargs: object) -> np.ndarray:
            return small_denoiser._model(*args, **kwargs)  # type: ignore[arg-type]

    untiled = Denoiser(small_denoiser._model, tile=512)(image)
    difference = np.abs(Denoiser(WithoutHalo())(image).astype(int) - untiled)
    assert difference.max() > 1


# --- ensembles and random latents ---------------------------------------------------------------


class Sampler(Fake):
    """A model with a random latent, of which it shows three channels and nothing else."""

    def __init__(self, tile: int = 128) -> None:
        super().__init__(tile)
        self.info = replace(self.info, name="sampler", latent_channels=5)

    def __call__(  # type: ignore[override]
        self, image: np.ndarray, strength: float, *, z: np.ndarray, last: bool = False
    ) -> np.ndarray:
        super().__call__(image, strength, last=last)
        assert z.dtype == np.float32
        assert z.flags.c_contiguous
        height, width = (side // self.info.multiple for side in image.shape[:2])
        assert z.shape == (1, 5, height, width)
        shown = z[0, :3].repeat(self.info.multiple, 1).repeat(self.info.multiple, 2)
        return 0.5 + 0.1 * shown.transpose(1, 2, 0)


SAMPLING = [(1, False), (3, False), (1, True), (2, True)]


@pytest.mark.parametrize(("samples", "ensemble"), SAMPLING)
def test_random_latents_do_not_depend_on_the_tiles(samples: int, ensemble: bool) -> None:
    image = random_image((330, 415, 3), np.float32)
    options = {"samples": samples, "ensemble": ensemble, "seed": 7}
    untiled = Denoiser(Sampler(tile=512))(image, **options)
    for tile in (128, 200, 256):
        tiled = Denoiser(Sampler(tile=tile))(image, **options)
        np.testing.assert_allclose(tiled, untiled, atol=1e-6)
    assert untiled.std() == pytest.approx(0.1 / np.sqrt(samples * (8 if ensemble else 1)), rel=0.1)
    assert not np.array_equal(untiled, Denoiser(Sampler())(image, **{**options, "seed": 8}))
    part = Denoiser(Sampler())(image[:100], **options)
    np.testing.assert_allclose(part, untiled[:100], atol=1e-6)


@pytest.mark.parametrize("turns", TURNS)
def test_a_part_and_a_preview_have_the_latents_of_the_whole(tmp_path: Path, turns: int) -> None:
    photo = images.Photo(random_image((600, 700, 3), np.uint8), "png")
    denoiser = Denoiser(Sampler()).using(turns=turns, seed=3)
    whole = denoiser(photo.pixels)
    rows, columns = slice(203, 300), slice(101, 399)
    part = restore.restore_crop(photo, rows, columns, denoiser)
    np.testing.assert_array_equal(part, whole[rows, columns])
    images.write(photo, tmp_path / "photo.png")
    settings = restore.Settings(preview=True)
    restore.restore_file(tmp_path / "photo.png", tmp_path / "look.png", denoiser, settings)
    after = images.read(tmp_path / "look.png").pixels[:, restore.PREVIEW_SIDE_PX + 8 :]
    top, left = (600 - restore.PREVIEW_SIDE_PX) // 2, (700 - restore.PREVIEW_SIDE_PX) // 2
    np.testing.assert_array_equal(after, whole[top:][: len(after), left:][:, : after.shape[1]])


@pytest.mark.parametrize("turns", TURNS)
def test_an_ensemble_averages_all_turned_restorations(small_denoiser: Denoiser, turns: int) -> None:
    image = random_image((40, 60, 3), np.float32)  # one tile, and no padding however it is turned
    results = [
        turn_back(
            small_denoiser(turn(image.transpose(2, 0, 1), s).transpose(1, 2, 0)).transpose(2, 0, 1),
            s,
        )
        for s in TURNS[turns]
    ]
    assert turns == 1 or np.abs(results[1] - results[0]).max() > 0.01
    averaged = small_denoiser(image, turns=turns)
    if turns == 8:
        np.testing.assert_array_equal(averaged, small_denoiser(image, ensemble=True))
    # Each is clipped here, the mean is clipped there.
    inside = (np.min(results, 0) > 0) & (np.max(results, 0) < 1)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(
        averaged.transpose(2, 0, 1)[inside], np.mean(results, 0)[inside], atol=1e-5
    )


@pytest.mark.parametrize("dtype", INTEGER_TYPES)
def test_strength_0_of_an_ensemble_returns_the_image(small_denoiser: Denoiser, dtype: type) -> None:
    image = random_image((61, 43, 4), dtype)
    np.testing.assert_array_equal(small_denoiser(image, strength=0, ensemble=True), image)


def test_the_tiles_of_an_ensemble_do_not_show(small_denoiser: Denoiser) -> None:
    image = random_image((170, 210, 3), np.uint8)
    untiled = Denoiser(small_denoiser._model, tile=256)(image, ensemble=True)
    tiled = small_denoiser(image, ensemble=True)
    assert np.abs(tiled.astype(int) - untiled).max() <= 1


def test_other_numbers_of_turns_are_refused(small_denoiser: Denoiser) -> None:
    with pytest.raises(OptionError, match="1, 2, 4 or 8, not 3"):
        small_denoiser(random_image((20, 30, 3), np.uint8), turns=3)


def test_ensembles_report_every_run_and_announce_the_last() -> None:
    model = Sampler()
    fractions: list[float] = []
    image = random_image((300, 200), np.uint8)
    Denoiser(model)(image, samples=2, ensemble=True, progress=fractions.append)
    assert fractions == sorted(set(fractions))
    assert fractions[-1] == 1
    assert len(fractions) == len(model.shapes)
    assert len(fractions) % 16 == 0
    assert model.last == [False] * (len(fractions) - 1) + [True]


def test_a_denoiser_may_be_told_once() -> None:
    image = random_image((20, 30, 3), np.uint8)
    denoiser = Denoiser(Sampler(), tile=104)
    told = denoiser.using(samples=4, ensemble=True, seed=2)
    np.testing.assert_array_equal(told(image), denoiser(image, samples=4, ensemble=True, seed=2))
    assert told._tile == 104
    result = np.empty_like(image)

    def write(rows: slice, columns: slice, pixels: np.ndarray) -> None:
        result[rows, columns] = pixels

    told.restore_regions(20, 30, lambda rows, columns: image[rows, columns], write)
    np.testing.assert_array_equal(result, told(image))


def test_each_option_overrides_only_itself() -> None:
    told = Denoiser(Sampler()).using(samples=3, turns=8, seed=2)
    image = random_image((20, 30, 3), np.uint8)
    other = {"samples": 3, "turns": 8, "seed": 2}
    for change in ({"samples": 1}, {"turns": 1}, {"turns": 2}, {"seed": 0}):
        expected = Denoiser(Sampler())(image, **(other | change))
        np.testing.assert_array_equal(told(image, **change), expected)
        np.testing.assert_array_equal(told.using(**change)(image), expected)
    assert told.using(ensemble=False)._ensemble == Ensemble(3, 1, 2)
    assert told.using(ensemble=False, turns=4)._ensemble == Ensemble(3, 4, 2)
    assert told.using(turns=1).using(ensemble=True)._ensemble == Ensemble(3, 8, 2)
    assert told.using()._ensemble == told._ensemble
    with pytest.raises(OptionError, match="not 0"):
        told(image, ensemble=False, turns=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"turns": 2.0}, r"turns must be 1, 2, 4 or 8, not 2\.0"),
        ({"turns": [2]}, "turns must be 1, 2, 4 or 8"),
        ({"samples": "2"}, "samples must be a whole number of at least 1, not '2'"),
        ({"samples": 1.5}, r"not 1\.5"),
        ({"seed": 0.5}, r"seed must be a whole number, not 0\.5"),
        ({"strength": "1"}, r"strength must be from 0 to 1\.5, not '1'"),
        ({"strength": None}, r"strength must be from 0 to 1\.5, not None"),
    ],
)
def test_options_of_another_type_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Denoiser(Sampler())(np.zeros((8, 8), np.uint8), **options)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    image = random_image((8, 8, 3), np.uint8)
    np.testing.assert_array_equal(
        Denoiser(Fake())(image, turns=np.int64(2), strength=np.float32(0.5)),
        Denoiser(Fake())(image, turns=2, strength=0.5),
    )


def test_what_a_model_does_not_know_is_refused() -> None:
    image = random_image((8, 8, 3), np.uint8)
    for strength in (0.0, 0.5, 1.5):
        with pytest.raises(OptionError, match="sampler has no strength") as error:
            Denoiser(Sampler())(image, strength=strength)
        assert "\n" not in str(error.value)
    with pytest.raises(OptionError, match="fake has no random latent"):
        Denoiser(Fake())(image, samples=2)
    for samples in (0, -1):
        with pytest.raises(OptionError, match="at least 1"):
            Denoiser(Sampler())(image, samples=samples)


# --- conversion ------------------------------------------------------------------------------


def test_grey_is_restored_as_rgb_and_averaged() -> None:
    class Tinting(Fake):
        def __call__(self, image: np.ndarray, strength: float, *, last: bool = False) -> np.ndarray:
            return image * np.array([0.5, 1.0, 0.6], np.float32)

    for shape in ((9, 12), (9, 12, 1)):
        grey = random_image(shape, np.float32)
        np.testing.assert_allclose(Denoiser(Tinting())(grey), grey * 0.7, atol=1e-6)


@pytest.mark.parametrize(("dtype", "value", "expected"), [
    (np.uint8, 101, 51),  # 50.5 rounds up
    (np.uint16, 40001, 20001),
    (np.uint8, 255, 128),
    (np.float32, 0.25, 0.125),
])  # fmt: skip
def test_values_are_rounded_half_up(dtype: type, value: float, expected: float) -> None:
    assert Denoiser(Fake())(np.full((3, 3, 3), value, dtype))[1, 1, 1] == expected


@pytest.mark.parametrize("gain", [-9.0, 9.0])
def test_overshoot_is_clipped(gain: float) -> None:
    class Loud(Fake):
        def __call__(self, image: np.ndarray, strength: float, *, last: bool = False) -> np.ndarray:
            return image * np.float32(gain)

    end = 1 if gain > 0 else 0
    for dtype, largest in ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1)):
        image = np.full((8, 8, 3), largest // 2 + 1, dtype)
        assert (Denoiser(Loud())(image) == end * largest).all()
    clear = np.full((8, 8, 4), 0.5, np.float32)
    clear[..., 3] = 7 * np.sign(gain)  # says nothing about the colours
    assert (Denoiser(Loud())(clear)[..., :3] == end).all()
    wide = np.full((8, 8, 3), 0.5, np.float32)
    wide[0, 0], wide[0, 1] = -0.25, 1.25
    restored = Denoiser(Loud())(wide)
    assert restored[4, 4, 0] == (1.25 if gain > 0 else -0.25)


def test_any_memory_layout(small_denoiser: Denoiser) -> None:
    image = random_image((60, 80, 3), np.uint16)
    expected = small_denoiser(image)
    np.testing.assert_array_equal(small_denoiser(np.asfortranarray(image)), expected)
    strided = np.zeros((60, 160, 6), np.uint16)[:, ::2, ::2]
    strided[...] = image
    np.testing.assert_array_equal(small_denoiser(strided), expected)
    swapped = small_denoiser(image.astype(">u2"))
    assert swapped.dtype == np.dtype(">u2")
    np.testing.assert_array_equal(swapped, expected)


def test_padding_reflects_at_the_bottom_and_at_the_right() -> None:
    seen = []

    class Spy(Fake):
        def __call__(self, image: np.ndarray, strength: float, *, last: bool = False) -> np.ndarray:
            seen.append(image[:, :, 0].copy())
            return image

    Denoiser(Spy())(np.array([[0.1, 0.2, 0.3]], np.float32))
    row = np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3, 0.2], np.float32)
    np.testing.assert_array_equal(seen[0], np.tile(row, (8, 1)))


# --- progress, regions, memory ---------------------------------------------------------------


def test_progress_rises_to_1_and_the_last_tile_is_announced() -> None:
    model = Fake()
    fractions: list[float] = []
    Denoiser(model)(random_image((300, 200), np.uint8), progress=fractions.append)
    assert fractions == sorted(set(fractions))
    assert fractions[-1] == 1
    assert len(fractions) == len(model.shapes) > 4
    assert model.last == [False] * (len(fractions) - 1) + [True]


def test_raising_in_progress_stops(small_denoiser: Denoiser) -> None:
    class Stop(Exception):
        pass

    calls = []

    def progress(fraction: float) -> None:
        calls.append(fraction)
        raise Stop

    image = random_image((300, 300, 3), np.uint8)
    with pytest.raises(Stop):
        small_denoiser(image, progress=progress)
    assert len(calls) == 1
    assert small_denoiser(image[:8, :8]).shape == (8, 8, 3)  # still usable


def test_regions_give_the_same_as_the_whole_image(small_denoiser: Denoiser) -> None:
    image = random_image((300, 290, 4), np.uint8)
    result = np.zeros_like(image)
    times = np.zeros(image.shape[:2], int)

    def write(rows: slice, columns: slice, pixels: np.ndarray) -> None:
        result[rows, columns] = pixels
        times[rows, columns] += 1

    small_denoiser.restore_regions(300, 290, lambda r, c: image[r, c], write)
    assert (times == 1).all()
    np.testing.assert_array_equal(result, small_denoiser(image))


def test_what_the_network_looks_at_lies_inside_the_image() -> None:
    denoiser = Denoiser(Fake())  # sees 16 pixels far, and takes multiples of 8
    assert denoiser.context(slice(50, 60), 200) == slice(32, 80)
    assert denoiser.context(slice(3, 9), 9) == slice(0, 9)
    with pytest.raises(ValueError, match="5 to 10 is not a part of 9 pixels"):
        denoiser.context(slice(5, 10), 9)


def test_memory_does_not_grow_with_the_image() -> None:
    """Beyond the output: a few tiles, not a float copy of the image."""

    def peak(height: int) -> int:
        image = np.zeros((height, 512, 3), np.uint8)
        tracemalloc.start()
        Denoiser(Fake(tile=256))(image)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most - image.nbytes

    small, large = peak(600), peak(6000)
    assert large < small + 1_000_000  # a float32 copy would be 37 MB


# --- threads ---------------------------------------------------------------------------------


def test_many_threads_may_share_a_denoiser(small_denoiser: Denoiser) -> None:
    images = [random_image((100 + 37 * i, 200, 3), np.uint8, seed=i) for i in range(4)]
    expected = [small_denoiser(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(small_denoiser, images * 4))
    for result, right in zip(results, expected * 4, strict=True):
        np.testing.assert_array_equal(result, right)


class Several(Fake):
    """Does two tiles at once, the later ones faster; records which threads it is called in."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.info = replace(self.info, at_once=2)
        self.threads: set[int] = set()
        self.sparing: set[bool] = set()
        self.fails_at = fails_at

    def __call__(  # type: ignore[override]
        self, image: np.ndarray, strength: float, *, last: bool, shared: bool, sparing: bool
    ) -> np.ndarray:
        assert shared
        self.sparing.add(sparing)
        self.threads.add(threading.get_ident())
        number = len(self.shapes)
        if number == self.fails_at:
            raise ModelError("no memory")
        restored = super().__call__(image, strength, last=last)
        time.sleep(0.02 if number % 2 == 0 else 0)
        return restored


@pytest.mark.parametrize("ensemble", [False, True])
def test_several_tiles_at_once_give_the_same(ensemble: bool) -> None:
    image = random_image((300, 400, 3), np.uint8)
    model, fractions = Several(), []
    here = threading.get_ident()

    def progress(fraction: float) -> None:
        assert threading.get_ident() == here
        fractions.append(fraction)

    found = Denoiser(model)(image, ensemble=ensemble, progress=progress)
    np.testing.assert_array_equal(found, Denoiser(Fake())(image, ensemble=ensemble))
    assert 1 <= len(model.threads - {here}) <= 2
    assert here not in model.threads
    assert model.last.count(True) == 1
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


@pytest.mark.parametrize(("size", "sparing"), [((300, 400), False), ((600, 1600), True)])
def test_memory_is_worth_more_than_time_where_there_are_many_tiles(
    size: tuple[int, int], sparing: bool
) -> None:
    model = Several()
    Denoiser(model)(random_image((*size, 3), np.uint8))
    assert (len(model.shapes) >= 32) == sparing
    assert model.sparing == {sparing}


def test_what_is_done_of_tiles_at_once_is_told_before_they_are_finished() -> None:
    told, calls = threading.Event(), Counter[int]()
    fractions: list[float] = []

    class Waits(Several):
        def __call__(self, *args: Any, **options: Any) -> np.ndarray:  # type: ignore[override]
            calls[threading.get_ident()] += 1
            assert calls[threading.get_ident()] == 1 or told.wait(5)
            return super().__call__(*args, **options)

    def progress(fraction: float) -> None:
        fractions.append(fraction)
        told.set()

    model = Waits()
    Denoiser(model)(random_image((100, 200, 3), np.uint8), turns=2, progress=progress)
    assert len(model.shapes) == 4  # two tiles
    assert fractions[0] in (1 / 4, 2 / 4)


def test_tiles_that_nobody_waits_for_any_more_are_given_up() -> None:
    class Slow(Several):
        def __call__(self, *args: Any, **options: Any) -> np.ndarray:  # type: ignore[override]
            time.sleep(0.03)
            return super().__call__(*args, **options)

    def stop(fraction: float) -> None:
        raise KeyboardInterrupt

    model = Slow()
    with pytest.raises(KeyboardInterrupt):
        Denoiser(model)(random_image((300, 400, 3), np.uint8), progress=stop, ensemble=True)
    assert len(model.shapes) < 2 * 8


def test_errors_of_several_tiles_at_once_reach_the_caller() -> None:
    image = random_image((300, 400, 3), np.uint8)
    with pytest.raises(ModelError, match="no memory"):
        Denoiser(Several(fails_at=3))(image)

    def stop(fraction: float) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        Denoiser(Several())(image, progress=stop, ensemble=True)
    assert threading.active_count() == before


def test_regions_are_read_and_written_in_order_and_in_one_thread() -> None:
    here = threading.get_ident()
    image = random_image((300, 400, 3), np.uint8)
    seen: list[tuple[str, int, int]] = []

    def read(rows: slice, columns: slice) -> np.ndarray:
        assert threading.get_ident() == here
        seen.append(("read", rows.start, columns.start))
        return image[rows, columns]

    def write(rows: slice, columns: slice, pixels: np.ndarray) -> None:
        assert threading.get_ident() == here
        seen.append(("write", rows.start, columns.start))

    Denoiser(Several()).restore_regions(300, 400, read, write)
    for what in ("read", "write"):
        places = [place for kind, *place in seen if kind == what]
        assert places == sorted(places)
    # A little is read ahead, not the whole image.
    assert [kind for kind, *_ in seen[:4]] == ["read", "read", "read", "write"]


def test_two_threads_give_what_one_gives(small_model_path: Path) -> None:
    image = random_image((300, 400, 3), np.uint8)
    one, two = (invdn.load(small_model_path, device="cpu", threads=n) for n in (1, 2))
    assert (one.info.at_once, two.info.at_once) == (1, 2)
    difference = one(image).astype(int) - two(image)
    assert np.abs(difference).max() <= 1
    np.testing.assert_array_equal(two(image, strength=0), image)


def test_the_shared_denoiser_is_loaded_once(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    monkeypatch.setattr("invdn.denoiser._shared", {})
    monkeypatch.setattr(
        "invdn.denoiser.load_denoiser", lambda model: loads.append(model) or Denoiser(Fake())
    )
    barrier = threading.Barrier(8)

    def use(_: int) -> Denoiser:
        barrier.wait()
        return shared_denoiser(small_model_path)

    with ThreadPoolExecutor(8) as pool:
        denoisers = list(pool.map(use, range(8)))
    assert len(loads) == len(set(map(id, denoisers))) == 1


def test_a_file_that_is_called_as_a_model_is_not_that_model() -> None:
    image = random_image((16, 16, 3), np.uint8)
    invdn.denoise(image, model="fast")
    with pytest.raises(ModelError, match="there is no model file fast"):
        invdn.denoise(image, model=Path("fast"))


def test_a_denoiser_reaches_another_process(
    small_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "here.onnx"
    path.write_bytes(small_model_path.read_bytes())
    monkeypatch.chdir(tmp_path)
    loaded = invdn.load("here.onnx", device="cpu", threads=2)
    denoiser = Denoiser(loaded._model, tile=104).using(turns=2, seed=3)
    pickled = pickle.dumps(denoiser)
    monkeypatch.chdir("/")  # the other process may work anywhere
    image = random_image((120, 90, 3), np.uint8)
    again = pickle.loads(pickled)
    assert again.info == denoiser.info
    assert (again._tile, again._ensemble) == (104, Ensemble(1, 2, 3))
    np.testing.assert_array_equal(again(image), denoiser(image))
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).info.sha256)"
    found = subprocess.run(
        [sys.executable, "-c", program], input=pickled, capture_output=True, check=True
    )
    assert found.stdout.decode().strip() == denoiser.info.sha256
    path.write_bytes(path.read_bytes() + b"\x32\x01?")  # with another description
    assert invdn.load(path, device="cpu", threads=1).info.name == "small"
    with pytest.raises(ModelError, match="another model than the one that was pickled"):
        pickle.loads(pickled)


def test_a_shipped_model_is_pickled_by_its_name() -> None:
    denoiser = invdn.load("fast", device="cpu", threads=1)
    assert pickle.loads(pickle.dumps(denoiser)).info == denoiser.info


def test_what_has_no_file_is_not_pickled(small_denoiser: Denoiser) -> None:
    session = small_denoiser._model._session  # type: ignore[attr-defined]
    denoiser = Denoiser(Model(session, None, small_denoiser.info))
    with pytest.raises(TypeError, match="small cannot be pickled: it was not loaded from a file"):
        pickle.dumps(denoiser)


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(5, np.uint8), "not 1-dimensional"),
        (np.zeros((1, 4, 4, 3), np.uint8), "not 4-dimensional"),
        (np.zeros((4, 4, 5), np.uint8), "3 .RGB. or 4 .RGB, alpha. channels, not 5"),
        (np.zeros((3, 40, 50), np.uint8), "channels come last"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros((4, 4, 3), np.float64), "uint8, uint16, or float32 in .0, 1., not float64"),
        (np.zeros((4, 4, 3), np.float64), r"not float64: image\.astype\(np\.float32\)"),
        (np.zeros((4, 4, 3), np.int32), "not int32$"),
        (np.zeros((4, 4, 3), bool), "not bool"),
        (np.full((4, 4, 3), np.nan, np.float32), "NaN"),
        (np.full((4, 4), np.inf, np.float32), "infinity"),
        (np.full((4, 4, 3), 200, np.float32), "from 200 to 200"),
        (np.full((4, 4, 3), -1, np.float32), "from -1 to -1"),
    ],
)
def test_wrong_images_are_refused(image: np.ndarray, message: str) -> None:
    model = Fake()
    with pytest.raises(ValueError, match=message):
        Denoiser(model)(image)
    assert not model.shapes


def test_a_wrong_pixel_at_the_very_end_is_known_before_the_work() -> None:
    image = np.zeros((300, 400, 3), np.float32)
    image[-1, -1, 0] = np.nan
    model = Fake()
    with pytest.raises(ValueError, match="NaN"):
        Denoiser(model)(image)
    assert not model.shapes


@pytest.mark.parametrize(
    ("region", "message"),
    [(np.zeros((8, 8, 3)), "not float64"), (np.full((8, 8, 3), 2, np.float32), "from 2 to 2")],
)
def test_wrong_regions_are_refused(region: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Denoiser(Fake()).restore_regions(8, 8, lambda *_: region, lambda *_: None)


@pytest.mark.parametrize("strength", [-0.1, 1.51, float("nan"), float("inf")])
def test_wrong_strengths_are_refused(strength: float) -> None:
    with pytest.raises(ValueError, match=r"strength must be from 0 to 1\.5"):
        Denoiser(Fake())(np.zeros((8, 8), np.uint8), strength=strength)


def test_a_tile_too_small_for_the_halo_is_refused() -> None:
    with pytest.raises(ValueError, match="too small for halo 16"):
        Denoiser(Fake(), tile=32)


def test_alpha_may_hold_anything() -> None:
    image = random_image((8, 8, 4), np.float32)
    image[..., 3] = np.nan
    assert np.isnan(Denoiser(Fake())(image)[..., 3]).all()


# --- the package -----------------------------------------------------------------------------


def test_the_everyday_interface(small_model_path: Path) -> None:
    image = random_image((30, 20, 3), np.uint8)
    denoiser = invdn.load(small_model_path, device="cpu", threads=1)
    assert isinstance(denoiser, invdn.Denoiser)
    assert isinstance(denoiser.info, invdn.ModelInfo)
    assert denoiser.info.name == "small"
    expected = denoiser(image, strength=0.7)
    np.testing.assert_array_equal(invdn.denoise(image, 0.7, small_model_path), expected)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = invdn.nothing


def test_importing_is_light() -> None:
    program = (
        "import sys, invdn; assert invdn.__version__\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'pyvips', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "invdn.Denoiser\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'pyvips'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
