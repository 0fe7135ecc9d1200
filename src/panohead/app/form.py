"""The form itself, made of Gradio's parts."""

import contextlib
import html
import importlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from panohead.app.making import MakeSettings, Progress, head_of_photo, head_of_seed
from panohead.errors import PanoHeadError
from panohead.files.regular import read_regular
from panohead.media.provenance import NOTICE
from panohead.predictor import Predictor
from panohead.system.optional import failure_of
from panohead.viewer.uploads import MAX_UPLOAD_BYTES

_QUEUE = 16
"""Visitors that may wait; the next one is told to come back."""
_CACHE_S = 3600
"""Seconds after which the files of a visitor are deleted."""
_PROGRESS = re.compile(r"\d+%: ")
"""Beginning of the status while a head is made."""
_CANCELLED = "Cancelled."
_FAILED = "No head was made."
_ABOUT = """# A head from a photo

One photo, face in view: a head to turn, and its mesh (GLB). What the photo does not show is invented. It takes a minute
or two, longer when others wait. The photo stays on the machine that runs this page and is deleted within hours.

**Only photos of people who agree.** Results carry a mark that they are synthetic; do not present them as photos."""


@dataclass(frozen=True, kw_only=True)
class FormSettings:
    """Settings of the form.

    Attributes:
        make: size of the results.
        queue: visitors that may wait.
    """

    make: MakeSettings = field(default_factory=MakeSettings)
    queue: int = _QUEUE


def import_gradio() -> ModuleType:
    """Return the package, which is told not to report anything to its makers.

    Raises:
        PanoHeadError: when it cannot be imported here, with the remedy.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module("gradio")
    except ImportError as error:
        why = failure_of("gradio", error)
        raise PanoHeadError(f"the form needs the package gradio ({why.reason}); {why.remedy}") from error


def build_form(predictor: Predictor, settings: FormSettings | None = None) -> Any:
    """Return the form (``gradio.Blocks``), with its queue: one head is made at a time.

    Raises:
        PanoHeadError: when Gradio is missing.
    """
    gr = import_gradio()
    chosen = FormSettings() if settings is None else settings

    def from_photo(path: str | None) -> Iterator[tuple[Any, ...]]:
        if not path:
            raise gr.Error("Choose a photo first.", print_exception=False)
        try:
            content = read_regular(path, MAX_UPLOAD_BYTES + 1)
        except OSError as error:
            raise gr.Error("The photo cannot be read; give a smaller one.", print_exception=False) from error
        yield from _shown(gr, lambda place, end: head_of_photo(predictor, content, place, chosen.make, at_end=end))

    def from_seed(seed: float, psi: float) -> Iterator[tuple[Any, ...]]:
        yield from _shown(
            gr, lambda place, end: head_of_seed(predictor, int(seed), psi, place, chosen.make, at_end=end)
        )

    with gr.Blocks(title="PanoHead", analytics_enabled=False, delete_cache=(_CACHE_S, _CACHE_S)) as form:
        gr.Markdown(_ABOUT)
        with gr.Row():
            with gr.Column():
                with gr.Tab("A photo"):
                    # Without a mode Gradio leaves the file as it is, and our own reader decodes it.
                    photo = gr.Image(
                        type="filepath", image_mode=None, sources=["upload", "clipboard"], label="Photo", height=320
                    )
                    make = gr.Button("Make the head", variant="primary", elem_id="make")
                with gr.Tab("A person who does not exist"):
                    seed = gr.Number(value=0, precision=0, minimum=0, maximum=2**32 - 1, label="Seed", elem_id="seed")
                    psi = gr.Slider(0, 1.2, value=0.7, step=0.05, label="Variety (truncation)")
                    sample = gr.Button("Make the head", variant="primary", elem_id="sample")
                stop = gr.Button("Cancel", variant="stop", elem_id="cancel")
                status = gr.Markdown("Nothing is being made.", elem_id="status")
            with gr.Column():
                video = gr.Video(label="The head, turning", autoplay=True, loop=True, elem_id="video")
                file = gr.File(label="The mesh (GLB), to download", elem_id="file")
        gr.Markdown(NOTICE)
        outputs = [status, video, file]
        one = {"concurrency_limit": 1, "concurrency_id": "head", "show_progress": "minimal"}
        events = [
            make.click(from_photo, [photo], outputs, **one),
            sample.click(from_seed, [seed, psi], outputs, **one),
        ]
        stop.click(None, None, None, cancels=events, queue=False)
        for event in events:
            # Only once the page has left the old event: until then it ignores a press of the same button, and may still
            # show what that event said last.
            event.failure(_after_failure, [status], [status], queue=False, show_progress="hidden")
    form.queue(max_size=chosen.queue, default_concurrency_limit=1)
    return form


def _after_failure(status: str) -> str:
    """Return the status after an event that was cancelled, or has failed and said so."""
    return _CANCELLED if _PROGRESS.match(status) else status


def _shown(gr: ModuleType, make: Callable[[Path, Callable[[], None]], Iterator[Progress]]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of the outputs; the files are copied by Gradio before their folder is removed.

    Args:
        make: called with the folder of the files, and with what removes it when nothing writes there any more.
    """
    folder = Path(tempfile.mkdtemp(prefix="panohead-app-"))
    try:
        with contextlib.closing(make(folder, lambda: shutil.rmtree(folder, ignore_errors=True))) as steps:  # type: ignore[type-var]
            for step in steps:
                if step.files is None:
                    yield f"{step.share:.0%}: {step.text}", gr.skip(), gr.skip()
                else:
                    video, mesh = map(str, step.files)
                    yield "Done.", video, mesh
    except PanoHeadError as error:
        yield _FAILED, gr.skip(), gr.skip()
        raise gr.Error(html.escape(str(error)), print_exception=False) from error


def launch_options(host: str, port: int, token: str | None) -> dict[str, Any]:
    """Return arguments of ``Blocks.launch``: nothing is shared, fetched from elsewhere or served beside the results.

    Args:
        host, port: where to listen.
        token: password of the visitor "guest"; None for none.
    """
    gr = import_gradio()
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return {
        "server_name": host,
        "server_port": port or None,
        "share": False,
        "ssr_mode": False,
        "auth": None if token is None else ("guest", token),
        "show_error": True,
        "max_file_size": MAX_UPLOAD_BYTES,
        "quiet": True,
        "prevent_thread_lock": True,
        "theme": theme,
    }
