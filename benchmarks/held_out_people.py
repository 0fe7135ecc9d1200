"""Held-out synthetic people (of a seed without training images), one light per person, over white, with true depth."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from panohead.geometry import Camera
from panohead.synthetic.config import NEWEST_EDITION
from panohead.synthetic.people import sample_person
from panohead.synthetic.person_images import develop, make_renderer
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.views import FOCAL, PersonView


@dataclass(frozen=True)
class TrueView:
    """One view with its ground truth.

    Attributes:
        pixels, mask: 0..255; the mask is the head's share of every pixel.
        depth: along the ray, world units, at the centers of a coarser grid; 0 where there is no head.
    """

    camera: Camera
    pixels: UInt8[np.ndarray, "height width 3"]
    mask: UInt8[np.ndarray, "height width"]
    depth: Float[torch.Tensor, "rays rays"]

    @property
    def solid(self) -> Bool[torch.Tensor, "rays rays"]:
        """Mask of the pixels with known depth."""
        return self.depth > 0


def true_views(
    seed: int, index: int, yaws_deg: tuple[float, ...], side: int, rays: int, edition: int = NEWEST_EDITION
) -> dict[float, TrueView]:
    """Render person ``index`` from every yaw at pitch 0, all in the same light, in the framing of ``edition``."""
    person = sample_person(seed, index)
    render = make_renderer(person, "fast", edition)
    lighting = sample_lighting(person.stream("benchmark"))
    bright = np.ones((side, side, 3), np.float32)
    views = {}
    for yaw_deg in yaws_deg:
        view = PersonView(yaw_deg, 0.0)
        rendered = render(view, lighting, side, FOCAL)
        pixels = develop(rendered, lighting.exposure, bright, person.stream(f"benchmark {yaw_deg}"))
        pixels = np.rint(255 + (pixels - 255.0) * rendered.mask[..., None]).astype(np.uint8)
        mask = (rendered.mask * 255 + 0.5).astype(np.uint8)
        depth = torch.from_numpy(render(view, lighting, rays, FOCAL).depth)
        camera = Camera.from_label(torch.tensor(view.label(FOCAL)))
        views[yaw_deg] = TrueView(camera, pixels, mask, depth)
    return views
