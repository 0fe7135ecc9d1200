"""The head that ``panohead demo`` shows first."""

import torch
from torch import Tensor

from panohead.frame import Frame
from panohead.gallery.demo import clearest
from panohead.geometry import Camera


def frame(gray: float, contrast: float) -> Frame:
    """A head of stripes around a brightness, on a white background."""
    stripes = gray + contrast * torch.tensor([1.0, -1.0]).repeat(16)
    image = stripes.expand(3, 32, 32).clone()
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1.0
    return Frame(torch.where(mask > 0, image, torch.ones(())), torch.zeros(3, 32, 32), _depth(), mask, Camera.orbit())


def _depth() -> Tensor:
    return torch.zeros(1, 32, 32)


def test_of_well_lit_heads_the_one_with_most_detail_is_shown() -> None:
    cloud, face, dark, burnt = frame(0.0, 0.01), frame(-0.2, 0.2), frame(-0.8, 0.2), frame(0.7, 0.3)
    assert clearest([cloud, face, dark, burnt]) == 1
    assert clearest([dark, burnt, cloud]) == 2


def test_of_dark_heads_the_brightest_is_shown() -> None:
    assert clearest([frame(-0.9, 0.1), frame(-0.7, 0.02), frame(-0.8, 0.2)]) == 1
