"""Losses of signed distances on a sphere, whose distances are known."""

import pytest
import torch

from panohead import baselines
from panohead.errors import UsageError
from panohead.models.generator import Generator
from panohead.models.implicit import ImplicitFieldConfig, SdfField
from panohead.presets import tiny
from panohead.training.conditioning import LossRandomness
from panohead.training.sdf_losses import SdfLossConfig, eikonal_loss, minimal_surface_loss, sdf_penalty


def test_eikonal_loss_is_zero_on_a_sphere_and_not_on_its_square() -> None:
    torch.manual_seed(0)
    points = torch.randn(1, 200, 3, requires_grad=True)
    radius = points.norm(dim=2, keepdim=True)
    for distance, expected in ((radius - 0.4, 0.0), (3 * (radius - 0.4), 4.0), (0 * radius, 1.0)):
        (gradient,) = torch.autograd.grad(distance.sum(), points, retain_graph=True)
        assert float(eikonal_loss(gradient)) == pytest.approx(expected, abs=1e-5)
    (gradient,) = torch.autograd.grad((radius**2).sum(), points)
    assert float(eikonal_loss(gradient)) > 0.1


def test_minimal_surface_loss_counts_surface() -> None:
    assert float(minimal_surface_loss(torch.zeros(4, 1))) == 1
    assert float(minimal_surface_loss(torch.tensor([[0.0], [1.0], [-1.0], [5.0]]))) == pytest.approx(0.25)


def test_penalty_of_a_generator_in_its_own_units() -> None:
    """The Eikonal loss of the sphere is zero whatever the box; a steeper field has a gradient that flattens it."""
    torch.manual_seed(0)
    config = baselines.style_sdf(tiny(), ImplicitFieldConfig(kind="sdf", width=8, layers=1), samples=4)
    generator = Generator(config.generator)
    field = generator.implicit
    assert isinstance(field, SdfField)
    z, label = torch.randn(2, config.generator.z_dim), torch.zeros(2, 25)
    weights = SdfLossConfig(eikonal_weight=2.0, surface_weight=0.0)
    with torch.no_grad():
        field.distance_output.weight.zero_()
    scheduled = config.schedules.at(0)
    penalty = sdf_penalty(generator, z, label, scheduled, weights, LossRandomness())
    assert float(penalty.eikonal.detach()) < 1e-6
    with torch.no_grad():
        field.distance_output.weight.normal_()
    penalty = sdf_penalty(generator, z, label, scheduled, weights, LossRandomness())
    assert float(penalty.loss.detach()) == pytest.approx(2 * float(penalty.eikonal.detach()))
    penalty.loss.backward()
    assert field.distance_output.weight.grad is not None
    assert field.distance_output.weight.grad.abs().max() > 0


def test_other_fields_have_no_distances() -> None:
    config = tiny()
    with pytest.raises(UsageError, match="implicit field sdf"):
        sdf_penalty(
            Generator(config.generator),
            torch.zeros(1, config.generator.z_dim),
            torch.zeros(1, 25),
            config.schedules.at(0),
            SdfLossConfig(),
            LossRandomness(),
        )
