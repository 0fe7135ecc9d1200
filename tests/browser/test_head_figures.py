"""The offline page of a head in a real browser, from a file: it turns, it answers, it asks nobody for anything.

Needs Chromium. PANOHEAD_SHOTS=FOLDER leaves screenshots there.
"""

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from browser.chromium import CHROMIUM, Tab, chromium
from panohead.geometry import RADIUS, Camera
from panohead.head import Head
from panohead.head_page import head_figure, write_head_page
from panohead.mesh.head_mesh import HeadMesh
from panohead.splats import encoded_splats, render_splats
from splats.test_rasterize import cloud

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


class HalfInvented(Head):
    """A head of which no photo shows the left half of any view."""

    def invented(self, frame):  # type: ignore[no-untyped-def]
        share = (frame.mask > 0.5).float()
        share[..., share.shape[-1] // 2 :] = 0
        return share

    def mesh(self, resolution: int = 256, **options) -> HeadMesh:  # type: ignore[no-untyped-def]
        mesh = super().mesh(resolution, **options)
        mesh.vertex_attributes["seen"] = (mesh.vertices[:, 0] > 0).astype(np.float32)
        return mesh


def head() -> HalfInvented:
    network = tiny.generator()
    network.decoder.output.weight[0] *= 20  # opaque inside, and empty outside
    network.decoder.output.bias[0] += 30
    return HalfInvented(network, network.mapping(torch.zeros(1, 8), torch.zeros(1, 25)))


def with_morph_target(glb: bytes, name: str) -> bytes:
    """The same mesh with a morph target that moves every vertex up by 5 cm."""
    length = struct.unpack("<I", glb[12:16])[0]
    tree, binary = json.loads(glb[20 : 20 + length]), bytearray(glb[28 + length :])
    count = tree["accessors"][0]["count"]
    moves = np.tile(np.array([0, 0.05, 0], "<f4"), (count, 1))
    tree["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": moves.nbytes})
    binary += moves.tobytes()
    bounds = {"min": [0, 0.05, 0], "max": [0, 0.05, 0]}
    view = len(tree["bufferViews"]) - 1
    tree["accessors"].append({"bufferView": view, "componentType": 5126, "count": count, "type": "VEC3", **bounds})
    tree["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": len(tree["accessors"]) - 1}]
    tree["meshes"][0] |= {"weights": [0], "extras": {"targetNames": [name]}}
    tree["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    parts = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + bytes(binary)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(parts)) + parts


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two heads; texts of the second, and the name of its morph target, try to be markup."""
    one = head()
    mesh = one.mesh(resolution=40, level=2.0)
    viewer = head_figure(one, mesh, alt="A test head", title="One", frames=12)
    assert viewer.glb is not None
    evil = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    second = replace(viewer, alt=evil, title=evil, note=evil, glb=with_morph_target(viewer.glb, evil), first="mesh")
    first = replace(viewer, first="frames")
    return write_head_page([first, second], tmp_path_factory.mktemp("page") / "heads.html", title=evil)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as tab:
        yield tab


def yaw(tab: Tab) -> float:
    return float(tab.value("document.querySelector('.head').dataset.yaw"))


def settled(tab: Tab) -> None:
    """Wait until nothing moves."""
    before = np.nan
    while yaw(tab) != before:
        before = yaw(tab)
        tab.frames(4)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def keep(tab: Tab, name: str) -> None:
    if folder := os.environ.get("PANOHEAD_SHOTS"):
        Path(folder).mkdir(exist_ok=True)
        Image.fromarray(tab.image("body").astype(np.uint8)).save(Path(folder) / f"{name}.png")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_head_turns_by_itself_by_mouse_and_by_keys(tab: Tab, page: Path, width: int) -> None:
    tab.open(page, width=width, dark=width == 390)
    tab.until("document.querySelector('.head').classList.contains('ready')")
    first = yaw(tab)
    tab.until(f"Math.abs(document.querySelector('.head').dataset.yaw - {first}) > 5")
    tab.press("Tab")  # the first head
    assert tab.value("document.activeElement.className") == "stage"
    tab.press("Home")
    settled(tab)
    assert yaw(tab) == 0
    front = tab.image(".stage")
    keep(tab, f"front_{width}")
    assert (tab.drawn("canvas")[..., 3] > 200).mean() > 0.03, "a head is visible"
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    settled(tab)
    assert yaw(tab) == pytest.approx(15, abs=1)
    assert difference(tab.image(".stage"), front) > 0.5
    x, y, side, _ = tab.box(".stage")
    tab.drag((x + side / 2, y + side / 2), (side / 4, 0))
    settled(tab)
    assert yaw(tab) < 0, "the camera moves against the drag"
    assert difference(tab.image(".stage"), front) > 0.5
    tab.press("Home")
    settled(tab)
    assert difference(tab.image(".stage"), front) < 0.5
    # The page fits, and nothing but the page itself was asked for.
    assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    assert tab.requests == [page.as_uri()]
    assert tab.complaints == []
    assert tab.value("document.title") != "owned"


def test_mesh_light_clay_and_invented_parts(tab: Tab, page: Path) -> None:
    tab.open(page, width=1280, still=True)
    tab.until("document.querySelector('.head').classList.contains('ready')")
    assert tab.value("document.querySelector('[data-does=turn]').getAttribute('aria-pressed')") == "false"
    settled(tab)
    rendering = tab.drawn("canvas")
    tab.click("[data-does=invented]")
    settled(tab)
    check_tint(rendering, tab.drawn("canvas"))
    tab.click("[data-does=invented]")
    tab.click("[data-does=mesh]")
    tab.until("document.querySelector('.head').dataset.view === 'mesh'")
    settled(tab)
    lit = tab.drawn("canvas")
    tab.click("[data-does=light]")
    settled(tab)
    plain = tab.drawn("canvas")
    here = plain[..., 3] > 250
    assert here.mean() > 0.03
    assert np.abs(lit - plain)[here].mean() > 2
    # Without lights the mesh has about the colors of the rendering.
    there = rendering[..., 3] > 250
    assert np.abs(plain[here].mean(axis=0) - rendering[there].mean(axis=0)).max() < 40
    tab.click("[data-does=invented]")
    settled(tab)
    check_tint(plain, tab.drawn("canvas"))
    tab.click("[data-does=clay]")
    tab.click("[data-does=invented]")
    settled(tab)
    clay = tab.drawn("canvas")
    keep(tab, "clay")
    colors = clay[here][:, :3]
    assert (colors.max(axis=-1) - colors.min(axis=-1)).mean() < 45, "clay is gray"
    assert colors.mean(axis=-1).std() > 3, "and shaded"
    tab.press("ArrowUp")  # a click on a button leaves the focus there, and keys belong to the stage
    settled(tab)
    assert np.abs(tab.drawn("canvas") - clay).mean() < 0.5
    tab.value("document.querySelector('.stage').focus()")
    tab.press("ArrowUp")
    tab.press("ArrowUp")
    settled(tab)
    assert np.abs(tab.drawn("canvas") - clay).mean() > 0.5
    assert tab.complaints == []


def check_tint(plain: np.ndarray, tinted: np.ndarray) -> None:
    """The left half has turned toward magenta, and the right half is as it was."""
    middle, change = plain.shape[1] // 2, magenta(tinted) - magenta(plain)
    opaque = plain[..., 3] > 250
    assert change[:, : middle - 20][opaque[:, : middle - 20]].mean() > 40
    assert np.abs(change[:, middle + 20 :]).mean() < 2


def magenta(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels[..., [0, 2]].mean(axis=-1) - pixels[..., 1])


@pytest.mark.parametrize("meshed", [True, False])
def test_splats_are_drawn_as_the_packages_splatter_draws_them(tab: Tab, tmp_path: Path, meshed: bool) -> None:
    one, splats = head(), cloud(300, seed=3)
    mesh = one.mesh(resolution=24, level=2.0) if meshed else None  # the page's world is in meters, or in world units
    figure = head_figure(one, mesh, alt="Splats", splats=encoded_splats(splats), frames=2)
    tab.open(write_head_page([figure], tmp_path / "splats.html", title="Splats"), width=1280, dark=True, still=True)
    tab.until("document.querySelector('.head').classList.contains('ready')")
    tab.click("[data-does=splats]")
    tab.until("document.querySelector('.head').dataset.view === 'splats'")
    for key, yaw_deg in (("Home", 0.0), ("ArrowRight", 7.5), ("ArrowLeft", 0.0)):
        tab.value("document.querySelector('.stage').focus()")
        tab.press(key)
        settled(tab)
        drawn = tab.drawn("canvas") / 255.0
        camera = Camera.orbit(yaw_deg, radius=1.16 * RADIUS)  # ROOM of viewer.js
        expected = render_splats(splats, camera, drawn.shape[0])
        alpha = expected.alpha[0].numpy()
        assert (alpha > 0.3).mean() > 0.05
        assert np.abs(drawn[..., 3] - alpha).mean() < 0.004
        difference = np.abs(drawn[..., :3] - (expected.color / expected.alpha.clamp_min(0.3)).permute(1, 2, 0).numpy())
        assert difference[alpha > 0.3].mean() < 0.012
    assert tab.complaints == []
    assert tab.value("document.querySelector('[data-does=light]').hidden")


def test_morph_targets_have_sliders_with_their_names(tab: Tab, page: Path) -> None:
    tab.open(page, width=1280, still=True)
    second = ".head:nth-child(2)"
    tab.until("document.querySelectorAll('.head.ready').length === document.querySelectorAll('.head').length")
    tab.until(f"document.querySelectorAll('{second} input[type=range]').length === 1")
    assert tab.value(f"document.querySelector('{second} .morphs').hidden") is False
    assert "<script>" in tab.value(f"document.querySelector('{second} .morphs span').textContent")
    assert tab.value("document.querySelectorAll('.head .morphs input').length") == 1
    settled(tab)
    before = tab.drawn(f"{second} canvas")
    tab.value(
        f"(s => {{ s.value = 1; s.dispatchEvent(new Event('input')); }})(document.querySelector('{second} input'))"
    )
    settled(tab)
    after = tab.drawn(f"{second} canvas")
    rows = [np.nonzero(pixels[..., 3] > 128)[0].mean() for pixels in (before, after)]
    assert rows[1] < rows[0] - 5, "the head has moved up"
    assert tab.value("document.title") != "owned"
    assert tab.complaints == []
    # What the policy refuses is refused: no address, no script of another's.
    script = "const s = document.createElement('script'); s.textContent = \"document.title='owned'\"; "
    tab.value(f"{{ {script} document.body.append(s) }}")
    tab.value("fetch('https://127.0.0.1:9/').catch(() => { window.refused = true })")
    tab.until("window.refused === true")
    assert tab.value("document.title") != "owned"
