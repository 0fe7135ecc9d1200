"""Round trip of expression capture: a video of known weights, captured, against what it shows.

    python tools/measure_capture.py --people 3 --out /tmp/capture

Renders synthetic people (seed 9100, never trained on, with hair) whose units rise and fall one after the other, two or
three at a time, while gaze and head wander; writes an MP4, captures it, and prints the correlation of every unit over
time, and what is found while the face is at rest and only the head turns (the leak of the pose into the weights).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float

from panohead.capture import capture_expressions
from panohead.capture.landmark_response import with_gaze_units
from panohead.media.video import VideoWriter
from panohead.synthetic.expressions import EXPRESSION_UNITS, FACE_UNITS, Shot, gaze_units
from panohead.synthetic.people import Person, sample_person
from panohead.synthetic.person_images import develop, shot_heads, shot_renderers
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.views import FOCAL, PersonView

SEED, SIDE, FPS = 9100, 448, 15
REST_S, UNIT_S, STEP_S = 1.0, 0.9, 0.3
TURN_DEG, NOD_DEG = 12.0, 6.0
BATCH = 30


@dataclass(kw_only=True)
class Options:
    """Measure the round trip of expression capture."""

    people: int = 3
    """Number of people."""
    out: Path = Path("capture")
    """Folder of the videos."""


@dataclass(frozen=True)
class Performance:
    """Known weights over time.

    Attributes:
        weights: in the order of EXPRESSION_UNITS.
        gaze: radians to the person's left, and up.
        pose: yaw and pitch of the head in degrees, to the left and up.
        rest: frames of the second rest, in which only the head turns.
    """

    weights: Float[np.ndarray, "frame 52"]
    gaze: Float[np.ndarray, "frame 2"]
    pose: Float[np.ndarray, "frame 2"]
    rest: slice


def performance(seed: int) -> Performance:
    """Return one performance: rest, every unit once, rest with a turning head."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(FACE_UNITS)
    seconds = REST_S + STEP_S * len(order) + UNIT_S + 2 * REST_S
    times = np.arange(round(seconds * FPS)) / FPS
    weights = np.zeros((len(times), len(EXPRESSION_UNITS)))
    for k, name in enumerate(order):
        begin, peak = REST_S + STEP_S * k, rng.uniform(0.6, 1.0)
        phase = np.clip((times - begin) / UNIT_S, 0, 1)
        weights[:, EXPRESSION_UNITS.index(str(name))] = peak * np.sin(np.pi * phase) ** 2
    moving = np.clip((times - REST_S) / 0.5, 0, 1)
    end = times > seconds - 2 * REST_S
    gaze = np.stack([0.35 * np.sin(1.3 * times + seed), 0.2 * np.sin(0.9 * times)], axis=1)
    gaze *= (moving * ~end)[:, None]
    pose = np.stack([TURN_DEG * np.sin(0.8 * times), NOD_DEG * np.sin(0.5 * times)], axis=1) * moving[:, None]
    first = int(np.flatnonzero(end)[0])
    return Performance(weights, gaze, pose, slice(first, len(times)))


def record_video(person: Person, shown: Performance, path: Path) -> None:
    """Render a performance and write it as a video."""
    light, gray = sample_lighting(person.stream("light")), np.full((SIDE, SIDE, 3), 0.5, np.float32)
    rng = person.stream("video")
    with VideoWriter(path, FPS, source=None) as video:
        for start in range(0, len(shown.weights), BATCH):
            part = range(start, min(start + BATCH, len(shown.weights)))
            shots = [_shot(shown, number) for number in part]
            heads = shot_heads(person, shots, 2)
            for number, render in zip(part, shot_renderers(heads, "fast", 2), strict=True):
                turn, nod = shown.pose[number]
                # The camera moves the other way than the head would.
                rendered = render(PersonView(-float(turn), -float(nod)), light, SIDE, FOCAL)
                video.write(develop(rendered, light.exposure, gray, rng))


def _shot(shown: Performance, number: int) -> Shot:
    across, up = map(float, shown.gaze[number])
    weights = dict(zip(EXPRESSION_UNITS, map(float, shown.weights[number]), strict=True))
    present = {name: value for name, value in weights.items() if value > 0}
    return Shot({**present, **gaze_units(across, up)}, (across, up), strong=True)


def main(options: Options) -> None:
    """Record videos, capture, compare."""
    options.out.mkdir(parents=True, exist_ok=True)
    correlations, leaks, poses = [], [], []
    for index in range(options.people):
        person = replace(sample_person(SEED, index), glasses="none", headwear="none")
        shown, path = performance(index), options.out / f"person_{index}.mp4"
        if not path.is_file():
            record_video(person, shown, path)
        track = capture_expressions(path)
        count = min(len(track.times), len(shown.weights))
        truth = with_gaze_units(shown.weights, shown.gaze)
        found = track.weights[:count]
        with np.errstate(invalid="ignore"):
            correlations.append(
                [np.corrcoef(found[:, k], truth[:count, k])[0, 1] for k in range(len(EXPRESSION_UNITS))]
            )
        leaks.append(found[shown.rest].mean(axis=0))
        assert track.pose is not None
        poses.append([np.corrcoef(track.pose[:count, k], shown.pose[:count, k])[0, 1] for k in range(2)])
        print(f"person {index}: {count} frames; notes {track.notes}; pose {np.round(poses[-1], 3)}", flush=True)
    mean, leak = np.nan_to_num(np.array(correlations)).mean(axis=0), np.array(leaks).mean(axis=0)
    for k in np.argsort(-mean):
        print(f"{EXPRESSION_UNITS[k]:22s} correlation {mean[k]:5.2f}   at rest {leak[k]:.2f}")
    print(f"mean of the 15 best {np.sort(mean)[-15:].mean():.2f}, at least 0.8: {(mean >= 0.8).sum()}, "
          f"leak of all units {leak.mean():.3f}, of the worst {leak.max():.2f}")  # fmt: skip


if __name__ == "__main__":
    main(tyro.cli(Options))
