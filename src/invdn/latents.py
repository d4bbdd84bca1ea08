"""Random latents that do not depend on how an image is cut into tiles.

A network with a random latent ``ẑ ~ N(0, I)`` has to see the same ``ẑ`` at the same place of an
image whichever tile shows that place, or the tiles would not fit together. So ``ẑ`` is a function
of the position: every position has a generator of its own, seeded with a hash of the seed, the
number of the draw, the row and the column. Nothing is stored, nothing comes before anything else,
and the same seed gives the same values on any machine, up to the last bits of log and cos.

Sources: G. Steele et al., *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014
(SplitMix64, the generator and the hash); G. Box and M. Muller, *A Note on the Generation of
Random Normal Deviates*, Ann. Math. Stat. 29 (1958).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Bits = NDArray[np.uint64]

#: SplitMix64's step from one state to the next, modulo 2⁶⁴.
_STEP = np.uint64(0x9E3779B97F4A7C15)


def normal_field(
    channels: int, rows: slice, columns: slice, *, seed: int = 0, draw: int = 0
) -> NDArray[np.float32]:
    """A window of an endless field of independent standard normal values.

    Args:
        channels: values at each position; a field of more channels begins with the same ones.
        rows: ``start`` and ``stop`` in the field's own coordinates, from 0 to below 2³².
        columns: likewise.
        seed: of the whole field, any integer (of which 64 bits count).
        draw: number of the field among those of one seed, likewise.

    Returns:
        ``[channels, rows, columns]``. A value depends on seed, draw, channel, row and column, and
        not on the window that it is asked for with.
    """
    row = np.arange(rows.start, rows.stop, dtype=np.uint64)[:, None]
    column = np.arange(columns.start, columns.stop, dtype=np.uint64)[None, :]
    key = _hash(_hash(_as_bits(seed)) + _as_bits(draw) * _STEP)
    state = _hash(_hash((row << np.uint64(32)) | column) + key)  # [rows, columns]
    # Box–Muller makes two values of 64 random bits: one for an even channel, one for an odd one.
    pairs = np.arange(1, (channels + 1) // 2 + 1, dtype=np.uint64)[:, None, None]
    bits = _hash(state + pairs * _STEP)  # [pairs, rows, columns]
    radius = np.sqrt(-2.0 * np.log(_uniform(bits >> np.uint64(32))))
    angle = 2.0 * np.pi * _uniform(bits & np.uint64(0xFFFFFFFF))
    field = np.empty((2 * len(pairs), len(row), column.size), np.float32)
    field[0::2] = radius * np.cos(angle)
    field[1::2] = radius * np.sin(angle)
    return field[:channels]


def _hash(x: _Bits) -> _Bits:
    """SplitMix64's output function: each bit of the result depends on all bits of ``x``."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _as_bits(value: int) -> _Bits:
    # An array, since NumPy warns of the overflow of scalars, and overflow is wanted here.
    return np.array([value % 2**64], np.uint64)


def _uniform(bits: _Bits) -> NDArray[np.float64]:
    """32 bits → (0, 1), never 0."""
    return (bits.astype(np.float64) + 0.5) / 2.0**32
