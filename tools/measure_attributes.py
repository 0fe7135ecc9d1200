"""Measure the attribute sliders of a checkpoint: is what is set also seen, and what else moves?

    python tools/measure_attributes.py HELD_OUT --json docs/attributes.json --page docs/attributes.md

HELD_OUT is a folder of ``panohead synthesize``, finished or not, of people whom neither the checkpoint nor the network
that knows heads (``panohead.perceptual.head_parts``) was trained on. Each slider is set to five values on the heads of
these people, made by the attribute encoder under one neutral light and without glasses and headwear, and read off
their front views: lightness of skin and hair, the hair's share of the image and the width of the neck in the pixels
that the network's part map names (``panohead.perceptual.image_measures``), all else by the network's own numbers. It
learned from renders, never from the model. What a reader tells of HELD_OUT's own front views is its ceiling. Without
HELD_OUT only the page is written, from the figures of an earlier run.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from panohead import Camera, load
from panohead.attributes.editing import HeadAttributes
from panohead.attributes.estimate import prior
from panohead.attributes.named import ChoiceAttribute, Value
from panohead.attributes.vocabulary import shape_coordinates
from panohead.head import Head
from panohead.perceptual import HeadParts, load_head_parts
from panohead.perceptual.head_parts import SIDE
from panohead.perceptual.image_measures import hair_lightness_seen, hair_share, neck_width, skin_lightness
from panohead.predictor import Predictor
from panohead.training.head_parts.views import NUMBERS, hair_lightness

FRONT_DEG, LEVEL_DEG = 25.0, 20.0
SLIDERS: dict[str, tuple[float, float]] = {
    "age": (10, 80), "skin_tone": (0, 1), "hair_melanin": (0.15, 1.2), "hair_length": (0, 1), "weight": (0, 1),
    "gender": (0, 1), "brightness": (-2.0, -0.3), "smile": (0, 1), "jawOpen": (0, 1),
}  # fmt: skip
"""Sliders and the ends between which they are set."""
GOALS = ("age", "skin_tone", "hair_melanin", "hair_length", "weight")
"""Sliders with a goal, measured on all people; the others on a third of them."""
COLUMNS = ("age", "skin_tone", "hair_lightness", "hair_length", "weight", "gender", "brightness", "smile", "jawOpen")
"""Numbers that are read off images, in the order of SLIDERS."""
IN_PIXELS = ("skin_tone", "hair_lightness", "hair_length", "weight")
"""Those of them that are measured in pixels; the network tells the others."""
NETWORK = "the network's number"
SEEN_AS = {
    "skin_tone": "darkness of the face", "hair_melanin": "lightness of the hair",
    "hair_length": "share of the image that is hair", "weight": "width of the neck",
}  # fmt: skip
"""What is measured for a slider in pixels."""
BESIDE: dict[str, dict[str, Value]] = {"hair_melanin": {"gray_hair": 0.0}, "weight": {"hair_style": "short"}}
"""What else is set for a slider: gray hair has no other color, and long hair covers the neck, where weight shows."""
VALUES = 5
BATCH = 32
PREDICTOR = "front views, whose ceiling is"
"""How the page names the readers of its figures."""


@dataclass(kw_only=True)
class Options:
    """Measure the attribute sliders of a checkpoint."""

    held_out: tyro.conf.Positional[Path | None] = None
    """Dataset of the known people; without one only the page is written."""
    head_parts: Path | None = None
    """Network that knows heads; the bundled one if not given."""
    people: int = 40
    """Known people whose heads are changed."""
    looked_at: int = 6
    """Known people for the change of the image by every attribute."""
    checkpoint: str = "demo"
    """Model."""
    json: Path = Path("docs/attributes.json")
    """File of the figures."""
    page: Path | None = None
    """Page whose tables are written anew from the figures."""
    strips: Path | None = None
    """Image with strips to write."""


def records(dataset: Path) -> list[dict[str, Any]]:
    """Return the people of a finished or growing dataset."""
    whole = dataset / "people.jsonl"
    if whole.is_file():
        return [json.loads(line) for line in whole.read_text().splitlines()]
    return [json.loads(file.read_text()) for file in sorted((dataset / "parts").glob("*.json"))]


def targets(record: dict[str, Any], view: dict[str, Any]) -> list[float]:
    """Return the true numbers of COLUMNS of one view; NaN where it does not show one."""
    expression = record["shots"][view.get("shot", 0)]["expression"] if "shots" in record else record["expression"]
    values = (NUMBERS[name](record, view, expression, abs(view["yaw_deg"])) for name in COLUMNS)
    return [np.nan if value is None else float(value) for value in values]


def photo_over_white(dataset: Path, name: str) -> Float[Tensor, "3 height width"]:
    """Return a view of the dataset over white, [-1, 1]."""
    with Image.open(dataset / "images" / name) as image, Image.open(dataset / "masks" / mask_name(name)) as mask:
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 127.5 - 1
        share = torch.from_numpy(np.array(mask.convert("L"))).float() / 255
    return pixels * share + 1 - share


def mask_name(name: str) -> str:
    """Return the name of the mask of an image."""
    return str(Path(name).with_suffix(".png"))


def head_over_white(head: Head) -> Float[Tensor, "3 height width"]:
    """Return a head's front view over white, [-1, 1]."""
    frame = head.render(Camera.orbit())
    image = frame.image.clamp(-1, 1)
    if frame.mask.shape[-2:] != image.shape[-2:]:
        return image  # The demo model's own background is white already.
    return image * frame.mask + 1 - frame.mask


class Readings:
    """Numbers of COLUMNS as they are seen in images.

    Args:
        network: network that knows heads.
    """

    def __init__(self, network: HeadParts) -> None:
        self.network = network
        self.columns = [network.config.numbers.index(name) for name in COLUMNS]

    @torch.no_grad()
    def __call__(self, images: list[Float[Tensor, "3 height width"]]) -> Float[np.ndarray, "m t"]:
        """Return the numbers; NaN where an image does not show one."""
        read = [self._read(torch.stack(images[first : first + BATCH])) for first in range(0, len(images), BATCH)]
        return torch.cat(read).numpy().astype(np.float64)

    def _read(self, images: Float[Tensor, "m 3 height width"]) -> Float[Tensor, "m t"]:
        if images.shape[-1] != SIDE:
            images = F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        reading, config = self.network(images), self.network.config
        numbers = reading.numbers[:, self.columns].clone()
        measured = (
            100 - skin_lightness(images, reading, config), hair_lightness_seen(images, reading, config),
            hair_share(reading, config), neck_width(reading, config),
        )  # fmt: skip
        for name, values in zip(IN_PIXELS, measured, strict=True):
            numbers[:, COLUMNS.index(name)] = values
        return numbers


def correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Return Pearson's correlation over the places where both are numbers, 0 where one of them is constant."""
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known] - a[known].mean(), b[known] - b[known].mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-12))


@dataclass(frozen=True)
class Truth:
    """What the readers tell of people whose attributes are known.

    Attributes:
        ceiling: correlation of what they tell with what is true.
        deviation: of what they tell, over all views, in the order of COLUMNS.
        views: number of front views.
    """

    ceiling: dict[str, float]
    deviation: Float[np.ndarray, " t"]
    views: int


def truth(seen: Readings, dataset: Path) -> Truth:
    """Read the front views of people whose attributes are known."""
    images, true = [], []
    for record in records(dataset):
        for view in record["views"]:
            if abs(view["yaw_deg"]) <= FRONT_DEG and abs(view["pitch_deg"]) <= LEVEL_DEG:
                images.append(photo_over_white(dataset, view["image"]))
                true.append(targets(record, view))
    wanted, found = np.array(true), seen(images)
    ceiling = {name: correlation(wanted[:, i], found[:, i]) for i, name in enumerate(COLUMNS)}
    return Truth(ceiling, np.nanstd(np.where(np.isnan(wanted), np.nan, found), axis=0), len(images))


def known_heads(predictor: Predictor, dataset: Path, count: int) -> list[HeadAttributes]:
    """Return the attributes of known people under a neutral light, without glasses and headwear."""
    encoder = predictor.attribute_encoder
    if encoder is None:
        raise SystemExit("this checkpoint has no attribute encoder")
    vocabulary = encoder.vocabulary
    light = prior(vocabulary)[0][slice(*vocabulary.sections["light"])]
    found = []
    for record in records(dataset)[:count]:
        vector = vocabulary.vector(record, shape_coordinates(record), light, expression={}, gaze=(0, 0))
        person = HeadAttributes(encoder, vector, np.zeros(encoder.config.residual, np.float32))
        found.append(person.changed({"headwear": "none", "glasses": "none"}))
    return found


def made(predictor: Predictor, attributes: HeadAttributes) -> Head:
    """Return the head that the encoder makes of attributes."""
    return predictor.from_w(attributes.w())


def measure_sliders(
    predictor: Predictor, seen: Readings, known: list[HeadAttributes], deviation: Float[np.ndarray, " t"]
) -> dict[str, Any]:
    """Return for every slider the correlations of set and seen, and the movement of all numbers (in deviations)."""
    found: dict[str, Any] = {}
    for name, (low, high) in SLIDERS.items():
        values = np.linspace(low, high, VALUES)
        people = known if name in GOALS else known[: math.ceil(len(known) / 3)]
        read = np.stack([seen(views_of(predictor, person, name, values)) for person in people])  # person value number
        wanted = values if name != "hair_melanin" else np.array([hair_lightness(v, 0.2, 0.0) for v in values])
        found[name] = set_and_seen(wanted, read[:, :, list(SLIDERS).index(name)])
        moved = np.nanmean(read[:, -1] - read[:, 0], axis=0) / deviation
        found[name] |= {"seen_as": SEEN_AS.get(name, NETWORK), "people": len(people)}
        found[name] |= {"moved": dict(zip(COLUMNS, moved.round(3).tolist(), strict=True))}
        print(f"{name}: {found[name]['correlation']:.3f}, within a person {found[name]['correlation_within']:.3f}")
    return found


def views_of(
    predictor: Predictor, person: HeadAttributes, name: str, values: Float[np.ndarray, " v"]
) -> list[Float[Tensor, "3 height width"]]:
    """Return front views of a person with a slider at each of some values."""
    person = person.changed(BESIDE.get(name, {}))
    return [head_over_white(made(predictor, person.changed({name: float(value)}))) for value in values]


def set_and_seen(wanted: Float[np.ndarray, " v"], read: Float[np.ndarray, "p v"]) -> dict[str, float]:
    """Return the correlation of set and seen over all people and values, and within a person.

    Within: every person's mean is taken away first, of what was set and of what is seen, over the values that show it.
    """
    all_set = np.where(np.isnan(read), np.nan, np.broadcast_to(wanted, read.shape))
    centered = [part - np.nanmean(part, axis=1, keepdims=True) for part in (all_set, read)]
    return {
        "correlation": correlation(all_set.ravel(), read.ravel()),
        "correlation_within": correlation(centered[0].ravel(), centered[1].ravel()),
    }


def measure_changes(predictor: Predictor, known: list[HeadAttributes]) -> dict[str, list[float]]:
    """Return for every attribute how much the front view changes between its ends: mean, and the strongest 1/256."""
    found = {}
    for name, attribute in predictor.attributes.items():
        ends: list[Any] = (
            [attribute.words[0], attribute.words[-1]]
            if isinstance(attribute, ChoiceAttribute)
            else [attribute.limits.low, attribute.limits.high]
        )
        mean, peak = [], []
        for person in known:
            images = [
                made(predictor, person.changed({name: end})).preview(Camera.orbit()).image.clamp(-1, 1) for end in ends
            ]
            change = (images[1] - images[0]).abs().mean(dim=0) * 127.5
            block = max(1, change.shape[-1] // 16)
            mean.append(float(change.mean()))
            peak.append(float(F.avg_pool2d(change[None], block).max()))
        found[name] = [round(float(np.mean(mean)), 2), round(float(np.mean(peak)), 1)]
    return found


def tables(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"Measured by `tools/measure_attributes.py` on checkpoint `{result['checkpoint_sha256'][:12]}` with "
        f"{result['people']} known people and {result.get('predictor', 'a predictor')} from {result['views']} views.",
        "",
        "| slider | seen as | people | set and seen | within a person | ceiling of the reader |",
        "|---|---|---|---|---|---|",
    ]
    for (name, row), column in zip(result["sliders"].items(), COLUMNS, strict=True):
        cells = [name, row.get("seen_as", NETWORK), str(row.get("people", result["people"]))]
        figures = (row["correlation"], row["correlation_within"], result["ceiling"][column])
        lines.append(f"| {' | '.join([*cells, *(f'{figure:.2f}' for figure in figures)])} |")
    lines += ["", "| slider moved | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for name, row in result["sliders"].items():
        lines.append(f"| {name} | " + " | ".join(f"{row['moved'][column]:+.1f}" for column in COLUMNS) + " |")
    weights = {name: change for name, change in result["changes"].items() if is_weight(name)}
    strong = sorted(result["changes"].items(), key=lambda item: -item[1][1])
    lines += ["", "| attribute | mean change | strongest place |", "|---|---|---|"]
    lines += [f"| {name} | {mean:.1f} | {peak:.0f} |" for name, (mean, peak) in strong if name not in weights]
    means, peaks = zip(*weights.values(), strict=True)
    lines += [
        "",
        f"The {len(weights)} ARKit weights: mean {min(means):.1f} to {max(means):.1f}, "
        f"strongest place {min(peaks):.0f} to {max(peaks):.0f}.",
    ]
    return "\n".join(lines)


def is_weight(name: str) -> bool:
    """Return True for the name of an ARKit weight."""
    return any(letter.isupper() for letter in name)


def names_table(known: Mapping[str, Any]) -> str:
    """Return the attributes that have a name of their own, and the ARKit weights in one row, as Markdown."""
    lines = ["| name | values |", "|---|---|"]
    weights = [name for name in known if is_weight(name)]
    lines += [f"| `{name}` | {attribute.about} |" for name, attribute in known.items() if name not in weights]
    return "\n".join([*lines, f"| ARKit weights: {', '.join(f'`{name}`' for name in weights)} | 0 to 1 |"])


def between(text: str, mark: str, content: str) -> str:
    """Return a page with other content between two marks."""
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
    pattern = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
    return pattern.sub(lambda _: f"\n{content}\n\n", text)


def write_page(page: Path, result: dict[str, Any], known: Mapping[str, Any]) -> None:
    """Write the tables between the page's marks."""
    text = between(page.read_text(encoding="utf-8"), "names", names_table(known))
    page.write_text(between(text, "measured", tables(result)), encoding="utf-8")


def write_strips(predictor: Predictor, path: Path, seed: int = 4) -> None:
    """Write strips of one head: a row per slider."""
    from panohead.media import contact_sheet, save_image

    head, rows = predictor.sample(seed), []
    for name, (low, high) in SLIDERS.items():
        values = np.linspace(low, high, 6)
        rows.append([head.with_attributes(**{name: float(v)}).render(Camera.orbit(20)).to_pil() for v in values])
    save_image(contact_sheet(rows, row_labels=list(SLIDERS), cell_size=128), path, quality=85)


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    if options.held_out is not None:
        predictor = load(options.checkpoint)
        seen = Readings(load_head_parts(options.head_parts))
        known_views = truth(seen, options.held_out)
        print("ceiling:", {name: round(value, 2) for name, value in known_views.ceiling.items()})
        known = known_heads(predictor, options.held_out, options.people)
        result = {
            "checkpoint_sha256": predictor.sha256, "people": len(known), "predictor": PREDICTOR,
            "views": known_views.views, "ceiling": known_views.ceiling,
            "sliders": measure_sliders(predictor, seen, known, known_views.deviation),
            "changes": measure_changes(predictor, known[: options.looked_at]),
        }  # fmt: skip
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.strips is not None:
        write_strips(load(options.checkpoint), options.strips)
    if options.page is not None:
        write_page(options.page, json.loads(options.json.read_text()), load(options.checkpoint).attributes)


if __name__ == "__main__":
    main()
