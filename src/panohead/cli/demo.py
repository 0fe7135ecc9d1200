"""``panohead demo``: the bundled model turns a head, fills a contact sheet and writes a mesh."""

from dataclasses import dataclass
from pathlib import Path

from panohead.cli.common import Debug, Model, counting, output_folder, say


@dataclass(kw_only=True)
class Demo(Model):
    """The bundled model: a head that turns, a contact sheet, a mesh, and a page to look at them."""

    out: Path = Path("demo_out")
    """Folder for the results."""
    seeds: int = 8
    """Rows of the contact sheet."""
    frames: int = 48
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
