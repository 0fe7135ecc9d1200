"""Views of one head, rendered once and shared by all metrics that look at heads from several sides."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from panohead.evaluation.results import Result
from panohead.frame import Frame
from panohead.geometry.camera import Camera
from panohead.head import Head


@dataclass(frozen=True)
class HeadViews:
    """A head and its number among the evaluated ones."""

    head: Head
    index: int
    _kept: dict[tuple[float, float], Frame] = field(default_factory=dict)

    def at(self, yaw_deg: float, pitch_deg: float = 0.0) -> Frame:
        """The view from an orbit camera, on the CPU."""
        place = yaw_deg, pitch_deg
        if place not in self._kept:
            seen = self.head.render(Camera.orbit(yaw_deg, pitch_deg))
            self._kept[place] = Frame(
                seen.image.cpu(), seen.image_raw.cpu(), seen.depth.cpu(), seen.mask.cpu(), seen.camera.to("cpu")
            )
        return self._kept[place]


@runtime_checkable
class HeadMetric(Protocol):
    """Something measured head by head; what is kept between heads is a few numbers."""

    def add(self, views: HeadViews) -> None:
        """Look at one head."""

    def results(self) -> list[Result]:
        """The numbers over all heads so far."""
