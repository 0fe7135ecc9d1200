"""The preset ``fast``: a good start, w in whitened coordinates, cameras that may move, and tuning that spares the back.

Several photos of one person share w and tuning; every photo has its own camera and, where the generator has one, its
own background.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.candidates import screen
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.optimize import Plateau, optimize
from panohead.inversion.reconstructed_head import InversionResult
from panohead.inversion.unseen import UnseenViews
from panohead.inversion.w_space import Whitening, w_space
from panohead.models.generator import Generator

_TUNING_WARMUP = 10
_FROZEN = ("mapping_network.", "camera_alignment.")


@dataclass(frozen=True, kw_only=True)
class FastConfig:
    """Attributes:
    starts: w that are tried before the search, beside the mean and the mean of the best.
    coarse_steps: of the search at half the rays, without super-resolution.
    fine_steps: of the search on whole pictures.
    tuning_steps: of the generator, at a fixed w and fixed cameras.
    learning_rate: of w in whitened coordinates, where people differ by about 1.
    camera_learning_rate: of the cameras, in spreads (see :class:`CameraRefinement`); 0 keeps the cameras.
    tuning_learning_rate: of the generator's parameters at its height; falls to zero as half a cosine.
    prior_weight: of the mean squared whitened distance to the mean w.
    row_weight: of the mean squared difference between the rows of w, which are equal for sampled heads.
    camera_weight: of the mean squared offset of the cameras, in spreads.
    mask_weight: of the mask's mean absolute error.
    background_weight: of pixels outside the mask, for generators with a background.
    unseen_weight: of the difference to the untuned generator in views that no photo shows; 0 for none.
    unseen_interval: tuning looks at such a view every so many steps.
    unseen_angle_deg: a view counts as unseen from so far away from every photo's camera.
    w_samples, w_seed: of the statistics of w.
    """

    starts: int = 32
    coarse_steps: int = 80
    fine_steps: int = 30
    tuning_steps: int = 150
    learning_rate: float = 0.08
    camera_learning_rate: float = 0.05
    tuning_learning_rate: float = 8e-3
    prior_weight: float = 0.003
    row_weight: float = 0.003
    camera_weight: float = 0.1
    mask_weight: float = 0.5
    background_weight: float = 0.1
    unseen_weight: float = 0.1
    unseen_interval: int = 3
    unseen_angle_deg: float = 60.0
    w_samples: int = 4096
    w_seed: int = 123


def reconstruct_fast(
    generator: Generator, objective: PhotoObjective, *, config: FastConfig, seed: int, log: OptimizationLog
) -> InversionResult:
    """Search, then tune a copy of the generator. Stopped early, it returns the best so far."""
    whitening = w_space(generator, samples=config.w_samples, seed=config.w_seed).whitening()
    refinement = CameraRefinement(objective.photos, whitening.mean.device)
    start = screen(generator, objective, refinement.cameras(), whitening, config.starts, seed=seed, log=log)
    ws, ws_background = _search(generator, objective, refinement, whitening, start, config, log)
    cameras = refinement.cameras()
    if log.stop_requested() or config.tuning_steps == 0:
        return InversionResult(generator, ws, cameras, ws_background)
    tuned = tune(generator, objective, ws, cameras, ws_background, config=config, log=log)
    return InversionResult(tuned, ws, cameras, ws_background)


def _search(
    generator: Generator,
    objective: PhotoObjective,
    refinement: CameraRefinement,
    whitening: Whitening,
    start: Float[Tensor, " axis"],
    config: FastConfig,
    log: OptimizationLog,
) -> tuple[Tensor, Tensor | None]:
    rows = generator.backbone.num_ws
    v = start.expand(1, rows, -1).clone().requires_grad_(True)
    background_v = None
    if generator.background is not None:
        background_v = start.expand(len(objective.photos), rows, -1).clone().requires_grad_(True)
    variables = [(v, config.learning_rate)]
    if background_v is not None:
        variables.append((background_v, config.learning_rate))
    if config.camera_learning_rate > 0:
        variables.append((refinement.offsets.requires_grad_(True), config.camera_learning_rate))
    resolution = generator.config.neural_rendering_resolution

    def losses(resolution: int, superresolve: bool) -> dict[str, Tensor]:
        ws = whitening.to_w(v)
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
        prior, spread = v.square().mean(), (v - v.mean(dim=1, keepdim=True)).square().mean()
        camera = refinement.prior()
        priors = config.prior_weight * prior + config.row_weight * spread + config.camera_weight * camera
        return {"loss": parts["photos"] + priors, **parts, "distance to mean": prior, "camera moved": camera}

    half = max(resolution // 2, 8)
    optimize("search, coarse", variables, lambda _: losses(half, False), config.coarse_steps, log, Plateau())
    optimize("search", variables, lambda _: losses(resolution, True), config.fine_steps, log, Plateau())
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
    log: OptimizationLog,
) -> Generator:
    """Pivotal tuning of a copy: the photos come nearer, and what they do not show stays as it was."""
    tuned = deepcopy(generator)
    unseen = None
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

    variables = [(parameter, config.tuning_learning_rate) for parameter in chosen]
    plateau = Plateau(patience=40, least_gain=0.005)
    # The loss of steps that look at an unseen side cannot be compared with that of the others.
    steps = config.tuning_steps
    optimize("tune", variables, losses, steps, log, plateau, warmup=_TUNING_WARMUP, falling=True, criterion="photos")
    return tuned.requires_grad_(False)
