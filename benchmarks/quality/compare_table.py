"""Table and contact sheet of the comparison."""

import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from panohead import load
from panohead.geometry import Camera
from panohead.media import contact_sheet, save_image
from panohead.system.atomic_write import atomic_path
from panohead.system.duration import duration_text

YAWS_DEG = tuple(range(0, 360, 45))
CELL = 128
"""Side of a head in the sheet, pixels."""
PSI = 0.7
SEED = 0


@dataclass(frozen=True)
class Column:
    """A column of the table: its title, and the metric and views of ``metrics.json`` that it shows."""

    title: str
    metric: str
    subset: str = ""
    decimals: int = 3


COLUMNS = (
    Column("SWD all ↓", "SWD", "all"),
    Column("SWD front ↓", "SWD", "front"),
    Column("SWD back ↓", "SWD", "back"),
    Column("SWD random ↓", "SWD", "random"),
    Column("faces on fronts ↑", "face detection rate", "front", 2),
    Column("faces on backs ↓", "face detection rate", "back", 2),
    Column("mirror score ↓", "mirror score", "colour", 2),
    Column("mask IoU ↑", "mask IoU"),
    Column("warping 10° ↓", "warping error", "small (10 deg)", 4),
    Column("warping 40° ↓", "warping error", "large (40 deg)", 4),
)


def figures_of(checkpoint: Path, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of a row, and write its strip of heads beside its run.

    Args:
        checkpoint: OUT/rows/NAME/run/snapshots/FILE.
        results: of its column in ``metrics.json``.

    Returns:
        For each column's title value, low and high (None where there is no interval), and the cost: parameters in
        millions, processor milliseconds of an image.
    """
    predictor = load(checkpoint)
    head = predictor.sample(SEED, truncation_psi=PSI)
    heads = [head.render(Camera.orbit(float(yaw))).to_pil() for yaw in YAWS_DEG]
    strip = Image.new("RGB", (CELL * len(heads), CELL), "white")
    for place, image in enumerate(heads):
        strip.paste(image.resize((CELL, CELL), Image.Resampling.LANCZOS), (place * CELL, 0))
    save_image(strip, checkpoint.parents[2] / "strip.png")
    times = []
    for seed in range(6):  # the first one warms up
        began = time.process_time()
        predictor.sample(seed).render(Camera.orbit(30.0))
        times.append((time.process_time() - began) * 1000)
    found: dict[str, Any] = {
        "parameters": sum(p.numel() for p in predictor.generator.parameters()) / 1e6,
        "cpu_ms": statistics.median(times[1:]),
    }
    for column in COLUMNS:
        result = next(
            (one for one in results if (one["metric"], one["subset"]) == (column.metric, column.subset)), None
        )
        if result is not None:
            found[column.title] = {key: result[key] for key in ("value", "low", "high")}
    return found


def write_table(
    out: Path, rows: Mapping[str, Mapping[str, Any]], photos: Sequence[dict[str, Any]], about: Mapping[str, Any]
) -> None:
    """Write OUT/table.md, OUT/table.json and OUT/heads.png.

    Args:
        rows: description, processor time, photos and figures by name; figures are None before the evaluation.
        photos: results of photos against other photos; empty before they are measured.
        about: budget, dataset and settings.
    """
    floor = {}
    for column in COLUMNS:
        result = next((one for one in photos if (one["metric"], one["subset"]) == (column.metric, column.subset)), None)
        if result is not None:
            floor[column.title] = {key: result[key] for key in ("value", "low", "high")}
    with atomic_path(out / "table.json") as temporary:
        content = {"about": dict(about), "photos": floor, "rows": {name: dict(row) for name, row in rows.items()}}
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic_path(out / "table.md") as temporary:
        temporary.write_text(markdown(rows, floor, about), encoding="utf-8")
    write_sheet(out, rows)


def markdown(rows: Mapping[str, Mapping[str, Any]], floor: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return the table in Markdown, with what is missing below."""
    titles = [
        "row",
        "what",
        "CPU time",
        "kimg",
        *(column.title for column in COLUMNS),
        "CPU ms an image",
        "parameters (M)",
    ]
    lines = [
        f"Budget of a row: {duration_text(about['budget_s'])} of processor time of training. {about['num']} images "
        f"a set, {about['heads']} heads from several sides. In brackets: 95 % intervals, over images (SWD) and heads "
        "(all others), of this one training run; another seed of training may differ by more.",
        "",
        _line(*titles),
        "|" + "---|" * len(titles),
    ]
    missing = []
    for name, row in rows.items():
        figures = row["figures"]
        if row["failure"]:
            missing.append(f"- {name}: failed: {row['failure'].strip()}")
        elif figures is None:
            missing.append(f"- {name}: {duration_text(row['cpu_s'])} of processor time so far, not evaluated yet")
        if figures is not None:
            cells = [_cell(figures.get(column.title), column.decimals) for column in COLUMNS]
            cost = [f"{figures['cpu_ms']:.0f}", f"{figures['parameters']:.2f}"]
            lines.append(_line(name, row["what"], duration_text(row["cpu_s"]), f"{row['kimg']:.2f}", *cells, *cost))
    if floor:
        cells = [_cell(floor.get(column.title), column.decimals) for column in COLUMNS]
        lines.append(_line("photos", "photos against other photos", "", "", *cells, "", ""))
    return "\n".join([*lines, "", *missing, ""])


def write_sheet(out: Path, rows: Mapping[str, Mapping[str, Any]]) -> Path | None:
    """Write OUT/heads.png: a row for every evaluated generator, one head from eight sides; None without any."""
    shown, labels = [], []
    for name, row in rows.items():
        file = out / "rows" / name / "strip.png"
        if row["figures"] is not None and file.is_file():
            with Image.open(file) as strip:
                cells = [strip.convert("RGB").crop((x * CELL, 0, (x + 1) * CELL, CELL)) for x in range(len(YAWS_DEG))]
            shown.append(cells)
            labels.append(f"{name}\n{row['kimg']:.1f} kimg")
    if not shown:
        return None
    title = f"seed {SEED}, truncation {PSI}; equal processor time of training"
    sheet = contact_sheet(
        shown, row_labels=labels, column_labels=[f"{yaw}°" for yaw in YAWS_DEG], title=title, cell_size=CELL
    )
    return save_image(sheet, out / "heads.png")


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(figure: Mapping[str, Any] | None, decimals: int) -> str:
    if figure is None or figure["value"] is None or not math.isfinite(figure["value"]):
        return "-"
    text = f"{figure['value']:.{decimals}f}"
    if figure["low"] is None or figure["high"] is None:
        return text
    return f"{text} [{figure['low']:.{decimals}f}, {figure['high']:.{decimals}f}]"
