"""Convolutions with gradients by compiled kernels, against float64 references written with PyTorch's plain ones."""

import math
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from panohead.ops import fast_paths, gradient_conv
from panohead.ops.bias_act import bias_act
from panohead.ops.cpu import jit, linear_maps
from panohead.ops.cpu.activation_pass import Epilogue, narrowed, padded
from panohead.ops.cpu.winograd_weights import PackedWeight, pack_weight
from panohead.ops.gradient_conv import LayerSettings, WeightCache, modulated_layer
from panohead.ops.inference_conv import PackedWeights
from panohead.ops.pointwise_conv import pointwise
from panohead.ops.resample import conv2d_resample, downsample2d, fir_filter, upsample2d
from panohead.randomness import RenderRandomness
from panohead.stylegan.layers import Convolution
from panohead.stylegan.synthesis_layers import SynthesisLayer, ToRGB, forget_packed_weights

pytestmark = pytest.mark.skipif(not jit.available(), reason="needs numba")

# Largest error relative to the result's rms; direct float32 convolutions reach about 4e-6.
TOLERANCE = 5e-5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    rms = expected.double().square().mean().sqrt()
    assert (found.double() - expected).abs().max() <= TOLERANCE * rms + 1e-30


def plain_layer(up: int, ending: Epilogue) -> Callable[..., Tensor]:
    def layer(x: Tensor, weight: Tensor, style: Tensor, demodulation: Tensor, noise: Tensor | None, bias: Tensor):
        x = x * style[:, :, None, None]
        x = conv2d_resample(x, weight, fir_filter().to(x), up=up, padding=1, flip_weight=up == 1)
        x = x * demodulation[:, :, None, None]
        clamp = None if math.isinf(ending.limit) else ending.limit
        activation = "linear" if ending.slope == 1 else "lrelu"
        return bias_act(x if noise is None else x + noise, bias, activation=activation, gain=ending.gain, clamp=clamp)

    return layer


def given(up: int, batch: int, ins: int, outs: int, height: int, width: int, noise: str) -> list[Tensor | None]:
    big = (up * height, up * width)
    noises = {"none": None, "one": normal(*big, seed=5), "each": normal(batch, 1, *big, seed=6)}
    return [
        normal(batch, ins, height, width),
        normal(outs, ins, 3, 3, seed=1),
        normal(batch, ins, seed=2),
        0.02 + 0.1 * normal(batch, outs, seed=3).abs(),
        noises[noise],
        normal(outs, seed=4),
    ]


def gradients(layer: Callable[..., Tensor], inputs: list[Tensor | None], dtype: torch.dtype) -> list[Tensor]:
    leaves = [None if x is None else x.to(dtype).requires_grad_() for x in inputs]
    result = layer(*leaves)
    pull = normal(*result.shape, seed=9).to(dtype)
    return [result.detach(), *torch.autograd.grad(result, [x for x in leaves if x is not None], pull)]


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("noise", ["none", "one", "each"])
@pytest.mark.parametrize("ending", [Epilogue(0.2, 1.4), Epilogue(0.2, 0.7, 1.5), Epilogue(1.0, 1.0)])
@pytest.mark.parametrize("shape", [(2, 32, 48, 10, 7), (3, 24, 40, 9, 8), (1, 80, 24, 16, 5)])
def test_layer_and_all_its_gradients(up: int, noise: str, ending: Epilogue, shape: tuple[int, ...]) -> None:
    inputs, plain = given(up, *shape, noise), plain_layer(up, ending)
    settings, cache = LayerSettings(up, ending, plain), WeightCache()
    found = gradients(lambda *x: modulated_layer(*x, settings, cache), inputs, torch.float32)
    for one, other in zip(found, gradients(plain, inputs, torch.float64), strict=True):
        assert_close(one, other)


@pytest.mark.slow
@pytest.mark.parametrize(("up", "ins", "outs", "side"), [(1, 256, 256, 128), (2, 256, 128, 128), (1, 512, 512, 32)])
def test_full_size_layers(up: int, ins: int, outs: int, side: int) -> None:
    # Without the rectifier: at its kink rounding decides between two slopes, in the plain formulation too.
    ending = Epilogue(1.0, 1.4)
    inputs, plain = given(up, 1, ins, outs, side, side, "one"), plain_layer(up, ending)
    settings, cache = LayerSettings(up, ending, plain), WeightCache()
    found = gradients(lambda *x: modulated_layer(*x, settings, cache), inputs, torch.float32)
    direct, exact = gradients(plain, inputs, torch.float32), gradients(plain, inputs, torch.float64)
    for one, two, other in zip(found, direct, exact, strict=True):
        size = other.square().mean().sqrt()
        assert (one - other).square().mean().sqrt() < 1e-5 * size
        assert (one - two).square().mean().sqrt() < 1e-5 * size
        assert (one - other).abs().max() < 2e-4 * size


@pytest.mark.parametrize("up", [1, 2])
def test_gradient_of_the_gradient_is_the_plain_one(up: int) -> None:
    inputs, plain = given(up, 2, 24, 32, 8, 8, "one"), plain_layer(up, Epilogue(0.2, 1.4))
    settings, cache = LayerSettings(up, Epilogue(0.2, 1.4), plain), WeightCache()

    def twice(layer: Callable[..., Tensor], dtype: torch.dtype) -> list[Tensor]:
        leaves = [x.to(dtype).requires_grad_() for x in inputs if x is not None]
        result = layer(*leaves)
        first = torch.autograd.grad(result.square().sum(), leaves, create_graph=True)
        return list(torch.autograd.grad(sum(x.square().sum() for x in first), leaves))

    found = twice(lambda *x: modulated_layer(*x, settings, cache), torch.float32)
    for one, other in zip(found, twice(plain, torch.float64), strict=True):
        assert_close(one, other)


LINEAR_MAPS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "convolve": (linear_maps.convolve, lambda x, w: F.conv2d(x, w, padding=1)),
    "down": (
        linear_maps.down_convolve,
        lambda x, w: conv2d_resample(x, w, fir_filter().to(x), down=2, padding=1),
    ),
    "shrink": (
        lambda x, w: linear_maps.shrink(x) * w.mean(),
        lambda x, w: 4 * downsample2d(x, fir_filter().to(x)) * w.mean(),
    ),
    "enlarge": (
        lambda x, w: linear_maps.add_enlarged(x, linear_maps.enlarge(x * w.mean())),
        lambda x, w: upsample2d(x, fir_filter().to(x)) * (1 + w.mean()),
    ),
    "activate": (
        lambda x, w: linear_maps.activate(x, w[0, :, 0, 0], Epilogue(0.2, 1.4, 2.0)),
        lambda x, w: bias_act(x, w[0, :, 0, 0], activation="lrelu", gain=1.4, clamp=2.0),
    ),
    "pointwise": (
        lambda x, w: pointwise(x, w[:, :, 0, 0], w[:, 1, 1, 1]),
        lambda x, w: F.conv2d(x, w[:, :, :1, :1], w[:, 1, 1, 1]),
    ),
}


@pytest.mark.parametrize("name", LINEAR_MAPS)
@pytest.mark.parametrize("ins", [24, 32])
def test_linear_maps_and_two_orders_of_their_gradients(name: str, ins: int) -> None:
    def chain(layer: Callable[..., Tensor], dtype: torch.dtype) -> list[Tensor]:
        x = normal(2, ins, 12, 16).to(dtype).requires_grad_()
        weight = (normal(40, ins, 3, 3, seed=1) / 10).to(dtype).requires_grad_()
        result = layer(x, weight)
        pull = normal(*result.shape, seed=2).to(dtype).requires_grad_()
        first = torch.autograd.grad(result, (x, weight), pull, create_graph=True)
        bent = first[0].sin().sum() + first[1].square().sum()
        second = torch.autograd.grad(bent, (x, weight, pull), materialize_grads=True)
        return [result.detach(), *(t.detach() for t in first), *second]

    ours, reference = LINEAR_MAPS[name]
    for one, other in zip(chain(ours, torch.float32), chain(reference, torch.float64), strict=True):
        assert_close(one, other)


def test_gradients_do_not_depend_on_run_or_layout() -> None:
    inputs, plain = given(1, 2, 48, 64, 20, 20, "each"), plain_layer(1, Epilogue(0.2, 1.4))
    settings, before = LayerSettings(1, Epilogue(0.2, 1.4), plain), torch.get_num_threads()
    exact = gradients(plain, inputs, torch.float64)
    assert inputs[0] is not None
    layouts = inputs[0], inputs[0].contiguous(memory_format=torch.channels_last)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found = []
            for x in (*layouts, *layouts):
                given_now = [x, *inputs[1:]]
                found.append(
                    gradients(lambda *x: modulated_layer(*x, settings, WeightCache()), given_now, torch.float32)
                )
            for others in found[1:]:
                assert all(torch.equal(one, other) for one, other in zip(found[0], others, strict=True))
            for one, other in zip(found[0], exact, strict=True):
                assert_close(one, other)
    finally:
        torch.set_num_threads(before)


def test_channels_beside_a_slice_have_no_part_in_it() -> None:
    """A slice of a larger tensor looks like a padded one; its neighbors in memory hold other numbers."""
    large = normal(2, 32, 10, 10).contiguous(memory_format=torch.channels_last)
    inputs, plain = given(1, 2, 24, 24, 10, 10, "each"), plain_layer(1, Epilogue(0.2, 1.4))
    settings = LayerSettings(1, Epilogue(0.2, 1.4), plain)
    results = []
    for cut in (large[:, :24], large[:, :24].clone(memory_format=torch.contiguous_format)):
        leaves = [cut.detach().requires_grad_(), *(x.clone().requires_grad_() for x in inputs[1:] if x is not None)]
        result = modulated_layer(*leaves, settings, WeightCache())
        pull = large[:, :24] if len(results) == 0 else cut
        results.append([result.detach(), *torch.autograd.grad(result, leaves, pull)])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_padding_is_undone_without_a_copy() -> None:
    x = normal(2, 24, 5, 6)
    whole = padded(x)
    assert whole.shape == (2, 32, 5, 6)
    assert torch.equal(whole[:, :24], x)
    assert not whole[:, 24:].any()
    assert padded(narrowed(whole, 24)).data_ptr() == whole.data_ptr()
    assert padded(narrowed(whole, 24)).shape == whole.shape


def test_a_frozen_weight_is_packed_once_and_noticed_when_it_changes() -> None:
    weight, cache, made = normal(16, 16, 3, 3), WeightCache(), []

    def make() -> PackedWeight:
        made.append(None)
        return pack_weight(weight)

    for _ in range(3):
        cache.get("forward", weight, make)
    assert len(made) == 1
    weight.data[0, 0, 0, 0] += 1
    cache.get("forward", weight, make)
    assert len(made) == 2
    weight.requires_grad_()
    cache.get("forward", weight, make)
    cache.get("forward", weight, make)
    assert len(made) == 4


@pytest.mark.parametrize("up", [False, True])
def test_a_frozen_weight_is_packed_once_for_inference_and_gradients(up: bool) -> None:
    weight, inference = normal(16, 16, 3, 3), PackedWeights()
    cache = WeightCache(inference)
    assert cache.forward(weight, up=up) is inference.get(weight, up=up)
    expected = WeightCache().forward(weight, up=up)
    assert torch.equal(cache.forward(weight, up=up).values, expected.values)
    other, other_inference = deepcopy((cache, inference))
    assert other.forward(weight, up=up) is other_inference.get(weight, up=up), "copies of a layer share too"
    assert other.forward(weight, up=up) is not inference.get(weight, up=up)
    weight.requires_grad_()
    before = inference.get(weight.detach(), up=up)
    assert cache.forward(weight, up=up) is not before, "a weight that is trained is packed at every step"


def test_packed_weights_are_dropped_and_made_again() -> None:
    layer = SynthesisLayer(32, 32, w_dim=16, resolution=16).requires_grad_(False)
    x, w = normal(1, 32, 16, 16), normal(1, 16, seed=1)
    expected = layer(x, w)
    w.requires_grad_()
    layer(x, w).sum().backward()
    assert layer._packed._packed is not None
    assert layer._gradient_weights._kept
    forget_packed_weights(torch.nn.Sequential(layer))
    assert layer._packed._packed is None
    assert not layer._gradient_weights._kept
    assert torch.equal(layer(x, w.detach()), expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("ins", "outs", "up"), [(48, 24, 2), (32, 32, 1)])
def test_modules_equal_their_plain_formulation(training: bool, ins: int, outs: int, up: int) -> None:
    torch.manual_seed(0)
    layer = SynthesisLayer(ins, outs, w_dim=16, resolution=16 * up, up=up, conv_clamp=3.0)
    torch.nn.init.ones_(layer.noise_strength)
    rgb = ToRGB(outs, 3, w_dim=16)
    x, w = normal(2, ins, 16, 16), normal(2, 16, seed=1)
    assert gradient_conv.unsupported(x, layer.weight) is None

    def step() -> list[Tensor]:
        leaves = [x.clone().requires_grad_(), w.clone().requires_grad_()]
        features = layer(*leaves, randomness=RenderRandomness(noise_mode="const"), fused=not training)
        image = rgb(features, leaves[1], fused=not training)
        parameters = [*leaves, *layer.parameters(), *rgb.parameters()]
        return [features.detach(), *torch.autograd.grad(image.square().mean(), parameters)]

    fast = step()
    with fast_paths.plain_only():
        plain = step()
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=5e-5 * float(other.abs().max()))


@pytest.mark.parametrize(("kernel", "down"), [(3, 1), (3, 2), (1, 1), (1, 2)])
def test_discriminator_layers_equal_their_plain_formulation(kernel: int, down: int) -> None:
    torch.manual_seed(0)
    layer = Convolution(32, 24, kernel, activation="lrelu", down=down, conv_clamp=2.0)
    x = normal(3, 32, 16, 16).contiguous(memory_format=torch.channels_last)

    def penalty() -> list[Tensor]:
        image = x.clone().requires_grad_()
        result = layer(image, gain=0.7)
        (slope,) = torch.autograd.grad(result.square().sum(), image, create_graph=True)
        return [result.detach(), slope.detach(), *torch.autograd.grad(slope.square().sum(), list(layer.parameters()))]

    fast = penalty()
    with fast_paths.plain_only():
        plain = penalty()
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=5e-5 * float(other.abs().max()))


def test_unsupported_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = normal(1, 16, 16, 16), normal(32, 16, 3, 3)
    assert gradient_conv.unsupported(x, weight) is None
    assert "small" in str(gradient_conv.unsupported(normal(1, 16, 4, 4), weight))
    assert "float32" in str(gradient_conv.unsupported(x.double(), weight))
    assert "3x3" in str(gradient_conv.unsupported(x, normal(32, 16, 1, 1)))
    assert "CPU" in str(gradient_conv.unsupported(x.to("meta"), weight))
    with fast_paths.plain_only():
        assert "switched off" in str(gradient_conv.unsupported(x, weight))

    def broken(*_: object) -> None:
        raise RuntimeError("no such instruction")

    gradient_conv._trial_failure.cache_clear()
    monkeypatch.setattr(gradient_conv, "modulated_layer", broken)
    with pytest.warns(RuntimeWarning, match="no such instruction"):
        assert "failed" in str(gradient_conv.unsupported(x, weight))
    assert "failed" in str(gradient_conv.unsupported(x, weight))  # without another warning
    gradient_conv._trial_failure.cache_clear()
