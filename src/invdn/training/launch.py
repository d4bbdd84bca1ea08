"""How a run is launched and ended: processes, devices, precision, signals."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from invdn.config import ConfigError
from invdn.net.haar import Haar, SmoothHaar

log = logging.getLogger(__name__)

Batch = TypeVar("Batch")
Wavelet = Haar | SmoothHaar

#: A signal that comes again so soon is the same one: it may reach a process by itself and with its
#: group (``timeout`` sends both).
SAME_SIGNAL_SECONDS = 1.0


class TrainingError(Exception):
    """A run cannot go on; the message is one line."""

    @classmethod
    def of_system(cls, error: OSError, about: object) -> TrainingError:
        """What the system refused: of its file, or where it names none of ``about``."""
        return cls(f"{error.filename or about}: {error.strerror or error}")


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
    """Autocast, as in plain PyTorch: the images themselves stay in float32.

    A step of several optimisers ends with one :func:`update_loss_scale`. An update after each
    would make those that are left forget that their gradients are unscaled already.
    """

    def convert_input(self, data: Any) -> Any:
        return data

    def optimizer_step(self, optimizer: Any, **kwargs: Any) -> Any:
        if self.scaler is None:
            return super().optimizer_step(optimizer, **kwargs)
        return self.scaler.step(optimizer, **kwargs)


def loss_scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """What scales the loss in fp16; None in other precisions."""
    return getattr(fabric.strategy.precision, "scaler", None)


def update_loss_scale(fabric: Fabric) -> dict[str, Any]:
    """End a step: the loss scale is adapted to its gradients. Returns its state, to be resumed."""
    if (scaler := loss_scaler(fabric)) is not None:
        scaler.update()
    return fabric.strategy.precision.state_dict()


def keep_images_in_float32(
    net: nn.Module,
    analysis: Callable[[Tensor], Tensor] | None = None,
    synthesis: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """Exempt a network's wavelets from autocast: an image rounded to bf16 has noise of its own.

    On GPUs that would round it to TensorFloat-32, convolutions in float32 no longer do, in the
    whole process.

    ``analysis`` and ``synthesis``: other ways to compute :class:`SmoothHaar`'s.
    """

    def exempt(wavelet: Wavelet, method: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
        def wrapped(_: Wavelet, x: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                return method(x.float())

        return types.MethodType(wrapped, wavelet)

    torch.backends.cudnn.allow_tf32 = False
    for module in net.modules():
        if isinstance(module, Haar | SmoothHaar):
            given = (analysis, synthesis) if isinstance(module, SmoothHaar) else (None, None)
            forward = exempt(module, given[0] or module.forward)
            inverse = exempt(module, given[1] or module.inverse)
            module.forward, module.inverse = forward, inverse  # type: ignore[method-assign]


def _computes_in_bf16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
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
    """Turn SIGINT (Ctrl-C) and SIGTERM into a request to finish the step and save.

    A second one ends the block with KeyboardInterrupt.
    """
    stop, asked = Stop(), 0.0

    def request(number: int, frame: object) -> None:
        nonlocal asked
        if not stop.requested:
            stop.requested, asked = True, time.monotonic()
            log.warning("finishing the step; once more ends at once")
        elif time.monotonic() - asked > SAME_SIGNAL_SECONDS:
            raise KeyboardInterrupt

    with _handling(request, "SIGINT", "SIGTERM"):
        yield stop


@contextmanager
def _handling(handler: Any, *names: str) -> Iterator[None]:
    """Handle signals so within the block; only the main thread can, others leave them alone."""
    here = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in names if here and hasattr(signal, name)]
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


@contextmanager
def deaf() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM, and with this process those that it starts within the block.

    They inherit it, and so hear nothing from their first moment on: long before they come to
    :func:`prepare_worker`.
    """
    with _handling(signal.SIG_IGN, "SIGINT", "SIGTERM"):
        yield


def prepare_worker(_: int) -> None:
    """Set a process up that makes crops: one thread, and no ear for signals.

    They may reach the whole process group; only the training loop is to act on them.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def loading(
    batches: Dataset[Batch],
    numbers: Iterable[int],
    workers: int,
    *,
    prefetch: int,
    prepare: Callable[[int], None] = prepare_worker,
) -> Iterator[Iterator[Batch]]:
    """Batches by number, in order; the processes that make them, if any, end with the block.

    Args:
        batches: What makes them.
        numbers: Which.
        workers: Processes; 0 makes the batches in this one.
        prefetch: Batches that each process is ahead.
        prepare: Called in each process with its number, from 0 on.

    Raises:
        FileNotFoundError, ValueError: as the batches, with a message of one line.
        TrainingError: where a process fails in another way, or is killed.
    """
    leaving = False
    before = multiprocessing.active_children()
    with deaf():
        loader: Iterator[Batch] = iter(
            DataLoader(
                batches,
                batch_size=None,
                sampler=takewhile(lambda _: not leaving, numbers),
                num_workers=workers,
                prefetch_factor=prefetch if workers else None,
                # A fork would copy libvips without its threads, and hang.
                multiprocessing_context="spawn" if workers else None,
                worker_init_fn=prepare,
            )
        )
    started = [child for child in multiprocessing.active_children() if child not in before]
    try:
        yield loader
        # Only a loader that has reached its end tells the processes to leave.
        leaving = True
        with suppress(Exception):  # nobody wants these batches
            for _ in loader:
                pass
    except Exception as error:
        if "DataLoader worker" in str(error):
            raise _of_worker(error) from error
        raise
    finally:
        # Whoever is left ignores signals, and Python would wait for it for ever when it exits.
        # PyTorch's own handler would raise an error for each.
        with _handling(signal.SIG_DFL, "SIGCHLD"):
            for process in started:
                process.kill()
            for process in started:
                process.join()


def _of_worker(error: Exception) -> Exception:
    """What a worker died of, in one line; PyTorch appends its whole traceback."""
    line = [line for line in str(error).splitlines() if line.strip()][-1].strip()
    if isinstance(error, FileNotFoundError | ValueError):
        return type(error)(line.partition(": ")[2] or line)
    return TrainingError(f"a process that makes crops failed: {line}")
