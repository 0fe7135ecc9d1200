"""The preset ``quick``: what the photo encoder says, without search and tuning."""

from dataclasses import dataclass

from panohead.errors import PanoHeadError
from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.encoder_guess import NO_ENCODER, apply_offsets
from panohead.inversion.load_photos import MAX_PHOTOS
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.preset import InversionPreset, InversionTask
from panohead.inversion.reconstructed_head import InversionResult
from panohead.system.bounds import Bounded


@dataclass(frozen=True, kw_only=True)
class QuickConfig(Bounded):
    """The preset has no numbers of its own."""


def invert_quick(task: InversionTask, config: QuickConfig, run: OptimizationRun) -> InversionResult:
    """Return the head and the cameras of the encoder's guess.

    Raises:
        PanoHeadError: when there is no guess.
    """
    if task.guess is None:
        raise PanoHeadError(NO_ENCODER)
    generator = task.generator
    refinement = CameraRefinement(task.photos, task.guess.w.device)
    apply_offsets(refinement, task.guess)
    ws = task.guess.w.expand(1, generator.num_ws, -1).clone()  # 1 num_ws w_dim
    if task.attributes is not None:
        ws = task.edit.removed(task.attributes, ws)
    return InversionResult(generator, ws, refinement.cameras(), None)


QUICK = InversionPreset(
    name="quick",
    config_type=QuickConfig,
    search_steps=None,
    default_seed=0,
    max_photos=MAX_PHOTOS,
    phases=lambda _: {},
    invert=invert_quick,
)
