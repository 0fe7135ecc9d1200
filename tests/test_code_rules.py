"""The code rules that no linter knows: sizes, names, and nothing of the workshop inside."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "panohead"
MAX_FILES_IN_A_FOLDER = 25
MAX_LINES_OF_A_FILE = 500
MAX_LINES_OF_A_FUNCTION = 60
FOLDERS = ("src", "tests", "tools", "benchmarks", "examples")
SOURCES = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_is_small_and_its_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES_OF_A_FILE
    if "tests" in path.parts:
        return  # tables of cases may be long
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 90, f"{node.name} is too long"
            body = _lines_of_code(node)
            assert body <= MAX_LINES_OF_A_FUNCTION, f"{node.name} has {body} lines of code"


def _lines_of_code(node: ast.FunctionDef) -> int:
    """Lines after the signature and the docstring."""
    first = node.body[1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0]
    assert node.end_lineno is not None
    return node.end_lineno - first.lineno + 1


WORDS = (
    "player", "players", "seen_of_heads", "seen_of_photos", "judged", "generator_move", "discriminator_move",
    "r1_move", "density_move", "put_behind", "tally", "film", "films", "colour", "colours", "coloured", "centre",
    "centres", "centred", "optimiser", "optimise", "minimise", "normalised", "rasterised", "quantised", "neighbour",
    "neighbours", "labelled", "travelled", "picture", "pictures", "mend", "journal", "sidecar", "hushed", "doubt",
    "doubts", "remark", "remarks", "decisive", "treatment", "strangers",
)  # fmt: skip
"""Words that no identifier holds any more: the field has others for them."""
ALLOWED_IDENTIFIERS = {
    "film_format": "a flag of panohead interpolate",
    "film_transparent": "of Blender's module bpy",
    "hair_colour": "a field in people.jsonl",
    "picture": "a flag of panohead dataset inspect",
    "picture_weight": "a setting of the warm start, stored in runs and checkpoints",
    "world_units_per_metre": "a key in GLB files",
}


def _identifiers(path: Path) -> set[str]:
    """Names outside strings and comments."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def _words(identifier: str) -> set[str]:
    """The lower-case words of a snake_case, UPPER_CASE or CamelCase name."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


def test_identifiers_use_the_terms_of_the_field() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in _identifiers(path)
        if name not in ALLOWED_IDENTIFIERS
        and (_words(name) & set(WORDS) or name in WORDS or re.match(r"_?(MOST|LEAST|LONGEST|LARGEST|SMALLEST)_", name))
    }
    assert sorted(found) == []


def test_the_words_of_a_name_are_told_apart() -> None:
    assert _words("ColourActivation") == {"colour", "activation"}
    assert _words("seen_of_heads") == {"seen", "of", "heads"}


def test_no_folder_is_overcrowded() -> None:
    counts = {
        str(folder.relative_to(ROOT)): len(list(folder.glob("*.py")))
        for folder in (PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir()))
    }
    assert {folder: count for folder, count in counts.items() if count > MAX_FILES_IN_A_FOLDER} == {}


def test_class_names_are_unique() -> None:
    """One name, one thing: no class or type alias of the package shares its name with another one."""
    homes = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(PACKAGE)))
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if re.fullmatch(r"(?:[A-Z][a-z0-9]+)+", name):
                    homes[name].append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_no_private_name_is_imported_from_another_package() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        own = ".".join(("panohead", *path.relative_to(PACKAGE).parent.parts))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("panohead"):
                package = node.module.rpartition(".")[0]
                names = [a.name for a in node.names if a.name.startswith("_") and not a.name.startswith("__")]
                if names and package != own:
                    found.append(f"{path.relative_to(PACKAGE)}: {', '.join(names)} of {node.module}")
    assert found == []


def test_tests_mirror_the_source_tree() -> None:
    """Every folder of tests is one of the package, or listed here with its reason."""
    others = {"browser", "examples", "gpu", "parity", "stored", "training/heads"}
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("*.py")} - {"."}
    assert {f for f in folders if f not in others and not (PACKAGE / f).is_dir()} == set()


def test_nothing_reads_the_workshop() -> None:
    pattern = re.compile(r"""["'(](/work/|\.\./shared)""")
    offenders = [
        str(p.relative_to(ROOT)) for p in SOURCES if p.name != "test_code_rules.py" and pattern.search(p.read_text())
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
