"""Random latents: normal, independent, and the same whatever window they are asked for with."""

from __future__ import annotations

import math

import numpy as np
import pytest

from invdn.latents import _STEP, _hash, _uniform, normal_field

FIELD = normal_field(6, slice(0, 150), slice(0, 140), seed=3)


def test_windows_show_the_same_field() -> None:
    part = normal_field(6, slice(17, 60), slice(33, 140), seed=3)
    np.testing.assert_array_equal(part, FIELD[:, 17:60, 33:140])
    np.testing.assert_array_equal(normal_field(3, slice(0, 150), slice(0, 140), seed=3), FIELD[:3])
    assert part.dtype == np.float32


def test_values_are_the_same_for_ever() -> None:
    """A change of these would change everybody's results."""
    values = normal_field(3, slice(5, 7), slice(1000, 1001), seed=42, draw=1)[:, :, 0]
    expected = [[-0.226104, -1.508579], [0.48155, -0.339328], [0.183082, -1.853541]]
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_the_generator_is_splitmix64() -> None:
    """Its first outputs for the seed 1234567, as published with many implementations."""
    states = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * _STEP
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert _hash(states).tolist() == expected


def test_moments_are_those_of_the_standard_normal_distribution() -> None:
    error = 1 / np.sqrt(FIELD.size)  # one standard error of the mean
    x = FIELD.astype(float)
    assert abs(x.mean()) < 4 * error
    assert abs(x.var() - 1) < 4 * error * np.sqrt(2)
    assert abs((x**3).mean()) < 4 * error * np.sqrt(15)
    assert abs((x**4).mean() - 3) < 4 * error * np.sqrt(96)
    assert 3.5 < np.abs(x).max() < 6.8


def test_the_distribution_is_right_everywhere() -> None:
    """Kolmogorov–Smirnov against the normal distribution, at the 1‰ level."""
    erf = np.vectorize(math.erf)
    x = np.sort(FIELD.ravel())[::10].astype(float)
    ranks = (np.arange(FIELD.size)[::10] + 0.5) / FIELD.size
    assert np.abs(0.5 + 0.5 * erf(x / np.sqrt(2)) - ranks).max() < 1.95 / np.sqrt(FIELD.size)


NEIGHBOURS = {
    "row": {"rows": slice(1, 151)},
    "column": {"columns": slice(1, 141)},
    "far": {"rows": slice(2**20, 2**20 + 150)},
    "seed": {"seed": 4},
    "high bits of the seed": {"seed": 3 + 2**40},
    "draw": {"draw": 1},
}


def assert_unrelated(one: np.ndarray, two: np.ndarray) -> None:
    """Neither the values nor their sizes correlate, within 4.5 standard errors."""
    for f in (np.asarray, np.square):
        correlation = np.corrcoef(f(one).ravel(), f(two).ravel())[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(one.size)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_other_places_seeds_and_draws_are_unrelated(name: str) -> None:
    arguments = {"rows": slice(0, 150), "columns": slice(0, 140), "seed": 3, **NEIGHBOURS[name]}
    assert_unrelated(FIELD, normal_field(6, **arguments))  # type: ignore[arg-type]


def test_channels_are_unrelated() -> None:
    for distance in (1, 2, 3):
        assert_unrelated(FIELD[distance:], FIELD[:-distance])


def test_rows_and_columns_are_not_exchangeable() -> None:
    square = normal_field(1, slice(0, 100), slice(100, 200))
    assert_unrelated(square, normal_field(1, slice(100, 200), slice(0, 100)).swapaxes(1, 2))


def test_no_value_is_infinite() -> None:
    """Once in four thousand million the bits are all 0, of which there is no logarithm."""
    ends = _uniform(np.array([0, 2**32 - 1], np.uint64))
    assert 0 < ends[0] < ends[1] < 1
