"""Framing of heads: laws of the similarity, and the moved camera that it replaces."""

from dataclasses import dataclass

import numpy as np
import pytest

from panohead.synthetic.framing import FIRST, FRAMINGS, Framing
from panohead.synthetic.head import build_head, to_world
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.renderer.render import render
from panohead.synthetic.renderer.scene import build_scene
from panohead.synthetic.views import FOCAL, PersonView
from synthetic.altered import person_with

POINTS = np.random.default_rng(0).normal((0.0, 7.0, 0.5), size=(50, 3))


def test_the_first_edition_stands_where_it_stood() -> None:
    assert FRAMINGS[1] is FIRST
    np.testing.assert_array_equal(FIRST.to_world(POINTS), to_world(POINTS))
    np.testing.assert_allclose(FIRST.to_world(np.array([[0.0, 7.127, 0.58]])), 0, atol=1e-15)
    # The face looks up by 6.8 degrees: its forward axis rises.
    forward = FIRST.to_world(np.array([[0.0, 7.127, 1.58]]))[0]
    np.testing.assert_allclose(np.degrees(np.arctan2(forward[1], forward[2])), 6.8)


@pytest.mark.parametrize(("scale", "lift"), [(0.92, -0.03), (1.1, 0.2)])
def test_scaling_and_raising_are_those_of_the_world(scale: float, lift: float) -> None:
    np.testing.assert_allclose(
        FIRST.scaled(scale, lift).to_world(POINTS), scale * FIRST.to_world(POINTS) + [0, lift, 0], atol=1e-12
    )


def test_a_tilt_turns_about_the_heads_own_origin() -> None:
    tilted = FIRST.scaled(0.9, -0.03, 5.0)
    np.testing.assert_allclose(tilted.to_world(np.array([FIRST.origin])), [[0, -0.03, 0]], atol=1e-12)
    up = tilted.turn(np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(np.degrees(np.arctan2(up[1], up[2])), 11.8)


def test_a_turn_keeps_lengths_and_angles() -> None:
    turned = FRAMINGS[2].turn(POINTS)
    np.testing.assert_allclose(turned @ turned.T, POINTS @ POINTS.T, atol=1e-12)


@dataclass(frozen=True)
class MovedView(PersonView):
    """Render an unscaled head with a moved camera: the same image as of the scaled head."""

    scale: float
    lift: float

    def cam2world(self) -> np.ndarray:
        pose = super().cam2world()
        pose[:3, 3] = (pose[:3, 3] - [0, self.lift, 0]) / self.scale
        return pose


def test_the_second_edition_is_the_first_before_a_moved_camera() -> None:
    scale, lift = 0.92, -0.03
    person = person_with(hair_style="buzz", glasses="round")
    first, second = build_scene(build_head(person)), build_scene(build_head(person, FIRST.scaled(scale, lift)))
    light = sample_lighting(np.random.default_rng(1))
    for view in (PersonView(0.0, 0.0), PersonView(70.0, 20.0)):
        near = render(second, view, light, 64, FOCAL)
        far = render(first, MovedView(view.yaw_deg, view.pitch_deg, scale, lift), light, 64, FOCAL)
        assert (np.abs(near.mask - far.mask) > 0.01).mean() < 0.005
        both = (near.depth > 0) & (far.depth > 0)
        away = np.abs(near.depth - scale * far.depth)[both]
        assert np.quantile(away, 0.99) < 1e-3
        # Depth that was not scaled with the world would be wrong by 8 %.
        assert np.median(np.abs(near.depth - far.depth)[both]) > 0.15


def test_the_second_framing_is_smaller_and_lower() -> None:
    """The frame of `prepare` is the core with 10 % above it and 5 % on either side: 512 of 563 pixels, so heads that
    fill the core appear at .909 of their size, 25.5 pixels lower."""
    second: Framing = FRAMINGS[2]
    assert second.scale / FIRST.scale == pytest.approx(512 / 563, abs=0.02)
    width = 2.7 / FOCAL
    assert second.to_world(np.array([FIRST.origin]))[0, 1] == pytest.approx(-25.5 / 563 * width, abs=0.005)
