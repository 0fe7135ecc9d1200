"""Training of the network that knows heads: targets follow the images, losses fall, runs resume exactly."""

import dataclasses

import numpy as np
import pytest
import torch

from panohead.perceptual.head_parts import SIDE
from panohead.synthetic.annotation import LANDMARKS, PARTS
from panohead.training.head_parts import CHOICES, NUMBERS, AnnotatedViews, PartsFit, PartsTrainConfig, evaluate_parts
from panohead.training.head_parts.augment import augmented_batch, mirrored_landmarks, moved_places, plain_batch
from panohead.training.head_parts.evaluate import correlation, part_agreement
from panohead.training.photo_encoder.augmentation.framing import reframe, sample_framing


def views_of(count: int = 6) -> AnnotatedViews:
    """Bright discs of random places on dark ground: part 1; all landmarks in their middles."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    images, parts, landmarks = [], [], []
    for _ in range(count):
        column, row = rng.uniform(40, 88, 2)
        disc = (x - column) ** 2 + (y - row) ** 2 < 20**2
        images.append(np.concatenate([np.repeat(40 + 180 * disc[..., None], 3, 2), 255 * disc[..., None]], 2))
        parts.append(disc)
        landmarks.append([[column, row, 1.0]] * len(LANDMARKS))
    numbers = rng.uniform(0, 1, (count, len(NUMBERS)))
    numbers[0] = np.nan
    choices = rng.integers(0, 2, (count, len(CHOICES))).astype(float)
    choices[1] = np.nan
    return AnnotatedViews(
        np.array(images, np.uint8), np.array(parts, np.uint8), np.array(landmarks, np.float32),
        numbers.astype(np.float32), choices.astype(np.float32), np.linspace(0, 170, count, dtype=np.float32),
        np.arange(count),
    )  # fmt: skip


def test_places_move_with_the_image() -> None:
    places = torch.tensor([[[50.5, 80.5]], [[70.5, 40.5]]])
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    blobs = torch.exp(-((x - places[:, :, 0, None]) ** 2 + (y - places[:, :, 1, None]) ** 2) / 18)[:, None]
    framing = sample_framing(2, 1.5, np.random.default_rng(4))
    moved = reframe(blobs, framing)[:, 0]
    total = moved.sum(dim=(1, 2))
    middles = torch.stack([(moved * x).sum(dim=(1, 2)) / total, (moved * y).sum(dim=(1, 2)) / total], dim=1)
    torch.testing.assert_close(moved_places(places, framing)[:, 0], middles, atol=0.05, rtol=0)


def test_mirroring_twice_changes_nothing() -> None:
    landmarks = torch.rand(2, len(LANDMARKS), 3) * 100
    torch.testing.assert_close(mirrored_landmarks(mirrored_landmarks(landmarks)), landmarks)
    once = mirrored_landmarks(landmarks)
    left, right = LANDMARKS.index("ear_left_top"), LANDMARKS.index("ear_right_top")
    torch.testing.assert_close(once[:, left, 0], SIDE - landmarks[:, right, 0])


def test_labels_stay_on_what_they_label() -> None:
    views = views_of()
    config = PartsTrainConfig(strength=1.0, white_share=0.0, soft_share=0.5)
    batch = augmented_batch(views, np.arange(6), config, np.random.default_rng(1))
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    for parts, places in zip(batch.parts, batch.landmarks, strict=True):
        assert set(parts.unique().tolist()) == {0, 1}
        middle = torch.stack([x[parts == 1].mean(), y[parts == 1].mean()])
        torch.testing.assert_close(places[0], middle, atol=0.6, rtol=0)
    assert float(batch.images.min()) >= -1
    assert float(batch.images.max()) <= 1


def test_no_augmentation_over_white_is_the_view() -> None:
    views = views_of()
    config = PartsTrainConfig(strength=0.0, white_share=1.0, soft_share=0.0)
    rng = np.random.default_rng(2)
    batch = augmented_batch(views, np.arange(6), config, rng)
    plain = plain_batch(views, np.arange(6))
    for found, wanted, image in zip(batch.parts, plain.parts, batch.images, strict=True):
        turned = wanted if (found == wanted).all() else wanted.flip(1)
        assert (found == turned).all()
        assert (image[:, turned == 0] == 1).all(), "white behind"
        torch.testing.assert_close(image[:, turned == 1].mean(), torch.tensor(220 / 255 * 2 - 1), atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def fitted() -> tuple[PartsFit, list[dict[str, float]]]:
    config = PartsTrainConfig(steps=24, batch=4, bfloat16=False, soft_share=0.0, strength=0.3)
    fit = PartsFit(views_of(), config)
    return fit, [fit.step() for _ in range(24)]


def test_it_learns_where_the_disc_is(fitted: tuple[PartsFit, list[dict[str, float]]]) -> None:
    fit, losses = fitted
    for name, share in (("parts", 0.7), ("landmarks", 0.8), ("maps", 0.9), ("visible", 0.8)):
        first, last = (np.mean([one[name] for one in part]) for part in (losses[:4], losses[-4:]))
        assert last < share * first, name
    assert all(np.isfinite(list(one.values())).all() for one in losses), "what is not known is left out"
    figures = evaluate_parts(fit.network.eval(), fit.views)
    assert figures["iou"]["background"] > 0.8
    assert set(figures["landmark_px"]) == {"0-30", "30-60", "60-90", "90-135", "135-180"}


def test_a_resumed_run_is_the_same_run(fitted: tuple[PartsFit, list[dict[str, float]]]) -> None:
    config = PartsTrainConfig(steps=3, batch=2, bfloat16=False)
    whole = PartsFit(views_of(), config)
    for _ in range(2):
        whole.step()
    resumed = PartsFit(views_of(), dataclasses.replace(config))
    resumed.load_state_dict(whole.state_dict())
    assert whole.step() == resumed.step()


def test_figures() -> None:
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    found = part_agreement(np.array([[0, 1, 1, 1]], np.uint8), truth, len(PARTS))
    assert found[:3] == [0.5, pytest.approx(2 / 3, abs=1e-4), -1.0]
    nan = np.nan
    assert correlation(np.array([1.0, 2, 3, nan]), np.array([2.0, 4, 6, 1])) == pytest.approx(1)
    assert correlation(np.array([1.0, 1, 1]), np.array([2.0, 4, 6])) is None
