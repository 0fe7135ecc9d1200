"""Check that depth, masks and cameras of a dataset rendered with ``--depth`` agree with each other.

For each person, every pixel of one view is unprojected and projected into the view nearest in yaw; where that view
shows the same place (its depth there is within 0.03 world units) the distance between the two surfaces along the ray
is measured::

    panohead synthesize --people 16 --views 8 --out heads --depth --normals && python tools/measure_geometry.py heads
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CO_VISIBLE = 0.03


def rays_of(label: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return camera center and unit rays (size, size, 3) in world coordinates."""
    pose, focal = label[:16].reshape(4, 4), label[16]
    rows, columns = (np.mgrid[0:size, 0:size] + 0.5) / size - 0.5
    local = np.stack([columns / focal, rows / focal, np.ones_like(rows)], -1)
    rays = local / np.linalg.norm(local, axis=-1, keepdims=True) @ pose[:3, :3].T
    return pose[:3, 3], rays


def surface_distance(
    depth: np.ndarray, label: np.ndarray, other_depth: np.ndarray, other_label: np.ndarray
) -> np.ndarray:
    """Return distances along the other camera's rays between the surfaces, for co-visible pixels of the first view."""
    size = len(depth)
    center, rays = rays_of(label, size)
    points = center + depth[..., None] * rays
    points = points[depth > 0]
    pose, focal = other_label[:16].reshape(4, 4), other_label[16]
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    column = np.floor((local[:, 0] / local[:, 2] * focal + 0.5) * size).astype(int)
    row = np.floor((local[:, 1] / local[:, 2] * focal + 0.5) * size).astype(int)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    seen = other_depth[row[inside], column[inside]]
    difference = np.abs(np.linalg.norm(local[inside], axis=1) - seen)
    return difference[(seen > 0) & (difference < CO_VISIBLE)]


def mask_disagreement(depth: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Return the share of pixels where mask and depth disagree: among fully covered or empty ones, and among all."""
    whole = (mask == 0) | (mask == 255)
    wrong = (mask >= 128) != (depth > 0)
    return float(wrong[whole].mean()), float(wrong.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    arguments = parser.parse_args()
    medians, shares, inner, whole = [], [], [], []
    shots: list[list[dict[str, Any]]] = []
    for line in (arguments.dataset / "people.jsonl").read_text().splitlines():
        # Only views of one shot show one surface: expressions differ between shots.
        every: list[dict[str, Any]] = json.loads(line)["views"]
        for shot in sorted({view.get("shot", 0) for view in every}):
            views = sorted((v for v in every if v.get("shot", 0) == shot), key=lambda view: view["yaw_deg"])
            shots.append(views)
    for views in shots:
        loaded = []
        for view in views:
            stem = Path(view["image"])
            with np.load(arguments.dataset / "depth" / stem.with_suffix(".npz")) as stored:
                depth = stored["depth"].astype(np.float64)
            mask = np.asarray(Image.open(arguments.dataset / "masks" / stem.with_suffix(".png")))
            loaded.append((depth, np.array(view["label"])))
            a, b = mask_disagreement(depth, mask)
            inner.append(a)
            whole.append(b)
        for k in range(len(loaded)):
            distance = surface_distance(*loaded[k], *loaded[k - 1])
            medians.append(float(np.median(distance)))
            shares.append(len(distance) / max(int((loaded[k][0] > 0).sum()), 1))
    print(
        json.dumps(
            {
                "pairs": len(medians),
                "median_distance_mean": round(float(np.mean(medians)), 5),
                "median_distance_worst": round(float(np.max(medians)), 5),
                "co_visible_share_mean": round(float(np.mean(shares)), 3),
                "mask_disagreement_where_whole": round(float(np.mean(inner)), 6),
                "mask_disagreement_all_pixels": round(float(np.mean(whole)), 5),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
