"""Parts of a head: which part every triangle and every strand of a scene shows."""

import enum

import numpy as np
from jaxtyping import Bool, Float, UInt8

from panohead.synthetic.basis import head_basis
from panohead.synthetic.eyes import iris_vertices
from panohead.synthetic.hair.growth import hairline_density
from panohead.synthetic.head import SyntheticHead
from panohead.synthetic.mesh import Material
from panohead.synthetic.people import Person
from panohead.synthetic.regions import beard_mask, brow_mask


class HeadPart(enum.IntEnum):
    """Labels of a part map. Skin is what no other label takes; the neck includes bare shoulders."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    BROWS = 3
    EYE = 4
    IRIS = 5
    NOSE = 6
    LIPS = 7
    MOUTH = 8
    EARS = 9
    NECK = 10
    BEARD = 11
    GLASSES = 12
    HEADWEAR = 13
    CLOTHES = 14


PARTS = tuple(part.name.lower() for part in HeadPart)
"""Names of the labels, in their order."""
COLORS = (
    (255, 255, 255), (232, 190, 160), (90, 60, 30), (40, 30, 20), (240, 240, 255), (40, 110, 220), (240, 150, 110),
    (210, 50, 70), (110, 0, 30), (200, 120, 200), (200, 150, 110), (140, 100, 50), (20, 20, 20), (60, 160, 90),
    (110, 130, 170),
)  # fmt: skip
"""Color of every label in the PNG files, 0..255."""
_STRANDS = {"hair": HeadPart.HAIR, "brow": HeadPart.BROWS, "beard": HeadPart.BEARD}
_NECK_Z, _NECK_Y = [0.6, 0.8, 1.05, 1.16, 1.3, 1.4], [6.68, 6.62, 6.42, 6.32, 6.2, 6.13]
_NOSE_Y, _NOSE_X = [6.79, 6.84, 6.95, 7.1, 7.38], [0.10, 0.185, 0.175, 0.11, 0.055]
_BROW_THICKNESS = 0.85
_COVERED = 0.5
"""Density of hair roots above which skin counts as covered by them."""


def skin_labels(person: Person) -> UInt8[np.ndarray, "fine"]:
    """Return the part of each fine vertex of the skin.

    Between the roots of hair, brows and beards (all but stubble) the skin counts as these.
    """
    basis = head_basis()
    masks, (x, y, z) = basis.masks, basis.neutral.T
    labels = np.full(len(x), HeadPart.SKIN, np.uint8)
    labels[y < np.interp(z, _NECK_Z, _NECK_Y)] = HeadPart.NECK
    nose = (np.abs(x) < np.interp(y, _NOSE_Y, _NOSE_X)) & (y > _NOSE_Y[0]) & (y < _NOSE_Y[-1]) & (z > 1.38)
    labels[nose & (masks["inside-mouth"] < 0.5)] = HeadPart.NOSE
    labels[masks["ears"] > 0.5] = HeadPart.EARS
    if person.hair_style != "bald":
        labels[hairline_density(person) > _COVERED] = HeadPart.HAIR
    if person.beard not in ("none", "stubble"):
        labels[beard_mask({"short": "full"}.get(person.beard, person.beard)) > _COVERED] = HeadPart.BEARD
    labels[brow_mask(_BROW_THICKNESS) > _COVERED] = HeadPart.BROWS
    labels[masks["lips"] > 0.5] = HeadPart.LIPS
    labels[masks["inside-mouth"] > 0.5] = HeadPart.MOUTH
    return labels


def triangle_labels(head: SyntheticHead) -> UInt8[np.ndarray, "triangle"]:
    """Return the part of each triangle, in the order of the head's parts."""
    labels, cloth = [], 0
    for part in head.parts:
        match part.material:
            case Material.SKIN:
                of_vertices = skin_labels(head.person)[head.skin_vertices]
                # The second of three sorted labels: the one that two of them share, if any do.
                labels.append(np.sort(of_vertices[part.triangles], axis=1)[:, 1])
                continue
            case Material.EYE:
                in_iris = iris_vertices()[part.triangles].all(1)
                labels.append(np.where(in_iris, HeadPart.IRIS, HeadPart.EYE).astype(np.uint8))
                continue
            case Material.TEETH:
                label = HeadPart.MOUTH
            case Material.CLOTH:
                is_garment = cloth == 0 and head.person.clothes != "none"
                label, cloth = HeadPart.CLOTHES if is_garment else HeadPart.HEADWEAR, cloth + 1
            case _:
                label = HeadPart.GLASSES
        labels.append(np.full(len(part.triangles), label, np.uint8))
    return np.concatenate(labels)


def shown_strands(
    head: SyntheticHead,
) -> tuple[
    Float[np.ndarray, "point 3"], Float[np.ndarray, "point"], Bool[np.ndarray, "point"], UInt8[np.ndarray, "point"]
]:
    """Return points, radii, whether another point of the strand follows, and parts of all strands but lashes.

    Lashes would cover the eyes that they stand before.
    """
    points, radii, follows, labels = [np.zeros((0, 3))], [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0, np.uint8)]
    for strands in head.strands:
        if strands.kind not in _STRANDS:
            continue
        count, steps = strands.points.shape[:2]
        points.append(strands.points.reshape(-1, 3))
        radii.append(np.tile(strands.taper() * strands.radius, count))
        follows.append(np.tile(np.arange(steps) < steps - 1, count))
        labels.append(np.full(count * steps, _STRANDS[strands.kind], np.uint8))
    return np.concatenate(points), np.concatenate(radii), np.concatenate(follows), np.concatenate(labels)
