"""Count what ``prepare`` and ``reconstruct`` say about whole synthetic photos in which nothing is wrong.

::

    python tools/count_false_alarms.py --photos 200 --seed 9300 --out alarms --json alarms.json

Every photo is a room (gradients, furniture of plain shapes, noise) with one person, larger or smaller and anywhere in
it, whose whole official frame lies in the photo: an upright, well-lit head from the front, in profile, with glasses or
with a hat, in equal parts. So no photo may be refused, and every sentence but "the camera is a guess" of a profile is a
false alarm. Whether a head that is taken is where it was rendered is counted too. The photos stay in the folder, to be
looked at, and what is said about each beside it: stopped and started again, the tool continues. About 10 CPU minutes;
``--part 1/4`` to ``--part 4/4`` share them among processes. Needs the extra ``face``.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter

from panohead.alignment import Alignment, Detectors, align_image
from panohead.alignment.read_photo import load_photo
from panohead.errors import PanoHeadError
from panohead.inversion.load_photos import read_images
from panohead.preparation import PrepareSettings, prepare
from panohead.synthetic.people import GLASSES, HEADWEAR, Person, sample_person, stream
from panohead.synthetic.person_images import develop, make_renderer
from panohead.synthetic.renderer.lighting import sample_lighting
from panohead.synthetic.views import FOCAL, PersonView
from panohead.system.atomic_write import atomic_path, write_json

KINDS = ("front", "profile", "glasses", "hat")
DETECTORS = Detectors()
SHOWN = 0.85
"""Share of the height of a render that is in its photo: the body's mesh ends below."""
MAX_YAW_ERROR_DEG = 36.0
"""Error of the yaw up to which a head counts as placed."""
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


@dataclass(frozen=True)
class PhotoPlan:
    """Everything of a photo but its pixels.

    Attributes:
        person, view: who is seen and from where.
        background: the room.
        left, top: place of the square in which the person is rendered, pixels; its middle half is the official frame.
        side: side of that square.
        rng: random numbers for the noise.
    """

    person: Person
    view: PersonView
    background: UInt8[np.ndarray, "height width 3"]
    left: int
    top: int
    side: int
    rng: np.random.Generator

    def is_placed(self, alignment: Alignment) -> bool:
        """Return True for an alignment that is about right."""
        frame = self.side / 2
        middle = np.array([self.left, self.top]) + frame - 0.5
        corners = alignment.crop.frame_corners()
        away = np.abs(corners.mean(axis=0) - middle).max() / frame
        size = float(np.hypot(*(corners[3] - corners[0]))) / frame
        yaw_error = abs((alignment.angles_deg[0] - self.view.yaw_deg + 180) % 360 - 180)
        return bool(yaw_error < MAX_YAW_ERROR_DEG and away < 0.25 and 1 / 1.3 < size < 1.3)


def plan_photo(kind: str, seed: int, index: int) -> PhotoPlan:
    """Return the plan of one photo."""
    person, view = person_of(kind, seed, index)
    rng = stream(seed, index, "photo")
    side = int(rng.integers(340, 480))
    width, height = (int(side * factor) for factor in rng.uniform((1.0, 1.0), (2.2, 1.6)))
    background = room(rng, width, height)
    # The lower edge cuts the body, as in photos, above the end of its mesh; the frame, the middle half, is never cut.
    left = int(rng.integers(-side // 4, width - 3 * side // 4 + 1))
    return PhotoPlan(person, view, background, left, height - int(SHOWN * side), side, rng)


def make_photo(plan: PhotoPlan) -> Image.Image:
    """Return one whole photo."""
    pixels, side = plan.background.copy(), plan.side
    (_, width), left, shown = pixels.shape[:2], plan.left, int(SHOWN * side)
    lighting = sample_lighting(plan.person.stream("light"))
    rendered = make_renderer(plan.person, "fast", 2)(plan.view, lighting, side, FOCAL / WIDER)
    from_column, to_column = max(0, -left), min(side, width - left)
    place = np.s_[plan.top : plan.top + shown, left + from_column : left + to_column]
    behind = np.zeros((side, side, 3), np.float32)
    # Linear light of the display values.
    behind[:shown, from_column:to_column] = (pixels[place] / np.float32(255)) ** np.float32(2.2)
    pixels[place] = develop(rendered, lighting.exposure, behind, plan.rng)[:shown, from_column:to_column]
    return Image.fromarray(pixels)


def photo_paths(folder: Path, count: int) -> list[Path]:
    """Return the paths of all photos."""
    return [folder / f"{index:04d}-{KINDS[index % len(KINDS)]}.jpg" for index in range(count)]


def render_photos(paths: list[Path], seed: int) -> None:
    """Write the photos that are not there yet."""
    for path in paths:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            number, _, kind = path.stem.partition("-")
            with atomic_path(path) as temporary:
                make_photo(plan_photo(kind, seed, int(number))).save(temporary, quality=92, subsampling=0)


def is_of_part(path: Path, part: str) -> bool:
    """Return True for a photo of the part "I/N", by its number; part 1/1 has all."""
    which, parts = (int(number) for number in part.split("/"))
    return int(path.name[:4]) % parts == which - 1


def notes_of_reconstruct(path: Path) -> list[str]:
    """Return what ``reconstruct`` says when it reads a photo; a refusal is a sentence that begins with REFUSED."""
    try:
        return list(read_images([path], None, 128, tools=DETECTORS)[0].notes)
    except PanoHeadError as error:
        return [f"REFUSED: {error}"]


def examine(path: Path, seed: int) -> None:
    """Write beside a photo what is said about it, and whether the head that is found is in its place."""
    found = path.with_suffix(".json")
    if found.exists():
        return
    number, _, kind = path.stem.partition("-")
    alignment = align_image(load_photo(path).pixels, DETECTORS)
    placed = alignment is not None and plan_photo(kind, seed, int(number)).is_placed(alignment)
    write_json(found, {"notes": notes_of_reconstruct(path), "placed": placed})
    for name, sentences in alarms({path.name: json.loads(found.read_text())["notes"]}).items():
        print(f"reconstruct {name}: {'; '.join(sentences)}", flush=True)


def notes_of_prepare(photos: list[Path], out: Path) -> dict[str, list[str]]:
    """Return what ``prepare`` says of each photo: reasons to leave it out, and its flags."""
    prepare(photos, PrepareSettings(out=out), workers=0)
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


def kinds(names: Iterable[str]) -> dict[str, int]:
    """Return the numbers of photos by kind."""
    return dict(Counter(Path(name).stem.rpartition("-")[2] for name in names))


def summary(found: dict[str, list[str]]) -> dict[str, dict[str, int]]:
    """Return the numbers of photos with a false alarm, and with a refusal, by kind of photo."""
    refused = [name for name, said in found.items() if any(text.startswith("REFUSED") for text in said)]
    return {"alarm": kinds(found), "refused": kinds(refused)}


def main() -> None:
    """Render, ask both commands, print counts and sentences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--seed", type=int, default=9300)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", default="1/1", help="only the I-th of N parts: one process each, then one without")
    arguments = parser.parse_args()
    photos = arguments.out / "photos"
    paths = photo_paths(photos, arguments.photos)
    mine = [path for path in paths if is_of_part(path, arguments.part)]
    render_photos(mine, arguments.seed)
    for path in mine:
        examine(path, arguments.seed)
    if len(mine) < len(paths):
        return
    known = {path.name: json.loads(path.with_suffix(".json").read_text()) for path in paths}
    found = {
        "reconstruct": alarms({name: record["notes"] for name, record in known.items()}),
        "prepare": alarms(notes_of_prepare(paths, arguments.out / "prepared")),
    }
    result = {"photos": len(paths), **{command: summary(said) for command, said in found.items()}}
    refused = {name for name, record in known.items() if any(text.startswith("REFUSED") for text in record["notes"])}
    result["taken"] = kinds(name for name in known if name not in refused)
    result["taken and placed"] = kinds(name for name in known if name not in refused and known[name]["placed"])
    for name, sentences in found["prepare"].items():
        print(f"prepare {name}: {'; '.join(sentences)}")
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result | {"sentences": found}))


if __name__ == "__main__":
    main()
