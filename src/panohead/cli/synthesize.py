"""``panohead synthesize``: render the synthetic full-head dataset, or a contact sheet of it."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from panohead.cli.common import changed_options, output_folder
from panohead.cli.ranges import DATASET_PEOPLE, FOCAL, PITCH_STD_DEG, SYNTHETIC_SIDE, VIEWS
from panohead.cli.results_folder import refuse_others, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say
from panohead.cli.running.progress_bar import progress_bar
from panohead.errors import PanoHeadError, UsageError
from panohead.limits import SEED, WORKERS

if TYPE_CHECKING:
    from panohead.synthetic.config import SyntheticDatasetConfig

_PREVIEW_PEOPLE = 16
_DECIDED = ("light", "normals", "focal", "pitch_std_deg", "quality", "format")
"""Options that presets leave at their defaults."""
_OF_DATASETS = ("depth", "normals", "parts", "format", "ray", "overwrite")
"""Options that a preview has no use for."""


def _cores() -> int:
    return max(1, os.cpu_count() or 1)


@dataclass(kw_only=True)
class Synthesize:
    """Render random people over 360 degrees with exact cameras and masks. Repeat it to continue."""

    out: Path
    """Folder of the dataset; an unfinished one is continued."""
    people: Annotated[int | None, DATASET_PEOPLE] = None
    """Number of people."""
    preset: Literal["heads", "heads_sample"] | None = None
    """A published recipe instead of the options that decide the images: 3,000 people, or the first two of them."""
    edition: Literal[1, 2] | None = None
    """2: framed as prepare frames photos, several shots per person. 1: the bytes of earlier versions. Default: that of
    the dataset in OUT, 2 for a new one."""
    expressions: Annotated[int | None, VIEWS] = None
    """Shots per person, each with a separate expression and gaze; identity, hair and clothes stay. Edition 2: 2."""
    light: Literal["per-person", "per-view"] | None = None
    """Light and exposure: the same for all images of a person, or new ones for each view. Edition 2: per-person."""
    views: Annotated[int, VIEWS] = 8
    """Views per shot, one in each sector of the circle."""
    resolution: Annotated[int, SYNTHETIC_SIDE] = 256
    """Side of the images in pixels."""
    seed: Annotated[int, SEED] = 0
    """Seed of every person, view and light."""
    workers: Annotated[int, WORKERS] = field(default_factory=_cores)
    """Processes, of about 0.35 GB each; the images do not depend on their number."""
    depth: bool = False
    """Also write depth along the ray (float16, world units)."""
    normals: bool = False
    """Also write world-space normals (float16)."""
    parts: bool = False
    """Also write the part of the head at every pixel, and landmarks; people rendered without them get them now."""
    focal: Annotated[float, FOCAL] = 4.2647
    """Focal length in image widths; the default is the official crop."""
    pitch_std_deg: Annotated[float, PITCH_STD_DEG] = 12.0
    """Standard deviation of the camera's pitch, which is clipped at 35 degrees."""
    quality: Literal["fast", "cycles"] = "fast"
    """fast: the renderer of this package. cycles: Blender's path tracer (needs bpy; several times slower)."""
    format: Literal["webp", "png", "jpg"] = "webp"
    """Format of the images; masks are always PNG."""
    ray: str | None = None
    """Address of a Ray cluster ("auto", "local"); OUT must be on storage that all its machines reach."""
    preview: bool = False
    """Write only OUT/preview.webp, a contact sheet of up to 16 people from --views yaws."""
    overwrite: bool = False
    """Remove the synthetic dataset that OUT holds and start again."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Render with a progress bar, then name what was written.

        Raises:
            UsageError: without a number of people, for options beside a preset that decides them, or that do nothing.
        """
        idle = changed_options(self, *_OF_DATASETS) if self.preview else []
        if idle:
            raise UsageError(f"{idle[0]} does nothing with --preview, which writes one image; choose one")
        if self.preset is not None:
            from panohead.synthetic.presets import DATASET_PRESETS, compared

            options = DATASET_PRESETS[self.preset].options
            changed = changed_options(self, *options, *_DECIDED)
            if changed:
                raise UsageError(f"{changed[0]} does not go with --preset {self.preset}, which decides it; choose one")
            replace(self, preset=None, **options)._render()
            if not self.preview:
                for sentence in compared(self.out, DATASET_PRESETS[self.preset]):
                    say(sentence)
                write_settings(self.out, "synthesize", self)
            return
        if self.people is None:
            raise UsageError("say how many people with --people, or name a recipe with --preset heads")
        self._render()

    def _render(self) -> None:
        """Render the dataset, or its preview."""
        config = self.config()
        if self.preview:
            answer(f"wrote {write_preview(config)}")
            return
        from panohead.synthetic.synthesize import dataset_index, synthesize

        refuse_others(self.out, "synthesize")
        renderer = None
        if self.ray is not None:
            from panohead.synthetic.ray_engine import ray_renderer

            renderer = ray_renderer(self.ray)
        options = image_options(config.format)
        steps = synthesize(config, self.workers, options, overwrite=self.overwrite, renderer=renderer)
        began, people = time.monotonic(), 0
        for done in with_progress(steps, config):
            people = done
        seconds = time.monotonic() - began
        write_settings(self.out, "synthesize", self)
        answer(
            f"wrote {people * config.images_per_person} images of {people} people to {config.out} in {seconds:.0f} s"
        )
        say(f"the cameras are in {dataset_index(config)}, the people in {config.out / 'people.jsonl'}")

    def config(self) -> "SyntheticDatasetConfig":
        """Return the settings that decide the dataset."""
        from panohead.synthetic.config import NEWEST_EDITION, SyntheticDatasetConfig
        from panohead.synthetic.layout_writer import edition_of

        begun = NEWEST_EDITION if self.overwrite else edition_of(self.out)
        edition = begun if self.edition is None else self.edition
        names = [name for name in SyntheticDatasetConfig.__dataclass_fields__ if name != "edition"]
        return SyntheticDatasetConfig.of_edition(edition, **{name: getattr(self, name) for name in names})


def with_progress(steps: Iterator[int], config: "SyntheticDatasetConfig") -> Iterator[int]:
    """Yield the counts of finished people, showing images done, images per second and the time left."""
    each = config.images_per_person
    first = next(steps)
    with progress_bar("rendering", config.people * each, done=first * each) as bar:
        yield first
        began = time.monotonic()
        for done in steps:
            pace = (done - first) * each / max(time.monotonic() - began, 1e-6)
            bar.update(done * each, detail=f"{pace:.1f} images/s")
            yield done


def image_options(suffix: str) -> dict[str, Any]:
    """Return metadata that marks an image as rendered, in a form that can be sent to another process."""
    from panohead.media.provenance import image_metadata

    options = image_metadata(f".{suffix}", "algorithmicMedia")
    if "exif" in options:
        options["exif"] = options["exif"].tobytes()
    return options


def write_preview(config: "SyntheticDatasetConfig") -> Path:
    """Write the contact sheet and return its path.

    Raises:
        PanoHeadError: when it cannot be written.
    """
    from panohead.media.contact_sheet import contact_sheet
    from panohead.media.provenance import image_metadata
    from panohead.synthetic.preview import preview_rows

    path = output_folder(config.out) / "preview.webp"
    rows, labels, columns = preview_rows(config, min(config.people, _PREVIEW_PEOPLE))
    sheet = contact_sheet(rows, row_labels=labels, column_labels=columns, padding=2)
    try:
        sheet.save(path, quality=90, **image_metadata(".webp", "algorithmicMedia"))
    except OSError as error:
        raise PanoHeadError(f"cannot write {path} ({error.strerror or error}); choose another --out") from error
    return path
