"""Known deformations of synthetic people, and the network that starts from them."""

import numpy as np
import pytest
import torch

from panohead.models.deformation import Deformation
from panohead.rendering.deformation import canonical_points
from panohead.synthetic.people import sample_person
from panohead.training.attribute_fit.deformations import DeformationSolver, start_from_people

BOX = 0.8


@pytest.fixture(scope="module")
def solver() -> DeformationSolver:
    return DeformationSolver(12, BOX)


def left_over(solver: DeformationSolver, vertices: np.ndarray, offsets: np.ndarray) -> float:
    """Return the root mean square distance from the neutral head after the deformation, by the renderer's code."""
    points = torch.from_numpy(vertices)[None]
    moved = canonical_points(points, torch.from_numpy(offsets)[None].double(), BOX)[0].numpy()
    inside = (np.abs(vertices) < BOX / 2).all(axis=1)
    return float(np.sqrt(((moved - solver.neutral)[inside] ** 2).sum(axis=1).mean()))


def test_the_neutral_head_stays(solver: DeformationSolver) -> None:
    assert np.abs(solver.solve(solver.neutral)).max() < 1e-6


def test_a_moved_head_moves_back(solver: DeformationSolver) -> None:
    shift = np.array([0.02, -0.01, 0.015])
    offsets = solver.solve(solver.neutral + shift)
    np.testing.assert_allclose(offsets, np.broadcast_to(-shift[:, None, None, None], offsets.shape), atol=2e-3)


def test_a_person_comes_to_lie_on_the_neutral_head(solver: DeformationSolver) -> None:
    record = sample_person(5, 0).to_json()
    record["shots"] = [{"expression": {}}, {"expression": {"jawOpen": 0.8}}]
    from panohead.attributes.vocabulary import person_of_record
    from panohead.synthetic.shape import head_shapes

    offsets = solver.of_person(record)
    assert offsets.shape == (2, 3, 12, 12, 12)
    shapes = head_shapes(person_of_record(record), [shot["expression"] for shot in record["shots"]])
    for shape, found in zip(shapes, offsets, strict=True):
        vertices = solver.framing.to_world(shape)
        before = left_over(solver, vertices, np.zeros_like(found))
        assert left_over(solver, vertices, found) < 0.4 * before
    # The jaw is where the two shots differ.
    changed = np.abs(offsets[0] - offsets[1]).astype(np.float32).max(axis=0)  # z y x
    z, y, _ = np.unravel_index(changed.argmax(), changed.shape)
    assert y < 6
    assert z > 6


def test_the_network_starts_at_the_mean_and_can_say_every_known_deformation() -> None:
    torch.manual_seed(0)
    offsets = torch.randn(6, 3, 4, 4, 4) * 0.02
    module = Deformation(4, 8, w_dim=16)
    start_from_people(module, offsets)
    mean = offsets.mean(dim=0)
    torch.testing.assert_close(module(torch.randn(2, 16)), mean.expand(2, -1, -1, -1, -1), rtol=0, atol=1e-6)
    # Six deformations differ in five directions, each with coefficients of unit variance.
    directions = module.offsets.weight * module.offsets.weight_gain
    known = (Deformation.normalized(offsets) - Deformation.normalized(mean[None])).flatten(1)
    coefficients = torch.linalg.lstsq(directions[:, :5], known.T).solution
    torch.testing.assert_close(directions[:, :5] @ coefficients, known.T, rtol=0, atol=1e-4)
    torch.testing.assert_close(coefficients.square().mean(dim=1), torch.ones(5), rtol=1e-4, atol=0)
    assert not directions[:, 5:].any()
