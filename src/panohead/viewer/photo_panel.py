"""Controls of a tab by which a photo becomes a head: upload, progress, cancel, keep."""

from typing import Any

from PIL import Image

from panohead.inversion import ReconstructedHead
from panohead.viewer.jobs import Job
from panohead.viewer.photo_job import reconstruct_photo, save_in_library
from panohead.viewer.poses import camera_of
from panohead.viewer.tab import Tab
from panohead.viewer.uploads import uploaded_photo

_KIND = "reconstruction"
_GIVE_WAY_S = 0.3


class PhotoPanel:
    """Folder "Your photo" of the panel.

    Args:
        tab: the tab.
        can_find_heads: heads can be found in photos of any kind; else only aligned crops are of use.
    """

    def __init__(self, tab: Tab, *, can_find_heads: bool) -> None:
        self._tab, self._gui = tab, tab.client.gui
        self._can_find_heads = can_find_heads
        self._last: ReconstructedHead | None = None
        gui = self._gui
        with gui.add_folder("Your photo", expand_by_default=False):
            if not can_find_heads:
                gui.add_markdown("Finding heads in photos needs `pip install 'panohead[face]'`; without it give an "
                                 "aligned crop, seen as the head is shown now.")  # fmt: skip
            self._aligned = gui.add_checkbox(
                "It is an aligned crop", not can_find_heads, disabled=not can_find_heads,
                hint="In the official frame, seen from where the camera is now.",
            )  # fmt: skip
            upload = gui.add_upload_button(
                "Photo ...", mime_type="image/jpeg,image/png,image/webp,image/heic,image/avif"
            )
            self._progress = gui.add_progress_bar(0.0, visible=False)
            self._text = gui.add_markdown("", visible=False)
            self._cancel = gui.add_button("Cancel", visible=False)
            self._keep = gui.add_button("Keep in the library", visible=False)
        upload.on_upload(lambda _event: self._begin(upload.value.content))
        self._cancel.on_click(lambda _event: self._stop())
        self._keep.on_click(lambda _event: self._save())

    def show_progress(self, share: float | None, text: str) -> None:
        """Show the progress of a reconstruction; None hides it."""
        is_running = share is not None
        self._progress.visible = self._text.visible = self._cancel.visible = is_running
        self._progress.value = 100.0 * (share or 0.0)
        self._text.content = text

    def _begin(self, content: bytes) -> None:
        with self._tab.telling():
            photo = uploaded_photo(content)
            is_crop = bool(self._aligned.value) or not self._can_find_heads
            camera = camera_of(self._tab.request.pose) if is_crop else None
            job = Job(_KIND, lambda job: self._reconstruct(photo, camera, job), self._failed)
            self.show_progress(0.0, "waiting")
            self._tab.shared.reconstructions.submit(self._tab.key, job)

    def _reconstruct(self, photo: Image.Image, camera: Any, job: Job) -> None:
        tab = self._tab
        head = reconstruct_photo(
            tab.shared.heads.predictor,
            photo,
            camera,
            job,
            self.show_progress,
            lambda: tab.shared.queue.wait_until_calm(_GIVE_WAY_S),
        )
        key = tab.shared.heads.keep(tab.key, head, "from your photo")
        self._last = head
        self._keep.visible = tab.shared.library is not None
        self.show_progress(None, "")
        tab.change_head(saved=key, blend=0.0, mixed_rows=None, attributes=())
        tab.list_heads()
        tab.notify("The head is ready", "It is on the list of heads until this tab is closed.")

    def _failed(self, error: Exception) -> None:
        self.show_progress(None, "")
        self._tab.tell_error(error)

    def _stop(self) -> None:
        self._tab.shared.reconstructions.cancel(self._tab.key, _KIND)
        self.show_progress(None, "")

    def _save(self) -> None:
        library, head = self._tab.shared.library, self._last
        if library is None or head is None:
            return
        with self._tab.telling():
            name = save_in_library(head, library, self._tab.shared.checkpoint)
            self._keep.visible = False
            self._tab.list_heads()
            self._tab.notify("Kept", f"It is in the library as {name}.")
