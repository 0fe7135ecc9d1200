"""Changes of a reconstructed head on request: things left out, no expression, even light, by its attributes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.attributes import AttributeEncoder
from panohead.attributes.editing import HeadAttributes
from panohead.errors import PanoHeadError, UsageError
from panohead.geometry import Camera
from panohead.inversion.photo import AlignedPhoto
from panohead.models.generator import Generator

REMOVABLE = ("glasses", "headwear", "beard", "lipstick")
"""Attributes that can be left out: those with the value none or 0."""
NO_ATTRIBUTES = (
    "the checkpoint has no attribute encoder, so a head cannot be changed while it is reconstructed; leave --without, "
    "--neutral and --even-light out, or take the model demo"
)
"""Reason and remedy where a change is asked for and there is no attribute encoder."""
_DIFFERS = 0.08
"""Mean difference of colors in [-1, 1] from which a place counts as changed."""


@dataclass(frozen=True)
class HeadEdit:
    """Changes of a head.

    Attributes:
        without: attributes of REMOVABLE to leave out.
        neutral: no expression, gaze straight ahead. Where this or ``without`` changes the head, photos are not compared
            with it, so that tuning does not bring back what was taken away.
        even_light: white light of the same brightness from all sides.
    """

    without: tuple[str, ...] = ()
    neutral: bool = False
    even_light: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.without, tuple | list):
            raise UsageError(f"without is {self.without!r:.40}; give a tuple of names, such as ('glasses',)")
        for name in self.without:
            if name not in REMOVABLE:
                raise UsageError(f"--without {str(name)[:40]} is not possible; give one of {', '.join(REMOVABLE)}")
        for name in ("neutral", "even_light"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name} is {getattr(self, name)!r:.40}; give True or False")

    def __bool__(self) -> bool:
        return bool(self.without) or self.neutral or self.even_light

    @property
    def removes(self) -> bool:
        """True where something is taken away before the head is tuned."""
        return bool(self.without) or self.neutral

    def check(self, preset: str) -> None:
        """Refuse what needs no model to be refused: UsageError for the preset official."""
        if self and preset == "official":
            raise UsageError("--without, --neutral and --even-light do not go with the preset official; leave them out")

    def removed(self, encoder: AttributeEncoder, ws: Float[Tensor, "1 num_ws w_dim"]) -> Tensor:
        """Return ws of the head without what is to be left out, and without expression."""
        if not self.removes:
            return ws
        values = {name: 0.0 if name == "lipstick" else "none" for name in self.without}
        before = HeadAttributes.of_w(encoder, ws[0].mean(dim=0))
        after = before.changed(values)
        return _moved(ws, before, after.neutral() if self.neutral else after)

    def finished(self, encoder: AttributeEncoder, ws: Float[Tensor, "1 num_ws w_dim"]) -> Tensor:
        """Return ws of the evenly lit head: what is changed after the photo was fitted."""
        if not self.even_light:
            return ws
        before = HeadAttributes.of_w(encoder, ws[0].mean(dim=0))
        return _moved(ws, before, before.evenly_lit())

    def note(self) -> str:
        """Return a sentence about the changes."""
        done = [f"without {name}" for name in self.without]
        done += ["without expression"] * self.neutral + ["in even light"] * self.even_light
        return (
            f"The head was changed as asked ({', '.join(done)}), by the attributes that are most probable for it; it "
            "differs from the photo there on purpose."
        )


def check_edit(edit: HeadEdit, encoder: AttributeEncoder | None, preset: str) -> None:
    """Refuse a change that cannot be made.

    Raises:
        UsageError: for what is no change, or the preset official.
        PanoHeadError: when there is no attribute encoder.
    """
    if not isinstance(edit, HeadEdit):
        raise UsageError(f"edit is {edit!r:.40}; give a HeadEdit, such as HeadEdit(('glasses',))")
    if not edit:
        return
    edit.check(preset)
    if encoder is None:
        raise PanoHeadError(NO_ATTRIBUTES)


@torch.no_grad()
def without_changed_places(
    generator: Generator,
    photos: Sequence[AlignedPhoto],
    cameras: Sequence[Camera],
    before: Float[Tensor, "1 num_ws w_dim"],
    after: Float[Tensor, "1 num_ws w_dim"],
) -> list[AlignedPhoto]:
    """Return the photos without the places in which two heads differ: ``inside`` is 0 there.

    Args:
        generator: generator of both heads.
        photos: photos of one person.
        cameras: their cameras, without batch dimension.
        before, after: ws of the heads.
    """
    fields = [generator.prepared_field(ws) for ws in (before, after)]
    found = []
    for photo, camera in zip(photos, cameras, strict=True):
        images = [
            generator.render_view(field, ws, camera, superresolve=False).image
            for field, ws in zip(fields, (before, after), strict=True)
        ]
        differs = ((images[1] - images[0]).abs().mean(dim=1, keepdim=True) > _DIFFERS).float()
        differs = F.max_pool2d(differs, 3, stride=1, padding=1)  # with the pixels around
        same = 1 - F.interpolate(differs, photo.image.shape[-1])[0].to(photo.image)
        found.append(replace(photo, inside=same if photo.inside is None else same * photo.inside))
    return found


def _moved(ws: Tensor, before: HeadAttributes, after: HeadAttributes) -> Tensor:
    moved = ws + (after.w() - before.w()).to(ws)
    if not bool(torch.isfinite(moved).all()):
        raise PanoHeadError("the attribute encoder gives numbers that are not finite; take another checkpoint")
    return moved
