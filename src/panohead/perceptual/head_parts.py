"""A small network that knows heads: parts, landmarks and attributes of an image of a head from any side.

Trained by ``tools/train_head_parts.py`` on renders of ``panohead synthesize`` alone, so its weights have no license but
the package's. Its features make a perceptual distance (:mod:`panohead.perceptual.parts_loss`), its answers measure what
images show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, OutOfRange, Width

SIDE = 128
"""Side in pixels of the images that the network sees; others are resized."""
FEATURES = ("fine", "middle", "coarse", "context", "decoded_middle", "decoded_fine")
"""Names of the inner layers, at strides 2, 4, 8, 16, 4 and 2."""


@dataclass(frozen=True, kw_only=True)
class HeadPartsConfig(Bounded):
    """Sizes and vocabulary of a :class:`HeadParts`.

    Attributes:
        parts: names of the part labels, in their order; the first is the background.
        landmarks: names of the points.
        numbers: names of the attributes that are numbers.
        choices: names of the attributes that are there or not.
        channels: channels of the encoder's stages at strides 2, 4, 8 and 16.
        decoded: channels of the decoder's stages at strides 8, 4 and 2.
        hidden: width of the hidden layer of attributes and visibilities.
    """

    parts: tuple[str, ...]
    landmarks: tuple[str, ...]
    numbers: tuple[str, ...]
    choices: tuple[str, ...]
    channels: Annotated[tuple[int, ...], NumberRange(1, 1024)] = (24, 48, 72, 80)
    decoded: Annotated[tuple[int, ...], NumberRange(1, 1024)] = (56, 48, 40)
    hidden: Width = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, count in (("channels", 4), ("decoded", 3)):
            if len(getattr(self, name)) != count:
                raise OutOfRange(f"{name} has {len(getattr(self, name))} entries; give {count}")
        for name in ("parts", "landmarks"):
            if not getattr(self, name):
                raise OutOfRange(f"{name} is empty; give one or more names")


@dataclass(frozen=True)
class HeadReading:
    """Answer of the network to images.

    Attributes:
        part_logits: scores of the parts at every pixel.
        landmarks: column and row in pixels of a 128-pixel image (the middle of the first pixel is .5).
        landmark_scores: scores of a point's being at a place of the grid of stride 2; ``landmarks`` are their means.
        visible: logits of the points' being visible.
        numbers: attributes that are numbers, in their own units.
        choices: logits of attributes that are there or not.
    """

    part_logits: Float[Tensor, "image part 128 128"]
    landmarks: Float[Tensor, "image landmark 2"]
    landmark_scores: Float[Tensor, "image landmark 64 64"]
    visible: Float[Tensor, "image landmark"]
    numbers: Float[Tensor, "image number"]
    choices: Float[Tensor, "image choice"]

    @property
    def parts(self) -> Int64[Tensor, "image 128 128"]:
        """The most probable part of every pixel."""
        return self.part_logits.argmax(dim=1)


class _NormalizedConvolution(nn.Module):
    """Convolution, batch normalization (until it is folded into the convolution), ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "image inputs height width"]) -> Tensor:
        return F.relu(self.norm(self.conv(x)))

    def fold(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval()), nn.Identity()


class HeadParts(nn.Module):
    """Encoder and decoder with skips, of about 0.3 million parameters.

    Args:
        config: sizes and vocabulary.
        folded: without batch normalization, as stored networks are.
    """

    number_mean: Tensor
    number_deviation: Tensor

    def __init__(self, config: HeadPartsConfig, *, folded: bool = False) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.channels
        e, f, g = config.decoded
        self.fine = nn.Sequential(_NormalizedConvolution(12, a), _NormalizedConvolution(a, a))
        self.middle = nn.Sequential(_NormalizedConvolution(a, b, 2), _NormalizedConvolution(b, b))
        self.coarse = nn.Sequential(_NormalizedConvolution(b, c, 2), _NormalizedConvolution(c, c))
        self.context = nn.Sequential(_NormalizedConvolution(c, d, 2), _NormalizedConvolution(d, d))
        self.up_coarse, self.decode_coarse = nn.Conv2d(d, c, 1), _NormalizedConvolution(c, e)
        self.up_middle, self.decode_middle = nn.Conv2d(e, b, 1), _NormalizedConvolution(b, f)
        self.up_fine, self.decode_fine = nn.Conv2d(f, a, 1), _NormalizedConvolution(a, g)
        # Four pixels per cell of stride 2.
        self.to_parts = nn.Conv2d(g, 4 * len(config.parts), 1)
        self.to_landmarks = nn.Conv2d(g, len(config.landmarks), 1)
        # Context, where the points are, and how large the parts are.
        self.hidden = nn.Linear(2 * d + 2 * len(config.landmarks) + len(config.parts), config.hidden)
        self.output = nn.Linear(config.hidden, len(config.landmarks) + len(config.numbers) + len(config.choices))
        self.register_buffer("number_mean", torch.zeros(len(config.numbers)))
        self.register_buffer("number_deviation", torch.ones(len(config.numbers)))
        if folded:
            self.fold()

    def fold(self) -> "HeadParts":
        """Put batch normalization into the convolutions, in place: the same function, for good."""
        for module in list(self.modules()):
            if isinstance(module, _NormalizedConvolution):
                module.fold()
        return self.eval()

    def features(self, images: Float[Tensor, "image 3 height width"]) -> dict[str, Tensor]:
        """Return the inner layers by their names (:data:`FEATURES`), differentiable.

        Args:
            images: [-1, 1], of any size; their head stands as in the official frame.
        """
        if images.shape[-2:] != (SIDE, SIDE):
            images = F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        fine = self.fine(F.pixel_unshuffle(images, 2))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        context = self.context(coarse)
        up = self.decode_coarse(_doubled(self.up_coarse(context)) + coarse)
        decoded_middle = self.decode_middle(_doubled(self.up_middle(up)) + middle)
        decoded_fine = self.decode_fine(_doubled(self.up_fine(decoded_middle)) + fine)
        return dict(zip(FEATURES, (fine, middle, coarse, context, decoded_middle, decoded_fine), strict=True))

    def read(self, features: Mapping[str, Tensor]) -> HeadReading:
        """Return the answer that inner layers lead to."""
        fine, context = features["decoded_fine"], features["context"]
        part_logits = F.pixel_shuffle(self.to_parts(fine), 2)
        scores = self.to_landmarks(fine).float()
        landmarks = _expected_place(scores)
        seen = [
            context.mean(dim=(2, 3)),
            context.amax(dim=(2, 3)),
            (landmarks / (SIDE / 2) - 1).flatten(1).to(context),
            part_logits.softmax(dim=1).mean(dim=(2, 3)).sqrt().to(context),
        ]
        out = self.output(F.relu(self.hidden(torch.cat(seen, dim=1)))).float()
        sizes = [len(self.config.landmarks), len(self.config.numbers), len(self.config.choices)]
        visible, numbers, choices = out.split(sizes, dim=1)
        numbers = numbers * self.number_deviation + self.number_mean
        return HeadReading(part_logits, landmarks, scores, visible, numbers, choices)

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> HeadReading:
        """Read images.

        Args:
            images: [-1, 1], of any size.
        """
        return self.read(self.features(images))


def _doubled(x: Float[Tensor, "image channel height width"]) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def _expected_place(scores: Float[Tensor, "image landmark height width"]) -> Float[Tensor, "image landmark 2"]:
    """Return the mean place under the softmax of a map (soft-argmax), in pixels of the image."""
    height, width = scores.shape[-2:]
    shares = scores.flatten(2).softmax(dim=2).unflatten(2, (height, width))
    columns = (torch.arange(width, device=scores.device) + 0.5) * (SIDE / width)
    rows = (torch.arange(height, device=scores.device) + 0.5) * (SIDE / height)
    return torch.stack([(shares.sum(dim=2) * columns).sum(dim=2), (shares.sum(dim=3) * rows).sum(dim=2)], dim=2)
