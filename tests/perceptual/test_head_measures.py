"""Open eyes, agreement of parts and error of landmarks, of readings made by hand."""

import pytest
import torch
import torch.nn.functional as F

from panohead.errors import PanoHeadError
from panohead.perceptual.head_measures import landmark_error, open_eyes, part_overlap
from panohead.perceptual.head_parts import SIDE, HeadPartsConfig, HeadReading

CONFIG = HeadPartsConfig(
    parts=("background", "iris", "hair"), landmarks=("iris_left", "iris_right"), numbers=(), choices=()
)


def reading_of(parts: torch.Tensor, visible: tuple[float, float] = (3.0, 3.0)) -> HeadReading:
    logits = F.one_hot(parts, 3).permute(2, 0, 1)[None].float()
    places = torch.tensor([[[50.0, 60.0], [80.0, 60.0]]])
    scores = torch.zeros(1, 2, 64, 64)
    return HeadReading(logits, places, scores, torch.tensor([visible]), torch.zeros(1, 0), torch.zeros(1, 0))


def with_irises() -> torch.Tensor:
    parts = torch.zeros(SIDE, SIDE, dtype=torch.long)
    parts[58:62, 49:52] = parts[58:62, 79:82] = 1
    return parts


def test_eyes_are_open_where_both_irises_are_seen() -> None:
    parts = with_irises()
    assert open_eyes(reading_of(parts), CONFIG).tolist() == [True]
    assert open_eyes(reading_of(parts, (3.0, -1.0)), CONFIG).tolist() == [False], "a hidden landmark"
    parts[:, 70:] = 0
    assert open_eyes(reading_of(parts), CONFIG).tolist() == [False], "one eye"
    parts[58:62, 100:103] = 1
    assert open_eyes(reading_of(parts), CONFIG).tolist() == [False], "an iris elsewhere"


def test_overlap_is_that_of_areas() -> None:
    first, second = (torch.zeros(1, SIDE, SIDE, dtype=torch.long) for _ in range(2))
    first[0, :10, :10] = 2
    second[0, :10, 5:15] = 2
    assert float(part_overlap(first, second, CONFIG, ("hair",))["hair"]) == pytest.approx(1 / 3)
    assert float(part_overlap(first, first, CONFIG, ("hair",))["hair"]) == 1
    assert part_overlap(first, second, CONFIG, ("iris",))["iris"].isnan().all(), "in neither"
    with pytest.raises(PanoHeadError, match=r"'brows'.*hair"):
        part_overlap(first, second, CONFIG)


def test_landmark_error_is_the_mean_of_visible_ones() -> None:
    reading = reading_of(with_irises())
    truth = torch.tensor([[[53.0, 64.0, 1.0], [0.0, 0.0, 0.0]]])
    assert float(landmark_error(reading, truth)) == pytest.approx(5)
    assert landmark_error(reading, truth * torch.tensor([1.0, 1.0, 0.0])).isnan().all()
