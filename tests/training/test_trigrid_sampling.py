"""The compiled sampler against grid_sample, forward and backward, inside and outside the box."""

import pytest
import torch

from panohead.ops import jit
from panohead.rendering.decoder import DecoderWeights
from panohead.rendering.field import TriGridField
from panohead.training.trigrid_sampling import TrainingField

pytestmark = pytest.mark.skipif(not jit.available(), reason="numba is not installed")


def trigrid_field(planes: torch.Tensor, hidden: int = 16) -> TriGridField:
    g = torch.Generator().manual_seed(3)
    channels = planes.shape[2]
    weights = DecoderWeights(
        torch.randn(hidden, channels, generator=g),
        torch.randn(hidden, generator=g),
        torch.randn(5, hidden, generator=g),
        torch.randn(5, generator=g),
    )
    return TriGridField(planes, weights, box_warp=0.8)


@pytest.mark.parametrize("depth", [1, 3])
def test_same_hidden_units_and_gradients_as_the_plain_field(depth: int) -> None:
    g = torch.Generator().manual_seed(depth)
    planes = torch.randn(2, 3, 4, depth, 8, 8, generator=g, requires_grad=True)
    points = (torch.rand(2, 500, 3, generator=g) - 0.5) * 1.1
    pull = torch.randn(2, 500, 16, generator=g)

    plain = trigrid_field(planes)
    expected = plain.hidden(points)
    (expected_gradient,) = torch.autograd.grad((expected * pull).sum(), planes)
    fast = TrainingField.of(trigrid_field(planes))
    assert fast.texels is not None
    found = fast.hidden(points)
    (found_gradient,) = torch.autograd.grad((found * pull).sum(), planes)

    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(found_gradient, expected_gradient, atol=2e-4, rtol=1e-4)


def test_true_triplanes_take_the_plain_path() -> None:
    planes = torch.randn(1, 3, 4, 1, 8, 8)
    field = trigrid_field(planes)
    flat = TriGridField(field.planes, field.decoder, field.box_warp, interpolation="bilinear")
    points = (torch.rand(1, 50, 3) - 0.5) * 0.7
    torch.testing.assert_close(TrainingField.of(flat).hidden(points), flat.hidden(points))
