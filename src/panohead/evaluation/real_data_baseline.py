"""Third-party models measured on real photos, whose masks and cameras are known: the reliability of each."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from panohead.data.people import PEOPLE_FILE, read_people
from panohead.evaluation.back_of_head import BACK_YAWS, FRONT_YAWS, BackOfHead, FaceDetector
from panohead.evaluation.camera_error import CameraError, PoseEstimator
from panohead.evaluation.identity import YAWS, FaceEmbedder, Identity
from panohead.evaluation.mask_metrics import MaskError, Segmenter
from panohead.evaluation.photos import ReferencePhotos
from panohead.evaluation.protocol import yaw_of
from panohead.evaluation.results import Result
from panohead.geometry.camera import Camera
from panohead.ops.pixels import image_from_uint8, mask_from_uint8


def tools_on_photos(
    photos: ReferencePhotos,
    *,
    count: int,
    seed: int,
    resolution: int,
    segmenter: Segmenter | None = None,
    detector: FaceDetector | None = None,
    estimator: PoseEstimator | None = None,
    embedder: FaceEmbedder | None = None,
) -> list[Result]:
    """Return the rows of mask error, face detection rate and camera error for ``count`` photos with their backgrounds.

    A generator can hardly be better than these; the rate of faces on photos of backs is the detector's own error.
    Identity is measured where the dataset lists the people on its photos, on ``count`` of them that show a face.
    """
    masks = None if segmenter is None else MaskError(segmenter)
    faces = None if detector is None else BackOfHead(detector)
    cameras = None if estimator is None else CameraError(estimator)
    chosen = photos.order(seed)[:count]
    labels = photos.labels[chosen]
    for index, label, yaw in zip(chosen, labels, yaw_of(labels), strict=True):
        image = image_from_uint8(next(photos.batches(chosen[chosen == index], resolution, 1)))[0]
        if masks is not None:
            mask = mask_from_uint8(photos.dataset[int(index)].mask)
            masks.measure(image, _fit(mask, resolution))
        if cameras is not None:
            cameras.measure(image, Camera.from_label(label))
        if faces is not None and abs(yaw) >= min(BACK_YAWS):
            faces.detect("back", image)
        elif faces is not None and abs(yaw) <= max(FRONT_YAWS):
            faces.detect("front", image)
    people = None if embedder is None else Identity(embedder)
    if people is not None:
        for index, person in _faces(photos, count):
            people.measure(image_from_uint8(next(photos.batches(np.array([index]), resolution, 1)))[0], person)
    metrics = [metric for metric in (masks, faces, cameras) if metric is not None]
    found = [result for metric in metrics for result in metric.results()]
    return found + (people.results() if people is not None and people.views else [])


def _faces(photos: ReferencePhotos, count: int) -> Iterator[tuple[int, int]]:
    """Yield photo and person of at most ``count`` photos within the yaws of the identity metric, person by person."""
    listing = photos.folder / PEOPLE_FILE
    if not listing.is_file():
        return
    place = {photos.dataset.names[photo]: index for index, photo in enumerate(photos.dataset.selection.photo)}
    yaws = yaw_of(photos.labels)
    for person in read_people(listing):
        for index in (place[view["image"]] for view in person["views"] if view["image"] in place):
            if abs(yaws[index]) <= max(YAWS) and count > 0:
                count -= 1
                yield index, person["person"]


def _fit(mask: Float[Tensor, "1 height width"], resolution: int) -> Float[Tensor, "1 low low"]:
    return interpolate(mask[None], (resolution, resolution), mode="area")[0]
