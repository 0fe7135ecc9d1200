"""Our GLB files in three.js, in a real browser: no complaint, right colors, the face toward +z and y up.

Needs Chromium and a folder with three.js: ``npm install three`` somewhere, then
``PANOHEAD_THREE=FOLDER/node_modules/three pytest tests/browser``. PANOHEAD_GLB=FILE also shows that file and leaves
the screenshot beside it.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

import tiny
from panohead.head import Head
from panohead.mesh.export import write_mesh
from panohead.mesh.morph_targets import set_targets

THREE = Path(os.environ.get("PANOHEAD_THREE", ""))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(not os.environ.get("PANOHEAD_THREE"), reason="PANOHEAD_THREE names no folder with three.js"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]

SIDE = 384
RED, BLUE, GREEN, WHITE = (220, 40, 30), (30, 60, 210), (40, 180, 60), (230, 230, 225)

# White light from everywhere with irradiance pi shows a surface's color as it is. The image "/done" arrives when the
# report has, and the page counts as loaded (Chromium then takes its screenshot) only after it.
PAGE = """<!doctype html><meta charset="utf-8">
<style>body{margin:0;overflow:hidden}#wait{position:absolute;opacity:0}</style>
<script>
const told = [];
for (const kind of ["error", "warn"]) console[kind] = (...parts) => told.push(kind + ": " + parts.join(" "));
addEventListener("error", event => told.push("error: " + event.message));
const report = facts => fetch("/report", {method: "POST", body: JSON.stringify({told, ...facts})});
</script>
<script type="importmap">{"imports": {"three": "/three/build/three.module.js"}}</script>
<script type="module">
try {
  const THREE = await import("three");
  const {GLTFLoader} = await import("/three/examples/jsm/loaders/GLTFLoader.js");
  const renderer = new THREE.WebGLRenderer({antialias: true, preserveDrawingBuffer: true});
  renderer.setSize(SIDE, SIDE);
  document.body.append(renderer.domElement);
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0x808080);
  scene.add(new THREE.AmbientLight(0xffffff, Math.PI));
  const gltf = await new GLTFLoader().loadAsync("/model.glb");
  scene.add(gltf.scene);
  const box = new THREE.Box3().setFromObject(gltf.scene), centre = box.getCenter(new THREE.Vector3());
  const size = box.getSize(new THREE.Vector3()), reach = Math.max(size.x, size.y);
  const camera = new THREE.PerspectiveCamera(20, 1, 0.01, 10);
  camera.position.set(centre.x, centre.y, box.max.z + reach * 3.2);
  camera.lookAt(centre);
  renderer.render(scene, camera);
  let mesh;
  gltf.scene.traverse(node => { if (node.isMesh) mesh = node; });
  await report({attributes: Object.keys(mesh.geometry.attributes), material: mesh.material.type,
    map: !!mesh.material.map, size: size.toArray(), extras: mesh.userData,
    triangles: mesh.geometry.index.count / 3, targets: Object.keys(mesh.morphTargetDictionary ?? {}),
    clips: gltf.animations.map(clip => clip.name)});
} catch (error) { await report({failed: String(error)}); }
</script><img id="wait" src="/done">""".replace("SIDE", str(SIDE))


@dataclass
class Shown:
    """What the browser did with a file."""

    report: dict[str, Any]
    pixels: np.ndarray


@dataclass
class Site:
    """A page on localhost that shows a model."""

    root: Path
    address: str = ""
    model: bytes = b""
    report: dict[str, Any] = field(default_factory=dict)
    arrived: threading.Event = field(default_factory=threading.Event)

    def show(self, model: Path) -> Shown:
        assert CHROMIUM is not None
        self.model, self.report = model.read_bytes(), {}
        self.arrived.clear()
        shot = self.root / f"{model.stem}.png"
        quiet = "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update"
        graphics = "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
        command = [CHROMIUM, "--headless", *quiet.split(), "--disable-sync", *graphics.split(), "--hide-scrollbars"]
        command += [f"--user-data-dir={self.root / ('profile-' + model.stem)}", f"--window-size={SIDE},{SIDE}"]
        command += ["--force-device-scale-factor=1", f"--screenshot={shot}", self.address]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert shot.is_file(), done.stderr.decode()[-2000:]
        return Shown(self.report, np.asarray(Image.open(shot).convert("RGB")).astype(int))


def handler(site: Site) -> type[SimpleHTTPRequestHandler]:
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(THREE))

        def log_message(self, *arguments: Any) -> None:
            pass

        def answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            if self.path == "/":
                self.answer(PAGE.encode(), "text/html")
            elif self.path == "/model.glb":
                self.answer(site.model, "model/gltf-binary")
            elif self.path == "/done":
                site.arrived.wait(60)
                self.answer(b"GIF89a", "image/gif")
            elif self.path == "/favicon.ico":
                self.answer(b"", "image/x-icon")
            else:
                self.path = self.path.removeprefix("/three")
                super().do_GET()

        def do_POST(self) -> None:
            site.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(b"", "text/plain")
            site.arrived.set()

    return Handler


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    page = Site(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(page)) as server:
        page.address = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield page
        server.shutdown()
        thread.join()


def ball() -> trimesh.Trimesh:
    """A sphere of 12 cm with texture: red in front, blue behind, green on top, white on its left side (+x)."""
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=0.12)
    colors = np.array([RED, BLUE, GREEN, WHITE], np.uint8)
    x, y, z = mesh.vertices.T / 0.12
    number = np.select([y > 0.6, x > 0.6, z > 0], [2, 3, 0], 1)
    uv = np.stack([(number + 0.5) / 4, np.full(len(x), 0.5)], axis=1)
    image = Image.fromarray(np.repeat(np.repeat(colors[None], 16, axis=0), 16, axis=1))
    mesh.visual = TextureVisuals(uv=uv, material=PBRMaterial(baseColorTexture=image))
    mesh.metadata["unit"] = "metre"
    return mesh


def test_texture_face_forward_y_up(site: Site, tmp_path: Path) -> None:
    shown = site.show(write_mesh(ball(), tmp_path / "ball.glb"))
    assert shown.report["told"] == [], shown.report
    assert shown.report["map"]
    assert shown.report["material"] == "MeshBasicMaterial"
    assert shown.report["extras"]["unit"] == "metre"
    assert max(shown.report["size"]) == pytest.approx(0.24, abs=1e-3)
    middle, radius = SIDE // 2, SIDE // 3
    places = {RED: (middle, middle), GREEN: (middle - radius, middle), WHITE: (middle, middle + radius)}
    for color, place in places.items():
        np.testing.assert_allclose(shown.pixels[place], color, atol=4)
    np.testing.assert_allclose(shown.pixels[4, 4], 128, atol=2)
    # The back shows at most at the rim.
    assert (np.abs(shown.pixels - BLUE).max(axis=-1) < 20).mean() < 0.02


def test_morph_targets_have_names_and_clips(site: Site, tmp_path: Path) -> None:
    mesh = ball()
    lift = np.zeros((len(mesh.vertices), 3), np.float32)
    lift[mesh.vertices[:, 1] > 0.05, 1] = 0.02
    set_targets(mesh, {"jawOpen": lift, "eyeBlinkLeft": -lift, "eyeBlinkRight": 0 * lift})
    shown = site.show(write_mesh(mesh, tmp_path / "moving.glb"))
    assert shown.report["told"] == [], shown.report
    assert shown.report["targets"] == ["jawOpen", "eyeBlinkLeft", "eyeBlinkRight"]
    assert shown.report["clips"] == ["blink", "idle"]
    # At rest it is the ball.
    still = site.show(write_mesh(ball(), tmp_path / "still.glb"))
    np.testing.assert_allclose(shown.pixels, still.pixels, atol=2)


def test_a_head_looks_as_it_is_rendered(site: Site, tmp_path: Path) -> None:
    network = tiny.generator()
    head = Head(network, network.mapping(torch.zeros(1, 8), torch.zeros(1, 25)))
    mesh = head.mesh(resolution=48, level=2.0)
    mesh.vertex_attributes["seen"] = np.linspace(0, 1, len(mesh.vertices), dtype=np.float32)
    shown = site.show(write_mesh(mesh, tmp_path / "head.glb", unlit=True))
    assert shown.report["told"] == [], shown.report
    assert {"position", "normal", "color", "_seen"} <= set(shown.report["attributes"])
    assert shown.report["triangles"] == len(mesh.faces)
    drawn = (np.abs(shown.pixels - 128).max(axis=-1) > 3).mean()
    assert drawn > 0.1
    # The mean of the front's colors is what the camera in front of the head sees there.
    facing = (mesh.vertex_normals[:, 2] > 0.8) & (mesh.vertices[:, 2] > np.quantile(mesh.vertices[:, 2], 0.8))
    expected = mesh.visual.vertex_colors[facing, :3].astype(float).mean(axis=0)
    center = shown.pixels[SIDE // 3 : -SIDE // 3, SIDE // 3 : -SIDE // 3].reshape(-1, 3).mean(axis=0)
    assert np.abs(center - expected).max() < 40


@pytest.mark.skipif(not os.environ.get("PANOHEAD_GLB"), reason="PANOHEAD_GLB names no file")
def test_a_given_file_is_shown(site: Site) -> None:
    path = Path(os.environ["PANOHEAD_GLB"])
    shown = site.show(path)
    Image.fromarray(shown.pixels.astype(np.uint8)).save(path.with_suffix(".three.png"))
    assert shown.report["told"] == [], shown.report
    assert "failed" not in shown.report, shown.report
