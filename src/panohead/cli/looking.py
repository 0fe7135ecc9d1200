"""Commands that only look: ``panohead doctor`` at this machine, ``panohead verify`` at files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from panohead.cli.running.common_options import Common, CommonOptions
from panohead.errors import PanoHeadError, UsageError

if TYPE_CHECKING:
    from panohead.media.marks import Mark

_WIDE = 400


@dataclass(kw_only=True)
class Doctor:
    """Table of what is installed here, which fast paths are on, and why not."""

    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Print the table."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        from panohead.diagnosis import diagnose

        table = Table("what", "state", "detail", title="PanoHead on this machine", title_justify="left")
        for check in diagnose():
            color = {"on": "green", "off": "yellow", "missing": "yellow", "broken": "red"}.get(check.state, "")
            table.add_row(check.name, f"[{color}]{check.state}[/]" if color else check.state, escape(check.detail))
        console = Console()
        # A pipe or a file has room for long paths; nothing is cut or wrapped there.
        (console if console.is_terminal else Console(width=_WIDE, soft_wrap=True)).print(table)


@dataclass(kw_only=True)
class Verify:
    """Read the synthetic marks of files. Exit code 1 when one has none: marks can be stripped, so that is no proof."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Images, videos, meshes (glb, obj, ply, stl, 3mf), density volumes (mrc) and pages (html)."""
    common: Common = field(default_factory=CommonOptions)

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
