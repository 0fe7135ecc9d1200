"""StyleSDF's field: density of a sphere's signed distances, and the sphere that an untrained field is."""

import torch
import torch.nn.functional as F

from panohead.models.implicit import ImplicitFieldConfig, SdfField
from panohead.models.implicit.sdf import raw_density

BOX = 0.8


def test_density_is_the_papers_through_the_renderers_activation() -> None:
    """softplus(raw - 1) = scale sigmoid(-d / beta) / beta: half its maximum on the sphere, for every beta."""
    distance = torch.linspace(-2, 2, 401, dtype=torch.float64)[:, None]
    for beta, scale in ((0.1, 2.5), (0.02, 1.0), (1.0, 1.0)):
        raw = raw_density(distance, torch.tensor(beta, dtype=torch.float64), scale)
        expected = scale / beta * torch.sigmoid(-distance / beta)
        assert torch.allclose(F.softplus(raw - 1), expected, rtol=1e-5, atol=1e-20)
        surface = raw_density(distance[200:201] * 0, torch.tensor(beta, dtype=torch.float64), scale)
        assert torch.allclose(F.softplus(surface - 1), torch.tensor(scale / beta / 2, dtype=torch.float64), rtol=1e-5)


def test_density_and_gradients_are_finite_far_away() -> None:
    distance = torch.tensor([[-1e4], [-1.0], [0.0], [1.0], [1e4]], requires_grad=True)
    beta = torch.tensor(1e-3, requires_grad=True)
    raw = raw_density(distance, beta, 2.5)
    raw.sum().backward()
    assert raw.isfinite().all()
    assert (raw.diff(dim=0) <= 0).all(), "density falls outward"
    assert distance.grad is not None
    assert beta.grad is not None
    assert distance.grad.isfinite().all()
    assert beta.grad.isfinite()


def test_without_its_network_the_field_is_a_sphere() -> None:
    torch.manual_seed(0)
    config = ImplicitFieldConfig(kind="sdf", width=8, layers=2, sphere_radius=0.5)
    field = SdfField(config, w_dim=4, out_features=3, box_warp=BOX)
    with torch.no_grad():
        field.distance_output.weight.zero_()
    ws = torch.randn(1, 3, 4)
    points = torch.randn(1, 50, 3)
    points = points / points.norm(dim=2, keepdim=True) * torch.linspace(0.01, 0.4, 50)[None, :, None]
    expected = points.norm(dim=2, keepdim=True) * 2 / BOX - 0.5
    assert torch.allclose(field.distance(points, ws), expected, atol=1e-5)
    density, color = field(points, None, ws)
    assert torch.allclose(density, field.density(points, ws))
    assert color.shape == (1, 50, 3)
    surface = F.softplus(field.density(torch.tensor([[[0.2, 0.0, 0.0]]]), ws) - 1)
    assert torch.allclose(surface, torch.tensor(2 / BOX / 0.1 / 2), rtol=1e-4)
