"""Synthesis blocks and the network that stacks them from 4x4 upward (facts section 2)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from panohead.ops import fast_paths
from panohead.ops.bias_act import Activation
from panohead.ops.cpu import linear_maps
from panohead.ops.cpu.upsample import add_upsampled
from panohead.ops.inference_conv import is_default_filter
from panohead.ops.resample import fir_filter, upsample2d
from panohead.stylegan.layers import Convolution, HalfType, computing_dtype
from panohead.stylegan.synthesis_layers import PixelNoise, SynthesisLayer, ToRGB

Architecture = Literal["orig", "skip", "resnet"]
Fused = bool | Literal["inference_only"]


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """What all blocks of a synthesis network share.

    Attributes:
        conv_clamp: limit of the absolute value after every layer, or None.
        fused_modconv: the formulation of modulated convolutions; "inference_only" fuses in eval mode.
        half_dtype: of blocks in half precision; the original knows float16 only.
    """

    architecture: Architecture = "skip"
    activation: Activation = "lrelu"
    use_noise: bool = True
    conv_clamp: float | None = None
    fused_modconv: Fused = "inference_only"
    half_dtype: HalfType = "float16"


class SynthesisBlock(nn.Module):
    """Two modulated convolutions at one resolution and their share of the output image.

    Args:
        in_channels: 0 makes this the first block, which starts from a learned constant and has one convolution.
        upsample: double the resolution of features and image; False is the no-up block of super-resolution.
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
        self.num_conv = 1 if in_channels == 0 else 2
        self.num_torgb = int(makes_image)

    def forward(
        self,
        x: Float[Tensor, "batch in_channels in_height in_width"] | None,
        image: Float[Tensor, "batch image_channels in_height in_width"] | None,
        ws: Float[Tensor, "batch row w_dim"],
        *,
        noise: PixelNoise,
        order: Int[Tensor, " image_channels"] | None = None,
    ) -> tuple[
        Float[Tensor, "batch out_channels height width"], Float[Tensor, "batch image_channels height width"] | None
    ]:
        """Features and image of the previous block (None for the first) to those of this one; never in place.

        ``order`` is that of the image's channels, both of the previous image and of the result.
        """
        rows: Iterator[Tensor] = iter(ws.unbind(dim=1))
        fused = (not self.training) if self.config.fused_modconv == "inference_only" else self.config.fused_modconv
        dtype = computing_dtype(self.use_fp16, self.config.half_dtype, ws.device)

        if self.conv0 is None:
            x = self.const.to(dtype)[None].repeat(ws.shape[0], 1, 1, 1)
            x = self.conv1(x, next(rows), noise=noise, fused=fused)
        elif self.skip is not None:
            assert x is not None
            x = x.to(dtype)
            shortcut = self.skip(x, gain=math.sqrt(0.5))
            x = self.conv0(x, next(rows), noise=noise, fused=fused)
            x = shortcut + self.conv1(x, next(rows), noise=noise, fused=fused, gain=math.sqrt(0.5))
        else:
            assert x is not None
            x = self.conv0(x.to(dtype), next(rows), noise=noise, fused=fused)
            x = self.conv1(x, next(rows), noise=noise, fused=fused)

        assert x is not None
        if self.torgb is not None:
            mine = self.torgb(x, next(rows), fused=fused, order=order).float()
            return x, mine if image is None else self._enlarge_and_add(image, mine)
        return x, image if image is None or not self.upsample else upsample2d(image, self.resample_filter)

    def _enlarge_and_add(
        self,
        image: Float[Tensor, "batch image_channels in_height in_width"],
        mine: Float[Tensor, "batch image_channels height width"],
    ) -> Float[Tensor, "batch image_channels height width"]:
        if not self.upsample:
            return image + mine
        if fast_paths.allowed() and not torch.is_grad_enabled() and is_default_filter(self.resample_filter):
            return add_upsampled(image, mine)
        if torch.is_grad_enabled() and linear_maps.resampling_unsupported(image, self.resample_filter) is None:
            return linear_maps.add_enlarged(image, mine)
        return upsample2d(image, self.resample_filter) + mine


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """Size of a synthesis network.

    Attributes:
        resolution: of the output, a power of two.
        channel_base: a block at resolution r has min(channel_base // r, channel_max) channels.
        num_fp16_resolutions: how many of the highest resolutions run in half precision on CUDA.
    """

    resolution: int
    image_channels: int
    channel_base: int = 32768
    channel_max: int = 512
    num_fp16_resolutions: int = 0
    block: BlockConfig = field(default_factory=BlockConfig)


class SynthesisNetwork(nn.Module):
    """StyleGAN2's generator trunk: ws to an image (or to the tri-grid, or to background features)."""

    def __init__(self, config: SynthesisConfig, *, w_dim: int) -> None:
        super().__init__()
        self.config = config
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
            )
            self.num_ws += block.num_conv
            self.blocks[f"b{resolution}"] = block
        self.num_ws += block.num_torgb

    def _channels(self, resolution: int) -> int:
        return min(self.config.channel_base // resolution, self.config.channel_max)

    def forward(
        self,
        ws: Float[Tensor, "batch num_ws w_dim"],
        *,
        noise: PixelNoise,
        order: Int[Tensor, " image_channels"] | None = None,
    ) -> Float[Tensor, "batch image_channels height width"]:
        """Every block reads its own rows of ws; its last row (for ToRGB) is also the next block's first.

        ``order`` are the numbers of the image's channels in the order in which they are wanted; None for theirs.
        """
        ws = ws.float()
        x = image = None
        row = 0
        for block in self.blocks.values():
            assert isinstance(block, SynthesisBlock)
            x, image = block(x, image, ws[:, row : row + block.num_conv + block.num_torgb], noise=noise, order=order)
            row += block.num_conv
        assert image is not None
        return image
