"""The search for the first number that is not finite: in a real generator and discriminator, and in made-up modules."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import tiny
from panohead.geometry import Camera
from panohead.models.discriminator import Discriminator, DiscriminatorConfig
from panohead.models.generator import Generator
from panohead.training.conditioning import LossRandomness
from panohead.training.losses import LossConfig, fake_inputs, generator_loss, render_heads
from panohead.training.nan_guard import count_nonfinite_gradients, find_nonfinite
from panohead.training.schedules import Scheduled

LABEL = torch.stack([Camera.orbit(yaw).to_label() for yaw in (0, 90)])


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    """The smallest generator and a discriminator that fits it, as they are in the generator step."""
    generator = tiny.generator().train().requires_grad_(True)
    resolution = generator.config.superresolution.output_resolution
    config = DiscriminatorConfig(resolution=resolution, channel_base=512, channel_max=16, num_fp16_resolutions=0)
    return {"generator": generator, "discriminator": Discriminator(config).requires_grad_(False)}


def step(networks: dict[str, nn.Module]) -> Callable[[], Tensor]:
    """The generator's loss, the same at every call."""
    generator, discriminator = networks["generator"], networks["discriminator"]
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)

    def run() -> Tensor:
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(2, generator.config.z_dim, generator=rng)
        scheduled = Scheduled(0.0, 0.0, 0.5, 16)
        randomness = LossRandomness(noise_mode="const", generator=rng)
        rendering, _ = render_heads(generator, z, LABEL, scheduled, LossConfig(), randomness)
        return generator_loss(fake_inputs(rendering, LABEL, scheduled).logits(discriminator)).mean()

    return run


def hooks(networks: dict[str, nn.Module]) -> int:
    """Number of hooks on modules and parameters."""
    modules = [m for network in networks.values() for m in network.modules()]
    parameters = [p for network in networks.values() for p in network.parameters()]
    return sum(len(m._forward_hooks) for m in modules) + sum(len(p._backward_hooks or ()) for p in parameters)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "name",
    [
        "generator.mapping_network.layers.fc0",
        "generator.backbone.blocks.b8.conv0",
        "generator.backbone.blocks.b16.torgb.affine",
        "generator.superresolution.block1.conv1",
        "discriminator.epilogue.fc",
    ],
)
def test_a_broken_weight_names_its_module(networks: dict[str, nn.Module], name: str, value: float) -> None:
    prefix, _, path = name.partition(".")
    weight = networks[prefix].get_submodule(path).weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        weight.view(-1)[3] = value
    found = find_nonfinite(networks, step(networks))
    assert found == f"the output of {name} is not finite though its inputs are (its parameter weight is not finite)"
    assert hooks(networks) == 0


def test_an_overflow_names_the_module_in_which_it_happens(networks: dict[str, nn.Module]) -> None:
    """A huge bias is finite, and so is what its layer gives; the next one cannot hold the sum."""
    with torch.no_grad():
        networks["generator"].get_submodule("backbone.blocks.b8.conv0").bias.fill_(1e38)  # type: ignore[operator]
    found = find_nonfinite(networks, step(networks))
    assert found == "the output of generator.backbone.blocks.b8.conv1 is not finite though its inputs are"


def test_a_parameter_that_no_module_call_shows(networks: dict[str, nn.Module]) -> None:
    """The decoder is never called: the renderer reads its weights. What follows it has bad inputs already."""
    with torch.no_grad():
        networks["generator"].get_submodule("decoder.output").bias[2] = math.nan  # type: ignore[index]
    assert find_nonfinite(networks, step(networks)) == "the parameter generator.decoder.output.bias is not finite"


def test_nothing_is_found_where_nothing_is_wrong(networks: dict[str, nn.Module]) -> None:
    before = torch.random.get_rng_state()
    assert "everything is finite" in find_nonfinite(networks, step(networks))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(p.grad is None for network in networks.values() for p in network.parameters())
    assert hooks(networks) == 0


class _BrokenBack(torch.autograd.Function):
    """The identity, whose gradient is not finite."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad * math.inf


class _Chain(nn.Module):
    """Three layers; the gradient breaks between the second and the third."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.third(_BrokenBack.apply(self.second(self.first(x).tanh())))


def test_a_gradient_that_breaks_on_the_way_back() -> None:
    networks = {"chain": _Chain()}
    for p in networks["chain"].parameters():
        p.grad = torch.ones_like(p)
    found = find_nonfinite(networks, lambda: networks["chain"](torch.ones(2, 3)).mean())
    # The third layer's gradient is fine; of the second's two parameters either may come first.
    assert found.startswith("the gradient of chain.second.")
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in networks["chain"].parameters() if p.grad is not None)
    assert hooks(dict(networks)) == 0


def test_a_loss_that_breaks_outside_of_all_modules() -> None:
    layer = nn.Linear(2, 2)
    found = find_nonfinite({"layer": layer}, lambda: (layer(torch.ones(1, 2)) * 0).detach().sum().log())
    assert found.startswith("a loss is not finite")


def test_hooks_go_when_the_step_fails(networks: dict[str, nn.Module]) -> None:
    def fail() -> Tensor:
        assert hooks(networks) > 0
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        find_nonfinite(networks, fail)
    assert hooks(networks) == 0


def test_inputs_are_searched_in_containers_and_keywords() -> None:
    """A module that was given something bad is not to blame, however it was given."""

    @dataclass
    class Holder:
        held: Tensor

    class Sum(nn.Module):
        def forward(self, scheduled: object, *, parts: dict[str, list[Tensor]]) -> Tensor:
            return parts["all"][0].sum()

    module = Sum()
    good, bad = torch.ones(2), torch.tensor([1.0, math.nan])
    scheduled = Scheduled(0.0, 0.0, None, 16)
    blamed = find_nonfinite({"sum": module}, lambda: module(scheduled, parts={"all": [bad]}))
    assert blamed.startswith("a loss")
    # The same through a dataclass.
    held = Holder(bad)
    assert find_nonfinite({"sum": module}, lambda: module(held, parts={"all": [good * 3e38]})).startswith("a loss")
    own = find_nonfinite({"sum": module}, lambda: module(scheduled, parts={"all": [good * 3e38]}))
    assert own == "the output of sum is not finite though its inputs are"


def test_gradients_are_counted() -> None:
    values = [1.0, math.nan, -math.inf, 3e38, math.inf, None]
    parameters = [nn.Parameter(torch.zeros(3)) for _ in values]
    for parameter, value in zip(parameters, values, strict=True):
        if value is not None:
            parameter.grad = torch.tensor([3e38, value, -3e38])
    assert count_nonfinite_gradients(iter(parameters)) == 3
    assert count_nonfinite_gradients(parameters[-1:]) == 0
    assert count_nonfinite_gradients([]) == 0
