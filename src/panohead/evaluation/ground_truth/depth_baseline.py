"""Disagreement of the dataset's own depth renders with each other: the noise floor of every geometry metric."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.data.dataset import dataset_paths
from panohead.data.labels import read_labels
from panohead.data.people import PEOPLE_FILE, read_people
from panohead.data.sources import image_names, open_source
from panohead.errors import PanoHeadError
from panohead.evaluation.ground_truth.geometry import MM_PER_WORLD_UNIT, SECTORS, sector_of
from panohead.evaluation.results import Result
from panohead.evaluation.warping import DepthView, depth_disagreement
from panohead.files.archive import read_arrays
from panohead.files.inside import inside
from panohead.geometry.camera import Camera

SAME_SURFACE = 0.05
"""Largest difference, in world units, that counts as noise; more is another surface in front (ear before cheek)."""


@dataclass(frozen=True)
class TrueView:
    """Depth map of a dataset's view with its camera."""

    depth: Float[Tensor, "1 height width"]
    camera: Camera


def depth_baseline(root: Path, people: int) -> list[Result]:
    """Measure the distance between the surfaces in neighboring views of one person, for front, side and back.

    Raises:
        PanoHeadError: when the dataset has no depth maps, or no list of the people on its images.
    """
    errors: dict[str, list[float]] = {name: [] for name in SECTORS}
    shares: dict[str, list[float]] = {name: [] for name in SECTORS}
    pairs = dict.fromkeys(SECTORS, 0)
    for views in _people(root, people):
        for target, source in _neighbors(views):
            away = depth_disagreement(_view(source), _view(target)).abs()
            if not len(away):
                continue
            sector = sector_of(target.camera)
            same = away < SAME_SURFACE
            errors[sector].append(float(away[same].mean()) if same.any() else float("nan"))
            shares[sector].append(float(same.float().mean()))
            pairs[sector] += 1
    return [
        Result(
            metric="depth floor",
            subset=name,
            value=float(np.nanmean(errors[name])) * MM_PER_WORLD_UNIT,
            unit="mm",
            counts={"pairs": pairs[name]},
            details={"same_surface_share": float(np.mean(shares[name])), "same_surface_within": SAME_SURFACE},
        )
        for name in SECTORS
        if pairs[name]
    ]


def _people(root: Path, max_people: int) -> Iterator[list[TrueView]]:
    """Yield the views of each shot of the first people; expressions differ between shots, so surfaces do too."""
    listing, depth = root / PEOPLE_FILE, root / "depth"
    for path, remedy in (
        (listing, "use a synthetic dataset"),
        (depth, "render one with 'panohead synthesize --depth'"),
    ):
        if not path.exists():
            raise PanoHeadError(f"{path} is missing, so there is no ground truth of depth; {remedy}")
    source = open_source(dataset_paths(root)[0])
    names = image_names(source)
    labels = dict(zip(names, torch.from_numpy(read_labels(source, names)), strict=True))
    for person in islice(read_people(listing), max_people):
        shots: dict[int, list[str]] = {}
        for view in person["views"]:
            if view["image"] in labels:
                shots.setdefault(view.get("shot", 0), []).append(view["image"])
        for shown in shots.values():
            yield [TrueView(_depth(depth, name), Camera.from_label(labels[name])) for name in shown]


def _depth(folder: Path, name: str) -> Float[Tensor, "1 height width"]:
    file = inside(folder, name).with_suffix(".npz")
    try:
        return torch.from_numpy(read_arrays(file, ["depth"])["depth"].astype(np.float32))[None]
    except (OSError, ValueError, KeyError) as error:
        raise PanoHeadError(f"{file} is not a depth map ({error}); render the dataset again with --depth") from error


def _neighbors(views: list[TrueView]) -> Iterator[tuple[TrueView, TrueView]]:
    """Yield every view with the view whose camera is nearest."""
    for i, view in enumerate(views):
        others = views[:i] + views[i + 1 :]
        if others:
            yield view, min(others, key=lambda other: float((other.camera.position - view.camera.position).norm()))


def _view(view: TrueView) -> DepthView:
    """Return the depth map as a view; it has no soft edge, so every hit pixel is opaque."""
    return DepthView(view.depth.expand(3, -1, -1), view.depth, (view.depth > 0).float(), view.camera)
