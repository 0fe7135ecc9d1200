"""``panohead generate``: images, turntables and meshes of sampled heads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from panohead.cli.common import (
    VIDEO_SUFFIXES,
    Debug,
    Model,
    counting,
    output_folder,
    parse_background,
    parse_numbers,
    say,
)
from panohead.cli.mesh_options import MeshOptions
from panohead.cli.ranges import check_count
from panohead.errors import UsageError
from panohead.limits import (
    COUNT,
    FPS,
    FRAMES,
    IMAGE_SIDE,
    PITCH_DEG,
    RENDER_RESOLUTION,
    SEED,
    TRUNCATION_PSI,
    YAW_DEG,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from panohead.gallery import ViewStyle
    from panohead.head import Head
    from panohead.predictor import Predictor


@dataclass(kw_only=True)
class Generate(MeshOptions, Model):
    """Images, turntables and meshes of sampled heads."""

    out: Path
    """Folder for the results."""
    seeds: str = "0-7"
    """Seeds of the heads: numbers and ranges, such as 0-7,12."""
    truncation_psi: Annotated[float, TRUNCATION_PSI] = 0.7
    """1 for full variety, smaller for typical heads, 0 for the mean head."""
    truncation_cutoff: Annotated[int | None, COUNT] = None
    """Truncate only this many first rows of ws."""
    yaws: Annotated[tuple[float, ...], YAW_DEG] = (0, 45, 90, 135, 180, 225, 270, 315)
    """Views in degrees: 0 front, 90 the camera on the head's left side, 180 back."""
    pitch: Annotated[float, PITCH_DEG] = 0.0
    """Height of the camera in degrees; positive is above the head."""
    resolution: Annotated[int | None, RENDER_RESOLUTION] = None
    """Rays per side before super-resolution (the generator's own if not given)."""
    contact_sheet: bool = True
    """Also one sheet of all heads and views."""
    cell_size: Annotated[int, IMAGE_SIDE] = 192
    """Pixels per image on the contact sheet."""
    turntable: bool = False
    """Also a video of a full turn."""
    turntable_format: Literal["mp4", "gif", "webm", "png"] = "mp4"
    """png: a folder of numbered files."""
    frames: Annotated[int, FRAMES] = 48
    """Frames of the turntable."""
    fps: Annotated[float, FPS] = 24.0
    """Frames per second of the turntable."""
    depth: bool = False
    """Also a 16-bit depth image per view."""
    masks: bool = False
    """Also the foreground mask per view."""
    transparent: bool = False
    """Cut the heads out (PNG and webm)."""
    background: str | None = None
    """Background of every head: a color (#ffffff), an image's path, or seed:N for the background of another seed."""
    mix_with: Annotated[int | None, SEED] = None
    """Style mixing: take some rows of ws from this seed."""
    mix_rows: str = "7-13"
    """Rows to take; low rows are shape, high rows color."""
    debug: Debug = False

    def run(self) -> None:
        """Sample the heads and write the files."""
        from panohead.gallery import write_sheet

        seeds = check_count(parse_numbers(self.seeds), "--seeds")
        self._check()
        predictor = self.load()
        style = self._style(predictor)
        out = output_folder(self.out)
        rows = {}
        per_head = len(self.yaws) + (self.frames if self.turntable else 0) + (1 if self.mesh else 0)
        with counting("rendering", per_head * len(seeds)) as step:
            for seed in seeds:
                head = self._head(predictor, seed)
                rows[f"seed {seed}"] = self._write_head(head, out, seed, style, step)
        if self.contact_sheet:
            write_sheet(rows, out / "contact_sheet.png", self.yaws, cell_size=self.cell_size)
        say(f"wrote {len(seeds)} heads to {out}")

    def _check(self) -> None:
        wrong = {
            "mp4 has no transparency; choose --turntable-format webm, gif or png": (
                self.transparent and self.turntable and self.turntable_format == "mp4"
            ),
            "--transparent and --background exclude each other; choose one": (
                self.transparent and self.background is not None
            ),
            "give at least one view to --yaws": not self.yaws,
            **self.mesh_mistakes(),
        }
        for sentence, is_wrong in wrong.items():
            if is_wrong:
                raise UsageError(sentence)
        self.check_packages()

    def _style(self, predictor: "Predictor") -> "ViewStyle":
        from panohead.gallery import ViewStyle

        background: Any = None
        other = None
        if self.background is not None and self.background.startswith("seed:"):
            seed = parse_numbers(self.background.removeprefix("seed:"), "background seeds")[0]
            other = predictor.sample(seed, truncation_psi=self.truncation_psi)
        elif self.background is not None:
            background = parse_background(self.background)
        return ViewStyle(
            pitch_deg=self.pitch,
            resolution=self.resolution,
            background=background,
            background_head=other,
            transparent=self.transparent,
        )

    def _head(self, predictor: "Predictor", seed: int) -> "Head":
        def sample(seed: int) -> "Head":
            return predictor.sample(seed, truncation_psi=self.truncation_psi, truncation_cutoff=self.truncation_cutoff)

        if self.mix_with is None:
            return sample(seed)
        return predictor.mix(sample(seed), sample(self.mix_with), parse_numbers(self.mix_rows, "rows"))

    def _write_head(
        self, head: "Head", out: Path, seed: int, style: "ViewStyle", step: Callable[[], None]
    ) -> list["Image"]:
        from panohead.gallery import write_meshes, write_turntable, write_views

        name = f"seed{seed:04d}"
        images = write_views(
            head, out / name, self.yaws, style, depth=self.depth, mask=self.masks, step=step, thumbnail=self.cell_size
        )
        if self.turntable:
            path = out / f"{name}_turntable{VIDEO_SUFFIXES[self.turntable_format]}"
            write_turntable(head, path, frames=self.frames, fps=self.fps, style=style, step=step)
        if self.mesh:
            write_meshes(head, [out / f"{name}.{suffix}" for suffix in self.mesh], self.mesh_settings())
            step()
        return images
