"""Training settings: one TOML file → frozen dataclasses."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from invdn.data.camera import CameraNoiseConfig
from invdn.net.invdn import FAST, PHOTO, LevelConfig

PRESETS = {"photo": PHOTO, "fast": FAST}


class ConfigError(Exception):
    """A settings file that cannot be used; the message is one line for its author."""


@dataclass(frozen=True)
class NetworkConfig:
    """Which network is trained."""

    preset: str = "photo"
    """``photo`` or ``fast``; ``levels`` overrides it."""
    levels: tuple[LevelConfig, ...] = ()
    """Sizes of each level, finest first."""

    def resolved(self) -> tuple[LevelConfig, ...]:
        """The sizes to build."""
        return self.levels or PRESETS[self.preset]


@dataclass(frozen=True)
class PairFolder:
    """Real pairs to train on."""

    folder: str
    """Holds ``noisy/`` and ``clean/``; relative to ``data.root``."""
    weight: float = 1.0
    """Share of the real crops that come from here, relative to the other folders."""


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
    real_crops: int = 3
    """Crops of real pairs in a batch."""
    gaussian_crops: int = 2
    """Crops with white Gaussian noise in a batch."""
    camera_crops: int = 3
    """Crops with simulated camera noise in a batch."""
    gaussian_max_sigma_8bit: float = 70.0
    """Strongest white noise, σ in grey levels of 255."""
    camera: CameraNoiseConfig = field(default_factory=CameraNoiseConfig)
    """The simulated cameras."""


@dataclass(frozen=True)
class ValidationSet:
    """A set whose scores are printed; never trained on."""

    name: str
    """Shown in the log."""
    folder: str
    """As for ``load_pairs``; relative to ``data.root``."""
    crop_px: int = 256
    """Centre square that is scored."""
    sigma_8bit: float | None = None
    """White Gaussian noise that is added to clean images; None for real pairs."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on."""

    run: str
    """Folder for checkpoints and the log; relative to the settings file."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    validation: tuple[ValidationSet, ...] = ()
    steps: int = 20_000
    """Optimiser steps in all; the learning rate falls along half a cosine to their end."""
    learning_rate: float = 1e-3
    """Peak, of AdamW."""
    final_learning_rate: float = 1e-6
    """At the last step."""
    warmup_steps: int = 200
    """Steps over which the learning rate rises from 0."""
    weight_decay: float = 1e-4
    """Of AdamW (decoupled)."""
    gradient_clip: float = 1.0
    """Largest norm of the whole gradient."""
    ema_decay: float = 0.999
    """Of the averaged weights, which are validated and exported."""
    charbonnier_epsilon: float = 1e-3
    """ε of the loss √(d² + ε²), in units of the [0, 1] range."""
    seed: int = 0
    """Of the weights at the start and of every crop."""
    threads: int = 0
    """Of PyTorch; 0 takes all cores."""
    workers: int = 1
    """Processes that make crops beside the training loop; 0 makes them inside it."""
    precision: str = "auto"
    """``fp32``, ``bf16`` (autocast), or ``auto``: bf16 where the processor computes in it."""
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
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    config = _build(TrainConfig, table, str(path))
    if config.network.preset not in PRESETS:
        raise ConfigError(f"{path}: network.preset must be one of {', '.join(PRESETS)}")
    if config.precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(f"{path}: precision must be auto, fp32 or bf16")
    multiple = 1 << len(config.network.resolved())
    if config.data.crop_px <= 0 or config.data.crop_px % multiple:
        raise ConfigError(f"{path}: data.crop_px must be a multiple of {multiple}")
    return config


def _build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
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
        return _build(typing.cast("type[Any]", hint), value, where)
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
