"""The validation sets of the tables that the other scripts write: `polyu/`, `sidd/`, `bsd23/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invdn.data.pairs import Pair, load_pairs

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

    def load(self, validation: Path) -> list[Pair]:
        """The crops, from the folder that holds all sets."""
        return load_pairs(
            validation / self.folder,
            crop_px=CROP_PX,
            sigma_8bit=self.sigma_8bit,
            grain_px=self.grain_px,
        )


SETS = {
    "polyu": ValidationSet("polyu"),
    "sidd": ValidationSet("sidd"),
    "bsd23, σ 15": ValidationSet("bsd23", 15.0),
    "bsd23, σ 25": ValidationSet("bsd23", 25.0),
    "bsd23, σ 50": ValidationSet("bsd23", 50.0),
    "bsd23, σ 12, grain": ValidationSet("bsd23", 12.0, 0.7),
}
"""By the title in the tables."""
