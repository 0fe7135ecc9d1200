"""Measures in pixels against drawn heads, whose lightness, hair and width are known."""

import math

import pytest
import torch
from jaxtyping import Int64
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.perceptual.head_parts import HeadPartsConfig, HeadReading
from panohead.perceptual.image_measures import hair_lightness_seen, hair_share, lightness, neck_width, skin_lightness

PARTS = ("background", "skin", "hair", "nose", "lips", "neck")
POINTS = ("iris_left", "iris_right")
CONFIG = HeadPartsConfig(parts=PARTS, landmarks=POINTS, numbers=(), choices=())
LEVELS = {"background": 1.0, "skin": 0.2, "hair": -0.8, "lips": 0.9}


def reading(parts: Int64[Tensor, "128 128"], eyes: float = 30.0) -> HeadReading:
    logits = torch.nn.functional.one_hot(parts, len(PARTS)).permute(2, 0, 1)[None].float()
    points = torch.tensor([[64 - eyes / 2, 60.0], [64 + eyes / 2, 60.0]])[None]
    empty = torch.zeros(1, 0)
    return HeadReading(logits, points, torch.zeros(1, 2, 64, 64), torch.ones(1, 2), empty, empty)


def drawn(hair_down_to: int = 40, half_width: int = 16) -> Int64[Tensor, "128 128"]:
    parts = torch.zeros(128, 128, dtype=torch.int64)
    parts[30:110, 40:88] = PARTS.index("skin")
    parts[110:, 64 - half_width : 64 + half_width] = PARTS.index("neck")
    parts[88:92, 54:74] = PARTS.index("lips")
    if hair_down_to:
        parts[10:30, 30:98] = PARTS.index("hair")
        parts[30:hair_down_to, 30:36] = PARTS.index("hair")
    return parts


def colored(parts: Int64[Tensor, "128 128"]) -> Tensor:
    image = torch.zeros(128, 128)
    for name, level in LEVELS.items():
        image[parts == PARTS.index(name)] = level
    return image.expand(1, 3, -1, -1)


def test_lightness_is_that_of_the_standard() -> None:
    grays = torch.tensor([0.0, 119 / 255, 1.0])[:, None].expand(-1, 3)
    assert lightness(grays).tolist() == pytest.approx([0, 50.0, 100], abs=0.2)
    red = torch.tensor([[1.0, 0.0, 0.0]])
    assert float(lightness(red)) == pytest.approx(53.2, abs=0.1)


def test_skin_and_hair_are_measured_in_their_own_pixels() -> None:
    parts = drawn()
    image = colored(parts)
    wanted = [float(lightness(torch.full((1, 3), (LEVELS[name] + 1) / 2))) for name in ("skin", "hair")]
    found = [float(measure(image, reading(parts), CONFIG)) for measure in (skin_lightness, hair_lightness_seen)]
    assert found == pytest.approx(wanted, abs=1e-3)


def test_longer_hair_takes_more_of_the_image() -> None:
    for row in (30, 60, 100):
        hair = 20 * 68 + 6 * (row - 30)
        assert float(hair_share(reading(drawn(row)), CONFIG)) == pytest.approx(hair / 128**2)


def test_a_bald_head_has_no_hair_to_measure() -> None:
    parts = drawn(0)
    assert float(hair_share(reading(parts), CONFIG)) == 0
    assert math.isnan(float(hair_lightness_seen(colored(parts), reading(parts), CONFIG)))


def test_the_neck_is_as_wide_as_drawn_and_does_not_depend_on_its_size_in_the_image() -> None:
    assert float(neck_width(reading(drawn(half_width=15)), CONFIG)) == pytest.approx(30 / 30)
    assert float(neck_width(reading(drawn(half_width=24), eyes=40), CONFIG)) == pytest.approx(48 / 40)
    assert math.isnan(float(neck_width(reading(torch.zeros(128, 128, dtype=torch.int64)), CONFIG)))


def test_a_network_without_the_part_is_refused() -> None:
    poor = HeadPartsConfig(parts=("background",), landmarks=POINTS, numbers=(), choices=())
    with pytest.raises(PanoHeadError, match="does not know 'hair'"):
        hair_share(reading(drawn()), poor)
