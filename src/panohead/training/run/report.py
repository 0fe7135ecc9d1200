"""The page ``report.html`` of a run: curves, snapshots, notes and configuration, without network and scripts."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from panohead.errors import PanoHeadError
from panohead.files.read_json import read_json
from panohead.media.images import IMAGE_SUFFIXES
from panohead.reports import (
    Chart,
    Charts,
    Figure,
    Figures,
    Folded,
    KeyNumbers,
    KeyValues,
    Link,
    Note,
    NoteList,
    Page,
    PageBlock,
    Paragraph,
    Section,
    Series,
    url,
    write_page,
)
from panohead.reports.charts import MAX_VALUE
from panohead.reports.page import readable
from panohead.training.run.environment import ENVIRONMENT_NAME
from panohead.training.run.log import duration
from panohead.training.run.records import NOTES_NAME, STATS_NAME, nimg_of, number, read_records

REPORT_NAME = "report.html"
SNAPSHOT_FOLDER = "snapshots"
CONFIG_NAME = "config.json"
_AXES = ("nimg", "kimg", "step")
_MAX_NOTES = 200

_DISTANCE = ("sliced_wasserstein", "sliced_wasserstein_low", "sliced_wasserstein_high")
# Section, title, columns, whether it is noisy (and so smoothed). Order is the page's.
_CHARTS: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("Measurements", "Sliced Wasserstein distance", _DISTANCE, False),
    ("Losses", "Losses", ("loss_generator", "loss_discriminator", "loss_fake", "loss_real"), True),
    ("Losses", "The discriminator's logits", ("logits_real", "logits_fake"), True),
    ("Losses", "R1 penalty", ("r1_image", "r1_mask"), True),
    ("Losses", "Camera offset", ("camera_offset",), True),
    ("Losses", "Density penalty", ("density_penalty",), True),
    ("Losses", "Signed distances", ("sdf_eikonal", "sdf_surface"), True),
    ("Gradients", "Gradient norm", ("gradient_norm_generator", "gradient_norm_discriminator"), True),
    ("Gradients", "Gradients that were not finite", ("nonfinite_gradients",), False),
    ("Schedules", "Augmentation probability", ("augment_probability",), False),
    ("Schedules", "Blur (pixels)", ("blur_sigma",), False),
    ("Schedules", "Density noise", ("density_noise",), False),
    ("Schedules", "Pose swap probability", ("pose_swap_probability",), False),
    ("Schedules", "Neural rendering resolution", ("neural_resolution",), False),
    ("Schedules", "EMA beta", ("ema_beta",), False),
    ("Speed", "Images per second", ("images_per_second",), True),
    ("Speed", "Peak memory (GB)", ("peak_memory_gb",), False),
    ("Speed", "Time (s)", ("time_s", "seconds"), False),
)
# Sections of columns that the table does not know, by patterns of their names.
_SECTION_PATTERNS = (
    ("Measurements", r"fid|kid|wasserstein|distance|metric|score|error|psnr|ssim"),
    ("Losses", r"loss|logit|penalty|^r1_"),
    ("Gradients", r"grad"),
    ("Speed", r"_s$|seconds|memory|_gb$"),
)
_OTHER = "Other"


def write_report(run: Path) -> Path:
    """Write ``run/report.html`` from the contents of the run folder, at any time, also during the run.

    Read are ``stats.jsonl``, ``notes.jsonl``, ``config.json``, ``environment.json`` and the images in ``snapshots/``,
    which the page links; whatever is missing or damaged is left out.

    Returns:
        The page's path.

    Raises:
        PanoHeadError: when there is no such folder, or it cannot be written.
    """
    if not run.is_dir():
        raise PanoHeadError(f"there is no run folder {run}; give the folder that 'panohead train --out' made")
    records = read_records(run / STATS_NAME)
    environment = flattened(_json_object(run / ENVIRONMENT_NAME))
    name = run.resolve().name
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    settings = [
        _settings("Configuration", CONFIG_NAME, flattened(_json_object(run / CONFIG_NAME))),
        _settings("Environment", ENVIRONMENT_NAME, environment),
    ]
    if records:
        settings.append(Folded(f"Last tick, of {len(records)}", [KeyValues(records[-1])]))
    blocks: list[PageBlock] = [
        Paragraph(f"A PanoHead training run, as of {now}.", "soft"),
        KeyNumbers(_key_numbers(records, environment)),
        *_notes(run, records),
        *_snapshots(run / SNAPSHOT_FOLDER),
        *_curves(records),
        Section("Settings", settings),
    ]
    return write_page(Page(name, blocks, window_title=f"{name}: PanoHead run"), run / REPORT_NAME)


def charts_of(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Chart]]:
    """Return every numeric column of the records as a curve, by section; sections without values are left out."""
    columns = {name: None for record in records for name in record if name not in _AXES}
    nimgs = [nimg_of(record) for record in records]
    series = {name: s for name in columns if (s := _series(records, nimgs, name)) is not None}
    sections: dict[str, list[Chart]] = {}
    for section, title, names, noisy in _CHARTS:
        if found := tuple(series.pop(name) for name in names if name in series):
            sections.setdefault(section, []).append(Chart(title, found, smooth=noisy))
    for name, unknown in series.items():
        section = next((s for s, pattern in _SECTION_PATTERNS if re.search(pattern, name)), _OTHER)
        sections.setdefault(section, []).append(Chart(name.replace("_", " "), (unknown,), section != "Measurements"))
    return sections


def _series(records: Sequence[Mapping[str, Any]], nimgs: Sequence[float | None], name: str) -> Series | None:
    points = []
    for record, nimg in zip(records, nimgs, strict=True):
        value = number(record.get(name))
        if nimg is not None and value is not None and max(abs(value), abs(nimg)) <= MAX_VALUE:
            points.append((nimg / 1000, value if abs(value) >= 1 / MAX_VALUE else 0.0))
    if not points:
        return None
    x, y = np.array(points, dtype=np.float64).T
    order = np.argsort(x, kind="stable")
    return Series(name.replace("_", " "), x[order], y[order])


def _curves(records: Sequence[Mapping[str, Any]]) -> list[PageBlock]:
    sections = charts_of(records)
    if not sections:
        return [Section("Curves", [Paragraph("No tick has been recorded yet.", "soft")])]
    legend = "Against kimg, thousands of real images shown. Thin: every tick; thick: smoothed."
    blocks: list[PageBlock] = [Section(title, [Charts(charts)]) for title, charts in sections.items()]
    return [*blocks, Paragraph(legend, "soft")]


def _key_numbers(records: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, object]:
    """Return the numbers at the top, by name: the latest of each that was ever recorded."""

    def latest(name: str) -> float | None:
        return next((v for record in reversed(records) if (v := number(record.get(name))) is not None), None)

    facts: dict[str, object] = {}
    nimg = next((n for record in reversed(records) if (n := nimg_of(record)) is not None), None)
    total = number(settings.get("total_kimg"))
    if nimg is not None:
        share = "" if not total else f", {nimg / 10 / total:.1f}% of {total:g}"
        facts[f"kimg{share}"] = f"{nimg / 1000:,.1f}"
    if (seconds := latest("time_s") or latest("seconds")) is not None:
        facts["time spent"] = duration(seconds)
    if (rate := latest("images_per_second")) is not None and rate > 0:
        facts["images per second"] = f"{rate:.1f}"
        if nimg is not None and total and total * 1000 > nimg:
            facts["time left at this rate"] = duration((total * 1000 - nimg) / rate)
    distances = [(v, nimg_of(r) or 0) for r in records if (v := number(r.get("sliced_wasserstein"))) is not None]
    if distances:
        best, where = min(distances)
        facts[f"sliced Wasserstein; best {best:.4g} at {where / 1000:.4g} kimg"] = f"{distances[-1][0]:.4g}"
    if (memory := latest("peak_memory_gb")) is not None:
        facts["GB of memory at the peak"] = f"{memory:.1f}"
    return facts


def _notes(run: Path, records: Sequence[Mapping[str, Any]]) -> list[PageBlock]:
    entries = []
    bad = sum(1 for record in records if (number(record.get("nonfinite_gradients")) or 0) > 0)
    if bad > 0:
        entries.append(Note(f"Gradients were not finite in {bad} of {len(records)} ticks."))
    notes = [note for note in read_records(run / NOTES_NAME) if "note" in note]
    for note in notes[-_MAX_NOTES:]:
        kimg = number(note.get("kimg"))
        label = "" if kimg is None else f"{kimg:.1f} kimg"
        entries.append(Note(readable(note["note"]), label, hint=readable(note.get("time"))))
    if len(notes) > _MAX_NOTES:
        entries.append(Note(f"{len(notes) - _MAX_NOTES} older ones in {NOTES_NAME}", tone="soft"))
    return [Section("Notes", [NoteList(entries)])] if entries else []


def _snapshots(folder: Path) -> list[PageBlock]:
    """Return the last grid of heads, then the middle and the first, folded, then images without a number in the name.

    Numbers are kimg; fractions count.
    """
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES] if folder.is_dir() else []
    files = sorted(file for file in files if not file.name.startswith("."))
    if not files:
        return []
    numbered = [(float(found[-1]), file) for file in files if (found := re.findall(r"\d+(?:\.\d+)?", file.stem))]
    grids = [file for _, file in sorted(numbered)]
    chosen = [grids[i] for i in sorted({0, len(grids) // 2, len(grids) - 1}, reverse=True)] if grids else []
    others = [file for file in files if file not in grids]
    shown = [*chosen, *others]
    blocks: list[PageBlock] = [
        Folded(file.stem, [_image(folder, file)], unfolded=i == 0) for i, file in enumerate(shown)
    ]
    if len(grids) > 3:
        links = [Link(file.stem, url(folder.name, file.name)) for file in grids]
        blocks.append(Folded(f"All {len(grids)} snapshots", [Paragraph(links=links)]))
    return [Section("Snapshots", blocks)]


def _image(folder: Path, file: Path) -> Figures:
    alt = f"{file.stem}: generated heads from several sides, with depth and mask"
    return Figures([Figure(url(folder.name, file.name), alt, linked=True)], column_rem=80)


def _settings(title: str, name: str, values: Mapping[str, Any]) -> PageBlock:
    if not values:
        return Paragraph(f"{title}: {name} is missing or unreadable.", "soft")
    return Folded(f"{title} ({len(values)})", [KeyValues(values)])


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level of dotted names; empty groups stay visible."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat.update(flattened(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _json_object(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, dict[str, Any])
    except PanoHeadError:
        return {}
