"""Camera error: the pose found in a generated image against the pose it was rendered from."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from panohead.evaluation.head_views import HeadViews
from panohead.evaluation.protocol import BIN_DEG
from panohead.evaluation.results import Result
from panohead.geometry.camera import Camera

YAWS = tuple(float(yaw) for yaw in range(-165, 195, 30))
PITCHES = (-15.0, 15.0)


@runtime_checkable
class PoseEstimator(Protocol):
    """Estimator of the camera of a portrait."""

    def camera(self, image: Float[Tensor, "3 height width"]) -> tuple[Camera, str] | None:
        """Return the camera and kind of evidence ("face", ...) of an image ([-1, 1]); None where there is none."""


@dataclass
class CameraError:
    """Yaw and pitch errors by bins of |yaw|, with the share of images in which no pose was found."""

    estimator: PoseEstimator
    _errors: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    _views: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _kinds: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, views: HeadViews) -> None:
        """Measure views all around one head, alternately from a little below and above."""
        for i, yaw in enumerate(YAWS):
            pitch = PITCHES[(i + views.index) % len(PITCHES)]
            self.measure(views.at(yaw, pitch).image, Camera.orbit(yaw, pitch))

    def measure(self, image: Float[Tensor, "3 height width"], wanted: Camera) -> None:
        """Estimate the camera of one image ([-1, 1]) that was rendered from ``wanted``."""
        low = min(int(abs(_yaw_pitch(wanted)[0]) + 1e-6) // BIN_DEG * BIN_DEG, 180 - BIN_DEG)
        name = f"{low}-{low + BIN_DEG}"
        self._views[name] += 1
        found = self.estimator.camera(image)
        if found is not None:
            self._errors[name].append(angle_errors(found[0], wanted))
            self._kinds[found[1]] += 1

    def results(self) -> list[Result]:
        """Return mean absolute errors in degrees, over all views and per bin."""
        bins: dict[str, list[str]] = {
            "all": list(self._views),
            **{name: [name] for name in sorted(self._views, key=_low)},
        }
        rows = []
        for name, members in bins.items():
            errors = np.array([error for member in members for error in self._errors[member]]).reshape(-1, 2)
            number = sum(self._views[member] for member in members)
            common: dict[str, Any] = {
                "subset": name,
                "unit": "deg",
                "counts": {"views": number, "found": len(errors)},
                "details": {"missed_share": 1 - len(errors) / max(number, 1), "kinds": dict(self._kinds)},
            }
            for k, metric in enumerate(("yaw error", "pitch error")):
                value = float(np.abs(errors[:, k]).mean()) if len(errors) else math.nan
                rows.append(Result(metric=metric, value=value, **common))
        return rows


def angle_errors(found: Camera, wanted: Camera) -> tuple[float, float]:
    """Return yaw and pitch of ``found`` minus those of ``wanted`` in degrees; yaw wrapped to [-180, 180).

    Only the viewing directions are compared, so distance and crop do not matter.
    """
    (yaw, pitch), (wanted_yaw, wanted_pitch) = (_yaw_pitch(camera) for camera in (found, wanted))
    return (yaw - wanted_yaw + 180) % 360 - 180, pitch - wanted_pitch


def _yaw_pitch(camera: Camera) -> tuple[float, float]:
    # The camera looks along the third column of cam2world; minus it points from the head to the camera.
    x, y, z = (-camera.cam2world.reshape(4, 4)[:3, 2].double()).tolist()
    return math.degrees(math.atan2(x, z)), math.degrees(math.asin(max(-1.0, min(1.0, y))))


def _low(name: str) -> int:
    return int(name.split("-")[0])
