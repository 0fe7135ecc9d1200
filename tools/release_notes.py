"""Print the notes of a release: its section of CHANGELOG.md, with links that work outside the repository.

python tools/release_notes.py 0.1.0
python tools/release_notes.py 0.1.0 --base https://example.org/panohead/blob/v0.1.0
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

ROOT = Path(__file__).parents[1]


@dataclass(kw_only=True)
class Options:
    """Which release."""

    version: Annotated[str, tyro.conf.Positional]
    """Version, such as 0.1.0."""
    base: str | None = None
    """Address that relative links are under; without one they become plain words."""


def notes(text: str, version: str, base: str | None = None) -> str:
    """Return the section of a version.

    Raises:
        SystemExit: when there is none.
    """
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    found = next((one for one in sections if re.match(rf"{re.escape(version)}(?![\w.])", one)), None)
    if found is None:
        known = ", ".join(one.split()[0] for one in sections)
        raise SystemExit(f"CHANGELOG.md has no section {version}; it has {known}")
    body = found.partition("\n")[2].strip()
    replaced = r"\1" if base is None else rf"[\1]({base.rstrip('/')}/\2)"
    return re.sub(r"\[([^\]]+)\]\((?!https?:)([^)]+)\)", replaced, body) + "\n"


def main(options: Options) -> None:
    """Print the notes."""
    print(notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), options.version, options.base), end="")


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
