"""invdn: takes the noise out of real photographs, on any computer.

    import invdn

    clean = invdn.denoise(image)           # NumPy array in, array of the same shape and type out

    denoiser = invdn.load("photo")         # load once, use for many images and from many threads
    clean = denoiser(image, strength=0.8)

Importing this module is cheap: ONNX Runtime starts with the first ``load`` or ``denoise``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invdn._version import __version__

if TYPE_CHECKING:
    import os

    import numpy as np

    from invdn.denoiser import Denoiser, OptionError
    from invdn.runtime import ModelError, ModelInfo

__all__ = [
    "Denoiser",
    "ModelError",
    "ModelInfo",
    "OptionError",
    "__version__",
    "denoise",
    "load",
]


def load(
    model: str | os.PathLike[str] = "photo", *, device: str = "auto", threads: int | None = None
) -> Denoiser:
    """Load a network and return a :class:`Denoiser`, reusable and safe to share by threads.

    Args:
        model: the name of a shipped model ("photo", "fast", "best"), or the path of an ``.onnx``
            file.
        device: "cpu", "cuda", "openvino", or "auto": the fastest of those that are installed, by
            a short test when a model is first loaded ("openvino" only where the process has not
            loaded PyTorch). "openvino" is the processor too; where it computes in bfloat16, results
            differ from those of "cpu" by a tenth of a grey level on average.
        threads: CPU threads for one image; None for as many as there are usable cores.

    Raises:
        ModelError: the model or the device is not there or cannot be used, in one line.
        ValueError: an unknown device, or threads that are no whole number, or below 1.
    """
    from invdn.denoiser import load_denoiser

    return load_denoiser(model, device=device, threads=threads)


def denoise(
    image: np.ndarray, strength: float = 1.0, model: str | os.PathLike[str] = "photo"
) -> np.ndarray:
    """Return ``image`` without its noise: same shape, same type; the input is left as it is.

    The model is loaded at the first call and kept for the next ones. ``image`` and ``strength``
    are those of :meth:`Denoiser.__call__`; errors are those of it and of :func:`load`.
    """
    from invdn.denoiser import shared_denoiser

    return shared_denoiser(model)(image, strength=strength)


def __getattr__(name: str) -> Any:
    # Looked up at first use, so that importing the package stays cheap.
    if name in ("Denoiser", "OptionError"):
        from invdn import denoiser

        return getattr(denoiser, name)
    if name in ("ModelError", "ModelInfo"):
        from invdn import runtime

        return getattr(runtime, name)
    raise AttributeError(f"module 'invdn' has no attribute {name!r}")
