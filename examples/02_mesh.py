"""The surface of a head as a mesh with vertex colors, for Blender, a game engine or a web page.

Run:     python examples/02_mesh.py [OUT] [RESOLUTION]
Writes:  OUT/head.glb, OUT/head.obj, OUT/head.ply
"""

import sys
from pathlib import Path

from panohead import load

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
resolution = int(sys.argv[2]) if len(sys.argv) > 2 else 128  # grid nodes per side of the box
out.mkdir(parents=True, exist_ok=True)

head = load("demo").sample(seed=0)

# The surface is where the raw density has the value ``level``; a larger level shrinks it. A trimesh.Trimesh comes back:
# life size in meters, y up, the face toward +z.
mesh = head.mesh(resolution=resolution, smooth=10)
height, width = mesh.extents[1], mesh.extents[0]
print(f"{len(mesh.vertices)} vertices, {len(mesh.faces)} triangles, {100 * height:.0f} cm high, {100 * width:.0f} wide")
print(f"closed: {mesh.is_watertight}; settings: {mesh.metadata}")

for suffix in ("glb", "obj", "ply"):
    mesh.export(out / f"head.{suffix}")

# Density anywhere, for a surface of your own: points [N, 3] in world units to [N].
points = head.ws.new_tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.39]])
inside, before = head.density(points).tolist()
print(f"raw density in the middle of the head {inside:.1f}, in the air before the face {before:.1f}")
