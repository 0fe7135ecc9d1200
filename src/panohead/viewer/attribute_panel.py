"""Attributes of the head in a tab's panel: sliders in users' units, lists of words. They show what the head has."""

from collections.abc import Mapping
from typing import Any

from panohead.attributes.named import Attribute, ChoiceAttribute, Value
from panohead.viewer.tab import Tab

_SHOWN = (
    "age", "gender", "skin_tone", "weight", "muscle", "hair_style", "hair_length", "hair_color", "gray_hair", "beard",
    "glasses", "headwear", "eye_color", "freckles", "lipstick", "brightness", "smile", "jawOpen", "blink",
)  # fmt: skip
"""Attributes with a control of their own; other ARKit weights have a folder, and clothes lie outside the image."""
_STEPS = 50


class AttributePanel:
    """Controls of all attributes; none for a model without an attribute encoder.

    A control that was moved sets its attribute on every head from then on, until "As it was" is pressed; the others
    show the attributes of the head.

    Args:
        tab: what the controls change.
    """

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        self._handles: dict[str, Any] = {}
        self._shown: dict[str, Value] = {}
        known = tab.shared.heads.predictor.attributes
        if not known:
            return
        with tab.client.gui.add_folder("Attributes", expand_by_default=False):
            for name in (name for name in _SHOWN if name in known):
                self._add(name, known[name])
            self._add_expression(known)
            reset = tab.client.gui.add_button("As it was", hint="Forget all attributes that were set.")
            reset.on_click(lambda _event: self._reset())
        tab.find_attributes()

    def show(self, values: dict[str, Value]) -> None:
        """Show the values; not of the attribute that was set last, which may still be moving."""
        chosen = self._tab.request.head.attributes
        for name, handle in self._handles.items():
            if name in values and not (chosen and chosen[-1][0] == name):
                self._shown[name] = handle.value = self._rounded(handle, values[name])

    def _add_expression(self, known: Mapping[str, Attribute]) -> None:
        encoder = self._tab.shared.heads.predictor.attribute_encoder
        assert encoder is not None
        # Units of the eyes' turning are the gaze's.
        single = (name for name in encoder.vocabulary.expressions if not name.startswith("eyeLook"))
        names = [name for name in ("gaze_x", "gaze_y", *single) if name in known and name not in _SHOWN]
        if names:
            with self._tab.client.gui.add_folder("Expression", expand_by_default=False):
                for name in names:
                    self._add(name, known[name])

    def _add(self, name: str, attribute: Any) -> None:
        gui, text = self._tab.client.gui, name.replace("_", " ")
        if isinstance(attribute, ChoiceAttribute):
            handle: Any = gui.add_dropdown(text, attribute.words)
        else:
            low, high = attribute.limits.low, attribute.limits.high
            handle = gui.add_slider(text, low, high, (high - low) / _STEPS, low, hint=attribute.about)
        self._handles[name], self._shown[name] = handle, handle.value

        @handle.on_update
        def _(_event: Any) -> None:
            # What the panel itself wrote is no wish of the visitor's.
            if handle.value != self._shown[name]:
                self._shown[name] = handle.value
                with self._tab.telling():
                    self._set(name, handle.value)

    def _set(self, name: str, value: Value) -> None:
        others = [pair for pair in self._tab.request.head.attributes if pair[0] != name]
        # The last one wins where two are names of the same thing (hair style and hair length).
        self._tab.change_head(attributes=(*others, (name, value)))

    def _reset(self) -> None:
        with self._tab.telling():
            self._tab.change_head(attributes=())

    def _rounded(self, handle: Any, value: Value) -> Value:
        if isinstance(value, str):
            return value
        low, step = float(handle.min), float(handle.step)
        return min(float(handle.max), low + round((value - low) / step) * step)
