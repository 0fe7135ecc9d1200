"""The viewer: a server on this machine, a tab for every browser that connects, and their shared work."""

import importlib.util
import warnings
from collections.abc import Hashable
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image

from panohead.errors import PanoHeadError
from panohead.geometry import RADIUS
from panohead.limits import NumberRange
from panohead.predictor import Predictor
from panohead.viewer.access import Gate, check_access, check_port
from panohead.viewer.choices import HeadChoice, ViewRequest
from panohead.viewer.drawing import Drawing
from panohead.viewer.guarded_server import start_server
from panohead.viewer.heads import HeadShelf
from panohead.viewer.jobs import JobRunner
from panohead.viewer.page import OwnPage
from panohead.viewer.panel import Panel
from panohead.viewer.poses import MAX_DISTANCE, MIN_DISTANCE, vertical_fov
from panohead.viewer.render_queue import RenderQueue
from panohead.viewer.shared import Shared
from panohead.viewer.tab import Tab

PORT = NumberRange(0, 65_535)


class HeadViewer:
    """Viewer that runs from its making until :meth:`close`; a context manager.

    Args:
        predictor: the generator whose heads are shown.
        head: folder of a reconstruction that tabs begin with; None for seed 0.
        library: folder of reconstructions to open, to which visitors may add theirs; None for none.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        token: what the first address must carry; needed for any ``host`` that others reach.

    Raises:
        UsageError: for such a host without a token, or a port that does not exist.
        PanoHeadError: when viser is missing, the address is taken, or the reconstruction cannot be opened.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        head: str | Path | None = None,
        library: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int = 8080,
        token: str | None = None,
    ) -> None:
        check_access(host, token)
        port = PORT.whole(port, "port")
        opened = {} if head is None else {f"library:{Path(head).resolve().name}": predictor.open_reconstruction(head)}
        check_port(host, port)
        self._token = token
        self._tabs: dict[Hashable, Tab] = {}
        heads = HeadShelf(predictor, None if library is None else Path(library), opened)
        checkpoint = predictor.checkpoint
        self.shared = Shared(
            heads=heads,
            queue=RenderQueue[ViewRequest](Drawing(heads, self._tabs)),
            exports=JobRunner("exports"),
            reconstructions=JobRunner("reconstructions"),
            first_head=HeadChoice(saved=next(iter(opened), "")),
            library=heads.library_folder,
            checkpoint="" if checkpoint is None else str(checkpoint.sha256),
        )
        self._can_find_heads = importlib.util.find_spec("mediapipe") is not None
        page = OwnPage(self._first_image())
        for part in (self.shared.queue, self.shared.exports, self.shared.reconstructions):
            part.start()
        try:
            self._server = start_server(Gate(host, token), host, port, page)
        except BaseException:
            self.shared.stop()
            raise
        self._set_up()

    @property
    def url(self) -> str:
        """Address to open in a browser."""
        host = self._server.get_host()
        name = f"[{host}]" if ":" in host else host
        query = "" if self._token is None else f"?token={self._token}"
        return f"http://{name}:{self._server.get_port()}/{query}"

    def close(self) -> bool:
        """End the server and all threads; return True once they have ended."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of messages to browsers that are just being left
            for key in list(self._tabs):
                self.shared.leave(key)
            has_ended = self.shared.stop()
            self._server.stop()
        return has_ended

    def __enter__(self) -> "HeadViewer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _first_image(self) -> Image.Image:
        """Render the image that new tabs begin with; now, so that no visitor waits for kernels to be compiled."""
        drawing = Drawing(self.shared.heads, {})
        request = ViewRequest(head=self.shared.first_head)
        drawing.produce(None, request, "preview")
        return drawing.produce(None, request, "full").image

    def _set_up(self) -> None:
        server = self._server
        server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        server.gui.main_panel.dock_right()  # beside the head, not over it; phones have it below
        server.scene.set_up_direction("+y")
        server.scene.world_axes.visible = False
        camera = server.initial_camera
        camera.position, camera.look_at, camera.up = (0.0, 0.0, RADIUS), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)
        camera.fov = vertical_fov((16, 9))
        server.on_client_connect(self._connect)
        server.on_client_disconnect(self._disconnect)

    def _connect(self, client: Any) -> None:
        tab = Tab(client, self.shared)
        self._tabs[tab.key] = tab
        self.shared.queue.join(tab.key)

        async def follow(_camera: Any) -> None:
            tab.follow_camera()

        tab.follow_camera()
        client.camera.on_update(follow)
        client.camera.max_orbit_distance, client.camera.min_orbit_distance = MAX_DISTANCE, MIN_DISTANCE
        try:
            Panel(tab, can_find_heads=self._can_find_heads)
        except PanoHeadError as error:
            tab.tell_error(error)
        if tab.key not in self._server.get_clients():  # it left while its controls were made
            self._disconnect(client)

    def _disconnect(self, client: Any) -> None:
        tab = self._tabs.pop(client.client_id, None)
        if tab is not None:
            tab.leave()
