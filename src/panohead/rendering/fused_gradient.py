"""Volume rendering on a CPU with gradients: :mod:`panohead.rendering.fused_cpu` and its backward pass.

Nothing of the size of the hidden units ever leaves the cache. Only the depths of the samples are saved between the two
passes; the backward pass evaluates the samples again, which is cheaper than to write and read their hidden units.
Callers ask :func:`unsupported` first.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

from panohead.ops.cpu.jit import load_failure
from panohead.ops.cpu.threads import cut, run
from panohead.rendering import fused_cpu
from panohead.rendering.deformation import canonical_points
from panohead.rendering.empty_space import in_empty_space
from panohead.rendering.field import TriGridField
from panohead.rendering.fused_cpu import _array, _grid, _layers, _ray_order, opaque
from panohead.rendering.hidden_compositing import CompositedHidden, composite_hidden, differentiable_gradients
from panohead.rendering.trigrid import flat_texels, texel_contiguous

_KERNELS = "panohead.rendering.fused_gradient_kernels"
_MIN_SAMPLES = 4
_PARTS, _MIN_RAYS = 16, 64
"""Rays of one head are cut into at most so many parts, of at least so many rays, whatever the number of threads: sums
over them are then always added in the same order."""


def unsupported(field: TriGridField, depth_samples: int, *others: Tensor) -> str | None:
    """Return why this module cannot render the field, in a few words; None if it can.

    Args:
        depth_samples: number of samples of the first pass.
        others: rays, depths or noise.
    """
    if depth_samples < _MIN_SAMPLES:
        return "too few samples"
    if not field.composites_hidden_units:
        return "hidden units cannot be composited"
    with torch.no_grad():
        reason = fused_cpu.unsupported(field, *others)
    return load_failure(_KERNELS) if reason is None else reason


def composite_rays(
    field: TriGridField,
    ray_origins: Float32[Tensor, "batch ray 3"],
    ray_directions: Float32[Tensor, "batch ray 3"],
    depths: Float32[Tensor, "batch ray coarse"],
    importance_u: Float32[Tensor, "batch ray fine"] | None,
    *,
    coarse_noise: Float32[Tensor, "batch ray coarse"] | None = None,
    fine_noise: Float32[Tensor, "batch ray fine"] | None = None,
    crop_margin: float = 0.1,
) -> CompositedHidden:
    """Render hidden units, depth (clamped to the range of all samples) and weight of every ray.

    Differentiable in the field and the rays, twice by the plain formulation.

    Args:
        depths: distances of the first pass, at least 4 per ray and not decreasing along it; taken for constants.
        importance_u: quantiles of the second pass in [0, 1], in any order; None for one pass.
        coarse_noise, fine_noise: noise of the raw densities in both passes; both or none.
        crop_margin: rim of the box (x and z) that is emptied, world units; 0 for none.
    """
    u, noise = depths[..., :0] if importance_u is None else importance_u, depths[..., :0]
    if coarse_noise is not None:
        noise = coarse_noise
        if fine_noise is not None:  # the kernels sort u; every sample keeps its noise
            u, order = u.sort(dim=-1)
            noise = torch.cat([noise, fine_noise.gather(-1, order)], dim=-1)
    # |x| or |z| above it is empty (density.outside_crop)
    crop = field.box_warp / 2 - crop_margin if crop_margin > 0 else math.inf
    decoder = field.decoder
    layers = decoder.hidden_weight, decoder.hidden_bias, decoder.output_weight[0], decoder.output_bias[0]
    planes = texel_contiguous(field.planes)
    scene = _Scene(field, depths.detach(), u.detach(), noise.detach(), crop)
    rays = ray_origins, ray_directions
    return CompositedHidden(*_CompositeRays.apply(planes, *layers, *rays, field.deformation, scene))


@dataclass(frozen=True)
class _Scene:
    """Inputs without gradient. ``field`` is read for everything but its planes; no ``noise`` samples mean no noise."""

    field: TriGridField
    depths: Tensor
    u: Tensor
    noise: Tensor
    crop: float


class _Head(NamedTuple):
    """Arguments of the kernels for one head."""

    rays: Any
    grid: Any


def _heads(planes: Tensor, origins: Tensor, directions: Tensor, scene: _Scene) -> list[_Head]:
    from panohead.rendering.fused_cpu_kernels import Rays

    near, far = scene.depths.aminmax()
    limits = [np.float32(float(number)) for number in (scene.crop, near, far, opaque(scene.field))]
    arrays = [_array(x) for x in (origins, directions, scene.depths, scene.u)]
    return [_Head(Rays(*(x[i] for x in arrays), *limits), _grid(planes[i], scene.field, i)) for i in range(len(planes))]


def _parts(batch: int, count: int) -> list[tuple[int, Any]]:
    """Tasks: pairs of a head and some of its rays."""
    order = _ray_order(count)
    pieces = cut(count, max(1, min(_PARTS, count // _MIN_RAYS)))
    return [(image, order[start:end]) for image in range(batch) for start, end in pieces]


class _CompositeRays(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        from panohead.rendering import fused_gradient_kernels as kernels

        *tensors, scene = inputs
        planes, hidden_weight, _, _, _, origins, directions, _ = tensors
        batch, count, coarse = scene.depths.shape  # head ray sample
        layer, density, _ = _layers(scene.field.decoder)
        composites = torch.empty(batch, count, layer.bias.size)
        depth, weight_sum = torch.empty(batch, count), torch.empty(batch, count)
        # depths and noise of all samples in order of depth: all that the backward pass needs besides the inputs
        saved = torch.empty(batch, count, coarse + scene.u.shape[-1]), torch.empty(scene.noise.shape)
        heads, noise = _heads(planes, origins, directions, scene), _array(scene.noise)
        results = [x.numpy() for x in (composites, depth, weight_sum)]

        def work(part: tuple[int, Any]) -> None:
            image, which = part
            rays, grid = heads[image]
            to = [x[image] for x in results]
            kernels.forward(which, rays, noise[image], grid, layer, density, *to, _saved(saved, image))

        run(work, _parts(batch, count))
        ctx.save_for_backward(*tensors, *saved)
        ctx.scene = scene
        ctx.set_materialize_grads(False)
        return composites[..., : hidden_weight.shape[0]].contiguous(), depth[..., None], weight_sum[..., None]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, depths, noise = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph of the gradient is wanted
            again = _composite_plainly(tensors, ctx.scene, depths, noise)
            return *differentiable_gradients(again, grads, tensors, ctx.needs_input_grad), None
        back = _Backward([None if x is None else x.detach() for x in tensors], ctx.scene, (depths, noise))
        sums = back.decoder_gradients(grads)
        planes = back.plane_gradients() if ctx.needs_input_grad[0] else None
        rays: tuple[Tensor | None, ...] = (None, None, None)
        if any(ctx.needs_input_grad[5:8]):
            deformed = ctx.scene.field.deformation is not None
            rays = back.deformed_gradients() if deformed else (*back.ray_gradients(), None)
        return planes, *sums, *rays, None


def _saved(saved: tuple[Tensor, ...], image: int) -> Any:
    from panohead.rendering.fused_gradient_kernels import ForwardCache

    return ForwardCache(*(x[image].numpy() for x in saved))


class _Backward:
    """The backward pass: first to the decoder and to every sample's features, then from these to planes and rays."""

    def __init__(self, tensors: list[Any], scene: _Scene, saved: tuple[Tensor, Tensor]) -> None:
        from panohead.rendering import fused_gradient_kernels as kernels

        self.kernels, self.scene, self.saved = kernels, scene, saved
        self.planes, self.hidden_weight, *_, self.origins, self.directions, self.deformation = tensors
        self.batch, self.count, self.total = saved[0].shape
        self.heads = _heads(self.planes, self.origins, self.directions, scene)
        self.parts = _parts(self.batch, self.count)
        # gradients of the samples' features, head ray sample channel, and which samples were evaluated
        features = torch.empty(self.batch, self.count, self.total, self.planes.shape[2])
        live = torch.empty(self.batch, self.count, self.total, dtype=torch.bool)
        self.sampled = [kernels.Sampled(features[i].numpy(), live[i].numpy()) for i in range(self.batch)]

    def decoder_gradients(self, grads: tuple[Tensor | None, ...]) -> list[Tensor]:
        """Return the gradients of the first layer's weight and bias and of the density's."""
        layer, density, _ = _layers(self.scene.field.decoder)
        width, (hidden, channels) = layer.bias.size, self.hidden_weight.shape
        padding = width - hidden
        # As in _layers, the first layer takes the mean over the three planes.
        weight = _array(F.pad(self.hidden_weight / 3, (0, 0, 0, padding)))
        widths = hidden, 1, 1
        grads_in = [
            torch.zeros(self.batch, self.count, n) if x is None else x for n, x in zip(widths, grads, strict=True)
        ]
        grads_in = [
            _array(F.pad(grads_in[0], (0, padding))),
            _array(grads_in[1][..., 0]),
            _array(grads_in[2][..., 0]),
        ]
        sums = [torch.zeros(len(self.parts), *shape) for shape in ((channels, width), (width,), (width,), (1,))]

        def work(number: int) -> None:
            image, which = self.parts[number]
            rays, grid = self.heads[image]
            self.kernels.backward(
                which, rays, _saved(self.saved, image), grid, layer, density, weight,
                self.kernels.OutputGradients(*(x[image] for x in grads_in)),
                self.kernels.DecoderGradients(*(x[number].numpy() for x in sums)), self.sampled[image],
            )  # fmt: skip

        run(work, list(range(len(self.parts))))
        # Partial sums of the tasks, always added in the same order.
        in_weight, bias, density_weight, density_bias = (x.sum(dim=0) for x in sums)
        return [in_weight[:, :hidden].T / 3, bias[:hidden], density_weight[:hidden], density_bias[0]]

    def plane_gradients(self) -> Tensor:
        """Gradient of the tri-grid, in its layout of memory."""
        strides, order = self.planes.stride(), _ray_order(self.count)
        planes = torch.empty_strided(self.planes.shape, strides).zero_()

        # One task owns one plane of one head: no two threads add to a texel, and the order is always the same.
        def work(part: tuple[int, int]) -> None:
            image, plane = part
            rays, grid = self.heads[image]
            to = flat_texels(planes[image])
            self.kernels.scatter(order, rays, _saved(self.saved, image), grid, self.sampled[image], plane, to)

        run(work, [(image, plane) for image in range(self.batch) for plane in range(3)])
        return planes

    def ray_gradients(self) -> tuple[Tensor, Tensor]:
        """Return the gradients of origins and directions."""
        results = torch.empty(self.batch, self.count, 3), torch.empty(self.batch, self.count, 3)

        def work(part: tuple[int, Any]) -> None:
            image, which = part
            rays, grid = self.heads[image]
            to = [x[image].numpy() for x in results]
            self.kernels.ray_gradients(which, rays, _saved(self.saved, image), grid, self.sampled[image], *to)

        run(work, self.parts)
        return results

    def deformed_gradients(self) -> tuple[Tensor, ...]:
        """Return the gradients of origins, directions and deformation: the kernels', carried on by PyTorch's."""
        moved = torch.empty(self.batch, self.count, self.total, 3)

        def work(part: tuple[int, Any]) -> None:
            image, which = part
            rays, grid = self.heads[image]
            self.kernels.point_gradients(
                which, rays, _saved(self.saved, image), grid, self.sampled[image], moved[image].numpy()
            )

        run(work, self.parts)
        inputs = [x.detach().requires_grad_() for x in (self.origins, self.directions, self.deformation)]
        origins, directions, deformation = inputs
        with torch.enable_grad():
            points = origins[:, :, None] + self.saved[0][..., None] * directions[:, :, None]  # head ray sample 3
            places = canonical_points(points.flatten(1, 2), deformation, self.scene.field.box_warp)
        return torch.autograd.grad(places, inputs, moved.flatten(1, 2))


def _composite_plainly(tensors: list[Any], scene: _Scene, depths: Tensor, noise: Tensor) -> CompositedHidden:
    """Composite the samples of the forward pass again, by operations that have gradients of any order.

    Args:
        tensors: those of the forward pass; the last one, the deformation, may be None.
    """
    planes, hidden_weight, hidden_bias, density_weight, density_bias, origins, directions, deformation = tensors
    decoder = replace(
        scene.field.decoder,
        hidden_weight=hidden_weight,
        hidden_bias=hidden_bias,
        output_weight=density_weight[None],
        output_bias=density_bias[None],
    )
    # batch ray sample 3 -> batch ray*sample 3
    points = (origins[:, :, None] + depths[..., None] * directions[:, :, None]).flatten(1, 2)
    features = replace(scene.field, planes=planes, decoder=decoder, deformation=deformation).features(points)
    # batch ray*sample -> batch ray sample
    empty = (points[..., [0, 2]].abs() > scene.crop).any(dim=-1).reshape(depths.shape)
    occupied = scene.field.occupied
    if occupied is not None:
        empty = empty | in_empty_space(points, occupied, scene.field.box_warp).reshape(depths.shape)
    return composite_hidden(features, decoder, depths, empty=empty, noise=noise if noise.numel() else None)
