"""A whole run of ``panohead prepare``: list, skip what is finished, process the rest, find duplicates, write."""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from panohead.alignment.detector_check import check_models
from panohead.alignment.face_landmarks import import_mediapipe
from panohead.alignment.photo_mask import find_own_mask, forget_own_masks, own_mask_names
from panohead.alignment.pose_file import find_pose, notes_on_poses
from panohead.data.duplicates import repeated
from panohead.data.labels import CORNERS_KEY, LABELS_FILE
from panohead.errors import PanoHeadError
from panohead.files.folder_lock import locked_folder
from panohead.files.inside import inside
from panohead.files.regular import reason_of
from panohead.limits import WORKERS
from panohead.preparation.files import REMEDY, SET_ASIDE, ResumeLog, open_out
from panohead.preparation.records import CropRecord, PhotoRecord
from panohead.preparation.settings import PrepareSettings
from panohead.preparation.sources import PhotoRef, list_photos
from panohead.preparation.worker_pool import prepare_many
from panohead.system.atomic_write import LEFTOVERS, write_bytes, write_json

Engine = Callable[[Iterable[PhotoRef], PrepareSettings], Iterator[PhotoRecord]]
"""Function that prepares photos and yields their records in any order."""


@dataclass(frozen=True)
class PrepareSummary:
    """Counts of a finished run.

    Attributes:
        photos: photos tried in all runs of this dataset.
        accepted: crops in the dataset.
        coarse: accepted crops with a coarse camera.
        rejected: crops and photos left out.
        reasons: number of times that each kind of reason was given, the most frequent first.
        notes: sentences on the user's poses and masks that match no photo, or several.
    """

    photos: int
    accepted: int
    coarse: int
    rejected: int
    reasons: dict[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreparationProgress:
    """Progress of a run: ``done`` of ``total`` photos, of which ``accepted`` gave at least one crop."""

    done: int
    total: int
    accepted: int


def prepare(photos: str | Path | Sequence[str | Path], settings: PrepareSettings, workers: int = 1) -> PrepareSummary:
    """Prepare photos into ``settings.out``; continue a run that was interrupted.

    Args:
        photos: files, folders, globs and zip archives, one or several.
        workers: processes; 0 works in this one.

    Raises:
        PanoHeadError: when there are no files, or the run itself cannot continue; never for one photo.
    """
    for _ in prepare_steps(photos, settings, workers=workers):
        pass
    return finish(settings)


def prepare_steps(
    photos: str | Path | Sequence[str | Path],
    settings: PrepareSettings,
    *,
    workers: int = 1,
    engine: Engine | None = None,
    overwrite: bool = False,
) -> Iterator[PreparationProgress]:
    """Prepare photos up to the index, one step per photo; call :func:`finish` afterwards.

    Args:
        photos, workers: as for :func:`prepare`.
        engine: prepares the photos in place of local worker processes (Ray).
        overwrite: remove a prepared dataset that the folder holds, and start again.

    Yields:
        The progress: first of what older runs finished, then after every photo.

    Raises:
        PanoHeadError: when there are no files, or the run itself cannot continue; never for one photo.
    """
    if workers != 0:
        WORKERS.whole(workers, "workers")
    forget_own_masks()
    refs = [_stamped_safely(ref, settings) for ref in list_photos(photos, leave_out=settings.out)]
    if not refs:
        given = [photos] if isinstance(photos, str | Path) else photos
        if list_photos(photos):
            raise PanoHeadError(f"{settings.out} holds the photos themselves; give another folder for the result")
        raise PanoHeadError(f"{', '.join(map(str, given))} holds no files to prepare; give photos")
    _check_detectors(refs, settings)
    with locked_folder(settings.out, "prepares photos"):
        inputs = [*{ref.path for ref in refs}, *([] if settings.masks is None else [settings.masks])]
        open_out(settings.out, settings.resume_key(), overwrite=overwrite, inputs=inputs)
        # Those of another process are not swept: it would hold the lock.
        for leftover in settings.out.rglob(LEFTOVERS):
            leftover.unlink(missing_ok=True)
        log = ResumeLog(settings.out)
        todo = [ref for ref in refs if not log.is_finished(settings.out, ref.name, ref.stamp)]
        unfinished = {ref.name for ref in todo}
        done = len(refs) - len(todo)
        accepted = sum(log.records[ref.name].has_crop for ref in refs if ref.name not in unfinished)
        yield PreparationProgress(done, len(refs), accepted)
        records = engine(todo, settings) if engine else prepare_many(todo, settings, min(workers, max(1, len(todo))))
        for record in records:
            log.add(record)
            done, accepted = done + 1, accepted + record.has_crop
            yield PreparationProgress(done, len(refs), accepted)


def finish(settings: PrepareSettings) -> PrepareSummary:
    """Set duplicates aside and write ``prepare.jsonl`` and ``dataset.json``.

    Raises:
        FolderInUse: when another process prepares photos there.
        PanoHeadError: when they cannot be written.
    """
    with locked_folder(settings.out, "prepares photos"):
        return _finish(settings)


def _finish(settings: PrepareSettings) -> PrepareSummary:
    out = settings.out
    records = [record for _, record in sorted(ResumeLog(out).records.items())]
    records = mark_duplicates(records, settings.gates.duplicate_bits)
    accepted: list[CropRecord] = []
    for record in records:
        for crop in record.crops:
            _put(out, crop)
            if not crop.reason:
                accepted.append(crop)
    _remove_orphans(out, {crop.image for crop in accepted}, {crop.mask for crop in accepted})
    lines = "".join(json.dumps(record.to_json()) + "\n" for record in records)
    write_bytes(out / "prepare.jsonl", lines.encode(), remedy=REMEDY)
    accepted.sort(key=lambda crop: crop.image)
    coarse = [crop.image for crop in accepted if crop.kind == "coarse"]
    corners = {crop.image: crop.photo_corners for crop in accepted if crop.photo_corners is not None}
    index = {"labels": [[crop.image, crop.label] for crop in accepted], "coarse": coarse}
    index |= {CORNERS_KEY: corners} if corners else {}
    write_json(out / "images" / LABELS_FILE, index, remedy=REMEDY)
    reasons = Counter(reason.split(":")[0] for record in records for reason in record.reasons)
    return PrepareSummary(
        photos=len(records),
        accepted=len(accepted),
        coarse=len(coarse),
        rejected=sum(reasons.values()),
        reasons=dict(reasons.most_common()),
        notes=(
            *notes_on_poses(settings.poses, (record.photo for record in records)),
            *_notes_on_masks(settings, [record.photo for record in records]),
        ),
    )


def mark_duplicates(records: Sequence[PhotoRecord], bits: int) -> list[PhotoRecord]:
    """Return the records with a reason for leaving out every crop that repeats an earlier one, in the order of photos.

    Args:
        bits: largest number of bits in which the hashes of two copies differ; -1 keeps all.
    """
    hashes = {crop.image: crop.hash for record in records for crop in record.crops if not crop.reason}
    photo = {crop.image: record.photo for record in records for crop in record.crops}
    original = repeated(hashes, bits)

    def marked(crop: CropRecord) -> CropRecord:
        if crop.reason or crop.image not in original:
            return crop
        return replace(crop, reason=f"duplicate: of {photo[original[crop.image]]}", duplicate=True)

    return [replace(record, crops=tuple(marked(crop) for crop in record.crops)) for record in records]


def _put(out: Path, crop: CropRecord) -> None:
    """Move an accepted crop's files into the dataset, a duplicate's out of it."""
    for folder, name in (("images", crop.image), ("masks", crop.mask)):
        kept, aside = inside(out / folder, name), inside(out / SET_ASIDE / folder, name)
        source, target = (kept, aside) if crop.reason else (aside, kept)
        if crop.reason and not crop.duplicate:
            continue
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)


def _remove_orphans(out: Path, images: set[str], masks: set[str]) -> None:
    """Delete crops that no record names: written just before a kill, or of a photo that has changed."""
    for folder, wanted in (("images", images), ("masks", masks)):
        for path in sorted((out / folder).glob("*/*")):
            # Not through a link to another folder.
            if path.relative_to(out / folder).as_posix() not in wanted and not path.parent.is_symlink():
                path.unlink()
        for path in (out / folder).glob("*"):
            # Only empty folders can be removed; others raise.
            with contextlib.suppress(OSError):
                path.rmdir()


def _stamped_safely(ref: PhotoRef, settings: PrepareSettings) -> PhotoRef:
    """Return :func:`_stamped`, or the photo with its problem: one odd name costs itself."""
    try:
        return _stamped(ref, settings)
    except (OSError, ValueError, TypeError) as error:
        return replace(ref, problem=f"its pose or mask cannot be read ({reason_of(error)})")


def _stamped(ref: PhotoRef, settings: PrepareSettings) -> PhotoRef:
    """Add the user's pose and mask to the stamp: a photo whose pose or mask changes is prepared again."""
    stamp, pose = ref.stamp, find_pose(settings.poses, ref.name)
    own = None if settings.masks is None else find_own_mask(settings.masks, ref.name)
    if pose is not None:
        stamp += f" {pose}"
    if own is not None:
        stamp += f" mask {own.stamp}"
    return replace(ref, stamp=stamp)


def _notes_on_masks(settings: PrepareSettings, photos: Sequence[str]) -> list[str]:
    """Return a sentence on photos without a mask of the user's, where there are masks."""
    if settings.masks is None:
        return []
    without = [photo for photo in photos if find_own_mask(settings.masks, photo) is None]
    if not without:
        return []
    some, masks = ", ".join(without[:3]), ", ".join(own_mask_names(settings.masks)[:3]) or "no images at all"
    return [
        f"{len(without)} of {len(photos)} photos have no mask in {settings.masks} ({some}; it holds {masks}); theirs "
        "were found by the mask network"
    ]


def _check_detectors(refs: list[PhotoRef], settings: PrepareSettings) -> None:
    """Raise before the first photo when a model file cannot be used, or MediaPipe is missing and will be needed."""
    check_models(settings)
    if any(_needs_mediapipe(ref, settings) for ref in refs if not ref.problem):
        import_mediapipe()


def _needs_mediapipe(ref: PhotoRef, settings: PrepareSettings) -> bool:
    pose = find_pose(settings.poses, ref.name)
    if pose is None or pose.yaw_deg is None:
        return True
    masked = settings.mask_model is not None
    own = settings.masks is not None and find_own_mask(settings.masks, ref.name) is not None
    return not masked and not (own and pose.box is not None)
