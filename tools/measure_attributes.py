"""Measure the attribute sliders of a checkpoint: is what is set also seen, and what else moves?

    python tools/measure_attributes.py DATASET --known HELD_OUT --json docs/attributes.json
    python tools/measure_attributes.py --page docs/attributes.md --json docs/attributes.json   # writes the tables anew

DATASET and HELD_OUT are folders of ``panohead synthesize``, finished or not. A predictor of attributes (kernel ridge
regression on small front views) learns from the renders of DATASET, never from the model; its correlation on people it
has not seen is the ceiling of what it can tell. Then each slider is set to five values on the heads of known people,
made by the attribute encoder under one neutral light, and the predictor says what it sees.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from jaxtyping import Float
from PIL import Image

from panohead import Camera, load
from panohead.attributes.editing import HeadAttributes
from panohead.attributes.estimate import prior
from panohead.attributes.named import HAIR_LENGTHS, ChoiceAttribute
from panohead.attributes.vocabulary import light_numbers, shape_coordinates
from panohead.head import Head
from panohead.predictor import Predictor
from panohead.synthetic.color import hair_albedo, lightness

SIDE = 32
FRONT_DEG, LEVEL_DEG = 25.0, 20.0
SLIDERS: dict[str, tuple[float, float]] = {
    "age": (10, 80), "skin_tone": (0, 1), "hair_melanin": (0.15, 1.2), "hair_length": (0, 1), "weight": (0, 1),
    "gender": (0, 1), "brightness": (-2.0, -0.3), "smile": (0, 1), "jawOpen": (0, 1),
}  # fmt: skip
"""Sliders and the ends between which they are set."""
COLUMNS = ("age", "skin_tone", "hair_lightness", "hair_length", "weight", "gender", "brightness", "smile", "jawOpen")
"""Numbers that the predictor tells, in the order of SLIDERS."""
VALUES = 5
RIDGE = 0.03
FOLDS = 5


@dataclass(kw_only=True)
class Options:
    """Measure the attribute sliders of a checkpoint."""

    dataset: tyro.conf.Positional[Path | None] = None
    """Dataset of the predictor; without one only the page is written."""
    known: Path | None = None
    """Dataset of the known people (those of DATASET if not given)."""
    people: int = 100
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
    """Return the true numbers of COLUMNS of one view."""
    expression = record["shots"][view.get("shot", 0)]["expression"] if "shots" in record else record["expression"]
    smile = (expression.get("mouthSmileLeft", 0.0) + expression.get("mouthSmileRight", 0.0)) / 2
    return [
        record["age"], record["tone"], hair_lightness(record["hair_melanin"], record["hair_red"], record["grey"]),
        HAIR_LENGTHS[record["hair_style"]], record["weight"], record["gender"],
        float(light_numbers(view["lighting"]).mean() / np.log(2)), smile, expression.get("jawOpen", 0.0),
    ]  # fmt: skip


def hair_lightness(melanin: float, red: float, gray: float) -> float:
    """Return L* of hair; gray hair is the lightest."""
    colored = float(lightness(hair_albedo(np.array(melanin), np.array(red))))
    return (1 - gray) * colored + gray * 85.0


def photo_features(dataset: Path, name: str) -> Float[np.ndarray, " feature"]:
    """Return the features of a view of the dataset, over white."""
    with Image.open(dataset / "images" / name) as image, Image.open(dataset / "masks" / mask_name(name)) as mask:
        size = (SIDE, SIDE)
        pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), np.float32) / 255
        share = np.asarray(mask.convert("L").resize(size, Image.Resampling.BOX), np.float32)[..., None] / 255
    return features(pixels * share + 1 - share, share)


def mask_name(name: str) -> str:
    """Return the name of the mask of an image."""
    return str(Path(name).with_suffix(".png"))


def features(pixels: Float[np.ndarray, "s s 3"], share: Float[np.ndarray, "s s 1"]) -> Float[np.ndarray, " feature"]:
    """Return colors over white and the mask as one row."""
    return np.concatenate([pixels.ravel(), share.ravel()]).astype(np.float64)


def head_features(head: Head) -> Float[np.ndarray, " feature"]:
    """Return the features of a head's front view, over white."""
    frame = head.preview(Camera.orbit(), resolution=SIDE)
    mask = frame.mask[0].numpy()[..., None]
    pixels = (frame.image.permute(1, 2, 0).numpy().clip(-1, 1) + 1) / 2
    # The demo model's own background is white already; another one's is taken away.
    return features(pixels * mask + 1 - mask, mask)


class Predictions:
    """Kernel ridge regression from features to the numbers of COLUMNS.

    Args:
        inputs, outputs: features and true numbers of the views.
    """

    def __init__(self, inputs: Float[np.ndarray, "n f"], outputs: Float[np.ndarray, "n t"]) -> None:
        self.inputs = inputs
        self.mean, self.deviation = outputs.mean(axis=0), outputs.std(axis=0) + 1e-9
        squared = distances(inputs, inputs)
        self.width = float(np.median(squared))
        kernel = np.exp(-squared / self.width)
        kernel[np.diag_indices_from(kernel)] += RIDGE
        self.weights = np.linalg.solve(kernel, (outputs - self.mean) / self.deviation)

    def __call__(self, inputs: Float[np.ndarray, "m f"]) -> Float[np.ndarray, "m t"]:
        """Return the predicted numbers."""
        kernel = np.exp(-distances(inputs, self.inputs) / self.width)
        return kernel @ self.weights * self.deviation + self.mean


def distances(a: Float[np.ndarray, "m f"], b: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "m n"]:
    """Return squared distances between rows."""
    squared: np.ndarray = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return squared.clip(0)


def correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Return Pearson's correlation, 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-12))


def learn(dataset: Path) -> tuple[Predictions, dict[str, float], int]:
    """Return the predictor, its correlation for people it has not seen (by number of COLUMNS), and its views."""
    inputs, outputs, person = [], [], []
    for record in records(dataset):
        for view in record["views"]:
            if abs(view["yaw_deg"]) <= FRONT_DEG and abs(view["pitch_deg"]) <= LEVEL_DEG:
                inputs.append(photo_features(dataset, view["image"]))
                outputs.append(targets(record, view))
                person.append(record["person"])
    x, y, who = np.stack(inputs), np.array(outputs), np.array(person)
    guessed = np.zeros_like(y)
    for fold in range(FOLDS):
        held = who % FOLDS == fold
        guessed[held] = Predictions(x[~held], y[~held])(x[held])
    ceiling = {name: correlation(y[:, i], guessed[:, i]) for i, name in enumerate(COLUMNS)}
    return Predictions(x, y), ceiling, len(x)


def known_heads(predictor: Predictor, dataset: Path, count: int) -> list[HeadAttributes]:
    """Return the attributes of known people with uncovered hair, under a neutral light."""
    encoder = predictor.attribute_encoder
    if encoder is None:
        raise SystemExit("this checkpoint has no attribute encoder")
    vocabulary = encoder.vocabulary
    light = prior(vocabulary)[0][slice(*vocabulary.sections["light"])]
    found = []
    for record in records(dataset):
        if record["headwear"] == "none" and record["glasses"] == "none" and len(found) < count:
            shape = shape_coordinates(record)
            vector = vocabulary.vector(record, shape, light, expression={}, gaze=(0, 0))
            found.append(HeadAttributes(encoder, vector, np.zeros(encoder.config.residual, np.float32)))
    return found


def made(predictor: Predictor, attributes: HeadAttributes) -> Head:
    """Return the head that the encoder makes of attributes."""
    return predictor.from_w(attributes.w())


def measure_sliders(predictor: Predictor, seen: Predictions, known: list[HeadAttributes]) -> dict[str, Any]:
    """Return for every slider the correlations of set and seen, and the movement of all numbers (in deviations)."""
    found: dict[str, Any] = {}
    for place, (name, (low, high)) in enumerate(SLIDERS.items()):
        values = np.linspace(low, high, VALUES)
        table = []
        for person in known:
            person = person.changed({"gray_hair": 0.0}) if name == "hair_melanin" else person
            heads = [person.changed({name: float(value)}) for value in values]
            table.append(seen(np.stack([head_features(made(predictor, head)) for head in heads])))
        predicted = np.stack(table)  # person value number
        wanted = values if name != "hair_melanin" else np.array([hair_lightness(v, 0.2, 0.0) for v in values])
        own = predicted[:, :, place]
        all_set = np.broadcast_to(wanted, own.shape)
        moved = (predicted[:, -1] - predicted[:, 0]).mean(axis=0) / seen.deviation
        found[name] = {
            "correlation": correlation(all_set.ravel(), own.ravel()),
            "correlation_within": correlation(all_set.ravel(), (own - own.mean(axis=1, keepdims=True)).ravel()),
            "moved": dict(zip(COLUMNS, moved.round(3).tolist(), strict=True)),
        }
        print(f"{name}: {found[name]['correlation']:.3f}, within a person {found[name]['correlation_within']:.3f}")
    return found


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
            peak.append(float(torch.nn.functional.avg_pool2d(change[None], block).max()))
        found[name] = [round(float(np.mean(mean)), 2), round(float(np.mean(peak)), 1)]
    return found


def tables(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"Measured by `tools/measure_attributes.py` on checkpoint `{result['checkpoint_sha256'][:12]}` with "
        f"{result['people']} known people and a predictor from {result['views']} views.",
        "",
        "| slider | set and seen | within a person | ceiling of the predictor |",
        "|---|---|---|---|",
    ]
    for (name, row), column in zip(result["sliders"].items(), COLUMNS, strict=True):
        ceiling = result["ceiling"][column]
        lines.append(f"| {name} | {row['correlation']:.2f} | {row['correlation_within']:.2f} | {ceiling:.2f} |")
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
    if options.dataset is not None:
        predictor = load(options.checkpoint)
        seen, ceiling, views = learn(options.dataset)
        print("ceiling:", {name: round(value, 2) for name, value in ceiling.items()})
        known = known_heads(predictor, options.known or options.dataset, options.people)
        result = {
            "checkpoint_sha256": predictor.sha256, "people": len(known), "views": views, "ceiling": ceiling,
            "sliders": measure_sliders(predictor, seen, known),
            "changes": measure_changes(predictor, known[: options.looked_at]),
        }  # fmt: skip
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.strips is not None:
        write_strips(load(options.checkpoint), options.strips)
    if options.page is not None:
        write_page(options.page, json.loads(options.json.read_text()), load(options.checkpoint).attributes)


if __name__ == "__main__":
    main()
