"""One modulated convolution with noise, and the layer that turns features into an image (facts section 2)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.bias_act import Activation, bias_act, default_gain
from panohead.ops.inference_conv import PackedWeights, modulated_layer, pointwise
from panohead.ops.modulated_conv import modulated_conv2d
from panohead.ops.resample import fir_filter
from panohead.stylegan.layers import FullyConnected

NoiseMode = Literal["random", "const", "none"]


@dataclass(frozen=True, kw_only=True)
class PixelNoise:
    """How the layers draw their noise maps: fresh per sample, the stored map, or none; and from which generator."""

    mode: NoiseMode = "const"
    generator: torch.Generator | None = None


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky relu; optionally doubling the resolution first."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        resolution: int,
        kernel_size: int = 3,
        up: int = 1,
        use_noise: bool = True,
        activation: Activation = "lrelu",
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolution, self.up, self.use_noise = resolution, up, use_noise
        self.activation: Activation = activation
        self.conv_clamp = conv_clamp
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("resample_filter", fir_filter())
        self._packed = PackedWeights()

    def forward(
        self,
        x: Float[Tensor, "batch in_channels height width"],
        w: Float[Tensor, "batch w_dim"],
        *,
        noise: PixelNoise,
        gain: float = 1.0,
        fused: bool = True,
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """``gain`` scales the output and the clamp alike; ``fused`` as in :func:`modulated_conv2d`."""
        styles, noise_map = self.affine(w), self._noise_map(x, noise)
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        gain = default_gain(self.activation) * gain
        if fused or not torch.is_grad_enabled():  # equal up to rounding where no gradient is wanted
            fast = modulated_layer(
                x,
                self.weight,
                styles,
                self._packed,
                noise=noise_map,
                bias=self.bias,
                up=self.up,
                resample_filter=self.resample_filter,
                activation=self.activation,
                gain=gain,
                clamp=clamp,
            )
            if fast is not None:
                return fast
        x = modulated_conv2d(
            x,
            self.weight,
            styles,
            noise=noise_map,
            up=self.up,
            padding=self.weight.shape[-1] // 2,
            resample_filter=self.resample_filter,
            flip_weight=self.up == 1,
            fused=fused,
        )
        return bias_act(
            x,
            self.bias.to(x.dtype),
            activation=self.activation,
            gain=gain,
            clamp=clamp,
        )

    def _noise_map(self, x: Tensor, noise: PixelNoise) -> Tensor | None:
        if not self.use_noise or noise.mode == "none":
            return None
        if noise.mode == "const":
            return self.noise_const * self.noise_strength
        if noise.mode != "random":
            raise ValueError(f"noise_mode is {noise.mode!r}; it can be 'random', 'const' or 'none'")
        shape = (x.shape[0], 1, self.resolution, self.resolution)
        return torch.randn(shape, device=x.device, generator=noise.generator) * self.noise_strength


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation, plus bias: features to image channels."""

    def __init__(self, in_channels: int, out_channels: int, *, w_dim: int, conv_clamp: float | None = None) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"], w: Float[Tensor, "batch w_dim"], *, fused: bool = True
    ) -> Float[Tensor, "batch out_channels height width"]:
        styles = self.affine(w) * self.weight_gain
        fast = pointwise(x, self.weight, styles, self.bias, self.conv_clamp) if fused else None
        if fast is not None:
            return fast
        x = modulated_conv2d(x, self.weight, styles, demodulate=False, fused=fused)
        return bias_act(x, self.bias.to(x.dtype), clamp=self.conv_clamp)
