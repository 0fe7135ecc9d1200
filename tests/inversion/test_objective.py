"""The objective: masks and backgrounds."""

import pytest
import torch

import tiny
from panohead.geometry import Camera
from panohead.inversion.losses import PyramidLoss
from panohead.inversion.objective import PhotoObjective, empty_ray_color
from panohead.inversion.photo import AlignedPhoto


def image(seed: int, size: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_mask_takes_the_background_out_of_the_loss() -> None:
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1
    photo = AlignedPhoto("x", image(6, 32)[0], mask, Camera.orbit(), "given")
    objective = PhotoObjective([photo], PyramidLoss(), empty=None, background_weight=0.0)
    other = torch.where(mask[None] > 0, photo.image[None], image(7, 32))
    assert abs(float(objective.image_distance(0, other))) < 1e-6
    cut = PhotoObjective([photo], PyramidLoss(), empty=torch.ones(3, 1, 1))
    assert abs(float(cut.image_distance(0, torch.where(mask[None] > 0, photo.image[None], torch.ones(()))))) < 1e-6
    wrong = torch.zeros(1, 1, 32, 32)
    assert float(cut.mask_distance(0, wrong)) == pytest.approx(0.25)


def test_empty_color_is_what_a_ray_beside_the_head_shows() -> None:
    from dataclasses import replace

    generator = tiny.generator(config=replace(tiny.CONFIG, use_background=False))
    generator.decoder.output.bias[0] -= 100  # nothing anywhere
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    image = generator.synthesis(ws, Camera.orbit().expand(1).to_label(), ray_jitter=0.5, importance_u=0.5).image_raw
    torch.testing.assert_close(
        empty_ray_color(generator, ws).expand(3, 16, 16), image[0].clamp(-1, 1), atol=1e-4, rtol=0
    )
