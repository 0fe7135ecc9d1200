"""Run the notebooks in Jupyter's kernel at tiny size, as CI does (extra ``notebooks``):

    python tools/run_notebooks.py                     # all of notebooks/, nothing is written beside them
    python tools/run_notebooks.py --keep RUN          # keep copies with their outputs in RUN

Ends with 1 and the cell's traceback when one fails.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
import tyro
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]


@dataclass(kw_only=True)
class Options:
    """What is run, and how."""

    keep: Path | None = None
    """Folder for copies with outputs."""
    full: bool = False
    """At full size (many minutes) instead of the tiny one."""
    timeout_s: int = 1800
    """Seconds that one cell may take."""


def main(options: Options) -> int:
    """Run them all and return the exit code."""
    failed = 0
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PANOHEAD_TINY"] = "0" if options.full else "1"
            os.environ["PANOHEAD_OUT"] = str(Path(folder) / "out")
            client = NotebookClient(notebook, timeout=options.timeout_s, resources={"metadata": {"path": folder}})
            try:
                client.execute()
                print(f"{path.name}: {len(notebook.cells)} cells ran")
            except CellExecutionError as error:
                failed += 1
                print(f"{path.name}: {error}", file=sys.stderr)
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, options.keep / path.name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
