"""Deformation of space: its interpolation, its network, and the places in the generator that must know of it."""

from dataclasses import replace

import pytest
import torch

from panohead.geometry import Camera
from panohead.models.deformation import Deformation
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.rendering import dispatch
from panohead.rendering.deformation import canonical_points
from panohead.system.bounds import OutOfRange
from small_generator import BOX, small_config


def small(deformation: int = 4) -> Generator:
    torch.manual_seed(0)
    return Generator(small_config(deformation=deformation, deformation_rank=3)).eval()


def corners(size: int) -> torch.Tensor:
    """Places of the grid's points, size size size 3 by (z y x), world units."""
    line = torch.linspace(-BOX / 2, BOX / 2, size)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def test_an_affine_deformation_is_exact_inside_the_box_and_constant_beyond() -> None:
    matrix = torch.tensor([[0.1, 0.2, 0.0], [0.0, -0.1, 0.3], [0.05, 0.0, 0.1]])
    shift = torch.tensor([0.01, -0.02, 0.03])
    deformation = (corners(5) @ matrix.T + shift).permute(3, 0, 1, 2)[None]
    points = (torch.rand(1, 50, 3) - 0.5) * BOX
    expected = points + points @ matrix.T + shift
    torch.testing.assert_close(canonical_points(points, deformation, BOX), expected, rtol=0, atol=1e-6)
    beyond = torch.tensor([[[0.7, 0.0, 0.0]]])
    border = torch.tensor([[[0.4, 0.0, 0.0]]])
    moved = canonical_points(beyond, deformation, BOX) - beyond
    torch.testing.assert_close(moved, border @ matrix.T + shift, rtol=0, atol=1e-6)


@torch.no_grad()
def test_an_untrained_deformation_changes_nothing() -> None:
    deformed, plain = small(), small(0)
    assert not [name for name in plain.state_dict() if "deformation" in name]
    missing, unexpected = deformed.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert {name.split(".")[0] for name in missing} == {"deformation"}
    ws, label = torch.randn(2, deformed.backbone.num_ws, 16), Camera.orbit(30, 10).to_label().expand(2, -1)
    renderings = [g.synthesis(ws, label, ray_jitter=0.5, importance_u=0.5) for g in (deformed, plain)]
    for name in ("image", "depth", "weights"):
        ours, theirs = (getattr(found, name) for found in renderings)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("prepared", [False, True])
def test_moving_space_by_a_constant_moves_the_head(prepared: bool) -> None:
    """A head moved by t in front of a camera looks as itself in front of a camera moved by -t."""
    generator = small()
    generator.config = replace(generator.config, rendering=replace(generator.config.rendering, crop_margin=0.0))
    shift = torch.tensor([0.03, -0.02, 0.01])
    ws, camera = torch.randn(1, generator.backbone.num_ws, 16), Camera.orbit(20, 5, radius=2.7)
    still = generator.field(ws)
    assert generator.deformation is not None
    generator.deformation.offsets.bias.copy_((shift / 0.02).repeat_interleave(4**3))
    moved = generator.field(ws)
    assert moved.deformation is not None
    torch.testing.assert_close(moved.deformation[0, :, 1, 2, 3], shift)
    pose = camera.cam2world.clone()
    pose[:3, 3] += shift
    fields = [dispatch.prepare(f) if prepared else f for f in (moved, still)]
    ours = generator.render_view(fields[0], ws, camera)
    theirs = generator.render_view(fields[1], ws, Camera(pose, camera.intrinsics))
    assert float(theirs.weights.max()) > 0.1
    torch.testing.assert_close(ours.features, theirs.features, rtol=0, atol=2e-4 * float(theirs.features.abs().max()))
    # Meshes ask for the density alone.
    points = (torch.rand(1, 40, 3) - 0.5) * 0.6
    torch.testing.assert_close(dispatch.density(fields[0], points), still.density(points + shift), rtol=1e-4, atol=1e-4)


def test_gradients_reach_w_through_the_deformation() -> None:
    generator = small()
    assert generator.deformation is not None
    torch.nn.init.normal_(generator.deformation.offsets.weight)
    ws = torch.randn(1, generator.backbone.num_ws, 16)
    offsets = generator.deformation(ws[:, 0])
    assert offsets.shape == (1, 3, 4, 4, 4)
    loss = generator.synthesis(ws, Camera.orbit(0, 0).to_label()[None], ray_jitter=0.5, importance_u=0.5).image.sum()
    loss.backward()
    for parameter in generator.deformation.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


def test_network_is_linear_in_w() -> None:
    torch.manual_seed(1)
    network = Deformation(3, 2, w_dim=5)
    torch.nn.init.normal_(network.offsets.weight)
    a, b = torch.randn(2, 1, 5)
    zero = network(torch.zeros(1, 5))
    torch.testing.assert_close(network(a + b) - zero, network(a) - zero + network(b) - zero)
    torch.testing.assert_close(Deformation.normalized(network(a)), network(a) * 50)


def test_a_grid_of_one_point_is_refused() -> None:
    with pytest.raises(OutOfRange, match="at least 2"):
        GeneratorConfig(deformation=1)
