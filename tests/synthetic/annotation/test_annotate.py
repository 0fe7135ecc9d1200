"""Part maps and landmarks: laws of geometry, and agreement with the renderer."""

import dataclasses

import numpy as np
import pytest

from panohead.synthetic.annotation import LANDMARKS, MIRRORED, Annotation, HeadPart, annotate, labeled_scene
from panohead.synthetic.annotation.landmarks import landmark_points, landmark_vertices
from panohead.synthetic.basis import head_basis
from panohead.synthetic.head import SyntheticHead, build_head
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.renderer.render import render
from panohead.synthetic.renderer.scene import Scene
from panohead.synthetic.views import FOCAL, RADIUS, PersonView
from synthetic.altered import person_with

_SIDE = 96


def _seen(head: SyntheticHead, yaw: float, pitch: float = 0.0) -> Annotation:
    return annotate(labeled_scene(head), PersonView(yaw, pitch), _SIDE, FOCAL)


def _area(found: Annotation, part: HeadPart) -> int:
    return int((found.parts == part).sum())


def _visible(found: Annotation, name: str) -> bool:
    return bool(found.landmarks[LANDMARKS.index(name), 2])


@pytest.fixture(scope="module")
def bald() -> SyntheticHead:
    return build_head(
        person_with(hair_style="bald", beard="none", clothes="crew", glasses="none", headwear="none", expression={})
    )


def test_the_background_is_where_the_mask_is_empty(short_head: SyntheticHead, short_scene: Scene) -> None:
    view = PersonView(35, 8)
    mask = render(short_scene, view, sample_lighting(np.random.default_rng(0)), _SIDE, FOCAL).mask
    parts = annotate(labeled_scene(short_head), view, _SIDE, FOCAL).parts
    assert (parts[mask == 0] == HeadPart.BACKGROUND).all()
    assert (parts[mask > 0.99] == HeadPart.BACKGROUND).sum() <= 3, "none but tips of lashes, which are left out"


def test_every_part_is_where_it_is_on_a_head(bald: SyntheticHead) -> None:
    front, back, side = _seen(bald, 0), _seen(bald, 180), _seen(bald, 90)
    for part in (HeadPart.SKIN, HeadPart.BROWS, HeadPart.IRIS, HeadPart.NOSE, HeadPart.LIPS, HeadPart.NECK):
        assert _area(front, part) > 3, part.name
    for part in (HeadPart.BROWS, HeadPart.EYE, HeadPart.IRIS, HeadPart.NOSE, HeadPart.LIPS, HeadPart.MOUTH):
        assert _area(back, part) == 0, part.name
    for found in (front, back, side):
        for part in (HeadPart.HAIR, HeadPart.BEARD, HeadPart.GLASSES, HeadPart.HEADWEAR):
            assert _area(found, part) == 0, part.name
    assert _area(side, HeadPart.EARS) > _area(front, HeadPart.EARS) > 0
    rows = {part: np.argwhere(front.parts == part)[:, 0].mean() for part in HeadPart if _area(front, part)}
    order = [HeadPart.BROWS, HeadPart.IRIS, HeadPart.NOSE, HeadPart.LIPS, HeadPart.NECK, HeadPart.CLOTHES]
    assert [rows[part] for part in order] == sorted(rows[part] for part in order)


def test_hair_beard_glasses_and_headwear_have_their_labels(long_head: SyntheticHead) -> None:
    found = _seen(long_head, 20)
    for part in (HeadPart.HAIR, HeadPart.BEARD, HeadPart.GLASSES):
        assert _area(found, part) > 5, part.name
    assert _area(_seen(long_head, 180), HeadPart.HAIR) > 500
    hat = build_head(person_with(hair_style="short", headwear="beanie", clothes="none", glasses="none"))
    assert _area(_seen(hat, 0), HeadPart.HEADWEAR) > 300
    assert _area(_seen(hat, 0), HeadPart.CLOTHES) == 0, "bare shoulders; the only cloth is the hat"


def test_landmarks_are_where_the_camera_sees_the_points(bald: SyntheticHead) -> None:
    view = PersonView(-40, 15)
    found = annotate(labeled_scene(bald), view, _SIDE, FOCAL).landmarks
    pose = view.cam2world()
    for point, (column, row, _) in zip(landmark_points(bald), found, strict=True):
        local = pose[:3, :3].T @ (point - pose[:3, 3])
        np.testing.assert_allclose([column, row], (local[:2] / local[2] * FOCAL + 0.5) * _SIDE, atol=0.02)
    assert np.linalg.norm(pose[:3, 3]) == pytest.approx(RADIUS)


def test_visible_is_what_nothing_hides(bald: SyntheticHead, long_head: SyntheticHead) -> None:
    front, back, left, right = (_seen(bald, yaw) for yaw in (0, 180, 90, -90))
    for name in ("nose_bridge3", "jaw8", "brow_left2", "eye_right0", "lips_outer3", "iris_left", "iris_right"):
        assert _visible(front, name), name
        assert not _visible(back, name), name
    assert _visible(back, "back")
    assert not _visible(front, "back")
    # Yaw 90 looks from +x, the viewer's right of a frontal face.
    assert _visible(left, "ear_right_lobe")
    assert not _visible(left, "ear_left_lobe")
    assert _visible(right, "ear_left_lobe")
    assert not _visible(_seen(long_head, 180), "nape"), "under hair"


def test_closed_lids_hide_the_irises(bald: SyntheticHead) -> None:
    blink = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
    closed = _seen(build_head(dataclasses.replace(bald.person, expression=blink)), 0)
    assert not _visible(closed, "iris_left")
    assert not _visible(closed, "iris_right")
    assert _area(closed, HeadPart.IRIS) == 0
    assert _visible(closed, "eye_left0"), "the corner of the eye stays"


def test_an_open_jaw_parts_the_inner_lips(bald: SyntheticHead) -> None:
    opened = _seen(build_head(dataclasses.replace(bald.person, expression={"jawOpen": 0.8})), 0)
    upper, lower = (LANDMARKS.index(name) for name in ("lips_inner2", "lips_inner6"))
    gap = opened.landmarks[lower, 1] - opened.landmarks[upper, 1]
    assert gap > 4
    assert _area(opened, HeadPart.MOUTH) > 10
    still = _seen(bald, 0).landmarks
    assert abs(still[lower, 1] - still[upper, 1]) < 1.5


def test_the_mirrored_order_is_that_of_the_mirrored_head() -> None:
    assert [MIRRORED[MIRRORED[i]] for i in range(len(LANDMARKS))] == list(range(len(LANDMARKS)))
    vertices = landmark_vertices()
    neutral = head_basis().neutral
    for a, b in enumerate(MIRRORED):
        if vertices[a] >= 0:
            np.testing.assert_allclose(neutral[vertices[a]] * [-1, 1, 1], neutral[vertices[b]], atol=0.02)
    assert len(set(vertices.tolist())) == len(vertices) - 1, "no vertex twice, but for the irises' -1"
