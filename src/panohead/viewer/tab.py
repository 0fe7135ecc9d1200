"""One browser tab: its state, what it asks the queue for, and what it sends to its browser."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from panohead.attributes.named import Value
from panohead.errors import PanoHeadError, UsageError
from panohead.frame import Frame
from panohead.viewer.choices import HeadChoice, Pose, ViewRequest
from panohead.viewer.exports import image_file, mesh_file, turntable_file
from panohead.viewer.guarded_server import run_in_browser
from panohead.viewer.jobs import Job
from panohead.viewer.page import REMOVE_FIRST
from panohead.viewer.poses import is_out_of_reach, pose_from, position_of, vertical_fov
from panohead.viewer.render_queue import Quality
from panohead.viewer.shared import Shared

_MESH_NODE = "/head"
_RATE_WINDOW_S = 2.0


@dataclass(frozen=True)
class Drawn:
    """Image for a tab.

    Attributes:
        image: as it fills the canvas.
        quality: preview or full.
        frame: what it was made of; None behind a mesh.
        rays: per side.
        seconds: time that it took.
    """

    image: Image.Image
    quality: Quality
    frame: Frame | None
    rays: int
    seconds: float


@runtime_checkable
class TabControls(Protocol):
    """Controls of a tab, as far as the tab writes to them."""

    def show_status(self, drawn: Drawn, rate: float, request: ViewRequest) -> None:
        """Show resolution, frame rate and pose."""

    def show_progress(self, share: float | None, text: str) -> None:
        """Show the progress of a reconstruction; None hides it."""

    def show_heads(self, keys: list[str], chosen: str) -> None:
        """Show the list of saved heads."""

    def show_attributes(self, values: dict[str, Value]) -> None:
        """Show the attributes of the head."""


class Tab:
    """State of one tab.

    Args:
        client: viser's handle of the browser; only its own scene, camera and controls are used.
        shared: queue, heads and long work of all tabs.
    """

    def __init__(self, client: Any, shared: Shared) -> None:
        self.client, self.shared, self.key = client, shared, client.client_id
        self.controls: TabControls | None = None
        self._shown: tuple[ViewRequest, Drawn] | None = None
        self._lock = threading.Lock()
        self._request = ViewRequest(head=shared.first_head)
        self._followed: ViewRequest | None = None
        self._has_image = False
        self._saved: list[HeadChoice] = []
        self._wants_file = False
        self._mesh_of: HeadChoice | None = None
        self._moments: list[float] = []

    @property
    def request(self) -> ViewRequest:
        """Request for what the tab shows, or is about to."""
        return self._request

    @property
    def is_portrait(self) -> bool:
        """True where the browser's canvas is higher than wide, as a phone's is."""
        return self._request.canvas[1] > self._request.canvas[0]

    def show_on(self, controls: TabControls) -> None:
        """Write to controls from now on; images may have been sent before there were any."""
        with self._lock:
            self.controls, shown, self._shown = controls, self._shown, None
        if shown is not None:
            controls.show_status(shown[1], self._rate(), shown[0])
        self.list_heads()

    def follow_camera(self) -> None:
        """Ask for the view of the browser's camera; does nothing where it is the one that was asked for last."""
        camera = self.client.camera
        canvas = (int(camera.image_width), int(camera.image_height))
        try:
            pose = pose_from(camera.position, camera.look_at)
            with self._lock:
                before = self._request
                if is_out_of_reach(camera.position, camera.look_at):
                    pose = before.pose  # viser's own first camera: ours is on its way to the browser
                self._request = request = replace(before, pose=pose, canvas=canvas)
        except UsageError:
            return  # a browser's camera without a direction: the next message has one
        if before.canvas != canvas:
            camera.fov = vertical_fov(canvas)
        if request != self._followed:
            self._followed = request
            self.shared.queue.submit(self.key, request, moving=before.canvas == canvas)

    def change_head(self, **fields: Any) -> None:
        """Change what head is shown; see :class:`HeadChoice`."""
        with self._lock:
            self._request = replace(self._request, head=replace(self._request.head, **fields))
        self.ask()
        self.find_attributes()

    def find_attributes(self) -> None:
        """Find the attributes of the head and show them; does nothing for a model without named attributes."""

        def work(job: Job) -> None:
            self.shared.queue.wait_until_calm(1.0)
            job.check()
            values = self.shared.heads.attributes(self._request.head)
            job.check()
            if self.controls is not None:
                self.controls.show_attributes(values)

        if self.shared.heads.predictor.attributes:
            self.shared.exports.submit(self.key, Job("attributes", work, self.tell_error))

    def change_view(self, **fields: Any) -> None:
        """Change how it is shown; see :class:`ViewChoice`."""
        with self._lock:
            self._request = replace(self._request, view=replace(self._request.view, **fields))
        self.ask()

    def ask(self) -> None:
        """Ask for the image of the present state, and for the mesh if that is shown."""
        request = self._request
        if request.view.layer == "mesh":
            if self._mesh_of != request.head:
                self._begin_mesh(request.head)
        elif self._mesh_of is not None:
            self._mesh_of = None
            self.client.scene.remove_by_name(_MESH_NODE)
        self.shared.queue.submit(self.key, request)

    def turn_to(self, pose: Pose) -> None:
        """Move the browser's camera; its answer brings the view."""
        with self.client.atomic():
            self.client.camera.position = position_of(pose)
            self.client.camera.look_at = (0.0, 0.0, 0.0)

    def remember(self, limit: int = 50) -> None:
        """Put the present head on the tab's list."""
        with self._lock:
            if self._request.head not in self._saved:
                self._saved = [*self._saved, self._request.head][-limit:]
        self.list_heads()

    def heads(self) -> dict[str, HeadChoice]:
        """Return the heads that the tab can choose from, by their names in the list."""
        listed = {f"{i + 1}. {choice.name}": choice for i, choice in enumerate(self._saved)}
        for key in (*self.shared.heads.kept_by(self.key), *self.shared.heads.library()):
            listed[key.replace(":", ": ")] = HeadChoice(saved=key)
        return listed

    def list_heads(self) -> None:
        """Show the list again."""
        if self.controls is not None:
            listed = self.heads()
            chosen = next((name for name, choice in listed.items() if choice == self._request.head), "")
            self.controls.show_heads(list(listed), chosen)

    def save_image(self) -> None:
        """Send the next full image as a file, too."""
        self._wants_file = True
        self.ask()

    def save_turntable(self) -> None:
        """Make a turntable and send it."""

        def work(job: Job) -> None:
            request = self._request

            def step() -> None:
                job.check()
                self.shared.queue.wait_until_calm(0.2)

            head, heads = self.shared.heads.head(request.head), self.shared.heads
            suffix, content = turntable_file(head, request.view, request.pose, heads.photo, step)
            job.check()
            self._send(f"{request.head.name}_turntable{suffix}", content)

        self._begin_job("turntable", work, "Making the turntable", "It is downloaded when it is done.")

    def save_mesh(self) -> None:
        """Make a GLB file and send it."""

        def work(job: Job) -> None:
            choice = self._request.head
            content = mesh_file(self.shared.heads.head(choice), job.check)
            job.check()
            self._send(f"{choice.name}.glb", content)

        self._begin_job("mesh file", work, "Making the mesh", "It is downloaded when it is done.")

    def leave(self) -> None:
        """Forget the tab: nothing is made for it any more."""
        self.shared.leave(self.key)

    def draw_mesh_backdrop(self, request: ViewRequest) -> bool:
        """Return True where the mesh stands in the scene, so that only its background is to be drawn."""
        return request.view.layer == "mesh" and self._mesh_of == request.head

    def show(self, request: ViewRequest, drawn: Drawn) -> None:
        """Send an image to the browser, and as a file if that was asked for."""
        image, is_full = np.asarray(drawn.image), drawn.quality == "full"
        self.client.scene.set_background_image(image, format="jpeg", jpeg_quality=92 if is_full else 80)
        if not self._has_image and (is_full or request.pose != Pose()):
            self._has_image = True
            run_in_browser(self.client, REMOVE_FIRST)
        now = time.monotonic()
        self._moments = [*[m for m in self._moments if now - m < _RATE_WINDOW_S][-200:], now]
        if is_full and self._wants_file and drawn.frame is not None:
            self._wants_file = False
            yaw = f"yaw{request.pose.yaw_deg:+04.0f}"
            content = image_file(drawn.frame, request.view, self.shared.heads.photo)
            self._send(f"{request.head.name}_{yaw}_{request.view.layer}.png", content)
        with self._lock:
            controls = self.controls
            self._shown = (request, drawn) if controls is None else None
        if controls is not None:
            controls.show_status(drawn, self._rate(), request)

    def notify(self, title: str, body: str, *, is_error: bool = False) -> None:
        """Show a message in the browser."""
        color = "red" if is_error else "blue"
        self.client.add_notification(title, body, auto_close_seconds=12.0 if is_error else 5.0, color=color)

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Show errors of the block to the visitor instead of raising them."""
        try:
            yield
        except PanoHeadError as error:
            self.notify("That does not work", f"{error}.", is_error=True)

    def _rate(self) -> float:
        """Return images per second over the last moments."""
        if len(self._moments) < 2:
            return 0.0
        return (len(self._moments) - 1) / max(self._moments[-1] - self._moments[0], 1e-6)

    def _begin_mesh(self, choice: HeadChoice) -> None:
        def work(job: Job) -> None:
            content = mesh_file(self.shared.heads.head(choice), job.check, life_size=False)
            job.check()
            self.client.scene.add_glb(_MESH_NODE, content)
            self._mesh_of = choice
            self.shared.queue.submit(self.key, self._request)

        self._begin_job("mesh view", work, "Making the mesh", "It takes the image's place in some seconds.")

    def _begin_job(self, kind: str, work: Callable[[Job], None], title: str, body: str) -> None:
        self.notify(title, body)
        self.shared.exports.submit(self.key, Job(kind, work, self.tell_error))

    def tell_error(self, error: Exception) -> None:
        """Show why long work ended."""
        text = str(error) if isinstance(error, PanoHeadError) else f"unexpected {type(error).__name__}: {error}"
        self.notify("That does not work", f"{' '.join(text.split())[:400]}.", is_error=True)

    def _send(self, name: str, content: bytes) -> None:
        self.client.send_file_download(name, content, save_immediately=True)
