"""Official checkpoints and networks: the only package that knows the official code's names and arguments.

Nothing in an official pickle is executed: see :mod:`panohead.interop.restricted_pickle`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from panohead.errors import PanoHeadError
from panohead.interop.arguments import discriminator_config, generator_config
from panohead.interop.names import OPTIONAL, load_official_state_dict, official_state_dict
from panohead.interop.restricted_pickle import OfficialModule, read_official_pickle, state_dict
from panohead.models.build import build_bounded, require_fitting
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator
from panohead.rendering.trigrid import PlaneAxes

__all__ = [
    "discriminator_from_official",
    "generator_from_official",
    "load_networks",
    "load_official_state_dict",
    "official_state_dict",
]

_NETWORKS = ("G", "D", "G_ema")
_Network = TypeVar("_Network", Generator, Discriminator)


def generator_from_official(
    init_kwargs: Mapping[str, Any],
    state: Mapping[str, Tensor] | None = None,
    *,
    rendering_kwargs: Mapping[str, Any] | None = None,
    neural_rendering_resolution: int = 64,
    plane_axes: PlaneAxes | None = None,
) -> Generator:
    """Return a generator in eval mode from the arguments of an official ``TriPlaneGenerator`` (PanoHead's or EG3D's).

    Args:
        init_kwargs: the official constructor's keyword arguments, c_dim, img_resolution and img_channels among them.
        state: weights under official names, or None for random ones.
        rendering_kwargs, neural_rendering_resolution, plane_axes: a pickle's live values, see
            :func:`panohead.interop.arguments.generator_config`.

    Raises:
        PanoHeadError: for arguments that cannot be reproduced, or weights that do not fit.
    """
    config = generator_config(
        init_kwargs,
        rendering_kwargs=rendering_kwargs,
        neural_rendering_resolution=neural_rendering_resolution,
        plane_axes=plane_axes,
    )
    if state is not None:
        has_alignment = any(name.startswith("t_mapping.") for name in state)
        config = replace(config, use_camera_alignment=has_alignment)
    return _filled(lambda: Generator(config), state)


def discriminator_from_official(
    class_name: str, init_kwargs: Mapping[str, Any], state: Mapping[str, Tensor] | None = None
) -> Discriminator:
    """Return a discriminator in eval mode from an official class name and its arguments.

    Args:
        class_name: "MaskDualDiscriminatorV2", "MaskDualDiscriminator", "DualDiscriminator" or "SingleDiscriminator",
            with or without the module in front.

    Raises:
        PanoHeadError: for an unknown class, or weights that do not fit.
    """
    config = discriminator_config(class_name, init_kwargs)
    return _filled(lambda: Discriminator(config), state)


def load_networks(path: str | Path) -> dict[str, nn.Module]:
    """Read an official pickle: its networks in eval mode on the CPU, under "G", "D" and "G_ema" as present.

    Raises:
        PanoHeadError: for anything that is not an official checkpoint, naming the problem.
    """
    networks: dict[str, nn.Module] = {}
    for name, value in read_official_pickle(path).items():
        if name in _NETWORKS and isinstance(value, OfficialModule):
            try:
                networks[name] = _network(value)
            except PanoHeadError as error:
                raise PanoHeadError(f"{path}: {name}: {error}") from error
            except (KeyError, TypeError, ValueError) as error:
                raise PanoHeadError(f"{path}: {name} is incomplete or damaged ({error!r})") from error
    return networks


def _network(module: OfficialModule) -> nn.Module:
    init_kwargs = dict(module.state["_init_kwargs"])
    if module.class_name.rsplit(".", 1)[-1] != "TriPlaneGenerator":
        return discriminator_from_official(module.class_name, init_kwargs, state_dict(module))
    return generator_from_official(
        init_kwargs,
        state_dict(module),
        rendering_kwargs=module.state.get("rendering_kwargs"),
        neural_rendering_resolution=int(module.state.get("neural_rendering_resolution", 64)),
        plane_axes=_plane_axes(module),
    )


def _plane_axes(module: OfficialModule) -> PlaneAxes | None:
    """Return the axes that a pickled renderer projects on: its (3, 3, 3) matrices, inverted, are axis permutations."""
    renderer = module.state.get("_modules", {}).get("renderer")
    matrices = renderer.state.get("plane_axes") if isinstance(renderer, OfficialModule) else None
    if not isinstance(matrices, Tensor) or matrices.shape != (3, 3, 3):
        return None
    projections = torch.linalg.inv(matrices.double())
    if not bool(((projections == 0) | (projections == 1)).all()) or not bool((projections.sum(dim=1) == 1).all()):
        raise PanoHeadError("its renderer projects on planes that are not along the axes")
    first, second, third = (tuple(int(i) for i in p.argmax(dim=0)) for p in projections)
    return (first, second, third)  # type: ignore[return-value]


def _filled(make: Callable[[], _Network], state: Mapping[str, Tensor] | None) -> _Network:
    if state is None:
        return build_bounded(make).eval().requires_grad_(False)
    with torch.device("meta"):
        planned = make()
    require_fitting(official_state_dict(planned), state, OPTIONAL)
    network = make()
    load_official_state_dict(network, state)
    return network.eval().requires_grad_(False)
