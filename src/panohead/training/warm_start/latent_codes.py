"""Initial latent codes of a warm start: people of similar appearance get similar codes.

A person's views, in the order of their yaws and made very small, are one long vector; its whitened principal components
are the code. Over the people of a dataset such codes have mean 0 and unit variance in every direction, like the z that
is drawn later, and the generator has a smooth function to learn from the first step on.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.geometry.camera import Camera
from panohead.training.warm_start.multiview import MultiViewData

SIDE = 8
"""Resolution of the small views, pixels per side."""

MIN_SINGULAR_VALUE = 1e-3
"""Minimum singular value of a component as a fraction of the first one's: smaller ones are rounding errors."""


def image_codes(data: MultiViewData, z_dim: int, rng: torch.Generator) -> Float[Tensor, "person z_dim"]:
    """Return one code per person from its views; dimensions without a principal component are random, N(0, 1).

    People with fewer views than the others repeat some of theirs.

    Args:
        data: views of all people.
        z_dim: length of a code.
        rng: source of the random dimensions.
    """
    appearances = torch.stack([_appearance(data, person) for person in range(data.people)])  # person number
    appearances = appearances - appearances.mean(dim=0)
    left, singular_values, _ = torch.linalg.svd(appearances, full_matrices=False)
    count = min(z_dim, int((singular_values > MIN_SINGULAR_VALUE * singular_values[0]).sum()))
    codes = torch.randn(data.people, z_dim, generator=rng)
    if count:
        # Columns of ``left`` have length 1 over all people: times sqrt(people) their variance is 1.
        codes[:, :count] = left[:, :count] * data.people**0.5
    return codes


def _appearance(data: MultiViewData, person: int) -> Float[Tensor, " number"]:
    """Return a person's views as one vector: colors and masks at :data:`SIDE` pixels, in the order of yaws."""
    views = torch.nonzero(data.person == person)[:, 0]
    yaws = Camera.from_label(data.labels[views]).angles_deg()[:, 0]
    max_views = int(torch.bincount(data.person).max())
    # As many places as the person with most views has; the others' views are spread over them.
    chosen = views[yaws.argsort()][(torch.arange(max_views) * len(views)) // max_views]
    images = torch.cat([data.images[chosen], data.masks[chosen]], dim=1).float() / 255  # view 4 height width
    return F.adaptive_avg_pool2d(images, SIDE).flatten()
