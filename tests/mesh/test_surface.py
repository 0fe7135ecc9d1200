"""The surface extractor: exact on linear fields, closed, facing outward, and the same coarse to fine as dense."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.mesh.surface import DensityFunction, Surface, density_grid, extract_surface, smoothed

CENTER = torch.tensor([0.05, -0.1, 0.12])


def ball(points: Tensor, radius: float = 0.2, center: Tensor = CENTER, slope: float = 400.0) -> Tensor:
    """Density 10 on a sphere, rising inward."""
    return 10 + slope * (radius - (points - center).norm(dim=1))


def strand(points: Tensor, start: Tensor, end: Tensor, radius: float) -> Tensor:
    along = (end - start) / (end - start).norm() ** 2
    t = ((points - start) @ along).clamp(0, 1)
    return 10 + 2000 * (radius - (points - start - t[:, None] * (end - start)).norm(dim=1))


def hairy(points: Tensor) -> Tensor:
    """A ball with twelve strands rooted in it, 1.6 voxels thick at resolution 64: far thinner than a block."""
    density = ball(points)
    generator = torch.Generator().manual_seed(0)
    for direction in torch.nn.functional.normalize(torch.randn(12, 3, generator=generator), dim=1):
        density = torch.maximum(density, strand(points, CENTER, CENTER + 0.33 * direction, 0.8 / 63))
    return density


def noise(seed: int, decimals: int | None = None) -> DensityFunction:
    """Trilinear noise; with ``decimals`` its values are few, and the level itself is among them."""
    generator = torch.Generator().manual_seed(seed)
    volume = torch.randn(1, 1, 16, 16, 16, generator=generator) * 300 + 10
    mode = "bilinear"
    if decimals is not None:
        volume, mode = (volume - 10).round(decimals=decimals) + 10, "nearest"

    def density(points: Tensor) -> Tensor:
        grid = (points * 2)[None, :, None, None]
        return torch.nn.functional.grid_sample(volume, grid, mode=mode, align_corners=True)[0, 0, :, 0, 0]

    return density


def edge_uses(surface: Surface) -> np.ndarray:
    """How many faces use each directed edge, and its reverse: all ones in a closed, consistently turned surface."""
    directed = np.concatenate([surface.faces[:, [i, (i + 1) % 3]] for i in range(3)]).astype(np.int64)
    count = len(surface.vertices)
    forward, uses = np.unique(directed @ [count, 1], return_counts=True)
    backward = np.unique(directed[:, ::-1] @ [count, 1])
    assert np.array_equal(forward, backward)
    return uses


def assert_closed(surface: Surface) -> None:
    assert (edge_uses(surface) == 1).all()
    assert surface.faces.max() == len(surface.vertices) - 1
    assert len(np.unique(surface.faces)) == len(surface.vertices)


def test_sphere_has_its_place_size_and_orientation() -> None:
    surface = extract_surface(ball, resolution=64)
    offset = surface.vertices - CENTER.numpy()
    step = 1 / 63
    # The official grid is sheared by up to a voxel; ours must sit within a thirtieth of one everywhere.
    assert np.abs(np.linalg.norm(offset, axis=1) - 0.2).max() < 0.03 * step
    assert surface.volume == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=0.01)
    outward = offset / np.linalg.norm(offset, axis=1, keepdims=True)
    assert (surface.vertex_normals * outward).sum(axis=1).min() > 0.99
    assert_closed(surface)


def test_linear_field_is_met_exactly() -> None:
    """Marching cubes interpolates linearly: on a plane, every vertex off the closing surface lies in the plane."""
    normal, offset = torch.tensor([120.0, 260.0, -90.0]), 14.0
    surface = extract_surface(lambda points: points @ normal + offset, resolution=32)
    vertices = torch.from_numpy(surface.vertices)
    step = 1 / 31
    inner = (vertices[:, [0, 2]].abs() < 0.4 - step).all(dim=1) & (vertices[:, 1].abs() < 0.5 - 2 * step)
    assert inner.sum() > 300
    assert (vertices[inner] @ normal + offset - 10).abs().max() < 2e-3
    assert_closed(surface)


@pytest.mark.parametrize(
    "field", [ball, hairy, noise(1), noise(2, decimals=-2)], ids=["ball", "hair", "noise", "steps"]
)
@pytest.mark.parametrize("stride", [3, 4, 7])
def test_coarse_to_fine_is_the_dense_surface(field: DensityFunction, stride: int) -> None:
    fine = extract_surface(field, resolution=64, stride=stride)
    dense = extract_surface(field, resolution=64, coarse_to_fine=False)
    assert np.array_equal(fine.vertices, dense.vertices)
    assert np.array_equal(fine.faces, dense.faces)
    assert fine.evaluated_points <= dense.evaluated_points < dense.grid_points == 64**3


def test_strands_are_followed_to_their_tips() -> None:
    surface = extract_surface(hairy, resolution=64)
    reach = np.linalg.norm(surface.vertices - CENTER.numpy(), axis=1)
    assert reach.max() > 0.33
    assert surface.evaluated_points < 0.2 * surface.grid_points


def test_few_points_suffice_for_a_head_sized_ball() -> None:
    surface = extract_surface(lambda points: ball(points, radius=0.27, center=torch.zeros(3)), resolution=128)
    assert surface.evaluated_points < 0.09 * surface.grid_points


def test_detached_pieces() -> None:
    """A ball that holds a coarse node is found; a speck between coarse nodes is seen only by the dense path."""
    step = 1 / 63
    node = torch.tensor([14.0, 13.0, 14.0]) * step - 0.5
    assert extract_surface(lambda p: ball(p, 0.87 * 4 * step, node + 2 * step), resolution=64, crop=0.0).volume > 0

    def two(points: Tensor) -> Tensor:
        # Coarse nodes are 1, 5, 9 ... in every axis (crop 0): 11 lies amid a block.
        speck = torch.tensor([11.0, 11.0, 11.0]) * step - 0.5
        return torch.maximum(ball(points), ball(points, 1.4 * step, speck))

    dense = extract_surface(two, resolution=64, crop=0.0, keep="all", coarse_to_fine=False)
    fine = extract_surface(two, resolution=64, crop=0.0, keep="all")
    wide = extract_surface(two, resolution=64, crop=0.0, keep="all", margin=8)
    assert len(fine.vertices) < len(dense.vertices) == len(wide.vertices)
    assert len(extract_surface(two, resolution=64, crop=0.0).vertices) == len(fine.vertices)


def test_largest_is_by_volume_not_by_faces() -> None:
    """A small sponge (a gyroid) has more faces than a big ball; a cavity is a piece with negative volume: both go."""

    def field(points: Tensor) -> Tensor:
        p = points * (2 * np.pi / 0.03)
        gyroid = (p.sin() * p.roll(-1, dims=1).cos()).sum(dim=1)
        sponge = torch.minimum(10 + 60 * gyroid, ball(points, 0.13, torch.tensor([0.0, 0.36, 0.0])))
        shell = 10 + 400 * (0.1 - ((points + torch.tensor([0.0, 0.1, 0.0])).norm(dim=1) - 0.15).abs())
        return torch.maximum(sponge, shell)

    everything = extract_surface(field, resolution=96, keep="all")
    in_sponge = everything.vertices[everything.faces[:, 0], 1] > 0.2
    assert in_sponge.sum() > 0.55 * len(in_sponge)
    largest = extract_surface(field, resolution=96)
    assert largest.volume == pytest.approx(4 / 3 * np.pi * 0.25**3, rel=0.02)
    assert np.linalg.norm(largest.vertices - np.array([0, -0.1, 0]), axis=1).min() > 0.24
    assert_closed(largest)


@pytest.mark.parametrize(("crop", "across"), [(0.1, 0.4), (0.0, 0.5), (0.25, 0.25)])
def test_a_solid_that_leaves_the_box_is_closed_flat(crop: float, across: float) -> None:
    surface = extract_surface(lambda points: torch.full((len(points),), 50.0), resolution=41, crop=crop)
    step = 1 / 40
    assert_closed(surface)
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    # Half a step outside the last node kept: at the crop in x and z, one node inside the box in y.
    last = min(across, 0.5 - step)
    np.testing.assert_allclose(high, [last + step / 2, 0.5 - step / 2, last + step / 2], atol=1e-5)
    np.testing.assert_allclose(low, -high, atol=1e-5)


def test_infinite_density_is_a_wall() -> None:
    def field(points: Tensor) -> Tensor:
        return torch.where(ball(points) > 10, torch.inf, -torch.inf)

    surface = extract_surface(field, resolution=48)
    assert_closed(surface)
    assert surface.volume == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_no_holes_nor_empty_faces_where_the_level_is_hit_exactly(seed: int) -> None:
    surface = extract_surface(noise(seed, decimals=-2), resolution=46, keep="all")
    assert_closed(surface)
    a, b, c = (surface.vertices[surface.faces[:, k]].astype(np.float64) for k in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 0


def test_chunks_and_progress() -> None:
    sizes, reports = [], []

    def watched(points: Tensor) -> Tensor:
        sizes.append(len(points))
        return ball(points)

    def report(done: int, planned: int) -> None:
        reports.append((done, planned))

    small = extract_surface(watched, resolution=48, chunk=1000, progress=report)
    whole = extract_surface(ball, resolution=48)
    assert max(sizes) <= 1000
    assert sum(sizes) == small.evaluated_points == whole.evaluated_points == reports[-1][0] == reports[-1][1]
    assert reports == sorted(reports)
    assert np.array_equal(small.vertices, whole.vertices)


def test_density_grid_is_the_density_at_the_nodes() -> None:
    grid = density_grid(ball, resolution=9, box_warp=0.8, chunk=7)
    for i, j, k in [(0, 0, 0), (8, 8, 8), (3, 5, 1), (7, 0, 4)]:
        point = torch.tensor([[i, j, k]]) * 0.1 - 0.4
        assert grid[i, j, k] == pytest.approx(float(ball(point)), abs=1e-4)


def test_smoothing_keeps_volume_and_takes_off_noise() -> None:
    bumps = 100 * torch.randn(1, 1, 64, 64, 64, generator=torch.Generator().manual_seed(0))

    def field(points: Tensor) -> Tensor:
        grid = (points.flip(1) * 2)[None, :, None, None]
        noise_at = torch.nn.functional.grid_sample(bumps, grid, align_corners=True)[0, 0, :, 0, 0]
        return ball(points, slope=20000) + noise_at

    surface = extract_surface(field, resolution=64)
    smooth = smoothed(surface, iterations=10)

    def roughness(s: Surface) -> float:
        outward = torch.nn.functional.normalize(torch.from_numpy(s.vertices) - CENTER, dim=1)
        return float((1 - (torch.from_numpy(s.vertex_normals) * outward).sum(dim=1)).mean())

    assert roughness(smooth) < 0.5 * roughness(surface)
    assert smooth.volume == pytest.approx(surface.volume, rel=0.005)
    assert np.array_equal(smooth.faces, surface.faces)


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        (lambda points: points[:, 0] * 0, {}, "no surface"),
        (lambda points: points[:, 0] * torch.nan, {}, "not a number"),
        (ball, {"resolution": 4}, "resolution"),
        (ball, {"crop": 0.5}, "crop"),
    ],
)
def test_errors_say_what_to_do(field: Callable[[Tensor], Tensor], options: dict[str, float], message: str) -> None:
    with pytest.raises(PanoHeadError, match=message):
        extract_surface(field, **{"resolution": 16, **options})
