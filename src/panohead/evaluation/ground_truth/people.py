"""Synthetic people whose true geometry is known: photos to reconstruct them from, and depth maps to compare with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.evaluation.warping import DepthView
from panohead.files.read_json import read_json
from panohead.geometry.camera import Camera
from panohead.synthetic.config import NEWEST_EDITION
from panohead.synthetic.people import sample_person
from panohead.synthetic.person_images import make_renderer, photograph
from panohead.synthetic.renderer.lighting import Lighting, sample_lighting
from panohead.synthetic.synthesize import require_compiler
from panohead.synthetic.views import FOCAL, PersonView

PHOTO_YAWS = {1: (0.0,), 4: (0.0, 90.0, 180.0, 270.0)}
"""Yaws of the photos in degrees, by the number of photos; all at pitch 0."""
TRUTH_YAWS = tuple(float(yaw) for yaw in range(-165, 195, 30))
"""Yaws of the compared surfaces in degrees: four views of the front, four of the sides, four of the back."""
TRUTH_PITCHES = (0.0, 15.0)
"""Pitches of the compared surfaces in degrees, used in turn."""
AROUND_YAWS = tuple(float(yaw) for yaw in range(-180, 180, 15))
"""Yaws of the photos from all around, in degrees, for methods that need many."""
AROUND_PITCHES = (0.0, 20.0, -15.0)
"""Their pitches in degrees, used in turn."""
TRUTH_SIDE = 128
"""Side of the compared depth maps in pixels: 2 mm per pixel on the head."""


@dataclass(frozen=True)
class GroundTruthView:
    """A rendered view of a person with its ground truth.

    Attributes:
        photo: 0..255, RGB.
        mask: the person's share of every pixel.
        depth: along the ray of the pixel's center, world units; 0 where it hits nothing.
        camera: without batch dimension.
    """

    photo: UInt8[np.ndarray, "height width 3"]
    mask: Float[np.ndarray, "height width"]
    depth: Float[Tensor, "1 height width"]
    camera: Camera

    @property
    def mask_pixels(self) -> UInt8[np.ndarray, "height width"]:
        """The mask as 0..255."""
        return (self.mask * 255 + 0.5).astype(np.uint8)

    @property
    def surface(self) -> DepthView:
        """The true surface as a view; every pixel with depth is opaque."""
        return DepthView(self.depth.expand(3, -1, -1), self.depth, (self.depth > 0).float(), self.camera)


@dataclass(frozen=True)
class GroundTruthPerson:
    """A person with photos and true surfaces.

    Attributes:
        photos: views by number of photos (PHOTO_YAWS).
        truth: surfaces from TRUTH_YAWS.
        around: photos from all around in one light, for methods that need many; empty where they were not asked for.
        fine: the same at twice the side, from which :func:`halved` makes the baseline.
    """

    name: str
    photos: dict[int, list[GroundTruthView]]
    truth: list[DepthView]
    fine: list[DepthView]
    around: list[GroundTruthView] = field(default_factory=list)


def held_out_people(
    count: int,
    seed: int,
    photo_side: int,
    *,
    edition: int = NEWEST_EDITION,
    other_than: Path | None = None,
    around: bool = False,
) -> Iterator[GroundTruthPerson]:
    """Yield the first ``count`` people of a seed, which must not be the seed of the synthetic dataset ``other_than``.

    Args:
        photo_side: side of the photos in pixels.
        edition: edition of the synthetic dataset, which decides the framing.
        around: also photograph them from all around.

    Raises:
        PanoHeadError: when the dataset has that seed, so that its people are not held out; where numba is missing.
    """
    if other_than is not None and seed == _seed_of(other_than):
        raise PanoHeadError(f"the people of {other_than} have the seed {seed} too; choose another with --people-seed")
    for index in range(count):
        yield ground_truth_person(seed, index, photo_side, edition, around=around)


def ground_truth_person(
    seed: int, index: int, photo_side: int, edition: int = NEWEST_EDITION, *, around: bool = False
) -> GroundTruthPerson:
    """Render person ``index`` of ``panohead synthesize --seed SEED`` again, under changing light.

    The person has the expression and gaze that it was drawn with, in the framing of ``edition``. Photos from all around
    have one light, as NeRF's scenes have.

    Raises:
        PanoHeadError: where numba is missing.
    """
    require_compiler()
    person = sample_person(seed, index)
    renderer = make_renderer(person, "fast", edition)

    def render_view(yaw: float, pitch: float, side: int, light: Lighting | None = None) -> GroundTruthView:
        view = PersonView(yaw, pitch)
        rendered, pixels, _ = photograph(renderer, person, view, f"evaluation {yaw:g} {pitch:g}", side, FOCAL, light)
        camera = Camera.from_label(torch.tensor(view.label(FOCAL)))
        return GroundTruthView(pixels, rendered.mask, torch.from_numpy(rendered.depth)[None], camera)

    photos = {yaw: render_view(yaw, 0.0, photo_side) for yaws in PHOTO_YAWS.values() for yaw in yaws}
    light = sample_lighting(person.stream("evaluation around"))
    angles = [(yaw, TRUTH_PITCHES[i % len(TRUTH_PITCHES)]) for i, yaw in enumerate(TRUTH_YAWS)]
    return GroundTruthPerson(
        name=f"seed {seed} person {index}",
        photos={number: [photos[yaw] for yaw in yaws] for number, yaws in PHOTO_YAWS.items()},
        truth=[render_view(*view, TRUTH_SIDE).surface for view in angles],
        fine=[render_view(*view, 2 * TRUTH_SIDE).surface for view in angles],
        around=[
            render_view(yaw, AROUND_PITCHES[i % len(AROUND_PITCHES)], photo_side, light)
            for i, yaw in enumerate(AROUND_YAWS if around else ())
        ],
    )


def halved(views: Sequence[DepthView]) -> list[DepthView]:
    """Return views of half the side: depth averaged over the four pixels where all four are opaque, else nothing.

    They show what a perfect reconstruction would, differing from the truth only by the positions of the rays.
    """
    small = []
    for view in views:
        size = (view.depth.shape[-2] // 2, view.depth.shape[-1] // 2)
        depth, mask = (torch.nn.functional.interpolate(x[None], size, mode="area")[0] for x in (view.depth, view.mask))
        solid = (mask > 1 - 1e-3).float()
        small.append(DepthView((depth * solid).expand(3, -1, -1), depth * solid, solid, view.camera))
    return small


def _seed_of(data: Path) -> int | None:
    """Return the seed of a synthetic dataset; None for any other dataset."""
    try:
        seed = read_json(data / "synthesis.json", dict[str, Any]).get("seed")
    except PanoHeadError:
        return None
    return seed if isinstance(seed, int) else None
