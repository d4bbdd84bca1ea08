"""Our models through OpenVINO's own runtime: how fast they could be, and what that would cost.

Not a way to use them (ONNX Runtime is); only a reference for `speed.py`. It needs the package
``openvino``, not ONNX Runtime's provider of that name.
"""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from invdn.denoiser import Denoiser
from invdn.runtime import WEIGHTS, Model, load_model

#: Outputs of the two graphs of a model → the inputs that they are computed from.
_INPUTS = {
    ("coarse", "detail"): ("image", "strength"),
    ("restored",): ("coarse_part", "detail_part", "strength"),
}


def load(model: str | os.PathLike[str], precision: str, threads: int) -> Denoiser:
    """A denoiser with the same tiles as `invdn.load`, and as many at once.

    Args:
        model: a shipped model's name, or the path of an ``.onnx`` file, of two graphs.
        precision: "f32" or "bf16", as OpenVINO names them.
        threads: in all.
    """
    by_onnx_runtime = load_model(model, device="cpu", threads=threads)
    info = dataclasses.replace(by_onnx_runtime.info, device="openvino")
    if not info.fine_halo:
        raise ValueError(f"{model} is one graph; two are expected")
    path = Path(model) if Path(model).suffix == ".onnx" else WEIGHTS / f"{model}.onnx"
    alone = _Session(path, precision, threads, streams=1)
    shared = _Session(path, precision, threads, streams=info.at_once)
    return Denoiser(Model(alone, None, info, lambda: shared))


class _Session:
    """What `invdn.runtime.Model` uses of an ONNX Runtime session.

    Each shape of the inputs is compiled for itself, when it is first seen.
    """

    def __init__(self, path: Path, precision: str, threads: int, streams: int) -> None:
        self._path = path
        self._core = openvino.Core()
        self._options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
        }
        self._compiled: dict[object, Any] = {}
        #: Requests that are not running; each has memory of its own.
        self._idle: dict[object, list[Any]] = defaultdict(list)

    def get_inputs(self) -> list[SimpleNamespace]:
        inputs = self._core.read_model(self._path).inputs
        return [
            SimpleNamespace(
                name=value.any_name,
                shape=[size.get_max_length() for size in value.partial_shape],
            )
            for value in inputs
        ]

    def run(
        self, outputs: list[str], feed: Mapping[str, npt.NDArray[np.float32]], options: object
    ) -> list[npt.NDArray[np.float32]]:
        wanted = {name: feed[name] for name in _INPUTS[tuple(outputs)]}
        key = tuple(outputs), *(array.shape for array in wanted.values())
        if key not in self._compiled:
            self._compiled[key] = self._compile(outputs, wanted)
        idle = self._idle[key]
        request = idle.pop() if idle else self._compiled[key].create_infer_request()
        found = request.infer(wanted, share_inputs=True)
        copies = [np.array(found[name]) for name in outputs]
        idle.append(request)
        return copies

    def _compile(self, outputs: list[str], inputs: Mapping[str, npt.NDArray[np.float32]]) -> Any:
        whole = self._core.read_model(self._path)
        results = {value.any_name: value.get_node() for value in whole.outputs}
        parameters = {value.any_name: value.get_node() for value in whole.inputs}
        graph = openvino.Model(
            [results[name] for name in outputs], [parameters[name] for name in inputs], "graph"
        )
        graph.reshape({name: list(array.shape) for name, array in inputs.items()})
        return self._core.compile_model(graph, "CPU", self._options)
