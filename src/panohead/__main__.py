"""``python -m panohead``: the same as the command ``panohead``."""

from panohead.system.safe_path import leave_current_folder

leave_current_folder()

from panohead.cli.main import run_process  # noqa: E402  # not before the current folder is off the search path

if __name__ == "__main__":
    run_process()
