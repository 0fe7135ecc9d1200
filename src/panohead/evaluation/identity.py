"""Identity preservation: similarity of face embeddings of one head's views."""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from panohead.evaluation.head_views import HeadViews
from panohead.evaluation.results import Result

YAWS = (-60.0, -30.0, 0.0, 30.0, 60.0)
"""Yaws in degrees; only views that show a face can be compared."""


@runtime_checkable
class FaceEmbedder(Protocol):
    """Network that describes the face in an image by a vector; vectors of one person point in similar directions."""

    name: str

    def embed(self, image: Float[Tensor, "3 height width"]) -> Float[np.ndarray, " feature"] | None:
        """Return the vector of the face in an image ([-1, 1]); None where no face is found."""


@dataclass
class Identity:
    """Cosine similarity within heads and between heads, and the share of views without a found face."""

    embedder: FaceEmbedder
    _heads: dict[int, list[np.ndarray]] = field(default_factory=dict)
    views: int = 0

    def add(self, views: HeadViews) -> None:
        """Embed five views of the face of one head."""
        for yaw in YAWS:
            self.measure(views.at(yaw).image, views.index)

    def measure(self, image: Float[Tensor, "3 height width"], person: int) -> None:
        """Embed one image ([-1, 1]) of the person with this number."""
        self.views += 1
        vector = self.embedder.embed(image)
        known = self._heads.setdefault(person, [])
        known += [] if vector is None else [np.asarray(vector, np.float64)]

    def results(self) -> list[Result]:
        """Return the mean cosine within heads (higher is better), and between different heads (its lower bound)."""
        heads = list(self._heads.values())
        within, between = similarities(heads)
        faces = sum(len(head) for head in heads)
        details = {"embedder": self.embedder.name, "missed_share": 1 - faces / max(self.views, 1)}
        counts = {"heads": len(heads), "views": self.views, "faces": faces}
        common: dict[str, Any] = {"metric": "identity", "counts": counts, "details": details}
        return [
            Result(subset="same head", value=within, better="higher", **common),
            Result(subset="different heads", value=between, better="neither", **common),
        ]


def similarities(heads: list[list[np.ndarray]]) -> tuple[float, float]:
    """Return the mean cosine over pairs of views of one head, and over pairs of different heads; nan without pairs."""
    vectors = [vector / max(float(np.linalg.norm(vector)), 1e-12) for head in heads for vector in head]
    if len(vectors) < 2:
        return math.nan, math.nan
    owner = np.repeat(np.arange(len(heads)), [len(head) for head in heads])
    cosine = np.stack(vectors) @ np.stack(vectors).T
    same = owner[:, None] == owner[None]
    upper = np.triu(np.ones_like(same), 1)
    within, between = cosine[same & upper], cosine[~same & upper]
    return (
        float(within.mean()) if len(within) else math.nan,
        float(between.mean()) if len(between) else math.nan,
    )
