"""``report.html`` of a prepared dataset: every photo with an overlay, what was found and why it was left out."""

import html
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from panohead.preparation.files import REMEDY
from panohead.preparation.run import reasons_of
from panohead.preparation.sources import printable
from panohead.system.atomic_write import write_bytes

_PAGE = 2000
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;color:#222;background:#fafafa}
h1{font-size:1.4em} table{border-collapse:collapse;margin:.5em 0} td,th{padding:.1em .8em .1em 0;text-align:left}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:12px}
figure{margin:0;padding:8px;background:#fff;border:1px solid #ddd;border-left:5px solid #3a3}
figure.no{border-left-color:#c33} figure.coarse{border-left-color:#e90}
img{max-width:100%;display:block;margin-bottom:6px} figcaption{overflow-wrap:anywhere} .why{color:#b00}
"""
_LEGEND = (
    "Box: the crop (yellow kept, red left out); dimmed: background by the mask; red, green, blue: the head's left, up "
    "and nose. Edge of a card: green kept, orange kept with a coarse camera, red left out."
)


def write_report(out: Path, notes: Sequence[str] = ()) -> Path:
    """Write the report from ``prepare.jsonl``; more than 2000 photos go on further pages. Returns the first page.

    Args:
        remarks: on the run as a whole, for the first page.

    Raises:
        PanoHeadError: when it cannot be written.
    """
    records = [json.loads(line) for line in (out / "prepare.jsonl").read_text().splitlines()]
    pages = [records[i : i + _PAGE] for i in range(0, len(records), _PAGE)] or [[]]
    names = ["report.html"] + [f"report/page_{i + 1}.html" for i in range(1, len(pages))]
    for number, (name, page) in enumerate(zip(names, pages, strict=True)):
        root = "" if number == 0 else "../"
        cards = "".join(card for record in page for card in _cards(record, root))
        text = _page(_summary(records, notes) if number == 0 else "", cards, _links(names, number, root))
        write_bytes(out / name, text.encode("utf-8", "backslashreplace"), remedy=REMEDY)
    return out / names[0]


def _page(summary: str, cards: str, links: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>prepared photos</title><style>{_STYLE}</style>"
        f"<h1>Prepared photos</h1>{summary}<p>{_LEGEND}</p>{links}<main>{cards}</main>{links}</html>\n"
    )


def _summary(records: list[dict[str, Any]], notes: Sequence[str]) -> str:
    crops = [crop for record in records for crop in record["crops"] if not crop["reason"]]
    kinds = Counter(crop["kind"] for crop in crops)
    reasons = Counter(reason.split(":")[0] for record in records for reason in reasons_of(record))
    rows = [("photos", len(records)), ("crops kept", len(crops))]
    rows += [(f"kept, {kind}", count) for kind, count in sorted(kinds.items())]
    rows += [(f"left out: {reason}", count) for reason, count in reasons.most_common()]
    table = "<table>" + "".join(f"<tr><td>{_text(name)}<td>{count}" for name, count in rows) + "</table>"
    return table + "".join(f"<p class=why>{_text(note)}</p>" for note in notes)


def _links(names: list[str], number: int, root: str) -> str:
    if len(names) == 1:
        return ""
    links = (f"{i + 1}" if i == number else f'<a href="{root}{name}">{i + 1}</a>' for i, name in enumerate(names))
    return f"<p>page {' '.join(links)}</p>"


def _cards(record: dict[str, Any], root: str) -> list[str]:
    title = f"<b>{_text(record['photo'])}</b>"
    notes = "".join(f"<br>{_text(note)}" for note in record["remarks"])
    if record["reason"]:
        why = f"<br><span class=why>{_text(record['reason'])}</span>"
        return [_card("no", record.get("overlay"), f"{title}{why}{notes}", root)]
    return [_crop_card(crop, title + notes, root) for crop in record["crops"]]


def _crop_card(crop: dict[str, Any], title: str, root: str) -> str:
    state = "no" if crop["reason"] else "coarse" if crop["kind"] == "coarse" else "yes"
    why = f"<br><span class=why>{_text(crop['reason'])}</span>" if crop["reason"] else ""
    pose = f"yaw {crop['yaw_deg']:.1f}&deg;, pitch {crop['pitch_deg']:.1f}&deg;, {_text(crop['method'])}"
    numbers = f"confidence {crop['confidence']:.2f}, {crop['core_px']:.0f} px, sharpness {crop['sharpness']:.0f}"
    notes = f"<br>{_text(', '.join(crop['flags']))}" if crop["flags"] else ""
    return _card(state, crop["overlay"], f"{title}{why}<br>{pose}<br>{numbers}{notes}", root)


def _card(state: str, image: str | None, caption: str, root: str) -> str:
    shown = f'<img loading=lazy src="{root}{html.escape(image)}" alt="">' if image else ""
    return f"<figure class={state}>{shown}<figcaption>{caption}</figcaption></figure>\n"


def _text(value: str) -> str:
    return html.escape(printable(value))
