"""Memory and time of training a chain of couplings, with and without reversible backpropagation.

    python benchmarks/reversible.py [--blocks 24] [--side 96] [--batch 2] [--threads 1]

Each variant trains in processes of its own. Memory is how much the process's peak resident set
grows from before the first step, with weights, input and libraries in place, to after the last
one. Time is the processor time of the fastest of several steps (forward and backward), which
tells the two apart on a busy machine as well; the variants take turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from invdn.net.coupling import Coupling
from invdn.net.reversible import chain_forward

#: The second level of the published network has 48 channels, and all its subnets are 64 wide.
CHANNELS, SPLIT, WIDTH = 48, 12, 64
VARIANTS = ("plain", "reversible")


def step(blocks: Sequence[Coupling], x: Tensor, variant: str) -> None:
    """Forward and backward."""
    y = x
    if variant == "reversible":
        y = chain_forward(blocks, x)
    else:
        for block in blocks:
            y = block(y)
    torch.autograd.backward(y.square().mean())


def measure(variant: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Train for a few steps in this process."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    blocks = [Coupling(CHANNELS, SPLIT, WIDTH) for _ in range(arguments.blocks)]
    layers = nn.ModuleList(blocks)
    x = torch.rand(arguments.batch, CHANNELS, arguments.side, arguments.side)
    # A small step first: the libraries' own memory is not what is compared.
    step(blocks, x[:, :, :16, :16], variant)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(arguments.steps):
        layers.zero_grad(set_to_none=True)
        start = time.process_time()
        step(blocks, x, variant)
        seconds.append(time.process_time() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return {"bytes": (after - before) * unit, "seconds": min(seconds)}


def main() -> None:
    """Compare the two and print a table; with ``--variant``, measure one and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--side", type=int, default=96, help="height and width, latent pixels")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2, help="steps in one process")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each variant")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        print(json.dumps(measure(arguments.variant, arguments)))
        return
    results: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
    for _ in range(arguments.rounds):
        for variant in VARIANTS:
            command = [sys.executable, __file__, *sys.argv[1:], "--variant", variant]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[variant].append(json.loads(output))
    memory = {v: max(r["bytes"] for r in results[v]) for v in VARIANTS}
    seconds = {v: min(r["seconds"] for r in results[v]) for v in VARIANTS}
    print(
        f"{arguments.blocks} couplings of {CHANNELS} channels, {WIDTH} features, "
        f"{arguments.batch} × {arguments.side}², {arguments.threads} thread(s)"
    )
    for variant in VARIANTS:
        print(f"{variant:<11} {memory[variant] / 1e6:8.0f} MB {seconds[variant]:8.2f} CPU s/step")
    ratios = memory["reversible"] / memory["plain"], seconds["reversible"] / seconds["plain"]
    print(f"reversible / plain: {ratios[0]:.3f} of the memory, {ratios[1]:.2f} times the time")


if __name__ == "__main__":
    main()
