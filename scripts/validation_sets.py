"""The validation sets of the tables that the other scripts write: `polyu/`, `sidd/`, `bsd23/`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from invdn.data.pairs import Pair, load_pairs
from invdn.data.patches import Pixels, read_rgb8
from invdn.data.vivid import false_colours

CROP_PX = 256
"""Of each picture the square of this in the middle is looked at."""


@dataclass(frozen=True)
class ValidationSet:
    """A folder of pairs; or of clean pictures, and the noise that they are given."""

    folder: str
    sigma_8bit: float | None = None
    """Standard deviation of the added noise, in grey levels of 255."""
    grain_px: float | None = None
    """Blur of the added noise, see `invdn.data.pairs.grained_noise`; None for white noise."""
    false_colours: bool = False
    """Whether the clean pictures are given other, mostly saturated colours first."""
    enlarged: float | None = None
    """By what factor the pictures are enlarged once they have their noise."""

    def load(self, validation: Path) -> list[Pair]:
        """The crops, from the folder that holds all sets."""
        return load_pairs(
            validation / self.folder,
            crop_px=CROP_PX,
            sigma_8bit=self.sigma_8bit,
            grain_px=self.grain_px,
            enlarged=self.enlarged,
            read=_in_false_colours if self.false_colours else read_rgb8,
        )


def _in_false_colours(path: Path) -> Pixels:
    """A picture in colours that depend on its name alone."""
    return false_colours(read_rgb8(path), np.random.default_rng(zlib.crc32(path.name.encode())))


SETS = {
    "polyu": ValidationSet("polyu"),
    "sidd": ValidationSet("sidd"),
    "bsd23, σ 15": ValidationSet("bsd23", 15.0),
    "bsd23, σ 25": ValidationSet("bsd23", 25.0),
    "bsd23, σ 50": ValidationSet("bsd23", 50.0),
    "bsd23, σ 12, grain": ValidationSet("bsd23", 12.0, 0.7),
    "bsd23, σ 12, false colours": ValidationSet("bsd23", 12.0, false_colours=True),
    "bsd23, σ 20, enlarged": ValidationSet("bsd23", 20.0, enlarged=1.5),
}
"""By the title in the tables."""
