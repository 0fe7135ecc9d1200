"""The generator (paper section 3): from a latent and a camera to a picture of a whole head.

Read :meth:`Generator.synthesis` for the method: w to tri-grid, tri-grid along rays to features, background behind
them, super-resolution to the picture. :meth:`Generator.forward` puts mapping and camera self-adaptation first.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.geometry import Camera, rays_from_camera
from panohead.geometry.camera import translate_label
from panohead.models.background import Background, composite_over
from panohead.models.camera_alignment import CameraAlignment
from panohead.models.decoder import Decoder
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolution
from panohead.ops import fast_paths
from panohead.rendering.dispatch import render
from panohead.rendering.field import TriGridField
from panohead.rendering.renderer import RayRandomness, RayRendering
from panohead.rendering.trigrid import texel_order, unflatten_planes, unflatten_texels
from panohead.stylegan.mapping import MappingNetwork
from panohead.stylegan.synthesis import SynthesisConfig, SynthesisNetwork
from panohead.stylegan.synthesis_layers import NoiseMode, PixelNoise, ToRGB

LABEL_DIM = 25


@dataclass(frozen=True)
class Rendering:
    """What the generator makes of one camera per sample.

    Attributes:
        image: the super-resolved picture, about [-1, 1].
        image_raw: the picture at neural rendering resolution, before super-resolution, about [-1, 1].
        depth: distance along the unit ray, world units.
        mask: foreground weight, about [-0.001, 1.001] as the discriminator sees it.
        features: the head's features before the background is put behind them (premultiplied).
        weights: foreground weight as composited, [0, 1].
        camera_offset: translation found by the camera's self-adaptation; None from ``synthesis``.
    """

    image: Float[Tensor, "batch 3 out_height out_width"]
    image_raw: Float[Tensor, "batch 3 height width"]
    depth: Float[Tensor, "batch 1 height width"]
    mask: Float[Tensor, "batch 1 height width"]
    features: Float[Tensor, "batch channel height width"]
    weights: Float[Tensor, "batch 1 height width"]
    camera_offset: Float[Tensor, "batch 3"] | None = None


class Generator(nn.Module):
    """PanoHead's generator; with other settings EG3D's (see :class:`GeneratorConfig`). Holds no state between calls."""

    dataset_label_std: Tensor | None

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.backbone = SynthesisNetwork(c.backbone, w_dim=c.w_dim)
        self.mapping_network = MappingNetwork(
            c.z_dim, c.label_dim, c.w_dim, num_ws=self.backbone.num_ws, num_layers=c.mapping_layers
        )
        self.superresolution = SuperResolution(c.superresolution, in_channels=c.feature_channels, w_dim=c.w_dim)
        self.decoder = Decoder(
            c.trigrid_channels,
            c.feature_channels,
            activation=c.decoder_activation,
            lr_multiplier=c.decoder_lr_multiplier,
        )
        self.torgb_raw = ToRGB(c.feature_channels, 3, w_dim=c.w_dim) if c.use_torgb_raw else None
        self.background = Background(_background_config(c), w_dim=c.w_dim) if c.use_background else None
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
        """Latent and conditioning label to ws. Truncation: 1 for full variety, 0 for the mean head."""
        return self.mapping_network(
            z,
            label * self.config.conditioning_scale,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
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
        """Camera self-adaptation (paper section 3.3): the translation this head asks of its camera; zeros without."""
        if self.camera_alignment is None:
            return label.new_zeros(label.shape[0], 3)
        return self.camera_alignment(
            z,
            label * self.config.conditioning_scale,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
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
        importance_u: Float[Tensor, "batch_ray fine"] | float | None = None,
        ws_background: Float[Tensor, "batch num_ws_background w_dim"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """Latent and label to a picture: map, align the camera, synthesise. ``label`` conditions and is rendered."""
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
        importance_u: Float[Tensor, "batch_ray fine"] | float | None = None,
        ws_background: Float[Tensor, "batch num_ws_background w_dim"] | None = None,
        density_noise: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """ws to a picture from the cameras in ``label``.

        Args:
            neural_rendering_resolution: rays per side; None takes the config's.
            noise_mode: of the backbone's and the background's layers.
            ray_jitter, importance_u: the renderer's random numbers, see :class:`RayRandomness`.
            ws_background: another head's ws to take the background from.
            density_noise: None takes the config's.
            generator: source of all random numbers that are not given.
        """
        noise = PixelNoise(mode=noise_mode, generator=generator)
        randomness = RayRandomness(ray_jitter=ray_jitter, importance_u=importance_u, generator=generator)
        resolution = neural_rendering_resolution
        if resolution is None:
            resolution = self.config.neural_rendering_resolution

        field = self.field(ws, noise=noise)
        foreground = self.render(field, Camera.from_label(label), resolution, randomness, density_noise=density_noise)
        background = self.background_features(ws if ws_background is None else ws_background, noise=noise)
        return self.finish(foreground, background, ws, generator=generator)

    def field(self, ws: Float[Tensor, "batch num_ws w_dim"], *, noise: PixelNoise) -> TriGridField:
        """The head itself: w to a tri-grid (paper section 3.2). This is what can be kept between views."""
        depth = self.config.trigrid_depth
        if torch.is_grad_enabled() and fast_paths.allowed() and ws.device.type == "cpu":
            # With the channels of a texel side by side in channels-last memory the compiled renderer copies nothing.
            order = texel_order(self.config.trigrid_channels, depth, device=ws.device)
            planes = unflatten_texels(self.backbone(ws, noise=noise, order=order), depth)
        else:
            planes = unflatten_planes(self.backbone(ws, noise=noise), depth)
        return TriGridField(
            planes,
            self.decoder.weights(),
            self.config.rendering.box_warp,
            self.config.plane_axes,
            self.config.interpolation,
        )

    def render(
        self,
        field: TriGridField,
        camera: Camera,
        resolution: int,
        randomness: RayRandomness,
        *,
        density_noise: float | None = None,
    ) -> RayRendering:
        """Volume rendering: features, depth and weight along the rays of ``resolution`` squared pixels."""
        config = self.config.rendering
        if density_noise is not None:
            config = replace(config, density_noise=density_noise)
        origins, directions = rays_from_camera(camera, resolution)
        return render(field, origins, directions, config, randomness)

    def background_features(
        self, ws: Float[Tensor, "batch num_ws_background w_dim"], *, noise: PixelNoise
    ) -> Float[Tensor, "batch channel back_height back_width"] | None:
        """The 2-D background generator's features, or None for a generator without one."""
        return None if self.background is None else self.background(ws, noise=noise)

    def finish(
        self,
        foreground: RayRendering,
        background: Float[Tensor, "batch channel back_height back_width"] | None,
        ws: Float[Tensor, "batch num_ws w_dim"],
        *,
        superresolve: bool = True,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """Rays to pictures: put the background behind the head, read the raw picture, super-resolve it.

        Without ``superresolve`` (previews) the raw picture is returned as the picture.
        """
        resolution = round(foreground.features.shape[1] ** 0.5)
        features, depth, weights = (
            rays.transpose(1, 2).unflatten(2, (resolution, resolution))
            for rays in (foreground.features, foreground.depth, foreground.weight_sum)
        )
        # Sigmoid colours move to [-1, 1] before the background is added, though they are premultiplied (kept).
        composed = features * 2 - 1 if self.config.decoder_activation == "sigmoid" else features
        if background is not None:
            composed = composite_over(composed, weights, background, antialias=self.config.superresolution.antialias)
        image_raw = composed[:, :3] if self.torgb_raw is None else self.torgb_raw(composed, ws[:, -1], fused=False)
        image = self.superresolution(image_raw, composed, ws, generator=generator) if superresolve else image_raw
        return Rendering(
            image=image,
            image_raw=image_raw,
            depth=depth,
            mask=weights * 1.002 - 0.001,
            features=features,
            weights=weights,
        )

    def query(
        self,
        points: Float[Tensor, "batch point 3"],
        ws: Float[Tensor, "batch num_ws w_dim"],
        *,
        noise_mode: NoiseMode = "const",
        generator: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]:
        """Raw density (before softplus, without the renderer's crop) and colour features at points in world units."""
        return self.field(ws, noise=PixelNoise(mode=noise_mode, generator=generator))(points)


def _background_config(config: GeneratorConfig) -> SynthesisConfig:
    return replace(
        config.backbone,
        resolution=config.superresolution.input_resolution,
        image_channels=config.feature_channels,
        channel_base=config.backbone.channel_base // 2,
    )
