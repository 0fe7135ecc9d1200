"""Configurations refuse numbers out of range, infinite or no numbers, wherever they come from."""

import dataclasses
import importlib
import json
import math
import pkgutil
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

import panohead
from panohead.errors import PanoHeadError
from panohead.files.read_json import from_plain
from panohead.interop.arguments import discriminator_config, generator_config
from panohead.models.discriminator import DiscriminatorConfig
from panohead.models.generator_config import GeneratorConfig
from panohead.presets import ABLATIONS, PRESETS
from panohead.rendering.renderer import RenderConfig
from panohead.system.bounds import Bounded, NumberRange, OutOfRange, Width
from panohead.training.config import TrainConfig, with_settings


def configurations() -> dict[str, type[Any]]:
    """All classes of the package that are called configurations."""
    found = {}
    for module in pkgutil.walk_packages(panohead.__path__, "panohead."):
        if module.name.endswith("__main__"):
            continue
        try:
            members = vars(importlib.import_module(module.name))
        except ModuleNotFoundError:  # of an extra that is not installed
            continue
        for name, value in members.items():
            if name.endswith("Config") and dataclasses.is_dataclass(value):
                found[name] = value
    return found


def test_every_configuration_is_bounded() -> None:
    exempt = {"SyntheticDatasetConfig": "checks its ranges itself, in the words of the command line"}
    found = configurations()
    assert len(found) > 15
    assert {name for name, cls in found.items() if not issubclass(cls, Bounded)} == set(exempt)


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_are_within_the_ranges(name: str) -> None:
    config = PRESETS[name]()
    assert from_plain(TrainConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config
    for change in ABLATIONS.values():
        change(config)


def numbers_of(plain: Any, path: str = "") -> list[str]:
    """Dotted names of all numbers in nested JSON."""
    if isinstance(plain, dict):
        return [name for key, value in plain.items() for name in numbers_of(value, f"{path}.{key}".lstrip("."))]
    return [path] if isinstance(plain, int | float) and not isinstance(plain, bool) else []


def test_no_number_of_a_training_run_may_be_odd() -> None:
    config = PRESETS["demo_64"]()
    names = numbers_of(dataclasses.asdict(config))
    assert len(names) > 100
    for name in names:
        for value in (math.nan, math.inf, -math.inf, 10**400, -(10**30)):
            with pytest.raises(PanoHeadError, match=r"setting|from|finite|whole|must") as caught:
                with_settings(config, {name: value})
            assert len(str(caught.value)) < 300


LARGE = {
    "mapping_layers": 10**9, "z_dim": 10**7, "w_dim": 10**6, "trigrid_depth": 10**6, "channel_max": 10**6,
    "trigrid_resolution": 10**5, "neural_rendering_resolution": 10**5, "feature_channels": 10**6,
}  # fmt: skip


@pytest.mark.parametrize("name", list(LARGE))
def test_sizes_of_a_generator(name: str) -> None:
    with pytest.raises(OutOfRange, match=name):
        GeneratorConfig(**{name: LARGE[name]})


def test_sizes_that_are_large_only_together() -> None:
    with pytest.raises(OutOfRange, match="tri-grid"):
        GeneratorConfig(trigrid_resolution=1024, trigrid_depth=64, trigrid_channels=256)
    with pytest.raises(OutOfRange, match="samples"):
        GeneratorConfig(neural_rendering_resolution=2048, rendering=RenderConfig(depth_samples=2048))


@dataclasses.dataclass(frozen=True)
class Example(Bounded):
    width: Width = 8
    pair: tuple[Width, Width] | None = None
    rate: float = 0.5
    mode: Annotated[float, NumberRange(0, 1)] | Literal["auto"] = "auto"
    words: tuple[str, ...] = ()
    weights: dict[str, float] = dataclasses.field(default_factory=dict)


@pytest.mark.parametrize(
    "changes",
    [
        *({"width": value} for value in ("8", [8], {"a": 8}, 8.5, True, None, math.nan, 0, 4097, 10**500, object())),
        *({"rate": value} for value in (math.nan, -math.inf, "x", None, True, 1e300, float("1e19"))),
        {"pair": (8, 10**6)}, {"pair": (math.nan, 8)}, {"mode": 1.5}, {"mode": math.nan}, {"weights": {"a": math.inf}},
        {"words": ("x" * 10**6,)}, {"words": ("x",) * 10**5}, {"mode": "x" * 10**5},
    ],
)  # fmt: skip
def test_values_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(OutOfRange, match=next(iter(changes))) as caught:
        Example(**changes)
    assert len(str(caught.value)) < 200


def test_values_that_are_allowed() -> None:
    Example(width=4096, pair=(1, 4096), rate=-3, mode=0.5, words=("a",), weights={"a": 1.0})


OFFICIAL = {
    "z_dim": 64, "c_dim": 25, "w_dim": 64, "img_resolution": 512, "img_channels": 3,
    "mapping_kwargs": {"num_layers": 2},
    "rendering_kwargs": {
        "depth_resolution": 8, "depth_resolution_importance": 8, "ray_start": 2.25, "ray_end": 3.3, "box_warp": 1,
        "c_scale": 1.0, "superresolution_module": "x.SuperresolutionHybrid8XDC",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("mapping_kwargs.num_layers", 10**5),
        ("mapping_kwargs.num_layers", 10**9),
        ("rendering_kwargs.depth_resolution", 10**9),
        ("rendering_kwargs.box_warp", math.nan),
        ("rendering_kwargs.ray_start", math.inf),
        ("z_dim", 2**40),
        ("channel_base", 10**12),
        ("w_dim", "64"),
    ],
)
def test_arguments_of_a_pickle(place: str, value: Any) -> None:
    kwargs = json.loads(json.dumps(OFFICIAL))
    generator_config(kwargs)
    *sections, last = place.split(".")
    (kwargs[sections[0]] if sections else kwargs)[last] = value
    with pytest.raises(PanoHeadError):
        generator_config(kwargs)


def test_arguments_of_a_discriminator() -> None:
    with pytest.raises(PanoHeadError, match="resolution"):
        discriminator_config("DualDiscriminator", {"img_resolution": 2**30, "c_dim": 25})
    with pytest.raises(OutOfRange, match="mapping_layers"):
        DiscriminatorConfig(mapping_layers=10**5)


def test_a_run_folder_with_an_odd_size(tmp_path: Path) -> None:
    from panohead.training.run.folder import read_run

    plain = dataclasses.asdict(PRESETS["tiny"]())
    plain["generator"]["mapping_layers"] = 10**9
    (tmp_path / "config.json").write_text(json.dumps({"training": plain, "data": "x"}))
    with pytest.raises(PanoHeadError, match=r"config\.json .*mapping_layers"):
        read_run(tmp_path)
