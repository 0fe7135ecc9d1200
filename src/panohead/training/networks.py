"""The two networks of a run, where they come from, and what of them is kept to resume."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from panohead.checkpoint import load_checkpoint
from panohead.errors import PanoHeadError
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator
from panohead.training.config import NumericsConfig, TrainConfig
from panohead.training.optimizers import make_adam

_ATTRIBUTE_OF_KEY = {
    "generator": "generator",
    "discriminator": "discriminator",
    "average": "generator_ema",
    "generator_optimiser": "generator_optimizer",
    "discriminator_optimiser": "discriminator_optimizer",
}
"""Keys in a run state and the attributes that they hold; the keys are a file format and keep their first names."""


@dataclass
class TrainingNetworks:
    """Both networks, the generator's running average, and the optimisers."""

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam


def set_precision(numerics: NumericsConfig) -> None:
    """How this process multiplies matrices on a GPU: sums of half-precision products always in float32 (facts 5)."""
    matmul = torch.backends.cuda.matmul
    matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = numerics.tf32
    matmul.allow_fp16_reduced_precision_reduction = matmul.allow_bf16_reduced_precision_reduction = False


def make_networks(config: TrainConfig, device: torch.device) -> TrainingNetworks:
    """Untrained networks on ``device``; the same weights for the same seed, whatever the device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        generator = Generator(config.generator)
        discriminator = Discriminator(config.discriminator)
    return assemble(config, generator.to(device), discriminator.to(device))


def assemble(config: TrainConfig, generator: Generator, discriminator: Discriminator) -> TrainingNetworks:
    """Players from networks: train mode, a running average that equals the generator, fresh optimisers."""
    memory = torch.channels_last if config.numerics.channels_last else torch.contiguous_format
    networks: tuple[nn.Module, ...] = (generator, discriminator)
    for network in networks:
        network.train().requires_grad_(False).to(memory_format=memory)  # type: ignore[call-overload]
    if config.numerics.compile:
        # In place: the names of the parameters stay as they are.
        generator.backbone.compile()
        generator.superresolution.compile()
    return TrainingNetworks(
        generator,
        discriminator,
        _average_of(generator),
        make_adam(generator.parameters(), config.generator_adam),
        make_adam(discriminator.parameters(), config.discriminator_adam),
    )


def load_initial(networks: TrainingNetworks, file: Path) -> None:
    """Start from the networks of a checkpoint: "G" (or "G_ema"), "G_ema" and "D" as far as it holds them.

    Raises:
        PanoHeadError: naming the file, when a network does not fit the run's configuration.
    """
    loaded = load_checkpoint(file).networks
    average = loaded.get("G_ema", loaded.get("G"))
    generator = loaded.get("G", average)
    if generator is None or average is None:
        raise PanoHeadError(f"{file} holds no generator to start from; give another --init")
    _copy(networks.generator, generator, file)
    _copy(networks.generator_ema, average, file)
    if "D" in loaded:
        _copy(networks.discriminator, loaded["D"], file)


def pack(networks: TrainingNetworks) -> dict[str, Any]:
    """Everything that the next step depends on. First moments of Adam are left out where they have no memory."""
    state = {key: getattr(networks, name).state_dict() for key, name in _ATTRIBUTE_OF_KEY.items()}
    for key, name in _ATTRIBUTE_OF_KEY.items():
        if name.endswith("_optimizer"):
            state[key] = _without_first_moments(state[key])
    return state


def unpack(networks: TrainingNetworks, state: dict[str, Any]) -> None:
    """Continue exactly where :func:`pack` left off.

    Raises:
        PanoHeadError: when the state belongs to another configuration.
    """
    try:
        for key, name in _ATTRIBUTE_OF_KEY.items():
            optimizer = name.endswith("_optimizer")
            getattr(networks, name).load_state_dict(_with_first_moments(state[key]) if optimizer else state[key])
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise PanoHeadError(f"the state does not fit the run's configuration ({reason}); start a new run") from error


def _average_of(generator: Generator) -> Generator:
    return copy.deepcopy(generator).eval().requires_grad_(False)


def _copy(target: nn.Module, source: nn.Module, file: Path) -> None:
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise PanoHeadError(f"{file} does not fit the preset ({reason}); start from one of the same shape") from error


def _without_first_moments(state: dict[str, Any]) -> dict[str, Any]:
    if any(group["betas"][0] != 0 for group in state["param_groups"]):
        return state
    slim = {
        key: {name: value for name, value in slots.items() if name != "exp_avg"}
        for key, slots in state["state"].items()
    }
    return {**state, "state": slim}


def _with_first_moments(state: dict[str, Any]) -> dict[str, Any]:
    full = {
        key: slots if "exp_avg" in slots else {**slots, "exp_avg": torch.zeros_like(slots["exp_avg_sq"])}
        for key, slots in state["state"].items()
    }
    return {**state, "state": full}
