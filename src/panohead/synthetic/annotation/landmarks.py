"""Landmarks: 68 points of the face in the order of iBUG's, the irises, the ears, and the back of the head.

Every point but the irises is a vertex of the head basis, so it follows identity and expression exactly.
"""

import functools

import numpy as np
from jaxtyping import Bool, Float, Int

from panohead.synthetic.basis import head_basis
from panohead.synthetic.head import SyntheticHead
from panohead.synthetic.mesh import Material

# Neutral positions (decimeters of the head basis) of the points of one half and of the middle, by their numbers. Found
# by MediaPipe's landmarks of 14 bald synthetic people, carried to the neutral head, median, mirrored mean.
_HALF = {
    0: (-0.720, 7.340, 0.655), 1: (-0.711, 7.180, 0.684), 2: (-0.703, 7.035, 0.689), 3: (-0.682, 6.877, 0.657),
    4: (-0.617, 6.704, 0.807), 5: (-0.487, 6.482, 1.049), 6: (-0.402, 6.386, 1.152), 7: (-0.246, 6.254, 1.292),
    8: (0.000, 6.184, 1.392), 17: (-0.587, 7.483, 1.174), 18: (-0.535, 7.537, 1.255), 19: (-0.431, 7.558, 1.359),
    20: (-0.294, 7.556, 1.445), 21: (-0.152, 7.539, 1.503), 27: (0.000, 7.342, 1.506), 28: (0.000, 7.207, 1.529),
    29: (0.000, 7.065, 1.604), 30: (0.000, 6.974, 1.663), 31: (-0.123, 6.840, 1.514), 32: (-0.067, 6.804, 1.545),
    33: (0.000, 6.800, 1.569), 36: (-0.454, 7.293, 1.349), 37: (-0.389, 7.325, 1.396), 38: (-0.283, 7.326, 1.399),
    39: (-0.175, 7.279, 1.393), 40: (-0.276, 7.244, 1.389), 41: (-0.382, 7.248, 1.385), 48: (-0.253, 6.611, 1.422),
    49: (-0.151, 6.702, 1.538), 50: (-0.073, 6.717, 1.581), 51: (0.000, 6.692, 1.598), 59: (-0.142, 6.528, 1.502),
    58: (-0.076, 6.501, 1.530), 57: (0.000, 6.492, 1.541), 60: (-0.234, 6.613, 1.423), 61: (-0.050, 6.620, 1.526),
    62: (0.000, 6.618, 1.530), 67: (-0.051, 6.610, 1.522), 66: (0.000, 6.614, 1.535),
}  # fmt: skip
_PAIRS = (
    *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (59, 55), (58, 56),
    (60, 64), (61, 63), (67, 65), (68, 69), (70, 73), (71, 74), (72, 75),
)  # fmt: skip
IRISES = (68, 69)
"""Numbers of the irises' centers, the viewer's left one first (of a face seen from the front)."""
_LOWER_INNER_LIP = (65, 66, 67)
_UPPER_INNER_LIP = (61, 62, 63)
_JAW_MOVES = 0.1  # decimeters that an open jaw moves the lower lip by at least, and the upper one by at most

LANDMARKS = (
    *(f"jaw{i}" for i in range(17)), *(f"brow_left{i}" for i in range(5)), *(f"brow_right{i}" for i in range(5)),
    *(f"nose_bridge{i}" for i in range(4)), *(f"nose_base{i}" for i in range(5)),
    *(f"eye_left{i}" for i in range(6)), *(f"eye_right{i}" for i in range(6)), *(f"lips_outer{i}" for i in range(12)),
    *(f"lips_inner{i}" for i in range(8)), "iris_left", "iris_right", "ear_left_top", "ear_left_back",
    "ear_left_lobe", "ear_right_top", "ear_right_back", "ear_right_lobe", "crown", "back", "nape",
)  # fmt: skip
"""Names of the points. Left and right are the viewer's, of a face seen from the front."""


def _mirrored() -> tuple[int, ...]:
    order = list(range(len(LANDMARKS)))
    for a, b in _PAIRS:
        order[a], order[b] = b, a
    return tuple(order)


MIRRORED = _mirrored()
"""For every point the number of the one that takes its place in a mirrored image."""


@functools.cache
def landmark_vertices() -> Int[np.ndarray, "landmark"]:
    """Return the fine vertex of every point; -1 for the irises, which are no skin."""
    basis = head_basis()
    neutral = basis.neutral
    jaw = basis.offsets[basis.target_index["expression/jawOpen"], : basis.body_count].astype(np.float64)
    falls = -(basis.refine @ jaw[:, 1])
    places = dict(_HALF)
    for a, b in _PAIRS:
        known, other = (a, b) if a in places else (b, a)
        if known in places:
            x, y, z = places[known]
            places[other] = (-x, y, z)
    found = np.full(len(LANDMARKS), -1, np.int64)
    for number, place in places.items():
        allowed = basis.masks["inside-mouth"] < 0.9
        if number in _UPPER_INNER_LIP:
            allowed = falls < _JAW_MOVES
        elif number in _LOWER_INNER_LIP:
            allowed = falls > _JAW_MOVES
        found[number] = _nearest(neutral, np.array(place), allowed)
    for first, side in ((70, -1), (73, 1)):
        ear = (basis.masks["ears"] > 0.5) & (neutral[:, 0] * side > 0)
        heights, depths = np.where(ear, neutral[:, 1], np.nan), np.where(ear, neutral[:, 2], np.nan)
        found[first : first + 3] = np.nanargmax(heights), np.nanargmin(depths), np.nanargmin(heights)
    middle = np.abs(neutral[:, 0]) < 0.01
    found[76] = np.argmax(np.where(middle, neutral[:, 1], -np.inf))
    found[77] = np.argmin(np.where(middle & (neutral[:, 1] > 7.0), neutral[:, 2], np.inf))
    found[78] = np.argmin(np.where(middle & (np.abs(neutral[:, 1] - 6.6) < 0.05), neutral[:, 2], np.inf))
    return found


def _nearest(
    points: Float[np.ndarray, "fine 3"], place: Float[np.ndarray, "3"], allowed: Bool[np.ndarray, "fine"]
) -> int:
    return int(np.argmin(np.where(allowed, ((points - place) ** 2).sum(1), np.inf)))


def landmark_points(head: SyntheticHead) -> Float[np.ndarray, "landmark 3"]:
    """Return the points of a head in world units."""
    vertices = landmark_vertices()
    points: Float[np.ndarray, "landmark 3"] = head.skin[vertices]
    eyes = [part.vertices for part in head.parts if part.material == Material.EYE]
    # The first vertex of an eyeball is its pole, the middle of the pupil.
    poles = sorted((vertices[0] for vertices in eyes), key=lambda pole: float(pole[0]))
    points[list(IRISES)] = poles
    return points
