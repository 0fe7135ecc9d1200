"""Visibility of the surface in the photos."""

import torch
import torch.nn.functional as F

from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.inversion.visibility import seen_pixels, seen_points


def image(seed: int, size: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sphere(camera: Camera, size: int = 64, radius: float = 0.3) -> Frame:
    """A sphere at the origin as a camera sees it."""
    from panohead.geometry import rays_from_camera

    origins, directions = rays_from_camera(camera.expand(1), size)
    along = (origins * directions).sum(-1)
    inside = along**2 - (origins.square().sum(-1) - radius**2)
    depth = (-along - inside.clamp_min(0).sqrt()).reshape(1, size, size)
    mask = (inside > 0).float().reshape(1, size, size)
    image = torch.zeros(3, size, size)
    return Frame(image, image, torch.where(mask > 0, depth, torch.inf), mask, camera)


def test_seen_is_the_near_side_of_a_sphere() -> None:
    directions = F.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    camera = Camera.orbit(30)
    seen = seen_points(directions * 0.3, [sphere(camera)], directions)
    towards = F.normalize(camera.position, dim=0)
    cosine = directions @ towards
    assert (seen[cosine > 0.5] > 0.3).all()
    assert (seen[cosine < 0] == 0).all()
    both = seen_points(directions * 0.3, [sphere(camera), sphere(Camera.orbit(-150))], directions)
    assert (both[cosine.abs() > 0.5] > 0.3).all()


def test_seen_pixels_of_the_same_and_of_the_opposite_view() -> None:
    front, back = sphere(Camera.orbit(0)), sphere(Camera.orbit(180))
    share = seen_pixels(front, [front]).sum() / front.mask.sum()
    assert share > 0.95
    assert seen_pixels(back, [front]).sum() / back.mask.sum() < 0.02


def test_nothing_is_seen_beyond_the_photo() -> None:
    front = sphere(Camera.orbit(0))
    inside = torch.ones(1, 64, 64)
    inside[..., :32] = 0
    seen = seen_pixels(front, [front], [inside])
    assert seen[..., :32].max() == 0
    torch.testing.assert_close(seen[..., 32:], seen_pixels(front, [front])[..., 32:])
    other = sphere(Camera.orbit(180))
    both = seen_pixels(front, [front, front], [inside, None])
    torch.testing.assert_close(both, seen_pixels(front, [front]))
    assert seen_pixels(other, [front], [inside]).sum() <= seen_pixels(other, [front]).sum()
