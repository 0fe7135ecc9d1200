"""Heads to turn: what a page holds for them, once for all of them, and which three.js that is."""

import base64
import hashlib
import json
import math
import re
from pathlib import Path

import pytest
from PIL import Image

from pages import parse_page
from panohead.reports import (
    Folded,
    FrameSheet,
    HeadFigure,
    HeadFigures,
    Page,
    Paragraph,
    Section,
    embedded,
    render_page,
)
from panohead.reports.head_figures import content_security_policy, viewer_asset

ROOT = Path(__file__).parents[2]
GLB = bytes(range(256))


def viewer(**options: object) -> HeadFigure:
    sheet = FrameSheet(b"RIFF0123", side=16, columns=4, count=7)
    whole = {"frames": sheet, "glb": GLB} | options
    return HeadFigure("a head", embedded(Image.new("RGB", (2, 2))), **whole)  # type: ignore[arg-type]


def test_three_js_is_the_recorded_one_with_its_license() -> None:
    facts = json.loads(viewer_asset("three.json"))
    bundle = viewer_asset("three.min.js")
    assert hashlib.sha256(bundle.encode()).hexdigest() == facts["sha256"]
    assert len(bundle.encode()) < 1_000_000
    assert facts["three"] in bundle[:200]
    assert "MIT" in bundle[:200]
    assert re.match(r"\s*The MIT License", viewer_asset("LICENSE.three"))
    notice = (ROOT / "NOTICE").read_text()
    assert f"three.js {facts['three']}" in notice
    assert "reports/viewer/*" in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", ["three.min.js", "splats.js", "viewer.js"])
def test_scripts_cannot_end_their_element_and_make_no_code_of_texts(name: str) -> None:
    text = viewer_asset(name)
    assert not re.search(r"</script|<!--|<script", text, re.IGNORECASE)
    if name != "three.min.js":
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|fetch\(", text)


def test_heads_of_a_page_share_the_scripts() -> None:
    one = parse_page(render_page(Page("t", [HeadFigures([viewer()])])))
    three = parse_page(render_page(Page("t", [HeadFigures([viewer(), viewer()]), HeadFigures([viewer()])])))
    assert (one.names.count("script"), three.names.count("script")) == (3 + 1, 3 + 3)
    assert len(three.head_facts()) == 3


def test_pages_without_heads_run_nothing() -> None:
    text = render_page(Page("t", [Paragraph("p")]))
    assert "script" not in parse_page(text).names
    assert len(text) < 10_000
    assert "script-src" not in content_security_policy(scripts=False)


@pytest.mark.parametrize("wrap", [lambda b: Section("s", [b]), lambda b: Folded("f", [Section("s", [b], level=3)])])
def test_heads_are_found_inside_other_blocks(wrap: object) -> None:
    page = parse_page(render_page(Page("t", [wrap(HeadFigures([viewer()]))])))  # type: ignore[operator]
    assert len(page.head_facts()) == 1


def test_facts_are_the_files_and_the_camera() -> None:
    (facts,) = parse_page(
        render_page(Page("t", [HeadFigures([viewer(unit=0.5, pitch_deg=30.0, radius=2.0, focal=0.5)])]))
    ).head_facts()
    assert base64.b64decode(facts["mesh"]) == GLB
    assert base64.b64decode(facts["frames"].pop("image")) == b"RIFF0123"
    assert facts["frames"] == {"side": 16, "columns": 4, "count": 7}
    assert "invented" not in facts
    # A focal length of half the image sees 90 degrees.
    assert facts["camera"]["distance"] == 1.0
    assert facts["camera"]["fov"] == pytest.approx(90)
    assert facts["camera"]["pitch"] == pytest.approx(math.pi / 6)


def test_splats_are_the_file_with_a_button_of_their_own() -> None:
    figure = viewer(splats=b"spz0", splats_file="a.spz", meter=2.5)
    page = parse_page(render_page(Page("t", [HeadFigures([figure])])))
    (facts,) = page.head_facts()
    assert (base64.b64decode(facts["splats"]), facts["splats_file"], facts["meter"]) == (b"spz0", "a.spz", 2.5)
    assert {"Splats", "Save splats"} <= set(page.texts["button"])
    assert "tilt its mesh and splats" in page.all_text()


def test_what_is_not_there_has_no_button() -> None:
    page = parse_page(render_page(Page("t", [HeadFigures([viewer(glb=None)])])))
    hidden = [tag for tag, name, _ in page.attributes if name == "hidden" and tag == "button"]
    assert len(hidden) == 7, "mesh, splats, light, clay, invented parts, save, save splats"
    assert not {"mesh", "splats"} & set(page.head_facts()[0])
    assert "tilt" not in page.all_text()


def test_head_is_described_and_reached_by_keys() -> None:
    page = parse_page(render_page(Page("t", [HeadFigures([viewer()])])))
    stage = {name: value for tag, name, value in page.attributes if tag == "div" and name != "class"}
    assert stage["tabindex"] == "0"
    assert stage["aria-label"] == "a head"
    assert stage["aria-describedby"] in page.values("id")
    assert ("img", "alt", "a head") in page.attributes
    assert {"Rendering", "Mesh", "Turn", "Light", "Clay", "Invented parts"} <= set(page.texts["button"])
