"""``panohead verify``: what files say of their origin."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from panohead.cli.common import Debug
from panohead.errors import PanoHeadError, UsageError

if TYPE_CHECKING:
    from panohead.media.marks import Mark


@dataclass(kw_only=True)
class Verify:
    """Read the synthetic marks of files. Exit code 1 when one has none: marks can be stripped, so that is no proof."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Images, videos, meshes (glb, obj, ply, stl, 3mf), density volumes (mrc) and pages (html)."""
    debug: Debug = False

    def run(self) -> None:
        """Print a line a file.

        Raises:
            PanoHeadError: when a file has no mark or cannot be read, after all lines.
        """
        from panohead.media.marks import read_mark
        from panohead.system.text import printable

        if not self.files:
            raise UsageError("no file is named; give images, videos, meshes or pages")
        unmarked, broken = 0, 0
        for path in self.files:
            try:
                mark = read_mark(path)
            except PanoHeadError as error:
                broken += 1
                print(printable(str(error)))
                continue
            unmarked += not mark.synthetic
            print(f"{printable(str(path))}: {_described(mark)}")
        if unmarked or broken:
            parts = [f"{unmarked} without a mark"] * bool(unmarked) + [f"{broken} not readable"] * bool(broken)
            raise PanoHeadError(f"of {len(self.files)} files {' and '.join(parts)}; the lines above name them")


def _described(mark: "Mark") -> str:
    if not mark.synthetic:
        return "no synthetic mark" + (f" (written by {mark.software})" if mark.software else "")
    what = f"IPTC digital source type {mark.term}" if mark.term else "notice"
    return f"synthetic ({what}{f', {mark.software}' if mark.software else ''})"
