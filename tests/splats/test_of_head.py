"""Splats of heads: near the surface, in its colors, refused numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

import tiny
from panohead.errors import UsageError
from panohead.geometry import Camera
from panohead.head import Head
from panohead.mesh.surface import Surface
from panohead.splats import SplatCloud, render_splats, sample_splats
from panohead.splats.of_head import target_view


def head() -> Head:
    network = tiny.generator()
    return Head(network, network.mapping(torch.zeros(1, 8), torch.zeros(1, 25)))


def ball(radius: float = 0.2) -> Surface:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return Surface(mesh.vertices.astype(np.float32), np.asarray(mesh.faces))


def test_samples_are_spread_over_the_surface_and_as_thick_as_the_density_is_soft() -> None:
    views = list(head().coloring_views())
    thick = {}
    for softness in (0.001, 0.008):

        def density(points: torch.Tensor, softness: float = softness) -> torch.Tensor:
            return 200 * torch.sigmoid((0.2 - points.norm(dim=1)) / softness) - 20

        # The views show another head: only their colors are used, at points that they happen to see.
        splats = sample_splats(ball(), density, views, 4000)
        radii = splats.means.norm(dim=1)
        assert float((radii - 0.2).abs().max()) < 0.04
        thick[softness] = float(splats.log_scales[:, 2].exp().mean())
        shares = [float(((splats.means @ torch.tensor(d)) > 0).float().mean()) for d in ([1.0, 0, 0], [0, 1.0, 0])]
        assert all(0.47 < share < 0.53 for share in shares)
        distance, _ = cKDTree(splats.means.numpy()).query(splats.means.numpy(), k=5)
        assert float(np.median(splats.log_scales[:, 0].exp().numpy() / distance[:, 4])) < 1
    assert thick[0.008] > 1.3 * thick[0.001]


def test_splats_of_a_head_look_like_it_and_are_reproducible(tmp_path: Path) -> None:
    made, steps = head(), []
    splats = made.splats(1200, steps=8, level=2.0, progress=lambda: steps.append(1))
    assert len(splats) == 1200
    assert len(steps) == 8
    view = target_view(made, Camera.orbit(30, 10))

    def error(cloud: SplatCloud) -> float:
        with torch.no_grad():
            drawn = render_splats(cloud, view.camera, view.image.shape[-1])
        return float((drawn.over(1.0) - view.image).square().mean())

    # This head is a haze, and samples of its surface are opaque: refinement has much to correct.
    assert error(splats) < 0.9 * error(made.splats(1200, steps=0, level=2.0))
    again = made.splats(1200, steps=8, level=2.0)
    torch.testing.assert_close(again.means, splats.means, rtol=0, atol=0)
    assert made.save_splats(tmp_path / "head.spz", count=500, steps=0, level=2.0).stat().st_size > 1000


@pytest.mark.parametrize(("options", "sentence"), [({"count": 5}, "count is 5"), ({"steps": -1}, "steps is -1")])
def test_numbers_out_of_range_are_refused(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        head().splats(**options)
