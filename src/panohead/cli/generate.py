"""``panohead generate``: images, turntables and meshes of sampled heads, or of a reconstructed one."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from panohead.cli.attribute_options import AttributeOptions, HeadOrder, shown
from panohead.cli.common import (
    TRANSPARENT,
    VIDEO_SUFFIXES,
    Model,
    changed_options,
    check_needed,
    counting,
    parse_background,
    parse_numbers,
)
from panohead.cli.mesh_options import SplatOptions
from panohead.cli.ranges import check_count
from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer
from panohead.errors import UsageError
from panohead.limits import (
    COUNT,
    FPS,
    FRAMES,
    IMAGE_SIDE,
    PAGE_HEADS,
    PITCH_DEG,
    RENDER_RESOLUTION,
    SEED,
    TRUNCATION_PSI,
    YAW_DEG,
    NumberRange,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from panohead.gallery import ViewStyle
    from panohead.head import Head
    from panohead.media.provenance import SourceType
    from panohead.mesh import HeadMesh
    from panohead.predictor import Predictor
    from panohead.reports import HeadFigure
    from panohead.splats import SplatCloud

_SEED = "seed:"


@dataclass(kw_only=True)
class Generate(AttributeOptions, SplatOptions, Model):
    """Images, turntables and meshes of sampled heads, or of a reconstructed one."""

    out: Path
    """Folder for the results."""
    seeds: str = "0-7"
    """Seeds of the heads: numbers and ranges, such as 0-7,12."""
    head: Path | None = None
    """Folder of panohead reconstruct, whose head is taken instead of seeds."""
    truncation_psi: Annotated[float, TRUNCATION_PSI] = 0.7
    """1 for full variety, smaller for typical heads, 0 for the mean head."""
    truncation_cutoff: Annotated[int | None, COUNT] = None
    """Truncate only this many first rows of ws."""
    yaws: Annotated[tuple[float, ...], YAW_DEG] = (0, 45, 90, 135, 180, 225, 270, 315)
    """Views in degrees: 0 front, 90 the camera on the head's left side, 180 back."""
    pitch: Annotated[float, PITCH_DEG] = 0.0
    """Height of the camera in degrees; positive is above the head."""
    rays: Annotated[int | None, RENDER_RESOLUTION] = None
    """Rays per side of the raw image, before super-resolution (the generator's own if not given)."""
    contact_sheet: bool = True
    """Also one sheet of all heads and views."""
    cell_size: Annotated[int, IMAGE_SIDE] = 192
    """Pixels per image on the contact sheet."""
    turntable: bool = False
    """Also a video of a full turn."""
    video_format: Literal["mp4", "gif", "webm", "png"] = "mp4"
    """Format of the turntable; png: a folder of numbered files."""
    frames: Annotated[int, FRAMES] = 48
    """Frames of the turntable."""
    fps: Annotated[float, FPS] = 24.0
    """Frames per second of the turntable."""
    depth: bool = False
    """Also a 16-bit depth image per view."""
    masks: bool = False
    """Also the foreground mask per view."""
    transparent: bool = False
    """Cut the heads out (PNG and webm); the same as --background transparent."""
    background: str | None = None
    """Background of every head: transparent, a color (#ffffff), an image's path, or seed:N for that of another seed."""
    mix_with: Annotated[int | None, SEED] = None
    """Style mixing: take some rows of ws from this seed."""
    mix_rows: str | None = None
    """Rows to take, such as 4-7; low rows are shape, high rows color (the higher half if not given)."""
    watermark: bool = False
    """Also an invisible watermark in images and videos, which survives copies without metadata (panohead verify)."""
    overwrite: bool = False
    """Write into OUT even if it holds results of another command."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Sample the heads and write the files."""
        from panohead.head_page import PAGE_FRAMES, write_head_page
        from panohead.system.worker_threads import in_order, single_thread, worker_count

        seeds = [] if self.head is not None else check_count(parse_numbers(self.seeds), "--seeds")
        self._check()
        predictor = self.load()
        self._check_model(predictor)
        directions = self.open_directions(predictor)
        orders = self.orders(predictor, seeds if self.head is None else [None], directions)
        check_count(orders, "heads")
        if self.html is not None:
            PAGE_HEADS.whole(len(orders), "the number of heads with --html")
        style = self._style(predictor)
        opened = None if self.head is None else predictor.open_reconstruction(self.head)
        out = open_results(self.out, "generate", overwrite=self.overwrite)
        rows, viewers = {}, []
        start = time.monotonic()
        per_head = len(self.yaws) + (self.frames if self.turntable else 0) + (1 if self.mesh else 0)
        per_head += PAGE_FRAMES if self.html is not None else 0
        per_head += self.splat_steps if self.splats else 0
        # A strip changes one head: its attributes are found once.
        sampled = lru_cache(maxsize=8)(lambda seed: opened or self._head(predictor, seed))
        with counting("rendering", per_head * len(orders)) as step:

            def write(order: HeadOrder) -> "tuple[list[Image], HeadFigure | None]":
                with single_thread():  # so that a head does not depend on how many others there are
                    head = order.applied(sampled(order.seed), directions)
                return self._write_head(head, out, order, style, step)

            # Several heads at once; of a single one several views.
            workers = worker_count(predictor.device) if len(orders) > 1 else 1
            heads = in_order(write, orders, workers) if workers > 1 else map(write, orders)
            for order, (images, viewer) in zip(orders, heads, strict=True):
                rows[order] = images
                viewers += [] if viewer is None else [viewer]
        rate = len(orders) / (time.monotonic() - start)
        if self.contact_sheet:
            self._write_sheet(rows, out, style.source)
        if self.html is not None:
            kind = "reconstructed" if opened is not None else "generated"
            title = f"A {kind} head" if len(viewers) == 1 else f"{kind.capitalize()} heads"
            write_head_page(viewers, out / self.html, title=title)
        write_settings(out, "generate", self, predictor, seeds or None)
        also = "" if self.html is None else f"; open {out / self.html}"
        answer(f"wrote {len(orders)} heads to {out} ({rate:.2g} heads/s){also}")

    def _check(self) -> None:
        if self.transparent and self.background not in (None, TRANSPARENT):
            raise UsageError("--transparent and --background exclude each other; choose one")
        cut_out = self.transparent or self.background == TRANSPARENT
        if cut_out and self.turntable and self.video_format == "mp4":
            raise UsageError("mp4 has no transparency; choose --video-format webm, gif or png")
        if not self.yaws:
            raise UsageError("give at least one view to --yaws")
        sampling = changed_options(self, "seeds", "truncation_psi", "truncation_cutoff", "mix_with", "mix_rows")
        if self.head is not None and sampling:
            raise UsageError(f"{sampling[0]} does nothing with --head, which is one head already; choose one")
        check_needed(self, "--turntable", self.turntable, "video_format", "frames", "fps")
        check_needed(self, "--mix-with", self.mix_with is not None, "mix_rows")
        check_needed(self, "--contact-sheet", self.contact_sheet, "cell_size")
        check_needed(self, "--sweep", self.sweep is not None, "sweep_steps")
        self.check_surface()
        self.check_attributes()
        if self.background is not None:
            self._background()

    def _check_model(self, predictor: "Predictor") -> None:
        """Check the options against the loaded generator, before any work."""
        generator = predictor.generator
        if self.background is not None and self.background.startswith(_SEED) and generator.background is None:
            raise UsageError(
                f"--background {self.background} does nothing with this model, which makes heads without a background; "
                "give a color, an image or transparent"
            )
        rows = generator.num_ws
        if self.truncation_cutoff is not None:
            NumberRange(0, rows, "rows of ws").whole(self.truncation_cutoff, "--truncation-cutoff")
        chosen = self._mix_rows(rows)
        if chosen[-1] >= rows or chosen[0] < 0:
            raise UsageError(f"rows of ws go from 0 to {rows - 1}; --mix-rows {self.mix_rows} leaves that range")

    def _mix_rows(self, rows: int) -> list[int]:
        """Return the rows to mix of a generator with so many."""
        if self.mix_rows is None:
            return list(range(rows // 2, rows))
        return sorted(parse_numbers(self.mix_rows, "rows"))

    def _background(self) -> "tuple[int, int, int] | Image | int | None":
        """Return the color or image, the seed whose background to use, or None for none or a cut-out."""
        if self.background is None or self.background == TRANSPARENT:
            return None
        if self.background.startswith(_SEED):
            seeds = parse_numbers(self.background.removeprefix(_SEED), "background seeds")
            if len(seeds) != 1:
                raise UsageError(f"--background {self.background} names {len(seeds)} seeds; give one")
            return seeds[0]
        return parse_background(self.background)

    def _style(self, predictor: "Predictor") -> "ViewStyle":
        from panohead.gallery import ViewStyle

        behind = self._background()
        background = None if isinstance(behind, int) else behind
        other = predictor.sample(behind, truncation_psi=self.truncation_psi) if isinstance(behind, int) else None
        return ViewStyle(
            pitch_deg=self.pitch,
            resolution=self.rays,
            background=background,
            background_head=other,
            transparent=self.transparent or self.background == TRANSPARENT,
        )

    def _write_sheet(self, rows: "dict[HeadOrder, list[Image]]", out: Path, source: "SourceType") -> None:
        """Write a sheet with a row per head; of a strip a row per seed and view, whose columns are the values."""
        from panohead.gallery import write_sheet, write_strips

        strip = next((order.swept for order in rows if order.swept is not None), None)
        if strip is None:
            labeled = {order.label: images for order, images in rows.items()}
            write_sheet(labeled, out / "contact_sheet.png", self.yaws, cell_size=self.cell_size, source=source)
            return
        strips: dict[str, list[list[Image]]] = {}
        for order, images in rows.items():
            strips.setdefault(order.base_label, []).append(images)
        values = dict.fromkeys(shown(order.swept[1]) for order in rows if order.swept is not None)
        path = out / f"sweep_{strip[0]}.png"
        names, title = list(values), strip[0]
        write_strips(strips, path, self.yaws, names, title=title, cell_size=self.cell_size, source=source)

    def _head(self, predictor: "Predictor", seed: int) -> "Head":
        def sample(seed: int) -> "Head":
            return predictor.sample(seed, truncation_psi=self.truncation_psi, truncation_cutoff=self.truncation_cutoff)

        if self.mix_with is None:
            return sample(seed)
        first = sample(seed)
        return predictor.mix(first, sample(self.mix_with), self._mix_rows(first.ws.shape[1]))

    def _write_head(
        self, head: "Head", out: Path, order: HeadOrder, style: "ViewStyle", step: Callable[[], None]
    ) -> "tuple[list[Image], HeadFigure | None]":
        from panohead.gallery import styled_viewer, write_meshes, write_splat_files, write_turntable, write_views
        from panohead.system.worker_threads import single_thread

        name = order.name
        images = write_views(
            head, out / name, self.yaws, style, depth=self.depth, mask=self.masks, step=step, thumbnail=self.cell_size
        )
        if self.turntable:
            path = out / f"{name}_turntable{VIDEO_SUFFIXES[self.video_format]}"
            write_turntable(head, path, frames=self.frames, fps=self.fps, style=style, step=step)
        settings = self.mesh_settings()
        mesh: HeadMesh | None = None
        if self.mesh:
            paths = [out / f"{name}.{suffix}" for suffix in self.mesh]
            with single_thread():
                mesh = write_meshes(head, paths, settings, unit=self.mesh_unit)
            step()
        cloud: SplatCloud | None = None
        if self.splats:
            paths = [out / f"{name}_splats.{suffix}" for suffix in self.splats]
            with single_thread():
                cloud = write_splat_files(head, paths, self.splat_settings(), step=step)
        if self.html is None:
            return images, None
        kind = "reconstructed" if self.head is not None else "generated"
        alt, title = f"The {kind} head of {order.label}, to turn", order.label
        viewer = styled_viewer(
            head, style, mesh or settings, alt=alt, title=title, file=f"{name}.glb", splats=cloud, step=step
        )
        return images, viewer
