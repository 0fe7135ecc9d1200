"""The preset ``quick``: what the photo encoder says, without search and tuning."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.encoder_guess import NO_ENCODER, EncoderGuess, apply_offsets
from panohead.inversion.load_photos import MAX_PHOTOS
from panohead.inversion.objective import PhotoObjective, compositing_color
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.preset import InversionPreset, InversionTask
from panohead.inversion.reconstructed_head import InversionResult
from panohead.system.bounds import Bounded


@dataclass(frozen=True, kw_only=True)
class QuickConfig(Bounded):
    """The preset has no numbers of its own."""


def invert_quick(task: InversionTask, config: QuickConfig, run: OptimizationRun) -> InversionResult:
    """Return the head of the encoder's guess, with its cameras or, where the photos look more like that, as they were.

    Raises:
        PanoHeadError: when there is no guess.
    """
    if task.guess is None:
        raise PanoHeadError(NO_ENCODER)
    generator = task.generator
    ws = task.guess.w.expand(1, generator.num_ws, -1).clone()  # 1 num_ws w_dim
    cameras = _cameras(task, task.guess, ws)
    if task.attributes is not None:
        ws = task.edit.removed(task.attributes, ws)
    return InversionResult(generator, ws, cameras, None)


@torch.no_grad()
def _cameras(task: InversionTask, guess: EncoderGuess, ws: Float[Tensor, "1 num_ws w_dim"]) -> list[Camera]:
    """Return the corrected cameras or those as they were: whichever render the head more like the photos."""
    generator = task.generator
    objective = PhotoObjective(task.photos, task.loss, empty=compositing_color(generator), device=ws.device)
    refinement = CameraRefinement(task.photos, ws.device)
    before = refinement.cameras()
    apply_offsets(refinement, guess)
    side, field = generator.config.neural_rendering_resolution, generator.prepared_field(ws)

    def distance(cameras: list[Camera]) -> float:
        return float(objective(generator, field, ws, cameras, side, superresolve=False)["photos"])

    return min((before, refinement.cameras()), key=distance)


QUICK = InversionPreset(
    name="quick",
    config_type=QuickConfig,
    search_steps=None,
    default_seed=0,
    max_photos=MAX_PHOTOS,
    phases=lambda _: {},
    invert=invert_quick,
)
