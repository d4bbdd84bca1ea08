"""A model in OpenVINO's own runtime, on the processor, in place of an ONNX Runtime session.

Where the processor computes in bfloat16 (AMX, AVX512-BF16), the convolutions that make the
posteriors' estimates do so, and are four times as fast. All that carries the image itself stays
in float32: the wavelets, the couplings, the gates and the strength. So ``f`` and ``f⁻¹`` cancel as
before, strength 0 stays the identity, and an estimate of the noise that is off by one part in a
few hundred does not show. OpenVINO's own setting for bfloat16 makes no such difference; here
conversions are put into the graph, around what is named ``posteriors.…``, ``surveys.…`` and
``hints.…`` in the model file. A model without such names runs in float32.

OpenVINO is imported when the first session is made, not before.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What the weights of convolutions are called that are computed in bfloat16.
ESTIMATES = ("posteriors.", "surveys.", "hints.")

#: Graphs that are kept, each for inputs of one shape.
KEPT_GRAPHS = 12

#: A part of a graph's input should be a multiple of this many positions wide: at widths that are
#: prime, bfloat16 convolutions take twice the time.
WIDTH_MULTIPLE = 16

#: What the weights of convolutions are called that pick channels.
_PICKING = "picking"

_TELEMETRY = "openvino_telemetry"


class OpenVinoError(Exception):
    """OpenVINO is not installed; the message is one line."""


class OpenVinoSession:
    """What :class:`invdn.runtime.Model` uses of an ONNX Runtime session; for several threads.

    Each graph is compiled anew for each shape of its inputs, which takes a tenth to a third of a
    second; an image's tiles have one shape, or few. Graphs for any shape are a quarter slower, and
    OpenVINO then cuts numbers off where it should round them to bfloat16.
    """

    def __init__(self, content: bytes, threads: int, streams: int = 1) -> None:
        """Of a model file's content; ``streams`` runs at a time share the threads.

        Raises OpenVinoError where there is no OpenVINO, RuntimeError where that cannot read it.
        """
        self._openvino = _import_openvino()
        self._core = self._openvino.Core()
        self._model = self._core.read_model(content)
        native = self._core.get_property("CPU", "INFERENCE_PRECISION_HINT")
        #: Whether this processor has the arithmetic, not only OpenVINO an emulation of it.
        self.in_bfloat16: bool = native == self._openvino.Type.bf16 and any(
            _is_estimate(node) for node in self._model.get_ops()
        )
        self._options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Several processes may work at once, and would all be given the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._lock = threading.Lock()
        #: Least recently used first.
        self._graphs: dict[object, _Graph] = {}

    def get_inputs(self) -> list[SimpleNamespace]:
        """Name, type and shape of each, as ONNX Runtime has them."""
        return [_described(value) for value in self._model.inputs]

    def get_outputs(self) -> list[SimpleNamespace]:
        """Name, type and shape of each, as ONNX Runtime has them."""
        return [_described(value) for value in self._model.outputs]

    def get_modelmeta(self) -> SimpleNamespace:
        """With the file's own description, a dictionary of texts."""
        # A file without a description has no such entry.
        there = self._model.has_rt_info("framework")
        fields = self._model.get_rt_info("framework").value if there else {}
        texts = {name: str(value) for name, value in fields.items()}
        return SimpleNamespace(custom_metadata_map=texts)

    def run(
        self,
        outputs: Sequence[str],
        feed: Mapping[str, NDArray[np.float32]],
        options: object = None,
    ) -> list[NDArray[np.float32]]:
        """Compute outputs from inputs; inputs that they do not depend on are not looked at.

        The results are there until the same thread asks for the same outputs again.
        """
        key = tuple(outputs), *((name, array.shape) for name, array in sorted(feed.items()))
        # Two threads that want the same graph had better not both compile it.
        with self._lock:
            graph = self._graphs.pop(key, None) or self._compiled(outputs, feed)
            self._graphs[key] = graph
            if len(self._graphs) > KEPT_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
        return graph.run(outputs, feed)

    def release_memory(self) -> None:
        """Give working memory back to the system; the next runs take it again."""
        with self._lock:
            graphs = list(self._graphs.values())
        for graph in graphs:
            graph.release_memory()

    def _compiled(self, outputs: Sequence[str], feed: Mapping[str, NDArray[np.float32]]) -> _Graph:
        model = self._part(outputs, feed)
        if self.in_bfloat16:
            _pick_by_convolutions(model)
            _estimate_in_bfloat16(model)
        return _Graph(self._core.compile_model(model, "CPU", self._options))

    def _part(self, outputs: Sequence[str], feed: Mapping[str, NDArray[np.float32]]) -> Any:
        """What computes these outputs from inputs of these shapes, an ``openvino.Model``."""
        from openvino.passes import ConstantFolding, Manager

        whole = self._model.clone()
        results = [whole.output(name).get_node() for name in outputs]
        model = self._openvino.Model(results, _parameters_of(results), "graph")
        model.reshape({name: list(feed[name].shape) for name in map(_name, model.inputs)})
        folding = Manager()
        folding.register_pass(ConstantFolding())  # biases are shaped by computations of their own
        folding.run_passes(model)
        return model


class _Graph:
    """A part of a model, for inputs of one shape."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._inputs = [_name(value) for value in compiled.inputs]
        #: A request a thread; each has inputs and outputs of its own.
        self._requests = threading.local()

    def run(
        self, outputs: Sequence[str], feed: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """See :meth:`OpenVinoSession.run`."""
        requests = self._requests
        if not hasattr(requests, "request"):
            requests.request = self._compiled.create_infer_request()
        found = requests.request.infer(
            {name: feed[name] for name in self._inputs}, share_inputs=True, share_outputs=True
        )
        return [found[name] for name in outputs]

    def release_memory(self) -> None:
        self._requests = threading.local()
        with contextlib.suppress(RuntimeError):  # another thread runs it at this moment
            self._compiled.release_memory()


def _pick_by_convolutions(model: Any) -> None:
    """Have channels picked by 1×1 convolutions, whose weights are 0 and 1: exact, and faster.

    OpenVINO has channels last, and its slices and splits then take three times as long.
    """
    from openvino import opset13

    for node in model.get_ordered_ops():
        if node.get_type_name() not in ("Slice", "Split"):
            continue
        channels = node.input_value(0).get_shape()[1]
        identity = np.eye(channels, dtype=np.float32)[:, :, None, None]
        if node.get_type_name() == "Slice":
            start, stop, step, axis = (
                int(node.input_value(place).get_node().get_data()[0]) for place in range(1, 5)
            )
            picked = [identity[start:stop:step]]
        else:
            axis = int(node.input_value(1).get_node().get_data())
            picked = np.split(identity, node.get_output_size())
        if axis != 1:
            continue
        for number, values in enumerate(picked):
            weights = opset13.constant(values, name=_PICKING)
            part = opset13.convolution(node.input_value(0), weights, [1, 1], [0, 0], [0, 0], [1, 1])
            for value in node.output(number).get_target_inputs():
                value.replace_source_output(part.output(0))
    model.validate_nodes_and_infer_types()


def _estimate_in_bfloat16(model: Any) -> None:
    """Have the convolutions of :data:`ESTIMATES`, and what is between them, done in bfloat16.

    So is picking some of their channels.

    What these operations take is converted, and what others take of them is converted back.
    """
    import openvino
    from openvino import opset13

    chosen = _in_bfloat16(model.get_ordered_ops())
    converted: dict[object, Any] = {}
    for node in chosen.values():
        for value in node.inputs():
            source = value.get_source_output()
            key = _key(source.get_node()), source.get_index()
            if key[0] in chosen or source.get_element_type() != openvino.Type.f32:
                continue
            if key not in converted:
                converted[key] = opset13.convert(source, "bf16")
            value.replace_source_output(converted[key].output(0))
    for node in chosen.values():
        others = [
            value
            for value in node.output(0).get_target_inputs()
            if _key(value.get_node()) not in chosen
        ]
        if others:
            back = opset13.convert(node.output(0), "f32")
            for value in others:
                value.replace_source_output(back.output(0))
    model.validate_nodes_and_infer_types()


def _in_bfloat16(nodes: Sequence[Any]) -> dict[object, Any]:
    """Of nodes in the order of computation those that are done in bfloat16, by their key."""
    chosen: dict[object, Any] = {}
    for node in nodes:
        if _is_estimate(node) or (
            (node.get_type_name() in ("Add", "PRelu", "DepthToSpace") or _is_pick(node))
            and all(
                _key(source) in chosen
                for source in _sources(node)
                if source.get_type_name() != "Constant"
            )
        ):
            chosen[_key(node)] = node
    for node in nodes:
        takers = node.output(0).get_target_inputs() if node.get_output_size() else ()
        if node.get_type_name() == "Concat" and all(
            _key(value.get_node()) in chosen for value in takers
        ):
            chosen[_key(node)] = node
    return chosen


def _is_estimate(node: Any) -> bool:
    return _weights_of(node).startswith(ESTIMATES)


def _is_pick(node: Any) -> bool:
    return _weights_of(node).startswith(_PICKING)


def _weights_of(node: Any) -> str:
    """What a convolution's weights are called; nothing for other nodes."""
    if node.get_type_name() != "Convolution":
        return ""
    name: str = node.input_value(1).get_node().get_friendly_name()
    return name


def _key(node: Any) -> object:
    """Python's objects for a node are not the same each time; its name is."""
    return node.get_name()


def _sources(node: Any) -> Iterator[Any]:
    return (value.get_source_output().get_node() for value in node.inputs())


def _parameters_of(results: Sequence[Any]) -> list[Any]:
    """The parameters that results depend on."""
    found: dict[object, Any] = {}
    seen: set[object] = set()
    waiting = list(results)
    while waiting:
        node = waiting.pop()
        if _key(node) in seen:
            continue
        seen.add(_key(node))
        if node.get_type_name() == "Parameter":
            found[_key(node)] = node
        waiting.extend(_sources(node))
    return list(found.values())


def _name(value: Any) -> str:
    name: str = value.any_name
    return name


def _described(value: Any) -> SimpleNamespace:
    sizes = [None if size.is_dynamic else size.get_length() for size in value.partial_shape]
    kind = "float" if value.element_type.to_string() == "f32" else value.element_type.to_string()
    return SimpleNamespace(name=_name(value), type=f"tensor({kind})", shape=sizes)


def _import_openvino() -> ModuleType:
    # On being imported OpenVINO tells its makers so, over the network, by another package; a
    # program that works on people's photos tells nobody. Without that package it stays silent.
    hidden = _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise OpenVinoError(
            f"there is no support for openvino here ({error}): pip install 'invdn[openvino]'"
        ) from error
    finally:
        if hidden:
            del sys.modules[_TELEMETRY]
    module: ModuleType = openvino
    return module
