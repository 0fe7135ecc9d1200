"""Measure the frame of synthetic heads against the one that ``panohead prepare`` cuts from photos of them.

::

    python tools/measure_framing.py --people 200 --seed 9100 --out framing --json framing.json

Each person is rendered once from near the front, with 1.6 times the official field of view, as a photo from which the
official frame still has to be cut; then ``prepare`` cuts it. The true frame is the middle square of the photo, its
camera the one that rendered it. All lengths are shares of the true frame's width; x right, y down in the photo. Needs
the extra ``face``.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from panohead.alignment import HeadCrop
from panohead.preparation import PrepareSettings, prepare
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.people import sample_person
from panohead.synthetic.person_images import photograph, shared_lighting, shot_heads, shot_renderers, shots_of
from panohead.synthetic.views import FOCAL, PersonView

WIDER, SIDE = 1.6, 512
MAX_YAW_DEG, MAX_PITCH_DEG = 15.0, 10.0


def render_photos(folder: Path, people: int, seed: int, edition: int) -> dict[str, PersonView]:
    """Render one photo per person, with the person's first expression; return the true view of each."""
    config = SyntheticDatasetConfig.of_edition(edition, people=people, out=folder, seed=seed, expressions=1)
    views = {}
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(people):
        person = sample_person(seed, index)
        rng = person.stream("framing")
        limits = np.array([MAX_YAW_DEG, MAX_PITCH_DEG])
        yaw, pitch = rng.uniform(-limits, limits)
        view = PersonView(float(yaw), float(pitch))
        name = f"{index:04d}.png"
        views[name] = view
        if (folder / name).exists():
            continue
        renderer = next(shot_renderers(shot_heads(person, shots_of(config, person), edition), "fast", edition))
        light = shared_lighting(config, person)
        _, pixels, _ = photograph(renderer, person, view, "framing photo", SIDE, FOCAL / WIDER, light)
        Image.fromarray(pixels).save(folder / name)
    return views


def angles(label: list[float]) -> tuple[float, float]:
    """Return yaw and pitch (degrees) of the camera position in a label."""
    x, y, z = label[3], label[7], label[11]
    return float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arctan2(y, np.hypot(x, z))))


def compare(crop: dict[str, Any], label: list[float], view: PersonView) -> dict[str, float]:
    """Return prepare's frame and camera minus the true ones."""
    place = HeadCrop(tuple(crop["centre"]), crop["half_px"], crop["angle_deg"])
    corners = place.frame_corners()
    side = SIDE / WIDER
    middle = (corners.mean(0) - (SIDE - 1) / 2) / side
    yaw, pitch = angles(label)
    return {
        "x": float(middle[0]),
        "y": float(middle[1]),
        "size": float(np.linalg.norm(corners[3] - corners[0])) / side - 1,
        "turn_deg": crop["angle_deg"],
        "yaw_deg": yaw - view.yaw_deg,
        "pitch_deg": pitch - view.pitch_deg,
    }


def summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean, mean absolute value and standard deviation of every difference."""
    out = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        figures = {"mean": values.mean(), "mean_absolute": np.abs(values).mean(), "sd": values.std()}
        out[name] = {key: round(float(value), 4) for key, value in figures.items()}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--seed", type=int, default=9100)
    parser.add_argument("--edition", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    photos, prepared = arguments.out / "photos", arguments.out / "prepared"
    views = render_photos(photos, arguments.people, arguments.seed, arguments.edition)
    prepare([str(photos)], PrepareSettings(out=prepared))
    rows, lost = {}, []
    for line in (prepared / "prepare.jsonl").read_text().splitlines():
        record = json.loads(line)
        name = Path(record["photo"]).name
        if not record["crops"]:
            lost.append(name)
            continue
        crop = record["crops"][0]
        rows[name] = compare(crop["crop"], crop["label"], views[name]) | {"is_face": crop["kind"] == "face"}
    faces = [{k: v for k, v in row.items() if k != "is_face"} for row in rows.values() if row["is_face"]]
    result = {"photos": len(views), "faces": len(faces), "without_head": len(lost), "difference": summary(faces)}
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps({"summary": result, "rows": rows}))


if __name__ == "__main__":
    main()
