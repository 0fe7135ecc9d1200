"""The alias-free synthesis network, StyleGAN3 (Karras et al. 2021; docs/reference.md 2.12).

Features are samples of continuous signals, and no layer makes frequencies that its samples cannot hold. So moving the
Fourier features moves the output by as much, also by fractions of a pixel (:mod:`panohead.evaluation.equivariance`),
and details have no grid of pixels to stick to.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from panohead.ops.bias_act import bias_act
from panohead.ops.lowpass import radial_lowpass, sinc_lowpass
from panohead.ops.modulated_conv import demodulation_factors
from panohead.ops.resampling_grid import Resampling, SampleGrid
from panohead.randomness import RenderRandomness
from panohead.stylegan.alias_free_schedule import AliasFreeConfig, LayerBand, layer_bands
from panohead.stylegan.layers import FullyConnected
from panohead.stylegan.synthesis_layers import ToRGB

MAGNITUDE_DECAY = 0.999
"""Decay of the running mean squares of the layers' inputs per training forward pass; our choice.

The first 1 / (1 - decay) passes count alike (ours too), so that an untrained network is in range after one of them.
"""
CLAMP = 256.0
"""Limit of absolute values after every layer."""


class FourierFeatures(nn.Module):
    """The first layer: random waves on an infinite plane, moved and turned by w, and mixed (config B, D and H).

    The waves' frequencies are drawn evenly from the disc that the first cutoff allows, once, and never change.
    """

    frequency_draws: Tensor
    phases: Tensor

    def __init__(self, band: LayerBand, margin: int, *, w_dim: int) -> None:
        super().__init__()
        self.band, self.margin = band, margin
        # Numbers in [0, 1); stored, as the weights depend on them.
        self.register_buffer("frequency_draws", torch.rand(band.channels, 2))
        self.register_buffer("phases", torch.rand(band.channels))
        self.affine = FullyConnected(w_dim, 4)
        self.weight = nn.Parameter(torch.randn(band.channels, band.channels))
        with torch.no_grad():
            self.affine.weight.zero_()
            assert self.affine.bias is not None
            self.affine.bias[0].fill_(1.0)  # cosine 1, sine 0, no translation: the identity at the start
        places = torch.as_tensor(band.grid(margin).places().astype("float32") - 0.5)
        self.register_buffer("places", places, persistent=False)  # from the canvas's center, in its sides

    def frequencies(self) -> Float[Tensor, "channel 2"]:
        """Return the waves' frequencies (x, y), cycles per canvas."""
        radius = self.band.cutoff * self.frequency_draws[:, 0].sqrt()  # even over the disc's area
        angle = 2 * math.pi * self.frequency_draws[:, 1]
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)

    def learned_motion(self, w: Float[Tensor, "batch w_dim"]) -> Float[Tensor, "batch 3 3"]:
        """Return the map from places to places of the waves that w asks for: a rotation after a translation."""
        cosine, sine, *shift = self.affine(w).unbind(dim=1)
        # The rotation does not depend on the magnitude of w.
        length = torch.hypot(cosine, sine).clamp_min(1e-8)
        cosine, sine, x, y = (part / length for part in (cosine, sine, *shift))
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        rows = (
            (cosine, -sine, cosine * x - sine * y),
            (sine, cosine, sine * x + cosine * y),
            (zero, zero, one),
        )
        return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)

    def forward(
        self, w: Float[Tensor, "batch w_dim"], motion: Float[Tensor, "3 3"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        """Return the features on the canvas and its margin, of unit variance.

        Args:
            motion: map from every place to the one whose features it shows, before that of w; None for the identity.
        """
        places = self.get_buffer("places")
        size = len(places)
        x, y = places.repeat(size), places.repeat_interleave(size)
        points = torch.stack([x, y, torch.ones_like(x)])  # 3 height*width
        if motion is not None:
            points = motion.to(points) @ points
        points = (self.learned_motion(w) @ points)[:, :2]  # batch 2 height*width
        cycles = self.frequencies() @ points + self.phases[:, None]
        waves = math.sqrt(2) * torch.sin(2 * math.pi * cycles)  # batch channel height*width
        return (self.weight / math.sqrt(len(self.weight)) @ waves).unflatten(2, (size, size))


class AliasFreeLayer(nn.Module):
    """Modulated convolution and filtered leaky ReLU, from one band to the next (configs E to R).

    Args:
        before, band: bands of input and output.
        config: settings of the network.
    """

    magnitude: Tensor

    def __init__(self, before: LayerBand, band: LayerBand, config: AliasFreeConfig, *, w_dim: int) -> None:
        super().__init__()
        kernel = 1 if config.rotations else 3
        self.affine = FullyConnected(w_dim, before.channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(band.channels, before.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(band.channels))
        self.register_buffer("magnitude", torch.ones(()))  # running mean square of the input
        self.register_buffer("passes", torch.zeros(()))  # that it has seen, up to a number
        self.up, self.down = _resampling(before, band, config)

    def forward(
        self, x: Float[Tensor, "batch in_channel height width"], w: Float[Tensor, "batch w_dim"]
    ) -> Float[Tensor, "batch channel out_height out_width"]:
        """Return the layer's features on its own grid."""
        styles = self.affine(w)  # batch in_channel
        scale = demodulation_factors(self.weight, styles) * normalization(self, x)  # batch channel
        x = F.conv2d(x * styles[:, :, None, None], self.weight, padding=self.weight.shape[-1] // 2)
        x = x * scale[:, :, None, None] + self.bias[:, None, None]
        # A nonlinearity makes new frequencies: it acts at a higher rate, and what the band cannot hold is removed.
        return self.down(bias_act(self.up(x), activation="lrelu", clamp=CLAMP))


class AliasFreeSynthesis(nn.Module):
    """Fourier features, 14 layers and ToRGB: ws to an image, in place of :class:`SynthesisNetwork`.

    There are no noise maps, and all of it is computed in single precision.
    """

    def __init__(self, config: AliasFreeConfig, *, w_dim: int) -> None:
        super().__init__()
        self.config = config
        bands = layer_bands(config)
        self.blocks = nn.ModuleDict({"input": FourierFeatures(bands[0], config.margin, w_dim=w_dim)})
        for index, (before, band) in enumerate(zip([bands[0], *bands[:-1]], bands, strict=True)):
            self.blocks[f"layer{index}"] = AliasFreeLayer(before, band, config, w_dim=w_dim)
        self.blocks["torgb"] = ToRGB(bands[-1].channels, config.image_channels, w_dim=w_dim)
        self.register_buffer("magnitude", torch.ones(()))  # of the input of ToRGB
        self.register_buffer("passes", torch.zeros(()))
        self.num_ws = len(self.blocks)

    def forward(
        self,
        ws: Float[Tensor, "batch num_ws w_dim"],
        *,
        randomness: RenderRandomness | None = None,
        order: Int[Tensor, " image_channels"] | None = None,
        motion: Float[Tensor, "3 3"] | None = None,
    ) -> Float[Tensor, "batch image_channels height width"]:
        """Return the image.

        Args:
            randomness: not read; there are no noise maps.
            order: numbers of the image's channels in the wanted order; None for their own.
            motion: map of places (x, y, 1), in sides of the image from its center, to those whose Fourier features
                they show; the image shows them moved as they are. None for the identity.
        """
        first, *layers, last = self.blocks.values()
        rows = ws.float().unbind(dim=1)
        x = first(rows[0], motion)
        for layer, row in zip(layers, rows[1:-1], strict=True):
            x = layer(x, row)
        margin = self.config.margin
        x = x[:, :, margin : x.shape[2] - margin, margin : x.shape[3] - margin]  # the canvas alone
        image: Tensor = last(x * normalization(self, x), rows[-1], order=order)
        return image


def normalization(module: nn.Module, x: Float[Tensor, "batch channel height width"]) -> Float[Tensor, ""]:
    """Return the factor that brings a layer's input to a mean square of 1 on average.

    The average is that of the training so far, in the module's buffer ``magnitude``; passes with gradients in train
    mode move it. It takes the place of StyleGAN2's skip images in keeping the signal in range (section 3.2).
    """
    magnitude = module.get_buffer("magnitude")
    if module.training and torch.is_grad_enabled():
        with torch.no_grad():
            passes = module.get_buffer("passes").add_(1).clamp_(max=1 / (1 - MAGNITUDE_DECAY))
            magnitude.lerp_(x.detach().float().square().mean(), 1 / passes)
    return magnitude.clamp_min(1e-8).rsqrt()


def magnitudes(network: nn.Module) -> list[Tensor]:
    """Return the running mean squares of all layers of a network, then their numbers of passes; none for others."""
    buffers = list(network.named_buffers())
    return [buffer for end in ("magnitude", "passes") for name, buffer in buffers if name.split(".")[-1] == end]


@torch.no_grad()
def copy_magnitudes(average: nn.Module, network: nn.Module) -> None:
    """Copy the running mean squares of a network's layers to those of its average, in place."""
    for mean, value in zip(magnitudes(average), magnitudes(network), strict=True):
        mean.copy_(value)


def _resampling(before: LayerBand, band: LayerBand, config: AliasFreeConfig) -> tuple[Resampling, Resampling]:
    """Return the maps to the rate of a layer's leaky ReLU and from there to the layer's own grid."""
    rate = config.oversampling * max(before.rate, band.rate)
    source, target = before.grid(config.margin), band.grid(config.margin)
    up_taps = config.taps * (rate // before.rate)
    down_taps = config.taps * (rate // band.rate)
    # The samples under the filter of the outermost output.
    factor = rate // band.rate
    between = SampleGrid(rate, config.margin * factor + (down_taps - factor) // 2)
    up = sinc_lowpass(up_taps, cutoff=before.cutoff, half_width=before.half_width, rate=rate)
    # Radial filters keep less of the corners; the last layers need all of them.
    make = radial_lowpass if config.rotations and not band.critical else sinc_lowpass
    down = make(down_taps, cutoff=band.cutoff, half_width=band.half_width, rate=rate)
    return Resampling(up, rate, source, between), Resampling(down, rate, between, target)
