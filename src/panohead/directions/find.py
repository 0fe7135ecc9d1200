"""Directions of a generator: principal ones by linear algebra, named ones from renders of random heads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.directions.direction_file import Directions
from panohead.directions.principal import ganspace_directions, sampled_ws, sefa_directions
from panohead.directions.statistics import (
    IMAGE_STATISTICS,
    LANDMARK_STATISTICS,
    LandmarkFinder,
    image_statistics,
    landmark_statistics,
)
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.limits import SEED, NumberRange
from panohead.predictor import Predictor

HEADS = NumberRange(20, 100_000, "heads")
PRINCIPAL = NumberRange(0, 64)
SAMPLES = 8192
"""Heads, without renders, whose w give the principal directions."""
_CHECKED_HEADS, _AMOUNTS = 6, (-2.0, -1.0, 0.0, 1.0, 2.0)
_PRINCIPAL_OF_W = 64
"""Principal components of w in which named directions lie: in the others heads hardly differ."""


@dataclass(frozen=True, kw_only=True)
class DirectionSettings:
    """Settings of the search.

    Attributes:
        method: principal directions of w ("ganspace") or of the layers' weights ("sefa").
        principal: number of principal directions.
        heads: random heads that are rendered for the named directions.
        truncation_psi: truncation of these heads.
        seed: seed of all random numbers.

    Raises:
        UsageError: for numbers out of range.
    """

    method: Literal["ganspace", "sefa"] = "ganspace"
    principal: int = 10
    heads: int = 200
    truncation_psi: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        HEADS.whole(self.heads, "heads")
        PRINCIPAL.whole(self.principal, "principal")
        SEED.whole(self.seed, "seed")


def find_directions(
    predictor: Predictor,
    settings: DirectionSettings | None = None,
    *,
    landmarks: LandmarkFinder | None = None,
    step: Callable[[], None] = lambda: None,
) -> Directions:
    """Find the directions of a generator.

    Named directions are the least-squares effect of each statistic on w, the other statistics being equal, so that
    moving along one moves the others little. ``figures`` tells for each, on other heads: the correlation of the amount
    with what is then measured, and the movement of every statistic for an amount of 1, in its standard deviations.

    Args:
        predictor: the generator.
        settings: see :class:`DirectionSettings`.
        landmarks: function that finds face landmarks, for the directions that need them; None for none.
        step: called after each rendered head, for a progress bar; :func:`steps_of` tells how often.

    Raises:
        PanoHeadError: when all heads look alike.
    """
    settings = settings or DirectionSettings()
    generator = predictor.generator
    ws = sampled_ws(generator, SAMPLES, seed=settings.seed)
    if settings.method == "ganspace":
        principal = ganspace_directions(ws, settings.principal)
    else:
        principal = sefa_directions(generator, ws, settings.principal)
    center = generator.mapping_network.w_avg
    drawn = torch.lerp(center, ws[: settings.heads], settings.truncation_psi)
    rows = [_measured(predictor, w, landmarks, step) for w in drawn]
    seen = dict.fromkeys(name for row in rows for name in row)
    names = [name for name in seen if sum(name in row for row in rows) > 0.5 * len(rows)]
    complete = [i for i, row in enumerate(rows) if all(name in row for name in names)]
    values = np.array([[rows[i][name] for name in names] for i in complete])
    kept = values.std(axis=0) > 1e-5
    names, values = [name for name, keep in zip(names, kept, strict=True) if keep], values[:, kept]
    if not names:
        raise PanoHeadError("all heads of this generator look alike, so nothing can be found; train it further")
    basis = ganspace_directions(ws, min(_PRINCIPAL_OF_W, len(complete) // 4 + 1))
    vectors = conditional_directions(drawn[complete], torch.from_numpy(values).to(drawn), basis)
    all_names = tuple(names) + tuple(f"principal{i + 1}" for i in range(len(principal)))
    found = Directions(all_names, torch.cat([vectors, principal]).cpu(), predictor.sha256)
    figures = _check(predictor, found, names, values, ws[settings.heads :], landmarks, step)
    return Directions(found.names, found.vectors, found.checkpoint_sha256, figures)


def steps_of(settings: DirectionSettings, *, with_landmarks: bool) -> int:
    """Return the number of rendered heads when everything can be measured."""
    named = len(IMAGE_STATISTICS) + (len(LANDMARK_STATISTICS) if with_landmarks else 0)
    return settings.heads + named * _CHECKED_HEADS * len(_AMOUNTS)


def conditional_directions(
    ws: Float[Tensor, "head w_dim"], values: Float[Tensor, "head statistic"], basis: Float[Tensor, "component w_dim"]
) -> Float[Tensor, "statistic w_dim"]:
    """Return the change of w per standard deviation of each statistic, the others being equal.

    The least-squares solution of w = mean + values @ directions, within the basis.
    """
    unit = torch.nn.functional.normalize(basis, dim=1)
    centered = (ws - ws.mean(dim=0)) @ unit.T
    scaled = (values - values.mean(dim=0)) / values.std(dim=0)
    # A little ridge: statistics may be nearly the same thing.
    gram = scaled.T @ scaled + 0.02 * len(ws) * torch.eye(scaled.shape[1]).to(scaled)
    return torch.linalg.solve(gram, scaled.T @ centered) @ unit


def _measured(
    predictor: Predictor, w: Tensor, landmarks: LandmarkFinder | None, step: Callable[[], None]
) -> dict[str, float]:
    """Return the statistics of the head of a w."""
    head = predictor.from_w(w)
    frame = head.preview(Camera.orbit()) if landmarks is None else head.render(Camera.orbit())
    found = image_statistics(frame)
    if landmarks is not None:
        found |= landmark_statistics(np.array(frame.to_pil().convert("RGB")), landmarks) or {}
    step()
    return found


def _check(
    predictor: Predictor,
    found: Directions,
    names: list[str],
    values: Float[np.ndarray, "head statistic"],
    others: Float[Tensor, "other w_dim"],
    landmarks: LandmarkFinder | None,
    step: Callable[[], None],
) -> Mapping[str, Any]:
    """Move heads that were not used along the named directions and measure them again."""
    center, deviation = predictor.generator.mapping_network.w_avg, values.std(axis=0)
    figures: dict[str, Any] = {}
    for k, name in enumerate(names):
        amounts, seen = [], []
        vector = found.vectors[k].to(center)
        for w in others[:_CHECKED_HEADS]:
            start = torch.lerp(center, w, 0.6)
            rows = [_measured(predictor, start + amount * vector, landmarks, step) for amount in _AMOUNTS]
            if all(other in row for row in rows for other in names):
                table = np.array([[row[other] for other in names] for row in rows])
                seen.append((table - table.mean(axis=0)) / deviation)
                amounts.append(_AMOUNTS)
        if not seen:
            continue
        moved, given = np.concatenate(seen), np.concatenate(amounts)
        slope = given @ moved / (given @ given)
        own = moved[:, k]
        spread = float(np.sqrt((own @ own) * (given @ given)))
        figures[name] = {
            "correlation": round(float(given @ own / spread), 3) if spread > 0 else 0.0,
            "moved": {other: round(float(value), 3) for other, value in zip(names, slope, strict=True)},
        }
    return figures
