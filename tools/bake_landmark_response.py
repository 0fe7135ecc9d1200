"""Measure how MediaPipe's landmarks answer to expressions, and write the asset of ``panohead.capture``.

    python tools/bake_landmark_response.py collect /tmp/response --people 60      # renders and finds; resumable
    python tools/bake_landmark_response.py fit /tmp/response                      # writes src/panohead/capture/*.npz
    python tools/bake_landmark_response.py check /tmp/response                    # correlations for people left out

Synthetic people (bald, so that they are quick to render; seed 7700, never used for training) show known weights of a
few units and a known gaze from the front, within 15 degrees; each has views at rest beside. Of each person the mean is
taken away from landmarks and weights; a ridge regression gives the response of every landmark to every unit. What is
left is noise, a normal distribution with a covariance of low rank plus a diagonal.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from jaxtyping import Float

from panohead.capture.canonical_landmarks import canonical_landmarks
from panohead.capture.face_track import FaceTrack
from panohead.capture.landmark_response import ASSET, UNITS, UNKNOWNS, LandmarkResponse, pose_terms
from panohead.synthetic.expressions import EXPRESSION_UNITS, FACE_UNITS, GAZE_LIMITS, GAZE_SD, Shot, gaze_units
from panohead.synthetic.people import sample_person
from panohead.synthetic.person_images import develop, shot_heads, shot_renderers
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.views import FOCAL, PersonView

SEED, SIDE = 7700, 448
SHOTS, AT_REST = 22, 3
TURN_DEG, NOD_DEG = 15.0, 8.0
RIDGE, PRIOR_SD = 0.3, 0.3
NOISE_FLOOR_CM = 0.02
OUT = Path(__file__).parents[1] / "src" / "panohead" / "capture" / ASSET


@dataclass(kw_only=True)
class Options:
    """Measure how MediaPipe's landmarks answer to expressions."""

    what: tyro.conf.Positional[Literal["collect", "fit", "check"]]
    """Part of the work."""
    folder: tyro.conf.Positional[Path]
    """Folder of a file per person."""
    people: int = 60
    """Number of people to render."""
    first: int = 0
    """Number of the first of them."""


@dataclass(frozen=True)
class Samples:
    """Landmarks of all views, canonical centimeters, and what they show."""

    person: np.ndarray
    at_rest: np.ndarray
    points: Float[np.ndarray, "view 478 2"]
    unknowns: Float[np.ndarray, "view 59"]


def random_shots(rng: np.random.Generator) -> list[Shot]:
    """Return shots with one to three units each, and the gaze; the first ones are at rest."""
    shots = [Shot({}, (0.0, 0.0), strong=False)] * AT_REST
    order = rng.permutation(FACE_UNITS)
    for k in range(SHOTS):
        weights = {str(name): float(rng.uniform(0.5, 1)) for name in order[2 * k % len(order) :][:2]}
        if rng.random() < 0.3:
            weights[str(rng.choice(FACE_UNITS))] = float(rng.uniform(0.3, 1))
        gaze = np.clip(rng.normal(size=2) * GAZE_SD, *np.array(GAZE_LIMITS).T)
        shots.append(Shot({**weights, **gaze_units(*map(float, gaze))}, (float(gaze[0]), float(gaze[1])), strong=True))
    return shots


def collect(index: int) -> dict[str, np.ndarray]:
    """Render one person and find the landmarks of every view."""
    person = replace(sample_person(SEED, index), hair_style="bald", headwear="none", glasses="none")
    if index % 3:
        person = replace(person, beard="none")
    rng = np.random.default_rng(index)
    shots = random_shots(rng)
    light, gray = sample_lighting(person.stream("light")), np.full((SIDE, SIDE, 3), 0.5, np.float32)
    track, points, unknowns, at_rest = FaceTrack(), [], [], []
    for shot, render in zip(shots, shot_renderers(shot_heads(person, shots, 2), "fast", 2), strict=True):
        view = PersonView(float(rng.uniform(-TURN_DEG, TURN_DEG)), float(rng.uniform(-NOD_DEG, NOD_DEG)))
        rendered = render(view, light, SIDE, FOCAL)
        landmarks = track.next(develop(rendered, light.exposure, gray, rng))
        if landmarks is None:
            continue
        found = canonical_landmarks(landmarks)
        weights = [shot.expression.get(n, 0.0) if n in FACE_UNITS else 0.0 for n in EXPRESSION_UNITS]
        points.append(found.points[:, :2])
        unknowns.append([*weights, *shot.gaze, *pose_terms(found.angles[0], found.angles[1])])
        at_rest.append(not shot.strong)
    return {"points": np.array(points, np.float32), "unknowns": np.array(unknowns), "at_rest": np.array(at_rest)}


def read(folder: Path) -> Samples:
    """Read all files of the folder."""
    files = [np.load(path) for path in sorted(folder.glob("person_*.npz"))]
    person = np.concatenate([np.full(len(file["at_rest"]), number) for number, file in enumerate(files)])
    points, unknowns, at_rest = (np.concatenate([f[k] for f in files]) for k in ("points", "unknowns", "at_rest"))
    return Samples(person, at_rest, points.astype(np.float64), unknowns)


def fit(samples: Samples, chosen: np.ndarray) -> LandmarkResponse:
    """Return the model of the chosen views."""
    unknowns, moved = samples.unknowns[chosen].copy(), samples.points[chosen].reshape(chosen.sum(), -1).copy()
    for number in np.unique(samples.person[chosen]):
        own = samples.person[chosen] == number
        unknowns[own] -= unknowns[own].mean(axis=0)
        moved[own] -= moved[own].mean(axis=0)
    ridge = np.array([RIDGE] * UNITS + [1e-3] * (UNKNOWNS - UNITS))
    response = np.linalg.solve(unknowns.T @ unknowns + np.diag(ridge), unknowns.T @ moved)  # unknown coordinate
    noise = moved - unknowns @ response
    whitened = precision_times(noise, response)
    deviations = np.array([PRIOR_SD] * UNITS + [0.3, 0.15] + [10.0] * (UNKNOWNS - UNITS - 2))
    normal = whitened @ response.T + np.diag(1 / deviations**2)
    return LandmarkResponse(np.arange(samples.points.shape[1]), normal, whitened)


def precision_times(
    noise: Float[np.ndarray, "view coordinate"], rows: Float[np.ndarray, "row coordinate"]
) -> Float[np.ndarray, "row coordinate"]:
    """Return rows times the inverse covariance of the noise: low rank plus a diagonal (Woodbury's identity)."""
    rank = min(100, len(noise) // 4)
    _, singular, directions = np.linalg.svd(noise / np.sqrt(len(noise)), full_matrices=False)
    low = directions[:rank] * singular[:rank, None]
    rest = np.maximum((noise**2).mean(axis=0) - (low**2).sum(axis=0), 0) + NOISE_FLOOR_CM**2
    inner = np.eye(rank) + (low / rest) @ low.T
    return rows / rest - ((rows / rest) @ low.T) @ np.linalg.solve(inner, low / rest)


def predictions(samples: Samples, chosen: np.ndarray, model: LandmarkResponse) -> np.ndarray:
    """Return weights and gaze of the chosen views, from displacements to the person's mean view at rest."""
    found = np.zeros((len(samples.person), UNITS + 2))
    for number in np.unique(samples.person[chosen]):
        own = samples.person == number
        rest = own & samples.at_rest
        displacement = samples.points[own] - samples.points[rest].mean(axis=0)
        terms = samples.unknowns[own, UNITS + 2 :] - samples.unknowns[rest, UNITS + 2 :].mean(axis=0)
        weights, gaze = model.solve(displacement, terms)
        found[own] = np.concatenate([weights, gaze], axis=1)
    return found


def check(samples: Samples) -> None:
    """Print the correlation of true and found weights of people that were left out, unit by unit."""
    found = np.zeros((len(samples.person), UNITS + 2))
    for part in range(4):
        out = samples.person % 4 == part
        found += predictions(samples, out, fit(samples, ~out)) * out[:, None]
    moved = ~samples.at_rest
    known = {}
    for k, name in enumerate([*EXPRESSION_UNITS, "gaze_x", "gaze_y"]):
        if not name.startswith("eyeLook"):
            known[name] = float(np.corrcoef(found[moved, k], samples.unknowns[moved, k])[0, 1])
    for name, value in sorted(known.items(), key=lambda item: -item[1]):
        print(f"{name:22s} {value:5.2f}")
    print(f"{samples.person[-1] + 1} people, {moved.sum()} views, mean {np.mean(list(known.values())):.3f}, "
          f"at least 0.8: {sum(v >= 0.8 for v in known.values())}")  # fmt: skip


def main(options: Options) -> None:
    """Collect, fit or check."""
    if options.what == "collect":
        options.folder.mkdir(parents=True, exist_ok=True)
        for index in range(options.first, options.first + options.people):
            path = options.folder / f"person_{index:04d}.npz"
            if not path.is_file():
                np.savez(path, **collect(index))
                print(f"person {index}", flush=True)
        return
    samples = read(options.folder)
    if options.what == "check":
        check(samples)
        return
    model = fit(samples, np.ones(len(samples.person), bool))
    scale = np.maximum(np.abs(model.projection).max(axis=1), 1e-9) / 127  # the eyes' units have no response
    coded = np.round(model.projection / scale[:, None]).astype(np.int8)
    np.savez_compressed(
        OUT, landmarks=model.landmarks.astype(np.int16), normal=model.normal.astype(np.float32),
        projection=coded, scale=scale.astype(np.float32),
    )  # fmt: skip
    print(f"wrote {OUT}, {OUT.stat().st_size} bytes, of {samples.person[-1] + 1} people")


if __name__ == "__main__":
    main(tyro.cli(Options))
