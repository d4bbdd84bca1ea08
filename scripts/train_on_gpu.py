"""Trains several networks at once on one GPU, for a given time, from the same crops.

    python scripts/train_on_gpu.py configs/gpu.toml --seconds 600 \
        --net photo=checkpoints/photo.safetensors --net fast=checkpoints/fast.safetensors

`invdn train` takes small steps, with crops from one process beside it, and leaves a GPU idle most
of the time. Here

* photos lie in the GPU's memory; crops of real pairs and with white noise are made there, those of
  simulated cameras by many processes, into a pool from which each is drawn a few times, turned and
  shifted differently;
* a step of each network (pass, gradient, optimiser, average) is one CUDA graph, and the networks'
  graphs run side by side: most of their kernels are too small to fill the GPU alone; with --compile
  most of what is done between the convolutions is joined first (torch.compile, needs Triton);
* Muon's iteration runs for all weights as one batch of padded matrices;
* the learning rate follows the clock: it rises, stays, and falls to 0 when the time is over.

Each network begins with the weights of a run (safetensors), whose sizes it takes. The settings file
gives the rest: data, learning rate, clipping, averaging, validation sets. In the run's folder come,
for each network, ``NAME.safetensors`` (the averaged weights, for `invdn export`) and
``NAME-peak.safetensors`` (those before the learning rate fell, to go on from). Ctrl-C writes the
weights as they are; the run cannot be resumed.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from invdn.config import ConfigError, DataConfig, LossConfig, TrainConfig, load_config
from invdn.data.batches import Batches
from invdn.data.camera import MARGIN_PX, gaussian_pair
from invdn.data.enlarged import enlarge_some
from invdn.data.pairs import Pair, load_pairs
from invdn.data.patches import Pixels, find_images
from invdn.data.vivid import vivid
from invdn.export import ExportError, load_network
from invdn.net.losses import negative_psnr
from invdn.training.checkpoint import save_weights
from invdn.training.launch import (
    Stop,
    deaf,
    keep_images_in_float32,
    loading,
    prepare_worker,
    stop_on_signal,
)
from invdn.training.muon import orthogonal
from invdn.training.validation import load_validation_set, validate

#: Crops in the pool are larger than those of a step by this, so that each is drawn shifted.
SHIFT_PX = 16
#: Simulated pairs made by one call of a worker; they share a demosaicing and a Bayer grid.
AT_ONCE = 8
#: Patches of photos in other colours, from which crops with Gaussian noise are drawn.
VIVID_PATCHES = 2000
#: Share of the time in which the learning rate rises.
WARM_UP = 0.02

Numbers = npt.NDArray[np.int64]


# --- Crops ----------------------------------------------------------------------------------------


class Photos:
    """Photos of any size in a device's memory, one or more pictures of each (noisy and clean)."""

    def __init__(self, photos: Sequence[Sequence[Pixels]], device: torch.device) -> None:
        """``photos``: of each photo its pictures, ``[H, W, 3]`` of 8 bits and the same size."""
        sizes = np.array([pictures[0].shape[:2] for pictures in photos], dtype=np.int64)
        self.heights, self.widths = sizes.T
        areas = self.heights * self.widths
        self.starts = np.cumsum(areas) - areas
        self.shares = areas / areas.sum()
        self.pictures = []
        for number in range(len(photos[0])):
            flat = torch.empty(int(areas.sum()), 3, dtype=torch.uint8, device=device)
            for start, area, pictures in zip(self.starts, areas, photos, strict=True):
                pixels = torch.from_numpy(np.array(pictures[number])).view(-1, 3)
                flat[start : start + area] = pixels.to(device)
            self.pictures.append(flat)

    def draw(self, number: int, crop_px: int, rng: np.random.Generator) -> list[Tensor]:
        """Random crops, any pixel as likely as any other: ``[number, 3, crop, crop]`` in [0, 1]."""
        which = rng.choice(len(self.shares), number, p=self.shares)
        widths = self.widths[which]
        tops = rng.integers(self.heights[which] - crop_px + 1)
        lefts = rng.integers(widths - crop_px + 1)
        corners = self.starts[which] + tops * widths + lefts
        return cut(self.pictures, corners, widths, rng.integers(8, size=number), crop_px)


def cut(
    pictures: Sequence[Tensor], corners: Numbers, widths: Numbers, turns: Numbers, crop_px: int
) -> list[Tensor]:
    """Squares of photos, the same ones of each picture, each turned in one of eight ways.

    Args:
        pictures: flat, ``[pixels, 3]`` of 8 bits.
        corners: position of each square's first pixel there.
        widths: of the photo that each square is a part of.
        turns: 0–7: bit 0 flips rows, bit 1 columns, bit 2 then exchanges the two.
        crop_px: side of the squares.

    Returns:
        Of each picture ``[N, 3, crop, crop]`` in [0, 1], channels last.
    """
    last = crop_px - 1
    flip_rows, flip_columns, exchange = turns & 1, (turns >> 1) & 1, (turns >> 2) & 1
    starts = corners + flip_rows * last * widths + flip_columns * last
    down, right = np.where(flip_rows, -widths, widths), np.where(flip_columns, -1, 1)
    down, right = np.where(exchange, right, down), np.where(exchange, down, right)
    device = pictures[0].device
    table = torch.from_numpy(np.stack((starts, down, right))).to(device).view(3, -1, 1, 1)
    steps = torch.arange(crop_px, device=device)
    index = table[0] + table[1] * steps.view(1, -1, 1) + table[2] * steps.view(1, 1, -1)
    return [picture[index].permute(0, 3, 1, 2).float().div_(255.0) for picture in pictures]


class CameraCrops(Dataset[tuple[Tensor, Tensor]]):
    """Simulated pairs in 8 bits, each ``[N, crop, crop, 3]``, by number."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        noisy, target = self.batches[index]
        return to_8bit(noisy), to_8bit(target)


def to_8bit(x: Tensor) -> Tensor:
    """``[N, 3, H, W]`` in [0, 1] → ``[N, H, W, 3]`` of 0–255."""
    return (x * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class Pool:
    """A ring of simulated pairs in a device's memory, filled by processes beside the training."""

    def __init__(self, batches: Batches, size: int, workers: int, device: torch.device) -> None:
        self.side_px, self.size = batches.config.crop_px, size
        self.filled = self.made = 0
        shape = (size * self.side_px**2, 3)
        self.pictures = [torch.zeros(shape, dtype=torch.uint8, device=device) for _ in range(2)]
        #: A pair may not be drawn while one of its pictures has been replaced and one not.
        self.lock = threading.Lock()
        self.leaving = False
        self._failure: Exception | None = None
        crops = loading(CameraCrops(batches), count(), workers, prefetch=3, prepare=_prepare_maker)
        self.thread = threading.Thread(target=self._fill, args=(crops,))
        self._started = threading.Event()
        with deaf():  # which only this thread can be, not the one that starts the processes
            self.thread.start()
            self._started.wait()

    def _fill(self, crops: AbstractContextManager[Iterator[tuple[Tensor, Tensor]]]) -> None:
        try:
            with crops as pairs:
                self._started.set()
                self._take(pairs)
        except Exception as error:  # whatever a process died of; the training thread is told
            self._failure = error
        finally:
            self._started.set()

    def _take(self, pairs: Iterator[tuple[Tensor, Tensor]]) -> None:
        slot, area = 0, self.side_px**2
        for pair in takewhile(lambda _: not self.leaving, pairs):
            number = min(len(pair[0]), self.size - slot)
            with self.lock:
                for picture, made in zip(self.pictures, pair, strict=True):
                    pixels = made[:number].reshape(-1, 3).to(picture.device)
                    picture[slot * area : (slot + number) * area] = pixels
                self.filled = max(self.filled, slot + number)
                self.made += number
            slot = (slot + number) % self.size

    def check(self) -> None:
        """Raise RuntimeError where no more pairs are made."""
        if self._failure is not None:
            raise RuntimeError(f"no more simulated pairs are made: {self._failure}")

    def wait_for(self, number: int, stop: Stop) -> None:
        """Until so many pairs have been made."""
        while self.made < number and not stop.requested:
            self.check()
            time.sleep(0.05)

    def draw(self, number: int, crop_px: int, rng: np.random.Generator) -> list[Tensor]:
        """Random crops of random pairs: noisy and clean, ``[number, 3, crop, crop]``."""
        which = rng.integers(self.filled, size=number)
        tops, lefts = rng.integers(self.side_px - crop_px + 1, size=(2, number))
        corners = (which * self.side_px + tops) * self.side_px + lefts
        widths, turns = np.full(number, self.side_px), rng.integers(8, size=number)
        with self.lock:
            return cut(self.pictures, corners, widths, turns, crop_px)

    def close(self) -> None:
        """Let the processes leave."""
        self.leaving = True
        self.thread.join()


def _prepare_maker(number: int) -> None:
    """A process that makes pairs: whatever launches the steps, or compiles them, goes first."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(10)
    prepare_worker(number)


@dataclass
class Crops:
    """All that batches are drawn from."""

    config: DataConfig
    pairs: list[Photos]
    """Of each folder."""
    photos: Photos
    vivid: Photos | None
    """Parts of them in colours that photos seldom have."""
    pool: Pool
    generator: torch.Generator
    """On the device, of white noise."""

    @staticmethod
    def load(
        config: TrainConfig, base: Path, pool: int, workers: int, device: torch.device
    ) -> Crops:
        """Read the photos and start the processes."""
        data = config.data
        root, cache = base / data.root, base / data.cache if data.cache else None
        side_px = data.crop_px + SHIFT_PX
        counts = {"real_crops": 0, "gaussian_crops": 0, "camera_crops": AT_ONCE}
        # Without the pairs, which the processes would read for nothing.
        made = replace(data, crop_px=side_px, pairs=(), stages=(), **counts)
        batches = Batches(made, root, config.seed, cache=cache)
        batches.fill_cache()

        def kept(where: str, photos: Iterable[Sequence[Pixels]], least_px: int) -> Photos:
            large = [pictures for pictures in photos if min(pictures[0].shape[:2]) >= least_px]
            if not large:
                raise ConfigError(f"no photo in {where} is as large as {least_px}×{least_px}")
            return Photos(large, device)

        pairs = []
        for entry in data.pairs if data.real_crops else ():
            read_pairs = load_pairs(root / entry.folder, read=batches.read)
            both = ([pair.noisy, pair.clean] for pair in read_pairs)
            pairs.append(kept(entry.folder, both, data.crop_px))
        # Simulated crops, which are the larger ones, are taken from the same photos.
        clean = (
            [batches.read(path)] for folder in data.clean for path in find_images(root / folder)
        )
        photos = kept(" and ".join(data.clean), clean, side_px + MARGIN_PX)
        vivid_photos = None
        if data.vivid and data.gaussian_crops:
            # The simulated ones among them are made by the processes.
            vivid_photos = Photos(_vivid_patches(photos, side_px, config.seed), device)
        generator = torch.Generator(device).manual_seed(config.seed)
        pairs_made = Pool(batches, pool, workers, device)
        return Crops(data, pairs, photos, vivid_photos, pairs_made, generator)

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(noisy, target), ``[N, 3, crop, crop]``, channels last: real, white noise, cameras.

        Within a folder of pairs any pixel is as likely as any other; in ``invdn train`` any pair.
        """
        crop_px, parts = self.config.crop_px, []
        if self.pairs:
            weights = np.array([p.weight for p in self.config.pairs])
            numbers = rng.multinomial(self.config.real_crops, weights / weights.sum())
            for photos, number in zip(self.pairs, numbers, strict=True):
                parts.append(photos.draw(int(number), crop_px, rng))
        if self.config.gaussian_crops:
            number = self.config.gaussian_crops
            vivid_number = int(rng.binomial(number, self.config.vivid)) if self.vivid else 0
            (clean,) = self.photos.draw(number - vivid_number, crop_px, rng)
            if self.vivid:
                clean = torch.cat((clean, *self.vivid.draw(vivid_number, crop_px, rng)))
            pair = gaussian_pair(clean, self.generator, *self.config.gaussian)
            parts.append(list(enlarge_some(*pair, self.generator, self.config.enlarged)))
        parts.append(self.pool.draw(self.config.camera_crops, crop_px, rng))
        noisy, target = (torch.cat(part) for part in zip(*parts, strict=True))
        layout = torch.channels_last  # white noise is drawn in the other one
        return noisy.contiguous(memory_format=layout), target.contiguous(memory_format=layout)


def _vivid_patches(photos: Photos, side_px: int, seed: int) -> list[list[Pixels]]:
    """Random squares of the photos, each given other colours."""
    rng = np.random.default_rng(seed)
    (patches,) = photos.draw(VIVID_PATCHES, side_px, rng)
    return [[vivid(patch, rng)] for patch in to_8bit(patches).cpu().numpy()]


# --- Networks -------------------------------------------------------------------------------------


class FlatMuon:
    """Muon for convolutions and AdamW for the rest, as ``invdn train`` has them, in a few kernels.

    The network's parameters become parts of two flat vectors, and so do their averages. No step
    waits for the processor, so that it can be recorded in a CUDA graph; a gradient that is no
    number moves no weight.
    """

    def __init__(self, net: nn.Module, average: nn.Module, config: TrainConfig) -> None:
        self.config = config
        self.parameters = _convolutions_and_rest(net)
        self.flat = [_join(parameters) for parameters in self.parameters]
        self.average = [_join(parameters) for parameters in _convolutions_and_rest(average)]
        device = self.flat[0].device
        self.gradients = [torch.zeros_like(flat) for flat in self.flat]
        self.gradient_parts = [
            _parts(flat, parameters)
            for flat, parameters in zip(self.gradients, self.parameters, strict=True)
        ]
        self.rate = torch.zeros((), device=device)
        self.steps = torch.zeros((), device=device)
        self.momentum = torch.zeros_like(self.flat[0])
        self.mean, self.square = (torch.zeros_like(self.flat[1]) for _ in range(2))

        # Where each weight lies in a batch of matrices that are no higher than wide. In which order
        # their columns are makes no difference to Muon.
        shapes = [(p.shape[0], p[0].numel()) for p in self.parameters[0]]
        height = max(min(shape) for shape in shapes)
        width = max(max(shape) for shape in shapes)
        places, scales = [], []
        for number, (rows, columns) in enumerate(shapes):
            i, j = np.divmod(np.arange(rows * columns), columns)
            i, j = (j, i) if rows > columns else (i, j)
            places.append((number * height + i) * width + j)
            scales.append(np.full(rows * columns, 0.2 * max(rows, columns) ** 0.5, np.float32))
        # What only fills the flat vector up lies in a matrix of its own.
        filling = [np.arange(_aligned(len(place)) - len(place)) for place in places]
        beyond = len(shapes) * height * width
        places = [np.append(p, beyond + f) for p, f in zip(places, filling, strict=True)]
        scales = [np.append(s, 0.0 * f) for s, f in zip(scales, filling, strict=True)]
        self.places = torch.from_numpy(np.concatenate(places)).to(device)
        self.scales = torch.from_numpy(np.concatenate(scales)).float().to(device)
        self.matrices = torch.zeros(len(shapes) + 1, height, width, device=device)

    @torch.no_grad()
    def step(self) -> None:
        """One step with the gradients that the parameters have."""
        for parts, parameters in zip(self.gradient_parts, self.parameters, strict=True):
            torch._foreach_copy_(parts, [p.grad for p in parameters if p.grad is not None])
        norm = torch.stack([gradient.norm() for gradient in self.gradients]).norm()
        clip = (self.config.gradient_clip / (norm + 1e-6)).clamp(max=1.0)
        factor = torch.where(norm.isfinite(), clip, 0.0)
        convolutions, rest = (torch.nan_to_num(g, 0.0, 0.0, 0.0) * factor for g in self.gradients)
        # Else the momentum of the steps before would go on moving the weights.
        rate = self.rate * norm.isfinite()
        self._muon(convolutions, rate)
        self._adamw(rest, rate)
        for mean, value in zip(self.average, self.flat, strict=True):
            mean.lerp_(value, 1.0 - self.config.ema_decay)

    def _muon(self, gradient: Tensor, rate: Tensor) -> None:
        self.momentum.mul_(0.95).add_(gradient)
        update = gradient + 0.95 * self.momentum
        self.matrices.view(-1).index_copy_(0, self.places, update)
        steps = orthogonal(self.matrices).view(-1)[self.places]
        self.flat[0].mul_(1.0 - rate * self.config.weight_decay)
        self.flat[0].sub_(steps * self.scales * rate)

    def _adamw(self, gradient: Tensor, rate: Tensor) -> None:
        self.steps += 1.0
        self.mean.lerp_(gradient, 0.1)
        self.square.lerp_(gradient**2, 0.001)
        mean = self.mean / (1.0 - 0.9**self.steps)
        square = self.square / (1.0 - 0.999**self.steps)
        self.flat[1].mul_(1.0 - rate * self.config.weight_decay)
        self.flat[1].sub_(rate * mean / (square.sqrt() + 1e-8))


def _convolutions_and_rest(net: nn.Module) -> list[list[nn.Parameter]]:
    parameters = list(net.parameters())
    return [[p for p in parameters if p.ndim == 4], [p for p in parameters if p.ndim != 4]]


def _aligned(numbers: int) -> int:
    """So many numbers and what fills them up to 16 bytes, as compiled kernels want them."""
    return -(-numbers // 4) * 4


def _parts(flat: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """Views of a flat vector, shaped like the parameters.

    Convolutions' weights lie there as the activations do, channels last; they would be brought
    into that order with every step.
    """
    places = flat.split([_aligned(p.numel()) for p in parameters])
    return [
        _view(place[: parameter.numel()], parameter.shape)
        for place, parameter in zip(places, parameters, strict=True)
    ]


def _view(part: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) != 4:
        return part.view(shape)
    outputs, inputs, height, width = shape
    return part.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


def _join(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Make parameters parts of one vector, which is returned."""
    size = sum(_aligned(p.numel()) for p in parameters)
    flat = torch.zeros(size, device=parameters[0].device)
    for part, parameter in zip(_parts(flat, parameters), parameters, strict=True):
        parameter.data = part.copy_(parameter.data)
    return flat


def analysis(x: Tensor) -> Tensor:
    """:meth:`SmoothHaar.forward`."""
    a, b = 0.5 * x[..., ::2, ::2], 0.5 * x[..., ::2, 1::2]
    c, d = 0.5 * x[..., 1::2, ::2], 0.5 * x[..., 1::2, 1::2]
    averages = a + b + c + d
    details = torch.cat((a - b + c - d, a + b - c - d, a - b - c + d), dim=1)
    return torch.cat((averages, details - _foretold(averages)), dim=1)


def synthesis(y: Tensor) -> Tensor:
    """:meth:`SmoothHaar.inverse`."""
    channels = y.shape[1] // 4
    averages, details = 0.5 * y[:, :channels], 0.5 * y[:, channels:]
    h, v, d = (details + _foretold(averages)).chunk(3, dim=1)
    a = averages
    pixels = torch.stack((a + h + v + d, a - h + v - d, a + h - v - d, a - h - v + d), dim=2)
    return nn.functional.pixel_shuffle(pixels.flatten(1, 2), 2)


def _foretold(averages: Tensor) -> Tensor:
    """The details of a smooth signal."""
    rows = torch.cat((averages[..., :1, :], averages, averages[..., -1:, :]), dim=2)
    around = torch.cat((rows[..., :1], rows, rows[..., -1:]), dim=3)
    across = (around[..., :-2] - around[..., 2:]) / 8.0
    down = (around[..., :-2, 1:-1] - around[..., 2:, 1:-1]) / 8.0
    both = (across[..., :-2, :] - across[..., 2:, :]) / 8.0
    return torch.cat((across[..., 1:-1, :], down, both), dim=1)


class Trained:
    """A network in training."""

    def __init__(
        self,
        name: str,
        weights: Path,
        config: TrainConfig,
        device: torch.device,
        compiled: bool = False,
    ) -> None:
        self.name, self.device = name, device
        self.net = load_network(weights).to(device)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        if compiled:
            # As sums they are compiled together with the rest.
            keep_images_in_float32(self.net, analysis, synthesis)
        else:
            keep_images_in_float32(self.net)
        self._loss = torch.compile(self.loss_of, dynamic=False) if compiled else self.loss_of
        self.optimiser = FlatMuon(self.net, self.average, config)
        self.loss = torch.zeros((), device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        if device.type == "cuda":
            self._stream, self._done = torch.cuda.Stream(), torch.cuda.Event()

    def loss_of(self, noisy: Tensor, target: Tensor) -> Tensor:
        """The negative PSNR of a batch, dB."""
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            restored = self.net.denoise(noisy)
        return negative_psnr(restored.float(), target)

    def learn(self, noisy: Tensor, target: Tensor) -> None:
        """One step."""
        for parameter in self.net.parameters():
            parameter.grad = None
        loss = self._loss(noisy, target)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.loss.copy_(torch.where(self.loss == 0.0, loss.detach(), self.loss))
        self.loss.lerp_(loss.detach(), 0.01)

    def prepare(self, noisy: Tensor, target: Tensor) -> None:
        """Steps that compile, choose algorithms, and allocate what stays. The rate must be 0."""
        torch.cuda.synchronize()
        with torch.cuda.stream(self._stream):
            for _ in range(3):
                self.learn(noisy, target)
        torch.cuda.synchronize()

    def record(self, noisy: Tensor, target: Tensor) -> float:
        """Make a CUDA graph of a step on these very tensors, once prepared. The rate must be 0.

        No other thread may use the device meanwhile. Returns what the step takes alone, ms.
        """
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self._stream):
            self.learn(noisy, target)
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        for _ in range(10):
            self._graph.replay()
        ended.record()
        torch.cuda.synchronize()
        return begun.elapsed_time(ended) / 10

    def start(self, noisy: Tensor, target: Tensor) -> None:
        """Begin a step: on a GPU with the tensors it was recorded with, beside other networks'."""
        if self._graph is None:
            self.learn(noisy, target)
            return
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._graph.replay()
            self._done.record()

    def finish(self) -> None:
        """Let what follows wait for the step."""
        if self._graph is not None:
            torch.cuda.current_stream().wait_event(self._done)


def rate_at(progress: float, peak: float, hold: float) -> float:
    """The learning rate at a time in [0, 1]: it rises, stays until ``hold``, and falls to 0."""
    if progress < WARM_UP:
        return peak * progress / WARM_UP
    if progress < hold:
        return peak
    return peak * max(0.0, (1.0 - progress) / (1.0 - hold))


# --- The run --------------------------------------------------------------------------------------


class Run:
    """Networks, their crops, and what is written about them."""

    def __init__(
        self,
        config: TrainConfig,
        base: Path,
        crops: Crops,
        nets: Sequence[Trained],
        sets: Mapping[str, Sequence[Pair]],
        began: float,
    ) -> None:
        self.config, self.crops, self.nets = config, crops, nets
        self.folder = base / config.run
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sets = sets
        self.rng = np.random.default_rng(config.seed)
        self.began, self.steps = began, 0

    def train(self, until: float, hold: float, every: float, stop: Stop) -> None:
        """Take steps until then; ``every`` so many seconds scores are printed, weights written.

        ``until``: seconds since the run began. Raises RuntimeError where no more simulated pairs
        are made; the weights are written.
        """
        pool = self.crops.pool
        self.say(f"{len(self.nets)} networks; waiting for the first simulated pairs")
        pool.wait_for(min(pool.size, 1000), stop)
        if stop.requested:
            return
        noisy, target = self.crops.batch(self.rng)
        if noisy.device.type == "cuda":
            for net in self.nets:
                net.prepare(noisy, target)
                with pool.lock:
                    milliseconds = net.record(noisy, target)
                self.say(f"{net.name} is recorded: {milliseconds:.1f} ms a step")
        batch = self.crops.batch(self.rng)
        started = written = time.monotonic()
        seconds = max(1.0, until - (started - self.began))
        at_peak = True
        while (elapsed := time.monotonic() - started) < seconds and not stop.requested:
            for part, made in zip((noisy, target), batch, strict=True):
                part.copy_(made)
            rate = rate_at(elapsed / seconds, self.config.learning_rate, hold)
            for net in self.nets:
                net.optimiser.rate.fill_(rate)
                net.start(noisy, target)
            batch = self.crops.batch(self.rng)  # while the graphs run
            for net in self.nets:
                net.finish()
            self.steps += 1
            if self.steps % 16 == 0 and noisy.device.type == "cuda":
                torch.cuda.synchronize()  # the clock that the rate follows is the device's
            if at_peak and elapsed >= hold * seconds:
                at_peak = False
                self.save("-peak")
            if time.monotonic() - written >= every:
                written = time.monotonic()
                self.score()
                self.save()
            if not pool.thread.is_alive():
                break
        self.save()
        self.score()
        milliseconds = 1000 * (time.monotonic() - started) / max(1, self.steps)
        drawn = self.steps * self.crops.config.camera_crops / pool.made
        self.say(
            f"{self.steps} steps of {milliseconds:.1f} ms; simulated pairs drawn {drawn:.1f} times"
        )
        if stop.requested:
            self.say(
                f"stopped after {elapsed:.0f} s of {seconds:.0f}: the rate had not fallen to 0"
            )
        pool.check()

    def score(self) -> None:
        """Print each network's PSNR on the validation sets, dB."""
        for net in self.nets:
            scores = {k: round(validate(net.average, v)["psnr"], 2) for k, v in self.sets.items()}
            self.say(
                f"step {self.steps} {net.name} loss {net.loss.item():.2f} {json.dumps(scores)}"
            )

    def save(self, suffix: str = "") -> None:
        """Write the averaged weights."""
        for net in self.nets:
            path = self.folder / f"{net.name}{suffix}.safetensors"
            save_weights(net.average, path, self.steps)

    def say(self, text: str) -> None:
        """Print and log."""
        line = f"{time.monotonic() - self.began:7.1f} s  {text}"
        print(line, flush=True)
        with (self.folder / "messages.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def check(config: TrainConfig) -> None:
    """Raise ConfigError where the settings ask for what is not done here."""
    if config.loss != LossConfig(pixel="psnr") or config.optimiser != "muon":
        raise ConfigError('only loss.pixel = "psnr" and optimiser = "muon" are known here')
    if config.data.stages:
        raise ConfigError("data.stages are not known here: all crops have the same size")
    if not config.data.camera_crops or not config.data.clean:
        raise ConfigError("data.clean and data.camera_crops are needed here")
    if config.data.real_crops and not config.data.pairs:
        raise ConfigError("data.real_crops needs data.pairs")
    if any(pairs.layout == "sidd" for pairs in config.data.pairs):
        raise ConfigError('layout = "sidd" is not known here: only noisy/ and clean/')


def named_weights(items: Sequence[str], folder: Path) -> dict[str, Path]:
    """``NAME=WEIGHTS``, checked, by name.

    Raises ConfigError.
    """
    found: dict[str, Path] = {}
    for item in items:
        name, _, path = item.partition("=")
        if not path or not re.fullmatch(r"[\w.-]+", name) or name in found:
            raise ConfigError(f"{item!r} is not NAME=WEIGHTS with a name of its own")
        if (folder / f"{name}.safetensors").exists():
            raise ConfigError(f"{folder} holds {name} already: name another run, or another name")
        found[name] = Path(path)
    return found


def main() -> int:
    """Read the arguments and train. Exit status: 0 done or stopped, 1 failed, 2 wrong usage."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="settings file")
    parser.add_argument(
        "--net", action="append", required=True, metavar="NAME=WEIGHTS", help="once for each"
    )
    parser.add_argument(
        "--seconds", type=float, required=True, help="in all, reading and compiling included"
    )
    parser.add_argument("--hold", type=float, default=0.3, help="share of them at the full rate")
    parser.add_argument("--every", type=float, default=100.0, help="seconds between scores")
    parser.add_argument("--pool", type=int, default=30_000, help="simulated pairs that are kept")
    parser.add_argument("--workers", type=int, default=14, help="processes that make them")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile first, a minute or more a network; steps are then a quarter faster",
    )
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cpu is for trying it: a step takes minutes there",
    )
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that PyTorch can use; invdn train is for processors")
    if arguments.seconds <= 0 or arguments.pool < 1 or arguments.workers < 0:
        parser.error("--seconds and --pool must be positive, and --workers not negative")
    if not WARM_UP <= arguments.hold < 1:
        parser.error(f"--hold must be from {WARM_UP} to less than 1")
    device = torch.device(arguments.device)
    torch.backends.cudnn.benchmark = True
    try:
        config = load_config(arguments.config)
        check(config)
        base = arguments.config.resolve().parent
        weights = named_weights(arguments.net, base / config.run)
        compiled = arguments.compile and device.type == "cuda"
        nets = [Trained(name, path, config, device, compiled) for name, path in weights.items()]
        root = base / config.data.root
        sets = {v.name: load_validation_set(v, root) for v in config.validation}
        crops = Crops.load(config, base, arguments.pool, arguments.workers, device)
    except (ConfigError, ExportError, FileNotFoundError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    try:
        with stop_on_signal() as stop:
            run = Run(config, base, crops, nets, sets, began)
            run.train(arguments.seconds, arguments.hold, arguments.every, stop)
    except (OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        crops.pool.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
