"""Compact states of a fit: averaged weights in float16, small enough to commit, and enough to resume from.

Detail and super-resolution are trained after a fit, everything else of a released model is the fit's. So beside the
model a file of what differs, half a megabyte, is enough (:func:`save_beside`).
"""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from panohead.checkpoint import load_checkpoint, write_tensors
from panohead.errors import PanoHeadError
from panohead.known_models import bundled_file
from panohead.training.attribute_fit.fit import AttributeFit

BUNDLED = bundled_file("demo")
"""The demo model, which fits are saved beside."""

_PARTS = {"G_ema": "generator", "attributes": "encoder"}
"""Names of the networks in a checkpoint, and in a fit."""

_ROUNDING = 4e-3
"""Relative difference of a released weight (nine significant bits) from the fit's."""


def save_compact(fit: AttributeFit, path: Path) -> None:
    """Write averaged weights in float16 and the number of steps."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in fit.average.state_dict().items()}
    numbers = {"steps": str(fit.step_count), "sharpness": str(fit.sharpness)}
    write_tensors(path, {k: v.contiguous() for k, v in tensors.items()}, numbers)


def save_beside(compact: Path, path: Path, model: Path = BUNDLED) -> None:
    """Write what a compact state has more than a released model; :func:`load_compact` opens it.

    Args:
        compact: compact state of a fit.
        path: file to write.
        model: checkpoint that was made of this fit, in another folder or another name the file is of no use.
    """
    base = _of_model(model)
    # The mapping network is not the fit's.
    own = {k: v for k, v in load_file(compact).items() if ".mapping_network." not in k}
    differing = {k: v for k, v in own.items() if k not in base or not _alike(v.float(), base[k].float())}
    with safe_open(compact, framework="pt") as file:
        numbers = file.metadata()
    write_tensors(path, differing, {**numbers, "model": load_checkpoint(model).sha256})


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a - b).abs() <= _ROUNDING * b.abs() + 1e-6).all())


def _of_model(model: Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint by the names that they have in a fit."""
    found = {}
    for name, tensor in load_file(model).items():
        part, rest = name.split(".", 1)
        if part in _PARTS:
            found[f"{_PARTS[part]}.{rest}"] = tensor
    return found


def load_compact(fit: AttributeFit, path: Path, model: Path = BUNDLED) -> None:
    """Resume from averaged weights; the optimizers' moments restart at zero.

    Args:
        path: file of :func:`save_compact` or :func:`save_beside`.
        model: the released model beside which the second kind was saved.

    Raises:
        PanoHeadError: when it was saved beside another model.
    """
    with safe_open(path, framework="pt") as file:
        numbers = file.metadata()
    stored = load_file(path)
    if "model" in numbers:
        if load_checkpoint(model).sha256 != numbers["model"]:
            raise PanoHeadError(f"{path} belongs to another model than {model}; take both from the same version")
        stored = _of_model(model) | stored
    state = {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}
    new = fit.model.state_dict()
    # States from before the position maps, the deformation and the texture have none; zeros change nothing.
    later = "position_map", ".deformation.", ".surface_texture."
    state = {k: torch.zeros_like(v) for k, v in new.items() if any(name in k for name in later)} | state
    # Nor do they have the detail, which does nothing before it is trained; it has replaced the texture.
    state = {k: v for k, v in new.items() if ".surface_detail." in k} | state
    state = {k: v for k, v in state.items() if ".surface_texture." not in k or k in new}
    texture = fit.model.generator.surface_texture
    if texture is not None:
        # A layer of another number of channels is of another noise.
        name = "generator.surface_texture.weight"
        if state[name].shape != texture.weight.shape:
            state[name] = torch.zeros_like(texture.weight)
    # A fit has nothing to do with the mapping network, which may have had another number of layers.
    state = {k: v for k, v in state.items() if ".mapping_network." not in k}
    state |= {k: v for k, v in new.items() if ".mapping_network." in k}
    fit.model.load_state_dict(state)
    fit.average.load_state_dict(state)
    fit.step_count, fit.sharpness = int(numbers["steps"]), float(numbers.get("sharpness", 1.0))
