"""``panohead demo``: turntable, contact sheet and mesh of heads of the bundled model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from panohead.cli.common import Debug, Model, counting, output_folder, say
from panohead.cli.ranges import SHEET_SEEDS
from panohead.limits import FRAMES


@dataclass(kw_only=True)
class Demo(Model):
    """Turntable, contact sheet and mesh of heads of the bundled model, and a page that shows them."""

    out: Path = Path("demo_out")
    """Folder for the results."""
    seeds: Annotated[int, SHEET_SEEDS] = 8
    """Rows of the contact sheet."""
    frames: Annotated[int, FRAMES] = 48
    """Frames of the turntable."""
    debug: Debug = False

    def run(self) -> None:
        """Write turntable.mp4, contact_sheet.png, head.glb and index.html."""
        from panohead.gallery import write_demo

        predictor = self.load()
        out = output_folder(self.out)
        with counting("rendering", self.seeds * 8 + self.frames + 1) as step:
            page = write_demo(predictor, out, seeds=self.seeds, frames=self.frames, step=step)
        say(f"wrote turntable.mp4, contact_sheet.png and head.glb to {out}; open {page}")
