"""How a run is launched and ended: processes, devices, precision, signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor

from invdn.config import ConfigError


def start_fabric(precision: str) -> Fabric:
    """One process, or this one of those that torchrun started; on GPUs where there are any.

    Raises:
        ConfigError: where the device does not compute in the precision.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", str(processes)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "fp16" and device == "cpu":
        raise ConfigError("precision fp16 needs a GPU; bf16 and fp32 do not")
    if precision == "auto":
        precision = "bf16" if _computes_in_bf16(device) else "fp32"
    names: dict[str, Any] = {"bf16": "bf16-mixed", "fp16": "16-mixed"}
    fabric = Fabric(
        accelerator=device,
        devices=here,
        num_nodes=processes // here,
        strategy="ddp" if processes > 1 else "auto",
        plugins=[_Autocast(names[precision], device)] if precision in names else None,
    )
    fabric.launch()
    return fabric


class _Autocast(MixedPrecision):
    """Autocast, as in plain PyTorch: the images themselves stay in float32."""

    def convert_input(self, data: Any) -> Any:
        return data


def _computes_in_bf16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Elsewhere bf16 convolutions are emulated, and slower than fp32.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def agree(fabric: Fabric, values: Tensor, stop: bool) -> tuple[Tensor, bool]:
    """The mean of each value over all processes, and whether any of them is to stop.

    All processes must stop after the same step, whichever of them got the signal; and a NaN
    anywhere is a NaN everywhere.
    """
    if fabric.world_size == 1:
        return values, stop
    flag = values.new_tensor([float(stop)])
    means = fabric.all_reduce(torch.cat((values, flag)), reduce_op="mean")
    assert isinstance(means, Tensor)
    return means[:-1], bool(means[-1] > 0)


class Stop:
    """Whether the run was asked to end."""

    requested = False


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Turn SIGINT (Ctrl-C) and SIGTERM into a request to finish the step and save."""
    stop = Stop()

    def request(number: int, frame: object) -> None:
        stop.requested = True

    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {s: signal.signal(s, request) for s in signals}
    try:
        yield stop
    finally:
        for s, handler in previous.items():
            signal.signal(s, handler)


def prepare_worker(_: int) -> None:
    """Set a process up that makes crops: one thread, and no ear for signals.

    They may reach the whole process group; only the training loop is to act on them.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
