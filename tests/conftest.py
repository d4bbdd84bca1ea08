"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything loads PyTorch: several processes with several threads each on as many cores wait
# for one another, and take many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from invdn.denoiser import Denoiser, load_denoiser


@pytest.fixture(scope="session")
def small_net():  # type: ignore[no-untyped-def]
    """A network of two levels and few features that changes its input a lot; not to be changed.

    Fresh networks are close to the identity; here the last layers are as large as the others.
    """
    torch = pytest.importorskip("torch")
    from invdn.net.invdn import InvDN, LevelConfig

    torch.manual_seed(0)
    net = InvDN((LevelConfig(1, 8, 6, 8, 1), LevelConfig(1, 8, 12, 8, 1)))
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith((".2.weight", "conv2.weight", "conv_out.weight")):
                parameter.mul_(8.0)
    return net.eval()


@pytest.fixture(scope="session")
def small_model_path(small_net, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """The small network as an ONNX file, its halo measured, with tiles of 160 pixels."""
    pytest.importorskip("onnxscript")
    from invdn.export import export_network

    path = tmp_path_factory.mktemp("model") / "small.onnx"
    export_network(small_net, path, name="small", version="1.2", licence="CC0-1.0", tile=160)
    return path


@pytest.fixture(scope="session")
def small_denoiser(small_model_path: Path) -> Denoiser:
    """A denoiser with the small network on one CPU thread."""
    return load_denoiser(small_model_path, device="cpu", threads=1)
