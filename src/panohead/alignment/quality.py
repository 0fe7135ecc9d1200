"""Quality of a crop: measurements, and the gates that reject crops not good enough to train on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.crop import FRAME, frame_to_core, is_inside
from panohead.alignment.face_landmarks import Landmarks
from panohead.alignment.head_alignment import Alignment
from panohead.alignment.mask_check import MaskFacts, examine_mask
from panohead.alignment.quality_gates import QualityGates


@dataclass(frozen=True)
class CropFacts:
    """Measurements of a crop that the gates compare with :class:`QualityGates`.

    Attributes:
        core_px: side of the crop's core in the photo, pixels.
        sharpness: variance of the Laplacian of the frame at 256 pixels, gray levels squared.
        outside: share of the frame that lies outside the photo.
        face_visible: share of the face's landmarks that the mask covers; None without landmarks.
        mask: measurements of the mask.
    """

    core_px: float
    sharpness: float
    outside: float
    face_visible: float | None
    mask: MaskFacts


def gate(alignment: Alignment, facts: CropFacts, gates: QualityGates) -> str:
    """Return the first reason to reject a crop, or an empty string.

    The words before a colon are what reports count by; they are stored in datasets.
    """
    roll, pitch = alignment.crop.angle_deg, alignment.angles_deg[1]
    residual, visible = alignment.residual, facts.face_visible
    checks: list[tuple[bool, str]] = [
        (facts.core_px < gates.min_core_px, f"too small: {facts.core_px:.0f} px, needs {gates.min_core_px:.0f}"),
        (
            residual is not None and residual > gates.max_residual,
            f"landmarks do not fit a face: residual {residual or 0:.3f}, at most {gates.max_residual}",
        ),
        (
            alignment.confidence < gates.min_confidence,
            f"pose unsure: confidence {alignment.confidence:.2f}, needs {gates.min_confidence}",
        ),
        (
            alignment.kind == "face" and abs(roll) > gates.max_roll_deg,
            f"tilted by {roll:.0f} degrees, at most {gates.max_roll_deg:.0f}",
        ),
        (abs(pitch) > gates.max_pitch_deg, f"pitch of {pitch:.0f} degrees, at most {gates.max_pitch_deg:.0f}"),
        (
            facts.outside > gates.max_outside,
            f"head cut off: {facts.outside:.0%} of the frame lies outside, at most {gates.max_outside:.0%}",
        ),
        (
            facts.sharpness < gates.min_sharpness,
            f"blurred: sharpness {facts.sharpness:.1f}, needs {gates.min_sharpness}",
        ),
        (facts.mask.coverage < gates.min_coverage, f"mask nearly empty: {facts.mask.coverage:.0%} of the frame"),
        (facts.mask.coverage > gates.max_coverage, f"mask nearly full: {facts.mask.coverage:.0%} of the frame"),
        (
            visible is not None and visible < gates.min_face_visible,
            f"face covered: mask holds {visible or 0:.0%} of it, needs {gates.min_face_visible:.0%}",
        ),
    ]
    return next((reason for failed, reason in checks if failed), "")


def flags(alignment: Alignment, facts: CropFacts) -> list[str]:
    """Return notes on a crop that do not reject it."""
    notes = [
        (facts.core_px < 256, "enlarged"),
        (facts.mask.pieces > 1, "mask in several pieces"),
        (facts.mask.largest < 0.9, "mask scattered"),
        (facts.outside > 0.1, "partly outside the photo"),
        (alignment.kind == "coarse", "coarse camera"),
    ]
    return [text for applies, text in notes if applies]


def sharpness(frame: UInt8[np.ndarray, "height width 3"]) -> float:
    """Return the variance of the Laplacian of the gray frame at 256 pixels: about 20 to 2000 for photos in focus."""
    from PIL import Image

    gray = np.asarray(Image.fromarray(frame).convert("L").resize((256, 256), Image.Resampling.BOX), dtype=np.float64)
    # The five-point Laplacian, 254 254.
    middle = gray[1:-1, 1:-1]
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * middle
    return float(laplacian.var())


def outside_share(crop_points: Float[np.ndarray, "point 2"], shape: tuple[int, ...]) -> float:
    """Return the share of sampled points of the frame (photo's pixels) that lie outside a photo of this shape."""
    return float(1.0 - is_inside(crop_points, shape).mean())


def face_visible(mask: Float[np.ndarray, "height width"], landmarks: Landmarks) -> float:
    """Return the share of the landmarks (pixels of the mask) at which the mask is over a half."""
    rows = np.clip(np.rint(landmarks[:, 1]).astype(int), 0, mask.shape[0] - 1)
    columns = np.clip(np.rint(landmarks[:, 0]).astype(int), 0, mask.shape[1] - 1)
    return float((mask[rows, columns] > 0.5).mean())


_GRID = 33
"""Points per side at which the frame is tested for lying outside the photo."""


def measure(
    image: UInt8[np.ndarray, "height width 3"],
    alignment: Alignment,
    frame: UInt8[np.ndarray, "563 563 3"],
    mask: Float[np.ndarray, "563 563"],
) -> CropFacts:
    """Measure a crop for the gates.

    Args:
        image: the whole photo, RGB.
        frame: the aligned crop.
        mask: mask of the crop, 0 to 1.
    """
    # 33 x 33 points of the frame: point 2
    ends = np.linspace(0, FRAME - 1, _GRID)
    points = frame_to_core(np.stack(np.meshgrid(ends, ends), -1).reshape(-1, 2))
    visible = None
    if alignment.landmarks is not None:
        places = alignment.crop.to_frame(alignment.landmarks[:, :2])
        visible = face_visible(mask, np.concatenate([places, alignment.landmarks[:, 2:]], axis=1))
    return CropFacts(
        core_px=2 * alignment.crop.half_px,
        sharpness=sharpness(frame),
        outside=outside_share(alignment.crop.points(points), image.shape),
        face_visible=visible,
        mask=examine_mask(mask),
    )
