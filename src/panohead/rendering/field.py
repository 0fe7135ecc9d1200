"""The radiance field of a batch of heads: points to density and features."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panohead.rendering import trigrid_cpu
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.deformation import canonical_points
from panohead.rendering.trigrid import PANOHEAD_AXES, Interpolation, PlaneAxes, sample_trigrid


@runtime_checkable
class Field(Protocol):
    """Interface of the renderer: any callable from points (world units) to raw density and features.

    A field may also offer ``evaluate`` (cheaper features of another width) with ``finish`` (their composite to that of
    the features); see :class:`TriGridField`.
    """

    def __call__(
        self, points: Float[Tensor, "batch point 3"]
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]: ...


@dataclass(frozen=True)
class TriGridField:
    """A tri-grid with its decoder.

    Attributes:
        planes: three feature volumes per head.
        decoder: weights that turn features into density and color.
        box_warp: side of the box that the grid spans, world units.
        axes: world axes of each volume.
        interpolation: "trilinear", or "bilinear" for a true tri-plane.
        deformation: offsets from the world to the space of the planes (see :func:`canonical_points`); None for none.
        occupied: cells of the box (z y x) outside which renderers take no samples (see
            :func:`panohead.rendering.empty_space.find_empty_space`); None for all.
    """

    planes: Float[Tensor, "batch 3 channel depth height width"]
    decoder: DecoderWeights
    box_warp: float
    axes: PlaneAxes = PANOHEAD_AXES
    interpolation: Interpolation = "trilinear"
    deformation: Float[Tensor, "batch 3 size size size"] | None = None
    occupied: Bool[Tensor, "batch cells cells cells"] | None = None

    @property
    def heads(self) -> int:
        """Number of heads."""
        return len(self.planes)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors that can have a gradient."""
        decoder = self.decoder
        layers = decoder.hidden_weight, decoder.hidden_bias, decoder.output_weight, decoder.output_bias
        return self.planes, *layers, *(() if self.deformation is None else (self.deformation,))

    def select(self, heads: slice) -> "TriGridField":
        """Return the field of some heads of the batch."""
        deformation = None if self.deformation is None else self.deformation[heads]
        occupied = None if self.occupied is None else self.occupied[heads]
        planes = _Select.apply(self.planes, heads)
        return replace(self, planes=planes, deformation=deformation, occupied=occupied)

    def detach(self) -> "TriGridField":
        """Return the same field without gradients."""
        return replace(
            self,
            planes=self.planes.detach(),
            decoder=self.decoder.detach(),
            deformation=None if self.deformation is None else self.deformation.detach(),
        )

    def hidden(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point hidden"]:
        """Return hidden units of the decoder at the points (world units)."""
        return self.decoder.hidden(self.features(points))

    def features(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point channel"]:
        """Return tri-grid features at the points, by the compiled sampler where it serves."""
        if self.deformation is not None:
            points = canonical_points(points, self.deformation, self.box_warp)
        if trigrid_cpu.unsupported(self.planes, points, self.interpolation) is None:
            return trigrid_cpu.sample_trigrid_cpu(self.planes, points, box_warp=self.box_warp, axes=self.axes)
        return sample_trigrid(
            self.planes, points, box_warp=self.box_warp, axes=self.axes, interpolation=self.interpolation
        )

    def __call__(
        self, points: Float[Tensor, "batch point 3"]
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]:
        """Return raw density and color features at the points."""
        hidden = self.hidden(points)  # batch point hidden
        return self.decoder.density(hidden), self.decoder.color(hidden)

    def density(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point 1"]:
        """Return raw density alone: all that a mesh needs."""
        return self.decoder.density(self.hidden(points))

    @property
    def composites_hidden_units(self) -> bool:
        """True when the color layer can be applied after compositing (linear color activation)."""
        return self.decoder.activation == "none"

    def evaluate(
        self, points: Float[Tensor, "batch point 3"]
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point latent"]]:
        """Return density and what is to be composited: hidden units where that is exact, else color features."""
        hidden = self.hidden(points)
        return self.decoder.density(hidden), hidden if self.composites_hidden_units else self.decoder.color(hidden)

    def finish(
        self, latent: Float[Tensor, "batch ray latent"], weight_sum: Float[Tensor, "batch ray 1"]
    ) -> Float[Tensor, "batch ray channel"]:
        """Return color features from the composite of what ``evaluate`` returned."""
        return self.decoder.color_of_composite(latent, weight_sum) if self.composites_hidden_units else latent


@runtime_checkable
class PointNetwork(Protocol):
    """Interface of a network that is evaluated at every point, conditioned on a head's ws."""

    def density(
        self, points: Float[Tensor, "batch point 3"], ws: Float[Tensor, "batch num_ws w_dim"]
    ) -> Float[Tensor, "batch point 1"]:
        """Return raw density at points in world units."""

    def __call__(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"] | None,
        ws: Float[Tensor, "batch num_ws w_dim"],
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]:
        """Return raw density and color features; directions (unit length) point away from the camera."""


@dataclass(frozen=True)
class NetworkField:
    """Heads as a network of the point, and of the ray's direction: the implicit fields of the baselines.

    Attributes:
        network: the network, one for all heads.
        ws: what makes the heads differ.
        box_warp: side of the box in which the network is evaluated, world units.
    """

    network: PointNetwork
    ws: Float[Tensor, "batch num_ws w_dim"]
    box_warp: float
    deformation: ClassVar[None] = None

    @property
    def heads(self) -> int:
        """Number of heads."""
        return len(self.ws)

    def __call__(
        self, points: Float[Tensor, "batch point 3"], directions: Float[Tensor, "batch point 3"] | None = None
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]:
        """Return raw density and color features at the points; without directions, colors seen from nowhere."""
        return self.network(points, directions, self.ws)

    def density(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point 1"]:
        """Return raw density alone: all that a mesh needs."""
        return self.network.density(points, self.ws)


HeadField = TriGridField | NetworkField
"""The radiance field of a generator's heads."""


class _Select(torch.autograd.Function):
    """Some heads of a tri-grid. The gradient keeps the layout of memory, which that of indexing does not."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, heads: slice) -> Tensor:
        ctx.shape, ctx.strides, ctx.heads = planes.shape, planes.stride(), heads
        return planes[heads]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        whole = torch.empty_strided(ctx.shape, ctx.strides, dtype=grad.dtype, device=grad.device).zero_()
        whole[ctx.heads] = grad
        return whole, None
