"""The page ``report.html`` of a reconstruction: photos beside their reconstruction, visibility, and loss curves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from panohead.alignment.angles import orbit_of_view, view_of_camera
from panohead.geometry import Camera
from panohead.inversion.fit import Fit, fits
from panohead.inversion.photo import AlignedPhoto, CameraKind
from panohead.inversion.reconstructed_head import ReconstructedHead
from panohead.inversion.visibility import seen_pixels, tinted
from panohead.media.images import to_pil
from panohead.media.provenance import COMPOSITE, NOTICE, page_metadata
from panohead.media.video import VIDEO_SUFFIXES
from panohead.reports import (
    Chart,
    Charts,
    Figure,
    Figures,
    HeadFigure,
    HeadFigures,
    Link,
    Page,
    PageBlock,
    Paragraph,
    Section,
    Series,
    Table,
    Video,
    embedded,
    url,
    write_page,
)
from panohead.reports.charts import MAX_VALUE

VISIBILITY_YAWS_DEG = (0, 60, 120, 180, 240, 300)
_NEAR_DEG = 50.0
# Mean absolute difference (of 0..1) that is drawn white.
_WHITE_DIFFERENCE = 0.25
# Ratio of losses from which a logarithmic axis is clearer.
_LOG_RATIO = 10.0
_KINDS: dict[CameraKind, str] = {
    "given": "given with the crop",
    "face": "from the face's landmarks",
    "angles": "from the angles that were given",
    "coarse": "a guess, no face to measure",
}
_LEGEND = (
    "In a photo as it was given: yellow box: the crop; dimmed: background by the mask; red, green, blue: the head's "
    "left, up and nose."
)
_TINT = "Magenta: no photo shows this; the generator invented it from the heads that it was trained on."


def write_report(
    head: ReconstructedHead,
    path: Path,
    *,
    preset: str,
    loss: str,
    notes: Sequence[str] = (),
    files: Sequence[str] = (),
    viewer: HeadFigure | None = None,
) -> list[str]:
    """Write the page. Its images are inside it; files are linked, and videos among them play in the page.

    Args:
        preset: name of the preset; "official" compares whole photos, the others the head alone.
        loss: the perceptual loss that was used, in words.
        notes: sentences for the top of the page.
        files: names of files in the page's folder.
        viewer: the head to turn; takes the place of the videos, which are linked all the same.

    Returns:
        What is doubtful about the fit, in sentences that name the photos.

    Raises:
        PanoHeadError: when the page cannot be written.
    """
    measured = fits(head, cut_out=preset != "official")
    legend = [Paragraph(_LEGEND)] if any(photo.found is not None for photo in head.photos) else []
    photos = [_photo(head, i, fit) for i, fit in enumerate(measured)]
    blocks: list[PageBlock] = [
        Paragraph(NOTICE, "soft"),
        *(Paragraph(note) for note in notes),
        Paragraph(f"Preset {preset}. Perceptual loss: {loss}"),
        *([HeadFigures([viewer])] if viewer is not None else _videos(files)),
        Paragraph("Files:", links=[Link(file, url(file)) for file in files]),
        Section("Photos", [*legend, *photos]),
        Section("Seen or invented", [Paragraph(_TINT), *_guesses(head.cameras), _visibility(head)]),
        *([Section("Loss", [Charts(curves)])] if (curves := _loss_curves(head)) else []),
    ]
    write_page(Page("Reconstruction", blocks, metadata=page_metadata(COMPOSITE)), path)
    return [
        f"{photo.name}: {problem}"
        for photo, fit in zip(head.photos, measured, strict=True)
        for problem in fit.problems()
    ]


def _videos(files: Sequence[str]) -> list[Video]:
    videos = [file for file in files if file.lower().endswith(VIDEO_SUFFIXES)]
    return [Video(url(file), f"{file}: the head makes a full turn") for file in videos]


def _photo(head: ReconstructedHead, index: int, fit: Fit) -> Section:
    photo, view = head.photos[index], head.input_views[index]
    figures = []
    if photo.found is not None:
        method = f"{photo.found.method}, confidence {photo.found.confidence:.2f}"
        caption = f"as given; camera {_KINDS[photo.kind]} ({method})"
        figures.append(_figure(photo.found.overlay, caption, f"{photo.name} with the crop and the head's axes"))
    caption = "photo" if photo.inside is None else "photo; dark: beyond it, filled in and not compared"
    figures.append(_figure(to_pil(_darkened(photo.image, photo)), caption, f"{photo.name}, aligned"))
    if not torch.equal(fit.target, photo.image.cpu()):
        caption = "what was compared: the head alone"
        target = _darkened(fit.target, photo)
        figures.append(_figure(to_pil(target), caption, f"{photo.name}, without its background"))
    # Channel mean of the absolute difference; [-1, 1] spans 2.
    error = (view.image.cpu() - fit.target).abs().mean(dim=0) / 2
    error = error if photo.inside is None else error * photo.inside[0].cpu()
    figures.append(_figure(to_pil(view.image), "reconstruction", f"reconstruction of {photo.name}"))
    caption = f"difference: black 0, white {_WHITE_DIFFERENCE} and more"
    figures.append(_figure(_heat(error), caption, f"difference between {photo.name} and its reconstruction"))
    numbers = f"PSNR {fit.psnr_db:.2f} dB, SSIM {fit.ssim:.3f}"
    if fit.head_psnr_db is not None:
        numbers += f"; on the head alone PSNR {fit.head_psnr_db:.2f} dB; the outlines overlap by {fit.overlap:.0%}"
    problems = [Paragraph(problem, "warning") for problem in (*photo.notes, *fit.problems())]
    table = _camera_table(photo, head.cameras[index])
    return Section(photo.name, [*problems, Figures(figures, enlarged=True), Paragraph(f"{numbers}."), table], level=3)


def _darkened(image: Float[Tensor, "3 height width"], photo: AlignedPhoto) -> Float[Tensor, "3 height width"]:
    """Return an image in [-1, 1] at a quarter of its light beyond the photo."""
    if photo.inside is None:
        return image
    return (image + 1) * (0.25 + 0.75 * photo.inside.to(image)) - 1


def _camera_table(photo: AlignedPhoto, camera: Camera) -> Table:
    rows = []
    for name, one in ((_KINDS[photo.kind], photo.camera), ("found", camera.to("cpu"))):
        angles = [f"{angle:.1f}\N{DEGREE SIGN}" for angle in orbit_of_view(view_of_camera(one))]
        rows.append([name, *angles, " ".join(f"{coordinate:.3f}" for coordinate in one.position.tolist())])
    return Table(("camera", "yaw", "pitch", "roll", "position"), rows)


def _guesses(cameras: Sequence[Camera]) -> list[Paragraph]:
    """Return a sentence about the sides that no camera is near; nothing where there is none."""
    sentence = guessed_sides([float(camera.angles_deg()[0]) for camera in cameras])
    return [Paragraph(sentence)] if sentence else []


def guessed_sides(yaws_deg: Sequence[float]) -> str:
    """Return in words which sides are guesses: front, profiles and back without a camera within 50 degrees; or nothing.

    Args:
        yaws_deg: yaw of every photo's camera.
    """

    def shown(side: float) -> bool:
        return any(abs((yaw - side + 180) % 360 - 180) <= _NEAR_DEG for yaw in yaws_deg)

    sides = {"the face from the front": 0.0, "the one profile": 90.0, "the other profile": -90.0, "the back": 180.0}
    missing = [name for name, side in sides.items() if not shown(side)]
    if {"the one profile", "the other profile"} <= set(missing):
        missing = ["the profile" if "one" in name else name for name in missing if "other" not in name]
    if not missing:
        return ""
    listed = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
    verb = "is a guess" if len(missing) == 1 else "are guesses"
    return f"{listed[0].upper()}{listed[1:]} {verb}: of a head like this one, not of this one."


def _visibility(head: ReconstructedHead) -> Figures:
    """Render views all around the head, tinted where no photo shows it."""
    figures = []
    for yaw in VISIBILITY_YAWS_DEG:
        frame = head.render(Camera.orbit(yaw))
        seen = seen_pixels(frame, head.input_views, [photo.inside for photo in head.photos])
        opaque = float((frame.mask > 0.5).sum())
        share = float(seen.sum()) / max(opaque, 1.0)
        caption = f"{yaw}\N{DEGREE SIGN}: {share:.0%} seen"
        alt = f"the head from {yaw} degrees, tinted where no photo shows it"
        figures.append(_figure(to_pil(tinted(frame, seen)), caption, alt))
    return Figures(figures, column_rem=10, enlarged=True)


def _heat(error: Float[Tensor, "height width"]) -> Image.Image:
    """Return an error of 0..1 as an image: black, red, yellow, white."""
    level = (error.detach().cpu().numpy() / _WHITE_DIFFERENCE).clip(0, 1)
    colors = np.stack([(level * 3 - k).clip(0, 1) for k in range(3)], axis=-1)
    return Image.fromarray(np.rint(colors * 255).astype(np.uint8))


def _figure(image: Image.Image, caption: str, alt: str) -> Figure:
    return Figure(embedded(image), alt, caption=(caption,))


def _loss_curves(head: ReconstructedHead) -> list[Chart]:
    charts = []
    for phase in dict.fromkeys(step.phase for step in head.log.steps if step.phase != "screen"):
        values = np.array(head.log.curve(phase), dtype=np.float64)
        finite = np.abs(values) <= MAX_VALUE
        if not finite.any():
            continue
        steps, losses = np.flatnonzero(finite) + 1.0, values[finite]
        caption = f"{len(values)} steps, {losses[0]:.4f} to {losses.min():.4f}"
        series = Series(f"loss of the phase {phase}", steps, losses)
        charts.append(Chart(phase, (series,), smooth=False, x_label="steps", log_ratio=_LOG_RATIO, caption=caption))
    return charts
