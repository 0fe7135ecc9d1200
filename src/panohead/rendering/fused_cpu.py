"""Volume rendering on a CPU in one pass per ray: both passes of samples, decoder and compositing within the cache.

The plain formulation, :func:`panohead.rendering.renderer.render_rays`, writes every feature of every sample to memory
several times; here only the composited ray leaves the kernel. Besides, samples that the crop empties, in space known to
be empty and behind something opaque are never evaluated, the second pass reuses the samples of the first, and with a
linear decoder the color layer is applied once per ray. Callers ask :func:`unsupported` first.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor

from panohead.ops.cpu.jit import available, load_failure
from panohead.ops.cpu.threads import cut, run
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.field import TriGridField
from panohead.rendering.trigrid import flat_texels, texel_contiguous

_KERNELS = "panohead.rendering.fused_cpu_kernels"
CHANNEL_MULTIPLE = 16
"""Channels of a texel are a multiple of this: whole vectors, whatever the machine's vector length."""

_OPAQUE = 16.2
"""Optical depth taken for opaque: e^-16.2 = 9e-8 of the light passes, less than float32's rounding of 1 (1.2e-7)."""

_NEARLY_OPAQUE = 9.0
"""The same where empty space is approximated too: e^-9 = 1.2e-4 of the light passes, far less than a level of 255."""

_TILE = 8  # rays of an image per side that are rendered together, so that their texels stay in the cache
_PIECES = 8  # parts of the work per thread: some rays end early, so equal parts are not equal work


def unsupported(field: TriGridField, *others: Tensor) -> str | None:
    """Return why this module cannot render the field, in a few words; None if it can.

    Args:
        others: rays, depths or points.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return "the model is being traced"
    tensors = (*field.tensors, *others)
    if any(tensor.device.type != "cpu" for tensor in tensors):
        return "not on a CPU"
    if any(tensor.dtype != torch.float32 for tensor in tensors):
        return "not float32"
    if field.planes.shape[2] % CHANNEL_MULTIPLE:
        return f"channels are not a multiple of {CHANNEL_MULTIPLE}"
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return "gradients are wanted"
    # Last: other devices need not wait for numba's import.
    return "numba is not installed" if not available() else load_failure(_KERNELS)


@torch.no_grad()
def render_rays(
    field: TriGridField,
    ray_origins: Float32[Tensor, "batch ray 3"],
    ray_directions: Float32[Tensor, "batch ray 3"],
    depths: Float32[Tensor, "batch ray coarse"],
    importance_u: Float32[Tensor, "batch ray fine"] | None,
    *,
    crop_margin: float = 0.1,
) -> tuple[Float32[Tensor, "batch ray channel"], Float32[Tensor, "batch ray 1"], Float32[Tensor, "batch ray 1"]]:
    """Render features (premultiplied), depth (clamped to the range of all samples) and weight of every ray.

    The result does not depend on the number of threads. It differs from the plain renderer by rounding: samples behind
    an optical depth of 16 are left out, and so is the color of cropped samples, whose weight is zero as long as no raw
    density beside them exceeds 800.

    Args:
        depths: distances of the first pass, at least 4 per ray and not decreasing along it.
        importance_u: quantiles of the second pass in [0, 1], in any order; None or no samples for one pass.
        crop_margin: rim of the box (x and z) that is emptied, world units; 0 for none.

    Raises:
        ValueError: for fewer than 4 depths per ray.
    """
    from panohead.rendering import fused_cpu_kernels as kernels

    batch, count, coarse = depths.shape  # batch ray sample
    if coarse < 4:
        raise ValueError(f"the renderer needs at least 4 samples per ray, not {coarse}")
    u = depths[..., :0] if importance_u is None else importance_u
    limit = field.box_warp / 2 - crop_margin if crop_margin > 0 else math.inf
    near, far = depths.aminmax()  # depth is clamped to the range of the whole batch, as by compositing.clamp_depth
    limits = tuple(np.float32(float(number)) for number in (limit, near, far, opaque(field)))
    activation = {"none": kernels.LINEAR, "sigmoid": kernels.SIGMOID, "lrelu": kernels.LEAKY}[field.decoder.activation]
    layer, density, color = _layers(field.decoder)
    # batch ray hidden (linear decoder) or batch ray color, widths rounded up to whole panels
    composites = torch.empty(batch, count, (layer if activation == kernels.LINEAR else color).bias.size)
    ray_depths, weight_sum = torch.empty(batch, count), torch.empty(batch, count)
    planes, order = texel_contiguous(field.planes), _ray_order(count)

    def work(part: tuple[int, tuple[int, int]]) -> None:
        image, (start, end) = part
        given = (_array(rays[image]) for rays in (ray_origins, ray_directions, depths, u))
        grid = _grid(planes[image], field, image)
        kernels.render(
            order[start:end], kernels.Rays(*given, *limits), grid, layer, density, activation, color,
            composites[image].numpy(), ray_depths[image].numpy(), weight_sum[image].numpy(),
        )  # fmt: skip

    run(work, [(image, part) for image in range(batch) for part in _pieces(count, _TILE**2)])
    depth, weight_sum = ray_depths[..., None], weight_sum[..., None]
    # The padding off; the color layer once per ray.
    if activation == kernels.LINEAR:
        hidden = composites[..., : field.decoder.hidden_bias.shape[0]]
        return field.decoder.color_of_composite(hidden, weight_sum), depth, weight_sum
    return composites[..., : field.decoder.output_bias.shape[0] - 1].contiguous(), depth, weight_sum


def opaque(field: TriGridField) -> float:
    """Return the optical depth behind which no sample of this field counts."""
    return _OPAQUE if field.occupied is None else _NEARLY_OPAQUE


@torch.no_grad()
def query_density(field: TriGridField, points: Float32[Tensor, "batch point 3"]) -> Float32[Tensor, "batch point 1"]:
    """Return raw density at the points (world units), as ``field.density``; nothing is cropped.

    Fast where consecutive points are near each other: the tri-grid does not fit a cache.
    """
    from panohead.rendering import fused_cpu_kernels as kernels

    batch, count, _ = points.shape
    layer, density, _ = _layers(field.decoder)
    densities = torch.empty(batch, count)
    planes = texel_contiguous(field.planes)

    def work(part: tuple[int, tuple[int, int]]) -> None:
        image, (start, end) = part
        grid, target = _grid(planes[image], field, image), densities[image].numpy()
        kernels.query(_array(points[image]), start, end, grid, layer, density, target)

    run(work, [(image, part) for image in range(batch) for part in _pieces(count, kernels.BLOCK)])
    return densities[..., None]


def _grid(planes: Float[Tensor, "3 channel depth height width"], field: TriGridField, image: int) -> Any:
    """Return one head's texels and its deformation for the kernels."""
    from panohead.rendering.fused_cpu_kernels import Grid

    strides, offsets, cells = planes.stride(), torch.zeros(1), 0
    if field.deformation is not None:
        # x y z slice row column -> slice row column (x y z), in grid coordinates
        offsets = (field.deformation[image] * (2 / field.box_warp)).permute(1, 2, 3, 0).flatten()
        cells = field.deformation.shape[-1] - 1
    occupied = torch.zeros(1, dtype=torch.bool) if field.occupied is None else field.occupied[image].flatten()
    return Grid(
        texels=flat_texels(planes),
        strides=(strides[0], *strides[2:]),
        sizes=tuple(planes.shape[2:]),
        axes=tuple(axis for plane in field.axes for axis in plane),
        flat=field.interpolation == "bilinear",
        scale=np.float32(2 / field.box_warp),
        offsets=_array(offsets),
        cells=cells,
        occupied=_array(occupied),
        boxes=0 if field.occupied is None else field.occupied.shape[-1],
    )


def _layers(decoder: DecoderWeights) -> tuple[Any, Any, Any]:
    """Return the decoder for the kernels: first layer, density, color layer.

    The first layer also takes the mean over the three planes. Widths are rounded up to whole panels with zeros.
    """
    from panohead.ops.cpu.simd import PANEL
    from panohead.rendering.fused_cpu_kernels import DensityRow, PackedLayer

    bias = decoder.hidden_bias
    output_weight = F.pad(decoder.output_weight, (0, -bias.shape[0] % PANEL))
    output_bias = decoder.output_bias
    return (
        # / 3: the kernels sum over the planes.
        PackedLayer(_panels(decoder.hidden_weight / 3), _array(F.pad(bias, (0, -bias.shape[0] % PANEL)))),
        DensityRow(_array(output_weight[0]), np.float32(output_bias[0].item())),
        PackedLayer(
            _panels(output_weight[1:]), _array(F.pad(output_bias[1:], (0, -(output_bias.shape[0] - 1) % PANEL)))
        ),
    )


def _panels(weight: Float[Tensor, "output input"]) -> Float32[np.ndarray, "panel input lane"]:
    """Return a layer's weight, laid out for ``multiply_block``."""
    from panohead.ops.cpu.simd import PANEL

    padded = F.pad(weight, (0, 0, 0, -weight.shape[0] % PANEL))  # panel*lane input
    # panel*lane input -> panel lane input -> panel input lane
    return _array(padded.unflatten(0, (-1, PANEL)).transpose(1, 2))


def _array(tensor: Tensor) -> Any:
    """Return a contiguous array for the kernels."""
    return tensor.detach().contiguous().numpy()


def _ray_order(count: int) -> Any:
    """Order rays by tiles if they may be those of a square image: then neighbors in both directions share texels."""
    side = math.isqrt(count)
    if side * side != count:
        return np.arange(count)
    # By tile row, tile column, row, column.
    row, column = np.divmod(np.arange(count), side)
    return np.lexsort((column, row, column // _TILE, row // _TILE))


def _pieces(count: int, least: int) -> list[tuple[int, int]]:
    """Return parts of the work for all threads, none much smaller than ``least`` rays or points."""
    threads = torch.get_num_threads()
    return cut(count, 1 if threads == 1 else max(1, min(_PIECES * threads, count // least)))
