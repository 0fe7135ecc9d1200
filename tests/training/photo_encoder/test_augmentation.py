"""Photographic augmentation: nothing at strength 0, the same for a seed, and geometry that cameras agree with."""

import numpy as np
import pytest
import torch
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.camera_refinement import moved
from panohead.training.photo_encoder.augmentation import FAMILIES, AugmentedPhotos, PhotoAugmentation, augment
from panohead.training.photo_encoder.augmentation.framing import (
    Reframing,
    face_center,
    misjudge_cameras,
    reframe,
    sample_framing,
)

SIDE, COUNT = 32, 12


def photos() -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(COUNT, 3, 5, 5, generator=rng), (SIDE, SIDE), mode="bicubic")
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    mask = ((x**2 + y**2) < 0.5).float().expand(COUNT, 1, -1, -1)
    pixels = (torch.cat([smooth.clamp(0, 1), mask], dim=1) * 255).round().to(torch.uint8)
    label = torch.stack([Camera.orbit(10 * i - 60, 3).to_label() for i in range(COUNT)])
    return pixels, label, torch.randn(COUNT, 3, generator=rng) * 0.02


def augmented(config: PhotoAugmentation, seed: int = 0) -> AugmentedPhotos:
    return augment(*photos(), config, np.random.default_rng(seed))


def test_strength_zero_changes_nothing() -> None:
    pixels, label, offset = photos()
    found = augmented(PhotoAugmentation(strength=0))
    assert torch.equal(((found.image + 1) * 127.5).round().to(torch.uint8), pixels[:, :3])
    assert torch.equal((found.mask * 255).round().to(torch.uint8), pixels[:, 3:])
    assert found.inside.min() == 1
    assert torch.equal(found.label, label)
    assert torch.equal(found.offset, torch.cat([torch.zeros(COUNT, 2), offset], dim=1))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_does_something_reproducible_within_range(family: str) -> None:
    plain, found = augmented(PhotoAugmentation(strength=0)), augmented(PhotoAugmentation.only(family))
    again, other = augmented(PhotoAugmentation.only(family)), augmented(PhotoAugmentation.only(family), seed=1)
    names = ("image", "mask", "inside", "label", "offset")
    changed = {name for name in names if not torch.equal(getattr(found, name), getattr(plain, name))}
    expected = {
        "framing": {"image", "mask", "offset"},
        "camera": {"label", "offset"},
        "occluders": {"image", "mask"},
        "border": {"inside"},
        "mask": {"mask"},
    }.get(family, {"image"})
    assert changed == expected
    assert all(torch.equal(getattr(found, name), getattr(again, name)) for name in names)
    assert any(not torch.equal(getattr(found, name), getattr(other, name)) for name in names)
    assert found.image.abs().max() <= 1 + 1e-5
    assert 0 <= found.mask.min() <= found.mask.max() <= 1


def test_no_family_of_that_name() -> None:
    with pytest.raises(ValueError, match="give one of framing"):
        PhotoAugmentation.only("weather")


def projected(camera: Camera, points: Tensor) -> Tensor:
    """Image coordinates (0 to 1) of world points, by matrices."""
    inside = (points - camera.cam2world[:3, 3]) @ camera.cam2world[:3, :3]
    flat = inside @ camera.intrinsics.T
    return flat[:, :2] / flat[:, 2:]


def test_the_camera_moves_as_the_framing_says() -> None:
    framing = sample_framing(20, 1.0, np.random.default_rng(0))
    camera = Camera.orbit(35, 12)
    # Points in the plane through the origin that faces the camera: there the two are equal.
    plane = torch.randn(8, 2) * 0.2 @ camera.cam2world[:3, :2].T
    for i, motion in enumerate(torch.from_numpy(framing.offset()).float()):
        found = projected(moved(camera, torch.cat([torch.zeros(2), motion])), plane)
        shift = torch.from_numpy(framing.shift[i]).float()
        expected = (projected(camera, plane) - 0.5) * float(framing.size[i]) + 0.5 + shift
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_reframing_moves_content_right_down_and_larger() -> None:
    layers = torch.zeros(1, 4, 64, 64)
    layers[..., 30:34, 38:42] = 1  # 8 pixels right of the center
    framing = Reframing(np.array([[0.125, 0.25]]), np.array([1.5]), np.array([0.0]))
    found = reframe(layers, framing)[0, 0]
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    center = [float((found * axis).sum() / found.sum()) for axis in (x, y)]
    # 8 * 1.5 right of the center 31.5, then by 8 right and 16 down
    assert center == pytest.approx([31.5 + 12 + 8, 31.5 + 16], abs=0.1)


def test_corrections_turn_misjudged_cameras_back() -> None:
    label = photos()[1]
    wrong, turn = misjudge_cameras(label, 1.0, np.random.default_rng(0))
    assert not torch.allclose(wrong, label, atol=1e-2)
    for one, angles, truth in zip(wrong, turn, label, strict=True):
        back = moved(Camera.from_label(one), torch.cat([angles, torch.zeros(3)]))
        torch.testing.assert_close(back.to_label(), truth, atol=1e-5, rtol=0)


def test_eyes_are_found_from_the_front_only() -> None:
    front = face_center(Camera.orbit(0).to_label())
    assert front is not None
    assert front[0] == pytest.approx(0.5)
    assert 0.3 < front[1] < 0.5
    assert face_center(Camera.orbit(90).to_label()) is None
    assert face_center(Camera.orbit(180).to_label()) is None
