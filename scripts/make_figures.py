"""Makes the README's picture from the example photos and the shipped weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyvips

import invdn

ROOT = Path(__file__).parents[1]
SIDE_PX = 300
# (photo, top, left): parts with skin, cloth, text and dark areas, shown at 100%.
CROPS = (("astronaut", 40, 60), ("astronaut", 188, 90), ("coffee", 70, 60))


def main() -> None:
    """Noisy crops in the upper row, restored ones below."""
    denoiser = invdn.load("photo", device="cpu")
    rows: list[list[np.ndarray]] = [[], []]
    for name, top, left in CROPS:
        noisy = pyvips.Image.new_from_file(str(ROOT / f"examples/noisy/{name}.jpg")).numpy()
        window = (slice(top, top + SIDE_PX), slice(left, left + SIDE_PX))
        rows[0].append(noisy[window])
        rows[1].append(denoiser(noisy)[window])
    picture = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
    target = ROOT / "docs/images/before-after.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    pyvips.Image.new_from_array(picture, interpretation="srgb").jpegsave(
        str(target), Q=92, subsample_mode="off"
    )


if __name__ == "__main__":
    main()
