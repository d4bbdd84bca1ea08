"""Training: one loop, from a settings file to checkpoints. Its parts are in ``training``."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from invdn.config import ConfigError, TrainConfig, load_config
from invdn.data.batches import Batches
from invdn.training.checkpoint import CHECKPOINT, WEIGHTS, State, save_weights, write_pickle
from invdn.training.launch import TrainingError as TrainingError
from invdn.training.launch import (
    agree,
    keep_images_in_float32,
    loading,
    loss_scaler,
    start_fabric,
    stop_on_signal,
    update_loss_scale,
)
from invdn.training.objective import (
    Adversary,
    Network,
    Objective,
    Restoration,
    build_network,
    draw_z,
)
from invdn.training.optimise import copy_averaged_weights, learning_rate, make_optimisers
from invdn.training.report import Report, open_report
from invdn.training.validation import load_validation_set, sample_strip, validate

log = logging.getLogger(__name__)


def train_from_config_file(path: Path, resume: bool = False) -> None:
    """Train as a settings file says.

    Raises:
        ConfigError: where the settings or the data that they name cannot be used, or the run's
            folder already holds a run that is not to be resumed.
        TrainingError: where the loss or the gradient is not a number any more, no more crops are
            made, or the run's files cannot be written.
    """
    config = load_config(path)
    base = path.resolve().parent
    try:
        train(config, base, resume)
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise TrainingError.of_system(error, base / config.run) from error


def train(config: TrainConfig, base: Path, resume: bool = False) -> Network:
    """Train a network.

    One process, or many: under ``torchrun --nproc-per-node N`` each process takes every N-th
    batch, and gradients are averaged. N processes that accumulate one batch each take the same
    steps as one that accumulates N.

    Args:
        config: All settings.
        base: Folder that the settings' paths are relative to.
        resume: Go on from the checkpoint in the run's folder, if there is one.

    Returns:
        The network with averaged weights.
    """
    run = base / config.run
    checkpoint = run / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise ConfigError(
            f"{run} holds a run already: --resume goes on with it; the key run names another folder"
        )
    if (run / WEIGHTS).exists() and not checkpoint.exists():
        raise ConfigError(
            f"{run} holds a run's {WEIGHTS} without its {CHECKPOINT}: put that back, or name "
            f"another folder"
        )
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{run} cannot be made: {error.strerror}") from error
    if config.threads:
        torch.set_num_threads(config.threads)
    fabric = start_fabric(config.precision)
    with open_report(run, enabled=fabric.is_global_zero) as report:
        if resume and not checkpoint.exists():
            log.warning("there is no run in %s to resume: it starts from the beginning", run)
        return _train(config, base, fabric, report)


def _train(config: TrainConfig, base: Path, fabric: Fabric, report: Report | None) -> Network:
    """The run of one process; the one with a report validates and saves."""
    run, root = base / config.run, base / config.data.root
    checkpoint = run / CHECKPOINT
    per_step = config.accumulate * fabric.world_size
    cache = base / config.data.cache if config.data.cache else None
    batches = Batches(config.data, root, config.seed, per_step=per_step, cache=cache)
    sets = config.validation if report is not None else ()
    validation = {v.name: load_validation_set(v, root) for v in sets}
    objective = Objective(config, base, fabric.device)
    state = _start(config, fabric)
    if checkpoint.exists():
        state.load(checkpoint)
        log.info("resumed after step %d", state.step)
        if state.step >= config.steps:
            log.warning("all %d steps are done: raise steps to go on", config.steps)
        if state.scaler:  # a run in another precision has none
            fabric.strategy.precision.load_state_dict(state.scaler)
    net = fabric.setup(Restoration(state.net), move_to_device=False)
    steppers: list[Any] = [fabric.setup_optimizers(o.inner) for o in state.optimisers]
    if report is not None:
        report.start(config, state.step, _device_name(fabric))
        batches.fill_cache()
    fabric.barrier()
    started, seen = time.monotonic(), defaultdict[str, list[float]](list)
    first, end = state.step * per_step + fabric.global_rank, config.steps * per_step
    numbers = range(first, end, fabric.world_size)  # of this process's batches
    crops = loading(batches, numbers, config.workers, prefetch=16)
    with stop_on_signal() as stop, crops as loader:
        while state.step < config.steps:
            # Gradients of as many batches as make a step.
            step_batches, measured = [], []
            net.zero_grad(set_to_none=True)
            for number in range(config.accumulate):
                noisy, target = (_to_device(part, fabric) for part in next(loader))
                index = (state.step * config.accumulate + number) * fabric.world_size
                z = draw_z(state.net, noisy, _seed(config.seed, index + fabric.global_rank))
                with fabric.no_backward_sync(net, enabled=number + 1 < config.accumulate):
                    restored, code = net(noisy, z)
                    terms = objective.terms(restored, code, target, state.adversary)
                    loss = torch.stack(list(terms.values())).sum()
                    fabric.backward(loss / config.accumulate)
                step_batches.append((noisy, target, restored.detach(), loss.detach()))
                measured.append(torch.stack([loss, *terms.values()]).detach())

            # Is everything a number? Do all processes go on?
            values = torch.stack(measured).mean(0)
            values, stopping = agree(fabric, values, stop.requested)
            for optimiser in state.optimisers:
                fabric.strategy.precision.unscale_gradients(optimiser.inner)
            norm = nn.utils.clip_grad_norm_(state.net.parameters(), config.gradient_clip)
            # In fp16 an infinite gradient only means a smaller loss scale for the next step.
            if not values[0].isfinite() or not (norm.isfinite() or loss_scaler(fabric)):
                raise TrainingError(_save_bad_batch(run, state, fabric, step_batches))

            # The step.
            rate = learning_rate(state.step, config)
            for optimiser, stepper in zip(state.optimisers, steppers, strict=True):
                for group in optimiser.inner.param_groups:
                    group["lr"] = rate
                stepper.step()
            state.step += 1
            _average(state.average, state.net, min(config.ema_decay, state.step / (state.step + 9)))
            if state.adversary is not None:
                pictures = [(target, restored) for _, target, restored, _ in step_batches]
                seen["discriminator"].append(state.adversary.learn(pictures))
            state.scaler = update_loss_scale(fabric)
            for name, value in zip(("loss", *terms), values.tolist(), strict=True):
                seen[name].append(value)
            if math.isfinite(norm):  # in fp16 now and then it is not, and the step is left out
                seen["gradient_norm"].append(float(norm))

            # Validate and save.
            done = stopping or state.step == config.steps
            validating = state.step % config.validate_every == 0 or done
            saving = state.step % config.checkpoint_every == 0 or done
            if report is not None and (validating or saving):
                copy_averaged_weights(state.optimisers, state.net, state.average)
            if report is not None and saving:
                # Before validation, which may be long: who asks for an end may not wait.
                state.save(checkpoint)
                save_weights(state.average, run / WEIGHTS, state.step)
            if report is not None and validating:
                scalars = {name: float(np.mean(values)) for name, values in seen.items()}
                scalars["learning_rate"] = rate
                scalars["seconds_per_step"] = (time.monotonic() - started) / len(seen["loss"])
                scores = {k: validate(state.average, pairs) for k, pairs in validation.items()}
                samples = {k: sample_strip(state.average, p[0]) for k, p in validation.items()}
                report.validation(state.step, scalars, scores, samples)
            if validating:
                started, seen = time.monotonic(), defaultdict(list)
            if stopping:
                log.warning("stopped after step %d; the checkpoint is complete", state.step)
                break
    return state.average


def _start(config: TrainConfig, fabric: Fabric) -> State:
    """A fresh network, the same in every process."""
    torch.manual_seed(config.seed)
    net = build_network(config.network)
    net.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(net).requires_grad_(False)
    keep_images_in_float32(net)
    adversary = Adversary(config.loss, fabric) if config.loss.adversarial_weight else None
    return State(net, average, make_optimisers(net, config), adversary)


def _to_device(batch: Tensor, fabric: Fabric) -> Tensor:
    return batch.to(fabric.device, memory_format=torch.channels_last, non_blocking=True)


def _seed(seed: int, index: int) -> int:
    """One seed of two numbers, for what is drawn beside a batch."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0] >> 1)


@torch.no_grad()
def _average(average: nn.Module, net: nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(value, 1.0 - decay)


def _device_name(fabric: Fabric) -> str:
    device = fabric.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{fabric.world_size} × {name}"


def _save_bad_batch(
    run: Path, state: State, fabric: Fabric, step_batches: Sequence[tuple[Tensor, ...]]
) -> str:
    """Keep what led to a loss or gradient that is no number; returns the message about it."""
    path = run / f"bad-batch-{fabric.global_rank}.pt"
    noisy, target, _, losses = (list(part) for part in zip(*step_batches, strict=True))
    content = {"step": state.step, "noisy": noisy, "target": target, "losses": losses}
    write_pickle({**content, "net": state.net.state_dict()}, path)
    return (
        f"the loss or its gradient is not a number after step {state.step} (losses "
        f"{[round(loss.item(), 5) for loss in losses]}): the batch and the weights are in {path}; "
        f"the last checkpoint is as it was. A lower learning_rate or gradient_clip, or precision "
        f"fp32, may help"
    )
