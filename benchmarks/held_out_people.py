"""Synthetic people of a seed that training never saw, one light a person, before white, with the true surface."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from panohead.geometry import Camera
from panohead.synthetic.people import sample_person
from panohead.synthetic.person_images import develop, make_renderer
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.views import FOCAL, PersonView


@dataclass(frozen=True)
class TrueView:
    """Attributes:
    pixels, mask: 0..255; the mask is the head's share of every pixel.
    depth: along the ray, world units, at the centres of a coarser grid; 0 where there is no head.
    """

    camera: Camera
    pixels: UInt8[np.ndarray, "height width 3"]
    mask: UInt8[np.ndarray, "height width"]
    depth: Float[torch.Tensor, "rays rays"]

    @property
    def solid(self) -> Bool[torch.Tensor, "rays rays"]:
        """Where depth is known."""
        return self.depth > 0


def true_views(seed: int, index: int, yaws_deg: tuple[float, ...], side: int, rays: int) -> dict[float, TrueView]:
    """Person ``index`` from every yaw at the height of the eyes, all in the same light."""
    person = sample_person(seed, index)
    render = make_renderer(person, "fast")
    lighting = sample_lighting(person.stream("benchmark"))
    bright = np.ones((side, side, 3), np.float32)
    views = {}
    for yaw_deg in yaws_deg:
        view = PersonView(yaw_deg, 0.0)
        seen = render(view, lighting, side, FOCAL)
        pixels = develop(seen, lighting.exposure, bright, person.stream(f"benchmark {yaw_deg}"))
        pixels = np.rint(255 + (pixels - 255.0) * seen.mask[..., None]).astype(np.uint8)
        mask = (seen.mask * 255 + 0.5).astype(np.uint8)
        depth = torch.from_numpy(render(view, lighting, rays, FOCAL).depth)
        camera = Camera.from_label(torch.tensor(view.label(FOCAL)))
        views[yaw_deg] = TrueView(camera, pixels, mask, depth)
    return views
