"""What changes during a run, and how it is kept: checkpoints to resume, weights to export."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from invdn.training.objective import Adversary, Network, Restoration, draw_z
from invdn.training.optimise import Optimiser

log = logging.getLogger(__name__)

#: Everything that a resumed run needs.
CHECKPOINT = "checkpoint.pt"
#: The averaged weights, for ``invdn export``.
WEIGHTS = "weights.safetensors"

#: Largest difference between devices and PyTorch's versions in what a network makes of an image.
PROBE_TOLERANCE = 1e-2

#: What an optimiser's groups take from the settings rather than from a checkpoint.
_FROM_SETTINGS = ("lr", "betas", "weight_decay", "eps", "momentum")


@dataclass
class State:
    """What changes during a run.

    There is no random state: all that is drawn is a function of the seed and the step.
    """

    net: Network
    average: Network
    """Its averaged weights, which are validated and exported."""
    optimisers: list[Optimiser]
    adversary: Adversary | None = None
    step: int = 0
    """Optimiser steps done."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """Of fp16's loss scale; empty in other precisions."""

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all.

        Raises OSError.
        """
        content: dict[str, Any] = {
            "step": self.step,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": {
                o.kind: {"state": o.inner.state_dict(), "parameters": list(o.parameters)}
                for o in self.optimisers
            },
            "scaler": self.scaler,
            "probe": _probe(self.average),
        }
        if self.adversary is not None:
            content["discriminator"] = self.adversary.net.state_dict()
            content["discriminator_optimiser"] = self.adversary.optimiser.state_dict()
        write_pickle(content, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; what it does not hold starts afresh, and the log says so.

        A network that has gained parts since is resumed too: only the new parts start afresh.

        Raises:
            ValueError: where the file is no checkpoint, an incomplete one, or one of another
                network.
        """
        try:
            # What belongs on another device is copied there, and what does not, as Adam's numbers
            # of steps, would have to be fetched from there in every step.
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file comes to; PyTorch's own text misleads
            raise ValueError(
                f"{path} is damaged, or no checkpoint: put a copy back, or name another run"
            ) from error
        try:
            self._take(content)
        except KeyError as error:
            raise ValueError(
                f"{path} is not a checkpoint of this network: {error} is missing"
            ) from None
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            # PyTorch names every tensor that does not fit, a line each, below a heading.
            lines = [line.strip() for line in str(error).splitlines()] or [type(error).__name__]
            what = lines[min(1, len(lines) - 1)]
            raise ValueError(f"{path} is not a checkpoint of this network: {what}") from None

    def _take(self, content: Mapping[str, Any]) -> None:
        """Go on from what :meth:`save` writes; anything else ends in whatever error it leads to."""
        fresh = _load_network(self.net, content["net"])
        _load_network(self.average, content["average"])
        if fresh:
            log.warning("not in the checkpoint, so they start afresh: %s", ", ".join(fresh))
        elif "probe" in content and not torch.allclose(
            _probe(self.average), content["probe"].cpu(), atol=PROBE_TOLERANCE
        ):
            log.warning(
                "the network computes something else than when the checkpoint was written: "
                "its weights are a start only, and the run is not the one it was"
            )
        self.step = content["step"]
        if not isinstance(self.step, int) or self.step < 0:
            raise TypeError(f"its step is {self.step!r}")
        self.scaler = content.get("scaler", {})
        saved = content["optimisers"]
        for optimiser in self.optimisers:
            if optimiser.kind in saved:
                _load_optimiser(optimiser, **saved[optimiser.kind])
            else:
                kinds = " and ".join(saved)
                log.warning("the checkpoint has %s: %s starts afresh", kinds, optimiser.kind)
        if self.adversary is not None:
            if "discriminator" in content:
                self.adversary.net.load_state_dict(content["discriminator"])
                self.adversary.optimiser.load_state_dict(content["discriminator_optimiser"])
            else:
                log.warning("the checkpoint has no discriminator: it starts afresh")


@torch.no_grad()
def _probe(net: Network) -> Tensor:
    """What a network makes of a fixed picture: tells whether its definition has changed."""
    side = 4 * net.multiple
    noisy = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    noisy = noisy.to(next(net.parameters()).device)
    restored: Tensor = Restoration(net)(noisy, draw_z(net, noisy, seed=0))[0]
    return restored.cpu()


def _load_network(net: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Load a state dict that may lack parts of the network; returns the keys that it lacks."""
    missing, unexpected = net.load_state_dict(state, strict=False)
    if unexpected or len(missing) == len(net.state_dict()):
        keys = ", ".join((unexpected or missing)[:3])
        raise RuntimeError(f"it has other parts, such as {keys}")
    return list(missing)


def _load_optimiser(
    optimiser: Optimiser, state: Mapping[str, Any], parameters: Sequence[str]
) -> None:
    """Load an optimiser's state, found by the parameters' names rather than by their order."""
    numbers = {name: number for number, name in enumerate(parameters)}
    found = {
        number: state["state"][numbers[name]]
        for number, name in enumerate(optimiser.parameters)
        if numbers.get(name) in state["state"]
    }
    (group,) = optimiser.inner.state_dict()["param_groups"]
    (saved_group,) = state["param_groups"]
    kept = {key: group[key] for key in (*_FROM_SETTINGS, "params") if key in group}
    optimiser.inner.load_state_dict(
        {"state": found, "param_groups": [{**group, **saved_group, **kept}]}
    )


def save_weights(net: nn.Module, path: Path, step: int) -> None:
    """Write a network's weights as safetensors, whole or not at all.

    Raises OSError.
    """
    write_tensors(net.state_dict(), path, {"step": str(step)})


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write safetensors, whole or not at all; the folder is made if it is not there.

    Raises OSError.
    """
    # Not by save_file: nobody else may read what that writes, whatever the system is told.
    _write(save({k: v.cpu().contiguous() for k, v in tensors.items()}, dict(metadata)), path)


def write_pickle(content: object, path: Path) -> None:
    """Write what ``torch.load`` reads, whole or not at all; the folder is made if need be.

    Raises OSError.
    """
    # Not to the file itself: of a full disk PyTorch only tells that something failed.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    _write(buffer.getbuffer(), path)


def _write(content: bytes | memoryview, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
