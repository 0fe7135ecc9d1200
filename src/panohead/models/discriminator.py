"""The discriminators: PanoHead's foreground-aware tri-discriminator and its relatives.

Source: PanoHead section 3.2; docs/reference.md 4. The tri-discriminator gets seven channels: the image, the raw image
enlarged to it, and the foreground mask. Because the mask is rendered from density, the adversarial loss pulls the
density toward the 2-D segmentation of real photos.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.limits import NumberRange
from panohead.ops.resample import fir_filter
from panohead.ops.resize import filtered_resizing
from panohead.stylegan.discriminator_blocks import DiscriminatorBlock, DiscriminatorEpilogue
from panohead.stylegan.layers import HalfType
from panohead.stylegan.mapping import MappingNetwork
from panohead.stylegan.synthesis import Architecture
from panohead.system.bounds import Bounded, Layers, NotNegative, Side, Width

DiscriminatorVariant = Literal["tri", "tri_two_trunks", "dual", "single", "raw"]

# RGB image, raw RGB image, mask.
_INPUT_CHANNELS: dict[str, int] = {"tri": 7, "tri_two_trunks": 6, "dual": 6, "single": 3, "raw": 3}


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig(Bounded):
    """Configuration of a discriminator. The defaults are the paper's 512-pixel tri-discriminator.

    Attributes:
        variant: "tri" gets image, raw image and mask together (the paper's); "tri_two_trunks" gives the mask a trunk
            of its own (the first official version); "dual" is EG3D's without mask; "single" gets the image alone;
            "raw" the raw image alone, whose resolution can grow in training (progressive growing).
        resolution: pixels per side of the image.
        label_dim: width of one image's conditioning label; 0 for an unconditional discriminator.
        views: images of one head that are seen together, as more channels and a longer label; 1 in the paper.
        architecture: blocks with a residual path ("resnet") or with images at every resolution ("skip").
        channel_base, channel_max: a block at resolution r has min(channel_base // r, channel_max) channels.
        num_fp16_resolutions: number of highest resolutions in half precision on CUDA, as ``half_dtype``.
        conv_clamp: limit of the absolute value after every layer, or None.
        mask_resolution: pixels per side of the input of the mask's own trunk ("tri_two_trunks").
        label_map_dim: width of the projected label; None takes the channels at 4x4.
        label_noise: standard deviation, in units of the batch's, of noise on the label.
        mapping_layers: layers of the label's mapping network.
        mbstd_group_size, mbstd_num_channels: see :class:`MinibatchStd`.
    """

    variant: DiscriminatorVariant = "tri"
    resolution: Annotated[int, NumberRange(4, 2048)] = 512
    label_dim: Annotated[int, NumberRange(0, 1024)] = 25
    views: Annotated[int, NumberRange(1, 8)] = 1
    architecture: Architecture = "resnet"
    channel_base: Annotated[int, NumberRange(1, 2**20)] = 32768
    channel_max: Width = 512
    num_fp16_resolutions: Layers = 4
    conv_clamp: NotNegative | None = 256.0
    half_dtype: HalfType = "float16"
    mask_resolution: Side = 128
    label_map_dim: Annotated[int, NumberRange(0, 4096)] | None = None
    label_noise: NotNegative = 0.0
    mapping_layers: Layers = 8
    mbstd_group_size: Width | None = 4
    mbstd_num_channels: Annotated[int, NumberRange(0, 64)] = 1


class Discriminator(nn.Module):
    """A discriminator of one of the five variants, which share trunk, epilogue and label projection."""

    resample_filter: Tensor

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        channels = _INPUT_CHANNELS[config.variant] * config.views
        self.blocks = self._trunk(config.resolution, channels, prefix="b")
        self.mask_blocks = (
            self._trunk(config.mask_resolution, config.views, prefix="sb")
            if config.variant == "tri_two_trunks"
            else None
        )
        label_map_dim = config.label_map_dim if config.label_map_dim is not None else self._channels(4)
        label_map_dim = label_map_dim if config.label_dim > 0 else 0
        self.label_mapping = (
            MappingNetwork(
                0, config.label_dim * config.views, label_map_dim, num_ws=None, num_layers=config.mapping_layers
            )
            if config.label_dim > 0
            else None
        )
        self.epilogue = DiscriminatorEpilogue(
            self._channels(4),
            label_map_dim=label_map_dim,
            image_channels=channels,
            architecture=config.architecture,
            mbstd_group_size=config.mbstd_group_size,
            mbstd_num_channels=config.mbstd_num_channels,
            conv_clamp=config.conv_clamp,
        )
        if config.variant != "single":
            self.register_buffer("resample_filter", fir_filter())

    def _channels(self, resolution: int) -> int:
        """Width of the block at a resolution."""
        return min(self.config.channel_base // resolution, self.config.channel_max)

    def _trunk(self, from_resolution: int, image_channels: int, *, prefix: str) -> nn.ModuleDict:
        """Return the blocks from ``from_resolution`` down to 8 pixels, by resolution."""
        log2 = self.config.resolution.bit_length() - 1
        # The highest num_fp16_resolutions resolutions, none under 8 (docs/reference.md 2.11).
        fp16_from = max(2 ** (log2 + 1 - self.config.num_fp16_resolutions), 8)
        blocks = nn.ModuleDict()
        resolution = from_resolution
        while resolution > 4:
            blocks[f"{prefix}{resolution}"] = DiscriminatorBlock(
                self._channels(resolution) if resolution < from_resolution else 0,
                self._channels(resolution),
                self._channels(resolution // 2),
                image_channels=image_channels,
                architecture=self.config.architecture,
                conv_clamp=self.config.conv_clamp,
                use_fp16=resolution >= fp16_from,
                half_dtype=self.config.half_dtype,
            )
            resolution //= 2
        return blocks

    def forward(
        self,
        image: Float[Tensor, "batch 3 out_height out_width"],
        image_raw: Float[Tensor, "batch 3 height width"] | None = None,
        mask: Float[Tensor, "batch 1 mask_height mask_width"] | None = None,
        label: Float[Tensor, "batch label_dim"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "head 1"]:
        """Return one logit per head (with one view: per sample); larger is more real.

        With several views the batch holds all heads' first views, then all second ones.

        Args:
            image, image_raw: about [-1, 1]; the raw image is enlarged to the image's size here.
            mask: foreground weight, [0, 1]; enlarged and mapped to [-1, 1] here.
            label: conditioning camera.
            generator: source of the noise on the label, where the config has any.

        Raises:
            ValueError: when an input that the variant needs is None, or the batch cannot be split into views.
        """
        # batch 3+3+1 height width -> batch channel 4 4
        x, resized = self._run(self.blocks, self._together(self._concat_inputs(image, image_raw, mask)))
        if self.mask_blocks is not None:
            # batch 1 mask_resolution mask_resolution -> batch channel 4 4, added to the images' trunk
            mask = self._together(self._enlarge_mask(mask, self.config.mask_resolution))
            x = x + self._run(self.mask_blocks, mask)[0]
        label_map = None  # batch label_map_dim
        if self.label_mapping is not None:
            label = self._together(self._need(label, "label"))
            if self.config.label_noise > 0 and len(label) > 1:  # the deviation of one label is not defined
                noise = torch.randn(label.shape, device=label.device, generator=generator)
                label = label + noise * label.std(dim=0) * self.config.label_noise
            label_map = self.label_mapping(None, label)
        return self.epilogue(x, resized, label_map)  # batch 1

    def _together(self, x: Float[Tensor, "batch channel *pixel"]) -> Float[Tensor, "head view_channel *pixel"]:
        """Join the views of each head along the channels."""
        views = self.config.views
        if views == 1:
            return x
        if len(x) % views:
            raise ValueError(f"{len(x)} images are not {views} views of each head")
        return torch.cat(x.chunk(views), dim=1)

    def _concat_inputs(self, image: Tensor, image_raw: Tensor | None, mask: Tensor | None) -> Tensor:
        """Image, raw image and mask at the image's size, as channels: 3 (+ 3 (+ 1))."""
        if self.config.variant == "raw":
            return self._enlarge(self._need(image_raw, "image_raw"), image.shape[-1])
        parts = [image]  # batch 3 height width each, and batch 1 height width
        if self.config.variant != "single":
            parts.append(self._enlarge(self._need(image_raw, "image_raw"), image.shape[-1]))
        if self.config.variant == "tri":
            parts.append(self._enlarge_mask(mask, image.shape[-1]))
        return torch.cat(parts, dim=1)

    def _enlarge(self, x: Tensor, size: int) -> Tensor:
        return filtered_resizing(x, size, resample_filter=self.resample_filter)

    def _enlarge_mask(self, mask: Tensor | None, size: int) -> Tensor:
        # [0, 1] -> [-1, 1], the range of the images
        return self._enlarge(self._need(mask, "mask"), size) * 2 - 1

    def _need(self, x: Tensor | None, name: str) -> Tensor:
        if x is None:
            raise ValueError(f"the discriminator variant {self.config.variant!r} needs {name}")
        return x

    @staticmethod
    def _run(blocks: nn.ModuleDict, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the features at 4x4, and the image at 4x4 in the skip architecture (else None)."""
        x: Tensor | None = None
        resized: Tensor | None = image
        for block in blocks.values():
            x, resized = block(x, resized)
        assert x is not None
        return x, resized
