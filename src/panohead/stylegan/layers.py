"""The layers of StyleGAN2 with equalized learning rates (StyleGAN2 appendix B; docs/reference.md 2.1 to 2.4)."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.bias_act import Activation, bias_act, default_gain
from panohead.ops.cpu import linear_maps
from panohead.ops.cpu.activation_pass import Epilogue
from panohead.ops.cpu.compiled_conv import compiled_convolution
from panohead.ops.resample import conv2d_resample, fir_filter

HalfType = Literal["float16", "bfloat16"]


def computing_dtype(half: bool, half_dtype: HalfType, device: torch.device) -> torch.dtype:
    """Return the type in which a block computes: half precision on CUDA devices alone (docs/reference.md 2.11)."""
    return getattr(torch, half_dtype) if half and device.type == "cuda" else torch.float32


class FullyConnected(nn.Module):
    """Fully connected layer ``activation(x W^T + b)``, weights stored at unit variance and scaled at run time.

    Args:
        lr_multiplier: factor of weight and bias, and so of their learning rate.
        bias_init: stored bias at the start, before ``lr_multiplier``.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        activation: Activation = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.activation: Activation = activation
        # N(0, 1 / lr_multiplier^2), undone by the gain: only Adam's relative step becomes smaller.
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init))) if bias else None
        # Equalized learning rate: He's constant at run time, so that Adam's steps fit weights of unit variance.
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        """Return the activated outputs, in the type of ``x``."""
        weight, bias = self.scaled()
        # batch in_features @ in_features out_features
        x = x @ weight.to(x.dtype).T
        return bias_act(x, None if bias is None else bias.to(x.dtype), activation=self.activation)

    def scaled(self) -> tuple[Float[Tensor, "out_features in_features"], Float[Tensor, " out_features"] | None]:
        """Return weight and bias with their run-time gains applied."""
        return self.weight * self.weight_gain, None if self.bias is None else self.bias * self.bias_gain


class Convolution(nn.Module):
    """Convolution with optional resampling by 2, bias and activation: the discriminator's layer.

    Args:
        up, down: factors of resampling, one of them 1.
        conv_clamp: limit of the absolute value of the output, or None.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        activation: Activation = "linear",
        up: int = 1,
        down: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.activation: Activation = activation
        self.up, self.down, self.conv_clamp = up, down, conv_clamp
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.register_buffer("resample_filter", fir_filter())
        # Equalized learning rate: 1 / sqrt(fan-in) at run time.
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"], *, gain: float = 1.0
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """Return the activated convolution; ``gain`` scales the output and the clamp alike."""
        weight = (self.weight * self.weight_gain).to(x.dtype)
        fast = compiled_convolution(x, weight, self.resample_filter, up=self.up, down=self.down)
        if fast is not None:
            return self._activate(fast, gain)
        # batch out_channels out_height out_width
        x = conv2d_resample(
            x,
            weight,
            self.resample_filter,
            up=self.up,
            down=self.down,
            padding=self.weight.shape[-1] // 2,
            flip_weight=self.up == 1,  # the transposed convolution takes the weight unflipped (docs/reference.md 2.9)
        )
        return bias_act(
            x,
            None if self.bias is None else self.bias.to(x.dtype),
            activation=self.activation,
            gain=default_gain(self.activation) * gain,
            clamp=None if self.conv_clamp is None else self.conv_clamp * gain,
        )

    def _activate(self, x: Tensor, gain: float) -> Tensor:
        """Bias, activation and ``gain`` in one pass."""
        clamp = math.inf if self.conv_clamp is None else self.conv_clamp * gain
        if self.activation not in ("linear", "lrelu"):
            return bias_act(
                x,
                self.bias,
                activation=self.activation,
                gain=default_gain(self.activation) * gain,
                clamp=None if math.isinf(clamp) else clamp,
            )
        ending = Epilogue(0.2 if self.activation == "lrelu" else 1.0, default_gain(self.activation) * gain, clamp)
        return linear_maps.activate(x, x.new_zeros(x.shape[1]) if self.bias is None else self.bias, ending)


def normalize_second_moment(x: Float[Tensor, "batch channel"]) -> Float[Tensor, "batch channel"]:
    """Scale every row to a mean square of 1 (docs/reference.md 2.4)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)
