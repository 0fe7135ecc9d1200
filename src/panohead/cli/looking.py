"""``panohead doctor``: what is installed here, which fast paths are on, and why not."""

from dataclasses import dataclass, field

from panohead.cli.running.common_options import Common, CommonOptions

_WIDE = 400


@dataclass(kw_only=True)
class Doctor:
    """Table of what is installed here, which fast paths are on, and why not."""

    quick: bool = False
    """Only look whether optional packages are there; without this each is imported, which takes seconds."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Print the table."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        from panohead.diagnosis import diagnose

        table = Table("what", "state", "detail", title="PanoHead on this machine", title_justify="left")
        for check in diagnose(quick=self.quick):
            color = {"on": "green", "off": "yellow", "missing": "yellow", "broken": "red"}.get(check.state, "")
            table.add_row(check.name, f"[{color}]{check.state}[/]" if color else check.state, escape(check.detail))
        console = Console()
        # A pipe or a file has room for long paths; nothing is cut or wrapped there.
        (console if console.is_terminal else Console(width=_WIDE, soft_wrap=True)).print(table)
