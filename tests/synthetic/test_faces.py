"""Landmarks find the rendered faces where the labels say: the proof of the sign conventions. Needs mediapipe."""

import numpy as np
import pytest

from panohead.synthetic.person_images import make_renderer, photograph
from panohead.synthetic.views import FOCAL, PersonView
from synthetic.altered import person_with

mediapipe = pytest.importorskip("mediapipe", reason="pip install 'panohead[face]'")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")  # of the code that mediapipe generates
def test_the_nose_turns_as_the_label_says() -> None:
    with mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1) as detector:
        for index in (0, 3, 6):
            person = person_with(index, hair_style="buzz", glasses="none", headwear="none")
            renderer = make_renderer(person, "fast", 1)
            leaning = {}
            for yaw in (-25.0, 0.0, 25.0, 180.0):
                _, pixels, _ = photograph(renderer, person, PersonView(yaw, 0.0), "test", 256, FOCAL)
                found = detector.process(np.ascontiguousarray(pixels)).multi_face_landmarks
                if yaw == 180.0:
                    assert not found
                    continue
                points = np.array([[p.x, p.y] for p in found[0].landmark])
                cheeks = (points[234] + points[454]) / 2
                leaning[yaw] = points[1, 0] - cheeks[0]
            # For a camera on +x the nose is turned to the left of the image.
            assert leaning[25.0] < leaning[0.0] - 0.03
            assert leaning[-25.0] > leaning[0.0] + 0.03
