"""Build the documentation site from the repository's pages: ``make docs``, or

    python tools/docs_site.py            # build/pages, then site/index.html

Pages are copied with their links turned to each other; links to source files become plain names. The help of every
command becomes a page, and docstrings one (mkdocstrings). Needs the extra ``docs``; warnings are errors (mkdocs.yml).
"""

import io
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import tyro

from panohead.cli import dataset
from panohead.cli import main as command_line

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
    "src/panohead/assets/demo.md": "demo-model.md",
    "docs/README.md": "pages-index.md",
    "notebooks/README.md": "notebooks.md",
}
"""Pages by their place in the repository that have another place on the site; pages in docs/ keep their names."""

TUTORIALS = {
    "notebooks/1_start.ipynb": "tutorial-start.md",
    "notebooks/2_photo_to_avatar.ipynb": "tutorial-photo.md",
    "notebooks/3_train_your_own.ipynb": "tutorial-train.md",
}
"""Notebooks that become pages: their words and their code."""

COLLECTED = {
    "conventions.md": (
        "Conventions",
        [("README.md", "Conventions"), ("docs/reference.md", "1 Conventions and cameras")],
    ),
    "responsible-use.md": (
        "Responsible use",
        [
            ("README.md", "Responsible use"),
            ("src/panohead/assets/demo.md", "Limits and use"),
            ("docs/heads-dataset.md", "Who is in it, and who is not"),
        ],
    ),
}
"""Pages of sections (level 2) of others: title, and the place and heading of each."""

API = {
    "Loading and sampling": ["panohead.predictor.load", "panohead.predictor.Predictor", "panohead.head.Head"],
    "Views": ["panohead.frame.Frame", "panohead.geometry.camera.Camera"],
    "Photos": ["panohead.inversion.reconstruct", "panohead.alignment.align_photo"],
    "Checkpoints and hubs": [
        "panohead.checkpoint.load_checkpoint",
        "panohead.checkpoint.save_checkpoint",
        "panohead.hub",
    ],
    "Marks": ["panohead.media.verification", "panohead.media.watermark", "panohead.media.content_credentials"],
    "Errors": ["panohead.errors"],
}
"""Names on the page of the Python interface, by heading."""

COMMANDS = re.findall(r'subcommand\("([a-z-]+)"\)', Path(command_line.__file__).read_text(encoding="utf-8"))
DATASET_PARTS = re.findall(r'subcommand\("([a-z-]+)"\)', Path(dataset.__file__).read_text(encoding="utf-8"))
_COLUMNS = 84
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")


@dataclass(kw_only=True)
class Options:
    """Where the site is built."""

    pages: Path = ROOT / "build" / "pages"
    """Folder of the gathered pages; its content is replaced."""
    build: bool = True
    """Also run mkdocs."""


def place_on_site(path: str) -> str | None:
    """Return the site's path of a file of the repository; None for what the site does not show."""
    if path in PAGES:
        return PAGES[path]
    found = re.fullmatch(r"docs/([\w-]+\.(?:md|json)|images/[\w.-]+)", path)
    return found.group(1) if found else None


def with_site_links(text: str, path: str) -> str:
    """Return a page with its links turned to the site's places.

    Args:
        path: the page's own place in the repository.
    """

    def turned(link: re.Match[str]) -> str:
        image, label, target, anchor = link.group(1), link.group(2), link.group(3), link.group(4) or ""
        place = place_on_site(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
        if place is None:
            return label  # a source file: its name stays
        return f"{image}[{label}]({place}{anchor})"

    return _LINK.sub(turned, text)


def notebook_page(path: str) -> str:
    """Return a notebook as a page: its Markdown, its code, and where the file is."""
    cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"]).strip()
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    parts.insert(1, f"The cells of `{path}`, in the repository; [how to run it](notebooks.md).")
    return "\n\n".join(parts) + "\n"


def section(path: str, heading: str) -> str:
    """Return the text below a heading of level 2 of a page, with the site's links.

    Raises:
        ValueError: when there is none.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n+(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"{path} has no section {heading}")
    return with_site_links(found.group(1).strip(), path)


def collected_page(title: str, sections: list[tuple[str, str]]) -> str:
    """Return a page of sections of others; the first needs no heading of its own."""
    parts = [f"# {title}"]
    for number, (path, heading) in enumerate(sections):
        source = (ROOT / path).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").replace("`", "")
        parts += [*([f"## {heading}"] if number else []), section(path, heading)]
        parts.append(f"(From the page [{source}]({place_on_site(path)}).)")
    return "\n\n".join(parts) + "\n"


def help_text(words: list[str]) -> str:
    """Return the help of a command as it is printed, without colors and frames' trailing spaces."""
    output = io.StringIO()
    with redirect_stdout(output), suppress(SystemExit):  # which ends every help
        command_line.main([*words, "--help"])
    return "\n".join(line.rstrip() for line in output.getvalue().strip().splitlines())


def commands_page() -> str:
    """Return the page of all commands with their options, from the parsers themselves."""
    parts = ["# Commands\n\nEvery command as `panohead COMMAND --help` prints it.\n"]
    for name in COMMANDS:
        parts.append(f"## panohead {name}\n\n```text\n{help_text([name])}\n```\n")
        if name == "dataset":
            for part in DATASET_PARTS:
                parts.append(f"### panohead dataset {part}\n\n```text\n{help_text([name, part])}\n```\n")
    return "\n".join(parts)


def api_page() -> str:
    """Return the page of the Python interface, which mkdocstrings fills from docstrings."""
    parts = ["# Python\n\nWhat `import panohead` is for. Shapes, units and ranges are in the docstrings.\n"]
    for heading, names in API.items():
        parts.append(f"## {heading}\n")
        parts += [f"::: {name}\n    options:\n      heading_level: 3\n" for name in names]
    return "\n".join(parts)


def gather(pages: Path) -> None:
    """Write all pages of the site to a folder, whose content is replaced."""
    shutil.rmtree(pages, ignore_errors=True)
    (pages / "images").mkdir(parents=True)
    sources = [*PAGES, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if path.name != "README.md")]
    for source in sources:
        place = place_on_site(source)
        assert place is not None, source
        text = (ROOT / source).read_text(encoding="utf-8")
        (pages / place).write_text(with_site_links(text, source), encoding="utf-8")
    for other in (*(ROOT / "docs" / "images").iterdir(), *(ROOT / "docs").glob("*.json")):
        shutil.copy(other, pages / other.relative_to(ROOT / "docs"))
    for path, place in TUTORIALS.items():
        (pages / place).write_text(notebook_page(path), encoding="utf-8")
    for place, (title, sections) in COLLECTED.items():
        (pages / place).write_text(collected_page(title, sections), encoding="utf-8")
    (pages / "commands.md").write_text(commands_page(), encoding="utf-8")
    (pages / "api.md").write_text(api_page(), encoding="utf-8")


class _Links(HTMLParser):
    """Identifiers of one page, and where it leads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.identifiers: set[str] = set()
        self.targets: list[tuple[str, str]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is called and what it refers to."""
        for name, value in attrs:
            if value and name == "id":
                self.identifiers.add(value)
            elif value and name in ("href", "src"):
                self.targets.append((tag, value))


def broken_links(site: Path) -> list[str]:
    """Return a sentence for every link of a built site that leads nowhere, and for what it fetches from elsewhere.

    Links to other sites are not followed.
    """
    pages = {page.resolve(): _Links(page) for page in site.rglob("*.html") if page.name != "404.html"}
    wrong = []
    for page, found in pages.items():
        for tag, link in found.targets:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                if tag in ("script", "img") or (tag == "link" and link.endswith(".css")):
                    wrong.append(f"{page.name} fetches {link}")
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                wrong.append(f"{page.name} links to {link}, which is not there")
            elif address.fragment and target in pages and unquote(address.fragment) not in pages[target].identifiers:
                wrong.append(f"{page.name} links to {link}, where no such place is")
    return wrong


def main(options: Options) -> int:
    """Gather the pages and build the site."""
    gather(options.pages)
    if not options.build:
        return 0
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the theme's advice on its successor
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", ROOT / "mkdocs.yml"]
    code = subprocess.run(command, env=quiet).returncode
    wrong = [] if code else broken_links(ROOT / "site")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return code or int(bool(wrong))


if __name__ == "__main__":
    os.environ["COLUMNS"] = str(_COLUMNS)
    sys.exit(main(tyro.cli(Options, description=__doc__)))
