"""Inspection of a dataset: counts, poses, sizes, broken files, duplicates, balance, and advice."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from panohead.data.conventions import remedy_for
from panohead.data.decode import check_pixels
from panohead.data.duplicates import image_hash, repeated
from panohead.data.label_check import check_labels
from panohead.data.labels import LABELS_FILE, coarse_names, label_of, read_labels_file, readable_labels
from panohead.data.layout import open_layout
from panohead.data.masks import MIN_SIDE_PX, mask_problem, read_mask, values_problem
from panohead.data.names import NameIndex
from panohead.data.sources import FileSource, image_names
from panohead.errors import PanoHeadError
from panohead.files.image import BrokenImage, decode_image
from panohead.geometry.camera import Camera

SIDE_FROM_DEG, BACK_FROM_DEG = 45.0, 120.0
"""|yaw| from which a view is one of the side, and of the back."""
_FEW = 0.1
"""Share of views of the back below which repeating them is advised."""
_DUPLICATE_BITS = 2
"""Bits in which the hashes of two copies may differ."""


@dataclass
class Inspection:
    """Contents of a dataset.

    Attributes:
        photos: number of images; ``labeled`` and ``masked`` of them have a camera and a mask.
        angles_deg: yaw and pitch of the labeled ones: the camera's direction, not the official filter's angles.
        resolutions: number of images by size, such as "512 x 512".
        broken: the problem of each broken image or mask, by its name.
        duplicates: the earlier image that each copy repeats.
        coarse: number of images marked as coarsely aligned.
        wrong_labels: the problem of each label that is no camera as the networks expect it, by the image's name.
        label_remedy: what to do about these.
        wrong_masks: the problem of each mask that cannot be one of its image, by its name.
        sample: sentences on what a sample of images, masks and faces shows
            (:mod:`panohead.alignment.comparison.dataset_check`); filled in by the command.
    """

    photos: int = 0
    labeled: int = 0
    masked: int = 0
    angles_deg: Float[np.ndarray, "photo 2"] = field(default_factory=lambda: np.zeros((0, 2)))
    resolutions: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    duplicates: dict[str, str] = field(default_factory=dict)
    coarse: int = 0
    wrong_labels: dict[str, str] = field(default_factory=dict)
    label_remedy: str = ""
    wrong_masks: dict[str, str] = field(default_factory=dict)
    sample: list[str] = field(default_factory=list)

    def balance(self) -> dict[str, int]:
        """Return the number of labeled images of the front, the sides and the back."""
        yaw = np.abs(self.angles_deg[:, 0])
        side = (yaw >= SIDE_FROM_DEG) & (yaw < BACK_FROM_DEG)
        return {
            "front": int(np.sum(yaw < SIDE_FROM_DEG)),
            "side": int(np.sum(side)),
            "back": int(np.sum(yaw >= BACK_FROM_DEG)),
        }

    def advice(self) -> list[str]:
        """Return advice in sentences; none for a dataset that can be trained on as it is."""
        back = self.balance()["back"]
        repeat = round(0.25 * max(self.labeled, 1) / max(back, 1))
        checks = [
            (
                self.labeled < self.photos,
                f"{self.photos - self.labeled} images have no camera: remove or label them",
            ),
            (
                self.masked < self.photos,
                f"{self.photos - self.masked} images have no mask: add masks of the same name",
            ),
            (
                bool(self.wrong_labels),
                f"{len(self.wrong_labels)} labels are no cameras as the networks expect them: {self.label_remedy}",
            ),
            (bool(self.wrong_masks), f"{len(self.wrong_masks)} masks cannot be used: make them anew"),
            (bool(self.broken), f"{len(self.broken)} files are broken: restore or remove them"),
            (len(self.resolutions) > 1, "images differ in size: prepare them again, or convert with --size"),
            (
                bool(self.duplicates),
                f"{len(self.duplicates)} images repeat others: remove them, or the model memorizes them",
            ),
            (
                0 < back < _FEW * self.labeled,
                f"only {back / max(self.labeled, 1):.1%} show the back: repeat them about {repeat} times in training "
                "(the data option back_repeat)",
            ),
            (
                self.labeled > 0 and back == 0,
                "nothing shows the back of a head: add such photos (prepare --poses) or synthetic heads, or the back "
                "will be invented",
            ),
            (
                self.coarse > 0.5 * max(self.photos, 1),
                "most cameras are coarse: give better poses, or keep camera self-adaptation on in training",
            ),
        ]
        return [text for applies, text in checks if applies] + self.sample


def inspect_dataset(
    root: Path, masks: Path | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Inspection:
    """Inspect a dataset by opening every file.

    Args:
        root, masks: as in :func:`panohead.data.layout.open_layout`.
        on_progress: called with the number of images opened and of all images.

    Raises:
        PanoHeadError: when there is no dataset at all.
    """
    images, mask_files = open_layout(root, masks)
    names = image_names(images)
    if not names:
        raise PanoHeadError(f"{root} holds no images; give the folder of a dataset")
    mask_names = NameIndex(image_names(mask_files))
    labels, coarse = labels_found(images, names)
    result = Inspection(photos=len(names), labeled=len(labels), coarse=coarse)
    if labels:
        found = check_labels(list(labels), np.stack(list(labels.values())))
        for problem in found:
            result.wrong_labels.setdefault(problem.name, f"{problem.kind}, {problem.detail}")
        if found:
            wrong = np.stack([labels[name] for name in result.wrong_labels])
            result.label_remedy = remedy_for(wrong, str(root))
    result.angles_deg = np.array([camera_angles(label) for label in labels.values()]).reshape(-1, 2)
    sizes: Counter[str] = Counter()
    hashes: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        size = _examine(images, name, result, hashes)
        mask = mask_names.find(name)
        if mask is not None:
            result.masked += 1
            mask_size = _examine(mask_files, mask, result, None)
            if size and mask_size and size != mask_size:
                result.broken[mask_files.describe(mask)] = f"{mask_size} instead of the image's {size}"
            elif mask_size and (wrong_mask := _mask_problem(mask_files, mask)):
                result.wrong_masks[mask_files.describe(mask)] = wrong_mask
        if size:
            sizes[size] += 1
        if on_progress is not None:
            on_progress(number, len(names))
    result.resolutions = dict(sizes.most_common())
    result.duplicates = repeated(hashes, _DUPLICATE_BITS)
    return result


def labels_found(images: FileSource, names: list[str]) -> tuple[dict[str, Float[np.ndarray, "25"]], int]:
    """Return the labels that exist and can be read, and the number of images marked as coarsely aligned."""
    found: dict[str, np.ndarray] = {}
    try:
        content = read_labels_file(images)
    except PanoHeadError:
        return found, 0
    file = images.describe(LABELS_FILE)
    labels, coarse = readable_labels(content, file), coarse_names(content)
    index = NameIndex(labels)
    for name in names:
        if (other := index.find(name)) is not None:
            found[name] = label_of(labels[other], name, file)
    return found, len(coarse & set(names))


def camera_angles(label: Float[np.ndarray, "25"]) -> tuple[float, float]:
    """Return yaw and pitch of a camera's position in degrees: 0 the front, positive from the head's left and above."""
    x, y, z = Camera.from_label(torch.from_numpy(label)).position.double().tolist()
    return float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arctan2(y, np.hypot(x, z))))


def _mask_problem(source: FileSource, name: str) -> str:
    try:
        mask = read_mask(source.read(name), source.describe(name))
    except PanoHeadError as error:
        return str(error)
    # Tiny masks have no middle and no corners to speak of.
    return mask_problem(mask) if min(mask.shape) >= MIN_SIDE_PX else values_problem(mask)


def _examine(source: FileSource, name: str, result: Inspection, hashes: dict[str, str] | None) -> str:
    """Return the size of an image as text; "" for a broken one, which is entered in the result."""
    try:
        image = decode_image(source.read(name), colors=hashes is not None, check=check_pixels).image
        if hashes is not None:
            hashes[name] = image_hash(np.asarray(image.convert("RGB")))
        return f"{image.width} x {image.height}"
    except BrokenImage as error:
        result.broken[source.describe(name)] = f"not readable as an image ({error})"
    except PanoHeadError as error:
        result.broken[source.describe(name)] = str(error)
    return ""
