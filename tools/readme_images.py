"""Make the README's images of the bundled model, from the folders that two commands of the README wrote.

    panohead demo --out demo_out
    panohead reconstruct astronaut.png --checkpoint demo --out astronaut --texture 512
    python tools/readme_images.py --demo demo_out --reconstruction astronaut --photo astronaut.png

``--demo`` or ``--reconstruction`` alone makes that image. The photo's crop needs MediaPipe (extra ``face``).
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image

from panohead.gallery import CONTACT_YAWS
from panohead.gallery.demo import SHEET
from panohead.media import save_image
from panohead.media.provenance import SourceType

IMAGES = Path(__file__).parents[1] / "docs" / "images"
CELL, GAP = 128, 6


@dataclass(kw_only=True)
class Options:
    """Folders of results, and where the images go."""

    demo: Path | None = None
    """Folder of panohead demo."""
    reconstruction: Path | None = None
    """Folder of panohead reconstruct."""
    photo: Path | None = None
    """Photo of the reconstruction; its aligned crop begins the row."""
    out: Path = IMAGES
    """Folder of the images."""


def photo_row(photo: Path, reconstruction: Path) -> Image.Image:
    """Return the photo's aligned crop beside the reconstructed head from all sides."""
    from panohead.alignment import align  # here: MediaPipe is an extra

    head = align(photo)
    if head is None:
        raise SystemExit(f"{photo} shows no head that could be found")
    views = [Image.open(reconstruction / "views" / f"yaw{yaw:+04.0f}.png") for yaw in CONTACT_YAWS]
    row = Image.new("RGB", (CELL * (len(views) + 1) + GAP * len(views), CELL), "white")
    for i, cell in enumerate([Image.fromarray(head.image), *views]):
        row.paste(cell.convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS), (i * (CELL + GAP), 0))
    return row


def write_images(options: Options) -> None:
    """Write the images whose folders are given, marked as synthetic."""
    if options.demo is not None:
        sheet = Image.open(options.demo / SHEET).convert("RGB")
        save_image(sheet, options.out / "demo.webp", quality=85)
    if (options.reconstruction is None) != (options.photo is None):
        raise SystemExit("give --reconstruction and --photo together")
    if options.reconstruction is not None and options.photo is not None:
        row = photo_row(options.photo, options.reconstruction)
        composite: SourceType = "compositeWithTrainedAlgorithmicMedia"
        save_image(row, options.out / "photo_to_head.webp", source=composite, quality=88)


if __name__ == "__main__":
    write_images(tyro.cli(Options, description=__doc__))
