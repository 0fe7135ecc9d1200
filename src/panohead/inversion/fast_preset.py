"""The preset ``fast``: random candidates, search in whitened w with camera refinement, regularized pivotal tuning.

Several photos of one person share w and tuning; every photo has its own camera and, where the generator makes
backgrounds, its own background. Tuning is regularized towards the untuned generator in views that no photo shows
(the locality regularization of pivotal tuning, Roich et al. 2021, in views instead of latents).
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.candidates import screen
from panohead.inversion.load_photos import MAX_PHOTOS
from panohead.inversion.objective import PhotoObjective, compositing_color
from panohead.inversion.optimization.loop import ParameterGroup, Plateau, optimize
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.preset import InversionPreset, InversionTask
from panohead.inversion.reconstructed_head import InversionResult
from panohead.inversion.unseen import UnseenViews
from panohead.inversion.w_space import Whitening, w_space
from panohead.models.generator import Generator
from panohead.system.bounds import Bounded, Count, Natural, NotNegative, Range

_TUNING_WARMUP = 10  # steps
# At fixed w and cameras these get no gradients.
_FROZEN = ("mapping_network.", "camera_alignment.")


@dataclass(frozen=True, kw_only=True)
class FastConfig(Bounded):
    """Numbers of the preset.

    Attributes:
        starts: number of random w that are tried before the search, beside the mean and the mean of the best.
        coarse_steps: number of search steps at half the rays per side, without super-resolution.
        fine_steps: number of search steps on whole images.
        tuning_steps: number of tuning steps, at fixed w and cameras.
        learning_rate: learning rate of w in whitened coordinates, where people differ by about 1.
        camera_learning_rate: learning rate of the cameras' offsets, in prior deviations (see
            :class:`CameraRefinement`); 0 keeps the cameras.
        tuning_learning_rate: highest learning rate of the generator's parameters; it falls to zero as half a cosine.
        prior_weight: weight of the mean squared whitened distance to the mean w.
        row_weight: weight of the mean squared difference between the rows of w, which are equal for sampled heads.
        camera_weight: weight of the mean squared offset of the cameras, in prior deviations.
        mask_weight: weight of the mask's mean absolute error.
        background_weight: weight of pixels outside the mask, for generators with a background.
        unseen_weight: weight of the difference to the untuned generator in views that no photo shows; 0 for none.
        unseen_interval: number of tuning steps per step that includes such a view.
        unseen_angle_deg: smallest angle between such a view and every photo's camera, in degrees.
        w_samples: number of w for the statistics of w.
        w_seed: seed of these w.
    """

    starts: Annotated[int, Range(0, 100000)] = 32
    coarse_steps: Count = 80
    fine_steps: Count = 30
    tuning_steps: Count = 150
    learning_rate: NotNegative = 0.08
    camera_learning_rate: NotNegative = 0.05
    tuning_learning_rate: NotNegative = 8e-3
    prior_weight: NotNegative = 0.003
    row_weight: NotNegative = 0.003
    camera_weight: NotNegative = 0.1
    mask_weight: NotNegative = 0.5
    background_weight: NotNegative = 0.1
    unseen_weight: NotNegative = 0.1
    unseen_interval: Natural = 3
    unseen_angle_deg: float = 60.0
    w_samples: Annotated[int, Range(2, 1000000)] = 4096
    w_seed: Annotated[int, Range(0, 2**32 - 1)] = 123


def invert_fast(task: InversionTask, config: FastConfig, run: OptimizationRun) -> InversionResult:
    """Search, then tune a copy of the generator; stopped early, it returns the best result so far."""
    generator = task.generator
    objective = PhotoObjective(
        task.photos,
        task.loss,
        empty=compositing_color(generator),
        background_weight=config.background_weight,
        mask_weight=config.mask_weight,
        device=generator.mapping_network.w_avg.device,
    )
    whitening = w_space(generator, samples=config.w_samples, seed=config.w_seed).whitening()
    refinement = CameraRefinement(objective.photos, whitening.mean.device)
    start = screen(generator, objective, refinement.cameras(), whitening, config.starts, seed=task.seed, run=run)
    ws, ws_background = _search(generator, objective, refinement, whitening, start, config, run)
    cameras = refinement.cameras()
    if run.stop_requested() or config.tuning_steps == 0:
        return InversionResult(generator, ws, cameras, ws_background)
    tuned = tune(generator, objective, ws, cameras, ws_background, config=config, run=run)
    return InversionResult(tuned, ws, cameras, ws_background)


def _search(
    generator: Generator,
    objective: PhotoObjective,
    refinement: CameraRefinement,
    whitening: Whitening,
    start: Float[Tensor, " axis"],
    config: FastConfig,
    run: OptimizationRun,
) -> tuple[Tensor, Tensor | None]:
    """Search the ws of the head and of every photo's background; the refined cameras are in ``refinement``."""
    rows = generator.backbone.num_ws
    v = start.expand(1, rows, -1).clone().requires_grad_(True)  # 1 num_ws axis: every row starts at the same w
    background_v = None
    if generator.background is not None:
        background_v = start.expand(len(objective.photos), rows, -1).clone().requires_grad_(True)  # photo num_ws axis
    groups = [ParameterGroup([v], config.learning_rate)]
    if background_v is not None:
        groups.append(ParameterGroup([background_v], config.learning_rate))
    if config.camera_learning_rate > 0:
        groups.append(ParameterGroup([refinement.offsets.requires_grad_(True)], config.camera_learning_rate))
    resolution = generator.config.neural_rendering_resolution

    def losses(resolution: int, superresolve: bool) -> dict[str, Tensor]:
        ws = whitening.to_w(v)  # 1 num_ws w_dim
        field = generator.field(ws)
        ws_background = None if background_v is None else whitening.to_w(background_v)
        parts = objective(
            generator,
            field,
            ws,
            refinement.cameras(),
            resolution,
            superresolve=superresolve,
            ws_background=ws_background,
        )
        # In whitened coordinates w is standard normal: the mean square is its negative log density, up to a factor.
        prior, spread = v.square().mean(), (v - v.mean(dim=1, keepdim=True)).square().mean()
        camera = refinement.prior()
        priors = config.prior_weight * prior + config.row_weight * spread + config.camera_weight * camera
        return {"loss": parts["photos"] + priors, **parts, "distance to mean": prior, "camera moved": camera}

    # A quarter of the rays and no super-resolution: placement and shape first, at a fraction of the cost.
    half = max(resolution // 2, 8)
    coarse, fine = config.coarse_steps, config.fine_steps
    optimize("search, coarse", groups, lambda _: losses(half, False), coarse, run, plateau=Plateau())
    optimize("search", groups, lambda _: losses(resolution, True), fine, run, plateau=Plateau())
    refinement.offsets = refinement.offsets.detach()
    with torch.no_grad():
        return whitening.to_w(v), None if background_v is None else whitening.to_w(background_v)


def tune(
    generator: Generator,
    objective: PhotoObjective,
    ws: Float[Tensor, "1 num_ws w_dim"],
    cameras: Sequence[Camera],
    ws_background: Float[Tensor, "photo num_ws w_dim"] | None,
    *,
    config: FastConfig,
    run: OptimizationRun,
) -> Generator:
    """Return a copy of the generator tuned to the photos at fixed ws, regularized in views that no photo shows."""
    tuned = deepcopy(generator)
    unseen = None  # rendered by the untuned generator, which stays as it is
    if config.unseen_weight > 0:
        unseen = UnseenViews(generator, ws, cameras, least_angle_deg=config.unseen_angle_deg)
    chosen = [p.requires_grad_(True) for name, p in tuned.named_parameters() if not name.startswith(_FROZEN)]
    resolution = generator.config.neural_rendering_resolution

    def losses(step: int) -> dict[str, Tensor]:
        field = tuned.field(ws)
        parts = objective(tuned, field, ws, cameras, resolution, superresolve=True, ws_background=ws_background)
        total = parts["photos"]
        if unseen is not None and unseen.count > 0 and step % config.unseen_interval == 0:
            parts["unseen"] = unseen.difference(tuned, field, ws, step // config.unseen_interval)
            total = total + config.unseen_weight * parts["unseen"]
        return {"loss": total, **parts}

    def rate(step: int) -> float:
        return tuning_rate_factor(step, config.tuning_steps)

    groups = [ParameterGroup([parameter], config.tuning_learning_rate) for parameter in chosen]
    plateau = Plateau(patience=40, least_gain=0.005)
    # The total of steps with an unseen view cannot be compared with that of the others; the photos' part can.
    optimize("tune", groups, losses, config.tuning_steps, run, rate=rate, plateau=plateau, criterion="photos")
    return tuned.requires_grad_(False)


def tuning_rate_factor(step: int, steps: int) -> float:
    """Return the learning rate factor of the tuning: a linear rise over ten steps times half a cosine that ends at 0.

    Adam's first steps are as large as its later ones, whatever the gradients are; hence the rise.
    """
    return min(1.0, (step + 1) / _TUNING_WARMUP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def phases(config: FastConfig) -> dict[str, int]:
    """Return the maximum number of steps of every phase, in their order."""
    return {
        "screen": config.starts,
        "search, coarse": config.coarse_steps,
        "search": config.fine_steps,
        "tune": config.tuning_steps,
    }


FAST = InversionPreset(
    name="fast",
    config_type=FastConfig,
    search_steps="fine_steps",
    default_seed=0,
    max_photos=MAX_PHOTOS,
    phases=phases,
    invert=invert_fast,
)
