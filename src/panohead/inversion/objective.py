"""Objective of the optimization: distance between a generator's images and masks and those of the photos."""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.losses import Distance, ImageLoss
from panohead.inversion.photo import AlignedPhoto
from panohead.models.generator import Generator
from panohead.rendering.field import HeadField
from panohead.rendering.renderer import RayRendering


@torch.no_grad()
def empty_ray_color(generator: Generator, ws: Float[Tensor, "1 num_ws w_dim"]) -> Float[Tensor, "3 1 1"]:
    """Return the color of rays that hit nothing, in [-1, 1], for generators without a background."""
    side = generator.config.neural_rendering_resolution
    nothing = torch.zeros(1, side**2, 1, device=ws.device)  # batch ray 1: weight and depth of empty rays
    features = nothing.expand(-1, -1, generator.config.feature_channels)
    if generator.config.rendering.white_background:
        features = features + 1
    image = generator.finish(RayRendering(features, nothing, nothing), None, ws, superresolve=False).image_raw
    return image[0].mean(dim=(1, 2), keepdim=True).clamp(-1, 1)  # 3 height width -> 3 1 1


def compositing_color(generator: Generator) -> Float[Tensor, "3 1 1"] | None:
    """Return the color behind masked photos: that of the mean head's empty rays; None if there is a background."""
    if generator.background is not None:
        return None
    return empty_ray_color(generator, generator.mapping_network.w_avg.expand(1, generator.num_ws, -1))


class PhotoObjective:
    """Distance between renderings of a head and the photos.

    With a mask, a generator that has a background is compared mainly inside it (``background_weight`` outside), and one
    without is compared with the head on the color of its own empty rays. Without a mask all pixels count alike. What
    lies beyond a photo counts nowhere, neither in the image nor in the mask.

    Args:
        photos: aligned photos.
        loss: perceptual loss.
        empty: color of empty rays in [-1, 1]; None for a generator with a background.
        background_weight: weight of pixels outside the mask, 0 to 1.
        mask_weight: weight of the mask's mean absolute error.
        device: device of the generator.
    """

    def __init__(
        self,
        photos: Sequence[AlignedPhoto],
        loss: ImageLoss,
        *,
        empty: Float[Tensor, "3 1 1"] | None,
        background_weight: float = 0.1,
        mask_weight: float = 0.5,
        device: torch.device | str = "cpu",
    ) -> None:
        self.photos = photos
        self._mask_weight, self._empty, self._device = mask_weight, empty, device
        self._background_weight = background_weight
        self.targets: list[Tensor] = []
        self.weights: list[Tensor | None] = []
        self.masks = [None if p.mask is None else p.mask[None].to(device) for p in photos]
        self.inside = [None if p.inside is None else p.inside[None].to(device) for p in photos]
        for photo, mask, inside in zip(photos, self.masks, self.inside, strict=True):
            image = photo.image[None].to(device)
            weight = inside
            if inside is not None:
                image = (
                    image * inside
                )  # gray: what a crop is filled with must not matter, not even to windows at the edge
            if mask is not None and empty is not None:
                image = mask * image + (1 - mask) * empty  # over the color that the generator renders beside the head
            elif mask is not None:
                share = mask + (1 - mask) * background_weight
                weight = share if inside is None else share * inside
            self.targets.append(image)
            self.weights.append(weight)
        self._loss = loss
        self._distance = cache(self._distance_at)

    def of(self, photos: Sequence[AlignedPhoto]) -> "PhotoObjective":
        """Return the same objective for other photos."""
        return PhotoObjective(
            photos,
            self._loss,
            empty=self._empty,
            background_weight=self._background_weight,
            mask_weight=self._mask_weight,
            device=self._device,
        )

    def _distance_at(self, index: int, size: int) -> tuple[Distance, Tensor, Tensor | None]:
        target, weight = (_resized(x, size) for x in (self.targets[index], self.weights[index]))
        assert target is not None
        return self._loss.toward(target), target, weight

    def image_distance(self, index: int, image: Float[Tensor, "1 3 height width"]) -> Float[Tensor, ""]:
        """Return the distance of an image in [-1, 1] to a photo, pixels of less weight are blended with it first."""
        distance, target, weight = self._distance(index, image.shape[-1])
        return distance(image if weight is None else torch.lerp(target, image, weight))

    def mask_distance(self, index: int, mask: Float[Tensor, "1 1 height width"]) -> Float[Tensor, ""]:
        """Return the mean absolute difference of the masks in the photo; zero for a photo without one."""
        wanted, inside = (_resized(x, mask.shape[-1]) for x in (self.masks[index], self.inside[index]))
        if wanted is None:
            return mask.new_zeros(())
        if inside is None:
            return (mask - wanted).abs().mean()
        return ((mask - wanted).abs() * inside).sum() / inside.sum().clamp_min(1.0)

    def __call__(
        self,
        generator: Generator,
        field: HeadField,
        ws: Float[Tensor, "1 num_ws w_dim"],
        cameras: Sequence[Camera],
        resolution: int,
        *,
        superresolve: bool,
        ws_background: Float[Tensor, "photo num_ws w_dim"] | None = None,
        backgrounds: Sequence[Float[Tensor, "1 channel back_height back_width"] | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return means over the photos: image distance ("picture", as in stored logs), "mask", and their sum "photos".

        Args:
            generator: generator, possibly tuned.
            field: tri-grid of ``ws``.
            ws: ws of the head.
            cameras: camera of every photo, without batch dimension.
            resolution: rays per side.
            superresolve: compare after super-resolution; otherwise raw images.
            ws_background: ws of every photo's own background; None for those of the head.
            backgrounds: every photo's background features, where they stay the same; then ``ws_background`` is not
                read.
        """
        images, masks = [], []
        for i, camera in enumerate(cameras):
            view = generator.render_view(
                field,
                ws,
                camera,
                resolution=resolution,
                ws_background=None if ws_background is None else ws_background[i : i + 1],
                background=None if backgrounds is None else backgrounds[i],
                superresolve=superresolve,
            )
            images.append(self.image_distance(i, view.image))
            masks.append(self.mask_distance(i, view.mask))
        image, mask = torch.stack(images).mean(), torch.stack(masks).mean()  # photo -> scalar
        return {"photos": image + self._mask_weight * mask, "picture": image, "mask": mask}


def _resized(image: Tensor | None, size: int) -> Tensor | None:
    if image is None or image.shape[-1] == size:
        return image
    return F.interpolate(image, (size, size), mode="area" if size < image.shape[-1] else "bilinear")
