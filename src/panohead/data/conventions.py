"""Cameras in the conventions of other tools: recognized by what makes them right, and converted.

A convention is a set of independent steps, applied in the order of :data:`STEPS`. Every step is its own remedy, so two
or three of them describe most tools: NeRF and Blender are ``opengl z-up``, COLMAP is ``world2cam y-down``.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from panohead.data.convention_names import MEANING, STEPS, Convention
from panohead.data.label_check import check_labels, tilts_deg, wrong_labels
from panohead.errors import PanoHeadError
from panohead.geometry.camera import RADIUS

_MAX_STEPS = 4
_MIN_RIGHT = 0.98
"""Share of labels that a convention must make right to be named."""
_SAMPLE = 256
"""Labels that are tried; conventions do not change within a dataset."""
_LIKELY_FIRST: tuple[Convention, ...] = (
    "transposed",
    "world2cam",
    "opengl",
    "y-down",
    "z-up",
    "scale",
    "pixels",
    "ndc",
    "pytorch3d",
    "left-handed",
)
"""Steps that labels alone can tell; the others only faces."""
_ROLL_DEG, _PITCH_DEG = 10.0, 40.0
"""Mean roll and pitch after a conversion that speak against it as much as one more step does."""
_EXCLUSIVE = ({"opengl", "pytorch3d", "left-handed"}, {"y-down", "z-up"}, {"pixels", "ndc"})

Labels = Float[np.ndarray, "photo 25"]


def convert_labels(labels: Labels, steps: Sequence[Convention]) -> Labels:
    """Convert labels of a convention to those of this package.

    Args:
        labels: cam2world (16 numbers, row by row) and intrinsics (9), as the other tool means them.
        steps: what the convention differs in; their order does not matter.
    """
    converted = labels.astype(np.float64)
    with np.errstate(all="ignore"):
        for step in sorted(steps, key=STEPS.index):
            converted = _APPLY[step](converted)
    return converted


def likely_conventions(labels: Labels) -> list[tuple[Convention, ...]]:
    """Return the conventions that make nearly all labels right and upright, the likeliest first; none when none does.

    Several are equally likely where only the faces in the photos can tell them apart: their cameras are mirrored or
    turned around the head against each other.
    """
    sample = labels[np.linspace(0, len(labels) - 1, min(len(labels), _SAMPLE)).astype(int)].astype(np.float64)
    found: list[tuple[float, tuple[Convention, ...]]] = []
    for count in range(1, _MAX_STEPS + 1):
        for steps in combinations(_LIKELY_FIRST, count):
            if any(len(group.intersection(steps)) > 1 for group in _EXCLUSIVE):
                continue
            converted = convert_labels(sample, steps)
            if np.isfinite(converted).all() and 1 - wrong_labels(converted).mean() >= _MIN_RIGHT:
                roll, pitch = tilts_deg(converted).mean(axis=0)
                found.append((count + roll / _ROLL_DEG + pitch / _PITCH_DEG, tuple(sorted(steps, key=STEPS.index))))
    if not found:
        return []
    best = min(cost for cost, _ in found)
    return [steps for cost, steps in sorted(found, key=lambda pair: pair[0]) if cost < best + 0.5]


def refuse_wrong_labels(names: Sequence[str], labels: Labels, file: str, argument: str) -> None:
    """Refuse labels that are no cameras as the networks expect them, naming what they probably are.

    Args:
        names: names of the photos.
        labels: their labels.
        file: file of the labels, for the message.
        argument: dataset or file for ``panohead dataset convert``, for the message.

    Raises:
        PanoHeadError: when a label fails the check.
    """
    problems = check_labels(names, labels)
    if not problems:
        return
    wrong = {problem.name: problem for problem in reversed(problems)}
    first = wrong[problems[0].name]
    count = "its only label is" if len(names) == 1 else f"{len(wrong)} of {len(names)} labels are"
    found = f"{file}: {count} no camera as the networks expect it ({first.name}: {first.kind}, {first.detail})"
    raise PanoHeadError(f"{found}; {remedy_for(labels[wrong_labels(labels)], argument)}")


def remedy_for(labels: Labels, argument: str) -> str:
    """Return what to do about labels that are no cameras as the networks expect them.

    Args:
        labels: the wrong ones.
        argument: dataset or file for ``panohead dataset convert``.
    """
    likely = likely_conventions(labels)
    if not likely:
        return "they are of no convention that is known here; correct them (docs/prepare.md says what is expected)"
    steps = likely[0]
    others = f" (or {' or '.join(' '.join(other) for other in likely[1:])}: faces tell)" if len(likely) > 1 else ""
    out = "NEW.json" if argument.lower().endswith(".json") else "NEW --to folder"
    return (
        f"they look like {' and '.join(MEANING[step] for step in steps)}; convert them with: panohead dataset convert "
        f"{argument} --cameras-from {' '.join(steps)} --out {out}{others}"
    )


def _with_pose(labels: Labels, pose: Float[np.ndarray, "photo 4 4"]) -> Labels:
    return np.concatenate([pose.reshape(-1, 16), labels[:, 16:]], axis=1)


def _poses(labels: Labels) -> Float[np.ndarray, "photo 4 4"]:
    return labels[:, :16].reshape(-1, 4, 4)


def _axes(left: Sequence[Sequence[float]], right: Sequence[float]) -> Callable[[Labels], Labels]:
    """Return the step that multiplies cam2world by world axes from the left and camera axes from the right."""
    world = np.eye(4)
    world[:3, :3] = left
    camera = np.diag([*right, 1.0])
    return lambda labels: _with_pose(labels, world @ _poses(labels) @ camera)


def _transposed(labels: Labels) -> Labels:
    pose, intrinsics = _poses(labels), labels[:, 16:].reshape(-1, 3, 3)
    # Tools differ in which of the two they transpose: the translation and the principal point tell.
    if np.abs(pose[:, :3, 3]).max() < 1e-6:
        pose = pose.transpose(0, 2, 1)
    if np.abs(intrinsics[:, :2, 2]).max() < 1e-6:
        intrinsics = intrinsics.transpose(0, 2, 1)
    return np.concatenate([pose.reshape(-1, 16), intrinsics.reshape(-1, 9)], axis=1)


def _inverse(labels: Labels) -> Labels:
    try:
        return _with_pose(labels, np.linalg.inv(_poses(labels)))
    except np.linalg.LinAlgError:
        return np.full_like(labels, np.nan)


def _scaled(labels: Labels) -> Labels:
    pose = _poses(labels).copy()
    # One factor for all: cameras at different distances are not a matter of units.
    pose[:, :3, 3] *= RADIUS / np.median(np.linalg.norm(pose[:, :3, 3], axis=1))
    return _with_pose(labels, pose)


def _per_size(labels: Labels) -> Labels:
    intrinsics = labels[:, 16:].reshape(-1, 3, 3).copy()
    # The principal point of crops is their middle, so the side is twice it.
    intrinsics[:, :2] /= 2 * intrinsics[:, :2, 2].mean(axis=1)[:, None, None]
    return np.concatenate([labels[:, :16], intrinsics.reshape(-1, 9)], axis=1)


def _from_ndc(labels: Labels) -> Labels:
    intrinsics = labels[:, 16:].reshape(-1, 3, 3).copy()
    # From -1..1 to 0..1: half of everything, and the middle at a half.
    intrinsics[:, :2] /= 2
    intrinsics[:, :2, 2] += 0.5
    return np.concatenate([labels[:, :16], intrinsics.reshape(-1, 9)], axis=1)


_SAME = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_APPLY: dict[Convention, Callable[[Labels], Labels]] = {
    "transposed": _transposed,
    "world2cam": _inverse,
    "opengl": _axes(_SAME, (1.0, -1.0, -1.0)),
    "pytorch3d": _axes(_SAME, (-1.0, -1.0, 1.0)),
    # The world is mirrored, so that the images need not be.
    "left-handed": _axes(((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (1.0, -1.0, 1.0)),
    "y-down": _axes(((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)), (1.0, 1.0, 1.0)),
    # z becomes y; a face toward -y, as Blender's front view shows it, looks toward +z.
    "z-up": _axes(((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)), (1.0, 1.0, 1.0)),
    "turned": _axes(((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)), (1.0, 1.0, 1.0)),
    "mirrored": _axes(((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (-1.0, 1.0, 1.0)),
    "scale": _scaled,
    "pixels": _per_size,
    "ndc": _from_ndc,
}
