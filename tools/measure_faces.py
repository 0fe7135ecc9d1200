"""Check faces in a rendered dataset: detection rate, and agreement of yaw, pitch and crop with the labels.

Needs mediapipe 0.10.14 (not the package itself, so it can run in a separate environment) and MediaPipe's canonical
face model (468 vertices as .npy, centimeters, x right, y up, z out of the face)::

    python tools/measure_faces.py DATASET --canonical canonical_face.npy --json faces.json

The pose is the scaled-orthographic least-squares fit (soft L1) of the canonical model to the landmarks' x and y. The
crop that the official alignment would cut has its center at s R (0, -.02, -2.81) + t and the half-size 12.16 s
(centimeters of the canonical model, fitted to four official crops).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import mediapipe  # type: ignore[import-not-found]
import numpy as np
from PIL import Image
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

CENTER = np.array([0.0, -0.02, -2.81])
HALF_SIZE = 12.16


def fit_pose(landmarks: np.ndarray, canonical: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return scale, rotation (3 x 3) and offset (2) that minimize ``scale * (R @ canonical)[:2] + offset`` minus the
    landmarks' x and y."""
    centered, model = landmarks - landmarks.mean(0), canonical - canonical.mean(0)
    left, _, right = np.linalg.svd(centered.T @ model)
    start = left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right
    scale = np.sqrt((centered[:, :2] ** 2).sum() / ((model @ start.T)[:, :2] ** 2).sum())
    offset = landmarks[:, :2].mean(0) - scale * (start @ canonical.mean(0))[:2]

    def residual(p: np.ndarray) -> np.ndarray:
        rotation = Rotation.from_rotvec(p[:3]).as_matrix()
        out: np.ndarray = (np.exp(p[3]) * (canonical @ rotation.T)[:, :2] + p[4:] - landmarks[:, :2]).ravel() / scale
        return out

    first = np.concatenate([Rotation.from_matrix(start).as_rotvec(), [np.log(scale)], offset])
    found = least_squares(residual, first, loss="soft_l1", f_scale=0.3).x
    return float(np.exp(found[3])), Rotation.from_rotvec(found[:3]).as_matrix(), found[4:]


def measure(image: np.ndarray, detector: Any, canonical: np.ndarray) -> dict[str, float] | None:
    """Return yaw and pitch of the camera (degrees), crop center (share of the width; y up) and half-size
    (share of half the width)."""
    found = detector.process(image)
    if not found.multi_face_landmarks:
        return None
    size = image.shape[0]
    points = np.array([[p.x, 1 - p.y, -p.z] for p in found.multi_face_landmarks[0].landmark[:468]]) * size
    scale, rotation, offset = fit_pose(points, canonical)
    nose = rotation[:, 2]  # the model's z axis in view coordinates: x right, y up, z to the viewer
    crop = scale * (rotation @ CENTER)[:2] + offset
    return {
        "yaw": float(np.degrees(np.arctan2(-nose[0], nose[2]))),
        "pitch": float(-np.degrees(np.arcsin(np.clip(nose[1], -1, 1)))),
        "centre_x": float(crop[0] / size - 0.5),
        "centre_y": float(crop[1] / size - 0.5),
        "half": float(HALF_SIZE * scale / (size / 2)),
    }


def label_angles(label: list[float]) -> tuple[float, float]:
    """Return yaw and pitch (degrees) of the camera position in a label."""
    x, y, z = label[3], label[7], label[11]
    return float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arctan2(y, np.hypot(x, z))))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of the report, each with its number of images."""
    front = [r for r in rows if abs(r["label_yaw"]) <= 30]
    back = [r for r in rows if abs(r["label_yaw"]) >= 120]
    found = [r for r in front if r["found"]]
    near = [r for r in found if abs(r["label_yaw"]) <= 15 and abs(r["label_pitch"]) <= 15]

    def mean(rows: list[dict[str, Any]], value: Any) -> float:
        return round(float(np.mean([value(r["found"], r) for r in rows])), 4) if rows else float("nan")

    return {
        "front_images": len(front),
        "front_found_share": round(len(found) / max(len(front), 1), 4),
        "back_images": len(back),
        "back_found_share": round(sum(bool(r["found"]) for r in back) / max(len(back), 1), 4),
        "yaw_mean_absolute_error_deg": mean(found, lambda f, r: abs(f["yaw"] - r["label_yaw"])),
        "yaw_mean_error_deg": mean(found, lambda f, r: f["yaw"] - r["label_yaw"]),
        "near_front_images": len(near),
        "pitch_mean_error_deg": mean(near, lambda f, r: f["pitch"] - r["label_pitch"]),
        "near_yaw_mean_error_deg": mean(near, lambda f, r: f["yaw"] - r["label_yaw"]),
        "pitch_mean_absolute_error_deg": mean(near, lambda f, r: abs(f["pitch"] - r["label_pitch"])),
        "centre_x_mean": mean(near, lambda f, r: f["centre_x"]),
        "centre_y_mean": mean(near, lambda f, r: f["centre_y"]),
        "centre_distance_mean": mean(near, lambda f, r: np.hypot(f["centre_x"], f["centre_y"])),
        "half_size_mean": mean(near, lambda f, r: f["half"]),
        "half_size_sd": round(float(np.std([r["found"]["half"] for r in near])), 4) if near else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--canonical", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--limit", type=int, default=2000)
    arguments = parser.parse_args()
    canonical = np.load(arguments.canonical)
    labels = json.loads((arguments.dataset / "images" / "dataset.json").read_text())["labels"]
    wanted = [(n, x) for n, x in labels if abs(label_angles(x)[0]) <= 30 or abs(label_angles(x)[0]) >= 120]
    rows = []
    with mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=1, refine_landmarks=False
    ) as detector:
        for name, label in wanted[: arguments.limit]:
            image = np.asarray(Image.open(arguments.dataset / "images" / name).convert("RGB"))
            yaw, pitch = label_angles(label)
            rows.append(
                {"name": name, "label_yaw": yaw, "label_pitch": pitch, "found": measure(image, detector, canonical)}
            )
    result = summary(rows)
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps({"summary": result, "rows": rows}))


if __name__ == "__main__":
    main()
