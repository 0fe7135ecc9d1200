"""Maps of where detail is left out: volumes told by points, and images without noise there."""

import torch

from panohead.geometry import Camera
from panohead.models.detail_map import volume_of_points, with_detail_map
from panohead.models.generator import Generator
from panohead.models.surface_detail import SurfaceDetail
from panohead.randomness import RenderRandomness
from small_generator import BOX, small_config


def trained() -> Generator:
    """A generator with visible detail."""
    torch.manual_seed(0)
    generator = Generator(small_config(surface_detail=True)).eval().requires_grad_(False)
    assert generator.surface_detail is not None
    assert generator.surface_detail.strength.bias is not None
    torch.nn.init.constant_(generator.surface_detail.strength.bias, 0.0)
    return generator


def detail_of(generator: Generator) -> torch.Tensor:
    """What the detail adds to a view."""
    ws = torch.randn(1, generator.backbone.num_ws, 16, generator=torch.Generator().manual_seed(1))
    found = generator.render(generator.field(ws), Camera.orbit(30, 5).expand(1), 16, RenderRandomness.even())
    return generator.detail(found, ws, side=16, size=32)


@torch.no_grad()
def test_a_new_map_changes_nothing_and_a_full_one_leaves_all_detail_out() -> None:
    plain = trained()
    mapped = with_detail_map(plain, 8)
    assert plain.config.detail_map == 0
    assert torch.equal(detail_of(mapped), detail_of(plain))
    assert float(detail_of(plain).abs().max()) > 0.02
    detail = mapped.surface_detail
    assert detail is not None
    assert detail.left_out is not None
    detail.left_out.fill_(1.0)
    assert float(detail_of(mapped).abs().max()) == 0
    built = Generator(mapped.config)
    built.load_state_dict(mapped.state_dict())
    assert float(detail_of(built.eval()).abs().max()) == 0


@torch.no_grad()
def test_strengths_fall_by_what_the_map_says_of_a_place() -> None:
    detail = SurfaceDetail(4, w_dim=8, box_warp=BOX, map_side=8)
    assert detail.left_out is not None
    detail.left_out[:, :, 4:] = 1.0  # x above 0
    x = torch.tensor([-0.3, -0.2, 0.2, 0.3])
    points = torch.stack([x, torch.full((4,), 0.3), torch.zeros(4)], dim=1)[None]
    given = torch.ones(1, 4, 4), torch.ones(1, 4, 1), points, torch.randn(1, 8)
    with_map = detail.strengths(*given)[0]
    detail.left_out = None
    without = detail.strengths(*given)[0]
    assert torch.equal(with_map[:2], without[:2])
    assert float(with_map[2:].abs().max()) == 0
    assert float(without[2:].min()) > 0


def test_volumes_say_what_points_told_and_near_them_the_same() -> None:
    """A linear function of the place, told by many points, is read again within a texel's change."""
    random = torch.Generator().manual_seed(0)
    points = (torch.rand(4000, 3, generator=random) - 0.5) * BOX
    shell = points[points.norm(dim=1).sub(0.25).abs() < 0.03]
    values = 0.5 + shell[:, 0]
    volume = volume_of_points(shell, values, side=16, box_warp=BOX)
    at = (shell * (2 / BOX))[None, :, None, None]
    read = torch.nn.functional.grid_sample(volume[None, None], at, align_corners=False)[0, 0, :, 0, 0]
    assert float((read - values).abs().max()) < BOX / 16
    # Just inside the shell nobody told anything; the nearest told it.
    inner = torch.nn.functional.grid_sample(volume[None, None], 0.75 * at, align_corners=False)[0, 0, :, 0, 0]
    assert float((inner - values).abs().mean()) < BOX / 8
