"""Prints what the noise of real pairs is like, beside that of the simulation that training uses.

    python scripts/noise_statistics.py data --sets val/polyu train/pairs/sidd \
        --clean train/clean --patches 512

Two Markdown tables. The first: noise over whole sets. The second: the spread of each property over
patches, and how many of a set's patches lie outside of the range of simulated patches that are as
noisy: the simulation's blind spots.

Noise is noisy − clean, in grey levels of 255; each patch's own mean is taken off.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from invdn.data.camera import MARGIN_PX, CameraNoiseConfig, simulated_pair
from invdn.data.pairs import load_pair_files
from invdn.data.patches import find_images, read_rgb8

PATCH_PX = 128
PATCHES_A_PHOTO = 32
LAGS_PX = (1, 2, 4, 8)
BRIGHTNESS_EDGES = (0, 40, 100, 170, 256)
BLOCK_PX = 8
#: Simulated patches whose strength is within this factor count as equally noisy.
STRENGTH_FACTOR = 1.5
FEWEST_PEERS = 16

Pixels = NDArray[np.uint8]
Residual = NDArray[np.float64]


@dataclass(frozen=True)
class PatchNoise:
    """Second moments of one patch's noise, grey levels squared."""

    moments: Residual
    """``[3, 3]``: between channels."""
    lags: Residual
    """Mean product with itself so many pixels further, across and down: one for each lag."""
    blocks: float
    """Variance of the means of 8×8 blocks: what is coarser than they are."""
    chroma: float
    """Variance of R − Y and B − Y, mean."""
    luma: float
    """Variance of Y, the mean of the channels."""
    band_energy: Residual
    """Sum of squares by brightness of the clean patch."""
    band_count: Residual
    """Pixels by brightness."""
    bias: float
    """Mean of noisy − clean."""


def patch_noise(noisy: Pixels, clean: Pixels) -> PatchNoise:
    """Measure one patch, ``[H, W, 3]``."""
    residual = noisy.astype(np.float64) - clean
    bias = float(residual.mean())
    residual -= residual.mean((0, 1))
    flat = residual.reshape(-1, 3)
    lags = [
        (
            (residual[:, lag:] * residual[:, :-lag]).mean()
            + (residual[lag:] * residual[:-lag]).mean()
        )
        / 2
        for lag in LAGS_PX
    ]
    side = residual.shape[0] // BLOCK_PX
    # [rows, 8, columns, 8, 3] → [rows, columns, 3]
    blocks = residual.reshape(side, BLOCK_PX, side, BLOCK_PX, 3).mean((1, 3))
    luma = residual.mean(2, keepdims=True)
    bands = np.digitize(clean.mean(2), BRIGHTNESS_EDGES[1:-1]).ravel()
    count = len(BRIGHTNESS_EDGES) - 1
    return PatchNoise(
        moments=flat.T @ flat / len(flat),
        lags=np.array(lags),
        blocks=float((blocks**2).mean()),
        chroma=float(((residual - luma)[..., ::2] ** 2).mean()),
        luma=float((luma**2).mean()),
        band_energy=np.bincount(bands, (residual**2).mean(2).ravel(), count),
        band_count=np.bincount(bands, minlength=count).astype(np.float64),
        bias=bias,
    )


def properties(noise: PatchNoise) -> dict[str, float]:
    """The numbers that sets are compared by."""
    variance = max(1e-9, float(np.trace(noise.moments)) / 3)
    deviation = np.sqrt(np.maximum(noise.moments.diagonal(), 1e-9))
    correlation = noise.moments / np.outer(deviation, deviation)
    return {
        "std": float(np.sqrt(variance)),
        **{f"lag {lag}": float(v / variance) for lag, v in zip(LAGS_PX, noise.lags, strict=True)},
        "coarse": float(BLOCK_PX * np.sqrt(noise.blocks / variance)),
        "R–G": float(correlation[0, 1]),
        "R–B": float(correlation[0, 2]),
        "G–B": float(correlation[1, 2]),
        "chroma/luma": float(np.sqrt(noise.chroma / max(1e-9, noise.luma))),
    }


def pooled(patches: list[PatchNoise]) -> PatchNoise:
    """All patches as one: the strong ones count more, as they do in a whole set's residual."""
    return PatchNoise(
        moments=np.mean([p.moments for p in patches], axis=0),
        lags=np.mean([p.lags for p in patches], axis=0),
        blocks=float(np.mean([p.blocks for p in patches])),
        chroma=float(np.mean([p.chroma for p in patches])),
        luma=float(np.mean([p.luma for p in patches])),
        band_energy=np.sum([p.band_energy for p in patches], axis=0),
        band_count=np.sum([p.band_count for p in patches], axis=0),
        bias=float(np.mean([p.bias for p in patches])),
    )


def real_patches(folder: Path) -> list[PatchNoise]:
    """Patches spread over each photo of ``folder/noisy`` and ``folder/clean``, one at a time."""
    result = []
    for clean_path in find_images(folder / "clean"):
        noisy_path = folder / "noisy" / clean_path.relative_to(folder / "clean")
        (pair,) = load_pair_files([(noisy_path, clean_path)])
        height, width = pair.clean.shape[:2]
        places = [
            (top, left)
            for top in range(0, height - PATCH_PX + 1, PATCH_PX)
            for left in range(0, width - PATCH_PX + 1, PATCH_PX)
        ]
        step = max(1, -(-len(places) // PATCHES_A_PHOTO))
        # Evenly along the rows, one after the other; odd, so that an even number of columns does
        # not bring the same ones each time.
        for top, left in places[:: step | 1]:
            window = (slice(top, top + PATCH_PX), slice(left, left + PATCH_PX))
            result.append(patch_noise(pair.noisy[window], pair.clean[window]))
    return result


def simulated_patches(
    folder: Path, count: int, config: CameraNoiseConfig, seed: int = 0
) -> Iterator[PatchNoise]:
    """Patches of clean photos, each with a camera of its own; the photos take turns."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    paths = find_images(folder)
    size = PATCH_PX + MARGIN_PX
    made = 0
    for index in rng.permutation(len(paths) * -(-count // len(paths))) % len(paths):
        photo = read_rgb8(paths[int(index)])
        if min(photo.shape[:2]) < size:
            continue
        yield patch_noise(*simulated_pair(photo, PATCH_PX, rng, generator, config))
        made += 1
        if made == count:
            return


def whole_table(sets: dict[str, list[PatchNoise]]) -> str:
    """One row a set, from all its patches together."""
    edges = [f"{low}–{high}" for low, high in pairwise(BRIGHTNESS_EDGES)]
    head = [
        "",
        "std R, G, B",
        "lag " + ", ".join(map(str, LAGS_PX)),
        "RG, RB, GB",
        "std at " + ", ".join(edges),
        "coarse",
        "chroma/luma",
        "bias",
    ]
    rows = []
    for name, patches in sets.items():
        p = pooled(patches)
        known = properties(p)
        by_band = np.sqrt(p.band_energy / np.maximum(p.band_count, 1))
        rows.append(
            [
                name,
                " ".join(f"{d:.1f}" for d in np.sqrt(p.moments.diagonal())),
                " ".join(f"{known[f'lag {lag}']:.2f}" for lag in LAGS_PX),
                " ".join(f"{known[c]:.2f}" for c in ("R–G", "R–B", "G–B")),
                " ".join(
                    f"{d:.1f}" if n >= 1e-3 * p.band_count.sum() else "–"
                    for d, n in zip(by_band, p.band_count, strict=True)
                ),
                f"{known['coarse']:.2f}",
                f"{known['chroma/luma']:.2f}",
                f"{p.bias:+.1f}",
            ]
        )
    return markdown(head, rows)


def spread_table(sets: dict[str, list[PatchNoise]], simulated: str) -> str:
    """Median [5%, 95%] of each property over patches, and what the simulation does not reach."""
    measured = {name: [properties(p) for p in patches] for name, patches in sets.items()}
    peers = measured[simulated]
    names = list(peers[0])
    rows = []
    for name, patches in measured.items():
        cells = []
        for key in names:
            low, middle, high = np.quantile([p[key] for p in patches], [0.05, 0.5, 0.95])
            digits = 1 if key == "std" else 2
            cell = f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
            if name != simulated:
                below, above = outside(patches, peers, key)
                cell += f" ↓{100 * below:.0f} ↑{100 * above:.0f}"
            cells.append(cell)
        rows.append([name, *cells])
    return markdown(["", *names], rows)


def outside(
    patches: list[dict[str, float]], peers: list[dict[str, float]], key: str
) -> tuple[float, float]:
    """Shares of patches below and above the 5–95% range of simulated ones that are as noisy."""
    strengths = np.array([p["std"] for p in peers])
    values = np.array([p[key] for p in peers])
    below = above = 0
    for patch in patches:
        if key == "std":
            near = np.ones(len(peers), bool)
        else:
            distance = np.abs(np.log(strengths / patch["std"]))
            near = distance < np.log(STRENGTH_FACTOR)
            if near.sum() < FEWEST_PEERS:
                near = distance <= np.sort(distance)[min(FEWEST_PEERS, len(peers)) - 1]
        low, high = np.quantile(values[near], [0.05, 0.95])
        below += patch[key] < low
        above += patch[key] > high
    return below / len(patches), above / len(patches)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder that the others are relative to")
    parser.add_argument("--sets", nargs="+", required=True, help="folders with noisy/ and clean/")
    parser.add_argument("--clean", required=True, help="clean photos for the simulation")
    parser.add_argument("--patches", type=int, default=512, help="simulated ones")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    sets = {name: real_patches(arguments.root / name) for name in arguments.sets}
    made = simulated_patches(
        arguments.root / arguments.clean, arguments.patches, CameraNoiseConfig()
    )
    sets["simulation"] = list(made)
    print(f"Patches of {PATCH_PX}²: " + ", ".join(f"{k} {len(v)}" for k, v in sets.items()) + ".\n")
    print(whole_table(sets))
    print(
        "\nOver patches, median [5%, 95%]; ↓ and ↑: percentage below and above the 5–95% range of "
        f"simulated patches within a factor {STRENGTH_FACTOR} of the same strength (for std: of "
        "all).\n"
    )
    print(spread_table(sets, "simulation"))


if __name__ == "__main__":
    main()
