"""The house rules that no linter knows: small files, short functions, nothing of the workshop inside."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for folder in ("src", "tests", "tools", "benchmarks") for p in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_is_small_and_its_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    if "tests" in path.parts:
        return  # tables of cases may be long
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 90, f"{node.name} is too long"
            body = _lines_of_code(node)
            assert body <= 60, f"{node.name} has {body} lines of code"


def _lines_of_code(node: ast.FunctionDef) -> int:
    """Lines after the signature and the docstring."""
    first = node.body[1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0]
    assert node.end_lineno is not None
    return node.end_lineno - first.lineno + 1


def test_nothing_reads_the_workshop() -> None:
    pattern = re.compile(r"""["'(](/work/|\.\./shared)""")
    offenders = [
        str(p.relative_to(ROOT)) for p in SOURCES if p.name != "test_house.py" and pattern.search(p.read_text())
    ]
    assert offenders == []


def test_no_public_name_is_a_riddle() -> None:
    names = {p.stem for p in (ROOT / "src").rglob("*.py")}
    assert not names & {"utils", "util", "misc", "helpers", "common_utils"}


def test_readme_commands_exist() -> None:
    from panohead.cli import main as command_line

    readme = (ROOT / "README.md").read_text()
    known = set(re.findall(r'subcommand\("([a-z-]+)"\)', Path(command_line.__file__).read_text()))
    used = set(re.findall(r"panohead (demo|generate|interpolate|import-official|doctor|[a-z]+-?[a-z]*) --", readme))
    assert used, "the README shows no command"
    assert used <= known


def test_every_package_file_that_readme_links_exists() -> None:
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / name).exists(), name
