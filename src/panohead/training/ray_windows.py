"""GRAF's patches: K x K rays of a random scale and place instead of whole images (Schwarz et al. 2020, section 3.3).

A patch is the set of pixels ``(s x + u, s y + v)`` for x, y in {-K/2, ..., K/2 - 1} (GRAF equation 7): a shift (u, v)
and a scale s, both continuous. So it is what a camera sees whose image is a window of the whole one: generated heads
are rendered by that camera, and photos are sampled bilinearly at the same places.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, NotNegative
from panohead.training.schedules import progress


@dataclass(frozen=True, kw_only=True)
class PatchConfig(Bounded):
    """Settings of patches.

    Attributes:
        side: rays per side, K.
        min_share: side of the smallest window as a share of the image's.
        fade_kimg: thousands of photos over which the smallest window shrinks from the whole image to that share.
    """

    side: Annotated[int, NumberRange(4, 1024)] = 32
    min_share: Annotated[float, NumberRange(1e-3, 1)] = 0.5
    fade_kimg: NotNegative = 100.0

    def smallest(self, nimg: float) -> float:
        """Return the side of the smallest window after ``nimg`` photos, as a share of the image's."""
        done = progress(nimg, self.fade_kimg)
        return 1 - done + done * self.min_share


@dataclass(frozen=True)
class Windows:
    """Windows of square images, whose sides are 1.

    Attributes:
        corner: left and upper edge.
        share: side of the window, at most 1; the window lies in the image.
    """

    corner: Float[Tensor, "batch 2"]
    share: Float[Tensor, "batch 1"]

    @staticmethod
    def random(count: int, smallest: float, rng: torch.Generator) -> "Windows":
        """Draw windows: the side uniform from ``smallest`` to 1, the place uniform within the image."""
        u = torch.rand(count, 3, device=rng.device, generator=rng)
        share = smallest + (1 - smallest) * u[:, :1]
        return Windows((1 - share) * u[:, 1:], share)

    def places(self, side: int) -> tuple[Float[Tensor, "batch side"], Float[Tensor, "batch side"]]:
        """Return x of the columns and y of the rows of ``side`` x ``side`` rays, in [0, 1] of the whole image."""
        steps = (torch.arange(side, device=self.share.device, dtype=self.share.dtype) + 0.5) / side
        x, y = (edge[:, None] + self.share * steps for edge in self.corner.unbind(dim=1))
        return x, y

    def labels(self, label: Float[Tensor, "batch 25"]) -> Float[Tensor, "batch 25"]:
        """Return the cameras that see the windows: (image coordinate - corner) / share."""
        intrinsics = label[:, 16:].unflatten(1, (3, 3))
        moved = (intrinsics[:, :2] - self.corner[:, :, None] * intrinsics[:, 2:]) / self.share[:, :, None]
        return torch.cat([label[:, :16], torch.cat([moved, intrinsics[:, 2:]], dim=1).flatten(1)], dim=1)

    def cut(
        self, images: Float[Tensor, "batch channel height width"], side: int
    ) -> Float[Tensor, "batch channel side side"]:
        """Return images at the places of the rays, sampled bilinearly."""
        x, y = self.places(side)
        grid = torch.stack([x[:, None].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=3)
        return F.grid_sample(images, grid * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)
