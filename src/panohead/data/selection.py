"""Selection of photos from a dataset: range of angles, repetitions, mirror images, order (docs/reference.md 6.2).

Photos of the back are rare; the original repeats them. The order is the original's: front, then back ``back_repeat``
times over, then everything mirrored.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera
from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, Natural

BACK_FROM_YAW_DEG = 90.0
"""|yaw| from which a photo shows the back."""


@dataclass(frozen=True, kw_only=True)
class SelectionConfig(Bounded):
    """Selection of photos by their cameras.

    Attributes:
        min_yaw_deg, max_yaw_deg: range of |yaw|, both ends included: 0 the front, 180 the back.
        max_pitch_deg: largest |pitch| as :meth:`panohead.geometry.camera.Camera.angles_deg` reads it (official: 90).
        back_repeat: number of times that each photo with |yaw| of 90 degrees or more is listed; 0 leaves them out.
        mirror: list everything a second time, flipped.
        max_size: largest number before mirroring, a random choice in the selection's order; None for all.
        seed: seed of that choice.
    """

    min_yaw_deg: Annotated[float, NumberRange(-360, 360)] = 0.0
    max_yaw_deg: Annotated[float, NumberRange(-360, 360)] = 180.0
    max_pitch_deg: Annotated[float, NumberRange(-360, 360)] = 90.0
    back_repeat: Annotated[int, NumberRange(0, 1000)] = 1
    mirror: bool = False
    max_size: Natural | None = None
    seed: Annotated[int, NumberRange(0, 2**32 - 1)] = 0


@dataclass(frozen=True)
class Selection:
    """The list of items: index of the photo of each, and True where it is flipped."""

    photo: Int[np.ndarray, " item"]
    flipped: Bool[np.ndarray, " item"]


def select(labels: Float[np.ndarray, "photo 25"], config: SelectionConfig) -> Selection:
    """Select items by the cameras of the photos.

    Raises:
        PanoHeadError: when nothing is left.
    """
    yaw, pitch = np.abs(Camera.from_label(torch.from_numpy(labels)).angles_deg().numpy())[:, :2].T
    keep = (yaw >= config.min_yaw_deg) & (yaw <= config.max_yaw_deg) & (pitch <= config.max_pitch_deg)
    back = keep & (yaw >= BACK_FROM_YAW_DEG)
    photo = np.concatenate([np.flatnonzero(keep & ~back), np.tile(np.flatnonzero(back), config.back_repeat)])
    if config.max_size is not None and len(photo) > config.max_size:
        chosen = np.random.RandomState(config.seed).permutation(len(photo))[: config.max_size]
        photo = photo[np.sort(chosen)]
    if not len(photo):
        raise PanoHeadError(
            f"none of the {len(labels)} photos has |yaw| of {config.min_yaw_deg:g} to {config.max_yaw_deg:g} degrees "
            f"and |pitch| up to {config.max_pitch_deg:g}; widen the range or check the labels in dataset.json"
        )
    flipped = np.zeros(len(photo), dtype=bool)
    if config.mirror:
        photo, flipped = np.tile(photo, 2), np.concatenate([flipped, ~flipped])
    return Selection(photo, flipped)
