"""Settings of the training of a photo encoder."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, Natural, NotNegative, Seed, Share, Side, Width
from panohead.training.photo_encoder.augmentation import PhotoAugmentation


@dataclass(frozen=True, kw_only=True)
class EncoderTrainConfig(Bounded):
    """Settings of a training run; the defaults take one to two hours on two cores with the demo model.

    Attributes:
        samples: heads of the generator that are rendered before the training; about 20 kB of disk each.
        steps: steps of gradient descent.
        batch: photos per step.
        learning_rate: highest learning rate of AdamW; it rises over 2 % of the steps and falls as half a cosine.
        resolution, channels, blocks, hidden: sizes of the network, see :class:`PhotoEncoderConfig`.
        side: side of the second view in pixels; at most the generator's rays per side.
        psi: smallest and largest truncation of the heads from z.
        attribute_share: share of the generator's heads that come from random attributes, where the checkpoint has an
            attribute encoder; the others come from z.
        dataset_share: share of a batch from the datasets, where there are any.
        image_interval: steps per step that also renders the encoder's heads.
        image_heads: heads that are rendered then.
        image_rays: rays per side of these renderings.
        w_weight, attribute_weight, offset_weight, image_weight, confidence_weight: weights of the losses.
        ema_decay: decay of the running average of the weights.
        whitening_samples: number of w for the whitened coordinates.
        augmentation: strengths of the photographic augmentation.
        seed: seed of everything.
    """

    samples: Annotated[int, NumberRange(16, 10_000_000)] = 12_000
    steps: Natural = 6_000
    batch: Annotated[int, NumberRange(1, 4096)] = 32
    learning_rate: NotNegative = 1e-3
    resolution: Annotated[int, NumberRange(16, 1024)] = 128
    channels: Annotated[tuple[int, ...], NumberRange(1, 1024)] = (48, 96, 160, 224)
    blocks: Annotated[tuple[int, ...], NumberRange(0, 16)] = (1, 1, 2, 1)
    hidden: Width = 512
    side: Side = 64
    psi: Annotated[tuple[float, ...], NumberRange(0, 2)] = (0.5, 1.0)
    attribute_share: Share = 0.5
    dataset_share: Share = 0.35
    image_interval: Natural = 4
    image_heads: Annotated[int, NumberRange(0, 4096)] = 4
    image_rays: Side = 32
    w_weight: NotNegative = 1.0
    attribute_weight: NotNegative = 1.0
    offset_weight: NotNegative = 0.3
    image_weight: NotNegative = 2.0
    confidence_weight: NotNegative = 0.05
    ema_decay: Share = 0.998
    whitening_samples: Annotated[int, NumberRange(2, 1_000_000)] = 4096
    augmentation: PhotoAugmentation = field(default_factory=PhotoAugmentation)
    seed: Seed = 0


SMALL_NETWORK: dict[str, Any] = {"channels": (32, 64, 96, 144), "blocks": (1, 1, 1, 1), "hidden": 320}
"""Sizes of a network of 1.4 million parameters, for encoders that are bundled."""
