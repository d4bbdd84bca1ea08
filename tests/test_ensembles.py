"""Ensembles: the eight symmetries, and who is a member."""

from __future__ import annotations

import numpy as np
import pytest

from invdn.ensembles import SYMMETRIES, TURNS, Ensemble, turn, turn_back


def test_turning_back_undoes_turning() -> None:
    image = np.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    for symmetry in range(SYMMETRIES):
        turned = turn(image, symmetry)
        assert turned.shape == ((2, 3, 6, 4) if symmetry >= 4 else (2, 3, 4, 6))
        np.testing.assert_array_equal(turn_back(turned, symmetry), image)


def test_symmetries_are_the_eight_of_a_square() -> None:
    square = np.arange(9).reshape(3, 3)
    turned = {turn(square, symmetry).tobytes() for symmetry in range(SYMMETRIES)}
    rotations = [np.rot90(square, k) for k in range(4)]
    assert turned == {x.tobytes() for r in rotations for x in (r, np.fliplr(r))}
    assert turn(square, 0) is square


@pytest.mark.parametrize("turns", TURNS)
def test_fewer_turns_are_the_rotations(turns: int) -> None:
    square = np.arange(9).reshape(3, 3)
    turned = {turn(square, symmetry).tobytes() for symmetry in TURNS[turns]}
    rotations = [np.rot90(square, k).tobytes() for k in range(4)]
    assert len(turned) == turns
    if turns < SYMMETRIES:
        assert turned <= set(rotations)
    assert TURNS[turns][0] == 0


@pytest.mark.parametrize(
    ("samples", "turns", "size"), [(1, 1, 1), (16, 1, 16), (1, 2, 2), (1, 8, 8), (3, 4, 12)]
)
def test_each_member_has_a_latent_of_its_own(samples: int, turns: int, size: int) -> None:
    members = list(Ensemble(samples, turns))
    assert len(members) == len(Ensemble(samples, turns)) == size
    assert [member.draw for member in members] == list(range(size))
    symmetries = [member.symmetry for member in members]
    assert sorted(symmetries) == sorted(TURNS[turns] * samples)
