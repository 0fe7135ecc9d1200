"""The generator (PanoHead section 3): from a latent and a camera to an image of a whole head.

:meth:`Generator.synthesis` is the method: w to tri-grid, tri-grid along rays to features, background behind them,
super-resolution to the image. :meth:`Generator.forward` puts mapping and camera self-adaptation before it, and
:meth:`Generator.render_view` is its second half, for a tri-grid that is rendered from many cameras.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.errors import UsageError
from panohead.geometry import Camera, rays_from_camera
from panohead.geometry.camera import translate_label
from panohead.models.backbone import BackboneNetwork, make_backbone
from panohead.models.background import Background, composite_over
from panohead.models.camera_alignment import CameraAlignment
from panohead.models.decoder import Decoder
from panohead.models.deformation import Deformation
from panohead.models.generator_config import GeneratorConfig
from panohead.models.implicit import ImplicitNetwork, SplitCodes, make_implicit
from panohead.models.superresolution import SuperResolution
from panohead.models.surface_detail import SurfaceDetail, with_detail
from panohead.models.surface_texture import SurfaceTexture
from panohead.ops import fast_paths
from panohead.randomness import NoiseMode, RenderRandomness
from panohead.rendering.deformation import canonical_points
from panohead.rendering.dispatch import prepare, render
from panohead.rendering.field import HeadField, NetworkField, TriGridField
from panohead.rendering.renderer import RayRendering
from panohead.rendering.trigrid import texel_order, unflatten_planes, unflatten_texels
from panohead.stylegan.mapping import MappingNetwork, Truncation
from panohead.stylegan.synthesis_layers import ToRGB

LABEL_DIM = 25


@dataclass(frozen=True)
class Rendering:
    """The generator's output for one camera per sample.

    Attributes:
        image: super-resolved image, about [-1, 1].
        image_raw: image at neural rendering resolution, before super-resolution, about [-1, 1].
        depth: distance along the unit ray, world units.
        mask: foreground weight as the discriminator gets it, about [-0.001, 1.001].
        features: the head's features before the background is added (premultiplied by the weight).
        weights: foreground weight as composited, [0, 1].
        camera_offset: translation by camera self-adaptation, world units; None from ``synthesis``.
    """

    image: Float[Tensor, "batch 3 out_height out_width"]
    image_raw: Float[Tensor, "batch 3 height width"]
    depth: Float[Tensor, "batch 1 height width"]
    mask: Float[Tensor, "batch 1 height width"]
    features: Float[Tensor, "batch channel height width"]
    weights: Float[Tensor, "batch 1 height width"]
    camera_offset: Float[Tensor, "batch 3"] | None = None


class Generator(nn.Module):
    """PanoHead's generator; with other settings EG3D's or a baseline's. Holds no state between calls.

    Attributes:
        num_ws: rows of ws that make a head.
        implicit: the network that is the heads' field, for the baselines (:mod:`panohead.models.implicit`); None for
            tri-grids.
        backbone, decoder: the networks of tri-grids; a generator with an implicit field has none.
    """

    backbone: BackboneNetwork
    decoder: Decoder
    dataset_label_std: Tensor | None

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.implicit: ImplicitNetwork | None = None
        if c.implicit is None:
            self.backbone = make_backbone(c)
        else:
            self.implicit = make_implicit(
                c.implicit, w_dim=c.w_dim, out_features=c.feature_channels, box_warp=c.rendering.box_warp
            )
        self.num_ws = self.backbone.num_ws if self.implicit is None else self.implicit.num_ws
        self.mapping_network = _mapping_network(c, self.num_ws)
        self.deformation = Deformation(c.deformation, c.deformation_rank, w_dim=c.w_dim) if c.deformation else None
        self.surface_texture = (
            SurfaceTexture(c.surface_texture, c.feature_channels, box_warp=c.rendering.box_warp, kind=c.surface_noise)
            if c.surface_texture
            else None
        )
        self.surface_detail = (
            SurfaceDetail(c.feature_channels, w_dim=c.w_dim, box_warp=c.rendering.box_warp, map_side=c.detail_map)
            if c.surface_detail
            else None
        )
        self.superresolution = SuperResolution(c.superresolution, in_channels=c.feature_channels, w_dim=c.w_dim)
        if c.implicit is None:
            self.decoder = Decoder(
                c.trigrid_channels,
                c.feature_channels,
                activation=c.decoder_activation,
                lr_multiplier=c.decoder_lr_multiplier,
            )
        self.torgb_raw = ToRGB(c.feature_channels, 3, w_dim=c.w_dim) if c.use_torgb_raw else None
        self.background = Background(c.background, w_dim=c.w_dim) if c.use_background else None
        self.camera_alignment = (
            CameraAlignment(c.z_dim, c.label_dim, num_layers=c.mapping_layers) if c.use_camera_alignment else None
        )
        # Carried by official checkpoints; read by nothing.
        self.register_buffer("dataset_label_std", torch.zeros(LABEL_DIM))

    def mapping(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch label_dim"],
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_w_avg: bool = False,
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Map latents and conditioning labels to ws.

        Args:
            z: standard normal.
            label: conditioning cameras, 25 numbers each.
            truncation_psi: 1 for full variety, 0 for the mean head.
            truncation_cutoff: number of first rows that are truncated; None for all.
            update_w_avg: move the running mean of w toward this batch (training).
        """
        return self.mapping_network(
            z,
            label * self.config.conditioning_scale,  # 0 hides the camera: an unconditional generator
            truncation=Truncation(truncation_psi, truncation_cutoff),
            update_w_avg=update_w_avg,
        )

    def align_camera(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch label_dim"],
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_w_avg: bool = False,
    ) -> Float[Tensor, "batch 3"]:
        """Return the translation of each head's camera by self-adaptation (PanoHead section 3.4), in world units.

        Zeros for a generator without it. Arguments as of :meth:`mapping`.
        """
        if self.camera_alignment is None:
            return label.new_zeros(label.shape[0], 3)
        return self.camera_alignment(
            z,
            label * self.config.conditioning_scale,
            truncation=Truncation(truncation_psi, truncation_cutoff),
            update_w_avg=update_w_avg,
        )

    def forward(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch 25"],
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        neural_rendering_resolution: int | None = None,
        noise_mode: NoiseMode = "const",
        ray_jitter: Float[Tensor, "batch ray sample"] | float | None = None,
        importance_u: Float[Tensor, "batch_ray fine"] | float | Literal["even"] | None = None,
        ws_background: Float[Tensor, "batch num_ws_background w_dim"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """Render latents: map, align the camera, synthesize.

        ``label`` both conditions and is rendered; other arguments as of :meth:`mapping` and :meth:`synthesis`.
        """
        # batch z_dim -> batch num_ws w_dim, and batch 3
        ws = self.mapping(z, label, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        offset = self.align_camera(z, label, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        rendering = self.synthesis(
            ws,
            translate_label(label, offset),
            neural_rendering_resolution=neural_rendering_resolution,
            noise_mode=noise_mode,
            ray_jitter=ray_jitter,
            importance_u=importance_u,
            ws_background=ws_background,
            generator=generator,
        )
        return replace(rendering, camera_offset=offset)

    def synthesis(
        self,
        ws: Float[Tensor, "batch num_ws w_dim"],
        label: Float[Tensor, "batch 25"],
        *,
        neural_rendering_resolution: int | None = None,
        noise_mode: NoiseMode = "const",
        ray_jitter: Float[Tensor, "batch ray sample"] | float | None = None,
        importance_u: Float[Tensor, "batch_ray fine"] | float | Literal["even"] | None = None,
        ws_background: Float[Tensor, "batch num_ws_background w_dim"] | None = None,
        density_noise: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """Render ws from the cameras in ``label``.

        Args:
            neural_rendering_resolution: rays per side; None takes the config's.
            noise_mode, ray_jitter, importance_u, generator: see :class:`RenderRandomness`.
            ws_background: another head's ws to take the background from.
            density_noise: standard deviation of the noise on raw densities; None takes the config's.
        """
        # One value, so that noise maps, rays and density noise draw from the same generator in a fixed order.
        randomness = RenderRandomness(
            noise_mode=noise_mode, ray_jitter=ray_jitter, importance_u=importance_u, generator=generator
        )
        return self.render_view(
            self.field(ws, randomness),
            ws,
            Camera.from_label(label),
            resolution=neural_rendering_resolution,
            randomness=randomness,
            ws_background=ws_background,
            density_noise=density_noise,
        )

    def render_view(
        self,
        field: HeadField,
        ws: Float[Tensor, "head num_ws w_dim"],
        camera: Camera,
        *,
        resolution: int | None = None,
        randomness: RenderRandomness | None = None,
        ws_background: Float[Tensor, "head num_ws_background w_dim"] | None = None,
        background: Float[Tensor, "head channel back_height back_width"] | None = None,
        density_noise: float | None = None,
        superresolve: bool = True,
    ) -> Rendering:
        """Render a field that is already there: rays, background, super-resolution. Differentiable in all tensors.

        ``synthesis(ws, label)`` is ``render_view(field(ws), ws, Camera.from_label(label))``.

        Args:
            field: heads of ``ws``, from :meth:`field`; :func:`panohead.rendering.dispatch.prepare` makes it faster
                to render repeatedly.
            camera: one per head; or, for a field of one head, any number of views, which share its tri-grid; or one
                camera without batch dimension.
            resolution: rays per side; None takes the config's.
            randomness: random numbers of rays and noise maps; None samples evenly (:meth:`RenderRandomness.even`).
            ws_background: another head's ws to take the background from; None takes ``ws``.
            background: features from :meth:`background_features`, where they are kept between views; then
                ``ws_background`` is not read.
            density_noise: standard deviation of the noise on raw densities; None takes the config's.
            superresolve: False returns the raw image as ``image`` (previews).

        Returns:
            One rendering per camera.

        Raises:
            ValueError: when there are several heads and another number of cameras.
        """
        randomness = RenderRandomness.even() if randomness is None else randomness
        resolution = self.config.neural_rendering_resolution if resolution is None else resolution
        camera = camera.expand(1) if camera.cam2world.ndim == 2 else camera
        foreground = self.render(
            field, camera, resolution, randomness, density_noise=density_noise, texture=superresolve
        )
        if background is None:
            background = self.background_features(ws if ws_background is None else ws_background, randomness)
        views = len(foreground.features)
        if views != len(ws):  # views of one head: 1 num_ws w_dim -> view num_ws w_dim
            ws = ws.expand(views, -1, -1)
            background = None if background is None else background.expand(views, -1, -1, -1)
        return self.finish(foreground, background, ws, superresolve=superresolve, randomness=randomness)

    def field(self, ws: Float[Tensor, "batch num_ws w_dim"], randomness: RenderRandomness | None = None) -> HeadField:
        """Return the heads themselves, all of them that views can share: tri-grids, or a baseline's network.

        Args:
            randomness: noise maps of the backbone; None takes the stored ones.
        """
        if self.implicit is not None:
            return NetworkField(self.implicit, ws, self.config.rendering.box_warp)
        return self.trigrid(ws, randomness)

    def trigrid(
        self, ws: Float[Tensor, "batch num_ws w_dim"], randomness: RenderRandomness | None = None
    ) -> TriGridField:
        """Return the heads as tri-grids (PanoHead section 3.3), for a generator without implicit field.

        Args:
            randomness: noise maps of the backbone; None takes the stored ones.
        """
        depth = self.config.trigrid_depth
        # batch plane*channel*slice height width -> batch 3 channel slice height width
        if torch.is_grad_enabled() and fast_paths.allowed() and ws.device.type == "cpu":
            # With the channels of a texel side by side in channels-last memory the compiled renderer copies nothing.
            order = texel_order(self.config.trigrid_channels, depth, device=ws.device)
            planes = unflatten_texels(self.backbone(ws, randomness=randomness, order=order), depth)
        else:
            planes = unflatten_planes(self.backbone(ws, randomness=randomness), depth)
        return TriGridField(
            planes,
            self.decoder.weights(),
            self.config.rendering.box_warp,
            self.config.plane_axes,
            self.config.interpolation,
            None if self.deformation is None else self.deformation(ws[:, 0]),
        )

    def require_trigrid(self, purpose: str) -> None:
        """Check that heads are tri-grids.

        Args:
            purpose: what needs them, the subject of the sentence.

        Raises:
            UsageError: for a generator with an implicit field.
        """
        if self.implicit is not None:
            raise UsageError(
                f"{purpose} works on tri-grids, but a network is this model's field (docs/baselines.md); "
                "give a checkpoint of PanoHead or EG3D"
            )

    def prepared_field(self, ws: Float[Tensor, "batch num_ws w_dim"]) -> HeadField:
        """Return :meth:`field` for views that follow: in the fastest memory layout, with its empty space found."""
        return prepare(self.field(ws), empty_cells=self.config.rendering.empty_cells)

    def render(
        self,
        field: HeadField,
        camera: Camera,
        resolution: int,
        randomness: RenderRandomness,
        *,
        density_noise: float | None = None,
        texture: bool = True,
    ) -> RayRendering:
        """Render the rays of ``resolution`` squared pixels: features, depth and weight of the foreground.

        Cameras and other arguments as of :meth:`render_view`.

        Args:
            texture: also what super-resolution and detail need of surfaces, for a generator with them.
        """
        config = self.config.rendering
        # Training fades the noise out (schedules.Scheduled.density_noise); the config's value is for other uses.
        if density_noise is not None:
            config = replace(config, density_noise=density_noise)
        origins, directions = rays_from_camera(camera, resolution)  # view ray 3
        views = len(origins)
        if views == field.heads:
            found = render(field, origins, directions, config, randomness)
            return self.textured(field, origins, directions, found, side=resolution) if texture else found
        if field.heads != 1:
            raise ValueError(f"{views} cameras do not fit a field of {field.heads} heads; give one camera a head")
        # Views of one head: their rays lie side by side in one sample, so that they share one tri-grid.
        rays = origins.flatten(0, 1)[None], directions.flatten(0, 1)[None]
        flat = render(field, *rays, config, randomness)
        flat = self.textured(field, *rays, flat, side=resolution) if texture else flat
        # 1 view*ray channel -> view ray channel
        features, depth, weight_sum = (
            x.unflatten(1, (views, -1))[0] for x in (flat.features, flat.depth, flat.weight_sum)
        )
        own, points = (None if x is None else x.unflatten(1, (views, -1))[0] for x in (flat.texture, flat.points))
        return RayRendering(features, depth, weight_sum, own, points)

    def textured(
        self,
        field: HeadField,
        origins: Float[Tensor, "batch ray 3"],
        directions: Float[Tensor, "batch ray 3"],
        found: RayRendering,
        *,
        side: int,
    ) -> RayRendering:
        """Return rendered rays with texture and points of the surfaces that they hit, for a generator that needs them.

        Args:
            side: rays per side of the square images or patches, row by row, that the rays form.
        """
        if self.surface_texture is None and self.surface_detail is None:
            return found
        points = self.surface_points(field, origins, directions, found)
        if self.surface_texture is not None:
            found = replace(found, texture=self.surface_texture(points, side) * found.weight_sum)
        return found if self.surface_detail is None else replace(found, points=points)

    def surface_points(
        self,
        field: HeadField,
        origins: Float[Tensor, "batch ray 3"],
        directions: Float[Tensor, "batch ray 3"],
        found: RayRendering,
    ) -> Float[Tensor, "batch ray 3"]:
        """Return where rays hit surfaces, in the space of the tri-grid (world units), without gradients."""
        # Where a surface lies is not to be learned from noise.
        points = (origins + found.depth * directions).detach()
        if field.deformation is None:
            return points
        return canonical_points(points, field.deformation.detach(), field.box_warp)

    def background_features(
        self, ws: Float[Tensor, "batch num_ws_background w_dim"], randomness: RenderRandomness | None = None
    ) -> Float[Tensor, "batch channel back_height back_width"] | None:
        """Return the 2-D background generator's features (PanoHead section 3.2); None for a generator without one.

        Args:
            randomness: noise maps of its layers; None takes the stored ones.
        """
        return None if self.background is None else self.background(ws, randomness=randomness)

    def finish(
        self,
        foreground: RayRendering,
        background: Float[Tensor, "batch channel back_height back_width"] | None,
        ws: Float[Tensor, "batch num_ws w_dim"],
        *,
        superresolve: bool = True,
        randomness: RenderRandomness | None = None,
    ) -> Rendering:
        """Turn rendered rays into images: add the background, read the raw image, super-resolve it.

        Args:
            foreground: rays of square images, row by row.
            superresolve: False returns the raw image as ``image`` (previews).
            randomness: noise maps of super-resolution, where its config asks for random ones.
        """
        resolution = round(foreground.features.shape[1] ** 0.5)
        # batch ray channel -> batch channel height width
        features, depth, weights = (
            rays.transpose(1, 2).unflatten(2, (resolution, resolution))
            for rays in (foreground.features, foreground.depth, foreground.weight_sum)
        )
        # Matches the official code: sigmoid colors move to [-1, 1] before the background is added, though they are
        # premultiplied (docs/reference.md 3.11).
        composed = features * 2 - 1 if self.config.decoder_activation == "sigmoid" else features
        if background is not None:
            composed = composite_over(composed, weights, background, antialias=self.config.superresolution.antialias)
        # batch channel height width -> batch 3 height width -> batch 3 out_height out_width
        image_raw = composed[:, :3] if self.torgb_raw is None else self.torgb_raw(composed, ws[:, -1], fused=False)
        if foreground.texture is not None:
            composed = composed + foreground.texture.transpose(1, 2).unflatten(2, (resolution, resolution))
        image = self.superresolution(image_raw, composed, ws, randomness=randomness) if superresolve else image_raw
        if superresolve and foreground.points is not None:
            image = with_detail(image, self.detail(foreground, ws, side=resolution, size=image.shape[-1]))
        return Rendering(
            image=image,
            image_raw=image_raw,
            depth=depth,
            mask=weights * 1.002 - 0.001,  # MipNeRF's stretched sigmoid, applied to the weight (docs/reference.md 3.11)
            features=features,
            weights=weights,
        )

    def detail(
        self, foreground: RayRendering, ws: Float[Tensor, "batch num_ws w_dim"], *, side: int, size: int
    ) -> Float[Tensor, "batch 1 size size"]:
        """Return the logarithm of the change of brightness by :class:`SurfaceDetail`, for a generator with it.

        Args:
            foreground: rays of square images or patches, row by row, with their points.
            side: rays per side.
            size: pixels per side.
        """
        assert self.surface_detail is not None
        assert foreground.points is not None
        rays = foreground.features, foreground.weight_sum, foreground.points
        return self.surface_detail(*rays, ws[:, -1], side=side, size=size)

    def query(
        self,
        points: Float[Tensor, "batch point 3"],
        ws: Float[Tensor, "batch num_ws w_dim"],
        *,
        noise_mode: NoiseMode = "const",
        generator: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]:
        """Return raw density (before softplus, without the renderer's crop) and color features at points.

        Args:
            points: world units.
            noise_mode, generator: see :class:`RenderRandomness`.
        """
        return self.field(ws, RenderRandomness(noise_mode=noise_mode, generator=generator))(points)


def _mapping_network(config: GeneratorConfig, num_ws: int) -> MappingNetwork | SplitCodes:
    """Return the network from z to ws; GRAF has none."""
    if config.implicit is not None and config.implicit.kind == "graf":
        return SplitCodes(config.z_dim, config.w_dim)
    return MappingNetwork(config.z_dim, config.label_dim, config.w_dim, num_ws=num_ws, num_layers=config.mapping_layers)
