"""Structures of arrays and sizes that the compiled convolutions take. numba compiles named tuples to plain registers.

All arrays are flat float32, images channels-last; offsets and pitches count elements. Importing this module needs
neither numba nor torch.
"""

from typing import Any, NamedTuple


class Images(NamedTuple):
    """A batch of images to read, and a factor for every channel of every image.

    Attributes:
        values: batch height width channel.
        factors: batch channel.
    """

    values: Any
    factors: Any
    height: Any
    width: Any
    channels: Any


class PointWeights(NamedTuple):
    """A packed weight, and the index of its matrix for each of the 36 or 81 points (see ``winograd_kernels``)."""

    values: Any
    kinds: Any


class ConvEpilogue(NamedTuple):
    """Operations on a convolution's sums: ``clamp(gain * leaky(scale * sum + noise + bias))``.

    Attributes:
        scale: factor by image and output channel: batch channel.
        bias: channel.
        noise: maps for all channels, (1 or batch) height width of the output.
        noise_pitch: elements from the map of one image to that of the next; 0 for one map.
        slope, gain: float32, of the leaky rectifier; slope 1 for none.
        limit: float32, of the clamp; infinite for none.
    """

    scale: Any
    bias: Any
    noise: Any
    noise_pitch: Any
    slope: Any
    gain: Any
    limit: Any


class OutputImages(NamedTuple):
    """Images to write (batch height width channel), and the range of their panels of channels: [first, last)."""

    values: Any
    height: Any
    width: Any
    channels: Any
    first_panel: Any
    last_panel: Any


class TileScratch(NamedTuple):
    """Buffers of one thread.

    Attributes:
        data: point tile channel, for one block of tiles.
        sums: point tile channel, for one group of output channels.
        column: one vector of channels of a half transformed tile.
        patch: a window with zeros outside the image.
        needed: number of tiles of a block that need each point, int64.
    """

    data: Any
    sums: Any
    column: Any
    patch: Any
    needed: Any
