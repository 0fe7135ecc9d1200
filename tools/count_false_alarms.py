"""Count what ``prepare`` and ``reconstruct`` say about whole synthetic photos in which nothing is wrong.

::

    python tools/count_false_alarms.py --photos 200 --seed 9300 --out alarms --json alarms.json

Every photo is a room (gradients, furniture of plain shapes, noise) with one person, larger or smaller and anywhere in
it, whose whole official frame lies in the photo: an upright, well-lit head from the front, in profile, with glasses or
with a hat, in equal parts. So no photo may be refused, and every sentence but "the camera is a guess" of a profile is a
false alarm. The photos stay in the folder, to be looked at. Needs the extra ``face``.
"""

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter

from panohead.alignment import Detectors
from panohead.errors import PanoHeadError
from panohead.inversion.load_photos import read_images
from panohead.preparation import PrepareSettings, prepare
from panohead.synthetic.people import GLASSES, HEADWEAR, Person, sample_person, stream
from panohead.synthetic.person_images import develop, make_renderer
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.views import FOCAL, PersonView

KINDS = ("front", "profile", "glasses", "hat")
WIDER = 2.0
"""Field of view of the render in official frames."""
EXPECTED = ("The camera is a guess", "coarse camera", "enlarged")
"""Beginnings of sentences that are true of these photos."""


def person_of(kind: str, seed: int, index: int) -> tuple[Person, PersonView]:
    """Return a person and a view of one kind."""
    person = sample_person(seed, index)
    rng = person.stream("false alarms")
    person = replace(person, glasses="none", headwear="none")
    yaw, pitch = float(rng.uniform(-30, 30)), float(rng.uniform(-12, 12))
    if kind == "profile":
        yaw = float(rng.choice([-1, 1]) * rng.uniform(60, 100))
    if kind == "glasses":
        person = replace(person, glasses=str(rng.choice([name for name in GLASSES if name != "none"])))
    if kind == "hat":
        person = replace(person, headwear=str(rng.choice([name for name in HEADWEAR if name != "none"])))
    return person, PersonView(yaw, pitch)


def room(rng: np.random.Generator, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """Return a blurred background with edges: a wall, a floor and a few pieces of furniture."""
    # Grays with a tint.
    tints = rng.uniform(50, 210, (9, 1)) + rng.uniform(-40, 40, (9, 3))
    wall, floor, *colors = (tuple(int(v) for v in tint) for tint in tints)
    image = Image.new("RGB", (width, height), wall)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, int(height * rng.uniform(0.6, 0.95)), width, height), fill=floor)
    for color in colors:
        left, top = rng.uniform(0, width), rng.uniform(0, height)
        box = (left, top, left + rng.uniform(0.05, 0.4) * width, top + rng.uniform(0.05, 0.5) * height)
        (draw.rectangle if rng.random() < 0.7 else draw.ellipse)(box, fill=color)
    blurred = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 6))))
    return np.asarray(blurred)


def make_photo(kind: str, seed: int, index: int) -> Image.Image:
    """Return one whole photo."""
    person, view = person_of(kind, seed, index)
    rng = stream(seed, index, "photo")
    side = int(rng.integers(340, 480))
    width, height = (int(side * factor) for factor in rng.uniform((1.0, 1.0), (2.2, 1.6)))
    pixels = room(rng, width, height).copy()
    # The lower edge cuts the body, as in photos, above the end of its mesh; the frame, the middle half, is never cut.
    left, shown = int(rng.integers(-side // 4, width - 3 * side // 4 + 1)), int(0.85 * side)
    lighting = sample_lighting(person.stream("light"))
    rendered = make_renderer(person, "fast", 2)(view, lighting, side, FOCAL / WIDER)
    from_column, to_column = max(0, -left), min(side, width - left)
    place = np.s_[height - shown : height, left + from_column : left + to_column]
    behind = np.zeros((side, side, 3), np.float32)
    # Linear light of the display values.
    behind[:shown, from_column:to_column] = (pixels[place] / np.float32(255)) ** np.float32(2.2)
    pixels[place] = develop(rendered, lighting.exposure, behind, rng)[:shown, from_column:to_column]
    return Image.fromarray(pixels)


def render_photos(folder: Path, count: int, seed: int) -> list[Path]:
    """Write the photos that are not there yet; return all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        path = folder / f"{index:04d}-{kind}.jpg"
        if not path.exists():
            make_photo(kind, seed, index).save(path, quality=92, subsampling=0)
        paths.append(path)
    return paths


def notes_of_reconstruct(paths: list[Path]) -> dict[str, list[str]]:
    """Return what ``reconstruct`` says when it reads each photo; a refusal is a sentence that begins with REFUSED."""
    tools, found = Detectors(), {}
    for path in paths:
        try:
            found[path.name] = list(read_images([path], None, 128, tools=tools)[0].notes)
        except PanoHeadError as error:
            found[path.name] = [f"REFUSED: {error}"]
        for name, sentences in alarms({path.name: found[path.name]}).items():
            print(f"reconstruct {name}: {'; '.join(sentences)}", flush=True)
    return found


def notes_of_prepare(photos: Path, out: Path) -> dict[str, list[str]]:
    """Return what ``prepare`` says of each photo: reasons to leave it out, and its flags."""
    prepare([str(photos)], PrepareSettings(out=out), workers=0)
    found = {}
    for line in (out / "prepare.jsonl").read_text().splitlines():
        record = json.loads(line)
        crops = record["crops"]
        reasons = [record.get("reason", ""), *(crop["reason"] for crop in crops)]
        flags = [flag for crop in crops for flag in crop["flags"]]
        found[Path(record["photo"]).name] = [f"REFUSED: {reason}" for reason in reasons if reason] + flags
    return found


def alarms(sentences: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the false alarms by photo."""
    kept = {name: [text for text in said if not text.startswith(EXPECTED)] for name, said in sentences.items()}
    return {name: said for name, said in kept.items() if said}


def summary(found: dict[str, list[str]]) -> dict[str, dict[str, int]]:
    """Return the numbers of photos with a false alarm, and with a refusal, by kind of photo."""
    kind_of = {name: name.rpartition("-")[2].removesuffix(".jpg") for name in found}
    refused = [name for name, said in found.items() if any(text.startswith("REFUSED") for text in said)]
    return {"alarm": dict(Counter(kind_of.values())), "refused": dict(Counter(kind_of[name] for name in refused))}


def main() -> None:
    """Render, ask both commands, print counts and sentences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--seed", type=int, default=9300)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    photos = arguments.out / "photos"
    paths = render_photos(photos, arguments.photos, arguments.seed)
    found = {
        "reconstruct": alarms(notes_of_reconstruct(paths)),
        "prepare": alarms(notes_of_prepare(photos, arguments.out / "prepared")),
    }
    result = {"photos": len(paths), **{command: summary(said) for command, said in found.items()}}
    for name, sentences in found["prepare"].items():
        print(f"prepare {name}: {'; '.join(sentences)}")
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result | {"sentences": found}))


if __name__ == "__main__":
    main()
