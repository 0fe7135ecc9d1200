"""Cutoffs, rates and widths of the layers of an alias-free network (Karras et al. 2021, section 3, config T and R)."""

import math
from dataclasses import dataclass
from typing import Annotated

from panohead.limits import NumberRange
from panohead.ops.resampling_grid import SampleGrid
from panohead.system.bounds import Bounded, OutOfRange, Width

MIN_RESOLUTION = 16
"""Smallest output: the first layers are sampled at this rate."""
_FIRST_CUTOFF = 2.0
_FIRST_STOPBAND = 2**2.1
_LAST_STOPBAND = 2**0.3
"""Over half of the output's rate."""
_CRITICAL_LAYERS = 2
"""Last layers with the cutoff at half of their rate: sharpness counts more there than equivariance."""


@dataclass(frozen=True, kw_only=True)
class AliasFreeConfig(Bounded):
    """Size of an alias-free synthesis network. All numbers but the first three are the paper's.

    Attributes:
        resolution: pixels per side of the output, a power of two from 16 on.
        image_channels: channels of the output.
        channel_base, channel_max: a layer with cutoff f (cycles per image) has min(channel_base / (2 f), channel_max)
            channels: those of StyleGAN2 where f is half of the resolution. Config R has twice as many.
        rotations: config R, equivariant to rotations too: 1x1 convolutions and radially symmetric filters.
        layers: modulated convolutions between Fourier features and ToRGB, at all resolutions.
        margin: samples around the canvas that every layer computes too, so that borders do not tell positions.
        taps: length of filters, in samples of the lower of both rates.
        oversampling: factor of the rate at which leaky ReLU is applied.
    """

    resolution: Annotated[int, NumberRange(MIN_RESOLUTION, 2048)]
    image_channels: Annotated[int, NumberRange(1, 65536)]
    channel_base: Annotated[int, NumberRange(1, 2**20)] = 32768
    channel_max: Width = 512
    rotations: bool = False
    layers: Annotated[int, NumberRange(4, 64)] = 14
    margin: Annotated[int, NumberRange(0, 64)] = 10
    taps: Annotated[int, NumberRange(2, 32)] = 6
    oversampling: Annotated[int, NumberRange(2, 4)] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution & (self.resolution - 1):
            raise OutOfRange(f"an alias-free network of {self.resolution} pixels is none; give a power of two")
        if self.oversampling % 2 or self.taps % 2:
            raise OutOfRange("taps and oversampling of an alias-free network are even numbers; give such ones")


@dataclass(frozen=True)
class LayerBand:
    """Band of frequencies and samples of one layer.

    Attributes:
        cutoff: frequency at which half of the amplitude passes, cycles per canvas.
        half_width: half of the width of the transition band.
        rate: samples per side of the canvas.
        channels: number of feature maps.
        critical: the cutoff is half of the rate.
    """

    cutoff: float
    half_width: float
    rate: int
    channels: int
    critical: bool

    def grid(self, margin: int) -> SampleGrid:
        """Return the layer's samples."""
        return SampleGrid(self.rate, margin)


def layer_bands(config: AliasFreeConfig) -> list[LayerBand]:
    """Return the bands of all layers, first to last: cutoff and stopband grow as geometric progressions.

    The cutoff goes from 2 cycles to half of the output's rate, which the first critically sampled layer has; the
    stopband, the frequency from which on nothing may remain, from 2^2.1 to 2^0.3 times half of it. A layer's rate is
    the lowest power of two that represents its stopband, at most that of the output.
    """
    nyquist = config.resolution / 2
    bands = []
    for index in range(config.layers):
        progress = min(index / (config.layers - _CRITICAL_LAYERS), 1.0)
        cutoff = _FIRST_CUTOFF * (nyquist / _FIRST_CUTOFF) ** progress
        stopband = _FIRST_STOPBAND * (nyquist * _LAST_STOPBAND / _FIRST_STOPBAND) ** progress
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, config.resolution)) - 1e-9)
        # Where the rate leaves room above the stopband, the transition takes it: shorter filters would not be better.
        half_width = max(stopband, rate / 2) - cutoff
        width = 2 if config.rotations else 1
        channels = min(round(width * config.channel_base / (2 * cutoff)), width * config.channel_max)
        critical = index >= config.layers - _CRITICAL_LAYERS
        bands.append(LayerBand(cutoff, half_width, rate, max(channels, 1), critical))
    return bands
