"""Convolutions with gradients on a CPU by compiled kernels, equal to the plain formulation up to rounding.

:func:`modulated_layer` is a whole synthesis layer (docs/reference.md 2.6 and 2.8) as one operation. Its gradient has no
gradient of its own: when one is asked for, the plain formulation takes over. The discriminator's operations are in
:mod:`panohead.ops.cpu.linear_maps`.

Callers ask :func:`unsupported` first. With the same number of threads the result is the same to the last bit.
"""

import functools
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths
from panohead.ops.cpu import activation_pass, winograd, winograd_gradient
from panohead.ops.cpu.activation_pass import Epilogue, narrowed, padded, widened
from panohead.ops.cpu.jit import available, load_failure
from panohead.ops.cpu.winograd_gradient import LOW_PASS_UP
from panohead.ops.cpu.winograd_weights import PackedWeight, pack_up_weight, pack_weight, transposed
from panohead.ops.inference_conv import PackedWeights

_KERNELS = tuple(f"panohead.ops.cpu.{name}_kernels" for name in ("upconv", "downconv", "activation"))
_MIN_PIXELS = 128  # over the batch; with fewer, packing the weights costs more than the products saved
_MIN_CHANNELS = 16


@dataclass(frozen=True)
class LayerSettings:
    """Constants of a synthesis layer.

    Attributes:
        up: 2 for the up-convolution, else 1.
        ending: activation, gain and clamp.
        plain: the same layer by operations with all derivatives.
    """

    up: int
    ending: Epilogue
    plain: Callable[..., Tensor]


class WeightCache:
    """Transformed weights of one layer, forward and backward, kept while the weight is frozen; in no state dict.

    Args:
        inference: the layer's cache for inference, which then serves forward too; None keeps a second one.
    """

    def __init__(self, inference: PackedWeights | None = None) -> None:
        self._kept: dict[str, tuple[tuple[object, ...], PackedWeight]] = {}
        self._inference = inference

    def forward(self, weight: Tensor, *, up: bool) -> PackedWeight:
        """Return the transformed weight of the layer itself.

        Args:
            up: transform for the up-convolution.
        """
        if self._inference is not None and not weight.requires_grad:
            return self._inference.get(weight, up=up)
        pack = pack_up_weight if up else pack_weight
        return self.get("forward", weight, lambda: pack(weight, energy=False))

    def clear(self) -> None:
        """Drop all transformed weights; the next call makes them again."""
        self._kept.clear()

    def get(self, kind: str, weight: Tensor, make: Callable[[], PackedWeight]) -> PackedWeight:
        """Return ``make()``, or its earlier result for the same weight."""
        if weight.requires_grad:
            self._kept.clear()
            return make()
        flat = weight.detach().reshape(-1)
        # Writes through ``.data`` do not change PyTorch's version counter, so the key has the values' sums too.
        key = (weight.data_ptr(), weight._version, float(flat.sum()), float(flat.dot(flat)))
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept[kind] = (key, make())
        return self._kept[kind][1]

    def __deepcopy__(self, memo: dict[int, object]) -> "WeightCache":
        return WeightCache(deepcopy(self._inference, memo))

    def __reduce__(self) -> tuple[type, tuple[PackedWeights | None]]:
        return WeightCache, (self._inference,)


def unsupported(x: Tensor, weight: Tensor) -> str | None:
    """Return the reason against these convolutions, in a few words; None if they work and are likely faster."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    if x.device.type != "cpu" or weight.device.type != "cpu":
        return "not on a CPU"
    if x.dtype != torch.float32 or weight.dtype != torch.float32:
        return "not float32"
    if weight.ndim != 4 or tuple(weight.shape[2:]) != (3, 3):
        return "not a 3x3 convolution"
    if min(weight.shape[:2]) < _MIN_CHANNELS or x.shape[0] * x.shape[2] * x.shape[3] < _MIN_PIXELS:
        return "too small"
    return kernels_unavailable()


def kernels_unavailable() -> str | None:
    """Return the reason against all kernels with gradients, in a few words (with one warning if they fail), or None."""
    if not fast_paths.allowed():
        return "fast paths are switched off"
    if not available():
        return "numba is not installed"
    return next((failure for failure in map(load_failure, _KERNELS) if failure is not None), None) or _trial_failure()


@functools.cache
def _trial_failure() -> str | None:
    """Compile every kernel by a small layer, forward and backward; return why that failed (with a warning) or None."""
    try:
        with torch.enable_grad():
            for up in (1, 2):
                x, weight = torch.zeros(1, 16, 4, 4, requires_grad=True), torch.zeros(16, 16, 3, 3, requires_grad=True)
                style, noise = torch.ones(1, 16, requires_grad=True), torch.zeros(4 * up, 4 * up, requires_grad=True)
                settings = LayerSettings(up, Epilogue(0.2, 1.0), lambda *_: torch.zeros(()))
                layer = modulated_layer(x, weight, style, style, noise, style[0], settings, WeightCache())
                layer.sum().backward()
    except Exception as error:  # any error of the compiler on an untested machine
        reason = f"the compiled kernels of gradients failed ({' '.join(str(error).split())[:200]})"
        warnings.warn(f"{reason}; plain PyTorch is used", RuntimeWarning, stacklevel=2)
        return reason
    return None


def modulated_layer(
    x: Float[Tensor, "batch in_channel height width"],
    weight: Float[Tensor, "out_channel in_channel 3 3"],
    style: Float[Tensor, "batch in_channel"],
    demodulation: Float[Tensor, "batch out_channel"],
    noise: Float[Tensor, "*noise_batch out_height out_width"] | None,
    bias: Float[Tensor, " out_channel"],
    settings: LayerSettings,
    cache: WeightCache,
) -> Float[Tensor, "batch out_channel out_height out_width"]:
    """Return ``ending(demodulation * conv(style * x) + noise + bias)``; with ``settings.up`` 2 the up-convolution.

    The weight is shared by the batch: the style scales the input, the demodulation the output (docs/reference.md 2.6).
    """
    return _Layer.apply(x, weight, style, demodulation, noise, bias, settings, cache)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, style: Tensor, demodulation: Tensor, noise: Tensor | None, bias: Tensor,
        settings: LayerSettings, cache: WeightCache,
    ) -> Tensor:  # fmt: skip
        ending, outs = settings.ending, weight.shape[0]
        packed = cache.forward(weight, up=settings.up == 2)
        whole = padded(x)  # batch more height width, channels-last
        convolve = winograd.upconv3x3 if settings.up == 2 else winograd.conv3x3_winograd
        result = convolve(
            whole,
            packed,
            style=widened(style),
            demodulation=widened(demodulation),
            noise=noise,
            bias=widened(bias),
            activation="lrelu" if ending.slope != 1 else "linear",
            gain=ending.gain,
            clamp=ending.limit,
        )
        ctx.save_for_backward(x, weight, style, demodulation, noise, bias, whole, result)
        ctx.settings, ctx.cache = settings, cache
        return narrowed(result, outs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph: the gradient needs a graph
            return *_plain_gradients(ctx, grad), None, None
        _, weight, style, demodulation, noise, bias, whole, result = ctx.saved_tensors
        needs, outs, up = ctx.needs_input_grad, weight.shape[0], ctx.settings.up == 2
        pulled = activation_pass.pull_layer(
            padded(grad), result, ctx.settings.ending, noise, channels=outs, noise_wanted=needs[4]
        )
        # With g the gradient before the ending, sums over pixels of g, g * value and g * noise: batch out_channel.
        total, with_value, with_noise = (
            t[:, :outs] for t in (pulled.total, pulled.with_value, pulled.with_noise)
        )  # fmt: skip
        grads: list[Tensor | None] = [None] * 6  # x, weight, style, demodulation, noise, bias
        if needs[0] or needs[2]:
            grads[0], grads[2] = _input_gradient(ctx, pulled.gradient)
        if needs[1]:
            factors = widened(style), widened(demodulation)
            if up:
                # The up-convolution is the transpose of a convolution from the large image to the small one.
                taps = winograd_gradient.down_weight_gradient(
                    pulled.gradient, whole, low_pass=LOW_PASS_UP, large_factors=factors[1], small_factors=factors[0]
                ).permute(2, 3, 0, 1)
            else:
                taps = winograd_gradient.weight_gradient(
                    whole, pulled.gradient, style=factors[0], scale=factors[1]
                ).permute(3, 2, 0, 1)
            grads[1] = taps[: weight.shape[0], : weight.shape[1]].contiguous()
        if needs[3]:
            # value = demodulation * conv + noise + bias; the sum of g * conv is the gradient of the demodulation.
            grads[3] = (with_value - bias * total - with_noise) / demodulation
        if needs[4]:
            assert noise is not None
            assert pulled.noise is not None
            grads[4] = pulled.noise.sum_to_size(noise.shape) if noise.ndim == 4 else pulled.noise.sum(dim=(0, 1))
        if needs[5]:
            grads[5] = total.sum(dim=0)
        return *grads, None, None


def _input_gradient(ctx: Any, pulled: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of a layer's input and style from that of its output before the ending."""
    _, weight, style, demodulation, _, _, whole, _ = ctx.saved_tensors
    # y = demodulation * conv(style * x): dx = style * conv^T(demodulation * g); dstyle = sum of x * conv^T(...).
    wanted = ctx.needs_input_grad[2]
    scale = widened(demodulation)
    after = None if wanted else widened(style)
    if ctx.settings.up == 2:
        packed = ctx.cache.get("backward", weight, lambda: pack_up_weight(transposed(weight), energy=False))
        grad = winograd_gradient.downconv3x3(pulled, packed, low_pass=LOW_PASS_UP, factors=scale, scale=after)
    else:
        packed = ctx.cache.get("backward", weight, lambda: pack_weight(transposed(weight), energy=False))
        grad = winograd.conv3x3_winograd(pulled, packed, style=scale, demodulation=after)
    grad_style = None
    if wanted:
        grad_style = activation_pass.pull_style(whole, grad, widened(style))[:, : weight.shape[1]]
    return narrowed(grad, weight.shape[1]), grad_style


def _plain_gradients(ctx: Any, grad: Tensor) -> list[Tensor | None]:
    """Return gradients of a layer that have a graph, by the plain formulation."""
    inputs, needed = ctx.saved_tensors[:6], ctx.needs_input_grad
    wanted = [x for x, need in zip(inputs, needed, strict=False) if need]
    found = iter(torch.autograd.grad(ctx.settings.plain(*inputs), wanted, grad, create_graph=True))
    return [next(found) if need else None for need in needed[: len(inputs)]]
