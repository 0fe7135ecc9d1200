"""Depths of the second pass by the compiled kernel, and patches rendered with them, against the plain formulation."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from panohead.models.generator import Generator
from panohead.ops import fast_paths
from panohead.ops.cpu import jit
from panohead.rendering import importance
from panohead.rendering.compositing import interval_weights
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.density import clean_density
from panohead.rendering.field import TriGridField
from panohead.rendering.renderer import RenderConfig
from panohead.rendering.sampling import importance_depths
from panohead.rendering.trigrid import texel_order, unflatten_planes, unflatten_texels
from panohead.training.warm_start.patches import render_patches
from tiny import CONFIG

pytestmark = pytest.mark.skipif(not jit.available(), reason="needs numba")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dense_field() -> TriGridField:
    """Fog of very uneven density, so that some rays become opaque."""
    decoder = DecoderWeights(normal(64, 16, seed=1), normal(64, seed=2), normal(5, 64, seed=3) * 3, normal(5, seed=4))
    return TriGridField(normal(2, 3, 16, 3, 12, 12), decoder, 1.0)


@pytest.mark.parametrize("crop_margin", [0.0, 0.1])
def test_depths_equal_the_plain_ones(crop_margin: float) -> None:
    field, count, coarse, fine = dense_field(), 50, 9, 7
    origins = torch.tensor([0.0, 0.0, 1.5]) + normal(2, count, 3, seed=5) / 20
    directions = torch.nn.functional.normalize(torch.tensor([0.0, 0.0, -1.0]) + normal(2, count, 3, seed=6) / 6, dim=-1)
    depths = (1 + torch.linspace(0, 1, coarse)).expand(2, count, -1) + torch.rand(2, count, 1) / 20
    u = torch.rand(2, count, fine, generator=torch.Generator().manual_seed(7))
    points = (origins[:, :, None] + depths[..., None] * directions[:, :, None]).flatten(1, 2)
    density = clean_density(field.density(points), points, box_warp=1.0, crop_margin=crop_margin).reshape(depths.shape)
    weights = interval_weights(density, depths)
    assert float(weights.sum(dim=-1).max()) > 0.999  # opaque rays are among them
    expected = importance_depths(depths, weights, u).sort(dim=-1).values
    assert importance.unsupported(field, coarse, origins, directions) is None
    found = importance.place_samples(field, origins, directions, depths, u, crop_margin=crop_margin)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


def test_importance_steps_aside() -> None:
    field = dense_field()
    assert "samples" in str(importance.unsupported(field, 3))
    assert "multiple" in str(importance.unsupported(replace(field, planes=field.planes[:, :, :5]), 9))
    with fast_paths.plain_only():
        assert "switched off" in str(importance.unsupported(field, 9))


def test_channels_in_the_order_of_texels_are_the_same_tri_grid() -> None:
    channels, depth = 4, 3
    image = normal(2, 3 * channels * depth, 5, 6)
    ordered = image[:, texel_order(channels, depth)].contiguous(memory_format=torch.channels_last)
    planes = unflatten_texels(ordered, depth)
    assert torch.equal(planes, unflatten_planes(image, depth))
    assert planes.stride(2) == 1


def test_patches_and_their_gradients_equal_the_plain_ones() -> None:
    torch.manual_seed(0)
    generator = Generator(replace(CONFIG, trigrid_channels=16))
    scene = RenderConfig(
        depth_samples=8, importance_samples=8, ray_start=1.0, ray_end=2.0, box_warp=1.0, crop_margin=0.05
    )
    origins = torch.tensor([0.0, 0.0, 1.5]).expand(2, 64, 3)
    directions = torch.nn.functional.normalize(torch.tensor([0.0, 0.0, -1.0]) + normal(2, 64, 3) / 6, dim=-1)

    def step() -> list[Tensor]:
        ws = normal(2, generator.backbone.num_ws, generator.config.w_dim, seed=1)
        field = generator.field(ws)
        found = render_patches(
            field, origins, directions, scene, coarse_samples=8, fine_samples=6, rng=torch.Generator().manual_seed(0)
        )
        loss = found[0].square().mean() + found[1].square().mean()
        parameters = [*generator.backbone.parameters(), *generator.decoder.parameters()]
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
        return [*(x.detach() for x in found), *(x for x in grads if x is not None)]

    fast = step()
    with fast_paths.plain_only():
        plain = step()
    for one, other in zip(fast, plain, strict=True):
        assert (one - other).norm() <= 1e-3 * other.norm() + 1e-9
