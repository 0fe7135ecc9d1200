"""Synthesis blocks and the network that stacks them from 4x4 upward (docs/reference.md 2.10)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from panohead.limits import NumberRange
from panohead.ops import fast_paths
from panohead.ops.bias_act import Activation
from panohead.ops.cpu import linear_maps
from panohead.ops.cpu.upsample import add_upsampled
from panohead.ops.inference_conv import is_default_filter
from panohead.ops.resample import fir_filter, upsample2d
from panohead.randomness import RenderRandomness
from panohead.stylegan.layers import Convolution, HalfType, computing_dtype
from panohead.stylegan.synthesis_layers import SynthesisLayer, ToRGB
from panohead.system.bounds import Bounded, Layers, NotNegative, Width

Architecture = Literal["orig", "skip", "resnet"]
Fused = bool | Literal["inference_only"]


@dataclass(frozen=True, kw_only=True)
class BlockConfig(Bounded):
    """Settings shared by all blocks of a synthesis network.

    Attributes:
        architecture: sum of the blocks' images ("skip"), residual paths ("resnet"), or neither ("orig").
        activation: activation of the convolutions.
        use_noise: add noise maps.
        conv_clamp: limit of the absolute value after every layer, or None.
        fused_modconv: formulation of modulated convolutions; "inference_only" fuses in eval mode.
        half_dtype: type of blocks in half precision; the original knows float16 only.
    """

    architecture: Architecture = "skip"
    activation: Activation = "lrelu"
    use_noise: bool = True
    conv_clamp: NotNegative | None = None
    fused_modconv: Fused = "inference_only"
    half_dtype: HalfType = "float16"


class SynthesisBlock(nn.Module):
    """Two modulated convolutions at one resolution and their contribution to the output image.

    Args:
        in_channels: 0 makes this the first block, which starts from a learned constant and has one convolution.
        is_last: make an image in every architecture.
        upsample: double the resolution of features and image; False is the no-up block of super-resolution.
        position_map: add a learned map to the features, see :class:`SynthesisConfig`.
        use_fp16: compute in half precision on CUDA devices.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        resolution: int,
        image_channels: int,
        config: BlockConfig,
        is_last: bool = False,
        upsample: bool = True,
        use_fp16: bool = False,
        position_map: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.use_fp16 = config, use_fp16
        self.upsample = upsample and in_channels > 0
        self.register_buffer("resample_filter", fir_filter())
        up = 2 if self.upsample else 1
        options: dict[str, Any] = {
            "w_dim": w_dim,
            "resolution": resolution,
            "use_noise": config.use_noise,
            "activation": config.activation,
            "conv_clamp": config.conv_clamp,
        }
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
            self.conv0 = None
        else:
            self.conv0 = SynthesisLayer(in_channels, out_channels, up=up, **options)
        self.conv1 = SynthesisLayer(out_channels, out_channels, **options)
        makes_image = is_last or config.architecture == "skip"
        self.torgb = (
            ToRGB(out_channels, image_channels, w_dim=w_dim, conv_clamp=config.conv_clamp) if makes_image else None
        )
        has_skip = in_channels > 0 and config.architecture == "resnet"
        self.skip = Convolution(in_channels, out_channels, 1, bias=False, up=up) if has_skip else None
        self.position_map = (
            nn.Parameter(torch.zeros(out_channels, resolution, resolution)) if position_map else None
        )  # channel height width
        self.num_conv = 1 if in_channels == 0 else 2
        self.num_torgb = int(makes_image)

    def forward(
        self,
        x: Float[Tensor, "batch in_channels in_height in_width"] | None,
        image: Float[Tensor, "batch image_channels in_height in_width"] | None,
        ws: Float[Tensor, "batch row w_dim"],
        *,
        randomness: RenderRandomness | None = None,
        order: Int[Tensor, " image_channels"] | None = None,
    ) -> tuple[
        Float[Tensor, "batch out_channels height width"], Float[Tensor, "batch image_channels height width"] | None
    ]:
        """Compute this block's features and image from those of the previous block (None for the first).

        Args:
            ws: one row for each convolution, then one for ToRGB.
            randomness: noise maps of the layers; None takes the stored ones.
            order: numbers of the image's channels in the wanted order, that of ``image`` too; None for their own.

        Returns:
            Features, and the sum of the images so far (None where no block made one). Nothing is changed in place.
        """
        rows: Iterator[Tensor] = iter(ws.unbind(dim=1))
        fused = (not self.training) if self.config.fused_modconv == "inference_only" else self.config.fused_modconv
        dtype = computing_dtype(self.use_fp16, self.config.half_dtype, ws.device)

        if self.conv0 is None:
            x = _converted(self.const[None].repeat(ws.shape[0], 1, 1, 1), dtype)  # batch out_channels 4 4
            x = self.conv1(x, next(rows), randomness=randomness, fused=fused)
        elif self.skip is not None:
            assert x is not None
            x = _converted(x, dtype)  # batch in_channels in_height in_width
            shortcut = self.skip(x, gain=math.sqrt(0.5))
            x = self.conv0(x, next(rows), randomness=randomness, fused=fused)
            # sqrt 0.5 on both paths: the sum of two unit variances is one again.
            x = shortcut + self.conv1(x, next(rows), randomness=randomness, fused=fused, gain=math.sqrt(0.5))
        else:
            assert x is not None
            # conv0 doubles the resolution where this block does: batch out_channels height width from here on.
            x = self.conv0(_converted(x, dtype), next(rows), randomness=randomness, fused=fused)
            x = self.conv1(x, next(rows), randomness=randomness, fused=fused)

        assert x is not None
        if self.position_map is not None:
            # Channels last, as features lie in memory: the map's gradient is a sum over the batch in that order.
            positions = self.position_map.to(x.dtype).permute(1, 2, 0)  # height width channel
            x = (x.permute(0, 2, 3, 1) + positions).permute(0, 3, 1, 2)
        if self.torgb is not None:
            # batch image_channels height width
            contribution = self.torgb(x, next(rows), fused=fused, order=order).float()
            return x, contribution if image is None else self._enlarge_and_add(image, contribution)
        return x, image if image is None or not self.upsample else upsample2d(image, self.resample_filter)

    def _enlarge_and_add(
        self,
        image: Float[Tensor, "batch image_channels in_height in_width"],
        contribution: Float[Tensor, "batch image_channels height width"],
    ) -> Float[Tensor, "batch image_channels height width"]:
        """Sum of the previous image, enlarged to this resolution, and this block's contribution."""
        if not self.upsample:
            return image + contribution
        # Three equal ways to enlarge by 2 and add: compiled in place, compiled with gradients, plain.
        if fast_paths.allowed() and not torch.is_grad_enabled() and is_default_filter(self.resample_filter):
            return add_upsampled(image, contribution)
        if torch.is_grad_enabled() and linear_maps.resampling_unsupported(image, self.resample_filter) is None:
            return linear_maps.add_enlarged(image, contribution)
        return upsample2d(image, self.resample_filter) + contribution


def _converted(x: Float[Tensor, "batch channel height width"], dtype: torch.dtype) -> Tensor:
    """Convert features to a block's type; in half precision channels-last, as tensor cores take them."""
    if dtype == torch.float32:
        return x.to(dtype)
    return x.to(dtype, memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig(Bounded):
    """Size of a synthesis network.

    Attributes:
        resolution: pixels per side of the output, a power of two.
        image_channels: channels of the output.
        channel_base, channel_max: a block at resolution r has min(channel_base // r, channel_max) channels.
        num_fp16_resolutions: number of highest resolutions in half precision on CUDA.
        block: settings of the blocks.
        position_maps: add to the features of every block a learned map of all channels, the same for all w (ours, not
            in StyleGAN2). The styles of the layers that read it weight its channels, so where things are is learned
            directly, as a basis, instead of through the convolutions below: much sooner.
    """

    resolution: Annotated[int, NumberRange(4, 2048)]
    image_channels: Annotated[int, NumberRange(1, 65536)]
    channel_base: Annotated[int, NumberRange(1, 2**20)] = 32768
    channel_max: Width = 512
    num_fp16_resolutions: Layers = 0
    block: BlockConfig = field(default_factory=BlockConfig)
    position_maps: bool = False


class SynthesisNetwork(nn.Module):
    """StyleGAN2's synthesis network: ws to an image (or to the tri-grid, or to background features)."""

    def __init__(self, config: SynthesisConfig, *, w_dim: int) -> None:
        super().__init__()
        self.config = config
        # 4, 8, ..., resolution; num_ws = 2 log2(resolution) - 2: two convolutions a block, one in the first, one ToRGB.
        log2 = config.resolution.bit_length() - 1
        resolutions = [2**i for i in range(2, log2 + 1)]
        fp16_from = max(2 ** (log2 + 1 - config.num_fp16_resolutions), 8)
        self.blocks = nn.ModuleDict()
        self.num_ws = 0
        for resolution in resolutions:
            block = SynthesisBlock(
                0 if resolution == 4 else self._channels(resolution // 2),
                self._channels(resolution),
                w_dim=w_dim,
                resolution=resolution,
                image_channels=config.image_channels,
                config=config.block,
                is_last=resolution == config.resolution,
                use_fp16=resolution >= fp16_from,
                position_map=config.position_maps,
            )
            self.num_ws += block.num_conv
            self.blocks[f"b{resolution}"] = block
        self.num_ws += block.num_torgb

    def _channels(self, resolution: int) -> int:
        """Width of the block at a resolution."""
        return min(self.config.channel_base // resolution, self.config.channel_max)

    def forward(
        self,
        ws: Float[Tensor, "batch num_ws w_dim"],
        *,
        randomness: RenderRandomness | None = None,
        order: Int[Tensor, " image_channels"] | None = None,
    ) -> Float[Tensor, "batch image_channels height width"]:
        """Return the image.

        Args:
            randomness: noise maps of the layers; None takes the stored ones.
            order: numbers of the image's channels in the wanted order; None for their own.
        """
        ws = ws.float()  # batch num_ws w_dim
        x = image = None
        row = 0
        for block in self.blocks.values():
            assert isinstance(block, SynthesisBlock)
            rows = ws[:, row : row + block.num_conv + block.num_torgb]
            x, image = block(x, image, rows, randomness=randomness, order=order)
            row += block.num_conv  # the row of this block's ToRGB is also that of the next block's first convolution
        assert image is not None
        return image
