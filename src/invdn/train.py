"""Training: one loop, from a settings file to checkpoints."""

from __future__ import annotations

import copy
import json
import logging
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from invdn.config import ConfigError, TrainConfig, load_config
from invdn.data.batches import Batches
from invdn.data.pairs import Pair, load_pairs
from invdn.data.patches import Pixels, to_tensor
from invdn.metrics import psnr
from invdn.net.invdn import InvDN
from invdn.net.losses import charbonnier

log = logging.getLogger(__name__)

#: Everything that a resumed run needs.
CHECKPOINT = "checkpoint.pt"
#: The averaged weights, for ``invdn export``.
WEIGHTS = "weights.safetensors"


def train_from_config_file(path: Path, resume: bool = False) -> None:
    """Train as a settings file says.

    Raises:
        ConfigError: where the settings or the data that they name cannot be used, or the run's
            folder already holds a run that is not to be resumed.
    """
    config = load_config(path)
    base = path.resolve().parent
    try:
        train(config, base, resume)
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def train(config: TrainConfig, base: Path, resume: bool = False) -> InvDN:
    """Train a network.

    Args:
        config: All settings.
        base: Folder that the settings' paths are relative to.
        resume: Go on from the checkpoint in the run's folder, if there is one.

    Returns:
        The network with averaged weights.
    """
    run = base / config.run
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{run} holds a run already: resume it, or name another folder")
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    root = base / config.data.root
    batches = Batches(config.data, root, config.seed)
    validation = {
        v.name: load_pairs(root / v.folder, crop_px=v.crop_px, sigma_8bit=v.sigma_8bit)
        for v in config.validation
    }
    state = _start(config, device)
    if checkpoint.exists():
        state.load(checkpoint, device)
        log.info("resumed after step %d", state.step)

    use_bf16 = _use_bf16(config.precision, device)
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(state.step, config.steps),
        num_workers=config.workers,
        prefetch_factor=16 if config.workers else None,
        # A fork would copy libvips without its threads, and hang.
        multiprocessing_context="spawn" if config.workers else None,
        worker_init_fn=_prepare_worker,
    )
    started, losses = time.monotonic(), []
    with _stop_on_signal() as stop:
        for noisy, target in loader:
            noisy = _to_device(noisy, device)
            target = _to_device(target, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16):
                restored = state.net.denoise(noisy)
            loss = charbonnier(restored.float(), target, config.charbonnier_epsilon)
            state.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(state.net.parameters(), config.gradient_clip)
            for group in state.optimiser.param_groups:
                group["lr"] = learning_rate(state.step, config)
            state.optimiser.step()
            state.step += 1
            _average(state.average, state.net, min(config.ema_decay, state.step / (state.step + 9)))
            losses.append(loss.item())

            done = stop.requested or state.step == config.steps
            if state.step % config.validate_every == 0 or done:
                scores = {k: validate(state.average, pairs) for k, pairs in validation.items()}
                seconds = (time.monotonic() - started) / len(losses)
                _report(run, state.step, float(np.mean(losses)), seconds, scores)
                started, losses = time.monotonic(), []
            if state.step % config.checkpoint_every == 0 or done:
                state.save(checkpoint)
                save_weights(state.average, run / WEIGHTS, state.step)
            if stop.requested:
                log.warning("stopped after step %d; the checkpoint is complete", state.step)
                break
    return state.average


@dataclass
class _State:
    """What changes during a run."""

    net: InvDN
    average: InvDN
    optimiser: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        torch.save(
            {
                "step": self.step,
                "net": self.net.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
            temporary,
        )
        temporary.replace(path)

    def load(self, path: Path, device: torch.device) -> None:
        content = torch.load(path, map_location=device, weights_only=True)
        self.step = content["step"]
        self.net.load_state_dict(content["net"])
        self.average.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])


def _start(config: TrainConfig, device: torch.device) -> _State:
    net = InvDN(config.network.resolved())
    net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    return _State(net, copy.deepcopy(net).requires_grad_(False), optimiser)


def learning_rate(step: int, config: TrainConfig) -> float:
    """The learning rate of a step: a linear warm-up, then half a cosine to the end."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    span = config.learning_rate - config.final_learning_rate
    return config.final_learning_rate + span * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def validate(net: InvDN, pairs: list[Pair]) -> dict[str, float]:
    """Mean PSNR of the network's 8-bit output, the input's, and the least gain of any pair, dB."""
    before = np.array([psnr(p.noisy, p.clean) for p in pairs])
    after = np.array([psnr(denoise_8bit(net, p.noisy), p.clean) for p in pairs])
    return {
        "psnr": float(after.mean()),
        "noisy": float(before.mean()),
        "least_gain": float((after - before).min()),
    }


@torch.inference_mode()
def denoise_8bit(net: InvDN, pixels: Pixels) -> Pixels:
    """Restore ``[H, W, 3]`` of 8 bits in one piece, padded by reflection to the net's multiple."""
    height, width = pixels.shape[:2]
    pad = [(0, -height % net.multiple), (0, -width % net.multiple), (0, 0)]
    device = next(net.parameters()).device
    noisy = _to_device(to_tensor([np.pad(pixels, pad, mode="reflect")]), device)
    restored = net.denoise(noisy)[0, :, :height, :width]
    rounded = (restored.clamp(0.0, 1.0) * 255.0).round().byte()
    return rounded.permute(1, 2, 0).cpu().numpy()


def save_weights(net: InvDN, path: Path, step: int) -> None:
    """Write a network's weights as safetensors, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    tensors = {k: v.cpu().contiguous() for k, v in net.state_dict().items()}
    save_file(tensors, temporary, metadata={"step": str(step)})
    temporary.replace(path)


@torch.no_grad()
def _average(average: nn.Module, net: nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(value, 1.0 - decay)


def _prepare_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C reaches the whole process group; only the training loop is to act on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _to_device(batch: Tensor, device: torch.device) -> Tensor:
    return batch.to(device, memory_format=torch.channels_last, non_blocking=True)


def _use_bf16(precision: str, device: torch.device) -> bool:
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Elsewhere bf16 convolutions are emulated, and slower than fp32.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _report(
    run: Path, step: int, loss: float, seconds: float, scores: dict[str, dict[str, float]]
) -> None:
    table = "  ".join(
        f"{name} {s['psnr']:.2f} (worst gain {s['least_gain']:+.2f})" for name, s in scores.items()
    )
    log.info("step %d  loss %.5f  %.3f s/step  %s", step, loss, seconds, table)
    entry = {"step": step, "loss": loss, "seconds_per_step": seconds, "scores": scores}
    with (run / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


class _Stop:
    requested = False


@contextmanager
def _stop_on_signal() -> Iterator[_Stop]:
    """Turn the first SIGINT or SIGTERM into a request to finish the step and save."""
    stop = _Stop()

    def request(number: int, frame: object) -> None:
        stop.requested = True

    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {s: signal.signal(s, request) for s in signals}
    try:
        yield stop
    finally:
        for s, handler in previous.items():
            signal.signal(s, handler)
