"""Print README.md with absolute links, for a package index: ``python tools/index_readme.py https://FORGE/OWNER/REPO``.

A package index shows the page without the repository, so links and images of the repository need its address, which
only whoever releases the package knows.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def absolute(text: str, repository: str, branch: str = "main") -> str:
    """Return the page with relative links and images made absolute; anchors and addresses stay."""
    base = repository.rstrip("/")

    def replaced(match: re.Match[str]) -> str:
        kind, target = match[1], match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        return f"{kind}({base}/{'raw' if kind.startswith('!') else 'blob'}/{branch}/{target})"

    return re.sub(r"(!?\[[^\]]*\])\(([^)\s]+)\)", replaced, text)


if __name__ == "__main__":
    sys.stdout.write(absolute(README.read_text(encoding="utf-8"), sys.argv[1]))
