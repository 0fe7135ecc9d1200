"""Pivotal tuning of the preset ``fast``: the generator's parameters at fixed w and cameras (Roich et al. 2021).

Tuning is regularized towards the untuned generator in views that no photo shows: the locality regularization of pivotal
tuning, in views instead of latents. Most of its steps compare raw images, which fit shape and colors; those on whole
images that follow fit super-resolution too.
"""

import math
from collections.abc import Sequence
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.geometry import Camera
from panohead.inversion.fast_config import FastConfig
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization.loop import ParameterGroup, Plateau, optimize
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.unseen import UnseenViews
from panohead.models.generator import Generator
from panohead.stylegan.synthesis import SynthesisNetwork
from panohead.stylegan.synthesis_layers import forget_packed_weights

_WARMUP = 10  # steps


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
    with torch.no_grad():
        rows = [ws] * len(cameras) if ws_background is None else ws_background.split(1)
        backgrounds = [generator.background_features(row) for row in rows]
    forget_packed_weights(generator)  # for memory: it is not used before the end
    resolution = generator.config.neural_rendering_resolution

    def losses(step: int, superresolve: bool) -> dict[str, Tensor]:
        field = tuned.field(ws)
        parts = objective(
            tuned,
            field,
            ws,
            cameras,
            resolution,
            superresolve=superresolve,
            ws_background=ws_background,
            backgrounds=None if superresolve else backgrounds,
        )
        total, turn = parts["photos"], step // config.unseen_interval
        if unseen is not None and unseen.count > 0 and step % config.unseen_interval == 0:
            # The first of several such views are compared raw, the last one super-resolved.
            last = (turn + 1) % config.unseen_superresolution_interval == 0
            parts["unseen"] = unseen.difference(tuned, field, ws, turn, superresolve=superresolve and last)
            total = total + config.unseen_weight * parts["unseen"]
        return {"loss": total, **parts}

    def optimize_parameters(phase: str, chosen: list[nn.Parameter], rate: float, steps: int, whole: bool) -> None:
        # The total of steps with an unseen view cannot be compared with that of the others; the photos' part can.
        optimize(
            phase,
            [ParameterGroup([p.requires_grad_(True) for p in chosen], rate)],
            lambda step: losses(step, whole),
            steps,
            run,
            rate=lambda step: rate_factor(step, steps),
            plateau=Plateau(patience=40, least_gain=0.005),
            criterion="photos",
        )

    if config.coarse_tuning_steps > 0:
        raw = tuned_parameters(tuned, config.tuned_blocks, superresolve=False)
        optimize_parameters("tune, coarse", raw, config.coarse_tuning_learning_rate, config.coarse_tuning_steps, False)
    chosen = tuned_parameters(tuned, config.tuned_blocks, superresolve=True)
    optimize_parameters("tune", chosen, config.tuning_learning_rate, config.tuning_steps, True)
    return tuned.requires_grad_(False)


def tuned_parameters(generator: Generator, blocks: int | None, *, superresolve: bool) -> list[nn.Parameter]:
    """Return the parameters to tune: those after the last blocks of the backbone and of the background network.

    The first blocks have most of the parameters and decide what the head is like; w has chosen that. At fixed w and
    cameras the mapping network and camera self-adaptation get no gradients.

    Args:
        generator: copy to be tuned.
        blocks: number of last blocks of either network that are tuned with the rest; None for all.
        superresolve: for whole images; otherwise without super-resolution and background.
    """
    modules: list[nn.Module | None] = [*_last_blocks(generator.backbone, blocks)]
    if superresolve:
        modules.append(generator.superresolution)
    modules += [generator.decoder, generator.torgb_raw]
    if superresolve and generator.background is not None:
        modules += _last_blocks(generator.background.synthesis, blocks)
    return [p for module in modules if module is not None for p in module.parameters()]


def _last_blocks(network: SynthesisNetwork, count: int | None) -> list[nn.Module]:
    found = list(network.blocks.values())
    return found if count is None else found[max(len(found) - count, 0) :]


def rate_factor(step: int, steps: int) -> float:
    """Return the learning rate factor of the tuning: a linear rise over ten steps times half a cosine that ends at 0.

    Adam's first steps are as large as its later ones, whatever the gradients are; hence the rise.
    """
    return min(1.0, (step + 1) / _WARMUP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
