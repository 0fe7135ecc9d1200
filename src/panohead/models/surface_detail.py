"""Detail added to images where surfaces are rough: noise on surfaces, as strong as hair of this kind varies.

Which strand of hair is where follows from nothing that the generator is told: a regression averages strands away, and a
discriminator that asks for them makes patterns of whatever super-resolution can amplify. How much colors vary, at which
width and along which direction, is known in every place, though, and is a smooth function that a regression learns (as
the variance of heteroscedastic regression, Kendall and Gal 2017). So the image is the expected color plus noise of the
expected strength. The noise belongs to places of the tri-grid's space and turns with the head. Not part of PanoHead
(off by default).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from panohead.models.detail_noise import DETAIL_CHANNELS, DETAIL_WIDTHS, DetailNoise
from panohead.stylegan.layers import FullyConnected

_HIDDEN = 48

_STRONGEST, _STRONGEST_TOGETHER = 0.3, 0.2
"""Limits of each strength and of the deviation of all channels together: heads unlike those of the training have no
blotches."""

_FACE_CENTER, _FACE_RADII = (0.0, 0.0, 0.15), (0.095, 0.115, 0.11)
"""An ellipsoid around the face in the tri-grid's space, where it lies alike in all heads, world units."""

_INVISIBLE = 0.004
"""Strength up to which no noise is read: less than half a level of 255."""


class SurfaceDetail(nn.Module):
    """Noise at points of space, and the network that says how strong each of its channels is.

    Args:
        channels: number of features of a ray.
        w_dim: width of w.
        box_warp: side of the rendered box, world units.
        map_side: texels per side of the map of where the noise is left out; 0 for no map.
    """

    left_out: Tensor | None

    def __init__(self, channels: int, *, w_dim: int, box_warp: float, map_side: int = 0) -> None:
        super().__init__()
        self.box_warp = box_warp
        self.noise = DetailNoise()
        self.of_place = FullyConnected(channels + 3, _HIDDEN)
        self.of_head = FullyConnected(w_dim, _HIDDEN, bias=False)
        self.hidden = FullyConnected(_HIDDEN, _HIDDEN, activation="lrelu")
        # Nothing before it is trained: less than is read.
        self.strength = FullyConnected(_HIDDEN, DETAIL_CHANNELS, bias_init=-8.0)
        # depth height width, in the tri-grid's space: 1 where there is no noise at all.
        self.register_buffer("left_out", torch.zeros(map_side, map_side, map_side) if map_side else None)

    def strengths(
        self,
        features: Float[Tensor, "head ray channel"],
        weights: Float[Tensor, "head ray 1"],
        points: Float[Tensor, "head ray 3"],
        w: Float[Tensor, "head w_dim"],
    ) -> Float[Tensor, "head ray noise_channel"]:
        """Return the deviation of the brightness's logarithm that each noise channel brings.

        Args:
            features: composited features, premultiplied by the weight.
            weights: foreground weight, [0, 1].
            points: where the rays hit surfaces, world units.
            w: code of the head.
        """
        place = torch.cat([features / weights.clamp_min(0.05), points * (2 / self.box_warp)], dim=2)
        hidden = self.of_place(place.flatten(0, 1)).unflatten(0, place.shape[:2]) + self.of_head(w)[:, None]
        hidden = self.hidden(F.leaky_relu(hidden, 0.2).flatten(0, 1))
        strengths = _STRONGEST * torch.sigmoid(self.strength(hidden)).unflatten(0, place.shape[:2])
        together = strengths.square().sum(dim=2, keepdim=True).sqrt()
        strengths = strengths * (_STRONGEST_TOGETHER / together).clamp(max=1) * beside_face(points)
        return strengths if self.left_out is None else strengths * (1 - self._read_map(points))

    def _read_map(self, points: Float[Tensor, "head ray 3"]) -> Float[Tensor, "head ray 1"]:
        assert self.left_out is not None
        at = (points * (2 / self.box_warp)).flatten(0, 1)[None, :, None, None]  # 1 point 1 1 3
        found = F.grid_sample(self.left_out[None, None], at, align_corners=False, padding_mode="border")
        return found.view(*points.shape[:2], 1)

    def forward(
        self,
        features: Float[Tensor, "head ray channel"],
        weights: Float[Tensor, "head ray 1"],
        points: Float[Tensor, "head ray 3"],
        w: Float[Tensor, "head w_dim"],
        *,
        side: int,
        size: int,
    ) -> Float[Tensor, "head 1 size size"]:
        """Return the logarithm of the factor by which the brightness of square images' pixels changes.

        Args:
            features, weights, points, w: as of :meth:`strengths`.
            side: rays per side of the images, row by row.
            size: pixels per side of the result.
        """
        strengths = self.strengths(features, weights, points, w) * weights
        of_pixels = rays_to_pixels(torch.cat([strengths, points], dim=2), side, size)
        strengths, points = of_pixels.split([DETAIL_CHANNELS, 3], dim=1)
        rough = strengths.detach().amax(dim=1) > _INVISIBLE
        return (strengths * self.noise_images(points, rough)).sum(dim=1, keepdim=True)

    def noise_images(
        self, points: Float[Tensor, "head 3 height width"], wanted: Bool[Tensor, "head height width"]
    ) -> Float[Tensor, "head channel height width"]:
        """Return the noise of pixels that show these points (world units); 0 where none is wanted.

        It fades where neighboring pixels are further apart on the surface than texels, as along outlines: sampled
        there, it would be a pattern of its own.
        """
        here, below, beside = points[:, :, :-1, :-1], points[:, :, 1:, :-1], points[:, :, :-1, 1:]
        apart = torch.maximum((below - here).square().sum(dim=1), (beside - here).square().sum(dim=1)).sqrt()
        # The last row and column have no next pixel; they take the values beside them.
        apart = F.pad(apart[:, None], (0, 1, 0, 1), mode="replicate")[:, 0]
        noise = points.new_zeros(*wanted.shape, DETAIL_CHANNELS)
        fade = 2.5 - apart[wanted][:, None] / points.new_tensor(DETAIL_WIDTHS)
        noise[wanted] = self.noise(points.permute(0, 2, 3, 1)[wanted]) * fade.clamp(0, 1)
        return noise.permute(0, 3, 1, 2)


def beside_face(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
    """Return 0 in the face, from brows to chin, and 1 a little away from it: no noise belongs there.

    Args:
        points: in the tri-grid's space, world units.
    """
    center, radii = points.new_tensor(_FACE_CENTER), points.new_tensor(_FACE_RADII)
    distance = ((points - center) / radii).square().sum(dim=-1, keepdim=True) - 1
    return (distance / 0.3).clamp(0, 1)


def with_detail(
    image: Float[Tensor, "head 3 height width"], detail: Float[Tensor, "head 1 height width"]
) -> Float[Tensor, "head 3 height width"]:
    """Return the image (-1 is black) with changed brightness.

    Args:
        detail: logarithm of the factors. So hair can be lighter by more than it can be darker, and never black.
    """
    return (image + 1) * detail.exp() - 1


def rays_to_pixels(
    of_rays: Float[Tensor, "head ray channel"], side: int, size: int
) -> Float[Tensor, "head channel size size"]:
    """Return what rays of square images (``side`` x ``side``, row by row) say, interpolated to pixels."""
    images = of_rays.transpose(1, 2).unflatten(2, (side, side))
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
