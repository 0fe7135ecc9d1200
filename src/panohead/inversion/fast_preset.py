"""The preset ``fast``: a start by encoder or random candidates, search in whitened w with cameras, guarded tuning.

Search and tuning both begin with raw images, which cost a fraction of super-resolved ones. Several photos of one person
share w and tuning; every photo has its own camera and, where the generator makes backgrounds, its own background.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.encoder_guess import start_from_guess
from panohead.inversion.fast_config import FastConfig, earlier_configs, phases
from panohead.inversion.head_edit import without_changed_places
from panohead.inversion.load_photos import MAX_PHOTOS
from panohead.inversion.objective import PhotoObjective, compositing_color
from panohead.inversion.optimization.loop import ParameterGroup, Plateau, optimize
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.preset import InversionPreset, InversionTask
from panohead.inversion.reconstructed_head import InversionResult
from panohead.inversion.search.candidates import screen
from panohead.inversion.search.search_space import AttributeSearch, SearchSpace, WhitenedSearch, people_whitening
from panohead.inversion.tuning import tune
from panohead.inversion.w_space import Whitening, w_space
from panohead.models.generator import Generator


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
    space: SearchSpace
    if task.attributes is not None and config.attribute_search:
        whitening = people_whitening(task.attributes, samples=config.w_samples, seed=config.w_seed)
        space = AttributeSearch(task.attributes, whitening, config)
    else:
        whitening = w_space(generator, samples=config.w_samples, seed=config.w_seed).whitening()
        space = WhitenedSearch(whitening, config)
    refinement = CameraRefinement(objective.photos, whitening.mean.device)
    if task.guess is None:
        start = screen(generator, objective, refinement.cameras(), space, config.starts, seed=task.seed, run=run)
    else:
        moves = config.camera_learning_rate > 0
        start = start_from_guess(generator, objective, refinement, space, task.guess, move_cameras=moves, run=run)
    ws, ws_background = _search(generator, objective, refinement, whitening, space, start, config, run)
    cameras = refinement.cameras()
    if task.edit.removes and task.attributes is not None:
        fitted, ws = ws, task.edit.removed(task.attributes, ws)
        objective = objective.of(without_changed_places(generator, task.photos, cameras, fitted, ws))
    if run.stop_requested() or config.tuning_steps == 0:
        return InversionResult(generator, ws, cameras, ws_background)
    tuned = tune(generator, objective, ws, cameras, ws_background, config=config, run=run)
    return InversionResult(tuned, ws, cameras, ws_background)


def _search(
    generator: Generator,
    objective: PhotoObjective,
    refinement: CameraRefinement,
    whitening: Whitening,
    space: SearchSpace,
    start: Float[Tensor, " number"],
    config: FastConfig,
    run: OptimizationRun,
) -> tuple[Tensor, Tensor | None]:
    """Search the ws of the head and of every photo's background; the refined cameras are in ``refinement``."""
    rows = generator.num_ws
    groups = space.begin(start, rows)
    background_v = None
    if generator.background is not None:
        background_v = (
            whitening.from_w(space.w_at(start)).expand(len(objective.photos), rows, -1).clone().requires_grad_(True)
        )  # photo num_ws axis
    if background_v is not None:
        groups.append(ParameterGroup([background_v], config.learning_rate))
    if config.camera_learning_rate > 0:
        groups.append(ParameterGroup([refinement.offsets.requires_grad_(True)], config.camera_learning_rate))
    resolution = generator.config.neural_rendering_resolution

    def losses(resolution: int, superresolve: bool) -> dict[str, Tensor]:
        ws = space.ws()
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
        prior, distance = space.priors()
        camera = refinement.prior()
        priors = prior + config.camera_weight * camera
        return {"loss": parts["photos"] + priors, **parts, "distance to mean": distance, "camera moved": camera}

    # A quarter of the rays and no super-resolution: placement and shape first, at a fraction of the cost.
    half = max(resolution // 2, 8)
    coarse, fine = config.coarse_steps, config.fine_steps
    optimize("search, coarse", groups, lambda _: losses(half, False), coarse, run, plateau=Plateau())
    optimize("search", groups, lambda _: losses(resolution, True), fine, run, plateau=Plateau())
    refinement.offsets = refinement.offsets.detach()
    with torch.no_grad():
        return space.ws(), None if background_v is None else whitening.to_w(background_v)


FAST = InversionPreset(
    name="fast",
    config_type=FastConfig,
    search_steps="fine_steps",
    default_seed=0,
    max_photos=MAX_PHOTOS,
    phases=phases,
    invert=invert_fast,
    earlier=earlier_configs,
)
