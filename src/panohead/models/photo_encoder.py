"""Photo encoder: a small convolutional network from an aligned photo to w; optional in a checkpoint.

It answers in milliseconds where a search takes seconds: w, a correction of the camera, named attributes (light and
expression among them) and how far it trusts itself. It holds the whitened coordinates of w that it answers in.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, OutOfRange, Width

OFFSET_NUMBERS = 5
"""Numbers of a camera's correction: yaw, pitch (degrees), right, down, forward (world units)."""
OFFSET_SCALE = (8.0, 8.0, 0.08, 0.08, 0.08)
"""Usual size of the corrections, by which the network's outputs are multiplied."""
_STEM_STRIDE = 4
_SQUEEZED = 64  # channels of the last grid before it is flattened
_CAMERA_NUMBERS = 12  # rotation and position
_RADIUS = 2.7  # world units; cameras lie at about this distance
_GROUPS = 8


@dataclass(frozen=True, kw_only=True)
class PhotoEncoderConfig(Bounded):
    """Sizes of a :class:`PhotoEncoder`.

    Attributes:
        w_dim: width of w.
        attributes: length of the attribute vector, in the order of the checkpoint's vocabulary; 0 for none.
        resolution: side of the input in pixels.
        channels: channels of the stages; the first works at a quarter of the resolution, each further one at half of
            the one before.
        blocks: residual blocks of every stage.
        hidden: width of the hidden layer.
    """

    w_dim: Width
    attributes: Annotated[int, NumberRange(0, 4096)] = 0
    resolution: Annotated[int, NumberRange(16, 1024)] = 128
    channels: Annotated[tuple[int, ...], NumberRange(1, 1024)] = (48, 96, 160, 224)
    blocks: Annotated[tuple[int, ...], NumberRange(0, 16)] = (1, 1, 2, 1)
    hidden: Width = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.channels or len(self.channels) != len(self.blocks):
            raise OutOfRange(f"channels has {len(self.channels)} entries and blocks {len(self.blocks)}; give as many")
        if self.resolution % self.stride:
            raise OutOfRange(f"resolution is {self.resolution}; it must be a multiple of {self.stride}")

    @property
    def stride(self) -> int:
        """Pixels of the input per cell of the last grid."""
        return int(_STEM_STRIDE * 2 ** (len(self.channels) - 1))


@dataclass(frozen=True)
class EncoderPrediction:
    """Answer of an encoder to photos.

    Attributes:
        whitened: w in whitened coordinates, where people have deviation 1.
        w: the same as w.
        attributes: attribute vectors; None where the encoder has none.
        offset: correction of the camera, as :func:`panohead.inversion.camera_refinement.moved` takes it: yaw and pitch
            in degrees; right, down and forward in world units.
        log_error: logarithm of the expected squared error of ``whitened``, where that of the mean w is about 0.
    """

    whitened: Float[Tensor, "photo axis"]
    w: Float[Tensor, "photo w_dim"]
    attributes: Float[Tensor, "photo attribute"] | None
    offset: Float[Tensor, "photo 5"]
    log_error: Float[Tensor, " photo"]

    @property
    def confidence(self) -> Float[Tensor, " photo"]:
        """Share of what sets the person apart from the mean person that is expected to be right, 0 to 1."""
        return (1 - self.log_error.exp()).clamp(0, 1)


class _Block(nn.Module):
    """Residual block before activation; the second convolution starts at zero, so that a new block changes nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "photo channel height width"]) -> Float[Tensor, "photo channel height width"]:
        hidden = self.first(F.relu(self.norm(x)))
        return x + self.second(F.relu(hidden))


def _groups(channels: int) -> int:
    return _GROUPS if channels % _GROUPS == 0 else 1


class PhotoEncoder(nn.Module):
    """Residual network over image and mask, with the camera beside its last layer."""

    mean: Tensor
    directions: Tensor
    deviation: Tensor

    def __init__(self, config: PhotoEncoderConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = [
            nn.Conv2d(4, config.channels[0] // 2 or 1, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(config.channels[0] // 2 or 1, config.channels[0], 3, stride=2, padding=1),
        ]
        before = config.channels[0]
        for stage, (channels, blocks) in enumerate(zip(config.channels, config.blocks, strict=True)):
            if stage:
                layers.append(nn.Conv2d(before, channels, 3, stride=2, padding=1))
            layers += [_Block(channels) for _ in range(blocks)]
            before = channels
        layers += [nn.GroupNorm(_groups(before), before), nn.ReLU(), nn.Conv2d(before, _SQUEEZED, 1), nn.Flatten()]
        self.trunk = nn.Sequential(*layers)
        cells = (config.resolution // config.stride) ** 2
        self.hidden = nn.Linear(_SQUEEZED * cells + _CAMERA_NUMBERS, config.hidden)
        self.output = nn.Linear(config.hidden, config.w_dim + config.attributes + OFFSET_NUMBERS + 1)
        # An untrained encoder answers the mean w, no correction and no confidence.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.register_buffer("mean", torch.zeros(config.w_dim))
        self.register_buffer("directions", torch.eye(config.w_dim))
        self.register_buffer("deviation", torch.ones(config.w_dim))
        self.register_buffer("offset_scale", torch.tensor(OFFSET_SCALE))

    offset_scale: Tensor

    def inputs(
        self,
        image: Float[Tensor, "photo 3 height width"],
        mask: Float[Tensor, "photo 1 height width"] | None,
        inside: Float[Tensor, "photo 1 height width"] | None = None,
    ) -> Float[Tensor, "photo 4 side side"]:
        """Return what the network sees: the head on gray beside its mask; without a mask the whole photo beside ones.

        Args:
            image: square crops in [-1, 1] of any size.
            mask: share of the head in every pixel; None if unknown.
            inside: share of every pixel that lies in the photo; None for all.
        """
        shown = torch.ones_like(image[:, :1]) if mask is None else mask
        if inside is not None:
            shown = shown * inside
        stacked = torch.cat([image * shown, shown], dim=1)  # photo 4 height width; 0 is gray
        side = self.config.resolution
        if stacked.shape[-1] == side:
            return stacked
        mode = "area" if stacked.shape[-1] > side else "bilinear"
        return F.interpolate(stacked, (side, side), mode=mode)

    def forward(
        self, inputs: Float[Tensor, "photo 4 side side"], label: Float[Tensor, "photo 25"]
    ) -> EncoderPrediction:
        """Predict from :meth:`inputs` and the labels of the cameras as they are estimated."""
        pose = label[:, :16].unflatten(1, (4, 4))
        camera = torch.cat([pose[:, :3, :3].flatten(1), pose[:, :3, 3] / _RADIUS], dim=1)  # photo 12
        found = self.output(F.relu(self.hidden(torch.cat([self.trunk(inputs), camera], dim=1))))
        sizes = [self.config.w_dim, self.config.attributes, OFFSET_NUMBERS, 1]
        whitened, attributes, offset, log_error = found.split(sizes, dim=1)
        return EncoderPrediction(
            whitened=whitened,
            w=self.to_w(whitened),
            attributes=attributes if self.config.attributes else None,
            offset=offset * self.offset_scale,
            log_error=log_error[:, 0],
        )

    def to_w(self, whitened: Float[Tensor, "*photo axis"]) -> Float[Tensor, "*photo w_dim"]:
        """Return the w of whitened coordinates."""
        return self.mean + (whitened * self.deviation) @ self.directions

    def from_w(self, w: Float[Tensor, "*photo w_dim"]) -> Float[Tensor, "*photo axis"]:
        """Return the whitened coordinates of w."""
        return (w - self.mean) @ self.directions.T / self.deviation

    @torch.no_grad()
    def change_unit(self, unit: float) -> None:
        """Make another length the unit of whitened coordinates; w and the meaning of errors stay.

        Args:
            unit: new unit in old ones. With the root mean square of people's coordinates as the unit the expected error
                of the mean w is 1, by which :attr:`EncoderPrediction.confidence` counts.
        """
        axes = self.config.w_dim
        self.output.weight[:axes] /= unit
        self.output.bias[:axes] /= unit
        self.output.bias[-1] -= 2 * math.log(unit)
        self.deviation *= unit

    @property
    def axis_weights(self) -> Float[Tensor, " axis"]:
        """Weights of the axes in errors: in proportion to their deviation, with a mean of 1.

        Between whitened coordinates, where axes that nobody sees count in full, and w, where few axes are everything.
        """
        return self.deviation / self.deviation.mean()
