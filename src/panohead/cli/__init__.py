"""The command line: one small file a command. Parse, call, print."""

import sys

from panohead.system.safe_path import leave_current_folder

__all__: list[str] = []
"""Nothing public: for use within this package."""

if sys.argv[:1] == ["-m"]:  # while `python -m panohead.cli.main` looks for the module: nothing else is imported yet
    leave_current_folder()
