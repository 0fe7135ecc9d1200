"""Views of synthetic people in memory: images, masks, depth and cameras, and the attributes of every shot."""

from dataclasses import dataclass, fields, replace

from jaxtyping import Float, Float16, Int, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Shots:
    """All views of a dataset. A shot is one person with one expression under one light; it has several views.

    Attributes:
        images: 0..255; pixels outside the person are undefined.
        masks: 0..255, 255 for the person.
        depth: distance along the ray through the pixel's center, world units; 0 where it hits nothing.
        labels: cameras.
        view_of: indices of the views of every shot.
        attributes: attribute vector of every shot.
        person: number of the person of every shot in the dataset; gaps where people are not finished yet.
        offsets: known deformation of every shot, see :class:`DeformationSolver`; None where none is wanted.
    """

    images: UInt8[Tensor, "view 3 height width"]
    masks: UInt8[Tensor, "view height width"]
    depth: Float16[Tensor, "view height width"]
    labels: Float[Tensor, "view 25"]
    view_of: Int[Tensor, "shot view_of_shot"]
    attributes: Float[Tensor, "shot attribute"]
    person: Int[Tensor, " shot"]
    offsets: Float16[Tensor, "shot 3 size size size"] | None = None

    def to(self, device: str) -> "Shots":
        """Return the same views on another device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: x.to(device) for name, x in tensors.items() if x is not None})

    @property
    def count(self) -> int:
        """Number of shots."""
        return len(self.person)

    @property
    def people(self) -> int:
        """Number of people."""
        return len(self.person.unique())

    @property
    def resolution(self) -> int:
        """Pixels per side of the images."""
        return self.images.shape[-1]
