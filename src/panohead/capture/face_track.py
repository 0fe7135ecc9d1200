"""Landmarks of one face from frame to frame of a video: the mesh in a window that follows the face.

The first face is searched in the whole frame, in all quarter turns; then MediaPipe's refined mesh (478 landmarks, the
last ten of them the irises) looks into an upright window around the last place. Where the window shows no face, the
whole frame is searched again.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.crop import cut_window
from panohead.alignment.face_landmarks import (
    WINDOW_PX,
    MediaPipeFaces,
    from_window,
    import_mediapipe,
    in_pixels,
    quiet,
    upright_window,
)

REFINED = 478
"""Landmarks of the refined mesh: the 468 of the face and five for each iris."""
FACE = 468
_SEARCH_EVERY = 5
"""Frames without a face between two searches of the whole frame, which takes some tenths of a second."""

RefinedLandmarks = Float[np.ndarray, "478 3"]
"""Pixels: x right, y down, z away from the viewer on the scale of x."""


class FaceTrack:
    """Follows one face: the largest of the first frame that shows any.

    Attributes:
        most_faces: number of faces in the frames that were searched, at most.
    """

    def __init__(self) -> None:
        self.most_faces = 0
        self._faces = MediaPipeFaces()
        self._mesh: Any = None
        self._last: Float[np.ndarray, "468 3"] | None = None
        self._missed = 0

    def next(self, frame: UInt8[np.ndarray, "height width 3"]) -> RefinedLandmarks | None:
        """Return the landmarks of the next frame; None where the face is not seen."""
        if self._last is not None:
            found = self._look(frame, self._last)
            if found is not None:
                return self._keep(found)
        if self._last is not None or self._missed % _SEARCH_EVERY == 0:
            for start in self._search(frame):
                found = self._look(frame, start)
                if found is not None:
                    return self._keep(found)
        self._last, self._missed = None, self._missed + 1
        return None

    def resume(self, found: list[RefinedLandmarks], most_faces: int) -> None:
        """Continue after the frames that another track found; rows of NaN show no face."""
        self.most_faces, self._last, self._missed = most_faces, None, 0
        for landmarks in reversed(found):
            if np.isfinite(landmarks).all():
                self._last = landmarks[:FACE] if self._missed == 0 else None
                break
            self._missed += 1

    def _keep(self, found: RefinedLandmarks) -> RefinedLandmarks:
        self._last, self._missed = found[:FACE], 0
        return found

    def _search(self, frame: UInt8[np.ndarray, "height width 3"]) -> list[Float[np.ndarray, "468 3"]]:
        faces = self._faces.faces(frame)
        self.most_faces = max(self.most_faces, len(faces))
        return faces

    def _look(
        self, frame: UInt8[np.ndarray, "height width 3"], place: Float[np.ndarray, "468 3"]
    ) -> RefinedLandmarks | None:
        if self._mesh is None:
            solution = import_mediapipe().solutions.face_mesh.FaceMesh
            self._mesh = quiet(solution, static_image_mode=True, max_num_faces=1, refine_landmarks=True)
        window = upright_window(place)
        pixels = cut_window(frame, window, WINDOW_PX, beyond="edge")
        result = self._mesh.process(pixels).multi_face_landmarks
        return from_window(in_pixels(result[0], pixels.shape), window) if result else None
