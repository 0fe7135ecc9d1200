"""How true morph targets are: displaced meshes of held-out synthetic people against their true expressive skin.

    python tools/measure_morphs.py                       # 20 people by their attributes: 4 minutes of one core
    python tools/measure_morphs.py --photo --people 5    # by `reconstruct` from one photo each: 8 minutes

People of seed 9000 have never been trained on. Each becomes a head by the attribute encoder (neutral, even light), or
with ``--photo`` from one frontal photo of the person without expression, at 256 pixels and with a known camera, in a
light of its own; its mesh with targets is compared with the person's own skin. Over the vertices of the face that lie
within 8 mm of the true neutral skin and whose nearest place on it truly moves by at least 1 mm, in millimeters:

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

from panohead import Camera, load
from panohead.attributes.editing import HeadAttributes
from panohead.attributes.vocabulary import shape_coordinates
from panohead.head import Head
from panohead.mesh.head_surface import head_surface
from panohead.mesh.settings import MeshSettings
from panohead.mesh.surface import Surface
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT
from panohead.morphs.base_fit import FRAMING
from panohead.morphs.expressive import expressive_surface
from panohead.predictor import Predictor
from panohead.synthetic.basis import head_basis
from panohead.synthetic.config import NEWEST_EDITION
from panohead.synthetic.expressions import EXPRESSION_UNITS, Shot
from panohead.synthetic.people import Person, sample_person
from panohead.synthetic.person_images import develop, shot_heads, shot_renderers
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.shape import head_shapes
from panohead.synthetic.views import FOCAL, PersonView

SEED, PHOTO_SIDE = 9000, 256
NEUTRAL = Shot({}, (0.0, 0.0), strong=False)
NAMED = {
    "jawOpen": ("jawOpen",),
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
    "eyeBlink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "browInnerUp": ("browInnerUp",),
    "mouthPucker": ("mouthPucker",),
}
MM = METERS_PER_WORLD_UNIT * 1000
NEAR, MOVING = 8 / MM, 1 / MM


def head_by_attributes(predictor: Predictor, person: Person) -> tuple[Head, HeadAttributes]:
    """Return a person's head by the attribute encoder, without expression, and its attributes."""
    encoder = predictor.attribute_encoder
    assert encoder is not None, "the checkpoint has no attribute encoder"
    record, vocabulary = person.to_json(), encoder.vocabulary
    shape = shape_coordinates(record)
    light = np.zeros(vocabulary.sections["light"][1] - vocabulary.sections["light"][0], np.float32)
    vector = vocabulary.vector(record, shape, light, expression={}, gaze=(0, 0))
    attributes = HeadAttributes(encoder, vector, np.zeros(encoder.config.residual, np.float32))
    return predictor.from_w(attributes.w()), attributes


def head_by_photo(predictor: Predictor, person: Person) -> tuple[Head, HeadAttributes | None]:
    """Return a person's head by ``reconstruct`` from one frontal photo without expression, whose camera is known."""
    lighting, stream = sample_lighting(person.stream("benchmark")), person.stream("benchmark 0.0")
    (render,) = shot_renderers(shot_heads(person, [NEUTRAL], NEWEST_EDITION), "fast", NEWEST_EDITION)
    rendered = render(PersonView(0.0, 0.0), lighting, PHOTO_SIDE, FOCAL)
    pixels = develop(rendered, lighting.exposure, np.ones((PHOTO_SIDE, PHOTO_SIDE, 3), np.float32), stream)
    photo = np.rint(255 + (pixels - 255.0) * rendered.mask[..., None]).astype(np.uint8)
    camera = Camera.from_label(torch.tensor(PersonView(0.0, 0.0).label(FOCAL)))
    head = predictor.reconstruct(photo, camera, masks=[(rendered.mask * 255 + 0.5).astype(np.uint8)])
    return head, None if head.attribute_encoder is None else head.own_attributes


def surface_of(head: Head) -> Surface:
    rendering = head.generator.config.rendering
    return head_surface(
        head.density,
        MeshSettings(resolution=160),
        box_warp=rendering.box_warp,
        crop=rendering.crop_margin,
        texel=rendering.box_warp / head.generator.config.trigrid_resolution,
    )


def errors(person: Person, head: Head, attributes: HeadAttributes | None) -> dict[str, dict[str, float]]:
    """Return the figures of one person by target."""
    made = expressive_surface(surface_of(head), attributes)
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
    parser.add_argument("--photo", action="store_true", help="heads reconstructed from one photo each")
    parser.add_argument(
        "--fitted", action="store_true", help="fit to the surface alone, as for models without attributes"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictor = load(options.checkpoint)
    rows = []
    for index in range(options.people):
        person = sample_person(SEED, index)
        head, attributes = (head_by_photo if options.photo else head_by_attributes)(predictor, person)
        rows.append(errors(person, head, None if options.fitted else attributes))
        print(f"person {index}: jawOpen {rows[-1].get('jawOpen')}", flush=True)
    groups = {**NAMED, "all 52": EXPRESSION_UNITS}
    table = {}
    for label, names in groups.items():
        found = [row[name] for row in rows for name in names if name in row]
        if found:
            table[label] = {key: round(float(np.mean([f[key] for f in found])), 2) for key in found[0]}
            print(label, table[label])
    if options.json is not None:
        facts = {"people": options.people, "photo": options.photo, "fitted": options.fitted, "mm": table}
        options.json.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
