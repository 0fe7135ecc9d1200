"""Fields that a network evaluates: rendered like any other field, with the direction of every ray."""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.randomness import RenderRandomness
from panohead.rendering import NetworkField, RenderConfig, prepare, render, render_rays
from panohead.rendering.dispatch import density
from rendering.analytic import Ball

CONFIG = RenderConfig(depth_samples=24, importance_samples=24, crop_margin=0.0)


class BallSeenFromSomewhere:
    """A ball whose color is the direction of the ray, and whose density is w's."""

    def density(
        self, points: Float[Tensor, "batch point 3"], ws: Float[Tensor, "batch num_ws w_dim"]
    ) -> Float[Tensor, "batch point 1"]:
        return torch.where(points.norm(dim=-1, keepdim=True) < 0.3, ws[:, :1, :1], -1000.0)

    def __call__(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"] | None,
        ws: Float[Tensor, "batch num_ws w_dim"],
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point 3"]]:
        return self.density(points, ws), torch.zeros_like(points) if directions is None else directions


def test_rays_equal_those_of_the_plain_field() -> None:
    """Depth and weight are the ball's; a color that is constant along the ray is composited to itself."""
    ws = torch.tensor([5.0, 12.0])[:, None, None]
    field = NetworkField(BallSeenFromSomewhere(), ws, 1.0)
    assert field.heads == 2
    origins, directions = rays_from_camera(Camera.orbit(30.0, 10.0).expand(2), 6)
    found = render(prepare(field), origins, directions, CONFIG, RenderRandomness.even())
    assert torch.allclose(found.features, directions * found.weight_sum, atol=1e-5)
    assert found.weight_sum.max() > 0.9
    for head in range(2):
        alone = slice(head, head + 1)
        rays = origins[alone], directions[alone]
        ball = render_rays(Ball(float(ws[head])), *rays, CONFIG, RenderRandomness.even())
        assert torch.allclose(found.weight_sum[alone], ball.weight_sum, atol=1e-6)
        hit = ball.weight_sum[0, :, 0] > 0
        assert torch.allclose(found.depth[alone][:, hit], ball.depth[:, hit], atol=1e-5)
    points = torch.rand(2, 9, 3) - 0.5
    assert torch.equal(density(field, points), field(points)[0])
