"""Volume rendering on a CPU with gradients: :mod:`panohead.rendering.fused_cpu` and its way back.

Nothing of the size of the hidden units ever leaves the cache. What is kept between the two ways is the depths of the
samples; the way back looks at them again, which is cheaper than to read what was stored. Ask :func:`unsupported` first.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

from panohead.ops.threads import cut, run
from panohead.rendering import fused_cpu
from panohead.rendering.field import TriGridField
from panohead.rendering.fused_cpu import _OPAQUE, _array, _grid, _layers, _ray_order
from panohead.rendering.hidden_compositing import CompositedHidden, composite_hidden

_LEAST_SAMPLES = 4
_PARTS = 16  # at most, of one head: sums over rays are added in an order that does not depend on the threads
_LEAST_RAYS = 64  # of a part


def unsupported(field: TriGridField, depth_samples: int, *others: Tensor) -> str | None:
    """Why this module cannot render the field, in a few words; None if it can. ``others``: rays, depths or noise."""
    if depth_samples < _LEAST_SAMPLES:
        return "too few samples"
    if not field.composites_hidden_units:
        return "hidden units cannot be composited"
    with torch.no_grad():
        return fused_cpu.unsupported(field, *others)


@dataclass(frozen=True)
class _Scene:
    """What has no gradient."""

    field: TriGridField  # without its tensors' gradients
    depths: Tensor
    u: Tensor
    noise: Tensor  # of both passes, the second in order of u; no samples for none
    crop: float


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
) -> tuple[Float32[Tensor, "batch ray hidden"], Float32[Tensor, "batch ray 1"], Float32[Tensor, "batch ray 1"]]:
    """Composited hidden units, depth (world units, clamped) and weight; differentiable in the field and the rays.

    Args:
        depths: of the first pass, at least 4 per ray and not decreasing along it; taken for constants.
        importance_u: quantiles of the second pass in [0, 1], in any order; None for one pass.
        coarse_noise, fine_noise: added to the raw densities of the samples of both passes.
        crop_margin: rim of the box (x and z) that is emptied, world units; 0 for none.
    """
    u = depths[..., :0] if importance_u is None else importance_u
    noise = depths[..., :0]
    if coarse_noise is not None:
        noise = coarse_noise
        if fine_noise is not None:
            u, order = u.sort(dim=-1)
            noise = torch.cat([noise, fine_noise.gather(-1, order)], dim=-1)
    planes = fused_cpu.texel_contiguous(field.planes)
    decoder = field.decoder
    layers = decoder.hidden_weight, decoder.hidden_bias, decoder.output_weight[0], decoder.output_bias[0]
    crop = field.box_warp / 2 - crop_margin if crop_margin > 0 else float("inf")
    scene = _Scene(field, depths.detach(), u.detach(), noise.detach(), crop)
    return _CompositeRays.apply(planes, *layers, ray_origins, ray_directions, scene)


def _rays(scene: _Scene, origins: Tensor, directions: Tensor, image: int) -> Any:
    from panohead.rendering.fused_cpu_kernels import Rays

    near, far = scene.depths.aminmax()
    given = (_array(x[image]) for x in (origins, directions, scene.depths, scene.u))
    return Rays(*given, *(np.float32(float(x)) for x in (scene.crop, near, far, _OPAQUE)))


class _CompositeRays(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        from panohead.rendering import fused_gradient_kernels as kernels

        *tensors, scene = inputs
        planes, hidden_weight, _, _, _, origins, directions = tensors
        batch, count, coarse = scene.depths.shape
        layer, density, _ = _layers(scene.field.decoder)
        composites = torch.empty(batch, count, layer.bias.size)
        depth, weight_sum = torch.empty(batch, count), torch.empty(batch, count)
        kept = torch.empty(batch, count, coarse + scene.u.shape[-1]), torch.empty(scene.noise.shape)

        def work(part: tuple[int, Any]) -> None:
            image, which = part
            kernels.forward(
                which, _rays(scene, origins, directions, image), _array(scene.noise[image]),
                _grid(planes[image], scene.field), layer, density, composites[image].numpy(),
                depth[image].numpy(), weight_sum[image].numpy(), kernels.Kept(*(x[image].numpy() for x in kept)),
            )  # fmt: skip

        run(work, _parts(batch, count))
        ctx.save_for_backward(*tensors, *kept)
        ctx.scene = scene
        ctx.set_materialize_grads(False)
        return composites[..., : hidden_weight.shape[0]].contiguous(), depth[..., None], weight_sum[..., None]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, depths, noise = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph of the gradient is wanted
            return *_plain_gradients(tensors, ctx.scene, depths, noise, grads, ctx.needs_input_grad), None
        return *_Back(tensors, ctx.scene, (depths, noise), grads).gradients(ctx.needs_input_grad), None


def _parts(batch: int, count: int) -> list[tuple[int, Any]]:
    order = _ray_order(count)
    pieces = cut(count, max(1, min(_PARTS, count // _LEAST_RAYS)))
    return [(image, order[start:end]) for image in range(batch) for start, end in pieces]


class _Back:
    """The way back: first rays to the gradient of every sample's features, then these to planes and rays."""

    def __init__(self, tensors: list[Tensor], scene: _Scene, kept: tuple[Tensor, ...], grads: Any) -> None:
        from panohead.rendering import fused_gradient_kernels as kernels

        self.kernels, self.scene, self.kept = kernels, scene, kept
        self.planes, self.hidden_weight, *_, self.origins, self.directions = (x.detach() for x in tensors)
        self.layer, self.density, _ = _layers(scene.field.decoder)
        batch, count, total = kept[0].shape
        width = self.layer.bias.size
        composites, depth, weight = grads
        hidden = self.hidden_weight.shape[0]
        zeros = torch.zeros(batch, count)
        self.pull = (
            torch.zeros(batch, count, width) if composites is None else F.pad(composites, (0, width - hidden)),
            zeros if depth is None else depth[..., 0],
            zeros if weight is None else weight[..., 0],
        )
        channels = self.planes.shape[2]
        self.sampled = torch.empty(batch, count, total, channels), torch.empty(batch, count, total, dtype=torch.bool)

    def gradients(self, needed: Any) -> list[Tensor | None]:
        """Of planes, decoder and rays."""
        decoder = self._decoder_gradients()
        planes = self._plane_gradients() if needed[0] else None
        rays = self._ray_gradients() if needed[5] or needed[6] else [None, None]
        return [planes, *decoder, *rays]

    def _kept(self, image: int) -> Any:
        return self.kernels.Kept(*(x[image].numpy() for x in self.kept))

    def _sampled(self, image: int) -> Any:
        return self.kernels.Sampled(*(x[image].numpy() for x in self.sampled))

    def _image(self, image: int) -> tuple[Any, Any, Any]:
        rays = _rays(self.scene, self.origins, self.directions, image)
        return rays, self._kept(image), _grid(self.planes[image], self.scene.field)

    def _decoder_gradients(self) -> list[Tensor]:
        width, hidden, channels = self.layer.bias.size, self.hidden_weight.shape[0], self.planes.shape[2]
        # As in _layers, the mean over the planes is the first layer's business.
        weight = _array(F.pad(self.hidden_weight / 3, (0, 0, 0, width - hidden)))
        parts = _parts(*self.kept[0].shape[:2])
        sums = [torch.zeros(len(parts), *shape) for shape in ((channels, width), (width,), (width,), (1,))]

        def work(part: int) -> None:
            image, which = parts[part]
            rays, kept, grid = self._image(image)
            self.kernels.backward(
                which, rays, kept, grid, self.layer, self.density, weight,
                self.kernels.Pull(*(_array(x[image]) for x in self.pull)),
                self.kernels.Decoded(*(x[part].numpy() for x in sums)), self._sampled(image),
            )  # fmt: skip

        run(work, list(range(len(parts))))
        in_weight, bias, density_weight, density_bias = (x.sum(dim=0) for x in sums)
        return [in_weight[:, :hidden].T / 3, bias[:hidden], density_weight[:hidden], density_bias[0]]

    def _plane_gradients(self) -> Tensor:
        batch, count, _ = self.kept[0].shape
        order = _ray_order(count)
        sums = torch.zeros(self.planes.permute(0, 1, 3, 4, 5, 2).shape).permute(0, 1, 5, 2, 3, 4)

        # One task owns one plane of one head: no two threads add to a texel, and the order is always the same.
        def work(part: tuple[int, int]) -> None:
            image, plane = part
            rays, kept, grid = self._image(image)
            grid = grid._replace(strides=(sums.stride(1), *sums.stride()[3:]))
            texels = sums[image].permute(0, 2, 3, 4, 1).reshape(-1).numpy()
            self.kernels.scatter(order, rays, kept, grid, self._sampled(image), plane, texels)

        run(work, [(image, plane) for image in range(batch) for plane in range(3)])
        return sums

    def _ray_gradients(self) -> list[Tensor]:
        origins, directions = torch.empty(self.origins.shape), torch.empty(self.directions.shape)

        def work(part: tuple[int, Any]) -> None:
            image, which = part
            rays, kept, grid = self._image(image)
            to = origins[image].numpy(), directions[image].numpy()
            self.kernels.pull_rays(which, rays, kept, grid, self._sampled(image), *to)

        run(work, _parts(*self.kept[0].shape[:2]))
        return [origins, directions]


def _plain_gradients(
    tensors: list[Tensor], scene: _Scene, depths: Tensor, noise: Tensor, grads: Any, needed: Any
) -> list[Tensor | None]:
    planes, hidden_weight, hidden_bias, density_weight, density_bias, origins, directions = tensors
    decoder = replace(
        scene.field.decoder,
        hidden_weight=hidden_weight,
        hidden_bias=hidden_bias,
        output_weight=density_weight[None],
        output_bias=density_bias[None],
    )
    field = replace(scene.field, planes=planes, decoder=decoder)
    points = (origins[:, :, None] + depths[..., None] * directions[:, :, None]).flatten(1, 2)
    empty = (points[..., [0, 2]].abs() > scene.crop).any(dim=-1).reshape(depths.shape)
    found: CompositedHidden = composite_hidden(
        field.features(points), decoder, depths, empty=empty, noise=noise if noise.numel() else None
    )
    pulled = [(x, pull) for x, pull in zip(found, grads, strict=True) if pull is not None]
    wanted = [x for x, need in zip(tensors, needed, strict=False) if need]
    results = iter(torch.autograd.grad([x for x, _ in pulled], wanted, [y for _, y in pulled], create_graph=True))
    return [next(results) if need else None for need in needed[: len(tensors)]]
