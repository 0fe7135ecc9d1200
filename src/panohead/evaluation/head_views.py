"""Views of one head, rendered once and shared by all metrics that measure heads from several sides."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from panohead.evaluation.results import Result
from panohead.frame import Frame
from panohead.geometry.camera import Camera
from panohead.head import Head


@dataclass(frozen=True)
class HeadViews:
    """A head, its number among the evaluated ones, and its rendered views."""

    head: Head
    index: int
    _kept: dict[tuple[float, float], Frame] = field(default_factory=dict)

    def at(self, yaw_deg: float, pitch_deg: float = 0.0) -> Frame:
        """Return the view from an orbit camera (degrees), on the CPU."""
        place = yaw_deg, pitch_deg
        if place not in self._kept:
            frame = self.head.render(Camera.orbit(yaw_deg, pitch_deg))
            self._kept[place] = Frame(
                frame.image.cpu(), frame.image_raw.cpu(), frame.depth.cpu(), frame.mask.cpu(), frame.camera.to("cpu")
            )
        return self._kept[place]


@runtime_checkable
class HeadMetric(Protocol):
    """Metric that is accumulated head by head; only a few numbers are kept between heads."""

    def add(self, views: HeadViews) -> None:
        """Measure one head."""

    def results(self) -> list[Result]:
        """Return the numbers over all heads so far."""
