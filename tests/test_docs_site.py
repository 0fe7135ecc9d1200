"""The documentation site's pages: complete, with links that lead to each other, and commands as they are."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "mkdocs.yml").exists(), reason="not in source distributions")


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "tools" / "docs_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(site: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("site") / "pages"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "84")
        site.gather(folder)
    return folder


def test_every_page_is_there_and_in_the_menu(pages: Path) -> None:
    menu = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert {path.name for path in pages.glob("*.md")} == menu
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= menu


def test_links_lead_to_files_of_the_site(pages: Path) -> None:
    for page in pages.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)\s#]+)", page.read_text(encoding="utf-8")):
            assert (pages / target).is_file(), (page.name, target)


def test_links_to_sources_become_names(site: ModuleType) -> None:
    text = "[card](../src/panohead/assets/demo.md#figures), [code](../src/panohead/presets.py), ![x](images/demo.webp)"
    expected = "[card](demo-model.md#figures), code, ![x](images/demo.webp)"
    assert site.with_site_links(text + ", [web](https://a.b)", "docs/training.md") == expected + ", [web](https://a.b)"


def test_notebooks_are_pages_and_sections_are_collected(site: ModuleType, pages: Path) -> None:
    photo = (pages / "tutorial-photo.md").read_text(encoding="utf-8")
    assert photo.startswith("# A photo to an avatar\n")
    assert "```python\nphoto = None" in photo
    conventions = (pages / "conventions.md").read_text(encoding="utf-8")
    assert "(From the page [PanoHead](index.md).)" in conventions
    assert "### 1.2 Axes" in conventions
    assert "## 2 " not in conventions
    assert "Do not present" in (pages / "responsible-use.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="no section Nothing"):
        site.section("README.md", "Nothing")


def test_all_commands_show_their_options(site: ModuleType, pages: Path) -> None:
    text = (pages / "commands.md").read_text(encoding="utf-8")
    for name in site.COMMANDS:
        assert f"## panohead {name}\n" in text
    assert text.count("usage: panohead") == len(site.COMMANDS) + len(site.DATASET_PARTS)
    assert "--truncation-psi" in text


def test_names_of_the_python_page_exist(site: ModuleType) -> None:
    for name in (name for names in site.API.values() for name in names):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), name


def test_broken_links_are_found(site: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#there">1</a><a href="#top">2</a><a href="https://example.org">3</a>'
        '<img src="images/a%20b.png">'
    )
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html#gone">1</a><a href="c.html">2</a>')
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a b.png").write_bytes(b"")
    assert sorted(site.broken_links(tmp_path)) == [
        "b.html links to a.html#gone, where no such place is",
        "b.html links to c.html, which is not there",
    ]
    (tmp_path / "b.html").write_text('<p id="there"><script src="https://example.org/x.js"></script>')
    assert site.broken_links(tmp_path) == ["b.html fetches https://example.org/x.js"]
