"""Compiled loops of the operations after a convolution in training. Importing this module needs numba.

Images are flat float32, channels-last, with a multiple of the vector length of channels. Work is cut into strips: runs
of pixels of one image, short enough for the cache. Sums are made strip by strip, whatever the number of threads.
"""

from typing import Any, NamedTuple

from panohead.ops.cpu.jit import jit
from panohead.ops.cpu.simd import WIDTH, _operation, fma, load, maximum, minimum, splat, store

_positive = _operation(  # a where the condition is above zero, else b; b also for NaN
    3, lambda builder, values: builder.select(builder.fcmp_ordered(">", values[0], values[0].type(None)), *values[1:])
)


class KernelEpilogue(NamedTuple):
    """Leaky rectifier, gain and clamp; slope 1 and an infinite limit for none."""

    slope: Any
    gain: Any
    limit: Any


class Strips(NamedTuple):
    """Strips [first, last) of a batch: every image is cut into runs of ``length`` pixels, the last one shorter."""

    first: Any
    last: Any
    length: Any
    pixels: Any  # per image
    channels: Any


class StripSums(NamedTuple):
    """Sums over every strip, by channel: the gradient, its products with the value, and those with the noise."""

    gradient: Any
    value: Any
    noise: Any


class Noise(NamedTuple):
    """Noise maps, flat (empty for none), ``pitch`` from one image's map to the next, and the buffers of their gradient.

    ``counting`` is 1 for channels with a part in the gradient, else 0; ``gradient`` is empty where none is wanted.
    """

    maps: Any
    pitch: Any
    counting: Any
    gradient: Any


@jit(nogil=True)
def _bounds(strips: Any, number: Any) -> Any:
    """Return image, first and last pixel (over the batch) of a strip."""
    each = (strips.pixels + strips.length - 1) // strips.length
    image, place = number // each, number % each
    first = image * strips.pixels + place * strips.length
    return image, first, min(first + strips.length, (image + 1) * strips.pixels)


@jit(nogil=True)
def finish(values: Any, bias: Any, ending: Any, out: Any, strips: Any) -> None:
    """Write ``clamp(gain * leaky(values + bias))`` to ``out``."""
    slope, gain, limit = splat(ending.slope), splat(ending.gain), splat(ending.limit)
    channels = strips.channels
    for number in range(strips.first, strips.last):
        _, first, last = _bounds(strips, number)
        for c in range(0, channels, WIDTH):
            shift = load(bias, c)  # one vector of channels for all pixels of the strip
            for pixel in range(first, last):
                at = pixel * channels + c
                value = load(values, at) + shift
                value = maximum(value, value * slope) * gain
                store(out, at, minimum(limit, maximum(splat(0.0) - limit, value)))


@jit(nogil=True)
def _pull(grad: Any, results: Any, at: Any, gain: Any, small: Any, limit: Any) -> Any:
    """Return the gradient before the ending for one vector, and the result there."""
    result = load(results, at)
    # The sign of the result is that of the input of the rectifier (gain and slope are positive).
    pulled = load(grad, at) * _positive(result, gain, small)
    return _positive(limit - maximum(result, splat(0.0) - result), pulled, splat(0.0)), result


@jit(nogil=True)
def pull_ending(grad: Any, results: Any, ending: Any, out: Any, strips: Any, sums: Any) -> None:
    """Write the gradient before the ending from that of its ``results``, and its sums by strip and channel."""
    gain, small, limit = splat(ending.gain), splat(ending.gain * ending.slope), splat(ending.limit)
    channels = strips.channels
    for number in range(strips.first, strips.last):
        _, first, last = _bounds(strips, number)
        for c in range(0, channels, WIDTH):
            total = splat(0.0)
            for pixel in range(first, last):
                at = pixel * channels + c
                pulled, _ = _pull(grad, results, at, gain, small, limit)
                store(out, at, pulled)
                total = total + pulled
            store(sums, number * channels + c, total)


@jit(nogil=True)
def pull_layer(
    grad: Any, results: Any, ending: Any, noise: Any, out: Any, strips: Any, sums: Any, room: Any
) -> None:  # fmt: skip
    """Compute ``pull_ending`` and the sums that the gradients of style, demodulation and noise need.

    The value before the ending is found from the result; where the clamp hides it the gradient is zero. ``room`` has
    WIDTH numbers for every pixel of a strip.
    """
    gain, small, limit = splat(ending.gain), splat(ending.gain * ending.slope), splat(ending.limit)
    back, back_small = splat(1 / ending.gain), splat(1 / (ending.gain * ending.slope))
    # The value before the ending is result / gain, or result / (gain * slope) below zero.
    channels, noisy, wanted = strips.channels, noise.maps.size > 0, noise.gradient.size > 0
    for number in range(strips.first, strips.last):
        image, first, last = _bounds(strips, number)
        shift = image * (noise.pitch - strips.pixels)  # from a pixel's number over the batch to the index of its noise
        for c in range(0, channels, WIDTH):
            # Sums over the strip of g, g * value and g * noise, with g the gradient before the ending.
            total, value, product = splat(0.0), splat(0.0), splat(0.0)
            counts = load(noise.counting, c)
            for pixel in range(first, last):
                at = pixel * channels + c
                pulled, result = _pull(grad, results, at, gain, small, limit)
                store(out, at, pulled)
                total = total + pulled
                value = fma(pulled, result * _positive(result, back, back_small), value)
                if noisy:
                    product = fma(pulled, splat(noise.maps[pixel + shift]), product)
                if wanted:  # the sum over channels of one pixel, vector by vector
                    lane = (pixel - first) * WIDTH
                    before = load(room, lane) if c > 0 else splat(0.0)
                    store(room, lane, fma(pulled, counts, before))
            at = number * channels + c
            store(sums.gradient, at, total)
            store(sums.value, at, value)
            store(sums.noise, at, product)
        if wanted:  # the noise is one map for all channels
            for pixel in range(first, last):
                lane = (pixel - first) * WIDTH
                noise.gradient[pixel] = room[lane : lane + WIDTH].sum()


@jit(nogil=True)
def pull_style(x: Any, pull: Any, style: Any, strips: Any, sums: Any) -> None:
    """Write ``sum(x * pull)`` by strip and channel to ``sums``, then multiply ``pull`` by ``style`` in place."""
    channels = strips.channels
    for number in range(strips.first, strips.last):
        image, first, last = _bounds(strips, number)
        for c in range(0, channels, WIDTH):
            factor, total = load(style, image * channels + c), splat(0.0)
            for pixel in range(first, last):
                at = pixel * channels + c
                value = load(pull, at)
                total = fma(load(x, at), value, total)
                store(pull, at, value * factor)
            store(sums, number * channels + c, total)


@jit(nogil=True)
def shrink(grad: Any, out: Any, height: Any, width: Any, channels: Any, first: Any, last: Any) -> None:
    """Apply the transpose of ``upconv_kernels.add_upsampled`` to rows [first, last) of the small images."""
    pitch = 2 * width * channels
    for index in range(first, last):
        image, row = index // height, index % height
        for column in range(width):
            for c in range(0, channels, WIDTH):
                total = splat(0.0)
                for i in range(4):
                    y = 2 * row - 1 + i
                    if y < 0 or y >= 2 * height:
                        continue
                    at = (image * 2 * height + y) * pitch + (2 * column - 1) * channels + c
                    line = load(grad, at + channels) + load(grad, at + 2 * channels)
                    line = splat(3.0) * line  # taps (1, 3, 3, 1) in both directions, without those outside
                    if column > 0:
                        line = line + load(grad, at)
                    if column < width - 1:
                        line = line + load(grad, at + 3 * channels)
                    total = fma(splat(3.0 if i == 1 or i == 2 else 1.0), line, total)
                store(out, (index * width + column) * channels + c, total * splat(1 / 16))
