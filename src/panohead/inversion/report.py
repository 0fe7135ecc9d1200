"""``report.html``: every photo beside its reconstruction, where they differ, what was seen, and how the loss fell."""

import base64
import html
import io
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
from panohead.media.provenance import NOTICE
from panohead.system.atomic_write import atomic_path

SEEN_YAWS_DEG = (0, 60, 120, 180, 240, 300)
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}
figure{display:inline-block;margin:0 8px 8px 0} img{display:block;width:240px;image-rendering:auto}
figcaption{font-size:13px;color:#555} td,th{padding:.1em 1em .1em 0;text-align:left} .why{color:#b00}
svg{background:#f7f7f7;margin:0 8px 8px 0}
"""
_WIDTH, _HEIGHT = 300, 120
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


def write_report(
    head: ReconstructedHead, path: Path, *, preset: str, loss: str, notes: Sequence[str] = (), files: Sequence[str] = ()
) -> list[str]:
    """Write the page; pictures are inside it. ``files`` of the same folder are linked.

    Args:
        loss: which perceptual loss was used, in words.
        notes: sentences at the top.

    Returns:
        What is doubtful about the fit, in sentences that name the photos.
    """
    paragraphs = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    found = fits(head, cut_out=preset != "official")
    photos = "".join(_photo(head, i, fit) for i, fit in enumerate(found))
    if any(photo.found is not None for photo in head.photos):
        photos = f"<p>{_LEGEND}</p>{photos}"
    links = ", ".join(f'<a href="{html.escape(f)}">{html.escape(f)}</a>' for f in files)
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Reconstruction</title><style>{_STYLE}</style>"
        f"<h1>Reconstruction</h1><p>{NOTICE}</p>{paragraphs}"
        f"<p>Preset {html.escape(preset)}. Perceptual loss: {html.escape(loss)}</p><p>Files: {links}</p>"
        f"<h2>Photos</h2>{photos}<h2>Seen or invented</h2>"
        "<p>Magenta: no photo saw this; the generator made it up from the heads it was trained on.</p>"
        f"{_seen(head)}<h2>Loss</h2>{_curves(head)}</html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [
        f"{photo.name}: {mismatch}"
        for photo, fit in zip(head.photos, found, strict=True)
        for mismatch in fit.problems()
    ]


def _photo(head: ReconstructedHead, index: int, fit: Fit) -> str:
    photo, view = head.photos[index], head.input_views[index]
    figures = ""
    if photo.found is not None:
        how = f"{photo.found.method}, confidence {photo.found.confidence:.2f}"
        figures += _figure(photo.found.overlay, f"as given; camera {_KINDS[photo.kind]} ({how})")
    figures += _figure(to_pil(photo.image), "photo")
    if not torch.equal(fit.target, photo.image.cpu()):
        figures += _figure(to_pil(fit.target), "what was compared: the head alone")
    error = (view.image.cpu() - fit.target).abs().mean(dim=0) / 2
    figures += _figure(to_pil(view.image), "reconstruction")
    figures += _figure(_heat(error), "difference: black 0, white 0.25 and more")
    numbers = f"PSNR {fit.psnr_db:.2f} dB, SSIM {fit.ssim:.3f}"
    if fit.head_psnr_db is not None:
        numbers += f"; on the head alone PSNR {fit.head_psnr_db:.2f} dB; the outlines overlap by {fit.overlap:.0%}"
    problems = (*photo.notes, *fit.problems())
    paragraphs = "".join(f"<p class=why>{html.escape(mismatch)}</p>" for mismatch in problems)
    table = _camera_table(photo, head.cameras[index])
    return f"<h3>{html.escape(photo.name)}</h3>{paragraphs}{figures}<p>{numbers}.</p>{table}"


def _camera_table(photo: AlignedPhoto, camera: Camera) -> str:
    rows = ""
    for name, one in ((_KINDS[photo.kind], photo.camera), ("found", camera.to("cpu"))):
        yaw, pitch, roll = orbit_of_view(view_of_camera(one))
        x, y, z = one.position.tolist()
        rows += f"<tr><td>{name}<td>{yaw:.1f}&deg;<td>{pitch:.1f}&deg;<td>{roll:.1f}&deg;<td>{x:.3f} {y:.3f} {z:.3f}"
    return f"<table><tr><th>camera<th>yaw<th>pitch<th>roll<th>position</tr>{rows}</table>"


def _seen(head: ReconstructedHead) -> str:
    parts = []
    for yaw in SEEN_YAWS_DEG:
        frame = head.render(Camera.orbit(yaw))
        seen = seen_pixels(frame, head.input_views)
        opaque = float((frame.mask > 0.5).sum())
        share = float(seen.sum()) / max(opaque, 1.0)
        parts.append(_figure(to_pil(tinted(frame, seen)), f"{yaw}&deg;: {share:.0%} seen"))
    return "".join(parts)


def _heat(error: Float[Tensor, "height width"]) -> Image.Image:
    level = (error.detach().cpu().numpy() / 0.25).clip(0, 1)
    colors = np.stack([(level * 3 - k).clip(0, 1) for k in range(3)], axis=-1)
    return Image.fromarray(np.rint(colors * 255).astype(np.uint8))


def _figure(image: Image.Image, caption: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<figure><img alt="" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def _curves(head: ReconstructedHead) -> str:
    phases = dict.fromkeys(step.phase for step in head.log.steps if step.phase != "screen")
    parts = []
    for phase in phases:
        values = head.log.curve(phase)
        parts.append(
            f"<figure>{_curve(values)}<figcaption>{html.escape(phase)}: {len(values)} steps, {values[0]:.4f} to "
            f"{min(values):.4f}</figcaption></figure>"
        )
    return "".join(parts)


def _curve(values: Sequence[float]) -> str:
    logs = np.log10(np.maximum(np.array(values), 1e-9))
    low, span = logs.min(), max(float(np.ptp(logs)), 1e-6)
    x = np.linspace(4, _WIDTH - 4, len(logs))
    y = 4 + (_HEIGHT - 8) * (1 - (logs - low) / span)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    line = f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="1.5"/>'
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">{line}</svg>'
