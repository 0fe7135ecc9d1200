"""Networks are planned without memory and compared with the weights before anything is allocated."""

import dataclasses
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tiny
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.errors import PanoHeadError
from panohead.files.tensor_hash import tensors_sha256
from panohead.interop.official import generator_from_official, load_official_state_dict, official_state_dict
from panohead.models.build import build_bounded, build_for, planned_state
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.system.sealed_metadata import sealed

LARGEST = GeneratorConfig(
    z_dim=4096, w_dim=4096, mapping_layers=32, trigrid_resolution=256, channel_base=2**20, channel_max=4096
)
"""A configuration of 3e9 numbers, each within its range: 12 GB."""


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_plan_has_the_shapes_of_the_network() -> None:
    network = tiny.generator()
    planned = planned_state(lambda: Generator(network.config))
    assert {k: (v.shape, v.dtype) for k, v in planned.items()} == {
        k: (v.shape, v.dtype) for k, v in network.state_dict().items()
    }
    assert all(value.is_meta for value in planned.values())
    built = build_for(lambda: Generator(network.config), network.state_dict())
    # Nothing of the plan is left in it, for example by a cached constant.
    assert not any(value.is_meta for value in (*built.parameters(), *built.buffers()))


def test_planning_needs_no_compiler_of_pytorch() -> None:
    """Their import takes a second of a processor, at the start of every command that opens a model."""
    stored = Path(__file__).parents[1] / "stored" / "tiny.safetensors"
    code = f"""
import sys
from pathlib import Path
from panohead.checkpoint import load_checkpoint
load_checkpoint(Path({str(stored)!r}))
print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(tiny.__file__).parents[1] / "src")}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_planning_and_building_draw_the_random_numbers_of_building() -> None:
    config = tiny.generator().config
    torch.manual_seed(3)
    plain = Generator(config).state_dict()
    torch.manual_seed(3)
    bounded = build_bounded(lambda: Generator(config)).state_dict()
    assert all(torch.equal(plain[name], bounded[name]) for name in plain)


def test_a_small_file_gets_no_large_network(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator()})
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    networks = json.loads(metadata["networks"])
    networks["G_ema"]["config"] = dataclasses.asdict(LARGEST)
    metadata["networks"] = json.dumps(networks, sort_keys=True)

    metadata["sha256"] = tensors_sha256(tensors, metadata["networks"])
    metadata.pop("metadata_sha256")
    save_file(tensors, path, metadata=sealed(metadata))
    before = peak_bytes()
    with pytest.raises(PanoHeadError, match=r"model\.safetensors: G_ema does not fit"):
        load_checkpoint(path)
    assert peak_bytes() - before < 500e6


def test_official_weights_are_compared_first() -> None:
    state = official_state_dict(tiny.generator())
    kwargs = {
        "z_dim": 4096, "c_dim": 25, "w_dim": 4096, "img_resolution": 512, "img_channels": 3, "channel_base": 2**20,
        "channel_max": 4096, "mapping_kwargs": {"num_layers": 32},
        "rendering_kwargs": {
            "depth_resolution": 8, "depth_resolution_importance": 8, "ray_start": 2.25, "ray_end": 3.3, "box_warp": 1,
            "superresolution_module": "x.SuperresolutionHybrid8XDC",
        },
    }  # fmt: skip
    before = peak_bytes()
    with pytest.raises(PanoHeadError, match="do not fit this network"):
        generator_from_official(kwargs, state)
    with pytest.raises(PanoHeadError, match="million numbers"):
        generator_from_official(kwargs)
    assert peak_bytes() - before < 500e6
    load_official_state_dict(Generator(tiny.generator().config), state)


def test_a_configuration_that_describes_no_network() -> None:
    def make() -> Generator:
        raise ZeroDivisionError("no\nchannels")

    for build in (build_bounded, lambda make: build_for(make, {})):
        with pytest.raises(PanoHeadError, match=r"describes no network \(no channels\)"):
            build(make)
