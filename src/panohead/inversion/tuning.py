"""Pivotal tuning of the preset ``fast``: a part of the generator at fixed w and cameras (Roich et al. 2021).

Tuned are position maps of the backbone's last blocks: a feature vector for every texel of the tri-grid. A map changes
where a photo shows something; a weight changes all places, and with them the sides that no photo shows. Views that no
photo shows are kept near those of the untuned generator as well: the locality regularization of pivotal tuning, in
views instead of latents.
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.geometry import Camera
from panohead.inversion.detail_where_seen import without_detail_where_seen
from panohead.inversion.fast_config import FastConfig
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization.loop import ParameterGroup, Plateau, optimize
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.regularizers.geometry_anchor import GeometryAnchor
from panohead.inversion.regularizers.symmetry import mirrored_photos
from panohead.inversion.regularizers.unseen import UnseenViews
from panohead.models.backbone import BackboneNetwork
from panohead.models.generator import Generator
from panohead.models.position_maps import with_position_maps
from panohead.rendering.field import HeadField
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
    """Return a copy of the generator tuned to the photos at fixed ws, regularized in views that no photo shows.

    With ``config.local_tuning`` its backbone has position maps, also where the generator has none. An alias-free
    backbone has no such maps: its last layers are tuned. Where photos show the head it adds no detail of its own,
    unless ``config.detail_where_seen``.
    """
    config = _possible(config, generator)
    if not config.detail_where_seen:
        generator = without_detail_where_seen(generator, ws, objective.photos, cameras)
    tuned = with_position_maps(generator) if config.local_tuning else deepcopy(generator)
    unseen = _unseen(generator, ws, cameras, config)
    anchor = GeometryAnchor(generator, ws, cameras) if config.geometry_weight > 0 else None
    mirrored = _mirrored(generator, objective, ws, cameras, config)
    backgrounds = _backgrounds(generator, [ws] * len(cameras) if ws_background is None else ws_background.split(1))
    forget_packed_weights(generator)  # for memory: it is not used before the end
    resolution = generator.config.neural_rendering_resolution
    maps = position_maps(tuned, config.tuned_blocks) if config.local_tuning else []
    start_maps = [p.detach().clone() for p in maps]

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
        if mirrored is not None and step % config.unseen_interval == 1 % config.unseen_interval:
            parts["mirrored"] = mirrored(tuned, field, ws, resolution, superresolve)
            total = total + config.symmetry_weight * parts["mirrored"]
        if anchor is not None:
            parts["geometry"] = anchor.difference(field, step)
            total = total + config.geometry_weight * parts["geometry"]
        if start_maps and config.map_weight > 0:
            parts["maps"] = _mean_square(maps, start_maps)
            total = total + config.map_weight * parts["maps"]
        return {"loss": total, **parts}

    def optimize_parameters(phase: str, groups: list[ParameterGroup], steps: int, whole: bool) -> None:
        # The total of steps with an unseen view cannot be compared with that of the others; the photos' part can.
        optimize(
            phase,
            groups,
            lambda step: losses(step, whole),
            steps,
            run,
            rate=lambda step: rate_factor(step, steps),
            plateau=Plateau(patience=40, least_gain=0.005),
            criterion="photos",
        )

    if config.coarse_tuning_steps > 0:
        optimize_parameters("tune, coarse", _groups(tuned, config, whole=False), config.coarse_tuning_steps, False)
    optimize_parameters("tune", _groups(tuned, config, whole=True), config.tuning_steps, True)
    return tuned.requires_grad_(False)


def _possible(config: FastConfig, generator: Generator) -> FastConfig:
    """Return the configuration as far as the generator's backbone can follow it."""
    return config if generator.config.backbone == "stylegan2" else replace(config, local_tuning=False)


@torch.no_grad()
def _backgrounds(generator: Generator, rows: Sequence[Tensor]) -> list[Tensor | None]:
    return [generator.background_features(row) for row in rows]


def _unseen(generator: Generator, ws: Tensor, cameras: Sequence[Camera], config: FastConfig) -> UnseenViews | None:
    """Return views by the untuned generator, which stays as it is; None where they have no weight."""
    if config.unseen_weight == 0:
        return None
    return UnseenViews(generator, ws, cameras, least_angle_deg=config.unseen_angle_deg)


_Mirrored = Callable[[Generator, HeadField, Tensor, int, bool], Tensor]


def _mirrored(
    generator: Generator, objective: PhotoObjective, ws: Tensor, cameras: Sequence[Camera], config: FastConfig
) -> _Mirrored | None:
    """Return the function to the distance from the mirrored photos; None where they tell nothing."""
    pairs = mirrored_photos(generator, ws, objective.photos, cameras) if config.symmetry_weight > 0 else []
    if not pairs:
        return None
    other = objective.of([photo for photo, _ in pairs])
    places = [camera for _, camera in pairs]

    def distance(tuned: Generator, field: HeadField, ws: Tensor, resolution: int, superresolve: bool) -> Tensor:
        return other(tuned, field, ws, places, resolution, superresolve=superresolve)["picture"]

    return distance


def _groups(tuned: Generator, config: FastConfig, *, whole: bool) -> list[ParameterGroup]:
    """Return what one phase of tuning changes, with learning rates, and let it have gradients."""
    if config.local_tuning:
        maps = position_maps(tuned, config.tuned_blocks)
        groups = [ParameterGroup(maps, config.map_learning_rate)]
        if whole and config.superresolution_learning_rate > 0:
            last = list(tuned.superresolution.parameters())
            groups.append(ParameterGroup(last, config.superresolution_learning_rate))
        if whole and tuned.background is not None:
            behind = [
                p for block in _last_blocks(tuned.background.synthesis, config.tuned_blocks) for p in block.parameters()
            ]
            groups.append(ParameterGroup(behind, config.tuning_learning_rate))
    else:
        rate = config.tuning_learning_rate if whole else config.coarse_tuning_learning_rate
        groups = [ParameterGroup(tuned_parameters(tuned, config.tuned_blocks, superresolve=whole), rate)]
    for group in groups:
        for parameter in group.tensors:
            parameter.requires_grad_(True)
    return groups


def _mean_square(now: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """Return the mean squared difference over all elements.

    Adam's steps are as large where a gradient is next to nothing as elsewhere; this holds texels that hardly show.
    """
    total = torch.stack([(a - b).square().sum() for a, b in zip(now, before, strict=True)]).sum()
    return total / sum(a.numel() for a in now)


def position_maps(generator: Generator, blocks: int | None) -> list[nn.Parameter]:
    """Return the position maps of the backbone's last blocks; None for all blocks."""
    found = [block.position_map for block in _last_blocks(generator.backbone, blocks)]
    return [p for p in found if isinstance(p, nn.Parameter)]


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


def _last_blocks(network: BackboneNetwork, count: int | None) -> list[nn.Module]:
    found = list(network.blocks.values())
    return found if count is None else found[max(len(found) - count, 0) :]


def rate_factor(step: int, steps: int) -> float:
    """Return the learning rate factor of the tuning: a linear rise over ten steps times half a cosine that ends at 0.

    Adam's first steps are as large as its later ones, whatever the gradients are; hence the rise.
    """
    return min(1.0, (step + 1) / _WARMUP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
