"""Small tools: which torch is installed where, the page for package indexes, and the commands of the pages."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from panohead.attributes import Vocabulary
from panohead.attributes.named import attributes_of
from panohead.attributes.vocabulary import expression_names
from panohead.media import is_marked_synthetic
from panohead.perceptual.head_parts import HeadParts, HeadPartsConfig

ROOT = Path(__file__).parents[1]


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("system", "gpu", "first"), [("Linux", False, "cpu"), ("Linux", True, ""), ("Darwin", False, "")]
)
def test_torch_comes_from_the_index_that_fits(system: str, gpu: bool, first: str) -> None:
    found = list(tool("install_torch").attempts("torch==2.13.0", system, gpu))
    assert ("--index-url" in found[0][0]) == bool(first)
    assert found[-1][0] == ["torch==2.13.0"], "in the end the default index"
    assert "several GB" in found[-1][1] if first else len(found) == 1


def test_the_image_of_the_first_page_is_the_contact_sheet_of_the_demo(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (200, 30, 30)).save(tmp_path / "contact_sheet.png")
    module = tool("readme_images")
    module.write_images(module.Options(demo=tmp_path, out=tmp_path))
    with Image.open(tmp_path / "demo.webp") as image:
        assert image.size == (40, 30)
        assert max(abs(a - b) for a, b in zip(image.convert("RGB").getpixel((20, 15)), (200, 30, 30), strict=True)) < 12
    assert is_marked_synthetic(tmp_path / "demo.webp")
    assert not (tmp_path / "photo_to_head.webp").exists(), "nothing was reconstructed"


def test_the_tables_of_attributes_are_those_of_their_figures() -> None:
    """Nobody edits them by hand, every name is there, and the image says that it is synthetic."""
    module = tool("measure_attributes")
    page = (ROOT / "docs" / "attributes.md").read_text(encoding="utf-8")
    result = json.loads((ROOT / "docs" / "attributes.json").read_text())
    known = attributes_of(Vocabulary(expression_names(), np.zeros(0), np.zeros((0, 0))))
    again = module.between(page, "names", module.names_table(known))
    assert module.between(again, "measured", module.tables(result)) == page
    assert set(result["changes"]) == set(known)
    assert is_marked_synthetic(ROOT / "docs" / "images" / "attributes.webp")


def test_attributes_are_read_off_images_in_the_order_of_the_table() -> None:
    module = tool("measure_attributes")
    names = ("brightness", *reversed(module.COLUMNS[:6]), *module.COLUMNS[7:], "blink")
    config = HeadPartsConfig(parts=("background", "skin"), landmarks=("nose",), numbers=names, choices=())
    network = HeadParts(config, folded=True).eval()
    network.number_mean.copy_(torch.arange(float(len(names))))
    network.number_deviation.fill_(1e-9)
    seen = module.Predictions(network)(list(torch.zeros(40, 3, 128, 128)))
    assert seen.shape == (40, len(module.COLUMNS))
    np.testing.assert_allclose(seen[7], [names.index(name) for name in module.COLUMNS], atol=1e-4)
    assert module.correlation(np.ones(5), np.arange(5.0)) == 0
    assert module.correlation(np.arange(5.0), 3 * np.arange(5.0) + 1) == pytest.approx(1)


def test_the_page_for_indexes_has_no_relative_links() -> None:
    text = tool("index_readme").absolute((ROOT / "README.md").read_text(), "https://forge.example/o/r/")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all(re.match(r"https?:|#", target) for target in targets)
    assert (
        "![Heads of the bundled model from eight sides](https://forge.example/o/r/raw/main/docs/images/demo.webp)"
        in text
    )


def test_every_command_of_the_pages_is_planned() -> None:
    """None is forgotten, none is left out without a reason, and most run."""
    module = tool("check_docs")
    steps = [step for page in module.PAGES for step in module.steps_of(page)]
    assert len(steps) > 35
    assert all(step.left_out or not step.text.startswith(("pip", "make", "torchrun")) for step in steps)
    assert sum(not step.left_out for step in steps) > 25
    unused = [rule for rule in module.RULES if not any(re.search(rule.pattern, step.text) for step in steps)]
    unused = [rule for rule in unused if rule.shorter is None]
    assert unused == [], "rules for commands that no page has"


def test_the_short_commands_of_the_first_page_run() -> None:
    """The rest: ``make docs-check``."""
    module = tool("check_docs")
    assert module.check_page(ROOT / "README.md", r"doctor|--dry-run", 120) == []


def test_failures_and_missing_marks_are_found(tmp_path: Path) -> None:
    module = tool("check_docs")
    page = tmp_path / "page.md"
    page.write_text(
        "```\npanohead generate --nonsense\n```\n```python\n"
        "from PIL import Image\nImage.new('RGB', (4, 4)).save('plain.png')\n```\n"
    )
    failures = module.check_page(page, "", 120)
    assert "exit code 2" in failures[0]
    assert failures[1:] == ["page.md: plain.png has no synthetic mark"]


def test_notes_of_a_release_stand_alone() -> None:
    notes = tool("release_notes").notes
    text = "# Changes\n\n## 0.2.0\n\n- [page](docs/a.md#b), [site](https://example.org)\n\n## 0.2.0.1\n\n- other\n"
    assert notes(text, "0.2.0") == "- page, [site](https://example.org)\n"
    assert "[page](https://x.org/docs/a.md#b)" in notes(text, "0.2.0", "https://x.org/")
    with pytest.raises(SystemExit, match=r"no section 0\.3; it has 0\.2\.0, 0\.2\.0\.1"):
        notes(text, "0.3")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(notes(changes, project["version"])) > 1000
    assert "](docs/" not in notes(changes, project["version"])
