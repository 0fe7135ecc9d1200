"""Quality of a crop: measurements, and the gates that reject crops not good enough to train on."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.cut_head import CutHead
from panohead.alignment.face_landmarks import Landmarks
from panohead.alignment.head_alignment import Alignment
from panohead.alignment.head_choice import note_on_turn
from panohead.alignment.mask_check import MaskFacts, examine_mask
from panohead.alignment.photo_area import HeadOutside
from panohead.alignment.quality_gates import QualityGates

MIN_BRIGHT_LEVEL = 70.0
"""Gray level below which 95 % of an underexposed person lies: in ordinary light even dark skin has brighter spots."""
MAX_CLIPPED = 0.35
"""Share of an overexposed person that is white without any drawing."""
MAX_PARTLY_CLIPPED, MIN_CLIPPED = 0.3, 0.1
"""Share of the rest in which one or two colors are at their upper end, where the second share is white: overexposed too
(0.37 to 0.64 in photos of 4 to 100 times the light, 0.05 at most in others, white paper around the head included)."""
_CLIPPED_LEVEL = 250
_PERSON = 0.5


@dataclass(frozen=True)
class Exposure:
    """Brightness of a person, or of a whole photo.

    Attributes:
        bright_level: gray level (0 to 255) below which 95 % of it lies.
        clipped: share of it in which red, green and blue are all at their upper end.
        partly_clipped: share of the rest in which one or two of them are.
        of: "person" or "photo".
    """

    bright_level: float
    clipped: float
    partly_clipped: float = 0.0
    of: str = "person"

    @property
    def problem(self) -> str:
        """A few words on too little or too much light; empty otherwise.

        The words before the colon are what reports of datasets count by.
        """
        if self.bright_level < MIN_BRIGHT_LEVEL:
            return f"underexposed: 95% of the {self.of} is darker than {self.bright_level:.0f} of 255"
        burnt = self.clipped > MIN_CLIPPED and self.partly_clipped > MAX_PARTLY_CLIPPED
        # A white background is no fault of a photo.
        if self.of == "person" and self.clipped > MAX_CLIPPED:
            burnt = True
        return f"overexposed: {self.clipped:.0%} of the {self.of} is plain white" if burnt else ""


@dataclass(frozen=True)
class CropFacts:
    """Measurements of a crop that the gates compare with :class:`QualityGates`.

    Attributes:
        core_px: side of the crop's core in the photo, pixels.
        sharpness: variance of the Laplacian of the frame at 256 pixels, gray levels squared.
        outside: share of the frame that lies outside the photo.
        face_visible: share of the face's landmarks in the photo that the mask covers; None without landmarks.
        mask: measurements of the mask.
        head_outside: part of the head that the photo does not show.
        exposure: brightness of the person.
    """

    core_px: float
    sharpness: float
    outside: float
    face_visible: float | None
    mask: MaskFacts
    head_outside: HeadOutside = field(default_factory=lambda: HeadOutside(0.0, ()))
    exposure: Exposure = field(default_factory=lambda: Exposure(255.0, 0.0))


def gate(alignment: Alignment, facts: CropFacts, gates: QualityGates) -> str:
    """Return the first reason to reject a crop, or an empty string.

    The words before a colon are what reports count by; they are stored in datasets.
    """
    roll, pitch = (alignment.crop.angle_deg + 180.0) % 360.0 - 180.0, alignment.angles_deg[1]
    turn = "turn the photo, or allow it with --gates.max-roll-deg 180" if note_on_turn(alignment) else ""
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
            f"tilted by {roll:.0f} degrees, at most {gates.max_roll_deg:.0f}" + (f" ({turn})" if turn else ""),
        ),
        (abs(pitch) > gates.max_pitch_deg, f"pitch of {pitch:.0f} degrees, at most {gates.max_pitch_deg:.0f}"),
        (
            facts.outside > gates.max_outside,
            f"head cut off: {facts.outside:.0%} of the frame lies outside, at most {gates.max_outside:.0%}",
        ),
        # Before the sharpness, which falls with the contrast: a dark photo is not blurred.
        (
            facts.sharpness < gates.min_sharpness and facts.exposure.problem != "",
            facts.exposure.problem,
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


def flags(alignment: Alignment, facts: CropFacts, *, heads: int = 1, number: int = 1) -> list[str]:
    """Return notes on a crop that do not reject it.

    Args:
        heads: number of heads in the photo.
        number: number of this one, from 1, the most prominent first.
    """
    notes = [
        (facts.core_px < 256, "enlarged"),
        (facts.mask.pieces > 1, "mask in several pieces"),
        (facts.mask.largest < 0.9, "mask scattered"),
        (facts.outside > 0.1, "partly outside the photo"),
        (facts.head_outside.is_much, str(facts.head_outside)),
        (facts.exposure.problem != "", facts.exposure.problem),
        (alignment.kind == "coarse", "coarse camera"),
        (heads > 1, f"head {number} of {heads} in the photo"),
        (note_on_turn(alignment) != "", f"photo turned upright, by {alignment.crop.angle_deg:.0f} degrees"),
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


def face_visible(
    mask: Float[np.ndarray, "height width"],
    landmarks: Landmarks,
    inside: Float[np.ndarray, "height width"] | None = None,
) -> float | None:
    """Return the share of the landmarks (pixels of the mask) at which the mask is over a half.

    Args:
        inside: part of the crop that lies in the photo; landmarks beyond it do not count. None for all of it.

    Returns:
        The share; None when all landmarks lie beyond the photo.
    """
    rows = np.clip(np.rint(landmarks[:, 1]).astype(int), 0, mask.shape[0] - 1)
    columns = np.clip(np.rint(landmarks[:, 0]).astype(int), 0, mask.shape[1] - 1)
    covered = mask[rows, columns] > 0.5
    if inside is not None:
        covered = covered[inside[rows, columns] > 0.5]
    return float(covered.mean()) if len(covered) else None


def measure(alignment: Alignment, head: CutHead) -> CropFacts:
    """Measure a crop for the gates."""
    visible = None
    if alignment.landmarks is not None:
        places = alignment.crop.to_frame(alignment.landmarks[:, :2])
        visible = face_visible(head.mask, np.concatenate([places, alignment.landmarks[:, 2:]], axis=1), head.inside)
    return CropFacts(
        core_px=2 * alignment.crop.half_px,
        sharpness=sharpness(head.frame),
        outside=float(1.0 - head.inside.mean()),
        face_visible=visible,
        mask=examine_mask(head.mask),
        head_outside=head.outside,
        exposure=exposure(head.frame, head.mask),
    )


def exposure(frame: UInt8[np.ndarray, "height width 3"], mask: Float[np.ndarray, "height width"]) -> Exposure:
    """Measure the person in a crop, by its mask (0 to 1); all of the crop without a person."""
    person = mask > _PERSON
    return _exposure(frame[person] if person.any() else frame.reshape(-1, 3), "person")


def why_nothing_is_found(photo: UInt8[np.ndarray, "height width 3"], alignment: Alignment | None = None) -> str:
    """Return how light may hide the head of a photo: a few words, empty where light is not the reason.

    Args:
        photo: RGB photo.
        alignment: the best guess, if there is one; a sure one needs no reason.
    """
    if alignment is not None and alignment.is_sure:
        return ""
    problem = _exposure(photo.reshape(-1, 3), "photo").problem
    return f"{problem}, and no head is found in it" if problem else ""


def _exposure(pixels: UInt8[np.ndarray, "pixel 3"], of: str) -> Exposure:
    # ITU-R 601 luma, as Pillow's mode L.
    gray = pixels @ np.array([0.299, 0.587, 0.114])
    high = pixels >= _CLIPPED_LEVEL
    clipped = high.all(axis=1)
    partly = float((high.any(axis=1) & ~clipped).sum() / max(1, (~clipped).sum()))
    return Exposure(float(np.percentile(gray, 95)), float(clipped.mean()), partly, of)
