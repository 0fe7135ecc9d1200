"""Reconstructions against known geometry: laws on spheres, wiring on the smallest generator, truth on a real person."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from evaluation.scenes import sphere_view
from panohead.cli import evaluate as command
from panohead.errors import PanoHeadError
from panohead.evaluation import evaluate
from panohead.evaluation.evaluate import BASELINE_NAME, Evaluation
from panohead.evaluation.ground_truth.geometry import MM_PER_WORLD_UNIT, sector_of
from panohead.evaluation.ground_truth.people import (
    PHOTO_YAWS,
    TRUTH_YAWS,
    GroundTruthPerson,
    GroundTruthView,
    ground_truth_person,
    halved,
    held_out_people,
)
from panohead.evaluation.ground_truth.reconstruction import (
    GeometryErrors,
    baseline_method,
    compare_surfaces,
    reconstruction,
)
from panohead.evaluation.results import Result, silent
from panohead.evaluation.settings import EvaluationSettings
from panohead.evaluation.warping import DepthView
from panohead.geometry.camera import Camera
from panohead.head import Head
from panohead.predictor import Predictor
from panohead.synthetic.config import NEWEST_EDITION
from panohead.synthetic.framing import EDITIONS
from panohead.synthetic.people import Person

CAMERAS = [Camera.orbit(yaw, 15.0 * (i % 2)) for i, yaw in enumerate(TRUTH_YAWS)]
RADIUS = 0.25


def ball(radius: float = RADIUS, size: int = 64, center: tuple[float, float, float] = (0, 0, 0)) -> list[DepthView]:
    return [sphere_view(camera, size, radius=radius, center=center) for camera in CAMERAS]


def test_the_truth_against_itself_is_without_error() -> None:
    found = compare_surfaces(ball(), ball())
    assert list(found) == ["front", "side", "back"]
    for error in found.values():
        assert (error.depth, error.scale_invariant, error.chamfer, error.silhouette_iou) == (0, 0, 0, 1)
        assert error.normals_deg == pytest.approx(0, abs=0.05)
        assert set(error.f_score.values()) == {1.0}


def test_spheres_of_different_radius_have_the_analytic_errors() -> None:
    """The gap of the radii is the distance; the share of the discs is the overlap; depth and normals by the pixel."""
    small, large = RADIUS, 0.27
    found = compare_surfaces(ball(large), ball(small))
    gap = (large - small) * MM_PER_WORLD_UNIT
    near, far = ball(large)[0], ball(small)[0]
    both = (near.mask > 0.9) & (far.mask > 0.9)
    expected = float((far.depth - near.depth)[both].mean()) * MM_PER_WORLD_UNIT
    for error in found.values():
        assert error.chamfer == pytest.approx(gap, rel=0.03)
        assert list(error.f_score) == [0.005, 0.01, 0.02]
        assert error.f_score[0.01] == 0.0
        assert error.depth == pytest.approx(expected, rel=0.02)
        assert error.depth > gap
        assert error.silhouette_iou == pytest.approx((small / large) ** 2, rel=0.04)
    # At distance b from the axis the normals lean by asin(b / r); averaged over the disc that both know.
    inner = np.sqrt(np.random.default_rng(0).uniform(0, 1, 100_000)) * (small - 4 * 0.63 / 64)
    lean = np.degrees(np.arcsin(inner / small) - np.arcsin(inner / large)).mean()
    assert found["front"].normals_deg == pytest.approx(lean, rel=0.25)


def test_errors_grow_with_displacement_and_with_scale() -> None:
    def errors(moved: float) -> GeometryErrors:
        return compare_surfaces(ball(center=(moved, moved, 0.0)), ball())["front"]

    rows = [errors(moved) for moved in (0.0, 0.005, 0.01, 0.02)]
    for pick in ("depth", "chamfer", "normals_deg", "scale_invariant"):
        values = [getattr(row, pick) for row in rows]
        assert values == sorted(values), pick
        assert values[-1] > values[1] > values[0], pick
    scores = [row.f_score[0.01] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert rows[-1].silhouette_iou < rows[0].silhouette_iou


def test_an_error_on_the_back_is_found_on_the_back_alone() -> None:
    dented = [sphere_view(camera, 64, radius=0.23 if sector_of(camera) == "back" else RADIUS) for camera in CAMERAS]
    found = compare_surfaces(dented, ball())
    assert found["front"].depth == found["side"].depth == 0
    assert found["back"].depth > 5
    assert found["back"].chamfer > 2 * found["front"].chamfer


def test_nothing_to_compare_is_no_number() -> None:
    empty = [DepthView(v.image, v.depth, torch.zeros_like(v.mask), v.camera) for v in ball(size=16)]
    error = compare_surfaces(empty, ball(size=16))["front"]
    assert math.isnan(error.depth)
    assert math.isnan(error.chamfer)
    assert error.silhouette_iou == 0


def test_half_the_side_is_the_same_surface() -> None:
    for error in compare_surfaces(halved(ball(size=128)), ball(size=64)).values():
        assert error.depth < 1.0, "mm; rays of the rim"
        assert error.chamfer < 1.0
        assert error.silhouette_iou > 0.9


def spheres(
    seed: int, index: int, photo_side: int, edition: int = NEWEST_EDITION, *, around: bool = False
) -> GroundTruthPerson:
    """Return spheres in the place of a rendered person."""
    size = 64

    def photo(yaw: float) -> GroundTruthView:
        view = sphere_view(Camera.orbit(yaw), photo_side)
        pixels = ((view.image + 1) * 127.5).permute(1, 2, 0).numpy().astype(np.uint8)
        return GroundTruthView(pixels, view.mask[0].numpy(), view.depth * view.mask, view.camera)

    photos = {number: [photo(yaw) for yaw in yaws] for number, yaws in PHOTO_YAWS.items()}
    many = [photo(yaw) for yaw in (0.0, 120.0, 240.0)] if around else []
    return GroundTruthPerson(f"{seed}/{index}", photos, ball(size=size), ball(size=2 * size), many)


class Ball(Head):
    """A head with the shape of a sphere."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def preview(self, camera: Camera, *, resolution: int | None = None) -> object:
        view = sphere_view(camera, resolution or 0, radius=self.radius)
        view.__dict__["image_raw"] = view.image
        return view


def test_reconstructions_are_compared_for_every_number_of_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four photos give the true size, and one gives a smaller one."""
    monkeypatch.setattr("panohead.evaluation.ground_truth.people.ground_truth_person", spheres)
    asked = []

    def reconstruct(predictor: Predictor, views: list[GroundTruthView]) -> Head:
        asked.append((len(views), views[0].photo.shape[0]))
        return Ball({4: RADIUS, 1: 0.24}[len(views)])

    predictor = Predictor(tiny.generator())
    settings = EvaluationSettings(metrics=("reconstruction",), people=2)
    model, baseline = Evaluation(settings, reconstruct=reconstruct).run({"tiny": predictor})
    assert baseline.name == BASELINE_NAME
    assert sorted(asked) == [(1, evaluate.MIN_PHOTO_SIDE)] * 2 + [(4, evaluate.MIN_PHOTO_SIDE)] * 2
    rows = {result.row[:2]: result for result in model.results}
    assert len(rows) == len(model.results) == 7 * 2 * 3
    assert rows["Chamfer distance", "front, 4 photos"].value == pytest.approx(0, abs=1e-4)
    assert rows["Chamfer distance", "back, 1 photo"].value == pytest.approx(0.01 * MM_PER_WORLD_UNIT, rel=0.1)
    assert rows["F-score at 2 mm", "side, 1 photo"].value < 0.1
    assert rows["F-score at 8 mm", "side, 1 photo"].value == 1.0
    assert rows["depth error", "front, 1 photo"].counts == {"people": 2, "photos": 1}
    known = {result.row[:2]: result.value for result in baseline.results}
    assert known["depth error", "front, 1 photo"] < rows["depth error", "front, 1 photo"].value
    with pytest.raises(PanoHeadError):
        Evaluation(EvaluationSettings(metrics=("swd",))).photos  # noqa: B018


def test_methods_without_a_generator_have_columns_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panohead.evaluation.ground_truth.people.ground_truth_person", spheres)
    asked = []

    def radiance(people: list[GroundTruthPerson], progress: object) -> list[Result]:
        asked.append([len(person.around) for person in people])
        return baseline_method(people, lambda one: {3: one.around}, lambda one, _: one.truth, progress=silent)

    def missing(people: list[GroundTruthPerson], progress: object) -> list[Result]:
        raise PanoHeadError("mediapipe is missing")

    monkeypatch.setattr(evaluate, "METHODS", {"nerf": radiance, "3dmm": missing})
    settings = EvaluationSettings(metrics=("reconstruction",), people=2, baselines=("nerf", "3dmm"))
    columns = Evaluation(settings, reconstruct=lambda *_: Ball(RADIUS)).run({"tiny": Predictor(tiny.generator())})
    assert [column.name for column in columns] == ["tiny", "NeRF", "3DMM", BASELINE_NAME]
    assert asked == [[3, 3]]
    depth = {result.subset: result.value for result in columns[1].results if result.metric == "depth error"}
    assert depth == dict.fromkeys([f"{sector}, 3 photos" for sector in ("front", "side", "back")], 0.0)
    assert columns[2].skipped[0].reason == "mediapipe is missing"


@pytest.mark.parametrize("edition", EDITIONS)
def test_people_are_framed_as_the_chosen_edition(edition: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def make_renderer(person: Person, quality: str, edition: int) -> Any:
        asked.append(edition)
        raise PanoHeadError("no renderer is needed here")

    monkeypatch.setattr("panohead.evaluation.ground_truth.people.make_renderer", make_renderer)
    monkeypatch.setattr("panohead.evaluation.ground_truth.people.require_compiler", lambda: None)
    settings = EvaluationSettings(metrics=("reconstruction",), people=1, people_edition=edition)
    Evaluation(settings, reconstruct=lambda *_: Ball(RADIUS)).run({"tiny": Predictor(tiny.generator())})
    assert asked == [edition]
    assert EvaluationSettings().people_edition == NEWEST_EDITION


def test_what_cannot_be_reconstructed_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings, predictor = EvaluationSettings(metrics=("reconstruction",), people=1), Predictor(tiny.generator())
    assert "function" in Evaluation(settings).run({"tiny": predictor})[0].skipped[0].reason
    (tmp_path / "synthesis.json").write_text(json.dumps({"seed": settings.people_seed}))
    with pytest.raises(PanoHeadError, match="--people-seed"):
        next(held_out_people(1, settings.people_seed, 64, other_than=tmp_path))
    monkeypatch.setattr("panohead.evaluation.ground_truth.people.ground_truth_person", spheres)

    def fails(predictor: Predictor, views: list[GroundTruthView]) -> Head:
        raise PanoHeadError("these photos cannot be used")

    people = list(held_out_people(1, 5, 64, other_than=tmp_path))
    with pytest.raises(PanoHeadError, match="cannot be used"):
        reconstruction(predictor, people, fails)
    column = Evaluation(settings, reconstruct=fails).run({"tiny": predictor})[0]
    assert column.skipped[0].reason == "these photos cannot be used"


def test_the_command_gives_photos_to_the_reconstruction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The photos in the truth's frame, with cameras and masks, for the generator as it is."""
    received = {}

    def reconstruct(generator: object, images: list, cameras: list, *, masks: list) -> str:
        received.update(generator=generator, images=images, cameras=cameras, masks=masks)
        return "head"

    monkeypatch.setattr("panohead.inversion.reconstruct", reconstruct)
    predictor = Predictor(tiny.generator())
    views = spheres(0, 0, 64).photos[4]
    assert command._reconstruct(predictor, views) == "head"
    assert received["generator"] is predictor.generator
    assert [c.angles_deg()[0].item() for c in received["cameras"]] == pytest.approx(
        [v.camera.angles_deg()[0].item() for v in views]
    )
    assert received["images"][0].shape == (64, 64, 3)
    assert received["masks"][0].dtype == np.uint8
    assert received["masks"][0].max() == 255


@pytest.mark.slow
def test_a_rendered_person_is_where_the_cameras_look() -> None:
    """Ten seconds: building one person."""
    person = ground_truth_person(77, 0, 48)
    assert [len(person.photos[number]) for number in (1, 4)] == [1, 4]
    front = person.photos[1][0]
    assert front.photo.shape == (48, 48, 3)
    assert 2.0 < float(front.depth[front.depth > 0].median()) < 2.7
    assert {sector_of(view.camera) for view in person.truth} == {"front", "side", "back"}
    baseline = compare_surfaces(halved(person.fine), person.truth)["front"]
    assert baseline.depth < 2
    assert baseline.chamfer < 1
    mirrored = compare_surfaces(person.truth[::-1], person.truth)["front"]
    assert mirrored.depth > 5 * baseline.depth, "views from the other side are not these"
