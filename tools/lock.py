"""Write requirements-lock.txt: the exact versions of all that ``.[dev]`` needs, read from the current environment.

    make env-dev && .venv/bin/python tools/lock.py

The file serves pip as constraints (``pip install -c requirements-lock.txt -e '.[dev]'``), so that packages which a
platform does not need are not installed. Local version labels (``2.13.0+cpu``) are dropped: an index without them can
serve the same version.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-lock.txt"
EXTRAS = ("dev",)


def wanted() -> list[str]:
    """Return the requirements of the package and of EXTRAS, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"] + [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]


def closure(lines: Iterable[str]) -> dict[str, str]:
    """Return versions of these requirements and of all that they need here, by normalized name.

    Raises:
        SystemExit: when one is not installed.
    """
    found: dict[str, str] = {}
    waiting = [(Requirement(line), "") for line in lines]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            installed = distribution(requirement.name)
        except PackageNotFoundError:
            sys.exit(f"{requirement.name} is not installed; run this in the environment of `make env-dev`")
        if name not in found or requirement.extras:
            found[name] = re.sub(r"\+.*", "", installed.version)
            for line in installed.requires or []:
                waiting += [(Requirement(line), wish) for wish in ("", *requirement.extras)]
    return found


def main() -> None:
    """Write the lock file."""
    pins = closure(wanted())
    head = (
        f"# Exact versions of all that `.[{','.join(EXTRAS)}]` needs, as tested on Python "
        f"{sys.version_info.major}.{sys.version_info.minor}. Made by tools/lock.py; do not edit.\n"
        "# Use: make env LOCK=1, or pip install -c requirements-lock.txt -e '.[dev]'\n"
    )
    LOCK.write_text(head + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins)), encoding="utf-8")
    print(f"wrote {LOCK} with {len(pins)} packages")


if __name__ == "__main__":
    main()
