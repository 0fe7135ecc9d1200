"""The trunk of StyleGAN2's discriminator (docs/reference.md 4.2 and 4.3)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.bias_act import Activation
from panohead.ops.resample import downsample2d, fir_filter
from panohead.stylegan.layers import Convolution, FullyConnected, HalfType, computing_dtype
from panohead.stylegan.synthesis import Architecture


class DiscriminatorBlock(nn.Module):
    """Two convolutions that halve the resolution, with a residual path.

    Args:
        in_channels: 0 makes this the first block, which reads the image instead of features.
        mid_channels: width at the block's own resolution.
        out_channels: width at half the resolution.
        image_channels: channels of the discriminator's input.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        *,
        image_channels: int,
        architecture: Architecture = "resnet",
        activation: Activation = "lrelu",
        conv_clamp: float | None = None,
        use_fp16: bool = False,
        half_dtype: HalfType = "float16",
    ) -> None:
        super().__init__()
        self.in_channels, self.architecture = in_channels, architecture
        self.use_fp16, self.half_dtype = use_fp16, half_dtype
        self.register_buffer("resample_filter", fir_filter())
        act: Activation = activation
        reads_image = in_channels == 0 or architecture == "skip"
        self.fromrgb = (
            Convolution(image_channels, mid_channels, 1, activation=act, conv_clamp=conv_clamp) if reads_image else None
        )
        self.conv0 = Convolution(mid_channels, mid_channels, 3, activation=act, conv_clamp=conv_clamp)
        self.conv1 = Convolution(mid_channels, out_channels, 3, activation=act, down=2, conv_clamp=conv_clamp)
        self.skip = Convolution(mid_channels, out_channels, 1, bias=False, down=2) if architecture == "resnet" else None

    def forward(
        self,
        x: Float[Tensor, "batch in_channels height width"] | None,
        image: Float[Tensor, "batch image_channels height width"] | None,
    ) -> tuple[
        Float[Tensor, "batch out_channels half_height half_width"],
        Float[Tensor, "batch image_channels half_height half_width"] | None,
    ]:
        """Return features and image at half the resolution (the image only in the skip architecture, else None)."""
        given = x if x is not None else image
        assert given is not None
        dtype = computing_dtype(self.use_fp16, self.half_dtype, given.device)
        if x is not None:
            x = x.to(dtype)
        if self.fromrgb is not None:
            assert image is not None
            image = image.to(dtype)
            from_image = self.fromrgb(image)  # batch mid_channels height width
            x = from_image if x is None else x + from_image
        image = downsample2d(image, self.resample_filter) if self.architecture == "skip" and image is not None else None
        assert x is not None
        # conv1 halves the resolution: batch out_channels half_height half_width
        if self.skip is None:
            return self.conv1(self.conv0(x)), image
        # sqrt 0.5 on both paths: the sum of two unit variances is one again.
        shortcut = self.skip(x, gain=math.sqrt(0.5))
        return shortcut + self.conv1(self.conv0(x), gain=math.sqrt(0.5)), image


class MinibatchStd(nn.Module):
    """Minibatch standard deviation (Karras et al. 2018, section 3) as extra channels: shows a lack of variety.

    Args:
        group_size: samples per group; None makes the whole batch one group.
        num_channels: statistics per sample, each over its share of the channels.
    """

    def __init__(self, group_size: int | None, num_channels: int = 1) -> None:
        super().__init__()
        self.group_size, self.num_channels = group_size, num_channels

    def forward(
        self, x: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch out_channel height width"]:
        """Append the statistics to the channels.

        Raises:
            ValueError: when the batch cannot be split into groups.
        """
        batch, channels, height, width = x.shape
        group = batch if self.group_size is None else min(self.group_size, batch)
        if batch % group:
            raise ValueError(f"a batch of {batch} cannot be split into groups of {group} for the minibatch statistics")
        # group batch/group statistic channel/statistic height width
        y = x.reshape(group, -1, self.num_channels, channels // self.num_channels, height, width)
        y = (y - y.mean(dim=0)).square().mean(dim=0)  # variance over the group
        y = (y + 1e-8).sqrt().mean(dim=(2, 3, 4))  # batch/group statistic
        # the same statistic at every pixel of every sample of the group: batch statistic height width
        y = y.reshape(-1, self.num_channels, 1, 1).repeat(group, 1, height, width)
        return torch.cat([x, y], dim=1)


class DiscriminatorEpilogue(nn.Module):
    """The end of the discriminator: 4x4 features to one logit per sample, projected on the mapped label.

    Source: Miyato and Koyama 2018 (projection); docs/reference.md 4.3.

    Args:
        label_map_dim: width of the mapped label; 0 for an unconditional discriminator.
        resolution: pixels per side of the features.
        mbstd_group_size, mbstd_num_channels: see :class:`MinibatchStd`; 0 channels for none.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        label_map_dim: int,
        resolution: int = 4,
        image_channels: int,
        architecture: Architecture = "resnet",
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        activation: Activation = "lrelu",
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.label_map_dim = label_map_dim
        self.fromrgb = (
            Convolution(image_channels, in_channels, 1, activation=activation) if architecture == "skip" else None
        )
        self.mbstd = MinibatchStd(mbstd_group_size, mbstd_num_channels) if mbstd_num_channels > 0 else None
        self.conv = Convolution(
            in_channels + mbstd_num_channels, in_channels, 3, activation=activation, conv_clamp=conv_clamp
        )
        self.fc = FullyConnected(in_channels * resolution**2, in_channels, activation=activation)
        self.out = FullyConnected(in_channels, label_map_dim if label_map_dim > 0 else 1)

    def forward(
        self,
        x: Float[Tensor, "batch channel height width"],
        image: Float[Tensor, "batch image_channels height width"] | None,
        label_map: Float[Tensor, "batch label_map_dim"] | None,
    ) -> Float[Tensor, "batch 1"]:
        """Return the logits, in float32."""
        x = x.float()  # batch channel 4 4
        if self.fromrgb is not None:
            assert image is not None
            x = x + self.fromrgb(image.float())
        if self.mbstd is not None:
            x = self.mbstd(x)  # batch channel+1 4 4
        x = self.out(self.fc(self.conv(x).flatten(1)))  # batch label_map_dim (or 1)
        if self.label_map_dim == 0:
            return x
        assert label_map is not None
        # Dot product with the label; its variance does not grow with the width.
        return (x * label_map).sum(dim=1, keepdim=True) / math.sqrt(self.label_map_dim)
