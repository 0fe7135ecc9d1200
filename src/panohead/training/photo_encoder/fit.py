"""The fit itself: encoder, running average and optimizer; a step depends on nothing but these and its number."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from panohead.attributes import AttributeEncoder
from panohead.errors import UsageError
from panohead.inversion.w_space import w_space
from panohead.models.generator import Generator
from panohead.models.photo_encoder import PhotoEncoder, PhotoEncoderConfig
from panohead.training.photo_encoder.augmentation import augment
from panohead.training.photo_encoder.batch import batch_of
from panohead.training.photo_encoder.config import EncoderTrainConfig
from panohead.training.photo_encoder.generated import attribute_count
from panohead.training.photo_encoder.losses import ImageLosses, regression_losses
from panohead.training.photo_encoder.samples import StoredSample
from panohead.training.schedules import warm_cosine

_WARMUP = 0.02  # of the steps
_WEIGHT_DECAY = 1e-3


def new_encoder(generator: Generator, attributes: AttributeEncoder | None, config: EncoderTrainConfig) -> PhotoEncoder:
    """Return an untrained encoder for a generator, with the whitened coordinates of its w.

    Raises:
        PanoHeadError: when the sizes do not fit together.
    """
    sizes = PhotoEncoderConfig(
        w_dim=generator.config.w_dim,
        attributes=attribute_count(attributes),
        resolution=config.resolution,
        channels=config.channels,
        blocks=config.blocks,
        hidden=config.hidden,
    )
    # Initialization draws from torch's global generator; its state is restored afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = PhotoEncoder(sizes)
    whitening = w_space(generator, samples=config.whitening_samples, seed=config.seed).whitening()
    axes = len(whitening.deviation)  # fewer than w_dim where there are fewer samples
    encoder.mean.copy_(whitening.mean)
    encoder.deviation.fill_(float(whitening.deviation[-1]))
    encoder.deviation[:axes] = whitening.deviation
    encoder.directions.zero_()
    encoder.directions[:axes] = whitening.directions
    return encoder


class EncoderFit:
    """A fit in progress.

    Args:
        generator: in eval mode, without gradients; on the CPU.
        attributes: attribute encoder of the checkpoint; None without one.
        config: settings.
        generated, rendered: samples to train on; the second may be empty.
        start: encoder to start from, of the same sizes and of a generator with nearly the same w; None for a new one.

    Raises:
        UsageError: when ``start`` has other sizes.
    """

    def __init__(
        self,
        generator: Generator,
        attributes: AttributeEncoder | None,
        config: EncoderTrainConfig,
        generated: Sequence[StoredSample],
        rendered: Sequence[StoredSample],
        start: PhotoEncoder | None = None,
    ) -> None:
        self.config = config
        self.encoder = new_encoder(generator, attributes, config)
        if start is None:
            _start_from_mean(self.encoder, [*generated, *rendered])
        else:
            if start.config != self.encoder.config:
                raise UsageError("the encoder to start from has other sizes; give the options that it was trained with")
            # With its own whitened coordinates, in which it predicts.
            self.encoder.load_state_dict(start.state_dict())
        self.average = copy.deepcopy(self.encoder).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.encoder.parameters(), lr=0.0, weight_decay=_WEIGHT_DECAY)
        self.step_count = 0
        self._generated, self._rendered = generated, rendered
        self._images = ImageLosses(generator, min(config.image_rays, config.side))

    def step(self) -> dict[str, float]:
        """Take one step and return the losses by name."""
        config, encoder = self.config, self.encoder.train()
        rng = np.random.default_rng([config.seed, 1, self.step_count])
        batch = batch_of(self._chosen(rng))
        photos = augment(batch.photo, batch.label, batch.offset, config.augmentation, rng)
        prediction = encoder(encoder.inputs(photos.image, photos.mask, photos.inside), photos.label)
        losses = regression_losses(encoder, prediction, batch, photos.offset)
        if config.image_heads and self.step_count % config.image_interval == 0:
            losses["image"] = self._images(prediction.w[: config.image_heads], batch)
        total = torch.stack([getattr(config, f"{name}_weight") * loss for name, loss in losses.items()]).sum()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * warm_cosine(self.step_count, config.steps, _WARMUP)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 5.0)
        self.optimizer.step()
        self.step_count += 1
        self._update_average()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _chosen(self, rng: np.random.Generator) -> list[StoredSample]:
        config = self.config
        count = round(config.dataset_share * config.batch) if self._rendered else 0
        numbers = rng.integers(len(self._generated), size=config.batch - count)
        chosen = [self._generated[i] for i in numbers]
        chosen += [self._rendered[i] for i in rng.integers(max(len(self._rendered), 1), size=count)]
        # Mixed, so that the heads that are rendered are of both kinds.
        return [chosen[i] for i in rng.permutation(len(chosen))]

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early averages would remember the random start, so the decay is small at first.
        decay = min(self.config.ema_decay, 1 - 1 / (1 + 0.1 * self.step_count))
        torch._foreach_lerp_(
            list(self.average.parameters()), [p.detach() for p in self.encoder.parameters()], 1 - decay
        )

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next steps depend on, beside settings and samples."""
        return {
            "step_count": self.step_count,
            "encoder": self.encoder.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume, exactly."""
        self.step_count = int(state["step_count"])
        self.encoder.load_state_dict(state["encoder"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


@torch.no_grad()
def _start_from_mean(encoder: PhotoEncoder, samples: Sequence[StoredSample]) -> None:
    """Let the untrained encoder answer the mean attributes of the samples, as it answers the mean w."""
    known = [sample.attributes for sample in samples if not np.isnan(sample.attributes).any()]
    if encoder.config.attributes and known:
        begin = encoder.config.w_dim
        mean = torch.from_numpy(np.mean(known, axis=0).astype(np.float32))
        encoder.output.bias[begin : begin + encoder.config.attributes] = mean


@torch.no_grad()
def calibrated(encoder: PhotoEncoder, samples: Sequence[StoredSample]) -> PhotoEncoder:
    """Return a copy whose confidence counts from the mean w: expected errors are shares of its error on the samples.

    The coordinates were whitened by w of random z, among which people may differ less than the samples do.
    """
    known = [torch.from_numpy(sample.w) for sample in samples if not np.isnan(sample.w).any()]
    copied = copy.deepcopy(encoder)
    if known:
        squares = (encoder.from_w(torch.stack(known)).square() * encoder.axis_weights).mean()
        copied.change_unit(max(float(squares.sqrt()), 1e-6))
    return copied


def parameters_of(encoder: PhotoEncoder) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in encoder.parameters())
