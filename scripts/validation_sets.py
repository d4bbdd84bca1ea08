"""The validation sets of the tables that the other scripts write: `polyu/`, `sidd/`, `bsd23/`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from invdn.data.pairs import MadeNoise, Pair, load_pairs
from invdn.data.patches import Pixels, read_rgb8
from invdn.data.vivid import false_colours

CROP_PX = 256
"""Of each picture the square of this in the middle is looked at."""


@dataclass(frozen=True)
class ScoredSet:
    """A folder of pairs; or of clean pictures, and the noise that they are given."""

    folder: str
    noise: MadeNoise | None = None
    false_colours: bool = False
    """Whether the clean pictures are given other, mostly saturated colours first."""

    def load(self, validation: Path) -> list[Pair]:
        """The crops, from the folder that holds all sets."""
        return load_pairs(
            validation / self.folder,
            crop_px=CROP_PX,
            noise=self.noise,
            read=_in_false_colours if self.false_colours else read_rgb8,
        )


def _in_false_colours(path: Path) -> Pixels:
    """A picture in colours that depend on its name alone."""
    return false_colours(read_rgb8(path), np.random.default_rng(zlib.crc32(path.name.encode())))


SETS = {
    "polyu": ScoredSet("polyu"),
    "sidd": ScoredSet("sidd"),
    "bsd23, σ 15": ScoredSet("bsd23", MadeNoise(15.0)),
    "bsd23, σ 25": ScoredSet("bsd23", MadeNoise(25.0)),
    "bsd23, σ 50": ScoredSet("bsd23", MadeNoise(50.0)),
    "bsd23, σ 12, grain": ScoredSet("bsd23", MadeNoise(12.0, grain_px=0.7)),
    "bsd23, σ 12, false colours": ScoredSet("bsd23", MadeNoise(12.0), false_colours=True),
    "bsd23, σ 20, enlarged": ScoredSet("bsd23", MadeNoise(20.0, enlarged=1.5)),
}
"""By the title in the tables."""
