"""Bundle the part of three.js that pages with heads use, into ``src/panohead/reports/viewer/``.

python tools/bundle_three.py [--three 0.187.0] [--esbuild 0.28.2]

Needs npm, and takes both packages from its registry. Writes three.min.js (MIT), LICENSE.three and three.json: versions,
the registry's integrity of three, and the SHA-256 of the bundle, which tests compare. The same versions give the same
bytes.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

VIEWER = Path(__file__).parents[1] / "src" / "panohead" / "reports" / "viewer"
ENTRY = """
export {
  BufferAttribute, Color, DataTexture, DirectionalLight, FloatType, HemisphereLight, InstancedBufferAttribute,
  InstancedBufferGeometry, Mesh, MeshBasicMaterial, MeshStandardMaterial, PerspectiveCamera, RGBAFormat, Scene,
  ShaderMaterial, Spherical, WebGLRenderer,
} from "three";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
export { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
"""
OPTIONS = "--bundle --minify --format=iife --global-name=THREE --target=es2020 --legal-comments=none"


def bundle(folder: Path, three: str, esbuild: str) -> None:
    """Install both packages in the folder and write the three files."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is missing; install Node.js")
    (folder / "package.json").write_text('{"private": true}\n')
    (folder / "entry.js").write_text(ENTRY)
    packages = [f"three@{three}", f"esbuild@{esbuild}"]
    subprocess.run([npm, "install", "--no-audit", "--no-fund", *packages], cwd=folder, check=True)
    banner = f"/* three.js {three}, MIT license, copyright three.js authors (https://threejs.org/license) */"
    program = folder / "node_modules" / ".bin" / "esbuild"
    command = [str(program), "entry.js", *OPTIONS.split(), f"--banner:js={banner}", "--outfile=three.min.js"]
    subprocess.run(command, cwd=folder, check=True)
    content = (folder / "three.min.js").read_bytes()
    if b"</script" in content or b"<!--" in content:
        raise SystemExit("the bundle holds markup that would end its script element")
    lock = json.loads((folder / "package-lock.json").read_text())
    facts = {
        "three": three,
        "esbuild": esbuild,
        "options": OPTIONS,
        "integrity": lock["packages"]["node_modules/three"]["integrity"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    VIEWER.mkdir(exist_ok=True)
    (VIEWER / "three.min.js").write_bytes(content)
    shutil.copyfile(folder / "node_modules" / "three" / "LICENSE", VIEWER / "LICENSE.three")
    (VIEWER / "three.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{VIEWER / 'three.min.js'}: {len(content)} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--three", default="0.187.0")
    parser.add_argument("--esbuild", default="0.28.2")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        bundle(Path(temporary), given.three, given.esbuild)
