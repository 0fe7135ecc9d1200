"""The objective: masks and backgrounds."""

from dataclasses import replace

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
    generator = tiny.generator(config=replace(tiny.CONFIG, use_background=False))
    generator.decoder.output.bias[0] -= 100  # nothing anywhere
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    image = generator.synthesis(ws, Camera.orbit().expand(1).to_label(), ray_jitter=0.5, importance_u=0.5).image_raw
    torch.testing.assert_close(
        empty_ray_color(generator, ws).expand(3, 16, 16), image[0].clamp(-1, 1), atol=1e-4, rtol=0
    )


def cut_photo(masked: bool) -> tuple[AlignedPhoto, torch.Tensor]:
    """A photo of which the left half of the crop is missing, and that half."""
    inside = torch.ones(1, 32, 32)
    inside[..., :16] = 0
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1
    photo = AlignedPhoto(
        "x", image(6, 32)[0], mask * inside if masked else None, Camera.orbit(), "given", inside=inside
    )
    return photo, 1 - inside[None]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("empty", [None, torch.ones(3, 1, 1)])
def test_nothing_beyond_the_photo_counts(masked: bool, empty: torch.Tensor | None) -> None:
    """Neither image nor mask there change the loss, and no gradient comes from there; what is photo counts as ever."""
    photo, beyond = cut_photo(masked)
    objective = PhotoObjective([photo], PyramidLoss(), empty=empty)
    one = image(7, 32).requires_grad_(True)
    other = torch.lerp(one.detach(), image(8, 32), beyond)
    assert float(objective.image_distance(0, one).detach()) == float(objective.image_distance(0, other))
    filled = replace(photo, image=torch.lerp(photo.image, image(9, 32)[0], beyond[0]))
    again = PhotoObjective([filled], PyramidLoss(), empty=empty)
    assert float(again.image_distance(0, other)) == float(objective.image_distance(0, other))
    objective.image_distance(0, one).backward()
    assert one.grad is not None
    assert (one.grad * beyond).abs().max() == 0
    assert (one.grad * (1 - beyond)).abs().max() > 0
    silhouette = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    moved = torch.lerp(silhouette, 1 - silhouette, beyond)
    assert float(objective.mask_distance(0, silhouette)) == pytest.approx(float(objective.mask_distance(0, moved)))
    if masked:
        assert float(objective.mask_distance(0, photo.mask[None])) == 0  # type: ignore[index]
        # The mean over the photo, not over the crop: half the crop is photo, a quarter of that is person.
        assert float(objective.mask_distance(0, torch.zeros(1, 1, 32, 32))) == pytest.approx(0.25)


def test_the_official_losses_leave_out_what_is_beyond_the_photo() -> None:
    from panohead.inversion.official_preset import OfficialConfig, invert_official
    from panohead.inversion.optimization.run import OptimizationRun
    from panohead.inversion.preset import InversionTask

    generator = tiny.generator()
    config = OfficialConfig(steps=2, tuning_steps=1, w_samples=16, ray_start=None)
    side = generator.config.superresolution.output_resolution
    inside = torch.ones(1, side, side)
    inside[..., : side // 2] = 0

    def ws_of(picked: torch.Tensor) -> torch.Tensor:
        photo = AlignedPhoto("x", picked, None, Camera.orbit(), "given", inside=inside)
        task = InversionTask(generator, [photo], PyramidLoss(), 0)
        return invert_official(task, config, OptimizationRun("x")).ws

    first = image(1, side)[0]
    torch.testing.assert_close(ws_of(first), ws_of(torch.lerp(image(2, side)[0], first, inside)), atol=1e-6, rtol=0)
