"""The pages name only what exists: files, links, commands with their flags, make targets, and names of the package."""

import ast
import importlib
import io
import re
import shlex
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from panohead.cli import main as command_line

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "README.md",
    ROOT / "src" / "panohead" / "assets" / "demo.md",
]
BASES = (ROOT, ROOT / "src", ROOT / "src" / "panohead", ROOT / "docs")
"""Folders that a path in a page may start from."""
OUTPUTS = re.compile(
    r"(run|runs|states|snapshots|tensorboard|turntable|views|my-heads|look|aligned|OUT|out|demo_out|heads"
    r"|normals|part_maps|landmarks|depth|masks|images|00000|photos|back|scans|fit|/data|FOLDER|samples|sheets|__pycache__)/"
)
"""Beginnings of paths that commands write or users bring."""


LEFT_OUT = () if (ROOT / "tools" / "panohead-cycles").exists() else ("checkpoints/", "tools/panohead-cycles/", ".git")
"""Beginnings of paths that a source distribution does not hold (MANIFEST.in)."""


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_blocks(text: str, language: str) -> list[str]:
    """Contents of the fenced blocks of one language ("" for blocks without any)."""
    blocks = re.findall(r"^( *)```(\w*)\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    return [body for _, found, body in blocks if found == language]


def inline_code(text: str) -> list[str]:
    """What stands in backticks outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def shell_lines(text: str) -> list[str]:
    """Command lines of a page, without comments; continued lines are joined."""
    lines = "\n".join(code_blocks(text, "")).replace("\\\n", " ").splitlines()
    spans = [span for span in inline_code(text) if re.match(r"(panohead|python|make|pytest) ", span)]
    return [re.split(r"\s#", line)[0].strip() for line in [*lines, *spans]]


def missing_paths(text: str, folder: Path = ROOT) -> list[str]:
    """Paths in backticks that exist neither in ``folder`` nor in BASES, and that no command writes."""
    sources = {path.name for path in (ROOT / "src").rglob("*.py")}
    paths = [span for span in inline_code(text) if re.fullmatch(r"[\w.-]*(/[\w.-]*)+|\w+\.py", span)]
    return [
        path
        for path in paths
        if not OUTPUTS.match(path)
        and not path.startswith(LEFT_OUT)
        and path not in sources
        and not any((base / path).exists() for base in (*BASES, folder))
    ]


COMMANDS = re.findall(r'subcommand\("([a-z-]+)"\)', Path(command_line.__file__).read_text())


@cache
def options(command: str) -> set[str]:
    """Long options in the help of a subcommand ("dataset convert")."""
    assert command.split()[0] in COMMANDS, f"there is no panohead {command}"
    output = io.StringIO()
    with redirect_stdout(output), pytest.raises(SystemExit) as end:
        command_line.main([*command.split(), "--help"])
    assert end.value.code == 0, command
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9.-]*", output.getvalue()))


def anchors(page: Path) -> set[str]:
    """Anchors that a forge gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!http)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists() or name.removeprefix("../").startswith(LEFT_OUT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_paths_exist(page: Path) -> None:
    assert missing_paths(page.read_text(encoding="utf-8"), page.parent) == []


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_commands_and_their_flags_exist(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    text = page.read_text(encoding="utf-8")
    for line in shell_lines(text):
        words = shlex.split(line.replace("[", "").replace("]", "")) if line.count("'") % 2 == 0 else line.split()
        flags = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        if words[:1] == ["panohead"] and len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]):
            command = " ".join(words[1:3] if words[1] == "dataset" else words[1:2])
            assert flags <= options(command), line
        elif words[:1] == ["python"] and len(words) > 1 and words[1].endswith(".py"):
            script = ROOT / words[1]
            code = script.read_text(encoding="utf-8")
            for flag in flags:
                assert flag in code or re.search(rf"^    {flag[2:].replace('-', '_')}:", code, re.MULTILINE), line
        elif words[:1] == ["make"]:
            targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
            asked = {word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)}
            assert asked <= targets, line


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_flags_in_prose_exist(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag in backticks is one of some command's, or of a script in tools/ or benchmarks/."""
    monkeypatch.setenv("COLUMNS", "160")
    known = {flag for command in COMMANDS if command != "dataset" for flag in options(command)} | {"--help"}
    known |= {flag for name in ("inspect", "check", "convert", "view") for flag in options(f"dataset {name}")}
    scripts = [path.read_text() for folder in ("tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    spans = [span for span in inline_code(page.read_text(encoding="utf-8")) if span.startswith("--")]
    used = {re.match(r"--[a-z0-9.-]+", span)[0] for span in spans if not span.startswith("--gates.*")}  # type: ignore[index]
    assert {flag for flag in used - known if not any(f'"{flag}"' in script for script in scripts)} == set()


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_names_of_the_package_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    dotted = {span.partition("(")[0] for span in inline_code(text) if re.match(r"(with )?panohead\.\w", span)}
    for name in {re.sub(r"^with |:$|\.\{.*", "", name) for name in dotted}:
        resolve(name)
    for block in code_blocks(text, "python"):
        resolve_imports(block)


SCRIPTS = [path for folder in ("tools", "benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("script", SCRIPTS, ids=by_name)
def test_scripts_import_what_exists(script: Path) -> None:
    """Scripts that no test runs must not be left behind when modules move."""
    resolve_imports(script.read_text(encoding="utf-8"))


def resolve_imports(code: str) -> None:
    """Resolve every name of the package that the code imports, also inside functions."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("panohead"):
            for alias in node.names:
                resolve(f"{node.module}.{alias.name}")


def resolve(name: str) -> object:
    """The module or attribute of a dotted name."""
    if name.endswith(".safetensors"):
        return None
    module, _, rest = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(module) if module != name else None, rest)


def test_the_checks_find_what_is_wrong() -> None:
    assert missing_paths("`models/generator.py`, `docs/`, `run/report.html`") == []
    assert missing_paths("`models/generators.py` and `decoders.py`") == ["models/generators.py", "decoders.py"]
    assert shell_lines("```\npanohead demo --out x   # note\n```\n`make test`") == [
        "panohead demo --out x",
        "make test",
    ]
    assert anchors(ROOT / "docs" / "reconstruct.md") >= {"how-good-it-is", "seen-or-invented"}
    with pytest.raises(AssertionError, match="no panohead generates"):
        options("generates")
    with pytest.raises(AttributeError):
        resolve("panohead.models.Generators")
