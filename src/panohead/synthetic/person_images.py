"""All images of one person: sample, build, render, develop, write."""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.head import build_head
from panohead.synthetic.layout_writer import image_stem, save_record, write_atomic
from panohead.synthetic.people import Person, sample_person
from panohead.synthetic.renderer.lighting import Lighting, sample_background, sample_lighting
from panohead.synthetic.renderer.render import Rendered, render
from panohead.synthetic.renderer.scene import build_scene
from panohead.synthetic.views import PersonView, sample_views

_ENCODING: dict[str, dict[str, Any]] = {
    "webp": {"format": "WEBP", "quality": 90, "method": 3},
    "png": {"format": "PNG", "compress_level": 6},
    "jpg": {"format": "JPEG", "quality": 92},
}
Renderer = Callable[[PersonView, Lighting, int, float], Rendered]
"""From a view, its light, the resolution and the focal length to an image."""

_NOISE = 0.006  # of the sensor, in display units
_SHOULDER = 0.7  # linear values above are compressed toward 1


def make_person(config: SyntheticDatasetConfig, index: int, image_options: dict[str, Any]) -> None:
    """Render and write person ``index``; its record is written last, so that it exists only with all its files.

    ``image_options`` are further arguments of PIL's ``save`` (metadata).
    """
    person = sample_person(config.seed, index)
    renderer = make_renderer(person, config.quality)
    views = []
    for k, view in enumerate(sample_views(person.stream("views"), config.views, config.pitch_std_deg)):
        stem = image_stem(index, k)
        rendered, pixels, lighting = photograph(renderer, person, view, f"view {k}", config.resolution, config.focal)
        _write_view(config, stem, rendered, pixels, image_options)
        views.append(
            {
                "image": f"{stem}.{config.format}",
                "yaw_deg": round(view.yaw_deg, 4),
                "pitch_deg": round(view.pitch_deg, 4),
                "lighting": lighting.to_json(),
                "label": view.label(config.focal),
            }
        )
    save_record(config, {"person": index, **person.to_json(), "views": views})


def make_renderer(person: Person, quality: str) -> Renderer:
    """Build this person, ready to be seen from anywhere.

    Raises:
        PanoHeadError: quality "cycles" without bpy.
    """
    head = build_head(person)
    scene = build_scene(head)
    if quality == "fast":
        return functools.partial(render, scene)
    if importlib.util.find_spec("bpy") is None:
        raise PanoHeadError(
            "--quality cycles needs Blender's module bpy (see docs/synthetic-heads.md); or leave it at fast"
        )
    from panohead.synthetic.renderer.cycles import CyclesRenderer

    return CyclesRenderer(head, scene)


def photograph(
    renderer: Renderer, person: Person, view: PersonView, purpose: str, resolution: int, focal: float
) -> tuple[Rendered, UInt8[np.ndarray, "height width 3"], Lighting]:
    """One view under new light before a new background; ``purpose`` names its random numbers."""
    rng = person.stream(purpose)
    lighting = sample_lighting(rng)
    background = sample_background(rng, resolution)
    rendered = renderer(view, lighting, resolution, focal)
    pixels = develop(rendered, lighting.exposure, background, rng)
    return rendered, pixels, lighting


def develop(
    rendered: Rendered,
    exposure: float,
    background: Float[np.ndarray, "height width 3"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "height width 3"]:
    """Expose, lay over the background, roll off the highlights, encode as sRGB, add sensor noise."""
    linear = rendered.color * np.float32(exposure)
    over = np.maximum(linear - _SHOULDER, 0)
    room = 1 - _SHOULDER
    linear = np.minimum(linear, _SHOULDER) + room * (1 - np.exp(-over / room))
    linear = linear + background.astype(np.float32) * (1 - rendered.mask[..., None])
    display = np.where(
        linear < 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-8) ** np.float32(1 / 2.4) - 0.055
    )
    noise = rng.standard_normal(display.shape, dtype=np.float32) * np.float32(_NOISE)
    return (np.clip(display + noise, 0, 1) * 255 + 0.5).astype(np.uint8)


def _write_view(
    config: SyntheticDatasetConfig,
    stem: str,
    rendered: Rendered,
    pixels: UInt8[np.ndarray, "height width 3"],
    image_options: dict[str, Any],
) -> None:
    image = Image.fromarray(pixels)
    options = _ENCODING[config.format] | image_options
    write_atomic(config.out / "images" / f"{stem}.{config.format}", lambda file: image.save(file, **options))
    mask = Image.fromarray((rendered.mask * 255 + 0.5).astype(np.uint8))
    write_atomic(config.out / "masks" / f"{stem}.png", lambda file: mask.save(file, "PNG"))
    for folder, wanted, values in (
        ("depth", config.depth, rendered.depth),
        ("normals", config.normals, rendered.normals),
    ):
        if wanted:
            save = functools.partial(_save_half, name=folder, values=values)
            write_atomic(config.out / folder / f"{stem}.npz", save)


def _save_half(file: BinaryIO, name: str, values: Float[np.ndarray, "*shape"]) -> None:
    np.savez_compressed(file, **{name: values.astype(np.float16)})  # type: ignore[arg-type]
