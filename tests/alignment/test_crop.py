"""The official crop: golden numbers, laws, and a slow reference of the sampler."""

import numpy as np
import pytest
import torch

from panohead.alignment.angles import camera_of_view
from panohead.alignment.crop import (
    FRAME,
    HeadCrop,
    crop_of_landmarks,
    cut_frame,
    cut_window,
    frame_to_core,
    is_inside,
    sample,
)
from parity import golden

SHIFT_PX = 220
QUAD_DEFAULT = [
    (465.4038, 473.1830, 297.5320, -17.9065),
    (492.7305, 403.3956, 368.2420, -60.7339),
    (392.9068, 379.4985, 441.3597, -50.6628),
    (423.3461, 374.8733, 264.4247, -19.4937),
    (387.4134, 395.3005, 421.0907, -86.0328),
    (461.7900, 439.8014, 282.3359, -68.6929),
]
"""Golden ``quad_default`` of the six sets of landmarks: center, and half the upper side."""
LEVELS = 2
"""Allowed between versions of the original's image library."""


def cubic_resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bicubic enlargement with a = -0.75, edges repeated: the way the golden source image was made."""
    across = _cubic_weights(image.shape[1], width)
    down = _cubic_weights(image.shape[0], height)
    return np.clip(
        np.rint(np.einsum("ij,jkc,lk->ilc", down, image.astype(float), across, optimize=True)), 0, 255
    ).astype(np.uint8)


def _cubic_weights(size: int, new: int) -> np.ndarray:
    a, weights = -0.75, np.zeros((new, size))
    for i in range(new):
        x = (i + 0.5) * size / new - 0.5
        for j in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
            d = abs(x - j)
            w = (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0
            weights[i, min(max(j, 0), size - 1)] += w
    return weights


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    return cubic_resize(golden.load("crop")[0]["crop_source_low24"], 820, 780)


def golden_crop(case: int) -> HeadCrop:
    points = golden.load("crop")[0]["landmarks"][case]
    return crop_of_landmarks(points[36:42], points[42:48], points[[48, 54]])


@pytest.mark.parametrize("case", range(6))
def test_first_crop_is_the_originals(case: int) -> None:
    arrays = golden.load("crop")[0]
    crop = golden_crop(case)
    np.testing.assert_allclose(crop.core_corners(), arrays[f"quad_ffhq_{case}"], atol=1e-3)
    np.testing.assert_allclose(crop.center, arrays[f"center_ffhq_{case}"], atol=1e-3)
    turned = HeadCrop.from_corners(crop.core_corners())
    np.testing.assert_allclose(
        [*turned.center, turned.half_px, turned.angle_deg], [*crop.center, crop.half_px, crop.angle_deg]
    )


@pytest.mark.parametrize("case", range(6))
def test_the_other_rule_of_the_original_is_known(case: int) -> None:
    """``quad_default``: along the eyes, 1.2 times as large, around the middle of the jaw line's two ends (the ears).

    The original's alignment does not use it (it starts from ``quad_ffhq``), nor does this package.
    """
    points = golden.load("crop")[0]["landmarks"][case]
    eyes = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    center = (points[0] + points[16]) / 2
    angle = float(np.degrees(np.arctan2(eyes[1], eyes[0])))
    crop = HeadCrop((float(center[0]), float(center[1])), 1.2 * golden_crop(case).half_px, angle)
    corners = crop.core_corners()
    expected = np.array(QUAD_DEFAULT[case])
    np.testing.assert_allclose(corners.mean(axis=0), expected[:2], atol=1e-3)
    np.testing.assert_allclose((corners[3] - corners[0]) / 2, expected[2:], atol=1e-3)


@pytest.mark.parametrize("case", [0, 3])
def test_frame_is_the_originals(case: int, source: np.ndarray) -> None:
    arrays = golden.load("crop")[0]
    frame = cut_frame(source, golden_crop(case))
    assert frame.shape == tuple(arrays[f"final_{case}_shape"])
    assert np.abs(frame[::6, ::6].astype(int) - arrays[f"final_{case}_sub6"]).max() <= LEVELS


@pytest.mark.parametrize("case", [0, 3])
def test_frame_beyond_the_photo_is_the_originals(case: int, source: np.ndarray) -> None:
    crop = golden_crop(case)
    moved = HeadCrop((crop.center[0] + SHIFT_PX, crop.center[1] + SHIFT_PX), crop.half_px, crop.angle_deg)
    expected = golden.load("crop")[0][f"final_shift_{case}_sub6"].astype(int)
    assert np.abs(cut_frame(source, moved)[::6, ::6] - expected).max() <= LEVELS


def test_core_is_the_originals(source: np.ndarray) -> None:
    expected = golden.load("crop")[0]["crop512_0_sub8"].astype(int)
    assert np.abs(cut_window(source, golden_crop(0), 512)[::8, ::8] - expected).max() <= LEVELS


def test_labels_are_the_originals() -> None:
    arrays = golden.load("crop")[0]
    for rotation, label in zip(arrays["R_world2cam"], arrays["label_from_R"], strict=True):
        np.testing.assert_allclose(camera_of_view(rotation[:3, :3]).to_label().numpy(), label, atol=5e-6)


def test_frame_and_photo_coordinates_are_inverse() -> None:
    crop = HeadCrop((300.0, 200.0), 77.0, 33.0)
    points = np.random.default_rng(0).uniform(-100, 700, (50, 2))
    np.testing.assert_allclose(crop.points(frame_to_core(crop.to_frame(points))), points, atol=1e-9)
    corners = crop.to_frame(crop.frame_corners())
    np.testing.assert_allclose(corners, np.array([[0, 0], [0, FRAME], [FRAME, FRAME], [FRAME, 0]]) - 0.5, atol=1e-9)


def test_samples_are_bilinear_and_mirrored() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (7, 9, 2), dtype=np.uint8)
    where = rng.uniform(-6, 14, (6, 5, 2))
    expected = np.zeros((6, 5, 2))
    for i in range(6):
        for j in range(5):
            x, y = where[i, j]
            for dx in (0, 1):
                for dy in (0, 1):
                    cx, cy = int(np.floor(x)) + dx, int(np.floor(y)) + dy
                    weight = (1 - abs(x - cx)) * (1 - abs(y - cy))
                    expected[i, j] += weight * image[_mirror(cy, 7), _mirror(cx, 9)]
    np.testing.assert_allclose(sample(image, where, 1.0), expected, atol=1e-3)


def _mirror(index: int, size: int) -> int:
    index %= 2 * size
    return index if index < size else 2 * size - 1 - index


def test_only_a_part_of_a_large_photo_is_read() -> None:
    image = np.random.default_rng(2).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    for crop in (HeadCrop((250.0, 200.0), 40.0, 10.0), HeadCrop((20.0, 380.0), 60.0, -20.0)):
        small = cut_window(image, crop, 32)
        ends = np.linspace(-1, 1, 32)
        where = crop.points(np.stack(np.meshgrid(ends, ends, indexing="xy"), -1))
        # Far corners in the same call have the whole photo read.
        corners = np.tile([[[0.0, 0.0], [499.0, 399.0]]], (32, 1, 1))
        whole = sample(image, np.concatenate([where, corners], axis=1), 1.0)[:, :32]
        assert np.abs(small - whole).max() <= 1.0


def test_large_steps_average() -> None:
    stripes = np.zeros((512, 512, 1), dtype=np.uint8)
    stripes[:, ::2] = 200
    small = cut_window(stripes, HeadCrop((256.0, 256.0), 250.0, 0.0), 16)
    # Single samples would be 0 or 200; the last column's block is filled up with the photo's edge.
    assert np.abs(small[:, :-1].astype(int) - 100).max() <= 10


def test_windows_continue_the_edge_of_the_photo() -> None:
    image = np.random.default_rng(2).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    crop = HeadCrop((25.0, 4.0), 20.0, 15.0)
    padded = np.pad(image, ((40, 40), (40, 40), (0, 0)), mode="edge")
    wanted = cut_window(padded, HeadCrop((65.0, 44.0), 20.0, 15.0), 64)
    found = cut_window(image, crop, 64, beyond="edge")
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert np.abs(found.astype(int) - cut_window(image, crop, 64)).max() > 50, "no mirror image"


def test_rows_that_fill_no_block_do_not_shift() -> None:
    ramp = np.tile(np.linspace(0, 255, 1003), (1003, 1))[..., None].astype(np.uint8)
    small = cut_window(ramp, HeadCrop((501.0, 501.0), 480.0, 0.0), 32)[16, :, 0].astype(float)
    wanted = np.linspace(501 - 480, 501 + 480, 32) / 1002 * 255
    assert np.abs(small - wanted).max() < 3


def test_crop_moves_with_the_landmarks() -> None:
    points = golden.load("crop")[0]["landmarks"][1]
    turn = np.radians(17.0)
    matrix = 1.3 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = points @ matrix.T + [30.0, -50.0]
    crop = crop_of_landmarks(points[36:42], points[42:48], points[[48, 54]])
    other = crop_of_landmarks(moved[36:42], moved[42:48], moved[[48, 54]])
    np.testing.assert_allclose(other.core_corners(), crop.core_corners() @ matrix.T + [30.0, -50.0], atol=1e-8)


def test_inside_counts_whole_pixels() -> None:
    points = np.array([[-0.4, 0.0], [-0.6, 0.0], [9.4, 4.4], [9.6, 4.0], [5.0, 4.6]])
    assert is_inside(points, (5, 10)).tolist() == [True, False, True, False, False]


def test_frame_of_a_read_only_image(recwarn: pytest.WarningsRecorder) -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image.flags.writeable = False
    assert cut_frame(image, HeadCrop((32.0, 32.0), 20.0, 0.0)).shape == (FRAME, FRAME, 3)
    assert not recwarn.list
    assert torch.get_num_threads() >= 1
