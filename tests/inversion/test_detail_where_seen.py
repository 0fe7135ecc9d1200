"""Detail of reconstructions: none where the photo shows the head, all of it behind."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from panohead import load
from panohead.geometry import Camera
from panohead.head import Head
from panohead.inversion.detail_where_seen import without_detail_where_seen
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.weight_delta import load_difference, save_difference
from panohead.models.generator import Generator
from panohead.randomness import RenderRandomness


@pytest.fixture(scope="module")
def found() -> tuple[Head, Generator]:
    """A head of the bundled model with long hair, and its generator without detail where a photo from the front shows
    it."""
    head = load("demo").sample(3).with_attributes(hair_style="long", beard="none")
    camera = Camera.orbit(0)
    photo = AlignedPhoto("photo", head.render(camera).image, None, camera, "given")
    return head, without_detail_where_seen(head.generator, head.ws, [photo], [camera])


def strength(generator: Generator, ws: torch.Tensor, yaw: float) -> float:
    """Mean deviation of the detail's brightness in a view."""
    side = 64
    found = generator.render(generator.field(ws), Camera.orbit(yaw).expand(1), side, RenderRandomness.even())
    return float(generator.detail(found, ws, side=side, size=128).square().mean().sqrt())


@torch.no_grad()
def test_only_what_the_photo_does_not_show_keeps_its_detail(found: tuple[Head, Generator]) -> None:
    head, without = found
    front, back = ([strength(g, head.ws, yaw) for g in (head.generator, without)] for yaw in (0.0, 180.0))
    assert front[1] < 0.35 * front[0]
    assert back[1] > 0.9 * back[0]
    assert head.generator.config.detail_map == 0
    assert without_detail_where_seen(without, head.ws, [], []) is without


@torch.no_grad()
def test_the_map_comes_back_with_the_differences(found: tuple[Head, Generator], tmp_path: Path) -> None:
    head, without = found
    opened = load_difference(save_difference(tmp_path / "d.safetensors", head.generator, without), head.generator)
    assert opened.config == without.config
    camera = Camera.orbit(60)
    torch.testing.assert_close(
        Head(opened, head.ws).render(camera).image, Head(without, head.ws).render(camera).image, rtol=0, atol=0.01
    )


def test_generators_without_detail_stay_as_they_are() -> None:
    import tiny

    generator = tiny.generator()
    assert not replace(generator.config).surface_detail
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    assert without_detail_where_seen(generator, ws, [], []) is generator
