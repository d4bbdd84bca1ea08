"""What a run leaves to be looked at: settings, versions, log, TensorBoard, curves."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import logging
import math
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import invdn
from invdn.config import TrainConfig
from invdn.data.patches import Pixels
from invdn.metrics import finite

log = logging.getLogger(__name__)

SETTINGS = "settings.json"
STARTS = "starts.jsonl"
LOG = "log.jsonl"
MESSAGES = "messages.log"
CURVES = "curves.png"
TENSORBOARD = "tensorboard"

_PACKAGES = ("torch", "lightning-fabric", "numpy", "pyvips", "tensorboard")

Scores = Mapping[str, Mapping[str, float]]


class Report:
    """Writes into a run's folder; one process of the run has one.

    * ``settings.json``: every setting, defaults included;
    * ``starts.jsonl``: a line for each start: when, from which step, versions, device;
    * ``log.jsonl``: a line for each validation; ``messages.log``: what was said;
    * ``curves.png``: loss, PSNR and learning rate over the steps;
    * ``tensorboard/``: the same, with tables and sample pictures.

    Args:
        run: The folder; it exists.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.entries: list[dict[str, Any]] = []
        self._board: Any = None

    def start(self, config: TrainConfig, step: int, device: str) -> None:
        """Note a start.

        Args:
            config: The run's settings.
            step: Steps done before. What the log has beyond them (a run that was killed after
                its last checkpoint) is dropped.
            device: What is trained on, in words.
        """
        from torch.utils.tensorboard import SummaryWriter

        self._write_settings(config, step)
        self._write_start(step, device)
        self.entries = _entries_until(self.run / LOG, step)
        _write_lines(self.run / LOG, self.entries)
        self._board = SummaryWriter(
            str(self.run / TENSORBOARD), purge_step=step + 1 if step else None
        )

    def close(self) -> None:
        """Finish all files."""
        if self._board is not None:
            self._board.close()

    def validation(
        self,
        step: int,
        scalars: Mapping[str, float],
        scores: Scores,
        samples: Mapping[str, Pixels],
    ) -> None:
        """Report a validation.

        Args:
            step: Steps done.
            scalars: What was measured in training since the last time, by name; with ``loss``
                and ``seconds_per_step``.
            scores: For each set what ``validate`` returned.
            samples: For each set a picture, ``[H, W, 3]``.
        """
        table = "  ".join(
            f"{name} {s['psnr']:.2f} (worst gain {s['least_gain']:+.2f})"
            for name, s in scores.items()
        )
        loss, seconds = scalars["loss"], scalars["seconds_per_step"]
        log.info("step %d  loss %.5f  %.3f s/step  %s", step, loss, seconds, table)
        entry = {"step": step, **scalars, "scores": scores}
        self.entries.append(entry)
        with (self.run / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(entry)) + "\n")
        self._write_board(step, scalars, scores, samples)
        draw_curves(self.entries, self.run / CURVES)

    def _write_settings(self, config: TrainConfig, step: int) -> None:
        path = self.run / SETTINGS
        settings = json.loads(json.dumps(dataclasses.asdict(config)))
        if step and path.exists():
            before = _flat(json.loads(path.read_text(encoding="utf-8")))
            for key, value in _flat(settings).items():
                if key not in before or before[key] != value:
                    log.info("changed setting: %s = %s, was %s", key, value, before.get(key))
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def _write_start(self, step: int, device: str) -> None:
        versions = {"invdn": invdn.__version__, "python": platform.python_version()}
        for package in _PACKAGES:
            versions[package] = importlib.metadata.version(package)
        start = {
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "step": step,
            "device": device,
            "threads": torch.get_num_threads(),
            "platform": platform.platform(),
            "versions": versions,
        }
        with (self.run / STARTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(start) + "\n")

    def _write_board(
        self,
        step: int,
        scalars: Mapping[str, float],
        scores: Scores,
        samples: Mapping[str, Pixels],
    ) -> None:
        board = self._board
        for name, value in scalars.items():
            board.add_scalar(f"train/{name}", value, step)
        for name, score in scores.items():
            for what, value in score.items():
                board.add_scalar(f"{name}/{what}", value, step)
        for name, pixels in samples.items():
            board.add_image(f"{name}/noisy, restored, clean", pixels, step, dataformats="HWC")
        if scores:
            board.add_text("validation", score_table(scores), step)
        board.flush()


@contextmanager
def open_report(run: Path, enabled: bool) -> Iterator[Report | None]:
    """A report that is closed in the end, with the log's messages beside it; None if disabled."""
    if not enabled:
        yield None
        return
    messages = logging.FileHandler(run / MESSAGES, encoding="utf-8")
    messages.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger("invdn").addHandler(messages)
    report = Report(run)
    try:
        yield report
    finally:
        report.close()
        logging.getLogger("invdn").removeHandler(messages)
        messages.close()


def score_table(scores: Scores) -> str:
    """Scores as a Markdown table, dB."""
    rows = ["| set | noisy | restored | gain | least gain |", "| --- | --- | --- | --- | --- |"]
    for name, s in scores.items():
        gain, least = s["psnr"] - s["noisy"], s["least_gain"]
        rows.append(f"| {name} | {s['noisy']:.2f} | {s['psnr']:.2f} | {gain:+.2f} | {least:+.2f} |")
    return "\n".join(rows)


def draw_curves(entries: list[dict[str, Any]], path: Path) -> None:
    """Loss, gain in PSNR and learning rate over the steps, as a PNG; replaced at once or not."""
    # Without pyplot, which keeps figures and picks a window system.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 9.0), layout="constrained")
    loss_axes, gain_axes, rate_axes = figure.subplots(3, 1, sharex=True)
    steps = [entry["step"] for entry in entries]
    loss_axes.plot(steps, [entry["loss"] for entry in entries], ".-")
    loss_axes.set_ylabel("loss")
    if all(entry["loss"] > 0 for entry in entries):
        loss_axes.set_yscale("log")
    for name in sorted({name for entry in entries for name in entry["scores"]}):
        rows = [(e["step"], e["scores"][name]) for e in entries if name in e["scores"]]
        gains = [_number(score["psnr"]) - _number(score["noisy"]) for _, score in rows]
        last = _number(rows[-1][1]["psnr"])
        gain_axes.plot([step for step, _ in rows], gains, ".-", label=f"{name} ({last:.2f} dB)")
    gain_axes.set_ylabel("PSNR above the noisy input, dB")
    if gain_axes.lines:
        gain_axes.legend()
    rated = [entry for entry in entries if "learning_rate" in entry]
    rate_axes.plot([e["step"] for e in rated], [e["learning_rate"] for e in rated], ".-")
    rate_axes.set_ylabel("learning rate")
    rate_axes.set_xlabel("step")
    for axes in (loss_axes, gain_axes, rate_axes):
        axes.grid(alpha=0.3)
    temporary = path.with_suffix(".tmp")
    figure.savefig(temporary, format="png", dpi=100)
    temporary.replace(path)


def _number(score: float | None) -> float:
    """A score; what is infinite is None in a log."""
    return math.nan if score is None else score


def _entries_until(path: Path, step: int) -> list[dict[str, Any]]:
    """The lines of a log up to a step; a last line that was cut short is dropped."""
    entries: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if entry["step"] <= step:
                entries.append(entry)
    return entries


def _write_lines(path: Path, entries: list[dict[str, Any]]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
    temporary.replace(path)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted keys."""
    flat = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
