"""The networks of a run: making them, starting from a checkpoint, and the part of a resumable state that holds them."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from panohead.checkpoint import load_checkpoint
from panohead.errors import PanoHeadError
from panohead.models.build import check_bounded, planned_state, require_fitting
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator
from panohead.ops import precision
from panohead.training.config import NumericsConfig, TrainConfig
from panohead.training.optimizers import load_adam_state, make_adam


@dataclass
class TrainingNetworks:
    """Generator, discriminator, the generator's exponential moving average (EMA), and the optimizers."""

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam


def set_precision(numerics: NumericsConfig) -> None:
    """Set how this process multiplies on a GPU (docs/reference.md 5.14), see :mod:`panohead.ops.precision`.

    Shapes recur at every step, so cuDNN may time its algorithms, as in the original.
    """
    precision.set_precision("speed" if numerics.tf32 else "parity", fixed_shapes=True)


def make_networks(config: TrainConfig, device: torch.device) -> TrainingNetworks:
    """Make untrained networks on ``device``; the same seed gives the same weights on every device.

    Raises:
        PanoHeadError: as :func:`check_networks`.
    """
    check_networks(config)
    # Made on the CPU with its random numbers, then moved; the global random state is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        generator, discriminator = Generator(config.generator), Discriminator(config.discriminator)
    return assemble(config, generator.to(device), discriminator.to(device))


def check_networks(config: TrainConfig) -> None:
    """Check that networks can be made with these settings, without memory for their weights.

    Raises:
        PanoHeadError: when their parts do not fit together, or they are too large.
    """
    try:
        for make in (lambda: Generator(config.generator), lambda: Discriminator(config.discriminator)):
            check_bounded(make)
    except PanoHeadError as error:
        raise PanoHeadError(
            f"no networks can be made with these settings ({error}); compare them with those of a preset (--dry-run)"
        ) from error


def require_same_networks(config: TrainConfig, state: dict[str, Any], file: Path) -> None:
    """Compare the networks of a configuration with those of a saved state, before the networks are made.

    Raises:
        PanoHeadError: when the state belongs to another configuration.
    """
    planned = {"generator": lambda: Generator(config.generator), "average": lambda: Generator(config.generator)}
    for key, make in {**planned, "discriminator": lambda: Discriminator(config.discriminator)}.items():
        try:
            require_fitting(planned_state(make), state["players"][key])
        except (KeyError, AttributeError, TypeError, PanoHeadError) as error:
            raise PanoHeadError(f"{file} does not fit the run's configuration ({error}); start a new run") from error


def assemble(config: TrainConfig, generator: Generator, discriminator: Discriminator) -> TrainingNetworks:
    """Complete the two networks for training: train mode, an EMA equal to the generator, new optimizers."""
    memory = torch.channels_last if config.numerics.channels_last else torch.contiguous_format
    networks: tuple[nn.Module, ...] = (generator, discriminator)
    for network in networks:
        network.train().requires_grad_(False).to(memory_format=memory)  # type: ignore[call-overload]
    if config.numerics.compile:
        # In place: the names of the parameters stay as they are.
        (generator.backbone if generator.implicit is None else generator.implicit).compile()
        generator.superresolution.compile()
    return TrainingNetworks(
        generator,
        discriminator,
        _copy_for_ema(generator),
        make_adam(generator.parameters(), config.generator_adam),
        make_adam(discriminator.parameters(), config.discriminator_adam),
    )


def load_initial(networks: TrainingNetworks, file: Path) -> None:
    """Load the networks of a checkpoint in place: "G" (or "G_ema"), "G_ema" and "D" as far as it holds them.

    Raises:
        PanoHeadError: naming the file, when a network does not fit the run's configuration.
    """
    loaded = load_checkpoint(file).networks
    generator_ema = loaded.get("G_ema", loaded.get("G"))
    generator = loaded.get("G", generator_ema)
    if generator is None or generator_ema is None:
        raise PanoHeadError(f"{file} holds no generator to start from; give another --init")
    _copy(networks.generator, generator, file)
    _copy(networks.generator_ema, generator_ema, file)
    if "D" in loaded:
        _copy(networks.discriminator, loaded["D"], file)


# Keys of a state are a file format and keep their first names.
def pack(networks: TrainingNetworks) -> dict[str, Any]:
    """Return the state of networks and optimizers. Adam's first moments are left out where beta1 is 0."""
    return {
        "generator": networks.generator.state_dict(),
        "discriminator": networks.discriminator.state_dict(),
        "average": networks.generator_ema.state_dict(),
        "generator_optimiser": _without_first_moments(networks.generator_optimizer.state_dict()),
        "discriminator_optimiser": _without_first_moments(networks.discriminator_optimizer.state_dict()),
    }


def unpack(networks: TrainingNetworks, state: dict[str, Any]) -> None:
    """Load what :func:`pack` returned, in place, so that training resumes exactly.

    Raises:
        PanoHeadError: when the state belongs to another configuration.
    """
    try:
        networks.generator.load_state_dict(state["generator"])
        networks.discriminator.load_state_dict(state["discriminator"])
        networks.generator_ema.load_state_dict(state["average"])
        for optimizer, key in (
            (networks.generator_optimizer, "generator_optimiser"),
            (networks.discriminator_optimizer, "discriminator_optimiser"),
        ):
            load_adam_state(optimizer, _with_first_moments(state[key]))
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PanoHeadError(f"the state does not fit the run's configuration ({reason}); start a new run") from error


def _copy_for_ema(generator: Generator) -> Generator:
    return copy.deepcopy(generator).eval().requires_grad_(False)


def _copy(target: nn.Module, source: nn.Module, file: Path) -> None:
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise PanoHeadError(f"{file} does not fit the preset ({reason}); start from one of the same shape") from error


def _without_first_moments(state: dict[str, Any]) -> dict[str, Any]:
    # With beta1 = 0 the first moment is the last gradient and has no influence on the next step.
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
