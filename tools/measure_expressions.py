"""How well images of a model follow expression weights: against true renders of the same held-out people.

    python tools/measure_expressions.py --people 4 --out expressions.png

People of seed 9000 have never been trained on; each becomes a head by the attribute encoder, in the light of its
renders. For each expression at weight 0.8, seen from the front, in a box around mouth or eyes: PSNR of the model's
expressive image against the true expressive one; PSNR of its neutral image against the same (what ignoring the weights
would give); and ``response``, the projection of the model's change onto the true one: 1 is right, 0 is none.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from panohead import Camera, load
from panohead.attributes.editing import HeadAttributes
from panohead.attributes.vocabulary import light_numbers, shape_coordinates
from panohead.synthetic.config import NEWEST_EDITION
from panohead.synthetic.expressions import Shot
from panohead.synthetic.people import Person, sample_person
from panohead.synthetic.person_images import develop, shot_heads, shot_renderers, worn_colors
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.views import FOCAL, PersonView

SEED, WEIGHT = 9000, 0.8
EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "jawOpen": ("jawOpen",),
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
    "mouthPucker": ("mouthPucker",),
    "eyeBlink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "browInnerUp": ("browInnerUp",),
}
BOXES = {"mouth": (0.56, 0.80, 0.34, 0.66), "eyes": (0.36, 0.54, 0.26, 0.74)}
"""Top, bottom, left and right of the regions in the frontal view, in image sizes."""
REGION = {name: "eyes" if name.startswith(("eye", "brow")) else "mouth" for name in EXPRESSIONS}


def true_images(person: Person, side: int) -> tuple[dict[str, np.ndarray], dict, dict]:
    """Return frontal renders on white by expression, RGB in [0, 1], with the light's record and the clothes' colors."""
    shots = [Shot({}, (0.0, 0.0), strong=False)]
    shots += [Shot(dict.fromkeys(units, WEIGHT), (0.0, 0.0), strong=True) for units in EXPRESSIONS.values()]
    lighting = sample_lighting(person.stream("benchmark"))
    heads = shot_heads(person, shots, NEWEST_EDITION)
    images = {}
    white = np.ones((side, side, 3), np.float32)
    for name, render in zip(["", *EXPRESSIONS], shot_renderers(heads, "fast", NEWEST_EDITION), strict=True):
        rendered = render(PersonView(0.0, 0.0), lighting, side, FOCAL)
        pixels = develop(rendered, lighting.exposure, white, person.stream("benchmark")).astype(np.float64)
        images[name] = np.clip((255 + (pixels - 255) * rendered.mask[..., None]) / 255, 0, 1)
    return images, lighting.to_json(), worn_colors(heads[0])


def model_images(predictor, person: Person, light: dict, worn: dict, side: int) -> dict[str, np.ndarray]:
    """Return the model's frontal images by expression, RGB in [0, 1]."""
    encoder = predictor.attribute_encoder
    record = {**person.to_json(), **worn}
    shape, numbers = shape_coordinates(record), light_numbers(light)
    images = {}
    for name, units in {"": (), **EXPRESSIONS}.items():
        weights = dict.fromkeys(units, WEIGHT)
        vector = encoder.vocabulary.vector(record, shape, numbers, expression=weights, gaze=(0, 0))
        attributes = HeadAttributes(encoder, vector, np.zeros(encoder.config.residual, np.float32))
        frame = predictor.from_w(attributes.w()).render(Camera.orbit(0))
        images[name] = (frame.on((255, 255, 255)).image.clamp(-1, 1).permute(1, 2, 0).numpy() + 1.0) / 2
        assert images[name].shape[0] == side
    return images


def cut(image: np.ndarray, region: str) -> np.ndarray:
    top, bottom, left, right = (round(edge * len(image)) for edge in BOXES[region])
    return image[top:bottom, left:right]


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(max(float(np.mean((a - b) ** 2)), 1e-12)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--out", type=Path, help="sheet: true renders above, the model below")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictor = load(options.checkpoint)
    side = predictor.from_w(predictor.generator.mapping_network.w_avg).render(Camera.orbit(0)).image.shape[-1]
    rows, sheet = [], []
    for index in range(options.people):
        person = sample_person(SEED, index)
        true, light, worn = true_images(person, side)
        made = model_images(predictor, person, light, worn, side)
        for name in EXPRESSIONS:
            region = REGION[name]
            still, wanted, found, neutral = (cut(x, region) for x in (true[""], true[name], made[name], made[""]))
            change = (wanted - still).ravel()
            response = float((found - neutral).ravel() @ change / max(float(change @ change), 1e-9))
            rows.append((name, decibels(found, wanted), decibels(neutral, wanted), response))
        sheet += [np.concatenate([images[name] for name in ["", *EXPRESSIONS]], axis=1) for images in (true, made)]
        print(f"person {index}", [(name, round(r, 2)) for name, _, _, r in rows[-len(EXPRESSIONS) :]], flush=True)
        if options.out is not None:
            Image.fromarray((np.concatenate(sheet) * 255).round().astype(np.uint8)).save(options.out)
    table = {}
    for name in EXPRESSIONS:
        psnr, ignored, response = np.mean([row[1:] for row in rows if row[0] == name], axis=0)
        table[name] = {"region": REGION[name], "psnr": round(float(psnr), 2), "psnr_neutral": round(float(ignored), 2),
                       "response": round(float(response), 2)}  # fmt: skip
        print(name, table[name])
    if options.json is not None:
        options.json.write_text(json.dumps({"people": options.people, "expressions": table}, indent=1))


if __name__ == "__main__":
    main()
