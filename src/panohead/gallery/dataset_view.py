"""Page of a dataset: its images by yaw, with people's attributes, what is wrong, and the crops of ``prepare``."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from panohead.data.labels import LABELS_FILE, coarse_names, read_labels_file
from panohead.data.layout import open_layout
from panohead.data.names import NameIndex
from panohead.data.people import PEOPLE_FILE, read_people
from panohead.data.sources import FileSource, FolderSource, image_names
from panohead.data.tools.dataset import Inspection, camera_angles, labels_found
from panohead.errors import PanoHeadError
from panohead.files.image import BrokenImage, decode_image
from panohead.files.inside import inside
from panohead.files.read_json import read_json_lines
from panohead.preparation.records import CropRecord, PhotoJson, PhotoRecord
from panohead.reports import BrowserImage, ImageBrowser, KeyValues, Page, PageBlock, Paragraph, url, write_page
from panohead.reports.image_browser import MAX_IMAGES, thumbnail

_RECORDS_FILE = "prepare.jsonl"
_PERSON = (
    "person", "gender", "age", "tone", "weight", "muscle", "hair_style", "hair_colour", "grey", "beard", "iris",
    "clothes", "glasses", "headwear", "freckles", "lipstick",
)  # fmt: skip
_CROP = ("kind", "method", "confidence", "core_px", "sharpness", "outside", "mask_coverage")
"""Entries of people's and crops' records by which readers filter."""
OnProgress = Callable[[int, int], None]


def write_dataset_view(
    root: Path,
    path: Path,
    found: Inspection,
    *,
    masks: Path | None = None,
    limit: int = MAX_IMAGES,
    on_progress: OnProgress | None = None,
) -> tuple[int, int]:
    """Write the page: one HTML file, which links to the images where they lie in folders.

    Args:
        root, masks: as in :func:`panohead.data.layout.open_layout`.
        path: page to write.
        found: what :func:`panohead.data.tools.dataset.inspect_dataset` says about it.
        limit: images on it; of more, those with a problem and an even choice of the others.
        on_progress: called with the number of images drawn and of all.

    Returns:
        The number of images on the page, and of those that something is wrong with.

    Raises:
        PanoHeadError: when there is no dataset, or the page cannot be written.
    """
    images, mask_files = open_layout(root, masks)
    names = image_names(images)
    problems = _problems(found, images, names, mask_files)
    shown = chosen(names, problems, limit)
    notes: list[str] = []
    facts = _Facts(root, images, NameIndex(image_names(mask_files)), problems, notes)
    page_folder = path.parent.resolve()
    cards = []
    for number, name in enumerate(shown, 1):
        cards.append(facts.card(name, page_folder))
        if on_progress is not None:
            on_progress(number, len(shown))
    rest = facts.left_out(page_folder, limit - len(cards))
    if len(shown) < len(names):
        notes.append(f"{len(shown):,} of {len(names):,} images: an even choice, and all with a problem")
    blocks: list[PageBlock] = [KeyValues(_counts(found)), *(Paragraph(note, "warning") for note in notes)]
    blocks += [Paragraph(text, "soft") for text in found.advice()]
    blocks.append(ImageBrowser([*cards, *rest]))
    write_page(Page(f"Dataset {root.resolve().name}", blocks), path)
    return len(cards) + len(rest), sum(bool(card.problem) for card in (*cards, *rest))


def chosen(names: list[str], problems: Mapping[str, Any], limit: int) -> list[str]:
    """Return at most so many names in their order: first those with a problem, then the others evenly."""
    if len(names) <= limit:
        return names
    wrong = [name for name in names if name in problems][:limit]
    others = [name for name in names if name not in problems]
    room = limit - len(wrong)
    places: list[int] = np.linspace(0, len(others) - 1, room).round().astype(int).tolist() if room and others else []
    kept = {*wrong, *(others[place] for place in places)}
    return [name for name in names if name in kept]


class _Facts:
    """Knowledge of every image; unreadable lists become notes, and the page is written without them."""

    def __init__(
        self,
        root: Path,
        images: FileSource,
        masks: NameIndex,
        problems: Mapping[str, tuple[str, str]],
        notes: list[str],
    ) -> None:
        self._images, self._masks, self._problems = images, masks, problems
        self._folder = root if root.is_dir() else root.parent
        self._labels, _ = labels_found(images, image_names(images))
        self._index = NameIndex(self._labels)
        self._coarse: set[str] = set()
        self._people: dict[str, dict[str, Any]] = {}
        self._crops: dict[str, CropRecord] = {}
        self._photos: list[PhotoRecord] = []
        for read in (self._read_coarse, self._read_people, self._read_crops):
            try:
                read()
            except PanoHeadError as error:
                notes.append(f"{error}")

    def card(self, name: str, page_folder: Path) -> BrowserImage:
        """Return what the page shows of an image."""
        flag, problem = self._problems.get(name, ("", ""))
        crop = self._crops.get(name)
        flags = [flag] if flag else []
        flags += ["no mask"] if self._masks.find(name) is None else []
        flags += ["coarse camera"] if name in self._coarse else []
        flags += [] if crop is None else list(crop.flags)
        label = self._labels.get(name)
        yaw, pitch = (None, None) if label is None else camera_angles(label)
        attributes = _plain(self._people.get(name, {}))
        attributes |= {} if crop is None else _plain({key: getattr(crop, key) for key in _CROP})
        return BrowserImage(
            name=name,
            thumbnail=self._thumbnail(name),
            yaw_deg=yaw,
            pitch_deg=pitch,
            flags=list(dict.fromkeys(flags if label is not None else ["no camera", *flags])),
            problem=problem,
            attributes=attributes,
            file=self._address(self._images.path / name, page_folder) if isinstance(self._images, FolderSource) else "",
            overlay="" if crop is None else self._overlay(crop.overlay, page_folder),
        )

    def left_out(self, page_folder: Path, limit: int) -> list[BrowserImage]:
        """Return photos and heads that ``prepare`` left out, with their overlays."""
        found: list[BrowserImage] = []
        for record in self._photos:
            for reason, overlay in _left_out(record):
                if len(found) == limit:
                    return found
                small = b""
                try:
                    small = thumbnail(decode_image(inside(self._folder, overlay)).image) if overlay else b""
                except (PanoHeadError, BrokenImage, OSError):
                    overlay = ""
                flags = ["left out", f"left out: {reason.partition(':')[0]}"]
                place = self._overlay(overlay, page_folder)
                found.append(
                    BrowserImage(name=record.photo, thumbnail=small, flags=flags, problem=reason, overlay=place)
                )
        return found

    def _thumbnail(self, name: str) -> bytes:
        try:
            return thumbnail(decode_image(self._images.read(name)).image)
        except (PanoHeadError, BrokenImage, OSError):
            return b""  # what is wrong with it is its problem already

    def _overlay(self, overlay: str, page_folder: Path) -> str:
        try:
            path = inside(self._folder, overlay) if overlay else None
        except PanoHeadError:
            return ""
        return self._address(path, page_folder) if path is not None and path.is_file() else ""

    def _address(self, path: Path, page_folder: Path) -> str:
        """Return the address of a file from the page; "" for one that is not below the page's folder."""
        try:
            return url(*path.resolve().relative_to(page_folder).parts)
        except ValueError:
            return ""

    def _read_coarse(self) -> None:
        if self._images.has(LABELS_FILE):
            self._coarse = coarse_names(read_labels_file(self._images))

    def _read_people(self) -> None:
        file = self._folder / PEOPLE_FILE
        for person in read_people(file) if file.is_file() else ():
            known = {key.replace("colour", "color"): person[key] for key in _PERSON if key in person}  # type: ignore[literal-required]
            for view in person["views"]:
                self._people[view["image"]] = known

    def _read_crops(self) -> None:
        file = self._folder / _RECORDS_FILE
        if file.is_file():
            self._photos = [PhotoRecord.from_json(row) for row in read_json_lines(file, PhotoJson)]
            self._crops = {crop.image: crop for photo in self._photos for crop in photo.crops if not crop.reason}


def _left_out(record: PhotoRecord) -> Iterable[tuple[str, str]]:
    """Yield reason and overlay of what was left out of a photo."""
    if record.reason:
        yield record.reason, record.overlay or ""
    for crop in record.crops:
        if crop.reason:
            yield crop.reason, crop.overlay


def _plain(values: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the numbers and words of a record."""
    return {
        name: value if isinstance(value, str) else float(value)
        for name, value in values.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }


def _problems(found: Inspection, images: FileSource, names: list[str], masks: FileSource) -> dict[str, tuple[str, str]]:
    """Return flag and sentence of every image that something is wrong with."""
    problems: dict[str, tuple[str, str]] = {}
    index = NameIndex(image_names(masks))
    for name in names:
        mask = index.find(name)
        described = images.describe(name)
        described_mask = masks.describe(mask) if mask is not None else ""
        if described in found.broken:
            problems[name] = ("broken", found.broken[described])
        elif described_mask and described_mask in found.broken:
            problems[name] = ("broken mask", found.broken[described_mask])
        elif described_mask and described_mask in found.wrong_masks:
            problems[name] = ("wrong mask", found.wrong_masks[described_mask])
        elif name in found.wrong_labels:
            problems[name] = ("wrong label", found.wrong_labels[name])
        elif name in found.duplicates:
            problems[name] = ("repeats another", f"nearly the same as {found.duplicates[name]}")
    return problems


def _counts(found: Inspection) -> dict[str, object]:
    balance = ", ".join(f"{name} {count}" for name, count in found.balance().items())
    sizes = ", ".join(f"{size}: {count}" for size, count in found.resolutions.items())
    return {
        "images": found.photos, "with camera": found.labeled, "with mask": found.masked, "views": balance,
        "sizes": sizes, "broken": len(found.broken), "wrong labels": len(found.wrong_labels),
        "wrong masks": len(found.wrong_masks), "repeats": len(found.duplicates),
    }  # fmt: skip
