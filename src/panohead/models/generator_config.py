"""Configuration of the generator, stored as JSON in its checkpoint."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from panohead.limits import NumberRange
from panohead.models.implicit.config import ImplicitFieldConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.models.surface_noise import NoiseKind
from panohead.rendering.decoder_mlp import ColorActivation
from panohead.rendering.renderer import RenderConfig
from panohead.rendering.trigrid import PANOHEAD_AXES, Interpolation, PlaneAxes
from panohead.stylegan.alias_free_schedule import MIN_RESOLUTION, AliasFreeConfig
from panohead.stylegan.synthesis import BlockConfig, SynthesisConfig
from panohead.system.bounds import Bounded, Layers, NotNegative, OutOfRange, Side, Width

Backbone = Literal["stylegan2", "stylegan3", "stylegan3_r"]
"""Networks that make the tri-grid: StyleGAN2's, and StyleGAN3's alias-free ones of config T and R."""
MAX_TRIGRID_ENTRIES = 2**26
"""Numbers of a tri-grid; the paper's has 1.9e7."""
MAX_SAMPLES = 2**26
"""Samples of all rays of an image; the paper's model with 512 x 512 rays has 2.5e7."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(Bounded):
    """Configuration of a generator (docs/reference.md 3.1). The defaults are the paper's 512-pixel model.

    Attributes:
        z_dim, label_dim, w_dim: widths of the latent, the conditioning label and w.
        mapping_layers: layers of the mapping network and of camera self-adaptation.
        conditioning_scale: factor of the label before conditioning; 0 for an unconditional generator.
        trigrid_resolution, trigrid_depth, trigrid_channels: size of each of the three feature volumes.
        plane_axes, interpolation: "bilinear" with EG3D's axes and depth 1 is the true tri-plane.
        feature_channels: width of the rendered feature image; the first three channels are the raw colors without
            ``use_torgb_raw``.
        decoder_activation: activation of the color features.
        backbone: network that makes the tri-grid; the paper's is StyleGAN2's.
        decoder_lr_multiplier: learning-rate multiplier of the decoder's layers.
        neural_rendering_resolution: rays per side unless a call says otherwise.
        channel_base, channel_max: a block at resolution r has min(channel_base // r, channel_max) channels; the
            background network has half the base.
        num_fp16_resolutions: number of highest resolutions of backbone and background in half precision on CUDA; the
            alias-free backbones compute in single precision.
        block: settings of the blocks of StyleGAN2's backbone and of the background.
        position_maps: give the backbone learned maps of positions, see :class:`SynthesisConfig`; not in the paper.
        deformation: points per side of the grid of offsets that deforms space, see :class:`Deformation`; 0 for none
            (the paper's).
        deformation_rank: number of directions in which heads deform.
        surface_texture: channels of noise on surfaces that super-resolution gets, see :class:`SurfaceTexture`; 0 for
            none (the paper's).
        surface_noise: its kind: ``strands`` (grain, and lines on which hair falls) or ``planes``, the first one.
        surface_detail: add noise of learned strength to images where surfaces are rough, see :class:`SurfaceDetail`;
            not in the paper.
        detail_map: texels per side of a map of where that noise is left out, as where a photo shows the head; 0 for
            none.
        rendering: sampling of rays.
        superresolution: configuration of the super-resolution network.
        use_torgb_raw: read the raw image from the features by a modulated 1x1 convolution.
        use_background: generate a 2-D background.
        use_camera_alignment: predict a camera translation per head (camera self-adaptation).
        implicit: heads as a network of the point instead of a tri-grid, for the baselines pi-GAN, GRAF and StyleSDF
            (docs/baselines.md); None for tri-grids. With it nothing of the tri-grid and the backbone is read.
    """

    z_dim: Width = 512
    label_dim: Annotated[int, NumberRange(0, 1024)] = 25
    w_dim: Width = 512
    mapping_layers: Layers = 2
    conditioning_scale: Annotated[float, NumberRange(-1e6, 1e6)] = 1.0
    trigrid_resolution: Annotated[int, NumberRange(4, 1024)] = 256
    trigrid_depth: Annotated[int, NumberRange(1, 64)] = 3
    trigrid_channels: Annotated[int, NumberRange(1, 256)] = 32
    plane_axes: PlaneAxes = PANOHEAD_AXES
    interpolation: Interpolation = "trilinear"
    feature_channels: Annotated[int, NumberRange(1, 1024)] = 32
    decoder_activation: ColorActivation = "none"
    decoder_lr_multiplier: NotNegative = 1.0
    neural_rendering_resolution: Side = 64
    channel_base: Annotated[int, NumberRange(1, 2**20)] = 32768
    channel_max: Width = 512
    num_fp16_resolutions: Layers = 0
    backbone: Backbone = "stylegan2"
    block: BlockConfig = field(default_factory=BlockConfig)
    position_maps: bool = False
    deformation: Annotated[int, NumberRange(0, 64)] = 0
    deformation_rank: Annotated[int, NumberRange(1, 1024)] = 64
    surface_texture: Annotated[int, NumberRange(0, 64)] = 0
    surface_noise: NoiseKind = "planes"
    surface_detail: bool = False
    detail_map: Annotated[int, NumberRange(0, 128)] = 0
    rendering: RenderConfig = field(default_factory=RenderConfig)
    superresolution: SuperResolutionConfig = field(default_factory=SuperResolutionConfig)
    use_torgb_raw: bool = True
    use_background: bool = True
    use_camera_alignment: bool = True
    implicit: ImplicitFieldConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        entries = 3 * self.trigrid_resolution**2 * self.trigrid_depth * self.trigrid_channels
        samples = self.rendering.depth_samples + self.rendering.importance_samples
        if self.backbone != "stylegan2":
            self._check_alias_free()
        self._check_implicit()
        if self.deformation == 1:
            raise OutOfRange("deformation is 1; a grid has at least 2 points per side, and 0 is none")
        if entries > MAX_TRIGRID_ENTRIES:
            raise OutOfRange(
                f"a tri-grid of 3 x {self.trigrid_resolution} x {self.trigrid_resolution} x {self.trigrid_depth} x "
                f"{self.trigrid_channels} numbers is too large; at most {MAX_TRIGRID_ENTRIES:g} are allowed"
            )
        if self.neural_rendering_resolution**2 * samples > MAX_SAMPLES:
            raise OutOfRange(
                f"{self.neural_rendering_resolution} x {self.neural_rendering_resolution} rays of {samples} samples "
                f"are too many; at most {MAX_SAMPLES:g} samples are allowed"
            )

    def _check_implicit(self) -> None:
        if self.implicit is None:
            return
        for name in ("position_maps", "deformation", "surface_texture", "surface_detail"):
            if getattr(self, name):
                raise OutOfRange(f"{name} belongs to tri-grids; it does not go with an implicit field")
        if self.implicit.kind == "graf" and self.z_dim != 2 * self.w_dim:
            raise OutOfRange(f"z_dim is {self.z_dim}; with the implicit field graf it is 2 x w_dim, {2 * self.w_dim}")

    @property
    def texel(self) -> float:
        """Size of the smallest detail of a head, world units: a texel of the tri-grid, or the spacing of the rays."""
        side = self.trigrid_resolution if self.implicit is None else self.neural_rendering_resolution
        return self.rendering.box_warp / side

    @property
    def pixels_per_ray(self) -> int:
        """Pixels of the image per ray and axis."""
        return self.superresolution.output_resolution // self.neural_rendering_resolution

    def _check_alias_free(self) -> None:
        side = self.trigrid_resolution
        if self.position_maps:
            raise OutOfRange(
                f"position maps fix features to places, which {self.backbone} is there to avoid; set position_maps to "
                "false, or the backbone to stylegan2"
            )
        if side < MIN_RESOLUTION or side & (side - 1):
            raise OutOfRange(
                f"the backbone {self.backbone} makes no tri-grid of resolution {side}; give a power of two from "
                f"{MIN_RESOLUTION} on"
            )

    @property
    def alias_free(self) -> AliasFreeConfig:
        """Size of StyleGAN3's network that makes the tri-grid."""
        return AliasFreeConfig(
            resolution=self.trigrid_resolution,
            image_channels=3 * self.trigrid_channels * self.trigrid_depth,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            rotations=self.backbone == "stylegan3_r",
        )

    @property
    def synthesis(self) -> SynthesisConfig:
        """Size of StyleGAN2's network that makes the tri-grid."""
        return SynthesisConfig(
            resolution=self.trigrid_resolution,
            image_channels=3 * self.trigrid_channels * self.trigrid_depth,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            num_fp16_resolutions=self.num_fp16_resolutions,
            block=self.block,
            position_maps=self.position_maps,
        )

    @property
    def background(self) -> SynthesisConfig:
        """Size of the background network: the backbone's settings at super-resolution's input, half as wide."""
        return replace(
            self.synthesis,
            resolution=self.superresolution.input_resolution,
            image_channels=self.feature_channels,
            channel_base=self.channel_base // 2,
            position_maps=False,
        )
