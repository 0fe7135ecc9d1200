"""Modulated convolution with noise, and the layer from features to an image (docs/reference.md 2.7 and 2.8)."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from panohead.ops import fast_paths, gradient_conv, pointwise_conv
from panohead.ops.bias_act import Activation, bias_act, default_gain
from panohead.ops.cpu.activation_pass import Epilogue
from panohead.ops.inference_conv import PackedWeights, is_default_filter, modulated_layer, pointwise
from panohead.ops.modulated_conv import demodulation_factors, modulated_conv2d
from panohead.ops.resample import conv2d_resample, fir_filter
from panohead.randomness import RenderRandomness
from panohead.stylegan.layers import FullyConnected

_STORED_NOISE = RenderRandomness(noise_mode="const")


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; optionally doubling the resolution first.

    Args:
        resolution: pixels per side of the output.
        up: 2 doubles the resolution.
        conv_clamp: limit of the absolute value of the output, or None.
    """

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
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1)  # the style starts at 1: no modulation
        # No equalized gain: demodulation cancels any scale of the weight.
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("resample_filter", fir_filter())
        self._packed = PackedWeights()
        self._gradient_weights = gradient_conv.WeightCache(self._packed)

    def forward(
        self,
        x: Float[Tensor, "batch in_channels height width"],
        w: Float[Tensor, "batch w_dim"],
        *,
        randomness: RenderRandomness | None = None,
        gain: float = 1.0,
        fused: bool = True,
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """Return the activated features.

        Args:
            w: this layer's row of ws.
            randomness: the noise map; None takes the stored one.
            gain: factor of the output and of the clamp.
            fused: formulation of the convolution, see :func:`panohead.ops.modulated_conv.modulated_conv2d`.

        Raises:
            ValueError: for an unknown noise mode.
        """
        styles = self.affine(w)  # batch in_channels
        noise_map = self._noise_map(x, _STORED_NOISE if randomness is None else randomness)
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        gain = default_gain(self.activation) * gain
        # Inference: the shared weight transformed once (Winograd), style on the input, demodulation on the output.
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
        if torch.is_grad_enabled():
            with_gradient = self._compiled(x, styles, noise_map, gain, clamp)
            if with_gradient is not None:
                return with_gradient
            # Per-sample weights would make the style's gradient a weight gradient.
            fused = fused and (self.weight.requires_grad or not fast_paths.allowed() or x.device.type != "cpu")
        # Plain PyTorch: batch out_channels out_height out_width
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

    def _compiled(
        self, x: Tensor, styles: Tensor, noise_map: Tensor | None, gain: float, clamp: float | None
    ) -> Tensor | None:
        """Run the layer with gradients by the compiled kernels; None where they do not serve."""
        if self.activation not in ("linear", "lrelu") or gradient_conv.unsupported(x, self.weight) is not None:
            return None
        if self.up == 2 and not is_default_filter(self.resample_filter):
            return None

        def plain(
            x: Tensor, weight: Tensor, styles: Tensor, demodulation: Tensor, noise_map: Tensor | None, bias: Tensor
        ) -> Tensor:
            """Run the same layer by differentiable PyTorch, for gradients of gradients."""
            x = conv2d_resample(
                x * styles[:, :, None, None],
                weight,
                self.resample_filter,
                up=self.up,
                padding=1,
                flip_weight=self.up == 1,
            )
            x = x * demodulation[:, :, None, None]
            x = x if noise_map is None else x + noise_map
            return bias_act(x, bias, activation=self.activation, gain=gain, clamp=clamp)

        # linear is leaky ReLU of slope 1; no clamp is a clamp at infinity
        ending = Epilogue(0.2 if self.activation == "lrelu" else 1.0, gain, math.inf if clamp is None else clamp)
        demodulation = demodulation_factors(self.weight, styles)
        settings = gradient_conv.LayerSettings(self.up, ending, plain)
        return gradient_conv.modulated_layer(
            x, self.weight, styles, demodulation, noise_map, self.bias, settings, self._gradient_weights
        )

    def forget_packed_weights(self) -> None:
        """Drop the weight's transformed copies, up to eight times its memory; the next call makes them again."""
        self._packed.clear()
        self._gradient_weights.clear()

    def _noise_map(self, x: Tensor, randomness: RenderRandomness) -> Tensor | None:
        """Return the noise of all channels, "height width" or "batch 1 height width", times its learned strength."""
        mode = randomness.noise_mode
        if not self.use_noise or mode == "none":
            return None
        if mode == "const":
            return self.noise_const * self.noise_strength
        if mode != "random":
            raise ValueError(f"noise_mode is {mode!r}; it can be 'random', 'const' or 'none'")
        # Drawn even while the strength is 0: as in the original, a layer's numbers do not depend on its weights.
        shape = (x.shape[0], 1, self.resolution, self.resolution)
        return torch.randn(shape, device=x.device, generator=randomness.generator) * self.noise_strength


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation, plus bias: features to image channels."""

    def __init__(self, in_channels: int, out_channels: int, *, w_dim: int, conv_clamp: float | None = None) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)  # equalized learning rate, applied to the style

    def forward(
        self,
        x: Float[Tensor, "batch in_channels height width"],
        w: Float[Tensor, "batch w_dim"],
        *,
        fused: bool = True,
        order: Int[Tensor, " out_channels"] | None = None,
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Return image channels.

        Args:
            fused: formulation of the convolution, see :func:`panohead.ops.modulated_conv.modulated_conv2d`.
            order: numbers of the output channels in the wanted order; None for their own.
        """
        styles = self.affine(w) * self.weight_gain  # batch in_channels
        weight, bias = (self.weight, self.bias) if order is None else (self.weight[order], self.bias[order])
        fast = pointwise(x, weight, styles, bias, self.conv_clamp) if fused else None
        if fast is not None:
            return fast
        if torch.is_grad_enabled() and pointwise_conv.unsupported(x, weight) is None:
            # per-sample weights, batch out_channels in_channels
            x = pointwise_conv.pointwise(x, weight[:, :, 0, 0] * styles[:, None, :], bias)
            return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)
        # batch out_channels height width; no demodulation, so that the style sets the contrast
        x = modulated_conv2d(x, weight, styles, demodulate=False, fused=fused)
        return bias_act(x, bias.to(x.dtype), clamp=self.conv_clamp)


def forget_packed_weights(network: nn.Module) -> None:
    """Drop the transformed weights of all synthesis layers (1.4 GB at the paper's size); the next call makes them."""
    for module in network.modules():
        if isinstance(module, SynthesisLayer):
            module.forget_packed_weights()
