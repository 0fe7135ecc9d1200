"""Super-resolution: feature image and raw image to the final image (EG3D section 4.2; docs/reference.md 3.12)."""

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.resample import fir_filter
from panohead.ops.resize import resize_bilinear
from panohead.randomness import NoiseMode, RenderRandomness
from panohead.stylegan.layers import HalfType
from panohead.stylegan.synthesis import BlockConfig, Fused, SynthesisBlock
from panohead.system.bounds import Bounded, Side, Width

SuperResolutionKind = Literal["none", "2x", "4x", "8x", "8xdc"]


@dataclass(frozen=True)
class _Shape:
    """Input resolution, channels of the two blocks, and whether the first block doubles the resolution."""

    input_resolution: int
    channels: tuple[int, int]
    first_block_upsamples: bool
    factor: int = 2


# "none" is for baselines whose images are the rendered rays themselves; the others are the paper's models of 128, 256
# and 512 pixels, "8xdc" with double channels (docs/reference.md 3.12).
_SHAPES: dict[str, _Shape] = {
    "none": _Shape(64, (0, 0), False, factor=1),
    "2x": _Shape(64, (128, 64), False),
    "4x": _Shape(128, (128, 64), False),
    "8x": _Shape(128, (128, 64), True, factor=4),
    "8xdc": _Shape(128, (256, 128), True, factor=4),
}


@dataclass(frozen=True, kw_only=True)
class SuperResolutionConfig(Bounded):
    """Configuration of super-resolution. The defaults are the paper's, 128 to 512 pixels.

    Attributes:
        kind: by output: "2x" 128, "4x" 256, "8x" and the wider "8xdc" 512 pixels; "none" for no network: the image is
            the raw image, resized where it has another size.
        noise_mode: noise maps of the blocks, whatever the rest of the network has.
        antialias: low-pass when the input (and the background) is resized.
        half_precision: compute in ``half_dtype`` on CUDA, and clamp at 256 on every device.
        half_dtype: type of half precision; the original knows float16 only.
        fused_modconv: formulation of modulated convolutions; "inference_only" fuses in eval mode.
        channels: widths of the two blocks; None takes the kind's own.
        from_resolution: pixels per side of the blocks' input; other sizes are resized to it. None takes the kind's
            own (64, 64, 128, 128, 128).
    """

    kind: SuperResolutionKind = "8xdc"
    noise_mode: NoiseMode = "none"
    antialias: bool = True
    half_precision: bool = True
    half_dtype: HalfType = "float16"
    fused_modconv: Fused = "inference_only"
    channels: tuple[Width, Width] | None = None
    from_resolution: Side | None = None

    @property
    def input_resolution(self) -> int:
        """Pixels per side of the blocks' input."""
        return self.from_resolution or _SHAPES[self.kind].input_resolution

    @property
    def output_resolution(self) -> int:
        """Pixels per side of the image."""
        return self.input_resolution * _SHAPES[self.kind].factor


class SuperResolution(nn.Module):
    """Two synthesis blocks whose layers all get the last row of ws."""

    def __init__(self, config: SuperResolutionConfig, *, in_channels: int, w_dim: int) -> None:
        super().__init__()
        self.config = config
        self.input_resolution = config.input_resolution
        if config.kind == "none":
            return
        shape = _SHAPES[config.kind]
        first, second = config.channels or shape.channels
        # Without upsampling ("2x", "4x") the first block only adds its image to the raw one.
        first_resolution = self.input_resolution * (2 if shape.first_block_upsamples else 1)
        block = BlockConfig(
            conv_clamp=256.0 if config.half_precision else None,
            fused_modconv=config.fused_modconv,
            half_dtype=config.half_dtype,
        )
        self.block0 = SynthesisBlock(
            in_channels,
            first,
            w_dim=w_dim,
            resolution=first_resolution,
            image_channels=3,
            config=block,
            upsample=shape.first_block_upsamples,
            use_fp16=config.half_precision,
        )
        self.block1 = SynthesisBlock(
            first,
            second,
            w_dim=w_dim,
            resolution=first_resolution * 2,
            image_channels=3,
            config=block,
            is_last=True,
            use_fp16=config.half_precision,
        )
        if config.kind != "8xdc":
            # Read by nothing; present in official checkpoints of these kinds.
            self.register_buffer("resample_filter", fir_filter())

    def forward(
        self,
        image_raw: Float[Tensor, "batch 3 height width"],
        features: Float[Tensor, "batch channel height width"],
        ws: Float[Tensor, "batch num_ws w_dim"],
        *,
        randomness: RenderRandomness | None = None,
    ) -> Float[Tensor, "batch 3 out_height out_width"]:
        """Return the image, about [-1, 1]; unlike the original's 2x and 4x modules this leaves ``image_raw`` as it is.

        Args:
            image_raw: about [-1, 1].
            features: composited features, background included.
            randomness: source of the noise maps, for a config with noise_mode="random"; None for torch's default one.
        """
        if self.config.kind == "none":
            if image_raw.shape[-1] == self.input_resolution:
                return image_raw
            return resize_bilinear(image_raw, self.input_resolution, antialias=self.config.antialias)
        # batch channel height width -> batch channel input_resolution input_resolution
        if features.shape[-1] != self.input_resolution:
            features = resize_bilinear(features, self.input_resolution, antialias=self.config.antialias)
            image_raw = resize_bilinear(image_raw, self.input_resolution, antialias=self.config.antialias)
        rows = ws[:, -1:].expand(-1, 3, -1)  # batch 3 w_dim: two convolutions and ToRGB of each block
        randomness = replace(randomness or RenderRandomness(), noise_mode=self.config.noise_mode)
        # batch channel 128 128 -> 256 256 -> 512 512 for "8xdc"
        x, image = self.block0(features, image_raw, rows, randomness=randomness)
        _, image = self.block1(x, image, rows, randomness=randomness)
        assert image is not None
        return image
