"""Controls of one tab in viser's panel: only those that do something with the loaded model are there."""

import secrets
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from panohead.attributes.named import Value
from panohead.viewer.attribute_panel import AttributePanel
from panohead.viewer.choices import BACKDROPS, LAYERS, Pose, ViewRequest
from panohead.viewer.layers import small_photo
from panohead.viewer.photo_panel import PhotoPanel
from panohead.viewer.poses import label_text
from panohead.viewer.tab import Drawn, Tab
from panohead.viewer.uploads import uploaded_photo

_STATUS_EVERY_S = 0.25
_MAX_SEED = 2**32 - 1
_SIDES = {"Front": 0.0, "Left": 90.0, "Back": 180.0, "Right": -90.0}
_NONE = "-"
_BACKDROP_NAMES = {"generated": "the model's own", "checker": "transparent", "color": "a color", "photo": "a photo"}


class Panel:
    """All controls of a tab.

    Args:
        tab: what the controls change.
        can_find_heads: photos of any kind can be uploaded, not only aligned crops.
    """

    def __init__(self, tab: Tab, *, can_find_heads: bool) -> None:
        self._tab, self._gui = tab, tab.client.gui
        self._is_writing = False
        self._shown_at = self._rate = 0.0
        self._status = self._gui.add_markdown("Rendering ...")
        # On a phone viser's panel lies over the lower part of the head: there all is in one folder that is closed.
        self._expanded = not tab.is_portrait
        with nullcontext() if self._expanded else self._gui.add_folder("Controls", expand_by_default=False):
            self._head_controls()
            self._second_head_controls()
            self._attributes = AttributePanel(tab)
            self._view_controls()
            self._file_controls()
            self._photo = PhotoPanel(tab, can_find_heads=can_find_heads)
        tab.show_on(self)

    def show_status(self, drawn: Drawn, rate: float, request: ViewRequest) -> None:
        """Show resolution, frame rate and pose, a few times a second; the label when the view rests."""
        now = time.monotonic()
        is_preview = drawn.quality == "preview"
        if is_preview and now - self._shown_at < _STATUS_EVERY_S:
            return
        self._shown_at = now
        if is_preview:
            self._rate = rate
        pose, what = request.pose, "3D mesh"
        if drawn.frame is not None:
            side = drawn.frame.image.shape[-1]
            kind = "preview" if is_preview else "full image"
            what = f"{kind} {side} x {side} px, {drawn.rays}² rays, {1000 * drawn.seconds:.0f} ms"
        turning = f"{self._rate:.0f} images/s while turning; " if self._rate >= 0.5 else ""
        self._status.content = (
            f"**{what}**  \n{turning}yaw {pose.yaw_deg:.0f}°, pitch {pose.pitch_deg:.0f}°, zoom {pose.zoom:.2f}"
        )
        if not is_preview:
            self._label.value = label_text(pose)

    def show_progress(self, share: float | None, text: str) -> None:
        """Show the progress of a reconstruction; None hides it."""
        self._photo.show_progress(share, text)

    def show_attributes(self, values: dict[str, Value]) -> None:
        """Show the attributes of the head."""
        self._attributes.show(values)

    def show_heads(self, keys: list[str], chosen: str) -> None:
        """Show the list of saved heads."""
        self._is_writing = True
        try:
            self._heads.options = (_NONE, *keys)
            self._heads.value = chosen if chosen in keys else _NONE
            self._heads.visible = bool(keys)
        finally:
            self._is_writing = False

    def _on_update(self, handle: Any, act: Callable[[Any], None]) -> Any:
        """Call ``act`` with the control's new value, and show the visitor what is wrong with it."""

        @handle.on_update
        def _(_event: Any) -> None:
            if not self._is_writing:
                with self._tab.telling():
                    act(handle.value)

        return handle

    def _on_click(self, handle: Any, act: Callable[[], None]) -> Any:
        @handle.on_click
        def _(_event: Any) -> None:
            with self._tab.telling():
                act()

        return handle

    def _head_controls(self) -> None:
        gui, tab, head = self._gui, self._tab, self._tab.request.head
        with gui.add_folder("Head", expand_by_default=self._expanded):
            seed = gui.add_number("Seed", head.seed, min=0, max=_MAX_SEED, step=1, hint="The same seed, the same head.")
            self._on_update(seed, lambda value: tab.change_head(seed=value, saved=""))
            self._on_click(gui.add_button("Random head"), lambda: setattr(seed, "value", secrets.randbelow(100_000)))
            psi = gui.add_slider(
                "Truncation", 0.0, 1.0, 0.02, head.truncation_psi, hint="0 the mean head, 1 full variety"
            )
            self._on_update(psi, lambda value: tab.change_head(truncation_psi=value))

    def _second_head_controls(self) -> None:
        gui, tab, head = self._gui, self._tab, self._tab.request.head
        last = tab.shared.generator.num_ws - 1
        with gui.add_folder("Second head", expand_by_default=False):
            seed = gui.add_number("Its seed", head.second_seed, min=0, max=_MAX_SEED, step=1)
            self._on_update(seed, lambda value: tab.change_head(second_seed=value))
            blend = gui.add_slider("Blend", 0.0, 1.0, 0.02, head.blend, hint="0 the first head, 1 the second")
            self._on_update(blend, lambda value: tab.change_head(blend=value))
            mix = gui.add_checkbox(
                "Mix styles", False, hint="Take some rows of w: low rows are shape, high rows color."
            )
            low = gui.add_slider("from row", 0, last, 1, (last + 1) // 2, visible=False)
            high = gui.add_slider("to row", 0, last, 1, last, visible=False)

        def change(_value: Any) -> None:
            low.visible = high.visible = bool(mix.value)
            rows = (min(low.value, high.value), max(low.value, high.value)) if mix.value else None
            tab.change_head(mixed_rows=rows)

        for handle in (mix, low, high):
            self._on_update(handle, change)

    def _view_controls(self) -> None:
        gui, tab, view = self._gui, self._tab, self._tab.request.view
        backdrops = {_BACKDROP_NAMES[name]: name for name in BACKDROPS}
        with gui.add_folder("View", expand_by_default=self._expanded):
            sides = gui.add_button_group("Turn to", tuple(_SIDES))
            sides.on_click(lambda event: tab.turn_to(Pose(yaw_deg=_SIDES.get(str(event.target.value), 0.0))))
            layer = gui.add_dropdown("Show", LAYERS, initial_value=view.layer)
            behind = gui.add_dropdown("Background", tuple(backdrops), initial_value=_BACKDROP_NAMES[view.backdrop])
            color = gui.add_rgb("Color", view.color, visible=False)
            # An upload button of viser cannot be hidden, a folder can.
            photo_folder = gui.add_folder("Background photo", visible=False)
            with photo_folder:
                photo = gui.add_upload_button("Choose ...", mime_type="image/*")
            self._label = gui.add_text("Camera label", label_text(tab.request.pose), disabled=True)

        def change_backdrop(value: str) -> None:
            name = backdrops.get(value, "generated")
            color.visible, photo_folder.visible = name == "color", name == "photo"
            tab.change_view(backdrop=name)

        def change_photo(value: Any) -> None:
            image = small_photo(uploaded_photo(value.content))
            tab.change_view(photo=tab.shared.heads.keep_photo(tab.key, image))

        def change_layer(value: Any) -> None:
            behind.visible = value in ("image", "mesh")
            tab.change_view(layer=value)

        self._on_update(layer, change_layer)
        self._on_update(behind, change_backdrop)
        self._on_update(color, lambda value: tab.change_view(color=tuple(int(level) for level in value)))
        photo.on_upload(lambda _event: self._told(lambda: change_photo(photo.value)))

    def _file_controls(self) -> None:
        gui, tab = self._gui, self._tab
        with gui.add_folder("Save", expand_by_default=self._expanded):
            self._on_click(gui.add_button("Image (PNG)"), tab.save_image)
            self._on_click(gui.add_button("Turntable (video)"), tab.save_turntable)
            self._on_click(gui.add_button("Mesh (GLB)"), tab.save_mesh)
            self._on_click(gui.add_button("Remember this head", hint="Until this tab is closed."), tab.remember)
            self._heads = gui.add_dropdown("Heads", (_NONE,), initial_value=_NONE, visible=False)

        def choose(name: str) -> None:
            choice = tab.heads().get(name)
            if choice is not None:
                tab.change_head(**{field: getattr(choice, field) for field in choice.__dataclass_fields__})

        self._on_update(self._heads, choose)

    def _told(self, act: Callable[[], None]) -> None:
        with self._tab.telling():
            act()
