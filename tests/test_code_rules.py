"""The code rules that no linter knows: sizes, names, and nothing of the workshop inside."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
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
    "remarks": "a key in prepare.jsonl",
    "world_units_per_metre": "a key in GLB files",
}


_PRIVATE = r"""
    players? | the[ ](?:adversarial[ ])?game | judged | films? | filmed | pictures? | mend(?:s|ed|ing)? | journals?
    | sidecars? | hush(?:ed)? | strangers? | tally | remarks? | doubts | decisive | borne | go(?:es)?[ ]on | going[ ]on
    | gone[ ]on | beg[iu]ns?[ ]anew | the[ ]house | (?<=\()kept | finders? | adversary | facts,?[ ]section
    | (?:generator|discriminator|density|r1)[ ]moves?
"""
"""Words that the project once used for what the field has a name for, in running text."""
_BRITISH = r"""
    \w*colour\w* | centre[sd]? | centring | grey\w* | (?:deci|centi|milli)?metres? | licence[sd]? | \w*neighbour\w*
    | behaviour\w* | labell(?:ed|ing) | travell\w+ | modell(?:ed|ing) | moustache\w* | haemoglobin | honour\w*
    | favour\w* | learnt | catalogue | analyse[sd]? | defence | programme[sd]?
    | (?:optim|minim|maxim|normal|initial|raster|quant|special|general|regular|synchron|serial|summar|organ|recogn
    |categor|parametr|memor|random|real|stabil|symbol|visual|penal|vector|equal|util|custom|token|sanit|local|final
    |emphas|standard|character|binar|central|priorit|discret|homogen|linear|modular)
    is(?:e|es|ed|er|ers|ing|ation|ations)
"""
"""Spellings; the package has US ones, as torch has."""
_PROSE_WORDS = re.compile(rf"\b(?:{_PRIVATE}|{_BRITISH})\b", re.IGNORECASE | re.VERBOSE)
_ALLOWED_PROSE = {
    "video players": "programs that show videos",
    "FiLM": "feature-wise linear modulation, as its paper is called",
    '"millimetre"': "a value of the argument unit",
    '"metre"': "a value of the argument unit and of the metadata of meshes",
    '"picture"': "a key in stored logs",
    "| colour |": "a row of metrics.json",
    "haemoglobin": "a field in people.jsonl",
    "moustache": "a beard in people.jsonl",
}
"""Phrases that are right as they stand, with the reason."""
_PAGES = [
    *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md"), *PACKAGE.rglob("*.md")
]  # fmt: skip


def _docstrings_and_comments(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and lines of all comments and docstrings, also of attributes and constants."""
    text = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            match statement:
                case ast.Expr(value=ast.Constant(value=str(docstring))):
                    yield from enumerate(docstring.splitlines(), statement.lineno)


def _running_text(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and lines of prose, without code in backticks, fenced code and the targets of links."""
    if path.suffix == ".py":
        lines = _docstrings_and_comments(path)
    else:
        text = path.read_text(encoding="utf-8")
        fenced = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
        lines = iter(enumerate(fenced.sub(lambda block: "\n" * block[0].count("\n"), text).splitlines(), 1))
    for number, line in lines:
        yield number, re.sub(r"``[^`]*``|`[^`]*`|\]\([^)]*\)", "", line)


def _odd_words(line: str) -> list[str]:
    for phrase in _ALLOWED_PROSE:
        line = line.replace(phrase, "")
    return _PROSE_WORDS.findall(line)


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


@pytest.mark.parametrize("path", [*SOURCES, *_PAGES], ids=lambda p: str(p.relative_to(ROOT)))
def test_prose_uses_the_terms_of_the_field(path: Path) -> None:
    if path == Path(__file__):
        return
    found = [f"{number}: {', '.join(words)}" for number, line in _running_text(path) if (words := _odd_words(line))]
    assert found == []


def test_odd_words_are_found() -> None:
    assert _odd_words("The colours of a picture go on; normalised") == [
        "colours",
        "picture",
        "go on",
        "normalised",
    ]
    assert _odd_words("Video players, when in doubt: precise, raise, otherwise, a color, the video players") == [
        "players"
    ]
    assert _odd_words("The value is real, its promise is general; premise, surprise, exercise, noise") == []


def test_docstrings_are_phrases_or_imperatives() -> None:
    """None begins with a word that only makes sense after the name of what it describes."""
    first = re.compile(r"\s*(?:What|How|Where|Whether|Which|Of|From|of)\b")
    found = [
        f"{path.relative_to(ROOT)}: {node.value.value[:60]}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if first.match(node.value.value)
    ]
    assert found == []


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
    others = {"browser", "examples", "gpu", "hostile", "parity", "stored", "training/heads"}
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


_IMAGE_READERS = {
    ("Image", "open"), ("PIL", "open"), ("ImageFile", "Parser"), ("iio", "imread"), ("imageio", "imread"),
    ("cv2", "imread"), ("plt", "imread"), ("image", "imread"), ("io", "imread"), ("io", "imread_collection"),
}  # fmt: skip


def _image_readers(tree: ast.AST) -> list[int]:
    """Lines that open an image by a library, under whatever name the library was imported."""
    names: dict[str, str] = {}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = alias.name.rpartition(".")[2]
            if isinstance(node, ast.ImportFrom):
                module = (node.module or "").rpartition(".")[2]
                found += [node.lineno for alias in node.names if (module, alias.name) in _IMAGE_READERS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if (names.get(owner, owner), node.attr) in _IMAGE_READERS:
                found.append(node.lineno)
    return found


def _places(find: Callable[[ast.AST], list[int]], allowed: Collection[str]) -> set[str]:
    """File and line of all that a rule finds in the package, outside the files that may do it."""
    return {
        f"{path.relative_to(ROOT)}:{line}"
        for path in PACKAGE.rglob("*.py")
        for line in find(ast.parse(path.read_text(encoding="utf-8")))
        if path.relative_to(PACKAGE).as_posix() not in allowed
    }


def test_images_are_opened_in_one_place() -> None:
    """Pillow starts Ghostscript for a PostScript file of any name; panohead.files.image gives it a list of formats."""
    assert _places(_image_readers, {"files/image.py"}) == set()


def test_the_rule_finds_other_spellings() -> None:
    for text in (
        "from PIL import Image\nImage.open(x)", "import PIL.Image as P\nP.open(x)",
        "import PIL.Image\nPIL.Image.open(x)", "import imageio\nimageio.imread(x)",
        "from PIL.Image import open as o", "from PIL import Image as I\nread = I.open",
        "from imageio import imread", "from PIL import ImageFile\nImageFile.Parser()",
    ):  # fmt: skip
        assert _image_readers(ast.parse(text)), text
    assert not _image_readers(ast.parse("from PIL import Image\nImage.new(x)\npath.open()"))


_MAY_OPEN = {
    "files/regular.py": "the one opening of files",
    "files/archive.py": "the one opening of archives and arrays",
    "interop/restricted_pickle.py": "refuses everything but regular files itself, with its own sentences",
    "interop/bounded_source.py": "reads what that has opened",
    "ops/cpu/jit.py": "the package's own sources",
    "synthetic/basis.py": "an asset of the package",
    "data/cache.py": "figures of the system in /proc",
    "reports/head_figures.py": "scripts and style sheet of the package",
    "media/provenance.py": "marks a film under its temporary name",
}
"""Modules that may open files for reading or for change, with the reason."""


_LIBRARY_OPENINGS = {
    ("np", "load"), ("np", "fromfile"), ("np", "memmap"), ("zipfile", "ZipFile"), ("", "ZipFile")
}  # fmt: skip


def _openings(tree: ast.AST) -> list[int]:
    """Lines that open a file for reading or for change, by open, Path.open, read_text and so on, or by a library."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("read_bytes", "read_text"):
            found.append(node.lineno)
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
        strings = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        modes = [text for text in strings if isinstance(text, str) and re.fullmatch(r"[rwxabt+]{1,4}", text)]
        writes = any(mode[0] in "wx" for mode in modes)
        if (owner, name) in _LIBRARY_OPENINGS:
            found += [] if writes else [node.lineno]
        if name == "open" and owner in ("", "io", "path", "file", "tarfile", "gzip") and not writes:
            fileobj = any(keyword.arg == "fileobj" for keyword in node.keywords)
            found += [] if fileobj else [node.lineno]
    return found


def test_files_are_opened_in_one_place() -> None:
    """A named pipe hangs, a device has no end, a sparse file reads as terabytes: panohead.files refuses them."""
    assert _places(_openings, _MAY_OPEN) == set()


def test_the_rule_finds_openings() -> None:
    readings = "open(x); path.open(); p.read_text(); np.load(p); zipfile.ZipFile(p); tarfile.open(p)"
    readings += "; path.open('ab'); open(p, 'r+b')"
    writings = "open(x, 'wb'); path.open('xb'); zipfile.ZipFile(p, 'w'); tarfile.open(p, 'w'); tarfile.open(fileobj=f)"
    assert all(_openings(ast.parse(text.strip())) for text in readings.split(";"))
    assert not any(_openings(ast.parse(text.strip())) for text in writings.split(";"))


def test_json_is_read_in_one_place() -> None:
    """Files and metadata go through ``panohead.files.read_json``; the others read what this program wrote itself."""
    own = {"preparation/files.py", "preparation/ray_engine.py", "synthetic/synthesize.py", "files/folder_lock.py",
        "system/optional.py",}  # fmt: skip
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\bjson\.loads?\(", path.read_text(encoding="utf-8"))
    }
    assert readers - {"files/read_json.py"} <= own
