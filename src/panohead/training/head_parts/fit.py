"""A fit in progress: batches, losses, steps, and an exact state."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.perceptual.head_parts import SIDE, HeadParts, HeadPartsConfig, HeadReading
from panohead.synthetic.annotation import LANDMARKS, PARTS
from panohead.training.head_parts.augment import PartsBatch, augmented_batch
from panohead.training.head_parts.config import PartsTrainConfig
from panohead.training.head_parts.views import CHOICES, NUMBERS, AnnotatedViews
from panohead.training.schedules import warm_cosine

_HIDDEN_POINT = 0.3
"""Weight of landmarks that are not visible: their place follows from the others."""
_MAX_RARITY = 5.0
"""Weight of a rare choice (glasses, headwear), at most."""
_WEIGHT_DECAY, _WARMUP, _MAX_GRADIENT = 0.02, 0.03, 5.0


def new_network(seed: int) -> HeadParts:
    """Return an untrained network with the vocabulary of the synthetic people."""
    config = HeadPartsConfig(parts=PARTS, landmarks=LANDMARKS, numbers=tuple(NUMBERS), choices=tuple(CHOICES))
    # Initialization draws from torch's global generator; its state is restored afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HeadParts(config)


class PartsFit:
    """A fit in progress.

    Args:
        views: what it learns from.
        config: settings.
        start: weights to start from, where names and sizes are the same; None for random ones.
    """

    def __init__(
        self, views: AnnotatedViews, config: PartsTrainConfig, start: Mapping[str, Tensor] | None = None
    ) -> None:
        self.config, self.views = config, views
        self.network = new_network(config.seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            _take_weights(self.network, start)
        self.network.number_mean.copy_(torch.from_numpy(np.nanmean(views.numbers, axis=0)))
        self.network.number_deviation.copy_(torch.from_numpy(np.nanstd(views.numbers, axis=0)).clamp_min(1e-3))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.0, weight_decay=_WEIGHT_DECAY)
        self.step_count = 0
        self._part_weights = part_weights(views)
        shares = np.nanmean(views.choices, axis=0).clip(1e-3, 1 - 1e-3)
        self._rarity = torch.from_numpy(((1 - shares) / shares).clip(1 / _MAX_RARITY, _MAX_RARITY)).float()

    def step(self) -> dict[str, float]:
        """Take one step and return the losses by name."""
        config, network = self.config, self.network.train()
        rng = np.random.default_rng([config.seed, 1, self.step_count])
        index = rng.integers(len(self.views), size=config.batch)
        batch = augmented_batch(self.views, index, config, rng)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bfloat16):
            reading = network(batch.images.contiguous(memory_format=torch.channels_last))
        losses = self.losses(reading, batch)
        total = torch.stack([getattr(config, f"{name}_weight") * loss for name, loss in losses.items()]).sum()
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * warm_cosine(self.step_count, config.steps, _WARMUP)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRADIENT)
        self.optimizer.step()
        self.step_count += 1
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def losses(self, reading: HeadReading, batch: PartsBatch) -> dict[str, Tensor]:
        """Return the losses of an answer, by the names of their weights."""
        numbers = torch.from_numpy(self.views.numbers[batch.index]).clone()
        numbers[batch.relit, list(NUMBERS).index("brightness")] = torch.nan
        mean, deviation = self.network.number_mean, self.network.number_deviation
        wanted, answered = ((x - mean) / deviation for x in (numbers, reading.numbers))
        choices = torch.from_numpy(self.views.choices[batch.index])
        weights = batch.inside * (_HIDDEN_POINT + (1 - _HIDDEN_POINT) * batch.visible)
        maps = F.cross_entropy(
            reading.landmark_scores.flatten(2).transpose(1, 2),
            _cell_shares(batch.landmarks, reading.landmark_scores.shape[-1]).transpose(1, 2),
            reduction="none",
        )
        distance = F.smooth_l1_loss(reading.landmarks, batch.landmarks, reduction="none").sum(dim=2)
        return {
            "parts": F.cross_entropy(reading.part_logits.float(), batch.parts, self._part_weights),
            "landmarks": (distance * weights).sum() / weights.sum().clamp_min(1),
            "maps": (maps * weights).sum() / weights.sum().clamp_min(1),
            "visible": F.binary_cross_entropy_with_logits(reading.visible, batch.visible),
            "numbers": _known_mean((answered - wanted.nan_to_num()).square(), wanted),
            "choices": _known_mean(
                F.binary_cross_entropy_with_logits(
                    reading.choices, choices.nan_to_num(), reduction="none", pos_weight=self._rarity
                ),
                choices,
            ),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next steps depend on, beside settings and views."""
        return {
            "step_count": self.step_count,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume, exactly."""
        self.step_count = int(state["step_count"])
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


@torch.no_grad()
def _take_weights(network: HeadParts, start: Mapping[str, Tensor]) -> None:
    own = network.state_dict()
    for name, value in start.items():
        if name in own and own[name].shape == value.shape:
            own[name].copy_(value)


def part_weights(views: AnnotatedViews) -> Float[Tensor, "part"]:
    """Return the weights of the parts: the inverse root of their area, so that irises count beside hair."""
    area = np.bincount(views.parts.ravel(), minlength=len(PARTS)) / views.parts.size
    weights = 1 / np.sqrt(area + 1e-4)
    return torch.from_numpy(weights / (weights * area).sum()).float()


def _cell_shares(places: Float[Tensor, "image landmark 2"], side: int) -> Float[Tensor, "image landmark cell"]:
    """Return the shares of the grid's cells in places (pixels): bilinear, so that their mean is the place itself."""
    at = (places * (side / SIDE) - 0.5).clamp(0, side - 1.001)
    first = at.floor()
    x, y = (at - first).unbind(dim=2)
    corner = first[..., 1] * side + first[..., 0]
    cells = torch.stack([corner, corner + 1, corner + side, corner + side + 1], dim=2).long()
    shares = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], dim=2)
    return torch.zeros(*places.shape[:2], side * side).scatter_(2, cells, shares)


def _known_mean(values: Tensor, known: Tensor) -> Tensor:
    is_known = ~known.isnan()
    return (values * is_known).sum() / is_known.sum().clamp_min(1)
