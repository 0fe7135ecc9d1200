"""Make a smaller copy of a dataset: images and masks averaged over squares of pixels, cameras unchanged.

::

    python tools/shrink_dataset.py heads-10k heads-10k-128 --factor 2
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image

from panohead.media.provenance import image_metadata


def shrink(source: Path, target: Path, factor: int) -> None:
    """Write one image at ``1 / factor`` of its size; the format follows the suffix."""
    with Image.open(source) as image:
        small = image.reduce(factor)
    target.parent.mkdir(parents=True, exist_ok=True)
    options = {} if source.suffix == ".png" and image.mode == "L" else image_metadata(target.suffix, "algorithmicMedia")
    small.save(target, quality=92, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--factor", type=int, default=2)
    arguments = parser.parse_args()
    for folder in ("images", "masks"):
        for path in sorted((arguments.source / folder).rglob("*.*")):
            if path.suffix in (".webp", ".png", ".jpg"):
                shrink(path, arguments.target / path.relative_to(arguments.source), arguments.factor)
    for name in ("images/dataset.json", "people.jsonl"):
        shutil.copyfile(arguments.source / name, arguments.target / name)


if __name__ == "__main__":
    main()
