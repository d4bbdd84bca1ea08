"""Noisy pictures of photos, from files to files, as `invdn.noise` makes them.

recipe = Recipe(load_noise_model(), level_8bit=12.0)
for made in make(plan(inputs, Path("noisy")).jobs, recipe):
    print(made.output, made.level_8bit)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from invdn import images
from invdn.batch import Job, UsageError, is_taken
from invdn.net.noise_head import NoiseModel
from invdn.noise import (
    LARGEST_EPSILON,
    LARGEST_LEVEL_8BIT,
    Character,
    add_noise,
    calibrated,
    camera_character,
    character_of,
    check_number,
    largest_value,
    perturb,
    perturbation_factor,
)
from invdn.runtime import ModelError


@dataclass(frozen=True)
class Recipe:
    """What noise to make on photos; exactly one of level, like, epsilon and camera is given.

    Raises:
        UsageError: a level or an epsilon that is not in its range.
    """

    model: NoiseModel
    level_8bit: float | None = None
    """σ of 255, see :class:`invdn.noise.Character`."""
    like: Path | None = None
    """A noisy photo whose noise is imitated."""
    epsilon: float | None = None
    """For :func:`invdn.noise.perturb`."""
    camera: bool = False
    """A level of its own for each picture, see :func:`invdn.noise.camera_character`."""
    seed: int = 0

    def __post_init__(self) -> None:
        try:
            check_number("a noise level", self.level_8bit or 0.0, LARGEST_LEVEL_8BIT)
            check_number("epsilon", self.epsilon or 0.0, LARGEST_EPSILON)
        except ValueError as error:
            raise UsageError(str(error)) from error


@dataclass(frozen=True)
class Made:
    """One noisy picture."""

    input: Path
    output: Path
    level_8bit: float = 0.0
    """Deviation of the noise that was made, clipped and rounded as it is; for a perturbation of
    what was changed."""
    reason: str | None = None
    """Why it could not be made, in one line that begins with the file it is about."""
    notices: tuple[str, ...] = ()
    """What reading the photo had to change, one line each; with its first picture only."""


def files_of(output: Path, variants: int = 1, pairs: Path | None = None) -> list[tuple[Path, ...]]:
    """The files that :func:`make` writes for a job's output.

    Returns for each variant its noisy picture, with ``pairs`` the clean one too.
    """
    found: list[tuple[Path, ...]] = []
    for variant in range(variants):
        path = output
        if variants > 1:
            path = output.with_name(f"{output.stem}-{variant + 1}{output.suffix}")
        if pairs is None:
            found.append((path,))
        else:
            relative = path.relative_to(pairs).with_suffix(".png")
            found.append((pairs / "noisy" / relative, pairs / "clean" / relative))
    return found


def make(
    jobs: Sequence[Job],
    recipe: Recipe,
    *,
    variants: int = 1,
    pairs: Path | None = None,
    overwrite: bool = False,
) -> Iterator[Made]:
    """Make noisy pictures and write them; one that fails is told, and the others are made.

    Args:
        jobs: Clean photos (for a perturbation, noisy ones) and the files to write.
        recipe: What noise. Each picture gets its own seed, from the recipe's and its place.
        variants: Pictures of each photo; from two on their names end in ``-1``, ``-2``, ….
        pairs: Write PNG files ``pairs/noisy/…`` and ``pairs/clean/…`` instead, 8 bits.
        overwrite: Replace existing files.

    Raises:
        ModelError: the photo to imitate cannot be used.
    """
    imitated = _imitated(recipe)
    for place, job in enumerate(jobs):
        for variant, (output, *clean) in enumerate(files_of(job.output, variants, pairs)):
            seed = _seed(recipe.seed, place, variant)
            about = output
            try:
                for path in (output, *clean):  # before anything is made, or half a pair written
                    about = path
                    if not overwrite and is_taken(path):
                        raise images.ExistsError(images.EXISTS)
                about = job.input
                photo = images.read(job.input)
                notices = photo.notices if variant == 0 else ()
                photo = images.as_rgb8(photo) if pairs is not None else photo
                noisy, level = _noisy(photo.pixels, recipe, imitated, seed)
                about = output
                _write(replace(photo, pixels=noisy), output, overwrite)
                try:
                    for path in clean:
                        about = path
                        _write(photo, path, overwrite)
                except BaseException:
                    output.unlink(missing_ok=True)  # half a pair is none
                    raise
                yield Made(job.input, output, level, notices=notices)
            except (images.PhotoError, ValueError) as error:
                yield Made(job.input, output, reason=f"{about}: {error}")


def _imitated(recipe: Recipe) -> Character | None:
    if recipe.like is None:
        return None
    try:
        return character_of(images.as_rgb8(images.read(recipe.like)).pixels, recipe.model)
    except (images.PhotoError, ValueError) as error:
        raise ModelError(f"{recipe.like}: {error}") from error


def _noisy(
    pixels: images.Pixels, recipe: Recipe, imitated: Character | None, seed: int
) -> tuple[images.Pixels, float]:
    """The noisy picture, and its noise's deviation; alpha is kept and grey stays grey."""
    colour = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = colour.shape[2] - (1 - colour.shape[2] % 2)
    rgb = np.ascontiguousarray(np.broadcast_to(colour[..., :channels], (*colour.shape[:2], 3)))
    if recipe.epsilon is not None:
        factor = perturbation_factor(rgb, recipe.model, recipe.epsilon, channels=channels)
        made = perturb(rgb, recipe.model, recipe.epsilon, seed, factor=factor)
    else:
        character = imitated
        if recipe.camera:
            character = camera_character(recipe.model, seed)
        if character is None:
            character = Character(recipe.level_8bit or 0.0)
        here = calibrated(rgb, recipe.model, character, channels=channels)
        made = add_noise(rgb, recipe.model, here, seed)
    result = colour.copy()
    result[..., :channels] = made[..., :channels]
    noise = made[..., :channels].astype(np.float32) - rgb[..., :channels]
    level = 255.0 * math.sqrt(float(np.mean(noise**2))) / float(largest_value(pixels))
    return result.reshape(pixels.shape), level


def _seed(seed: int, place: int, variant: int) -> int:
    return int(np.random.default_rng((seed, place, variant)).integers(2**62))


def _write(photo: images.Photo, path: Path, overwrite: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise images.PhotoError(f"cannot write {path.parent}: {images.reason(error)}") from error
    images.write(photo, path, overwrite=overwrite)
