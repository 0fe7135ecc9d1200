"""Metrics of single heads on analytic scenes: what is planted is caught, what is honest is not."""

import math

import numpy as np
import pytest
import torch

import tiny
from evaluation.scenes import bands, frame_of, sphere_view
from panohead.evaluation.back_of_head import (
    BackOfHead,
    DensityChecks,
    box_cuts,
    floaters,
    mirror_score,
    occupancy,
    relief_score,
)
from panohead.evaluation.camera_error import CameraError, angle_errors
from panohead.evaluation.consistency import Consistency, flicker
from panohead.evaluation.head_views import HeadMetric, HeadViews
from panohead.evaluation.identity import Identity, similarities
from panohead.evaluation.mask_metrics import Leakage, MaskError, leakage, mask_error, outside
from panohead.evaluation.warping import depth_disagreement, photometric_error
from panohead.frame import Frame
from panohead.geometry.camera import Camera
from panohead.predictor import Predictor


class Scene(HeadViews):
    """Views of an analytic scene instead of a head's."""

    def __init__(self, look: object, index: int = 0, head: object = None) -> None:
        object.__setattr__(self, "look", look)
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "head", head)

    def at(self, yaw_deg: float, pitch_deg: float = 0.0) -> Frame:
        return frame_of(self.look(Camera.orbit(yaw_deg, pitch_deg)))


def test_a_solid_seen_through_its_depth_agrees_with_itself() -> None:
    small = photometric_error(sphere_view(Camera.orbit(10)), sphere_view(Camera.orbit(0)))
    large = photometric_error(sphere_view(Camera.orbit(40)), sphere_view(Camera.orbit(0)))
    assert small[0] < 0.02
    assert large[0] < 0.03
    assert 1 > small[1] > large[1] > 0.4, "a larger baseline shares less"


@pytest.mark.parametrize("wrong", ["colors that follow the camera", "a shifted camera"])
def test_views_that_do_not_agree_are_caught(wrong: str) -> None:
    target = sphere_view(Camera.orbit(0))
    honest = photometric_error(sphere_view(Camera.orbit(10)), target)[0]
    if wrong == "a shifted camera":
        values = []
        for shift in (0.0, 0.005, 0.01, 0.02):
            camera = Camera.orbit(10)
            seen = sphere_view(camera)
            moved = type(seen)(seen.image, seen.depth, seen.mask, camera.translated(torch.tensor([shift, shift, 0.0])))
            values.append(photometric_error(moved, target)[0])
        assert values == sorted(values)
        assert values[-1] > 3 * honest
    else:
        turned = sphere_view(Camera.orbit(10), paint=lambda p: bands(p + 0.05))
        assert photometric_error(turned, target)[0] > 5 * honest


def test_consistency_over_an_analytic_head() -> None:
    metric = Consistency()
    metric.add(Scene(sphere_view))
    values = {(result.metric, result.subset): result.value for result in metric.results()}
    assert values["warping error", "small (10 deg)"] < 0.02
    assert values["raw to super-resolved", ""] == 0.0
    assert 0 < values["flicker", ""] < 0.01


def test_flicker_counts_jumps_not_motion() -> None:
    smooth = [frame_of(sphere_view(Camera.orbit(yaw))) for yaw in (-2, 0, 2)]
    jumping = frame_of(sphere_view(Camera.orbit(0), paint=lambda p: bands(p) * 0.8))
    assert flicker(smooth[0], jumping, smooth[2])[0] > 4 * flicker(*smooth)[0]


def face(points: torch.Tensor) -> torch.Tensor:
    """Two dark eyes and a mouth at +z, else skin."""
    color = torch.full_like(points, 0.3)
    front = points[:, 2] > 0
    for x, y, size in ((-0.08, 0.05, 0.03), (0.08, 0.07, 0.03), (0.02, -0.1, 0.05)):
        color[front & ((points[:, 0] - x) ** 2 + (points[:, 1] - y) ** 2 < size**2)] = -0.8
    return color


def hair(points: torch.Tensor) -> torch.Tensor:
    """The face, and strands on the back."""
    back = points[:, 2:] < 0
    return torch.where(back, -0.5 + 0.2 * torch.sin(60 * points[:, :1]), face(points))


def planted(points: torch.Tensor) -> torch.Tensor:
    """The face on both sides, as features that forget the sign of z make it."""
    return face(torch.cat([points[:, :2], points[:, 2:].abs()], dim=1))


def test_a_mirrored_face_on_the_back_is_caught() -> None:
    def score(paint: object) -> float:
        return mirror_score(sphere_view(Camera.orbit(0), paint=paint), sphere_view(Camera.orbit(180), paint=paint))

    assert score(planted) > 0.95
    assert abs(score(hair)) < 0.25


def test_a_nose_on_the_back_is_caught_by_its_relief() -> None:
    def view(yaw: float, *, nose: bool) -> object:
        seen = sphere_view(Camera.orbit(yaw))
        steps = torch.linspace(-1, 1, 48)
        bump = 0.02 * torch.exp(-((steps[None] - 0.1 * math.cos(math.radians(yaw))) ** 2 + steps[:, None] ** 2) / 0.01)
        return type(seen)(seen.image, seen.depth - bump[None] * nose, seen.mask, seen.camera)

    assert relief_score(view(0, nose=True), view(180, nose=True)) > 0.9
    assert relief_score(view(0, nose=True), view(180, nose=False)) < 0.6


class SeesDarkEyes:
    """A face detector for the painted face: dark spots in the middle."""

    def confidence(self, image: torch.Tensor) -> float:
        middle = image[:, 12:36, 12:36].mean(dim=0)
        return float((middle < -0.7).float().mean() > 0.02)


def test_faces_on_the_back_are_counted() -> None:
    for paint, rate in ((planted, 1.0), (hair, 0.0)):
        metric = BackOfHead(SeesDarkEyes())
        metric.add(Scene(lambda camera, paint=paint: sphere_view(camera, paint=paint)))
        rates = {result.subset: result.value for result in metric.results() if result.metric == "face detection rate"}
        assert rates["back"] == rate
        assert rates["front"] == 1.0


def solid_ball(size: int = 32) -> np.ndarray:
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij")
    return x**2 + y**2 + z**2 < 0.5**2


def test_planted_floaters_and_cuts_are_caught() -> None:
    ball = solid_ball()
    assert floaters(ball) == (0, 0.0)
    assert set(box_cuts(ball).values()) == {0.0}
    debris = ball.copy()
    debris[1:4, 1:4, 1:4] = True
    pieces, share = floaters(debris)
    assert (pieces, share) == (1, pytest.approx(27 / (27 + ball.sum())))
    neck = ball.copy()
    neck[14:18, :16, 14:18] = True
    assert box_cuts(neck)["neck"] == pytest.approx(16 / 32**2)
    assert box_cuts(neck)["crown"] == 0
    assert floaters(np.zeros((4, 4, 4), bool))[0] == 0


def test_density_of_a_head_is_read_where_the_renderer_looks() -> None:
    head = Predictor(tiny.generator()).sample(0)
    solid = occupancy(head, 24, 0.0, density=lambda points: 0.2 - points.norm(dim=1))
    margin, half = head.generator.config.rendering.crop_margin, head.generator.config.rendering.box_warp / 2
    expected = 4 / 3 * math.pi * 0.2**3 / (2 * half * (2 * (half - margin)) ** 2)
    assert solid.mean() == pytest.approx(expected, rel=0.15)
    checks = DensityChecks(resolution=16, level=2.0)
    checks.add(HeadViews(head, 0))
    assert [result.metric for result in checks.results()] == ["floaters", "box cuts"]


def test_masks_against_references_of_known_error() -> None:
    mask = torch.zeros(1, 40, 40)
    mask[:, 10:30, 10:30] = 1.0
    assert mask_error(mask, mask) == (0.0, 1.0)
    shifted = mask.roll(10, dims=2)
    assert mask_error(mask, shifted) == (pytest.approx(400 / 1600), pytest.approx(200 / 600))
    assert outside(mask, shifted) == pytest.approx(200 / 1200)


def test_haze_and_specks_leak_but_a_soft_edge_does_not() -> None:
    mask = sphere_view(Camera.orbit(0), 64).mask
    soft = torch.nn.functional.avg_pool2d(mask[None], 3, 1, 1)[0]
    assert leakage(soft) == 0.0
    values = [leakage((soft + haze).clamp(0, 1)) for haze in (0.0, 0.02, 0.1)]
    assert values == sorted(values)
    assert values[2] == pytest.approx(0.1, abs=1e-6)
    speck = soft.clone()
    speck[0, :2, :2] = 1.0
    assert leakage(speck) > 0


class PerfectSegmenter:
    """Everything that is not white."""

    def mask(self, image: torch.Tensor) -> torch.Tensor:
        return (image < 0.999).any(dim=0, keepdim=True).float()


def test_mask_error_grows_with_a_wrong_mask() -> None:
    def error(radius: float) -> float:
        metric = MaskError(PerfectSegmenter())

        def look(camera: Camera) -> object:
            seen = sphere_view(camera)
            return type(seen)(seen.image, seen.depth, sphere_view(camera, radius=radius).mask, camera)

        metric.add(Scene(look, head=Predictor(tiny.generator()).sample(0)))
        return metric.results()[0].value

    values = [error(radius) for radius in (0.25, 0.22, 0.15)]
    assert values[0] < 0.01
    assert values == sorted(values)


class Looks:
    """A pose estimator that knows the answer, but for a constant error in yaw; it finds no backs."""

    def __init__(self, shift_deg: float) -> None:
        self.shift_deg, self.asked = shift_deg, iter(())

    def camera(self, image: torch.Tensor) -> tuple[Camera, str] | None:
        yaw, pitch = image[0, 0, 0].item() * 180, image[1, 0, 0].item() * 180
        return (Camera.orbit(yaw + self.shift_deg, pitch), "face") if abs(yaw) < 90 else None


def test_a_shifted_camera_is_caught_by_its_yaw_error() -> None:
    class Labeled(Scene):
        def at(self, yaw_deg: float, pitch_deg: float = 0.0) -> Frame:
            corner = torch.tensor([yaw_deg / 180, pitch_deg / 180, 0.0])
            image = corner[:, None, None].expand(3, 8, 8)
            return Frame(image, image, image[:1], image[:1], Camera.orbit(yaw_deg, pitch_deg))

    for shift in (0.0, 12.0):
        metric = CameraError(Looks(shift))
        metric.add(Labeled(None))
        found = {(result.metric, result.subset): result for result in metric.results()}
        assert found["yaw error", "all"].value == pytest.approx(shift, abs=0.01)
        assert found["pitch error", "0-30"].value == pytest.approx(0, abs=0.01)
        assert found["yaw error", "all"].details["missed_share"] == pytest.approx(0.5)
        assert math.isnan(found["yaw error", "150-180"].value)


def test_angles_go_the_short_way_round() -> None:
    yaw, pitch = angle_errors(Camera.orbit(-175, 10), Camera.orbit(175, -5))
    assert (yaw, pitch) == (pytest.approx(10, abs=0.01), pytest.approx(15, abs=0.01))


def test_shuffled_identity_is_less_alike() -> None:
    rng = np.random.default_rng(0)
    people = rng.standard_normal((6, 32))
    heads = [[person + 0.2 * rng.standard_normal(32) for _ in range(4)] for person in people]
    shuffled = [[heads[(k + i) % 6][i] for i in range(4)] for k in range(6)]
    assert similarities(heads)[0] > 0.9
    assert similarities(shuffled)[0] < 0.5
    assert math.isnan(similarities([[]])[0])


class ColorEmbedder:
    """The mean color, found on images of the front only."""

    name = "mean color"

    def embed(self, image: torch.Tensor) -> np.ndarray | None:
        return image.mean(dim=(1, 2)).numpy()


def test_identity_reports_misses_and_faces() -> None:
    metric = Identity(ColorEmbedder())
    metric.add(Scene(sphere_view))
    same = metric.results()[0]
    assert same.counts == {"heads": 1, "views": 5, "faces": 5}
    assert same.details["missed_share"] == 0


def test_all_head_metrics_are_metrics_and_survive_a_real_head() -> None:
    views = HeadViews(Predictor(tiny.generator()).sample(0), 0)
    for metric in (Consistency(), Leakage(), BackOfHead(SeesDarkEyes()), DensityChecks(resolution=8)):
        assert isinstance(metric, HeadMetric)
        metric.add(views)
        assert metric.results()


def test_depths_of_a_solid_agree_from_neighboring_views() -> None:
    away = depth_disagreement(sphere_view(Camera.orbit(10)), sphere_view(Camera.orbit(0))).abs()
    assert float(away.median()) < 0.005
