"""Options that every command has: config file, amount and form of the messages."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(kw_only=True)
class CommonOptions:
    """Options of every command; they may also stand before its name."""

    config: Path | None = None
    """YAML file with options of this command, such as the run.yaml beside results; options typed here win."""
    write_config: Path | None = None
    """Write the options to this YAML file and stop."""
    quiet: bool = False
    """Errors and results alone: no progress, no notes."""
    verbose: bool = False
    """Also what is loaded and written, time and memory."""
    log_json: bool = False
    """Everything on standard error as JSON, one object a line."""
    debug: bool = False
    """Show the traceback of an error."""


Common = tyro.conf.OmitArgPrefixes[CommonOptions]
"""Type of a command's field ``common``, whose default is made by CommonOptions."""
COMMON = "common"
"""Name of that field."""
