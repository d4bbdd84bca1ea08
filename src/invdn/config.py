"""Training settings: one TOML file → frozen dataclasses."""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from invdn.data.camera import CameraNoiseConfig
from invdn.data.pairs import MOST_ENLARGED
from invdn.net.invdn import BEST, FAST, PHOTO, LevelConfig, check_levels
from invdn.net.vgg import Discriminator, VGG19Features

PRESETS = {"photo": PHOTO, "best": BEST, "fast": FAST}
#: The published network; its sizes are fixed.
PAPER = "paper"
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
PIXEL_LOSSES = ("charbonnier", "l1", "psnr")
OPTIMISERS = ("adamw", "adam", "muon", "schedule-free")
SCHEDULES = ("cosine", "halving", "constant", "trapezoid")
LAYOUTS = ("noisy-clean", "sidd")
#: The filters that soften a photo's chroma reach as far.
SMALLEST_CROP_PX = 8


#: The largest values of settings, by key: what PyTorch's threads and random numbers take, and for a
#: network's sizes what nobody means.
AT_MOST = {
    "threads": 1024,
    "seed": 2**63 - 1,
    "loss.adversarial_width": 4096,
    **{
        f"network.levels.{size.name}": 4096
        for size in dataclasses.fields(LevelConfig)
        if size.name != "whole"
    },
}


class ConfigError(Exception):
    """A settings file that cannot be used; the message is one line for its author."""


@dataclass(frozen=True)
class NetworkConfig:
    """Which network is trained."""

    preset: str = "photo"
    """``photo``, ``best`` or ``fast``, whose sizes ``levels`` overrides; or ``paper``, the
    published one."""
    levels: tuple[LevelConfig, ...] = ()
    """Sizes of each level, finest first."""
    reversible: bool = False
    """Recompute the couplings' activations in the backward pass: memory no longer grows with
    their number, at about 1.35 times the time."""

    @property
    def is_paper(self) -> bool:
        """Whether this is the published network."""
        return self.preset == PAPER

    @property
    def multiple(self) -> int:
        """Crops must be a multiple of this, pixels."""
        return 4 if self.is_paper else 1 << len(self.resolved())

    def resolved(self) -> tuple[LevelConfig, ...]:
        """The sizes to build; not for the published network."""
        return self.levels or PRESETS[self.preset]


@dataclass(frozen=True)
class PairFolder:
    """Real pairs to train on."""

    folder: str
    """Relative to ``data.root``."""
    weight: float = 1.0
    """Share of the real crops that come from here, relative to the other folders."""
    layout: str = "noisy-clean"
    """``noisy-clean``: folders ``noisy/`` and ``clean/`` with the same file names. ``sidd``: as
    SIDD-Medium is published, a folder a scene with ``…NOISY_SRGB_010.PNG`` and ``…GT_SRGB_010.PNG``
    (and ``_011``)."""


@dataclass(frozen=True)
class CropStage:
    """From a step on, crops of another size, and possibly another number of them."""

    from_step: int
    """First step of the stage."""
    crop_px: int
    """Side of a crop; a multiple of the network's."""
    real_crops: int | None = None
    """Crops of real pairs in a batch; by default as in ``data``."""
    gaussian_crops: int | None = None
    """Crops with white Gaussian noise in a batch; by default as in ``data``."""
    camera_crops: int | None = None
    """Crops with simulated camera noise in a batch; by default as in ``data``."""


@dataclass(frozen=True)
class DataConfig:
    """Where crops come from, and in which proportion."""

    root: str = "."
    """Folder that the others are relative to; itself relative to the settings file."""
    clean: tuple[str, ...] = ()
    """Folders of clean photos, from which noisy ones are made."""
    pairs: tuple[PairFolder, ...] = ()
    """Folders of real pairs."""
    crop_px: int = 96
    """Side of a crop; a multiple of the network's."""
    stages: tuple[CropStage, ...] = ()
    """Progressive crop sizes, by rising step: what changes after the start."""
    real_crops: int = 3
    """Crops of real pairs in a batch."""
    gaussian_crops: int = 2
    """Crops with Gaussian noise in a batch."""
    camera_crops: int = 3
    """Crops with simulated camera noise in a batch."""
    gaussian_max_sigma_8bit: float = 70.0
    """Strongest white noise, σ in grey levels of 255."""
    gaussian_soft_chroma: float = 0.75
    """How often the photo under white noise has its chroma made as soft as a camera's first:
    downscaled photos have several times too much of it in the finest octave."""
    gaussian_coloured: float = 0.0
    """How often that noise is not white: channels share it, its grain is coarser, and its strength
    depends on brightness, see `invdn.data.camera.coloured_noise`."""
    vivid: float = 0.0
    """How often a clean crop is given colours that photos seldom have, see `invdn.data.vivid`."""
    enlarged: float = 0.0
    """How often a crop with made noise is enlarged after it got the noise, see
    `invdn.data.enlarged`."""
    camera: CameraNoiseConfig = field(default_factory=CameraNoiseConfig)
    """The simulated cameras."""
    cache: str = ""
    """Folder for decoded photos, 3 bytes a pixel, which are then read in place instead of being
    held in memory; relative to the settings file. SIDD-Medium takes about 30 GB there."""

    def at(self, step: int) -> DataConfig:
        """The settings that hold at a step: this, changed as the stage says."""
        stage = next((s for s in reversed(self.stages) if s.from_step <= step), None)
        if stage is None:
            return self
        changes = {k: v for k, v in dataclasses.asdict(stage).items() if v is not None}
        del changes["from_step"]
        return dataclasses.replace(self, **changes)

    @property
    def gaussian(self) -> tuple[float, float, float]:
        """For `invdn.data.camera.gaussian_pair`: the strongest σ, and how often what."""
        return self.gaussian_max_sigma_8bit, self.gaussian_soft_chroma, self.gaussian_coloured

    @property
    def all_stages(self) -> tuple[DataConfig, ...]:
        """The settings of every stage, from the start on."""
        return (self.at(-1), *(self.at(stage.from_step) for stage in self.stages))


@dataclass(frozen=True)
class ValidationSet:
    """A set whose scores are printed; never trained on."""

    name: str
    """Shown in the log."""
    folder: str = ""
    """As for ``load_pairs``; relative to ``data.root``."""
    crop_px: int = 256
    """Centre square that is scored."""
    sigma_8bit: float | None = None
    """White Gaussian noise that is added to clean images; None for real pairs."""
    grain_px: float | None = None
    """Noise of this σ with grain and common channels in place of white one, as
    `invdn.data.pairs.grained_noise` makes it."""
    enlarged: float | None = None
    """By what factor the pictures are enlarged once they have that noise."""
    noisy_mat: str = ""
    """Instead of ``folder``: SIDD's ``ValidationNoisyBlocksSrgb.mat``, relative to
    ``data.root``."""
    gt_mat: str = ""
    """Its counterpart, ``ValidationGtBlocksSrgb.mat``."""
    every: int = 1
    """Score each n-th pair only: 1 takes all."""


@dataclass(frozen=True)
class LossConfig:
    """What is minimised: a weighted sum; terms of weight 0 are not computed."""

    pixel: str = "charbonnier"
    """Between restored and clean pixels: ``charbonnier`` √(d² + ε²), ``l1`` |d|, or ``psnr``,
    10 · log10(mean d²), each image by itself."""
    reduction: str = "mean"
    """``mean`` over all pixels and channels, or ``sum`` over them and the mean over the batch; of
    the pixel and the code term."""
    code_weight: float = 0.0
    """Of the squared difference between the code and the clean image at a quarter of its size;
    for the published network, whose code is an image."""
    gradient_weight: float = 0.0
    """Of the mean absolute difference of Sobel gradients."""
    ssim_weight: float = 0.0
    """Of the mean of (1 − SSIM) / 2, in 3×3 windows."""
    perceptual_weight: float = 0.0
    """Of the mean absolute difference of VGG19's features, conv5_4 before its ReLU."""
    vgg19: str = ""
    """VGG19's weights, a file as torchvision publishes it (vgg19-dcbb9e9d.pth); relative to the
    settings file."""
    adversarial_weight: float = 0.0
    """Of −log D(restored), D a VGG-128 discriminator that is trained beside the network."""
    adversarial_width: int = 64
    """Features in the discriminator's first layers; 8 times as many in the last."""
    adversarial_learning_rate: float = 1e-4
    """Of the discriminator (Adam, β 0.9 and 0.999)."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on."""

    run: str
    """Folder for checkpoints, logs and curves; relative to the settings file."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    validation: tuple[ValidationSet, ...] = ()
    steps: int = 20_000
    """Optimiser steps in all."""
    accumulate: int = 1
    """Batches whose gradients are averaged for one optimiser step."""
    optimiser: str = "adamw"
    """``adamw``; ``adam`` (weight decay as a part of the gradient); ``muon`` for the weights of
    convolutions, as matrices, with AdamW for the rest; ``schedule-free`` AdamW (package
    ``schedulefree``), which averages the weights itself and needs a constant learning rate."""
    schedule: str = "cosine"
    """After the warm-up the learning rate falls along half a cosine until the last step; or
    ``halving``: to its half every ``halve_every`` steps; or it stays ``constant``; or
    ``trapezoid``: constant until ``decay_steps`` before the end, then down in a straight line, so
    that a run can be prolonged from its checkpoint before the descent."""
    decay_steps: int = 4000
    """Length of the trapezoid's descent."""
    halve_every: int = 100_000
    """Steps between halvings."""
    learning_rate: float = 1e-3
    """Peak."""
    final_learning_rate: float = 1e-6
    """What the cosine and the trapezoid fall to; they reach it one step after the last."""
    warmup_steps: int = 200
    """Steps over which the learning rate rises from 0."""
    weight_decay: float = 1e-4
    """Of the optimiser."""
    gradient_clip: float = 1.0
    """Largest norm of the whole gradient; inf clips nothing."""
    ema_decay: float = 0.999
    """Of the averaged weights, which are validated and exported; 0 takes the last ones."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What is minimised."""
    charbonnier_epsilon: float = 1e-3
    """ε of the loss √(d² + ε²), in units of the [0, 1] range."""
    seed: int = 0
    """Of the weights at the start and of every crop."""
    threads: int = 0
    """Of PyTorch; 0 takes all cores."""
    workers: int = 1
    """Processes that make crops beside the training loop; 0 makes them inside it."""
    precision: str = "auto"
    """``fp32``, ``bf16`` or ``fp16`` (autocast; fp16 on a GPU only), or ``auto``: bf16 where the
    processor computes in it."""
    validate_every: int = 1000
    """Steps between validations."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""


T = TypeVar("T")


def load_config(path: Path) -> TrainConfig:
    """Read a settings file.

    Raises:
        ConfigError: where it cannot be read, holds an unknown key or a value of the wrong type.
    """
    config = build(TrainConfig, read_toml(path), str(path))
    for problem in _problems(config):
        raise ConfigError(f"{path}: {problem}")
    return config


def _problems(config: TrainConfig) -> Iterator[str]:
    """What is wrong with settings whose keys and types are right, one sentence each."""
    choices = {
        "network.preset": (config.network.preset, (*PRESETS, PAPER)),
        "precision": (config.precision, PRECISIONS),
        "optimiser": (config.optimiser, OPTIMISERS),
        "schedule": (config.schedule, SCHEDULES),
        "loss.pixel": (config.loss.pixel, PIXEL_LOSSES),
        "loss.reduction": (config.loss.reduction, ("mean", "sum")),
        **{f"{p.folder}: layout": (p.layout, LAYOUTS) for p in config.data.pairs},
    }
    for key, (value, known) in choices.items():
        if value not in known:
            yield f"{key} must be {', '.join(known[:-1])} or {known[-1]}"
            return
    if not config.run:
        yield "run must name a folder"
    yield from _values_out_of_range(config)
    if config.warmup_steps >= config.steps:
        yield f"warmup_steps must be less than steps, not {config.warmup_steps} of {config.steps}"
    falling = config.schedule in ("cosine", "trapezoid")
    if falling and config.final_learning_rate > config.learning_rate:
        yield "final_learning_rate must not be more than learning_rate"
    if config.schedule == "trapezoid" and config.warmup_steps + config.decay_steps > config.steps:
        yield "warmup_steps and decay_steps together must not be more than steps"
    if not config.network.is_paper:
        try:
            check_levels(config.network.resolved())
        except ValueError as error:
            yield f"network.levels: {error}"
    if config.network.is_paper and config.network.levels:
        yield "network.levels and the preset paper, whose sizes are fixed, exclude each other"
    starts = [stage.from_step for stage in config.data.stages]
    if starts != sorted(set(starts)):
        yield "data.stages must have rising from_step"
    if config.data.pairs and not sum(pairs.weight for pairs in config.data.pairs):
        yield "data.pairs: one weight must be more than 0"
    multiple = config.network.multiple
    smallest = min(stage.crop_px for stage in config.data.all_stages)
    if any(s.crop_px < SMALLEST_CROP_PX or s.crop_px % multiple for s in config.data.all_stages):
        yield f"data.crop_px must be a multiple of {multiple}, and at least {SMALLEST_CROP_PX}"
    if config.loss.adversarial_weight and smallest < Discriminator.SIZE_PX:
        yield f"loss.adversarial_weight needs crops of {Discriminator.SIZE_PX} pixels or more"
    if config.loss.perceptual_weight and smallest < VGG19Features.SMALLEST_PX:
        yield f"loss.perceptual_weight needs crops of {VGG19Features.SMALLEST_PX} pixels or more"
    if config.loss.perceptual_weight and not config.loss.vgg19:
        yield (
            "loss.perceptual_weight needs loss.vgg19: a file with VGG19's weights as torchvision "
            "publishes it (vgg19-dcbb9e9d.pth)"
        )
    if config.loss.code_weight and not config.network.is_paper:
        yield "loss.code_weight is for the preset paper: only its code is an image"
    summed = config.loss.reduction == "sum" and not config.loss.code_weight
    if summed and config.loss.pixel == "psnr":
        yield 'loss.reduction = "sum" is for charbonnier and l1: psnr is always a mean'
    if config.optimiser == "schedule-free" and config.schedule != "constant":
        yield 'optimiser schedule-free needs schedule = "constant"'
    names = [item.name for item in config.validation]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"there are two validation sets called {name}: give each a name of its own"
    for item in config.validation:
        if bool(item.folder) == bool(item.noisy_mat) or bool(item.noisy_mat) != bool(item.gt_mat):
            yield f"validation set {item.name} needs folder, or noisy_mat and gt_mat"
        if item.every < 1 or item.crop_px < 1:
            yield f"validation set {item.name}: every and crop_px must be at least 1"
        if item.sigma_8bit is not None and item.sigma_8bit < 0:
            yield f"validation set {item.name}: sigma_8bit must not be negative"
        if item.grain_px is not None and (item.sigma_8bit is None or item.grain_px < 0):
            yield f"validation set {item.name}: grain_px needs sigma_8bit, and is not negative"
        if item.enlarged is not None and not 1 <= item.enlarged <= MOST_ENLARGED:
            yield f"validation set {item.name}: enlarged must be from 1 to {MOST_ENLARGED:g}"


# Keys of numbers, by what they must be; of ranges both ends.
_AT_LEAST_1 = (
    *("steps", "accumulate", "validate_every", "checkpoint_every", "halve_every", "decay_steps"),
    "loss.adversarial_width",
)
_ABOVE_0 = (
    *("learning_rate", "gradient_clip", "charbonnier_epsilon", "loss.adversarial_learning_rate"),
    *(f"data.camera.{name}_range" for name in ("plain_shot", "shot", "read_factor", "exposure")),
    *("data.camera.white_balance_range", "data.camera.jpeg_quality_range"),
)
_NOT_NEGATIVE = (
    *("warmup_steps", "seed", "threads", "workers", "final_learning_rate", "weight_decay"),
    *(f"loss.{name}_weight" for name in ("code", "gradient", "ssim", "perceptual", "adversarial")),
    *("data.pairs.weight", "data.real_crops", "data.gaussian_crops", "data.camera_crops"),
    *(f"data.stages.{name}" for name in ("real_crops", "gaussian_crops", "camera_crops")),
    *("data.gaussian_max_sigma_8bit", "data.camera.read_log_spread"),
    "data.camera.lens_blur_range_px",
)
_PROBABILITIES = tuple(
    f"data.{name}" for name in ("gaussian_soft_chroma", "gaussian_coloured", "vivid", "enlarged")
)


def _values_out_of_range(config: TrainConfig) -> Iterator[str]:
    """Numbers that are none, too small or too large, a sentence each."""
    for key, values in _numbers(dataclasses.asdict(config)):
        least = min(values)
        if not all(map(math.isfinite, values)) and not (key == "gradient_clip" and least > 0):
            yield f"{key} must be a number"
        if key in AT_MOST and max(values) > AT_MOST[key]:
            yield f"{key} must be at most {AT_MOST[key]}"
        if key in _AT_LEAST_1 and least < 1:
            yield f"{key} must be at least 1"
        if key in _ABOVE_0 and least <= 0:
            yield f"{key} must be more than 0"
        if key in _NOT_NEGATIVE and least < 0:
            yield f"{key} must not be negative"
        probability = key in _PROBABILITIES or key.endswith("_probability")
        if probability and not 0.0 <= least <= 1.0:
            yield f"{key} must be from 0 to 1"
        if values[0] > values[-1]:
            yield f"{key} must be two numbers, the smaller first"
    if not 0.0 <= config.ema_decay < 1.0:
        yield "ema_decay must be from 0 to less than 1"
    if config.data.camera.jpeg_quality_range[1] > 100:
        yield "data.camera.jpeg_quality_range ends at 100"


def _numbers(table: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Sequence[float]]]:
    """All numbers in nested tables, by dotted key; tables in a list have the list's."""
    for key, value in table.items():
        name = f"{where}{key}"
        if isinstance(value, dict):
            yield from _numbers(value, f"{name}.")
        for item in value if isinstance(value, tuple) else ():
            if isinstance(item, dict):
                yield from _numbers(item, f"{name}.")
        values = value if isinstance(value, tuple) else (value,)
        if values and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            yield name, values


def read_toml(path: Path) -> dict[str, Any]:
    """A settings file as a table.

    Raises:
        ConfigError: where it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """A dataclass of settings from a table.

    Raises:
        ConfigError: at an unknown key, a missing one or a value of the wrong type.
    """
    hints = typing.get_type_hints(cls)
    unknown = [key for key in table if key not in hints]
    if unknown:
        near = difflib.get_close_matches(unknown[0], hints, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(hints)}"
        raise ConfigError(f"{where}: unknown key '{unknown[0]}'{hint}")
    missing = [
        f.name
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        if f.name not in table
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: '{missing[0]}' is missing")
    return cls(**{key: _convert(hints[key], v, f"{where}: {key}") for key, v in table.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    """A TOML value as the annotated type."""
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a table")
        return build(typing.cast("type[Any]", hint), value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list")
        items = typing.get_args(hint)
        if items[-1] is Ellipsis:
            items = (items[0],) * len(value)
        if len(items) != len(value):
            raise ConfigError(f"{where} must have {len(items)} values, not {len(value)}")
        return tuple(
            _convert(item, v, f"{where}[{i}]")
            for i, (item, v) in enumerate(zip(items, value, strict=True))
        )
    options = typing.get_args(hint) or (hint,)
    if isinstance(value, bool) != (bool in options):
        raise ConfigError(f"{where} must be {_named(options)}, not {value!r}")
    if float in options and isinstance(value, int):
        return float(value)
    if not isinstance(value, options):
        raise ConfigError(f"{where} must be {_named(options)}, not {value!r}")
    return value


def _named(options: tuple[Any, ...]) -> str:
    return " or ".join(o.__name__ for o in options if o is not type(None))
