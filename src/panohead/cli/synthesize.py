"""``panohead synthesize``: render the synthetic full-head dataset, or a contact sheet to look at."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from panohead.errors import PanoHeadError
from panohead.media.contact_sheet import contact_sheet
from panohead.media.provenance import image_metadata
from panohead.synthetic.config import SynthesisConfig
from panohead.synthetic.preview import preview_rows
from panohead.synthetic.synthesize import dataset_index, synthesize
from panohead.synthetic.views import FOCAL


@dataclass(frozen=True, kw_only=True)
class SynthesizeArguments:
    """Render random people over 360 degrees with exact cameras and masks. Killed and started again, it continues."""

    people: int
    """Number of people."""
    out: Path
    """Folder of the dataset; an unfinished one is continued."""
    views: int = 8
    """Views a person: yaw stratified over the circle."""
    resolution: int = 256
    """Side of the images in pixels."""
    seed: int = 0
    """Decides every person, view and light."""
    workers: int = max(1, os.cpu_count() or 1)
    """Processes; the images do not depend on it. One takes about 0.4 GB."""
    depth: bool = False
    """Also write depth along the ray, float16, world units."""
    normals: bool = False
    """Also write world-space normals, float16."""
    focal: float = FOCAL
    """Focal length in image widths; the default is the official crop."""
    pitch_std_deg: float = 12.0
    """Standard deviation of the camera's pitch; clipped at 35 degrees."""
    quality: Literal["fast", "cycles"] = "fast"
    """fast: the built-in renderer. cycles: Blender's path tracer (needs bpy, GPL; about ten times slower)."""
    format: Annotated[Literal["webp", "png", "jpg"], tyro.conf.arg(name="format")] = "webp"
    """Of the images; masks are PNG."""
    preview: bool = False
    """Only write OUT/preview.webp, a contact sheet of up to 16 people from --views yaws."""

    def config(self) -> SynthesisConfig:
        """The part that decides the dataset."""
        shared = SynthesisConfig.__dataclass_fields__
        return SynthesisConfig(**{name: getattr(self, name) for name in shared})


def run(arguments: SynthesizeArguments, console: Console | None = None) -> None:
    """Render, show progress, say where what was written. Raises PanoHeadError for what the user can mend."""
    console = console or Console()
    config = arguments.config()
    if arguments.preview:
        console.print(f"wrote {_write_preview(config)}")
        return
    options = _image_options(f".{config.format}")
    began = time.monotonic()
    try:
        for done in _with_progress(synthesize(config, arguments.workers, options), config, console):
            last = done
    except KeyboardInterrupt:
        raise PanoHeadError(f"stopped; run the same command again to continue {config.out}") from None
    seconds = time.monotonic() - began
    console.print(
        f"wrote {last * config.views} images of {last} people to {config.out} in {seconds:.0f} s; "
        f"labels: {dataset_index(config)}",
        soft_wrap=True,
    )


def _with_progress(steps: Iterator[int], config: SynthesisConfig, console: Console) -> Iterator[int]:
    """Passes the counts of finished people through a progress bar of images with images/s and time left."""
    columns = (
        TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(elapsed_when_finished=True),
    )  # fmt: skip
    with Progress(*columns, console=console, speed_estimate_period=300) as progress:
        bar, began, first = None, time.monotonic(), 0
        for done in steps:
            if bar is None:
                first = done * config.views
                bar = progress.add_task("images", total=config.people * config.views, completed=first, rate="")
            rate = (done * config.views - first) / max(time.monotonic() - began, 1e-6)
            progress.update(bar, completed=done * config.views, rate=f"{rate:.2f} images/s" if rate else "")
            yield done


def _image_options(suffix: str) -> dict[str, Any]:
    """Metadata that says the images are synthetic, in a form that can be sent to another process."""
    options = image_metadata(suffix, "algorithmicMedia")
    if "exif" in options:
        options["exif"] = options["exif"].tobytes()
    return options


def _write_preview(config: SynthesisConfig) -> Path:
    rows, labels, columns = preview_rows(config, people=min(config.people, 16))
    sheet = contact_sheet(rows, row_labels=labels, column_labels=columns, padding=2)
    path = config.out / "preview.webp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, quality=90, **image_metadata(".webp", "algorithmicMedia"))
    except OSError as error:
        raise PanoHeadError(f"cannot write {path} ({error.strerror or error}); give another --out") from error
    return path
