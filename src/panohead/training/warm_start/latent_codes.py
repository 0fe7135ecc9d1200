"""Latent codes to begin a warm start with: people who look alike get codes that lie close together.

A person's views, put in the order of their yaws and made very small, are one long vector; its whitened principal
components are the code. Over the people of a dataset such codes have mean 0 and unit spread in every direction, like
the z that is drawn later, and a generator has a smooth function to learn from the first step on.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.geometry.camera import Camera
from panohead.training.warm_start.multiview import MultiViewData

SIDE = 8
"""Pixels a side of the small views."""

MIN_SPREAD = 1e-3
"""Of a component, as a share of the first one's: beyond it there is rounding, not looks."""


def image_codes(data: MultiViewData, z_dim: int, rng: torch.Generator) -> Float[Tensor, "person z_dim"]:
    """One code a person from the looks of its views; random directions where there are fewer components than numbers.

    People with fewer views than the others repeat some of theirs.
    """
    looks = torch.stack([_look(data, person) for person in range(data.people)])
    looks = looks - looks.mean(dim=0)
    left, spread, _ = torch.linalg.svd(looks, full_matrices=False)
    count = min(z_dim, int((spread > MIN_SPREAD * spread[0]).sum()))
    codes = torch.randn(data.people, z_dim, generator=rng)
    if count:
        codes[:, :count] = left[:, :count] * data.people**0.5
    return codes


def _look(data: MultiViewData, person: int) -> Float[Tensor, " number"]:
    views = torch.nonzero(data.person == person)[:, 0]
    yaws = Camera.from_label(data.labels[views]).angles_deg()[:, 0]
    most = int(torch.bincount(data.person).max())
    chosen = views[yaws.argsort()][(torch.arange(most) * len(views)) // most]
    images = torch.cat([data.images[chosen], data.masks[chosen]], dim=1).float() / 255
    return F.adaptive_avg_pool2d(images, SIDE).flatten()
