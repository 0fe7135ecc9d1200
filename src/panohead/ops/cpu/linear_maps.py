"""Linear maps of images on a CPU by compiled kernels, with derivatives made of each other.

The discriminator's convolutions and the resampling by two are bilinear: the gradient of one with respect to its input
or its weight is another one of this file. So they are differentiable to any order (R1 needs second derivatives), always
by kernels. Callers ask :func:`panohead.ops.gradient_conv.unsupported` first. Images are "batch channel height width",
weights "out_channel in_channel 3 3".
"""

from typing import Any

import torch
from torch import Tensor

from panohead.ops.cpu import activation_pass, winograd, winograd_gradient
from panohead.ops.cpu.activation_pass import CHANNEL_MULTIPLE, Epilogue, narrowed, padded, widened
from panohead.ops.cpu.winograd_gradient import LOW_PASS_DOWN, LOW_PASS_UP
from panohead.ops.cpu.winograd_weights import pack_up_weight, pack_weight, transposed
from panohead.ops.gradient_conv import kernels_unavailable
from panohead.ops.inference_conv import is_default_filter


def resampling_unsupported(x: Tensor, resample_filter: Tensor) -> str | None:
    """Return the reason against :func:`enlarge` and :func:`shrink`, in a few words; None if they are likely faster."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return "not float32 on a CPU"
    if x.shape[1] < CHANNEL_MULTIPLE or x.stride(1) != 1:
        return "few channels, or not channels-last"
    if not is_default_filter(resample_filter):
        return "another filter"
    return kernels_unavailable()


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Return ``conv2d(x, weight, padding=1)``."""
    return _Convolve.apply(x, weight)


def down_convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Apply the low-pass (1, 3, 3, 1) / 8 and convolve with stride 2 to half the (even) size."""
    return _Down.apply(x, weight)


def activate(x: Tensor, bias: Tensor, ending: Epilogue) -> Tensor:
    """Return ``ending(x + bias)``, channel by channel."""
    return _Finish.apply(x, bias, ending)


def enlarge(x: Tensor) -> Tensor:
    """Upsample by two, as ``panohead.ops.cpu.upsample.upsample2x``."""
    return _Enlarge.apply(x, None)


def add_enlarged(x: Tensor, to: Tensor) -> Tensor:
    """Return ``to + enlarge(x)``, in one pass."""
    return _Enlarge.apply(x, to)


def shrink(x: Tensor) -> Tensor:
    """Apply the transpose of :func:`enlarge`: a low-pass that sums to 4, then every second pixel."""
    return _Shrink.apply(x)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return narrowed(winograd.conv3x3_winograd(padded(x), pack_weight(weight, energy=False)), weight.shape[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        return (
            _Convolve.apply(grad, transposed(weight)) if ctx.needs_input_grad[0] else None,
            _WeightGradient.apply(x, grad) if ctx.needs_input_grad[1] else None,
        )


class _WeightGradient(torch.autograd.Function):
    """Gradient of ``_Convolve`` with respect to its weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor) -> Tensor:
        ctx.save_for_backward(x, grad)
        # 3 3 in out -> out in 3 3, without the padding
        taps = winograd_gradient.weight_gradient(padded(x), padded(grad)).permute(3, 2, 0, 1)
        return taps[: grad.shape[1], : x.shape[1]].contiguous()

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, grad = ctx.saved_tensors
        return (
            _Convolve.apply(grad, transposed(pull)) if ctx.needs_input_grad[0] else None,
            _Convolve.apply(x, pull) if ctx.needs_input_grad[1] else None,
        )


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        # The kernel is the transpose of the up-convolution, whose taps run the other way.
        packed = pack_up_weight(weight.flip(2, 3), energy=False)
        return narrowed(winograd_gradient.downconv3x3(padded(x), packed, low_pass=LOW_PASS_DOWN), weight.shape[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        return (
            _Up.apply(grad, weight) if ctx.needs_input_grad[0] else None,
            _DownWeightGradient.apply(x, grad) if ctx.needs_input_grad[1] else None,
        )


class _Up(torch.autograd.Function):
    """Transpose of ``_Down`` with the same weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        whole, packed = padded(x), pack_up_weight(weight.transpose(0, 1), energy=False)
        # upconv3x3 has a low-pass of gain 4, the transpose of ``_Down`` one of gain 1.
        scale = x.new_full((len(x), packed.out_channels), LOW_PASS_DOWN / LOW_PASS_UP)
        return narrowed(winograd.upconv3x3(whole, packed, demodulation=scale), weight.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        return (
            _Down.apply(grad, weight) if ctx.needs_input_grad[0] else None,
            _DownWeightGradient.apply(grad, x) if ctx.needs_input_grad[1] else None,
        )


class _DownWeightGradient(torch.autograd.Function):
    """Gradient with respect to the weight of ``_Down`` (large input, small gradient) and of ``_Up`` (the reverse)."""

    @staticmethod
    def forward(ctx: Any, large: Tensor, small: Tensor) -> Tensor:
        ctx.save_for_backward(large, small)
        taps = winograd_gradient.down_weight_gradient(padded(large), padded(small), low_pass=LOW_PASS_DOWN)
        return taps.permute(3, 2, 0, 1)[: small.shape[1], : large.shape[1]].contiguous()

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, Tensor | None]:
        large, small = ctx.saved_tensors
        return (
            _Up.apply(small, pull) if ctx.needs_input_grad[0] else None,
            _Down.apply(large, pull) if ctx.needs_input_grad[1] else None,
        )


class _Finish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, ending: Epilogue) -> Tensor:
        result = narrowed(activation_pass.finish(padded(x), widened(bias), ending), x.shape[1])
        ctx.save_for_backward(result)
        ctx.ending = ending
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (result,) = ctx.saved_tensors
        pulled, total = _PullEnding.apply(grad, result, ctx.ending)
        return pulled, total, None


class _PullEnding(torch.autograd.Function):
    """Backward pass of ``_Finish``; linear in the gradient, and (without the sum) its own transpose."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, result: Tensor, ending: Epilogue) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(result)
        ctx.ending = ending
        ctx.set_materialize_grads(False)
        pulled, total = activation_pass.pull_ending(padded(grad), padded(result), ending)
        return narrowed(pulled, grad.shape[1]), total.sum(dim=0)[: grad.shape[1]]

    @staticmethod
    def backward(ctx: Any, pull: Tensor | None, pull_total: Tensor | None) -> tuple[Tensor | None, None, None]:
        (result,) = ctx.saved_tensors
        if pull is None and pull_total is None:
            return None, None, None
        # The sum's gradient is the same at every pixel: it adds to that of the gradient itself.
        both = result.new_zeros(()).expand_as(result) if pull is None else pull
        if pull_total is not None:
            both = both + pull_total[:, None, None]
        return _PullEnding.apply(both, result, ctx.ending)[0], None, None


class _Enlarge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, to: Tensor | None) -> Tensor:
        return narrowed(activation_pass.enlarge2x(padded(x), None if to is None else padded(to)), x.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return (
            _Shrink.apply(grad) if ctx.needs_input_grad[0] else None,
            grad if ctx.needs_input_grad[1] else None,
        )


class _Shrink(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return narrowed(activation_pass.shrink2x(padded(x)), x.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Enlarge.apply(grad, None)
