"""Mirrored photos: their cameras, and the places in which they tell something."""

from dataclasses import replace

import torch

import tiny
from panohead.geometry import Camera
from panohead.inversion.fast_config import FastConfig
from panohead.inversion.losses import PyramidLoss
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.regularizers.symmetry import mirrored_camera, mirrored_photos
from panohead.inversion.tuning import tune

GENERATOR = tiny.generator()
WS = GENERATOR.mapping_network.w_avg.expand(1, GENERATOR.backbone.num_ws, -1)


def photo(yaw_deg: float) -> AlignedPhoto:
    """A photo of whatever is nearly the same from both sides: the head itself, seen from the other side."""
    camera = Camera.orbit(yaw_deg)
    frame = GENERATOR.render_view(GENERATOR.field(WS), WS, mirrored_camera(camera))
    mask = torch.ones(1, *frame.image.shape[-2:])
    return AlignedPhoto("photo", frame.image[0].flip(-1), mask, camera, "given")


def test_the_mirrored_camera_stands_on_the_other_side_and_sees_mirrored_points() -> None:
    camera = Camera.orbit(30, 10)
    camera.intrinsics[0, 2] = 0.4
    other = mirrored_camera(camera)
    angles = [[float(a) for a in c.angles_deg()] for c in (camera, other)]
    assert abs(angles[0][0] + angles[1][0]) < 1e-3
    assert abs(angles[0][1] - angles[1][1]) < 1e-3
    assert float(torch.linalg.det(other.cam2world[:3, :3])) > 0.99

    def place(camera: Camera, point: torch.Tensor) -> torch.Tensor:
        x, y, z = camera.intrinsics @ (torch.linalg.inv(camera.cam2world) @ torch.cat([point, torch.ones(1)]))[:3]
        return torch.stack([x / z, y / z])

    point, mirrored = torch.tensor([0.1, 0.05, 0.2]), torch.tensor([-0.1, 0.05, 0.2])
    here, there = place(camera, point), place(other, mirrored)
    torch.testing.assert_close(there, torch.stack([1 - here[0], here[1]]), atol=1e-5, rtol=0)


def test_only_what_no_photo_shows_counts() -> None:
    one = photo(60)
    ((found, camera),) = mirrored_photos(GENERATOR, WS, [one], [one.camera])
    torch.testing.assert_close(camera.cam2world, mirrored_camera(one.camera).cam2world)
    assert torch.equal(found.image, one.image.flip(-1))
    assert found.inside is not None
    assert 0.005 < float(found.inside.mean()) < 0.3
    both = [one.camera, mirrored_camera(one.camera)]
    assert mirrored_photos(GENERATOR, WS, [one, one], both) == [], "the photos show everything"


def test_a_photo_of_something_asymmetric_and_one_without_a_mask_tell_nothing() -> None:
    one = photo(60)
    other = replace(one, image=one.image + 1)
    assert mirrored_photos(GENERATOR, WS, [other], [one.camera]) == []
    assert mirrored_photos(GENERATOR, WS, [replace(one, mask=None)], [one.camera]) == []


def test_tuning_compares_with_them_where_that_is_asked_for() -> None:
    one = photo(60)
    objective = PhotoObjective([one], PyramidLoss(), empty=None)
    config = FastConfig(tuning_steps=3, coarse_tuning_ratio=1.0, unseen_weight=0)
    for weight, expected in ((0.3, 2), (0.0, 0)):
        run = OptimizationRun()
        tune(GENERATOR, objective, WS, [one.camera], None, config=replace(config, symmetry_weight=weight), run=run)
        assert sum("mirrored" in step.losses for step in run.log.steps) == expected
