"""``panohead reconstruct PHOTOS --each``: one head a photo, each in a folder of its own, and a contact page."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import COMMON
from panohead.cli.running.messages import answer, say
from panohead.errors import PanoHeadError, UsageError
from panohead.files.earlier_results import SETTINGS_FILE
from panohead.files.folder_lock import locked_folder
from panohead.system.text import printable, shortened

if TYPE_CHECKING:
    from panohead.alignment.detectors import Detectors
    from panohead.cli.reconstruct import Reconstruct
    from panohead.inversion import ImageLoss
    from panohead.predictor import Predictor
    from panohead.preparation.sources import PhotoRef

    _Tools = tuple[Detectors | None, Predictor, ImageLoss | None]

PAGE_FILE, SHEET_FILE, PHOTO_FILE = "index.html", "contact_sheet.png", "photo.png"
_OWN = ("photos", "out", "each", "resume", "overwrite")
"""Options that do not decide what the head of a photo looks like."""
_SHEET_YAWS = ("yaw+000", "yaw+045", "yaw+090", "yaw+180", "yaw+270")
_MAX_SHEET_ROWS = 100


@dataclass(frozen=True)
class _Outcome:
    """Result of one photo: its folder's name, and the reason why there is no head ("" if there is one)."""

    name: str
    photo: str
    reason: str = ""


def reconstruct_each(command: "Reconstruct") -> None:
    """Make a head of every photo; what is finished is skipped, and a photo that gives no head stops nothing.

    Raises:
        UsageError: when there is no photo.
        PanoHeadError: when no photo gave a head.
        KeyboardInterrupt: after Ctrl-C; the page shows what is finished.
    """
    from panohead.preparation.sources import list_photos

    refs = [ref for ref in list_photos(command.photos) if not _is_below(ref.path, command.out)]
    if not refs:
        raise UsageError("there are no photos; give photos or a folder of them")
    replace(command, photos=tuple(ref.path for ref in refs)).note_poses()
    tools = command.tools()
    predictor, loss = command.load_all()
    out = open_results(command.out, "reconstruct", overwrite=command.overwrite)
    outcomes: list[_Outcome] = []
    with locked_folder(out, "reconstructs"):
        try:
            for number, (ref, name) in enumerate(zip(refs, _names(refs), strict=True), start=1):
                say(f"{number}/{len(refs)} {ref.name}")
                one = replace(command, photos=(ref.path,), out=out / name, each=False, overwrite=True)
                reason = _try(one, ref, command.overwrite, (tools, predictor, loss))
                outcomes.append(_Outcome(name, ref.name, reason))
        finally:
            if outcomes:
                _write_page(out, outcomes)
                write_settings(out, "reconstruct", command, predictor)
    made = [outcome for outcome in outcomes if not outcome.reason]
    if not made:
        raise PanoHeadError(f"none of the {len(outcomes)} photos gave a head; {out / PAGE_FILE} has the reasons")
    answer(f"{len(made)} of {len(outcomes)} photos gave a head; look at {out / PAGE_FILE}")


def _try(one: "Reconstruct", ref: "PhotoRef", again: bool, tools: "_Tools") -> str:
    """Make the head of one photo unless it is there; return the reason where there is none, "" where there is one."""
    try:
        if ref.problem or ref.member is not None:
            raise PanoHeadError(ref.problem or "it lies in a zip archive; unpack it")
        if again or not _is_finished(one, tools[1].sha256):
            _make(one, tools)
    except Exception as error:  # one bad photo stops nothing
        reason = _reason(error)
        say(f"  no head: {reason}")
        return reason
    return ""


def _make(one: "Reconstruct", tools: "_Tools") -> None:
    """Make one head, from where an interrupted one ended; Ctrl-C ends all."""
    from panohead.inversion.output_folder import STATE_FILE
    from panohead.media import save_image
    from panohead.media.images import to_pil

    begun = (one.out / STATE_FILE).is_file() and not one.quick
    try:
        head, folder = replace(one, resume=begun).make(one.inputs(), *tools)
    except PanoHeadError:
        if not begun:
            raise
        head, folder = one.make(one.inputs(), *tools)  # what was begun is of other options or damaged
    save_image(to_pil(head.photos[0].image), folder / PHOTO_FILE, source=None)
    if head.log.stopped:
        answer("stopped; the same command continues")
        raise KeyboardInterrupt


def _is_finished(one: "Reconstruct", checkpoint_sha256: str) -> bool:
    """Return whether the folder holds the finished head of this photo, by the same checkpoint and options."""
    from panohead.files.read_json import read_json
    from panohead.inversion.output_folder import STATE_FILE, photo_digests
    from panohead.inversion.reconstructed_head import saved_notes

    if (one.out / STATE_FILE).is_file() or not (one.out / PHOTO_FILE).is_file():
        return False
    try:
        settings = read_json(one.out / SETTINGS_FILE, dict[str, Any])
    except (OSError, PanoHeadError):
        return False
    notes = saved_notes(one.out)
    known = [] if notes is None else [content for _, content in notes.get("photos", [])]
    options = settings.get("options", {})
    same = settings.get("checkpoint_sha256") == checkpoint_sha256 and options == _plain_options(one, options)
    return same and known == [content for _, content in photo_digests(one.photos)]


def _plain_options(one: "Reconstruct", stored: dict[str, Any]) -> dict[str, Any]:
    """Return the options as settings hold them; those that do not count as they are stored."""
    from panohead.cli.results_folder import plain
    from panohead.files.read_json import parse_json

    given = {field.name: getattr(one, field.name) for field in fields(one) if field.name != COMMON}
    read = parse_json(json.dumps(given, default=plain), dict[str, Any], "the options")
    return {name: stored.get(name) if name in _OWN else value for name, value in read.items()}


def _names(refs: Sequence["PhotoRef"]) -> Iterator[str]:
    """Yield a folder's name for every photo: that of its file, safe everywhere and unique."""
    used = {PAGE_FILE, SHEET_FILE, SETTINGS_FILE}
    for ref in refs:
        stem = re.sub(r"[^\w.-]+", "_", Path(ref.name).stem).strip("._") or "photo"
        name, count = stem[:80], 1
        while name.lower() in used:
            count += 1
            name = f"{stem[:80]}-{count}"
        used.add(name.lower())
        yield name


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _reason(error: Exception) -> str:
    text = shortened(printable(" ".join(str(error).split())))
    if isinstance(error, PanoHeadError):
        return text
    if isinstance(error, OSError):
        return f"a file cannot be used ({error.strerror or text})"
    return f"unexpected {type(error).__name__}: {text}"


def _write_page(out: Path, outcomes: Sequence[_Outcome]) -> None:
    """Write the contact sheet and the page."""
    from panohead.media.provenance import COMPOSITE, NOTICE, page_metadata
    from panohead.reports import Figure, Figures, Link, Page, PageBlock, Paragraph, Section, Table, url, write_page

    made = [outcome for outcome in outcomes if not outcome.reason]
    failed = [[outcome.photo, outcome.reason] for outcome in outcomes if outcome.reason]
    blocks: list[PageBlock] = [Paragraph(NOTICE, "soft")]
    blocks.append(Paragraph(f"{len(made)} of {len(outcomes)} photos gave a head."))
    if failed:
        blocks.append(Section("Photos without a head", [Table(["photo", "reason"], failed)]))
    for outcome in made:
        photo = Figure(url(f"{outcome.name}/{PHOTO_FILE}"), "The photo, cut as the generator needs it", "Photo")
        views = Figure(url(f"{outcome.name}/views.png"), "The head from eight sides", "Head", linked=True)
        links = [Link(name, url(f"{outcome.name}/{name}")) for name in _files(out / outcome.name)]
        blocks.append(Section(outcome.photo, [Figures([photo, views], column_rem=15), Paragraph("", links=links)]))
    if made:
        _write_sheet(out, made)
    write_page(Page("Heads from photos", blocks, metadata=page_metadata(COMPOSITE)), out / PAGE_FILE)


def _files(folder: Path) -> list[str]:
    return [name for name in ("report.html", "head.glb", "turntable.mp4", "latent.npz") if (folder / name).is_file()]


def _write_sheet(out: Path, made: Sequence[_Outcome]) -> None:
    """Write photo and views of up to a hundred heads as one image."""
    from PIL import Image

    from panohead.files.image import decode_image
    from panohead.media import contact_sheet, save_image
    from panohead.media.provenance import COMPOSITE

    rows = []
    for outcome in made[:_MAX_SHEET_ROWS]:
        files = [PHOTO_FILE, *(f"views/{name}.png" for name in _SHEET_YAWS)]
        row: list[Image.Image | None] = []
        for file in files:
            path = out / outcome.name / file
            row.append(decode_image(path).image.convert("RGB") if path.is_file() else None)
        rows.append(row)
    columns = ["photo", *(f"{float(name[4:]):g}\N{DEGREE SIGN}" for name in _SHEET_YAWS)]
    names = [outcome.name[:24] for outcome in made[:_MAX_SHEET_ROWS]]
    sheet = contact_sheet(rows, row_labels=names, column_labels=columns, cell_size=128)
    save_image(sheet, out / SHEET_FILE, source=COMPOSITE)
