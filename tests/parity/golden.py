"""Golden numbers of the original, the recipe of their inputs, and how near ours must come.

The ``.npz`` files beside this one were made by running the official networks on a CPU with weights that ``recipe.py``
makes from the parameters' names. ``tolerances.json`` holds, per file and key, [within which 99.9 % of the elements must
lie, within which all must lie].
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from panohead.interop.names import official_state_dict
from parity import recipe

FOLDER = Path(os.environ.get("PANOHEAD_GOLDEN", Path(__file__).parent))
"""PANOHEAD_GOLDEN names a folder with the whole set, of which only the small part beside this file is stored here."""
_WHOLE_NAMES = {
    "gen_p1": "gen_p1_512_d3_none",
    "gen_p2": "gen_p2_256_d1_sigmoid_nobg",
    "gen_p3": "gen_p3_128_d3_lrelu",
    "gen_p4": "gen_p4_512_8X_d2_sigmoid",
}
WITHIN_ATOL = 0.999
"""Share of the elements that must lie within the smaller tolerance."""

Arrays = Mapping[str, np.ndarray]


@cache
def load(name: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays of ``name``.npz, and its description (salt, configuration, log of the random numbers)."""
    with np.load(_path(name)) as file:
        arrays = {key: file[key] for key in file.files if key != "meta_json"}
        return arrays, json.loads(str(file["meta_json"]))


def _path(name: str) -> Path:
    path = FOLDER / f"{name}.npz"
    return path if path.exists() else FOLDER / f"{_WHOLE_NAMES.get(name, name)}.npz"


def tensor(name: str, key: str) -> Tensor:
    """One stored array as a tensor of its own."""
    return torch.from_numpy(np.array(load(name)[0][key]))


def normal(tag: str, shape: tuple[int, ...], salt: str = "") -> Tensor:
    """The recipe's standard-normal input called ``tag``."""
    return torch.from_numpy(recipe.normal(tag, shape, salt))


def uniform(tag: str, shape: tuple[int, ...], salt: str = "") -> Tensor:
    """The recipe's uniform [0, 1) input called ``tag``."""
    return torch.from_numpy(recipe.uniform(tag, shape, salt))


@torch.no_grad()
def fill_state_dict(state: Mapping[str, Tensor], salt: str = "") -> None:
    """Overwrite tensors under official names, in place, with the recipe's values."""
    for name, value in state.items():
        made = recipe.make(name, tuple(value.shape), salt)
        if made is not None:
            value.copy_(torch.from_numpy(np.asarray(made)).reshape(value.shape))


def fill_official(module: nn.Module, salt: str = "") -> None:
    """Overwrite a generator's or discriminator's values, in place, with the recipe's."""
    fill_state_dict(official_state_dict(module), salt)


@cache
def _tolerances() -> dict[str, dict[str, list[float]]]:
    stored = json.loads((FOLDER / "tolerances.json").read_text())
    whole = {
        Path(file).stem: {key: [row["atol"], row["atol_max"]] for key, row in keys.items() if "atol_max" in row}
        for file, keys in stored.items()
        if file.endswith(".npz")
    }
    return {**stored, **whole, **{short: whole[name] for short, name in _WHOLE_NAMES.items() if name in whole}}


def tolerance(name: str, key: str) -> tuple[float, float]:
    """(within which 99.9 % of the elements must lie, within which all must lie)."""
    atol, atol_max = _tolerances()[name][key]
    return atol, atol_max


def worst_ratio(name: str, key: str, actual: Tensor | ArrayLike) -> float:
    """Largest error divided by the larger tolerance; below 1 is good."""
    error = _error(name, key, actual)
    return float(error.max(initial=0.0)) / max(tolerance(name, key)[1], np.finfo(float).tiny)


def assert_close(name: str, key: str, actual: Tensor | ArrayLike, *, strict: bool = True) -> None:
    """Compare with a golden array: 99.9 % of the elements within the smaller tolerance, all within the larger.

    ``strict=False`` asks only the second, for arrays in which one kink of a leaky relu may move many elements.
    Numbers of a shape that differs only by dimensions of size one are accepted.
    """
    error = _error(name, key, actual)
    atol, atol_max = tolerance(name, key)
    within = float((error <= atol).mean()) if error.size else 1.0
    worst = float(error.max(initial=0.0))
    where = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape)) if error.size else ()
    message = (
        f"{name}/{key}: worst error {worst:.3g} at {where} (at most {atol_max:.3g} allowed), "
        f"{within:.2%} of {error.size} within {atol:.3g}"
    )
    # Written so that NaN fails.
    assert worst <= atol_max, message
    assert not strict or within >= WITHIN_ATOL, message


def _error(name: str, key: str, actual: Tensor | ArrayLike) -> np.ndarray:
    expected = load(name)[0][key]
    found = np.asarray(actual.detach().cpu() if isinstance(actual, Tensor) else actual)
    assert _without_ones(found) == _without_ones(expected), f"{name}/{key}: {found.shape} instead of {expected.shape}"
    return np.abs(found.reshape(expected.shape).astype(np.float64) - expected.astype(np.float64))


def _without_ones(array: np.ndarray) -> tuple[int, ...]:
    return tuple(size for size in array.shape if size != 1)
