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

from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.inversion.losses import psnr_db, ssim
from panohead.inversion.photo import Photo
from panohead.inversion.reconstructed_head import ReconstructedHead
from panohead.inversion.visibility import seen_pixels, tinted
from panohead.media.atomic import atomic_path
from panohead.media.images import to_pil
from panohead.media.provenance import NOTICE

SEEN_YAWS_DEG = (0, 60, 120, 180, 240, 300)
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}
figure{display:inline-block;margin:0 8px 8px 0} img{display:block;width:240px;image-rendering:auto}
figcaption{font-size:13px;color:#555} td,th{padding:.1em 1em .1em 0;text-align:left} .why{color:#b00}
svg{background:#f7f7f7;margin:0 8px 8px 0}
"""
_WIDTH, _HEIGHT = 300, 120


def write_report(
    head: ReconstructedHead, path: Path, *, preset: str, loss: str, notes: Sequence[str] = (), files: Sequence[str] = ()
) -> Path:
    """Write the page; pictures are inside it. ``files`` of the same folder are linked.

    Args:
        loss: which perceptual loss was used, in words.
        notes: sentences at the top.
    """
    remarks = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    photos = "".join(
        _photo(photo, camera, view)
        for photo, camera, view in zip(head.photos, head.cameras, head.input_views, strict=True)
    )
    links = ", ".join(f'<a href="{html.escape(f)}">{html.escape(f)}</a>' for f in files)
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Reconstruction</title><style>{_STYLE}</style>"
        f"<h1>Reconstruction</h1><p>{NOTICE}</p>{remarks}"
        f"<p>Preset {html.escape(preset)}. Perceptual loss: {html.escape(loss)}</p><p>Files: {links}</p>"
        f"<h2>Photos</h2>{photos}<h2>Seen or invented</h2>"
        "<p>Magenta: no photo saw this; the generator made it up from the heads it was trained on.</p>"
        f"{_seen(head)}<h2>Loss</h2>{_curves(head)}</html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _photo(photo: Photo, camera: Camera, view: Frame) -> str:
    image = photo.image.to(view.image.device)
    error = (view.image - image).abs().mean(dim=0) / 2
    figures = _figure(to_pil(photo.image), "photo") + _figure(to_pil(view.image), "reconstruction")
    figures += _figure(_heat(error), "difference: black 0, white 0.25 and more")
    numbers = f"PSNR {psnr_db(view.image, image):.2f} dB, SSIM {float(ssim(view.image[None], image[None])):.3f}"
    if photo.mask is not None:
        mask = photo.mask.to(view.image.device)
        inside = _masked_psnr_db(view.image, image, mask)
        numbers += f"; on the head alone PSNR {inside:.2f} dB"
    remarks = "".join(f"<p class=why>{html.escape(remark)}</p>" for remark in photo.remarks)
    return f"<h3>{html.escape(photo.name)}</h3>{remarks}{figures}<p>{numbers}.</p>{_camera_table(photo, camera)}"


def _masked_psnr_db(a: Tensor, b: Tensor, mask: Tensor) -> float:
    squared = (mask * (a - b).square()).sum() / (3 * mask.sum()).clamp_min(1e-6)
    return float(-10 * torch.log10(squared.clamp_min(1e-10) / 4))


def _camera_table(photo: Photo, camera: Camera) -> str:
    rows = ""
    for name, one in (("estimated", photo.camera), ("found", camera)):
        yaw, pitch, roll = one.angles_deg().tolist()
        x, y, z = one.position.tolist()
        rows += f"<tr><td>{name}<td>{yaw:.1f}&deg;<td>{pitch:.1f}&deg;<td>{roll:.1f}&deg;<td>{x:.3f} {y:.3f} {z:.3f}"
    return f"<table><tr><th>camera ({photo.kind})<th>yaw<th>pitch<th>roll<th>position</tr>{rows}</table>"


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
    colours = np.stack([(level * 3 - k).clip(0, 1) for k in range(3)], axis=-1)
    return Image.fromarray(np.rint(colours * 255).astype(np.uint8))


def _figure(picture: Image.Image, caption: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<figure><img alt="" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def _curves(head: ReconstructedHead) -> str:
    phases = dict.fromkeys(step.phase for step in head.journal.steps if step.phase != "screen")
    parts = []
    for phase in phases:
        values = head.journal.curve(phase)
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
