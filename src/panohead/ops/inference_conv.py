"""Modulated convolutions for inference on a CPU: the compiled kernels where they serve, or None.

The weight stays shared: the style scales the input, the demodulation the output (equal up to rounding,
docs/reference.md 2.6). So a layer's transformed weight is made once and serves every head and frame.
"""

import threading
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.ops import fast_paths
from panohead.ops.bias_act import Activation
from panohead.ops.cpu import winograd
from panohead.ops.cpu.winograd_weights import PackedWeight, pack_up_weight, pack_weight
from panohead.ops.resample import fir_filter

_KERNEL_ACTIVATIONS: dict[str, Literal["linear", "lrelu"]] = {"linear": "linear", "lrelu": "lrelu"}


class PackedWeights:
    """Cache of the transformed weight of one layer, renewed when the weight changes. Not part of any state dict."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # heads are rendered on several threads
        self._packed: PackedWeight | None = None
        self._key: tuple[object, ...] = ()

    def get(self, weight: Tensor, *, up: bool) -> PackedWeight:
        """Return the transformed ``weight``, from the cache if it is still the same.

        Args:
            up: transform for the upsampling kernel.
        """
        flat = weight.detach().reshape(-1)
        # Writes through ``.data`` leave PyTorch's version counter alone, so sums of the values are compared too: a
        # thousandth of the convolution's cost.
        key = (weight.data_ptr(), weight._version, up, float(flat.sum()), float(flat.dot(flat)))
        with self._lock:
            if self._packed is None or key != self._key:
                self._packed, self._key = (pack_up_weight if up else pack_weight)(weight), key
            return self._packed

    def clear(self) -> None:
        """Drop the transformed weight; the next call makes it again."""
        self._packed, self._key = None, ()

    def __deepcopy__(self, memo: object) -> "PackedWeights":
        return PackedWeights()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return PackedWeights, ()


def modulated_layer(
    x: Float[Tensor, "batch in_channel height width"],
    weight: Float[Tensor, "out_channel in_channel kernel kernel"],
    styles: Float[Tensor, "batch in_channel"],
    cache: PackedWeights,
    *,
    noise: Float[Tensor, "*noise_batch out_height out_width"] | None,
    bias: Float[Tensor, " out_channel"],
    up: int,
    resample_filter: Tensor,
    activation: Activation,
    gain: float,
    clamp: float | None,
) -> Float[Tensor, "batch out_channel out_height out_width"] | None:
    """Compute a whole synthesis layer (3x3, demodulated, with noise, bias and activation) by the compiled kernels.

    Args:
        cache: transformed weight of this layer.
        noise: added after demodulation; one map for all channels.
        up: 2 doubles the resolution.
        gain, clamp: as of :func:`panohead.ops.bias_act.bias_act`.

    Returns:
        The activated output, or None where the kernels do not serve.
    """
    if not (fast_paths.allowed() and activation in _KERNEL_ACTIVATIONS and not weight.is_inference()):
        return None
    if torch.is_grad_enabled() and any(t.requires_grad for t in (styles, bias, *([] if noise is None else [noise]))):
        return None
    if winograd.unsupported(x, weight) is not None or not winograd.worthwhile(x, weight):
        return None
    if up == 2 and not is_default_filter(resample_filter):
        return None
    packed = cache.get(weight, up=up == 2)
    # batch out_channel out_height out_width
    layer = winograd.upconv3x3 if up == 2 else winograd.conv3x3_winograd
    return layer(
        x,
        packed,
        style=styles,
        demodulation=packed.demodulation(styles),
        noise=noise,
        bias=bias,
        activation=_KERNEL_ACTIVATIONS[activation],
        gain=gain,
        clamp=clamp,
    )


def pointwise(
    x: Float[Tensor, "batch in_channel height width"],
    weight: Float[Tensor, "out_channel in_channel 1 1"],
    styles: Float[Tensor, "batch in_channel"],
    bias: Float[Tensor, " out_channel"],
    clamp: float | None,
) -> Float[Tensor, "batch out_channel height width"] | None:
    """Compute a modulated 1x1 convolution without demodulation on channels-last memory.

    Returns:
        The clamped output, or None where plain PyTorch is to be used.
    """
    if not fast_paths.allowed() or torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
        return None
    if not x.is_contiguous(memory_format=torch.channels_last):
        return None
    weights = weight * styles[:, None, :, None, None]  # batch out_channel in_channel 1 1
    images = [F.conv2d(x[i : i + 1], w.to(memory_format=torch.channels_last), bias) for i, w in enumerate(weights)]
    image = images[0] if len(images) == 1 else torch.cat(images)
    return image if clamp is None else image.clamp_(-clamp, clamp)


def is_default_filter(resample_filter: Tensor) -> bool:
    """Return True for a filter on the CPU that is the outer product of (1, 3, 3, 1) with itself / 64.

    The CPU kernels have it built in. On other devices nothing does, and comparing would wait for the device.
    """
    return (
        resample_filter.device.type == "cpu"
        and resample_filter.shape == (4, 4)
        and torch.equal(resample_filter, fir_filter())
    )
