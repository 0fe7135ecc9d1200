"""``panohead dataset``: inspect, check, convert and view datasets."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from panohead.cli.common import check_needed, counting
from panohead.cli.ranges import SHARD_MB
from panohead.cli.results_folder import refuse_others, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say
from panohead.data.convention_names import Convention
from panohead.errors import PanoHeadError, UsageError
from panohead.limits import IMAGE_SIDE, NumberRange

if TYPE_CHECKING:
    from panohead.alignment.comparison.dataset_check import SampleFindings
    from panohead.data.tools.dataset import Inspection

_SHOWN = 5


@dataclass(kw_only=True)
class Inspect:
    """Show counts, poses, sizes, broken files, wrong labels and masks, duplicates, balance, and advice."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder with images and masks (folders or zips) or shards."""
    masks: Path | None = None
    """Folder or zip of the masks, if not beside the images; then DATASET is the images themselves."""
    picture: Path | None = None
    """File for the histogram of yaw and pitch (default: poses.png in the dataset's folder)."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Print the counts and write the histogram."""
        from panohead.data.tools.dataset import inspect_dataset
        from panohead.data.tools.image import pose_image
        from panohead.preparation.files import REMEDY, encode
        from panohead.system.atomic_write import prepare_folder, write_bytes

        folder = self.dataset if self.dataset.is_dir() else self.dataset.parent
        histogram = self.picture or folder / "poses.png"
        if histogram.suffix != ".png":
            raise UsageError(f"--picture {histogram} must end in .png")
        prepare_folder(histogram)
        with progress("reading images") as on_progress:
            found = inspect_dataset(self.dataset, self.masks, on_progress)
        findings = sample_of(self.dataset, self.masks)
        found.sample = [*findings.problems, *findings.notes]
        for line in describe(found):
            answer(line)
        write_bytes(histogram, encode(pose_image(found.angles_deg), ".png"), remedy=REMEDY)
        say(f"wrote {histogram}")


@dataclass(kw_only=True)
class Check:
    """Check labels, masks and faces as training does: labels are cameras, masks are of their images, faces are where
    their labels say (with MediaPipe); fail when not."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder with images and masks (folders or zips) or shards."""
    masks: Path | None = None
    """Folder or zip of the masks, if not beside the images."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Print the problems by kind, with examples.

        Raises:
            PanoHeadError: when there is one.
        """
        from panohead.alignment.comparison.dataset_check import SAMPLE
        from panohead.data.conventions import remedy_for
        from panohead.data.label_check import check_labels, wrong_labels
        from panohead.data.labels import read_labels
        from panohead.data.layout import open_layout
        from panohead.data.sources import image_names, match_masks

        images, mask_files = open_layout(self.dataset, self.masks)
        names = image_names(images)
        if not names:
            raise PanoHeadError(f"{self.dataset} holds no images; give the folder of a dataset")
        match_masks(names, mask_files)
        labels = read_labels(images, names, check=False)
        found = check_labels(names, labels)
        for kind, count in Counter(finding.kind for finding in found).most_common():
            examples = [finding for finding in found if finding.kind == kind][:_SHOWN]
            answer(f"{count} labels: {kind}; for example " + ", ".join(f"{f.name} ({f.detail})" for f in examples))
        if found:
            wrong = len({finding.name for finding in found})
            raise PanoHeadError(
                f"{wrong} of {len(names)} labels of {self.dataset} are not as they should be (see above); "
                f"{remedy_for(labels[wrong_labels(labels)], str(self.dataset))}"
            )
        answer(f"{len(names)} labels, all orthonormal, at the right distance and with standard intrinsics")
        broken: dict[str, str] = {}
        findings = sample_of(self.dataset, self.masks, broken)
        for sentence in (*findings.problems, *findings.notes):
            answer(sentence)
        if broken:
            file, problem = next(iter(broken.items()))
            answer(f"{len(broken)} images or masks of a sample cannot be used; the first one: {file}: {problem}")
        if findings.problems or 2 * len(broken) > min(SAMPLE, len(names)):
            raise PanoHeadError(f"{self.dataset} cannot be used as it is; see above")
        answer("masks and faces of a sample agree with images and labels as far as can be told")


@dataclass(kw_only=True)
class Convert:
    """Copy a dataset into another layout, or its cameras from another convention."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder with images and masks (folders or zips) or shards; or a file of labels alone, with --cameras-from."""
    out: Path
    """Folder of the copy (of a file of labels: the new file)."""
    to: Literal["folder", "zip", "shards"] | None = None
    """Layout of the copy; shards are WebDataset tars for streaming."""
    cameras_from: tuple[Convention, ...] = ()
    """Convention of the labels, in one or several words: opengl (y up, z backward), world2cam, pixels, z-up, ...;
    "dataset check" names it."""
    masks: Path | None = None
    """Folder or zip of the masks, if not beside the images."""
    resolution: Annotated[int | None, NumberRange(8, IMAGE_SIDE.high, "pixels")] = None
    """Side of the copies in pixels (folder and zip); by default files are copied byte for byte."""
    renumber: bool = False
    """Names and format of the official dataset tool (folder and zip)."""
    shard_mb: Annotated[float, SHARD_MB] = 64.0
    """Size of a shard in millions of bytes."""
    overwrite: bool = False
    """Remove the copy of an earlier "dataset convert" in OUT (never a dataset that was made otherwise)."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Convert with a progress bar, then print the number of copies and their place."""
        from panohead.data.tools.convert import convert_dataset, convert_label_file

        if self.dataset.suffix.lower() == ".json":
            if not self.cameras_from:
                raise UsageError(
                    "a file of labels is converted with --cameras-from; for images give the dataset's folder"
                )
            check_needed(self, "a dataset's folder", False, "to", "masks", "resolution", "renumber", "shard_mb")
            count = convert_label_file(self.dataset, self.out, self.cameras_from, overwrite=self.overwrite)
            answer(f"wrote {count} labels to {self.out}")
            return
        if self.to is None:
            raise UsageError("say the layout of the copy with --to folder, --to zip or --to shards")
        check_needed(self, "--to shards", self.to == "shards", "shard_mb")
        refuse_others(self.out, "dataset convert")
        if self.to == "shards":
            self._shards()
            return
        with progress("copying") as on_progress:
            done = convert_dataset(
                self.dataset,
                self.out,
                self.to,
                masks=self.masks,
                size=self.resolution,
                renumber=self.renumber,
                cameras_from=self.cameras_from,
                on_progress=on_progress,
                overwrite=self.overwrite,
            )
        write_settings(self.out, "dataset convert", self)
        for name in done.left_out[:_SHOWN]:
            answer(f"left out {name}: no label or no mask")
        if len(done.left_out) > _SHOWN:
            answer(f"left out {len(done.left_out) - _SHOWN} more")
        for sentence in done.broken[:_SHOWN]:
            answer(f"left out: {sentence}")
        if len(done.broken) > _SHOWN:
            answer(f"left out {len(done.broken) - _SHOWN} more that cannot be copied")
        answer(f"wrote {done.copied} images to {self.out}")

    def _shards(self) -> None:
        from panohead.data.tools.write_shards import write_shards

        if self.resolution is not None or self.renumber or self.cameras_from:
            raise UsageError(
                "--resolution, --renumber and --cameras-from do not go with --to shards; convert to a folder first"
            )
        with progress("copying") as on_progress:
            paths = write_shards(
                self.dataset,
                self.out,
                masks=self.masks,
                shard_mb=self.shard_mb,
                on_progress=on_progress,
                overwrite=self.overwrite,
            )
        write_settings(self.out, "dataset convert", self)
        answer(f"wrote {len(paths)} shards to {self.out}")


@dataclass(kw_only=True)
class ViewImages:
    """One offline page of a dataset's images by yaw, to filter by attributes, flags and what is wrong."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder with images and masks (folders or zips) or shards."""
    masks: Path | None = None
    """Folder or zip of the masks, if not beside the images; then DATASET is the images themselves."""
    out: Path | None = None
    """Page to write (default: view.html in the dataset's folder, where it can show the images at full size)."""
    limit: Annotated[int, NumberRange(1, 5000, "images")] = 5000
    """Images on the page: of more, those with a problem and an even choice of the others."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Check and draw the images, write the page, and print its place."""
        from panohead.data.tools.dataset import inspect_dataset
        from panohead.gallery import write_dataset_view
        from panohead.system.atomic_write import prepare_folder

        folder = self.dataset if self.dataset.is_dir() else self.dataset.parent
        page = self.out or folder / "view.html"
        if page.suffix != ".html":
            raise UsageError(f"--out {page} must end in .html")
        prepare_folder(page)
        with progress("checking images") as on_progress:
            checked = inspect_dataset(self.dataset, self.masks, on_progress)
        with progress("drawing images") as on_progress:
            shown, wrong = write_dataset_view(
                self.dataset, page, checked, masks=self.masks, limit=self.limit, on_progress=on_progress
            )
        found = f"; something is wrong with {wrong} of them" if wrong else ""
        answer(f"wrote {page} with {shown} images{found}")


@dataclass(kw_only=True)
class Dataset:
    """Inspect, check, convert and view datasets."""

    command: Annotated[
        Annotated[Inspect, tyro.conf.subcommand("inspect")]
        | Annotated[Check, tyro.conf.subcommand("check")]
        | Annotated[Convert, tyro.conf.subcommand("convert")]
        | Annotated[ViewImages, tyro.conf.subcommand("view")],
        # Without a name the options are not prefixed by it.
        tyro.conf.arg(name=""),
    ]

    @property
    def common(self) -> CommonOptions:
        """Options that every command has, of the chosen subcommand."""
        return self.command.common

    def run(self) -> None:
        """Run the chosen subcommand."""
        self.command.run()


def describe(found: "Inspection") -> list[str]:
    """Return the counts of an inspection as lines of text."""
    balance = found.balance()
    total = max(1, found.labeled)
    lines = [
        f"images   {found.photos}, with camera {found.labeled}, with mask {found.masked}, coarse {found.coarse}",
        "sizes    " + (", ".join(f"{size}: {count}" for size, count in found.resolutions.items()) or "none"),
        "balance  " + ", ".join(f"{name} {count} ({count / total:.0%})" for name, count in balance.items()),
    ]
    if found.labeled:
        yaw, pitch = found.angles_deg.T
        lines.append(
            f"yaw      {yaw.min():.0f} to {yaw.max():.0f} degrees; pitch {pitch.min():.0f} to {pitch.max():.0f}"
        )
    for what, entries in (
        ("broken", found.broken),
        ("wrong label", found.wrong_labels),
        ("wrong mask", found.wrong_masks),
        ("repeats", found.duplicates),
    ):
        lines += [f"{what}: {name}: {detail}" for name, detail in list(entries.items())[:_SHOWN]]
        if len(entries) > _SHOWN:
            lines.append(f"{what}: and {len(entries) - _SHOWN} more")
    return lines + [f"advice: {text}" for text in found.advice()]


def sample_of(root: Path, masks: Path | None, broken: dict[str, str] | None = None) -> "SampleFindings":
    """Return what a sample of a dataset shows about its masks, labels and crops.

    Args:
        root, masks: the dataset.
        broken: is filled with the problems of files that cannot be used, by their names. None where the command lists
            them all itself; then a dataset that cannot be opened has no findings.

    Raises:
        PanoHeadError: when the dataset cannot be opened, with ``broken``.
    """
    from panohead.alignment.comparison.dataset_check import SAMPLE, SampleFindings, SampleImage, examine_sample
    from panohead.data.dataset import open_dataset

    try:
        dataset = open_dataset(root, masks=masks, broken_limit=SAMPLE)
    except PanoHeadError:
        if broken is not None:
            raise
        return SampleFindings(())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        note = None if broken is None else broken.setdefault
        return examine_sample(SampleImage(*one) for one in dataset.sampled(SAMPLE, note))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, all) that moves a progress bar; the bar opens at its first call."""
    with ExitStack() as open_bars:
        advance: Callable[[], None] | None = None
        shown = 0

        def on_progress(done: int, total: int) -> None:
            nonlocal advance, shown
            if advance is None:
                advance = open_bars.enter_context(counting(what, total))
            for _ in range(done - shown):
                advance()
            shown = done

        yield on_progress
