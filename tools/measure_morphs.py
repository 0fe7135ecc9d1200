"""How true morph targets are: displaced meshes of held-out synthetic people against their true expressive skin.

    python tools/measure_morphs.py --people 20 --json docs/morphs.json

People of seed 9000 have never been trained on. Each becomes a head by the attribute encoder (neutral, even light); its
mesh with targets is compared with the person's own skin. Over the vertices of the face that lie within 8 mm of the true
neutral skin and whose nearest place on it truly moves by at least 1 mm, in millimeters:

* ``offset``: mean length of the difference between the target's offset and the true one at the nearest place;
* ``still``: the same for a mesh that does not move, which is the mean length of the true offsets;
* ``surface``: mean distance of the displaced vertices from the true expressive skin, and ``neutral`` that of the
  vertices at rest from the true neutral skin, which is the error of the head itself.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from panohead import load
from panohead.attributes.editing import HeadAttributes
from panohead.attributes.vocabulary import shape_coordinates
from panohead.mesh.head_surface import head_surface
from panohead.mesh.settings import MeshSettings
from panohead.mesh.surface import Surface
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT
from panohead.morphs.base_fit import FRAMING
from panohead.morphs.expressive import expressive_surface
from panohead.predictor import Predictor
from panohead.synthetic.basis import head_basis
from panohead.synthetic.expressions import EXPRESSION_UNITS
from panohead.synthetic.people import Person, sample_person
from panohead.synthetic.shape import head_shapes

SEED = 9000
NAMED = {
    "jawOpen": ("jawOpen",),
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
    "eyeBlink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "browInnerUp": ("browInnerUp",),
    "mouthPucker": ("mouthPucker",),
}
MM = METERS_PER_WORLD_UNIT * 1000
NEAR, MOVING = 8 / MM, 1 / MM


def head_of(predictor: Predictor, person: Person) -> tuple[Surface, HeadAttributes]:
    """Return the surface of a person's head by the attribute encoder, without expression, and its attributes."""
    encoder = predictor.attribute_encoder
    assert encoder is not None, "the checkpoint has no attribute encoder"
    record, vocabulary = person.to_json(), encoder.vocabulary
    shape = shape_coordinates(record)
    light = np.zeros(vocabulary.sections["light"][1] - vocabulary.sections["light"][0], np.float32)
    vector = vocabulary.vector(record, shape, light, expression={}, gaze=(0, 0))
    attributes = HeadAttributes(encoder, vector, np.zeros(encoder.config.residual, np.float32))
    head = predictor.from_w(attributes.w())
    rendering = head.generator.config.rendering
    surface = head_surface(
        head.density,
        MeshSettings(resolution=160),
        box_warp=rendering.box_warp,
        crop=rendering.crop_margin,
        texel=rendering.box_warp / head.generator.config.trigrid_resolution,
    )
    return surface, attributes


def errors(predictor: Predictor, person: Person, fitted: bool) -> dict[str, dict[str, float]]:
    """Return the figures of one person by target; ``fitted``: without the attributes, by the surface alone."""
    surface, attributes = head_of(predictor, person)
    made = expressive_surface(surface, None if fitted else attributes)
    points = made.surface.vertices[: made.outer_count].astype(np.float64)
    basis = head_basis()
    outer = np.flatnonzero(basis.masks["inside-mouth"] < 0.5)
    still, *shapes = head_shapes(person, [{}, *({name: 1.0} for name in EXPRESSION_UNITS)])
    skin = FRAMING.to_world(basis.subdivide(still))[outer]
    away, nearest = cKDTree(skin).query(points)
    result = {}
    for name, shape in zip(EXPRESSION_UNITS, shapes, strict=True):
        moved = FRAMING.to_world(basis.subdivide(shape))[outer]
        true = (moved - skin)[nearest]
        chosen = (away < NEAR) & (np.linalg.norm(true, axis=1) > MOVING)
        if chosen.sum() < 10:
            continue
        own = made.offsets[name][: made.outer_count].astype(np.float64)
        distance, _ = cKDTree(moved).query((points + own)[chosen])
        result[name] = {
            "offset": float(np.linalg.norm(own - true, axis=1)[chosen].mean()) * MM,
            "still": float(np.linalg.norm(true, axis=1)[chosen].mean()) * MM,
            "surface": float(distance.mean()) * MM,
            "neutral": float(away[chosen].mean()) * MM,
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument(
        "--fitted", action="store_true", help="fit to the surface alone, as for models without attributes"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictor = load(options.checkpoint)
    rows = []
    for index in range(options.people):
        rows.append(errors(predictor, sample_person(SEED, index), options.fitted))
        print(f"person {index}: jawOpen {rows[-1].get('jawOpen')}", flush=True)
    groups = {**NAMED, "all 52": EXPRESSION_UNITS}
    table = {}
    for label, names in groups.items():
        found = [row[name] for row in rows for name in names if name in row]
        if found:
            table[label] = {key: round(float(np.mean([f[key] for f in found])), 2) for key in found[0]}
            print(label, table[label])
    if options.json is not None:
        options.json.write_text(json.dumps({"people": options.people, "fitted": options.fitted, "mm": table}, indent=1))


if __name__ == "__main__":
    main()
