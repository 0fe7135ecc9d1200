"""Arithmetic of FID, KID, precision/recall and IS: golden numbers, closed forms, laws."""

import numpy as np
import pytest
import scipy.linalg

from panohead.errors import PanoHeadError
from panohead.evaluation.distributions.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from parity import recipe

GOLDEN = {
    "fid": 2.19671897,
    "kid_seed77_subsets10_size100": 0.31568888,
    "precision_recall_k3": (0.46153846, 0.98666668),
    "is_mean_std_10splits": (1.50515389, 0.03783091),
}
"""The original on the recipe's features (golden ``metrics``)."""
REAL = recipe.normal("met/real", (300, 12))
FAKE = (1.3 * recipe.normal("met/gen", (260, 12)) + 0.2).astype(np.float32)


def test_golden_numbers() -> None:
    logits = recipe.normal("met/prob", (260, 20))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert frechet_distance(REAL, FAKE, correction=0) == pytest.approx(GOLDEN["fid"], abs=2e-5)
    kid = kernel_distance(REAL, FAKE, seed=77, subsets=10, subset_size=100)
    assert kid == pytest.approx(GOLDEN["kid_seed77_subsets10_size100"], abs=3e-6)
    assert precision_recall(REAL, FAKE) == pytest.approx(GOLDEN["precision_recall_k3"], abs=8e-6)
    assert inception_score(probabilities) == pytest.approx(GOLDEN["is_mean_std_10splits"], abs=1e-5)


def test_fid_is_the_closed_form_with_scipys_matrix_root() -> None:
    first, second = REAL.astype(np.float64), FAKE.astype(np.float64)
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert frechet_distance(REAL, FAKE) == pytest.approx(expected, abs=1e-3)


def test_fid_is_torch_fidelitys_own() -> None:
    """On two fixed feature sets; skipped where torch-fidelity (which needs torchvision) cannot be imported."""
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid", exc_type=ImportError)
    statistics = [
        {"mu": x.astype(np.float64).mean(0), "sigma": np.cov(x.astype(np.float64), rowvar=False)} for x in (REAL, FAKE)
    ]
    theirs = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(REAL, FAKE) == pytest.approx(theirs, abs=1e-3)


def test_a_set_against_itself_is_at_the_floor() -> None:
    assert frechet_distance(REAL, REAL) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(REAL[:8], REAL[:8]) == pytest.approx(0, abs=1e-5), "fewer samples than features"
    assert precision_recall(REAL, REAL) == (1.0, 1.0)
    assert kernel_distance(REAL, REAL, seed=0, subsets=20, subset_size=100) < 0.02


def test_distances_grow_with_a_shift() -> None:
    def all_at(shift: float) -> tuple[float, float, float]:
        moved = REAL[150:] + np.float32(shift)
        precision, recall = precision_recall(REAL[:150], moved)
        return frechet_distance(REAL[:150], moved), kernel_distance(REAL[:150], moved, seed=0), -precision - recall

    rows = np.array([all_at(shift) for shift in (0.0, 0.3, 1.0, 3.0)])
    assert (np.diff(rows, axis=0) > 0).all()


def test_fid_of_two_gaussians_has_its_known_value() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (200_000, 2)), rng.normal(0.5, 2, (200_000, 2))
    assert frechet_distance(first, second) == pytest.approx(2 * (0.5**2 + (2 - 1) ** 2), rel=0.02)


def test_too_few_samples_are_refused() -> None:
    for measure in (frechet_distance, precision_recall):
        with pytest.raises(PanoHeadError, match="--num"):
            measure(REAL[:1], FAKE)
    with pytest.raises(PanoHeadError, match="--num"):
        inception_score(REAL[:5])
