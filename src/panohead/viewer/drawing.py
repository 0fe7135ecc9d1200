"""The render queue's work: requests of tabs to images, previews in the size that keeps up with the hand."""

import time
from collections.abc import Hashable, Mapping

from panohead.errors import PanoHeadError
from panohead.viewer.choices import ViewRequest
from panohead.viewer.heads import HeadShelf
from panohead.viewer.layers import backdrop, compose, scaled
from panohead.viewer.poses import camera_of
from panohead.viewer.preview_size import PreviewSize
from panohead.viewer.render_queue import Quality
from panohead.viewer.tab import Drawn, Tab

PREVIEW_SIDE = 320
FULL_SIDE = 1280
"""Longer sides in pixels of what is sent; the browser enlarges it to its canvas."""


class Drawing:
    """Images for tabs. See :class:`RenderWork`.

    Args:
        heads: heads by choice.
        tabs: open tabs by their keys; may change at any time.
    """

    def __init__(self, heads: HeadShelf, tabs: Mapping[Hashable, Tab]) -> None:
        self._heads, self._tabs = heads, tabs
        self._full_rays = heads.predictor.generator.config.neural_rendering_resolution
        self.preview_size = PreviewSize(self._full_rays)

    def produce(self, tab: Hashable, request: ViewRequest, quality: Quality) -> Drawn:
        """Render and compose a tab's view."""
        owner = self._tabs.get(tab)
        if owner is not None and owner.draw_mesh_backdrop(request):
            return Drawn(
                backdrop(request.view, scaled(request.canvas, FULL_SIDE), self._heads.photo), quality, None, 0, 0.0
            )
        head, camera = self._heads.head(request.head), camera_of(request.pose)
        begin = time.monotonic()
        if quality == "full":
            frame, rays, side = head.render(camera), self._full_rays, FULL_SIDE
        else:
            rays, side = self.preview_size.rays, PREVIEW_SIDE
            frame = head.preview(camera, resolution=rays)
        image = compose(frame, request.view, request.canvas, side, self._heads.photo)
        seconds = time.monotonic() - begin
        if quality == "preview":
            self.preview_size.observe(rays, seconds)
        return Drawn(image, quality, frame, rays, seconds)

    def deliver(self, tab: Hashable, request: ViewRequest, quality: Quality, image: Drawn) -> None:
        """Send an image to its tab."""
        owner = self._tabs.get(tab)
        if owner is not None:
            owner.show(request, image)

    def fail(self, tab: Hashable, request: ViewRequest, error: Exception) -> None:
        """Tell a tab why there is no image."""
        owner = self._tabs.get(tab)
        if owner is not None:
            owner.tell_error(error if isinstance(error, PanoHeadError) else PanoHeadError(f"unexpected error: {error}"))
