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
    parts = ("background", "skin", "hair", "nose", "neck")
    points = ("iris_left", "iris_right")
    network = HeadParts(HeadPartsConfig(parts=parts, landmarks=points, numbers=names, choices=()), folded=True).eval()
    network.number_mean.copy_(torch.arange(float(len(names))))
    network.number_deviation.fill_(1e-9)
    for layer in (network.to_parts, network.to_landmarks):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        network.to_parts.bias[4 * parts.index("skin") : 4 * parts.index("hair")] = 1.0  # skin everywhere
    seen = module.Readings(network)(list(torch.full((40, 3, 128, 128), 119 / 127.5 - 1)))
    assert seen.shape == (40, len(module.COLUMNS))
    expected = dict(zip(module.COLUMNS, (names.index(name) for name in module.COLUMNS), strict=True))
    expected |= {"skin_tone": 50.0, "hair_lightness": np.nan, "hair_length": 0.0, "weight": np.nan}
    np.testing.assert_allclose(seen[7], list(expected.values()), atol=0.05)


def test_correlations_leave_out_what_was_not_seen() -> None:
    module = tool("measure_attributes")
    assert module.correlation(np.ones(5), np.arange(5.0)) == 0
    assert module.correlation(np.arange(5.0), 3 * np.arange(5.0) + 1) == pytest.approx(1)
    assert module.correlation(np.arange(5.0), np.array([0, 2, np.nan, 6, 8])) == pytest.approx(1)
    # Two people who differ much, and whose slider moves what is seen: only within a person that is plain.
    found = module.set_and_seen(np.arange(3.0), np.array([[0.0, 1.0, 2.0], [100.0, np.nan, 102.0]]))
    assert found["correlation"] < 0.1
    assert found["correlation_within"] == pytest.approx(1)


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
