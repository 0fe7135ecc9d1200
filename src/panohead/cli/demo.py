"""``panohead demo``: turntable, contact sheet and mesh of heads of the bundled model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from panohead.cli.common import Model, counting
from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer
from panohead.limits import DEMO_HEADS, FRAMES


@dataclass(kw_only=True)
class Demo(Model):
    """Turntable, contact sheet and mesh of heads of the bundled model, and a page that shows them."""

    out: Path = Path("demo_out")
    """Folder for the results."""
    heads: Annotated[int, DEMO_HEADS] = 8
    """Number of heads: rows of the contact sheet."""
    frames: Annotated[int, FRAMES] = 48
    """Frames of the turntable."""
    watermark: bool = False
    """Also an invisible watermark in images and videos, which survives copies without metadata (panohead verify)."""
    overwrite: bool = False
    """Write into OUT even if it holds results of another command."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Write turntable.mp4, contact_sheet.png, head.glb and index.html."""
        from panohead.gallery import write_demo
        from panohead.head_page import PAGE_FRAMES

        predictor = self.load()
        out = open_results(self.out, "demo", overwrite=self.overwrite)
        with counting("rendering", self.heads * 8 + self.frames + 1 + PAGE_FRAMES) as step:
            page = write_demo(predictor, out, count=self.heads, frames=self.frames, step=step)
        write_settings(out, "demo", self, predictor, list(range(self.heads)))
        answer(f"wrote turntable.mp4, contact_sheet.png and head.glb to {out}; open {page}")
