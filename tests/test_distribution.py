"""What the wheel and the source distribution hold, from pyproject.toml, MANIFEST.in and the files, without building."""

import re
import tomllib
import zlib
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MANIFEST = (ROOT / "MANIFEST.in").read_text()


def packaged() -> list[Path]:
    """The files of the wheel: modules of the packages, and package data."""
    setuptools = PROJECT["tool"]["setuptools"]
    root = ROOT / setuptools["packages"]["find"]["where"][0]
    # As setuptools finds them: every folder on the way has an __init__.py.
    packages = [
        path.parent
        for path in root.rglob("__init__.py")
        if all((parent / "__init__.py").is_file() for parent in path.parents if root in parent.parents)
    ]
    modules = [path for package in packages for path in package.glob("*.py")]
    data = [path for pattern in setuptools["package-data"]["panohead"] for path in (root / "panohead").glob(pattern)]
    return sorted({*modules, *(path for path in data if path.is_file())})


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    there = {path for path in (ROOT / "src" / "panohead").rglob("*") if path.is_file()}
    built = {path for path in there if path.suffix in (".pyc", ".nbi", ".nbc")}
    assert there - built == set(packaged())


def test_the_wheel_stays_below_its_limit() -> None:
    """As ``make dist`` measures it: deflated files, their two headers, and their lines in RECORD."""
    found = re.search(r"MAX_WHEEL_BYTES = ([\d_]+)", (ROOT / "tools" / "dist.py").read_text())
    assert found is not None
    names = sum(2 * len(path.relative_to(ROOT / "src").as_posix()) + 140 for path in packaged())
    size = sum(len(zlib.compress(path.read_bytes())) for path in packaged()) + names
    assert 10_000_000 < size < int(found[1]), f"{size:,} bytes"


def test_what_a_package_index_shows_is_complete() -> None:
    project = PROJECT["project"]
    assert all(project[name] for name in ("description", "readme", "authors", "keywords", "classifiers"))
    classifiers = set(project["classifiers"])
    (oldest,) = re.findall(r">=3\.(\d+)", project["requires-python"])
    named = sorted(int(found[1]) for one in classifiers if (found := re.fullmatch(r".*Python :: 3\.(\d+)", one)))
    assert named == list(range(int(oldest), named[-1] + 1))
    tried = re.findall(r'"python3\.(\d+)"', (ROOT / "tools" / "dist.py").read_text())
    assert sorted(map(int, tried)) == named, "make dist tries what is claimed"
    assert "Typing :: Typed" in classifiers
    assert not any(one.startswith("License ::") for one in classifiers), "the license expression says it"
    for name, address in project["urls"].items():
        assert address.startswith("https://"), name
        assert "example" not in address, name


def test_the_wheel_is_of_one_license_with_its_texts() -> None:
    """Code under the GPL is neither in the package nor a dependency of it."""
    project = PROJECT["project"]
    three = "src/panohead/reports/viewer/LICENSE.three"  # MIT
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE", "NOTICE", three])
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    for path in packaged():
        if path.suffix in (".py", ".html", ".css", ".js", ".md"):
            assert not re.search(r"General Public License|\bGPL", path.read_text(encoding="utf-8")), path
    names = [re.split(r"[\[<>=~! ;]", requirement)[0] for requirement in project["dependencies"]]
    assert "bpy" not in names
    assert "panohead-cycles" not in names


def test_files_of_others_are_named_in_the_notice() -> None:
    """Whatever script, font or table the package carries and did not write has its license in NOTICE."""
    notice = (ROOT / "NOTICE").read_text()
    pages = {"page.html", "style.css", "viewer.css", "viewer.js", "splats.js", "browser.css", "browser.js"}
    own = {"demo.safetensors", "demo_encoder.safetensors", "demo.md", "py.typed", *pages}
    for path in packaged():
        if path.suffix != ".py" and path.name not in own:
            assert path.relative_to(ROOT).as_posix() in notice, f"{path.name}: add its origin and license to NOTICE"


@pytest.mark.parametrize("folder", ["docs", "tests", "examples", "benchmarks", "tools"])
def test_the_source_distribution_is_whole(folder: str) -> None:
    assert f"graft {folder}\n" in MANIFEST
    pruned = set(re.findall(r"^prune (\S+)", MANIFEST, flags=re.MULTILINE))
    assert pruned == {"tools/panohead-cycles", "checkpoints"}


def test_files_that_the_tests_and_pages_need_are_in_the_source_distribution() -> None:
    included = re.search(r"^include (.+)", MANIFEST, flags=re.MULTILINE)
    assert included is not None
    always = {"README.md", "LICENSE", "NOTICE", "pyproject.toml", "MANIFEST.in"}
    known = {*included[1].split(), *always}
    for name in known:
        assert (ROOT / name).is_file(), name
    assert {path.name for path in ROOT.glob("*.md")} <= known, "name it in MANIFEST.in"
    assert {"Makefile", "requirements-lock.txt", "CITATION.cff", ".ci/run"} <= known


def test_cycles_is_a_distribution_of_its_own() -> None:
    folder = ROOT / "tools" / "panohead-cycles"
    if not folder.exists():
        assert "Name: panohead" in str(Parser().parsestr((ROOT / "PKG-INFO").read_text())), "a source distribution"
        return
    own = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert own["license"] == "GPL-3.0-or-later"
    assert "GNU GENERAL PUBLIC LICENSE" in (folder / "LICENSE").read_text()
