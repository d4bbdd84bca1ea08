"""PyTorch → ONNX: writes a model file that :mod:`invdn.runtime` can load, and checks it.

A model is only left behind if ONNX Runtime computes with it what PyTorch computes with the
network. The file describes itself: see :func:`export_network`.
"""

from __future__ import annotations

import copy
import datetime
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

import invdn
from invdn.net.ensemble import latent_like
from invdn.net.invdn import InvDN, check_weights, infer_levels
from invdn.net.paper import PaperInvDN
from invdn.net.steps import TwoSteps
from invdn.runtime import ModelError, load_model

#: The oldest that the exporter writes; ONNX Runtime has read it since 1.14.
OPSET = 18

#: A tile has no more pixels than the square of this; two are restored at once. A photo of 12
#: megapixels is cut into eight tiles, and a halo of 72 pixels costs 20% of the first graph's work.
TILE_PX = 1344

#: The same of a network that is one graph, and needs more memory a pixel.
ONE_GRAPH_TILE_PX = 912

#: Largest difference between ONNX Runtime and PyTorch, on outputs in about [0, 1].
PARITY_TOLERANCE = 1e-4

#: A tile may differ from the whole image by a quarter of an 8-bit grey level beyond the halo.
HALO_TOLERANCE = 0.25 / 255


Network = InvDN | PaperInvDN


class ExportError(Exception):
    """The model cannot be exported; the message is one line."""


def export_checkpoint(checkpoint: Path, output: Path, *, overwrite: bool = False) -> str:
    """Write the network of a checkpoint as an ONNX model, and check it.

    Args:
        checkpoint: a ``.safetensors`` file with the state dict of an :class:`InvDN`, whose sizes
            are inferred, or of the published network; or a ``.pth`` or ``.pt`` file with such a
            state dict and nothing else, as the authors published theirs (``InvDN_ResUnit_x4.pth``).
            Of a ``.safetensors`` file's metadata, ``name``, ``version`` and ``licence`` are used;
            the licence of any others is put down as unknown.
        output: the ``.onnx`` file to write; its stem is the name if the metadata has none.
        overwrite: replace ``output`` where it exists.

    Returns:
        One line that says what was written.

    Raises:
        ExportError: a file is missing, exists already or is something else, or the ONNX model
            does not compute what the network computes. ``output`` is then as it was before.
    """
    state, metadata = _read_checkpoint(checkpoint)
    net = _build(state, checkpoint)
    fields = export_network(
        net,
        output,
        name=metadata.get("name", output.stem),
        version=metadata.get("version", invdn.__version__),
        licence=metadata.get("licence", "unknown"),
        overwrite=overwrite,
    )
    return (
        f"{output}: {fields['name']}, {int(fields['parameters']):,} parameters, "
        f"{int(fields['macs_per_pixel']):,} multiply-adds a pixel, halo {fields['halo']} px, "
        f"licence {fields['licence']}, {output.stat().st_size / 1e6:.1f} MB"
    )


def load_network(checkpoint: Path) -> InvDN:
    """Our network from a checkpoint, sizes inferred, in evaluation mode.

    Raises:
        ExportError: the file is missing or is something else.
    """
    return network_of(_read_checkpoint(checkpoint)[0], checkpoint)


def network_of(state: Mapping[str, Tensor], where: Path) -> InvDN:
    """Our network from a state dict, sizes inferred, in evaluation mode.

    ``where``: the file that it is from, for messages. Raises ExportError where it is something
    else.
    """
    net = _build(state, where)
    if not isinstance(net, InvDN):
        raise ExportError(f"{where} holds the published network, which is not meant here")
    return net.eval()


def export_network(
    net: Network,
    path: Path,
    *,
    name: str,
    version: str = invdn.__version__,
    licence: str = "unknown",
    tile: int | None = None,
    halo: int | None = None,
    overwrite: bool = False,
) -> dict[str, str]:
    """Write a network as an ONNX model, and check it.

    Inputs and outputs are those of :mod:`invdn.runtime`: one graph for the published network and
    for networks of one level, two for others. The description is in the file's metadata and is
    returned: name, version, licence, parameters, macs_per_pixel, multiple, tile, halo;
    fine_halo, if there are two graphs; latent_channels, if there is ``z``.

    Args:
        net: the network; it is not changed.
        path: the file to write.
        name: the model's name.
        version: the version of the weights.
        licence: of the weights, an SPDX identifier.
        tile: side of a square as large as the largest tile, pixels; None for
            :func:`default_tile`.
        halo: see :func:`measure_halo`, which None calls.
        overwrite: replace ``path`` where it exists.

    Raises:
        ExportError: as for :func:`export_checkpoint`.
    """
    if path.exists() and not overwrite:
        raise ExportError(f"{path} exists already: use --overwrite, or another name")
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}")
    for key, value in net.state_dict().items():
        if not value.isfinite().all():
            raise ExportError(f"the network's weights hold what is no number, in {key}")
    net = copy.deepcopy(net).float().cpu().eval()
    halo = measure_halo(net) if halo is None else halo
    fields = {
        "name": name,
        "version": version,
        "licence": licence,
        "parameters": str(sum(p.numel() for p in net.parameters())),
        "macs_per_pixel": str(round(net.macs_per_pixel())),
        "multiple": str(net.multiple),
        "tile": str(tile or default_tile(halo, net.multiple, two_graphs=_has_two_graphs(net))),
        "halo": str(halo),
    }
    if isinstance(net, PaperInvDN):
        fields["latent_channels"] = str(net.latent_channels)
    if _has_two_graphs(net):
        fields["fine_halo"] = str(fine_radius(net))
    model = to_onnx(net)
    for key, value in fields.items():
        model.metadata_props.add(key=key, value=value)
    _write_checked(model, path, net)
    return fields


def to_onnx(net: Network) -> onnx.ModelProto:
    """The graph or the two graphs of ``net.denoise``, without metadata."""
    with _quiet():
        program = _export_two_graphs(net) if _has_two_graphs(net) else _export_one_graph(net)
        assert program is not None
        model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _has_two_graphs(net: Network) -> TypeGuard[InvDN]:
    return isinstance(net, InvDN) and len(net.levels) > 1


# Examples have N > 1 and unequal sizes, so that none of them is taken for a constant.


def _export_one_graph(net: Network) -> torch.onnx.ONNXProgram | None:
    n, height, width = (torch.export.Dim(name, min=1) for name in "nhw")
    image = torch.rand(2, 3, 4 * net.multiple, 6 * net.multiple)
    second, second_shape = torch.tensor(1.0), {}
    if isinstance(net, PaperInvDN):
        second = torch.randn(2, net.latent_channels, 4, 6)
        second_shape = {0: n, 2: height, 3: width}
    return torch.onnx.export(
        _Denoise(net),
        (image, second),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image", "z" if second_shape else "strength"],
        output_names=["restored"],
        dynamic_shapes={
            "image": {0: n, 2: net.multiple * height, 3: net.multiple * width},
            "second": second_shape,
        },
        verbose=False,
    )


def _export_two_graphs(net: InvDN) -> torch.onnx.ONNXProgram | None:
    n, height, width = (torch.export.Dim(name, min=1) for name in "nhw")
    parts, part_height, part_width = (torch.export.Dim(f"part_{name}", min=1) for name in "nhw")
    steps = TwoSteps(net)
    image = torch.rand(2, 1, 4 * net.multiple, 3 * 6 * net.multiple)
    coarse, noisy = (half[..., :-1] for half in steps.coarse(image, torch.tensor(1.0)))
    part_shape = {0: parts, 2: part_height, 3: part_width}
    return torch.onnx.export(
        steps,
        (image, torch.tensor(1.0), coarse, noisy),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image", "strength", "coarse_part", "detail_part"],
        output_names=["coarse", "detail", "restored"],
        dynamic_shapes={
            "image": {0: n, 2: net.multiple * height, 3: 3 * net.multiple * width},
            "strength": {},
            "coarse": part_shape,
            "noisy": part_shape,
        },
        verbose=False,
    )


def check_parity(path: Path, net: Network) -> float:
    """Compare an ONNX model with the network that it was made from.

    Random images of several sizes, through the same code that users run; at strengths 0, 0.5
    and 1, if the network has one. Returns the largest absolute difference.

    Raises ExportError where it exceeds :data:`PARITY_TOLERANCE`, or the model does not run.
    """
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    try:
        model = load_model(path, device="cpu", threads=1)
        for rows, columns in ((1, 1), (3, 8), (13, 6)):
            size = (1, 3, rows * net.multiple, columns * net.multiple)
            image = torch.rand(size, generator=generator)
            z = latent_like(image).numpy() if isinstance(net, PaperInvDN) else None
            for strength in (0.0, 0.5, 1.0) if z is None else (1.0,):
                expected = _denoise(net, image, strength).numpy()
                tile = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
                found = model(tile, strength, z=z).transpose(2, 0, 1)
                difference = float(np.abs(found - expected).max())
                if not difference <= PARITY_TOLERANCE:  # a NaN has to fail as well
                    raise ExportError(
                        f"the exported model is wrong: it differs from PyTorch by {difference:.2g} "
                        f"(at most {PARITY_TOLERANCE:g}) at strength {strength:g}, "
                        f"{size[3]}×{size[2]} pixels"
                    )
                largest = max(largest, difference)
    except ModelError as error:
        raise ExportError(f"the exported model is wrong: {error}") from error
    return largest


def measure_halo(net: Network, images: Sequence[Tensor] | None = None) -> int:
    """How far from an artificial border a tile differs from the whole image, pixels.

    Cuts each image at each of its four sides and compares with the uncut result: the smallest
    multiple of ``net.multiple`` such that, that far from the cut and further, nothing differs by
    more than :data:`HALO_TOLERANCE`. Never more than :func:`receptive_radius`.

    Args:
        net: the network, on the CPU.
        images: ``[1, 3, H, W]`` in [0, 1], each at least four times the multiple high and wide,
            better twice the receptive radius; None for synthetic ones, noisy to very noisy.
    """
    multiple = net.multiple
    limit = receptive_radius(net)
    if images is None:
        images = _synthetic_images(_round_up(2 * limit + 16 * multiple, multiple))
        if isinstance(net, PaperInvDN):
            # Ten times the work a pixel and twice the reach: strips have to do.
            images = [strip for image in images[::2] for strip in _strips(image, 32 * multiple)]
    profile = np.zeros(max(max(image.shape[2:]) for image in images), np.float32)
    for image in images:
        for differences in _differences_at_cuts(net, image):
            length = len(differences)
            profile[:length] = np.maximum(profile[:length], differences)
    beyond = np.flatnonzero(profile > HALO_TOLERANCE)
    needed = int(beyond[-1]) + 1 if len(beyond) else 0
    return min(_round_up(needed, multiple), _round_up(limit, multiple))


def receptive_radius(net: Network) -> int:
    """How far a pixel of the input can reach in the output at all, pixels: an upper bound.

    Found by putting a not-a-number in and looking where it comes out, which is right for any
    architecture, if a few pixels too far where kernels hold zeros.

    Raises:
        ExportError: where there seems to be no bound, as of a network of other not-a-numbers.
    """
    multiple = net.multiple
    # The fast convolutions of float32 may mix neighbours (Winograd) and would reach too far.
    net = copy.deepcopy(net).double()
    for blocks in (16, 32, 64, 128, 256):
        image = torch.zeros(1, 3, multiple, 2 * blocks * multiple, dtype=torch.double)
        middle = blocks * multiple
        image[..., middle : middle + multiple] = torch.nan
        reached = _denoise(net, image).isnan().any(dim=(0, 1, 2))
        (columns,) = torch.nonzero(reached, as_tuple=True)
        first, last = int(columns.min()), int(columns.max())
        if first > 0 and last < len(reached) - 1:
            return max(middle - first, last - (middle + multiple - 1))
    raise ExportError(f"the network sees further than {middle} pixels, or computes no numbers")


def fine_radius(net: InvDN) -> int:
    """How far the second of the two graphs sees, pixels, rounded up to an even number."""
    steps = TwoSteps(copy.deepcopy(net).double())
    middle = 64
    halves = [torch.zeros(1, count, 4, 2 * middle, dtype=torch.double) for count in steps.channels]
    for half in halves:
        half[..., middle] = torch.nan
    with torch.no_grad():
        restored = steps.fine(halves[0], halves[1], torch.tensor(1.0, dtype=torch.double))
        reached = restored.isnan().any(dim=(0, 1, 2))
    (columns,) = torch.nonzero(reached, as_tuple=True)
    pixels = columns // 3
    # The position itself is two pixels wide.
    radius = max(2 * middle - int(pixels.min()), int(pixels.max()) - (2 * middle + 1))
    return _round_up(radius, 2)


def default_tile(halo: int, multiple: int, *, two_graphs: bool) -> int:
    """:data:`TILE_PX` or :data:`ONE_GRAPH_TILE_PX`; more where the halo leaves too little."""
    return _round_up(max(TILE_PX if two_graphs else ONE_GRAPH_TILE_PX, 4 * halo), multiple)


def model_card(
    path: Path,
    *,
    data: str,
    steps: int,
    scores: Mapping[str, float],
    released: datetime.date | None = None,
) -> str:
    """The entry of an ONNX model for ``weights/models.toml``, as TOML.

    Args:
        path: the ONNX file; it is loaded, and its description and its SHA-256 are used.
        data: what the model was trained on.
        steps: training steps.
        scores: what was measured, with split and unit → the number.
        released: None for today.

    Raises:
        ModelError: the file cannot be loaded.
    """
    info = load_model(path, device="cpu", threads=1).info
    lines = [
        f"[{_toml_key(info.name)}]",
        f"file = {_toml_string(path.name)}",
        f"sha256 = {_toml_string(info.sha256)}",
        f"licence = {_toml_string(info.licence)}",
        f"version = {_toml_string(info.version)}",
        f"parameters = {info.parameters}",
        f"macs_per_pixel = {info.macs_per_pixel}",
        f"multiple = {info.multiple}",
        f"tile = {info.tile}",
        f"halo = {info.halo}",
        *([f"fine_halo = {info.fine_halo}"] if info.fine_halo else []),
        f"data = {_toml_string(data)}",
        f"steps = {steps}",
        f"released = {(released or datetime.date.today()).isoformat()}",
    ]
    if scores:
        lines += ["", f"[{_toml_key(info.name)}.scores]"]
        lines += [f"{_toml_string(what)} = {float(value)}" for what, value in scores.items()]
    return "\n".join(lines) + "\n"


class _Denoise(nn.Module):
    """``net.denoise`` as a module's forward, which is what is exported."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, second: Tensor) -> Tensor:
        """``second`` is the strength, or ``z``."""
        return self.net.denoise(image, second)


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """State dict and metadata of a checkpoint. Never unpickles anything but tensors."""
    if not path.is_file():
        raise ExportError(f"there is no checkpoint {path}")
    if path.suffix in (".pth", ".pt"):
        return _read_pickle(path), {}
    if path.suffix != ".safetensors":
        raise ExportError(f"{path} is not a checkpoint: a .safetensors or .pth file is expected")
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return state, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{path} is not a readable checkpoint: {error}") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or malicious pickle comes to
        raise ExportError(
            f"{path} is not a readable checkpoint: it is damaged, or holds more than tensors"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        resumes = isinstance(state, Mapping) and "optimisers" in state
        hint = ": give weights.safetensors, which lies beside it" if resumes else ""
        raise ExportError(f"{path} is not a state dict, names and tensors and nothing else{hint}")
    return dict(state)


def _build(state: Mapping[str, Tensor], path: Path) -> Network:
    """The network that a state dict belongs to, with its weights."""
    try:
        check_weights(state)
        if any(key.removeprefix("module.").startswith("operations.") for key in state):
            paper = PaperInvDN()
            paper.load_published(state)
            return paper
        net = InvDN(infer_levels(state))
    except ValueError as error:
        raise ExportError(f"{path}: {' '.join(str(error).split())}") from error
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]]
        raise ExportError(f"{path} does not fit the network: {' '.join(reasons[:1])}") from error
    return net


def _write_checked(model: onnx.ModelProto, path: Path, net: Network) -> None:
    """Write beside the target, check what was written, then move it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        check_parity(temporary, net)
        temporary.replace(path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes for debugging: stack traces with paths, inferred shapes."""
    graph = model.graph
    del model.metadata_props[:]
    del graph.metadata_props[:]
    del graph.value_info[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    model.producer_name, model.producer_version = "invdn", invdn.__version__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on libraries that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _denoise(
    net: Network, image: Tensor, strength: float = 1.0, *, top: int = 0, left: int = 0
) -> Tensor:
    """Restore an image, or the tile of a larger one that begins at ``top`` and ``left``."""
    with torch.no_grad():
        if isinstance(net, PaperInvDN):
            z = latent_like(image, top=top, left=left)
            return net.denoise(image, z.expand(len(image), -1, -1, -1))
        return net.denoise(image, strength)


def _differences_at_cuts(net: Network, image: Tensor) -> Iterator[np.ndarray]:
    """For a cut at each side: the largest difference at each distance from it, ``[pixels]``.

    A strip is only cut at its short sides.
    """
    whole = _denoise(net, image)
    # An eighth is cut away, so that as much as possible is left to be reached.
    heights, widths = (
        _round_up(max(length // 8, net.multiple), net.multiple) for length in image.shape[2:]
    )
    for dim, cut in ((2, heights), (3, widths)):
        if image.shape[dim] < max(image.shape[2:]):
            continue
        length = image.shape[dim] - cut
        across = tuple(d for d in range(4) if d != dim)
        for start in (cut, 0):
            place = {"top" if dim == 2 else "left": start}
            tile = _denoise(net, image.narrow(dim, start, length), **place)
            differences = (tile - whole.narrow(dim, start, length)).abs().amax(across)
            # Index 0 is the pixel beside the cut.
            yield (differences if start else differences.flip(0)).numpy()


def _strips(image: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The top and the left of ``[1, 3, H, W]``, ``side`` pixels of it."""
    return image[:, :, :side], image[:, :, :, :side]


def _synthetic_images(side: int) -> list[Tensor]:
    """Smooth colours, hard edges and noise, ``[1, 3, side, side]`` in [0, 1]."""
    generator = torch.Generator().manual_seed(0)

    def field(cells: int, channels: int = 3) -> Tensor:
        coarse = torch.rand(1, channels, cells, cells, generator=generator)
        fine = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
        return fine.clamp(0, 1)

    images = []
    for sigma_8bit, correlated in ((3, False), (15, True), (30, False), (60, False), (40, True)):
        mask = field(24, 1) > 0.5
        clean = torch.where(mask, field(6), field(6) * field(48))
        noise = torch.randn(1, 3, side, side, generator=generator)
        if correlated:
            noise = 3 * F.avg_pool2d(noise, 3, stride=1, padding=1)
        images.append((clean + noise * (sigma_8bit / 255)).clamp(0, 1))
    return images


def _toml_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _toml_key(text: str) -> str:
    bare = text.replace("-", "").replace("_", "")
    return text if bare.isascii() and bare.isalnum() else _toml_string(text)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
