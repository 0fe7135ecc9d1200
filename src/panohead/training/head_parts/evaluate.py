"""Figures of a network on held-out views: agreement of parts, landmark error by yaw, correlation of attributes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from panohead.perceptual.head_parts import HeadParts
from panohead.training.head_parts.augment import augmented_batch, plain_batch
from panohead.training.head_parts.config import PartsTrainConfig
from panohead.training.head_parts.views import AnnotatedViews

YAW_BANDS = ((0, 30), (30, 60), (60, 90), (90, 135), (135, 180))
"""Distances of the yaw from the front, degrees."""
_BATCH = 32


@dataclass(frozen=True)
class _Answers:
    parts: np.ndarray
    true_parts: np.ndarray
    errors: np.ndarray  # pixels, NaN where a point is not in the image
    visible: np.ndarray
    visible_logits: np.ndarray
    numbers: np.ndarray
    choices: np.ndarray


@torch.no_grad()
def evaluate_parts(
    network: HeadParts, views: AnnotatedViews, augmentation: PartsTrainConfig | None = None
) -> dict[str, Any]:
    """Return figures of a network on views that it was not trained on.

    Args:
        network: in eval mode.
        views: held-out views.
        augmentation: photographs of the views instead of the renders themselves.

    Returns:
        ``iou`` by part, ``landmark_px`` (visible and all) by yaw, ``visibility`` (share told right), ``correlation`` by
        number, ``accuracy`` (balanced) by choice; plain values.
    """
    rng = np.random.default_rng([0 if augmentation is None else augmentation.seed, 2])
    answers = []
    for first in range(0, len(views), _BATCH):
        index = np.arange(first, min(first + _BATCH, len(views)))
        batch = plain_batch(views, index) if augmentation is None else augmented_batch(views, index, augmentation, rng)
        reading = network(batch.images)
        error = (reading.landmarks - batch.landmarks).norm(dim=2)
        error[~batch.inside] = torch.nan
        answers.append(
            _Answers(
                reading.parts.numpy().astype(np.uint8), batch.parts.numpy().astype(np.uint8), error.numpy(),
                batch.visible.numpy(), reading.visible.numpy(), reading.numbers.numpy(), reading.choices.numpy(),
            )
        )  # fmt: skip
    whole = replace(
        answers[0], **{name: np.concatenate([getattr(a, name) for a in answers]) for name in _Answers.__annotations__}
    )
    return {
        "views": len(views),
        "iou": dict(zip(network.config.parts, part_agreement(whole.parts, whole.true_parts), strict=True)),
        "landmark_px": _by_yaw(whole, np.abs(views.yaw_deg)),
        "visibility": round(float(((whole.visible_logits > 0) == (whole.visible > 0.5)).mean()), 4),
        "correlation": {
            name: correlation(whole.numbers[:, i], views.numbers[:, i]) for i, name in enumerate(network.config.numbers)
        },
        "accuracy": {
            name: _balanced(whole.choices[:, i] > 0, views.choices[:, i])
            for i, name in enumerate(network.config.choices)
        },
    }


def part_agreement(parts: np.ndarray, truth: np.ndarray, count: int = 15) -> list[float]:
    """Return the intersection over union of every part, over all pixels of all views; NaN becomes -1."""
    pairs = np.bincount(truth.ravel().astype(np.int64) * count + parts.ravel(), minlength=count**2)
    table = pairs.reshape(count, count)
    both = np.diag(table)
    either = table.sum(0) + table.sum(1) - both
    return [round(float(b / e), 4) if e else -1.0 for b, e in zip(both, either, strict=True)]


def _by_yaw(answers: _Answers, yaw: np.ndarray) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for low, high in YAW_BANDS:
        chosen = (yaw >= low) & (yaw < high)
        errors, visible = answers.errors[chosen], answers.visible[chosen] > 0.5
        found[f"{low}-{high}"] = [_mean(errors[visible]), _mean(errors)]
    return found


def _mean(values: np.ndarray) -> float | None:
    values = values[~np.isnan(values)]
    return round(float(values.mean()), 3) if len(values) else None


def correlation(a: Float[np.ndarray, "view"], b: Float[np.ndarray, "view"]) -> float | None:
    """Return the correlation over the views where both are known; None where one does not vary."""
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < 3 or a[known].std() == 0 or b[known].std() == 0:
        return None
    return round(float(np.corrcoef(a[known], b[known])[0, 1]), 3)


def _balanced(answer: np.ndarray, truth: Float[np.ndarray, "view"]) -> float | None:
    """Return the mean of the shares of both kinds that were told right."""
    shares: Sequence[float] = [
        float((answer[truth == kind] == bool(kind)).mean()) for kind in (0.0, 1.0) if (truth == kind).any()
    ]
    return round(float(np.mean(shares)), 3) if len(shares) == 2 else None
