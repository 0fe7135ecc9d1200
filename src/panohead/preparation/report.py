"""The page ``report.html`` of a prepared dataset: each photo with an overlay, its measurements and its verdict."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from panohead.files.read_json import read_json_lines
from panohead.preparation.files import REMEDY
from panohead.preparation.records import CropRecord, PhotoJson, PhotoRecord
from panohead.reports import Figure, Figures, KeyValues, Link, Page, PageBlock, Paragraph, url, write_page

PHOTOS_PER_PAGE = 2000
_LEGEND = (
    "Box: the crop (yellow kept, red left out); dimmed: background by the mask; red, green, blue: the head's left, up "
    "and nose. Edge of a card: green kept, orange kept with a coarse camera, red left out."
)


def write_report(out: Path, notes: Sequence[str] = ()) -> Path:
    """Write the report from ``prepare.jsonl``; photos beyond PHOTOS_PER_PAGE are in ``report/page_2.html`` etc.

    Args:
        out: folder of the dataset.
        notes: sentences on the run as a whole, for the first page.

    Returns:
        Path of the first page.

    Raises:
        PanoHeadError: when it cannot be written.
    """
    remedy = "run 'panohead prepare' again"
    records = [PhotoRecord.from_json(row) for row in read_json_lines(out / "prepare.jsonl", PhotoJson, remedy=remedy)]
    parts = [records[i : i + PHOTOS_PER_PAGE] for i in range(0, len(records), PHOTOS_PER_PAGE)] or [[]]
    names = ["report.html"] + [f"report/page_{i + 1}.html" for i in range(1, len(parts))]
    for number, (name, part) in enumerate(zip(names, parts, strict=True)):
        root = () if number == 0 else ("..",)
        cards = [card for record in part for card in _cards(record, root)]
        blocks: list[PageBlock] = _summary(records, notes) if number == 0 else []
        pager = _pager(names, number, root)
        blocks += [Paragraph(_LEGEND, "soft"), *pager, Figures(cards, column_rem=20), *pager]
        write_page(Page("Prepared photos", blocks), out / name, remedy=REMEDY)
    return out / names[0]


def _summary(records: list[PhotoRecord], notes: Sequence[str]) -> list[PageBlock]:
    crops = [crop for record in records for crop in record.crops if not crop.reason]
    kinds = Counter(crop.kind for crop in crops)
    reasons = Counter(reason.split(":")[0] for record in records for reason in record.reasons)
    counts: dict[str, object] = {"photos": len(records), "crops kept": len(crops)}
    counts |= {f"kept, {kind}": count for kind, count in sorted(kinds.items())}
    counts |= {f"left out: {reason}": count for reason, count in reasons.most_common()}
    return [KeyValues(counts), *(Paragraph(note, "warning") for note in notes)]


def _pager(names: list[str], number: int, root: tuple[str, ...]) -> list[PageBlock]:
    """Return links to the other pages; none for a single page."""
    links = [Link(str(i + 1), url(*root, name)) for i, name in enumerate(names) if i != number]
    return [Paragraph(f"Page {number + 1} of {len(names)}; others:", links=links)] if links else []


def _cards(record: PhotoRecord, root: tuple[str, ...]) -> list[Figure]:
    """Return one card for each crop of a photo, or one that says why there is none."""
    name, notes = record.photo, record.notes
    if record.reason:
        overlay = record.overlay
        source = url(*root, overlay) if overlay else ""
        return [Figure(source, _alt(name), name, caption=notes, warnings=(record.reason,), state="bad")]
    return [_crop_card(crop, name, notes, root) for crop in record.crops]


def _crop_card(crop: CropRecord, name: str, notes: Sequence[str], root: tuple[str, ...]) -> Figure:
    reason = crop.reason
    caption = [
        *notes,
        f"yaw {crop.yaw_deg:.1f}\N{DEGREE SIGN}, pitch {crop.pitch_deg:.1f}\N{DEGREE SIGN}, {crop.method}",
        f"confidence {crop.confidence:.2f}, {crop.core_px:.0f} px, sharpness {crop.sharpness:.0f}",
    ]
    if crop.flags:
        caption.append(", ".join(crop.flags))
    return Figure(
        url(*root, crop.overlay) if crop.overlay else "",
        _alt(name),
        name,
        caption=caption,
        warnings=(reason,) if reason else (),
        state="bad" if reason else "fair" if crop.kind == "coarse" else "good",
    )


def _alt(name: str) -> str:
    return f"{name} with its crop, mask and the head's axes"
