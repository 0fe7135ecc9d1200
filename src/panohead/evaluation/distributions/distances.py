"""Distances between two sets of feature vectors: FID, KID, precision and recall, and inception score.

Pure arithmetic on any features. The numbers equal the official code's on the same features (golden ``metrics``).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.errors import PanoHeadError

_ROWS_AT_ONCE = 1000


def frechet_distance(
    first: Float[np.ndarray, "sample1 feature"], second: Float[np.ndarray, "sample2 feature"], *, correction: int = 1
) -> float:
    """Return the Frechet distance of Gaussians with the sets' means and covariances (Heusel et al. 2017, equation 6).

    The trace of the root of the covariances' product is taken from the eigenvalues of a symmetric matrix similar to
    that product, so that it is real, and 0 between equal sets, even with fewer samples than features. Covariances
    divide by count - ``correction``: 1 as torch-fidelity, 0 as the original (alike for thousands of images).

    Raises:
        PanoHeadError: for fewer than two samples.
    """
    if min(len(first), len(second)) < 2:
        raise PanoHeadError("FID needs at least two images in each set; raise --num")
    mean = [x.mean(axis=0, dtype=np.float64) for x in (first, second)]
    covariance = [np.atleast_2d(np.cov(x.astype(np.float64), rowvar=False, ddof=correction)) for x in (first, second)]
    # tr sqrt(C0 C1) = tr sqrt(sqrt(C0) C1 sqrt(C0)), which is symmetric.
    values, vectors = np.linalg.eigh(covariance[0])
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    common = np.sqrt(np.linalg.eigvalsh(root @ covariance[1] @ root).clip(min=0)).sum()
    gap = np.square(mean[0] - mean[1]).sum()
    return float(max(0.0, gap + np.trace(covariance[0]) + np.trace(covariance[1]) - 2 * common))


def kernel_distance(
    real: Float[np.ndarray, "sample1 feature"],
    fake: Float[np.ndarray, "sample2 feature"],
    *,
    seed: int,
    subsets: int = 100,
    subset_size: int = 1000,
) -> float:
    """Return KID: unbiased squared MMD with a cubic kernel, mean over subsets (Binkowski et al. 2018).

    It can be slightly negative. Subsets are drawn without replacement, the fake one first. Matches the official code.

    Raises:
        PanoHeadError: for fewer than two samples.
    """
    size = min(len(real), len(fake), subset_size)
    if size < 2:
        raise PanoHeadError("KID needs at least two images in each set; raise --num")
    rng, width, total = np.random.RandomState(seed), real.shape[1], 0.0
    for _ in range(subsets):
        x = fake[rng.choice(len(fake), size, replace=False)].astype(np.float64)
        y = real[rng.choice(len(real), size, replace=False)].astype(np.float64)
        # Kernel (x y / dimension + 1)^3; the diagonals are excluded, which makes the estimate unbiased.
        within = (x @ x.T / width + 1) ** 3 + (y @ y.T / width + 1) ** 3
        between = (x @ y.T / width + 1) ** 3
        total += (within.sum() - np.trace(within)) / (size - 1) - between.sum() * 2 / size
    return float(total / subsets / size)


def precision_recall(
    real: Float[np.ndarray, "sample1 feature"], fake: Float[np.ndarray, "sample2 feature"], *, neighbors: int = 3
) -> tuple[float, float]:
    """Return the share of fakes inside the reals' manifold and of reals inside the fakes' (Kynkaanniemi et al. 2019).

    A manifold is the union of balls that reach to each sample's ``neighbors``-th nearest neighbor.

    Raises:
        PanoHeadError: for fewer samples than neighbors + 1.
    """
    if min(len(real), len(fake)) <= neighbors:
        raise PanoHeadError(f"precision and recall need more than {neighbors} images in each set; raise --num")
    reals, fakes = torch.from_numpy(real).float(), torch.from_numpy(fake).float()
    return _covered(reals, fakes, neighbors), _covered(fakes, reals, neighbors)


def _covered(
    manifold: Float[Tensor, "sample1 feature"], probes: Float[Tensor, "sample2 feature"], neighbors: int
) -> float:
    # The distance of a sample to itself (0) comes first, hence neighbors + 1.
    reach = torch.cat(
        [torch.cdist(rows, manifold).kthvalue(neighbors + 1).values for rows in manifold.split(_ROWS_AT_ONCE)]
    )
    inside = [(torch.cdist(rows, manifold) <= reach).any(dim=1) for rows in probes.split(_ROWS_AT_ONCE)]
    return float(torch.cat(inside).double().mean())


def inception_score(probabilities: Float[np.ndarray, "sample class"], *, splits: int = 10) -> tuple[float, float]:
    """Return mean and standard deviation over splits of exp(mean KL(p(y|x) || p(y))) (Salimans et al. 2016).

    Raises:
        PanoHeadError: for fewer samples than splits.
    """
    count = len(probabilities)
    if count < splits:
        raise PanoHeadError(f"the inception score needs at least {splits} images; raise --num")
    scores = []
    for i in range(splits):
        part = probabilities[i * count // splits : (i + 1) * count // splits].astype(np.float64)
        divergence = part * (np.log(part.clip(min=1e-300)) - np.log(part.mean(axis=0, keepdims=True).clip(min=1e-300)))
        scores.append(np.exp(divergence.sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))
