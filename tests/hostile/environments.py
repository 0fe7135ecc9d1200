"""Odd environments: what a command does without a home, a temporary folder, memory, files, shared memory, threads.

    PYTHONPATH=tests python -m hostile.environments [--only WORDS]

Prints a Markdown table. A command may work, or end with a sentence and exit code 1 or 2; a traceback, a hang and any
other code make the exit code 1. Those with ``mount`` need the rights of root and are left out without them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hostile.families import CHEAP, TINY
from hostile.runner import _PACKAGE

MAX_SECONDS = 600
_GENERATE = ("generate", "--checkpoint", str(TINY), "--out", "out", *CHEAP)
_SYNTHESIZE = ("synthesize", "--people", "1", "--views", "1", "--resolution", "16", "--workers", "2", "--out", "out")
_MOUNT = "unshare -m sh -c '{}; exec \"$@\"' sh "
ENVIRONMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "`HOME` unset": ("unset HOME; ", _GENERATE),
    "`HOME=/nonexistent`": ("export HOME=/nonexistent; ", _GENERATE),
    "`TMPDIR` missing": ("export TMPDIR=/nonexistent; ", _SYNTHESIZE),
    "no temporary folder": (_MOUNT.format("for f in /tmp /var/tmp; do mount -t tmpfs -o ro none $f; done"), ()),
    "`LANG=C`, no UTF-8": ("export LC_ALL=C LANG=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 PYTHONIOENCODING=; ", _GENERATE),
    "`ulimit -n 32`": ("ulimit -n 32; ", _SYNTHESIZE),
    "`ulimit -v 1500000` (kB)": ("ulimit -v 1500000; ", _GENERATE),
    "`ulimit -f 1` (512 bytes)": ("ulimit -f 1; ", _GENERATE),
    "`ulimit -s 256` (kB)": ("ulimit -s 256; ", _GENERATE),
    "no `/dev/shm`": (_MOUNT.format("mount -t tmpfs -o ro,mode=000 none /dev/shm"), _SYNTHESIZE),
    "read-only package": (_MOUNT.format(f"mount --bind -o ro {_PACKAGE} {_PACKAGE}"), _GENERATE),
    "working folder removed": ("mkdir gone; cd gone; rmdir ../gone; ", _GENERATE),
    "`umask 777`": ("umask 777; ", _GENERATE),
    "`COLUMNS=1 TERM=dumb`": ("export COLUMNS=1 TERM=dumb; ", _SYNTHESIZE),
    "`COLUMNS=1`, help": ("export COLUMNS=1; ", ("generate", "--help")),
    "`COLUMNS=-3`, no number": ("export COLUMNS=-3 LINES=x; ", ("--help",)),
    "`PATH` empty": ("export PATH=; ", _GENERATE),
    "`OMP_NUM_THREADS=x`": ("export OMP_NUM_THREADS=x; ", _GENERATE),
    "`NUMBA_NUM_THREADS=x`": ("export NUMBA_NUM_THREADS=x; ", _GENERATE),
    "`NUMBA_NUM_THREADS=100000`": ("export NUMBA_NUM_THREADS=100000; ", _GENERATE),
    "`RANK=x`": ("export RANK=x WORLD_SIZE=2; ", ("train", "--preset", "tiny", "--data", "d", "--out", "out")),
    "`PYTHONWARNINGS=error`": ("export PYTHONWARNINGS=error; ", _GENERATE),
    "closed streams": ("exec <&- >&- 2>&-; ", _GENERATE),
}  # fmt: skip


def run(prefix: str, words: tuple[str, ...], folder: Path) -> tuple[str, bool]:
    """Run a command in an environment.

    Returns:
        The outcome in words, and True when it is no fault.
    """
    environment = os.environ | {"PYTHONPATH": str(_PACKAGE)}
    line = f'{prefix}"$@"'
    command = ["bash", "-c", line, "sh", sys.executable, "-P", "-m", "panohead.cli.main", *(words or _GENERATE)]
    began = time.monotonic()
    try:
        ran = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=MAX_SECONDS
        )
    except subprocess.TimeoutExpired:
        return "hang", False
    lines = [line for line in ran.stderr.splitlines() if line.startswith(("panohead:", "unshare:", "mount:"))]
    said = lines[-1].removeprefix("panohead: ") if lines else ran.stderr.strip()[-200:] if ran.returncode else ""
    told = not ran.returncode or bool(lines) or "2>&-" in prefix
    right = told and ran.returncode in (0, 1, 2) and "Traceback" not in ran.stderr + ran.stdout
    made = len(list(folder.rglob("*.png"))) + len(list(folder.rglob("*.webp")))
    done = f"works, {made} images" if not ran.returncode else f"exit code {ran.returncode}"
    return f"{done}{f': {said}' if said else ''} ({time.monotonic() - began:.0f} s)", right


def main() -> int:
    """Run a command in every environment and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a name")
    only = parser.parse_args().only
    print("| environment | outcome |\n|---|---|")
    failed = 0
    for name, (prefix, words) in ENVIRONMENTS.items():
        if only not in name or ("mount" in prefix and os.geteuid() != 0):
            continue
        folder = Path(tempfile.mkdtemp(prefix="panohead-environment-"))
        outcome, right = run(prefix, words, folder)
        failed += not right
        print(f"| {name} | {outcome}{'' if right else ' **fault**'} |", flush=True)
        subprocess.run(["chmod", "-R", "u+rwx", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
