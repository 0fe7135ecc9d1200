"""``report.html`` of a run: curves, snapshots, notes, configuration on one page without network and scripts."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from panohead.errors import PanoHeadError
from panohead.media.images import IMAGE_SUFFIXES
from panohead.system.atomic_write import atomic_path
from panohead.training.run.environment import ENVIRONMENT_NAME
from panohead.training.run.log import duration
from panohead.training.run.records import NOTES_NAME, STATS_NAME, nimg_of, number, read_records
from panohead.training.run.report_html import escaped, flattened, folded_table, page, readable, tiles
from panohead.training.run.report_svg import LARGEST, Chart, Series, draw

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
# Where columns that the table does not know belong, by the look of their names.
_SECTION_PATTERNS = (
    ("Measurements", r"fid|kid|wasserstein|distance|metric|score|error|psnr|ssim"),
    ("Losses", r"loss|logit|penalty|^r1_"),
    ("Gradients", r"grad"),
    ("Speed", r"_s$|seconds|memory|_gb$"),
)
_OTHER = "Other"


def write_report(run: Path) -> Path:
    """Make ``run/report.html`` from what lies in the run folder, at any time, also while the run goes on.

    Read are ``stats.jsonl``, ``notes.jsonl``, ``config.json``, ``environment.json`` and the pictures in ``snapshots/``,
    which the page links; whatever is missing or damaged is left out.

    Returns:
        The page's path.

    Raises:
        PanoHeadError: when there is no such folder, or it cannot be written.
    """
    if not run.is_dir():
        raise PanoHeadError(f"there is no run folder {run}; give the folder that 'panohead train --out' made")
    records = read_records(run / STATS_NAME)
    found = flattened(_json_object(run / ENVIRONMENT_NAME))
    name = run.resolve().name
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = [
        f"<h1>{escaped(name)}</h1>",
        f'<p class="soft">A PanoHead training run, as of {now}.</p>',
        tiles(_facts(records, found)),
        _notes(run, records),
        _snapshots(run / SNAPSHOT_FOLDER),
        *_curves(records),
        "<h2>Settings</h2>",
        _settings("Configuration", CONFIG_NAME, flattened(_json_object(run / CONFIG_NAME))),
        _settings("Environment", ENVIRONMENT_NAME, found),
        folded_table(f"Last tick, of {len(records)}", records[-1]) if records else "",
    ]
    path = run / REPORT_NAME
    with atomic_path(path) as temporary:
        temporary.write_text(page(f"{name}: PanoHead run", body), encoding="utf-8")
    return path


def charts_of(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Chart]]:
    """Every numeric column of the records as a curve, by section; sections and charts without values are left out."""
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
        if nimg is not None and value is not None and max(abs(value), abs(nimg)) <= LARGEST:
            points.append((nimg / 1000, value if abs(value) >= 1 / LARGEST else 0.0))
    if not points:
        return None
    x, y = np.array(points, dtype=np.float64).T
    order = np.argsort(x, kind="stable")
    return Series(name.replace("_", " "), x[order], y[order])


def _curves(records: Sequence[Mapping[str, Any]]) -> list[str]:
    sections = charts_of(records)
    if not sections:
        return ['<h2>Curves</h2><p class="soft">No tick has been recorded yet.</p>']
    parts, count = [], 0
    for section, charts in sections.items():
        figures = []
        for chart in charts:
            figures.append(_figure(chart, f"c{count}"))
            count += 1
        parts.append(f'<h2>{escaped(section)}</h2><div class="charts">{"".join(figures)}</div>')
    parts.append('<p class="soft">Against kimg, thousands of images shown. Thin: every tick; thick: smoothed.</p>')
    return parts


def _figure(chart: Chart, identifier: str) -> str:
    alone = len(chart.series) == 1
    legend = "".join(
        f'<span><i class="s{i}"></i>{"" if alone else escaped(s.label) + " "}{escaped(f"{s.y[-1]:.5g}")}</span>'
        for i, s in enumerate(chart.series)
    )
    scale = " (logarithmic)" if chart.logarithmic else ""
    return (
        f"<figure><figcaption><b>{escaped(chart.title)}</b>{scale}<br>{legend}</figcaption>"
        f"{draw(chart, identifier)}</figure>"
    )


def _facts(records: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, str]:
    """The numbers at the top: the latest of each that was ever recorded."""

    def latest(name: str) -> float | None:
        return next((v for record in reversed(records) if (v := number(record.get(name))) is not None), None)

    facts = {}
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
            facts["time left, if it goes on"] = duration((total * 1000 - nimg) / rate)
    distances = [(v, nimg_of(r) or 0) for r in records if (v := number(r.get("sliced_wasserstein"))) is not None]
    if distances:
        best, where = min(distances)
        facts[f"sliced Wasserstein; best {best:.4g} at {where / 1000:.4g} kimg"] = f"{distances[-1][0]:.4g}"
    if (memory := latest("peak_memory_gb")) is not None:
        facts["GB of memory at most"] = f"{memory:.1f}"
    return facts


def _notes(run: Path, records: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    bad = sum(1 for record in records if (number(record.get("nonfinite_gradients")) or 0) > 0)
    if bad > 0:
        lines.append(f"<li>Gradients were not finite in {bad} of {len(records)} ticks.</li>")
    notes = [note for note in read_records(run / NOTES_NAME) if "note" in note]
    for note in notes[-_MAX_NOTES:]:
        kimg = number(note.get("kimg"))
        where = "" if kimg is None else f"<time>{escaped(f'{kimg:.1f}')} kimg</time>"
        lines.append(f'<li title="{escaped(note.get("time"))}">{where}{escaped(note["note"])}</li>')
    if len(notes) > _MAX_NOTES:
        lines.append(f'<li class="soft">{len(notes) - _MAX_NOTES} older ones in {NOTES_NAME}</li>')
    return f'<h2>Notes</h2><ul class="notes">{"".join(lines)}</ul>' if lines else ""


def _snapshots(folder: Path) -> str:
    """The last grid; the middle and the first to unfold; pictures without a number in their names come behind."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES] if folder.is_dir() else []
    files = sorted(file for file in files if not file.name.startswith("."))
    if not files:
        return ""
    numbered = [(float(found[-1]), file) for file in files if (found := re.findall(r"\d+(?:\.\d+)?", file.stem))]
    grids = [file for _, file in sorted(numbered)]
    chosen = [grids[i] for i in sorted({0, len(grids) // 2, len(grids) - 1}, reverse=True)] if grids else []
    others = [file for file in files if file not in grids]
    figures = [_image(folder, file, unfolded=i == 0) for i, file in enumerate([*chosen, *others])]
    links = ", ".join(f'<a href="{_link(folder, file)}">{escaped(file.stem)}</a>' for file in grids)
    every = f"<details><summary>All {len(grids)} snapshots</summary><p>{links}</p></details>" if len(grids) > 3 else ""
    return f"<h2>Snapshots</h2>{''.join(figures)}{every}"


def _image(folder: Path, file: Path, *, unfolded: bool) -> str:
    link = _link(folder, file)
    return (
        f"<details{' open' if unfolded else ''}><summary>{escaped(file.stem)}</summary>"
        f'<a href="{link}"><img src="{link}" loading="lazy" alt="{escaped(file.stem)}"></a></details>'
    )


def _link(folder: Path, file: Path) -> str:
    return escaped(f"{quote(folder.name)}/{quote(file.name)}")


def _settings(title: str, name: str, rows: Mapping[str, Any]) -> str:
    if not rows:
        return f'<p class="soft">{escaped(title)}: {escaped(name)} is missing or unreadable.</p>'
    return folded_table(f"{title} ({len(rows)})", {key: readable(value) for key, value in rows.items()})


def _json_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
