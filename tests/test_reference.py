"""The reference page: stable numbers, and every citation of it names a section that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
CITATION = re.compile(r"reference\.md\s+((?:\d+(?:\.\d+)?(?:,\s+|\s+and\s+|\s+to\s+)?)+)")


def headings() -> list[str]:
    """Numbers of all sections, "3" and "3.7", in the order of the page."""
    return re.findall(r"^#{2,3} (\d+(?:\.\d+)?) \S", PAGE, flags=re.MULTILINE)


def cited(text: str) -> list[str]:
    """Section numbers that a text cites. Line breaks and comment signs inside a citation count as spaces."""
    joined = re.sub(r"\s*\n\s*(?:#:?\s*)?", " ", text)
    return [number for numbers in CITATION.findall(joined) for number in re.findall(r"\d+(?:\.\d+)?", numbers)]


def test_numbers_count_up_without_gaps() -> None:
    expected: list[str] = []
    chapter = part = 0
    for number in headings():
        chapter, part = (chapter, part + 1) if "." in number else (chapter + 1, 0)
        expected.append(f"{chapter}.{part}" if part else f"{chapter}")
    assert headings() == expected
    assert len(expected) > 60


def test_citations_are_read() -> None:
    text = "as docs/reference.md 3.7 and 3.9) and docs/reference.md\n    # 2, 5.4: ..."
    assert cited(text) == ["3.7", "3.9", "2", "5.4"]


def test_every_citation_has_its_section() -> None:
    paths = [p for folder in ("src", "tests", "tools", "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    paths += [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    known = set(headings())
    for path in paths:
        if path != Path(__file__):
            assert set(cited(path.read_text(encoding="utf-8"))) <= known, path


def test_references_inside_the_page_have_their_section() -> None:
    inside = re.findall(r"\((?:section )?(\d\.\d+)\)", PAGE)
    assert len(inside) > 10
    assert set(inside) <= set(headings())
