"""Compositing and reducing, against plain loops."""

import numpy as np
import pytest

from panohead.data.decode import Preprocessing, box_reduced, preprocess
from panohead.errors import PanoHeadError


def random_bytes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def slow_means(pixels: list[list[float]], factor: int) -> list[list[int]]:
    """Block means of one channel, rounded with halves up."""
    size = len(pixels) // factor
    blocks = [
        [[pixels[factor * i + a][factor * j + b] for a in range(factor) for b in range(factor)] for j in range(size)]
        for i in range(size)
    ]
    return [[int(sum(block) / factor**2 + 0.5) for block in row] for row in blocks]


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 12])
def test_reducing_takes_means_of_blocks(factor: int) -> None:
    image, mask = random_bytes(12, 12, 3), random_bytes(12, 12, 1, seed=1)
    small, small_mask = preprocess(image, mask, factor=factor)
    for channel in range(3):
        assert small[channel].tolist() == slow_means(image[..., channel].tolist(), factor)
    assert small_mask[0].tolist() == slow_means(mask[..., 0].tolist(), factor)


@pytest.mark.parametrize("factor", [1, 4])
def test_white_is_put_behind_before_reducing(factor: int) -> None:
    image, mask = random_bytes(8, 8, 3), random_bytes(8, 8, 1, seed=1)
    small, small_mask = preprocess(image, mask, background="white", factor=factor)
    weight = mask / 255
    for channel in range(3):
        exact = image[..., channel] * weight[..., 0] + 255 * (1 - weight[..., 0])
        assert small[channel].tolist() == slow_means(exact.tolist(), factor)
    assert small_mask[0].tolist() == slow_means(mask[..., 0].tolist(), factor)


def test_only_the_person_is_left_on_white() -> None:
    image = random_bytes(4, 4, 3)
    nobody, everybody = np.zeros((4, 4, 1), np.uint8), np.full((4, 4, 1), 255, np.uint8)
    assert (preprocess(image, nobody, background="white")[0] == 255).all()
    assert (preprocess(image, everybody, background="white")[0] == image.transpose(2, 0, 1)).all()


def test_large_bright_blocks_do_not_overflow() -> None:
    white = np.full((256, 256, 3), 255, np.uint8)
    assert (preprocess(white, white[..., :1], background="white", factor=256)[0] == 255).all()
    assert (box_reduced(white, 256) == 255).all()


def test_only_whole_factors_reduce() -> None:
    assert Preprocessing(resolution=64).factor(256, "here") == 4
    assert Preprocessing().factor(256, "here") == 1
    for resolution in (100, 512):
        with pytest.raises(PanoHeadError, match=rf"here have 256 pixels .* resolution {resolution}; choose 256, 128"):
            Preprocessing(resolution=resolution).factor(256, "here")
