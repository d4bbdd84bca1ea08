"""Classical denoisers that the field compares with. They need the extra ``eval``.

Each is a function of an image and the standard deviation of its noise,
``f(image, sigma)``: ``[H, W, 3]`` float64 in [0, 1] and sigma, above 0, in the same units → the
restored image, same shape, not clipped. :func:`restore` makes them blind.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from invdn.noise_level import BLOCK_PX, estimate_sigma

Image = npt.NDArray[np.float64]

#: Each way: what an estimate of the noise needs, and more than any method does.
SMALLEST_PX = BLOCK_PX

BM3D_NOTICE = (
    "bm3d: the PyPI package bm3d is licensed for non-commercial use only, and so is what it makes"
)


def restore(image: npt.NDArray[Any], name: str, strength: float = 1.0) -> npt.NDArray[Any]:
    """Restore an image without being told how noisy it is.

    Args:
        image: ``[H, W, 3]``, uint8, or float32 in [0, 1].
        name: One of :data:`METHODS`.
        strength: Factor on the estimated noise level (see :func:`estimate_sigma`).

    Returns:
        Same shape and type; 8-bit results are rounded.

    Raises:
        ImportError: a package is missing.
        ValueError: the image is smaller than :data:`SMALLEST_PX`.
    """
    largest = 255.0 if image.dtype == np.uint8 else 1.0
    x = image.astype(np.float64) / largest
    sigma = strength * estimate_sigma(x)
    if sigma == 0:  # a flat picture: nothing to remove, and some methods divide by it
        return image.copy()
    restored = np.clip(METHODS[name](x, sigma), 0.0, 1.0) * largest
    return (np.rint(restored) if image.dtype == np.uint8 else restored).astype(image.dtype)


def total_variation(image: Image, sigma: float) -> Image:
    """Total variation, minimised by Chambolle's projections.

    Source: L. Rudin, S. Osher, E. Fatemi, Physica D 1992; A. Chambolle, JMIV 2004.
    """
    from skimage.restoration import denoise_tv_chambolle

    denoise: Any = denoise_tv_chambolle
    restored: Image = denoise(image, weight=TV_WEIGHT * sigma, channel_axis=-1)
    return restored


def non_local_means(image: Image, sigma: float) -> Image:
    """Non-local means: 5×5 patches, in a window of 13×13, h = 0.6 σ.

    Source: A. Buades, B. Coll, J.-M. Morel, *A non-local algorithm for image denoising*, CVPR
    2005; parameters as in scikit-image's example of it.
    """
    from skimage.restoration import denoise_nl_means

    restored: Image = denoise_nl_means(
        image,
        patch_size=5,
        patch_distance=6,
        h=0.6 * sigma,
        sigma=sigma,
        fast_mode=True,
        channel_axis=-1,
    )
    return restored


def wavelet_shrinkage(image: Image, sigma: float) -> Image:
    """Soft thresholding of a Daubechies transform, a threshold for each band (BayesShrink).

    Source: S. G. Chang, B. Yu, M. Vetterli, *Adaptive wavelet thresholding for image denoising
    and compression*, IEEE TIP 2000.
    """
    from skimage.restoration import denoise_wavelet

    restored: Image = denoise_wavelet(
        image, sigma=max(sigma, 1e-6), wavelet="db2", method="BayesShrink", channel_axis=-1
    )
    return restored


def sparse_coding(image: Image, sigma: float) -> Image:
    """Sparse coding of 8×8 colour patches over a dictionary that is learned from the image.

    As K-SVD denoising does: each overlapping patch is approximated with as few atoms as bring its
    residual down to the noise (orthogonal matching pursuit), and the overlaps are averaged. The
    dictionary is learned online instead of by singular value decompositions.

    Source: M. Elad, M. Aharon, *Image denoising via sparse and redundant representations over
    learned dictionaries*, IEEE TIP 2006; J. Mairal et al., *Online dictionary learning for sparse
    coding*, ICML 2009.
    """
    from numpy.lib.stride_tricks import sliding_window_view
    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    side = PATCH_PX
    height, width = image.shape[:2]
    if min(height, width) < side:
        raise ValueError(f"sparse coding needs {side} pixels each way, not {height}×{width}")
    rows = _starts(height - side + 1)
    columns = _starts(width - side + 1)
    # [rows, columns, 3, side, side] → [patches, 3·side²]
    patches = sliding_window_view(image, (side, side), axis=(0, 1))[np.ix_(rows, columns)]
    shape = patches.shape
    patches = patches.reshape(len(rows) * len(columns), 3, side * side)
    means = patches.mean(axis=2, keepdims=True)
    vectors = (patches - means).reshape(len(patches), -1)

    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(vectors))[:3000]
    learner = MiniBatchDictionaryLearning(
        n_components=ATOMS,
        alpha=1.0,
        max_iter=4,
        batch_size=256,
        fit_algorithm="cd",
        random_state=0,
    )
    scale = max(sigma, 1e-6)
    with warnings.catch_warnings():
        # The codes while learning need not be exact; those that count are pursued below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        atoms = learner.fit(vectors[chosen] / scale).components_
    atoms /= np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-12)
    # Elad and Aharon's gain of 1.15 on the expected energy of the noise.
    limit = vectors.shape[1] * (1.15 * sigma) ** 2
    coded = _pursue(vectors, atoms, limit).reshape(patches.shape) + means
    return _average_patches(coded.reshape(shape), rows, columns, image.shape)


def bm3d(image: Image, sigma: float) -> Image:
    """Block matching and 3D filtering, colour version. Extra ``bm3d``; see :data:`BM3D_NOTICE`.

    Source: K. Dabov et al., *Image denoising by sparse 3D transform-domain collaborative
    filtering*, IEEE TIP 2007; Y. Mäkinen et al., IEEE TIP 2020 (the implementation).
    """
    import bm3d as package

    restored: Image = package.bm3d_rgb(image, max(sigma, 1e-6))
    return restored


#: Strength of total variation for white noise of σ = 1: measured best on clean training photos.
TV_WEIGHT = 0.7
PATCH_PX = 8
ATOMS = 256
_STEP_PX = 2  # between overlapping patches
_MAX_ATOMS_A_PATCH = 24

METHODS: dict[str, Callable[[Image, float], Image]] = {
    "tv": total_variation,
    "sparse": sparse_coding,
    "nlm": non_local_means,
    "wavelet": wavelet_shrinkage,
    "bm3d": bm3d,
}


def _starts(count: int) -> npt.NDArray[np.intp]:
    """Every second position, and the last."""
    return np.unique(np.append(np.arange(0, count, _STEP_PX), count - 1))


def _pursue(vectors: Image, atoms: Image, limit: float) -> Image:
    """Orthogonal matching pursuit of ``[N, D]`` over ``[K, D]`` unit atoms, all at once.

    Adds the atom that fits a vector's residual best until the residual's energy is at most
    ``limit``. Orthogonality by Gram–Schmidt on the chosen atoms.
    """
    residual = vectors.copy()
    active = np.flatnonzero((residual**2).sum(1) > limit)
    basis = np.empty((len(active), 0, vectors.shape[1]), np.float32)
    for _ in range(_MAX_ATOMS_A_PATCH):
        if not len(active):
            break
        best = np.abs(residual[active] @ atoms.T).argmax(1)
        new = atoms[best]
        # [n, k, D] · [n, D]: what the earlier atoms of the same patch already cover
        covered = np.einsum("nkd,nd->nk", basis, new)
        new = new - np.einsum("nk,nkd->nd", covered, basis)
        norm = np.linalg.norm(new, axis=1)
        usable = norm > 1e-6  # an atom that is chosen twice adds nothing: this patch is done
        active, new, basis = active[usable], new[usable] / norm[usable, None], basis[usable]
        residual[active] -= (residual[active] * new).sum(1, keepdims=True) * new
        basis = np.concatenate((basis, new[:, None].astype(np.float32)), axis=1)
        unfinished = (residual[active] ** 2).sum(1) > limit
        active, basis = active[unfinished], basis[unfinished]
    return vectors - residual


def _average_patches(
    patches: npt.NDArray[np.float64],
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    shape: tuple[int, ...],
) -> Image:
    """Overlapping ``[rows, columns, 3, side, side]`` back into an image of ``shape``."""
    total, count = np.zeros(shape), np.zeros((*shape[:2], 1))
    for i in range(patches.shape[3]):
        for j in range(patches.shape[4]):
            window = np.ix_(rows + i, columns + j)  # no position occurs twice for one (i, j)
            total[window] += patches[:, :, :, i, j]
            count[window] += 1.0
    return total / count
