"""A stand-in for Gradio with the calls that we make; keeps what was built, for tests to press its buttons."""

import types
from typing import Any


class Error(Exception):
    """A message for the visitor."""

    def __init__(self, message: str, print_exception: bool = True) -> None:
        super().__init__(message)
        assert not print_exception


class Event(dict[str, Any]):
    """A button's event, with what follows it when it fails or is cancelled."""

    def failure(self, function: Any, inputs: Any, outputs: Any, **options: Any) -> None:
        self.setdefault("failures", []).append({"function": function, "inputs": inputs, "outputs": outputs, **options})


class Part:
    """A component, or a context with others in it."""

    def __init__(self, kind: str, home: "StandIn", *given: Any, **options: Any) -> None:
        self.kind, self.home, self.given, self.options = kind, home, given, options
        home.parts.append(self)

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def click(self, function: Any, inputs: Any, outputs: Any, **options: Any) -> Event:
        event = Event(button=self, function=function, inputs=inputs, outputs=outputs, **options)
        self.home.events.append(event)
        return event

    def queue(self, **options: Any) -> None:
        self.home.queued = options


class StandIn(types.ModuleType):
    """The module."""

    __version__ = "6.0.0"

    def __init__(self) -> None:
        super().__init__("gradio")
        self.parts: list[Part] = []
        self.events: list[Event] = []
        self.queued: dict[str, Any] = {}
        self.Error = Error
        self.themes = types.SimpleNamespace(Default=lambda **options: options)
        for kind in ("Blocks", "Markdown", "Row", "Column", "Tab", "Image", "Button", "Number", "Slider", "Video"):
            setattr(self, kind, self._maker(kind))
        self.File = self._maker("File")

    def _maker(self, kind: str) -> Any:
        return lambda *given, **options: Part(kind, self, *given, **options)

    def skip(self) -> str:
        return "unchanged"
