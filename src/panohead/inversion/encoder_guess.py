"""First guess of a head by a photo encoder: w and cameras of one person's photos, without any search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.checkpoint import weights_sha256
from panohead.errors import PanoHeadError
from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.search.search_space import SearchSpace
from panohead.models.generator import Generator
from panohead.models.photo_encoder import PhotoEncoder

Start = Literal["encoder", "mean", "random"]
"""Start of the search: a photo encoder's guess, the mean w, or the best of random candidates."""
NO_ENCODER = (
    "the checkpoint has no photo encoder; train one with 'panohead train-encoder --checkpoint C --out RUN' and give "
    "its result as --checkpoint"
)
"""Reason and remedy where an encoder is asked for and there is none."""
_MAX_PRIOR_DEVIATIONS = 2.0
"""Largest correction of a camera, in the usual errors of such a camera; encoders may be wrong too."""
_MIN_WEIGHT = 0.05  # of a photo, so that photos without confidence still count alike


@dataclass(frozen=True)
class EncoderGuess:
    """Guess of a person from all photos.

    Attributes:
        w: mean over the photos, weighted by their confidence.
        offsets: correction of every photo's camera: yaw, pitch in degrees; right, down, forward in world units.
        confidence: of every photo, 0 to 1: the share of what sets the person apart that is expected to be right.
        attributes: attribute vector, the mean as of ``w``; None where the encoder reads none.
        identity: hash of the encoder.
    """

    w: Float[Tensor, " w_dim"]
    offsets: Float[Tensor, "photo 5"]
    confidence: Float[Tensor, " photo"]
    attributes: Float[Tensor, " attribute"] | None
    identity: str

    def note(self) -> str:
        """Return a sentence about the confidence."""
        shares = " and ".join(f"{float(c):.0%}" for c in self.confidence)
        return f"The photo encoder expects to have {shares} of what sets this person apart from the mean person."


@torch.no_grad()
def guess_head(encoder: PhotoEncoder, photos: Sequence[AlignedPhoto]) -> EncoderGuess:
    """Return the encoder's guess from one or more photos of one person.

    Args:
        encoder: encoder of the generator's checkpoint, in eval mode.
        photos: aligned photos, of any size.
    """
    device = encoder.mean.device
    rows = []
    for photo in photos:
        image, mask, inside = (
            None if x is None else x[None].to(device) for x in (photo.image, photo.mask, photo.inside)
        )
        assert image is not None
        label = photo.camera.to_label()[None].to(device)
        rows.append(encoder(encoder.inputs(image, mask, inside), label))
    confidence = torch.cat([row.confidence for row in rows])
    share = confidence.clamp_min(_MIN_WEIGHT) / confidence.clamp_min(_MIN_WEIGHT).sum()

    def mean(values: list[Tensor]) -> Tensor:
        return share @ torch.cat(values)  # photo, photo number -> number

    attributes = [row.attributes for row in rows if row.attributes is not None]
    return EncoderGuess(
        w=mean([row.w for row in rows]),
        offsets=torch.cat([row.offset for row in rows]),
        confidence=confidence,
        attributes=mean(attributes) if attributes else None,
        identity=weights_sha256(encoder),
    )


def check_encoder(encoder: PhotoEncoder | None, generator: Generator) -> PhotoEncoder:
    """Return the encoder if it fits the generator.

    Raises:
        PanoHeadError: when there is none, or its w has another width.
    """
    if encoder is None:
        raise PanoHeadError(NO_ENCODER)
    if encoder.config.w_dim != generator.config.w_dim:
        raise PanoHeadError(
            f"the photo encoder answers w of {encoder.config.w_dim} numbers, the generator takes "
            f"{generator.config.w_dim}; give the encoder that was trained for this checkpoint"
        )
    return encoder


def apply_offsets(refinement: CameraRefinement, guess: EncoderGuess) -> None:
    """Set the offsets of the cameras to the guess, within twice the usual error of every camera."""
    deviations = guess.offsets.to(refinement.offsets) / refinement.prior_deviation
    refinement.offsets = deviations.clamp(-_MAX_PRIOR_DEVIATIONS, _MAX_PRIOR_DEVIATIONS)


@torch.no_grad()
def start_from_guess(
    generator: Generator,
    objective: PhotoObjective,
    refinement: CameraRefinement,
    space: SearchSpace,
    guess: EncoderGuess,
    *,
    move_cameras: bool,
    run: OptimizationRun,
) -> Float[Tensor, " number"]:
    """Return the start of the search, and set the cameras' offsets: the guess, unless the photos say otherwise.

    Tried are the guess with its cameras and with those as they were, the point halfway to the mean w and, with the
    cameras as they were, the mean w itself: a photo unlike anything the encoder has seen must not make the start worse
    than none.

    Args:
        generator, objective, space: as of :func:`panohead.inversion.search.candidates.screen`.
        refinement: cameras; their offsets are set.
        guess: the encoder's guess.
        move_cameras: correct the cameras too.
        run: log and stored states; the phase is called "screen".
    """
    state = run.take_state("screen")
    if state is not None:
        with run.restoring():
            refinement.offsets = state["offsets"].to(refinement.offsets)
            return state["start"].to(space.mean.device)
    resolution = max(generator.config.neural_rendering_resolution // 2, 8)
    unmoved, v = refinement.offsets, space.from_w(guess.w)
    if move_cameras:
        apply_offsets(refinement, guess)
    moved = refinement.offsets
    candidates = [(v, moved), (v, unmoved), (0.5 * v, moved), (torch.zeros_like(v), unmoved)]
    tried = []
    for number, (start, offsets) in enumerate(candidates, start=1):
        refinement.offsets = offsets
        ws = space.w_at(start).expand(1, generator.num_ws, -1)
        parts = objective(generator, generator.field(ws), ws, refinement.cameras(), resolution, superresolve=False)
        tried.append(float(parts["photos"]))
        run.record("screen", number, len(candidates), {"loss": parts["photos"]})
    start, refinement.offsets = candidates[tried.index(min(tried))]
    if not run.log.stopped:
        run.save_state("screen", {"start": start.cpu(), "offsets": refinement.offsets.cpu()}, keep=True)
    return start
