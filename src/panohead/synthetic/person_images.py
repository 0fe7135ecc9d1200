"""Images of one person: sample, build, render, develop, write."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.synthetic.annotation import annotate, labeled_scene
from panohead.synthetic.annotation.files import write_annotation
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.expressions import Shot, sample_shots
from panohead.synthetic.framing import FRAMINGS
from panohead.synthetic.head import SyntheticHead, build_head, build_shots
from panohead.synthetic.layout_writer import PersonRecord, image_stem, save_record, write_atomic
from panohead.synthetic.mesh import Material
from panohead.synthetic.people import Person, sample_person
from panohead.synthetic.renderer.lighting import Lighting, sample_background, sample_lighting
from panohead.synthetic.renderer.render import Rendered, render
from panohead.synthetic.renderer.scene import Scene, build_scene, build_scenes
from panohead.synthetic.views import PersonView, sample_views
from panohead.system.optional import failure_of

_ENCODING: dict[str, dict[str, Any]] = {
    "webp": {"format": "WEBP", "quality": 90, "method": 3},
    "png": {"format": "PNG", "compress_level": 6},
    "jpg": {"format": "JPEG", "quality": 92},
}
Renderer = Callable[[PersonView, Lighting, int, float], Rendered]
"""Function of a view, its light, the resolution and the focal length that returns the rendered layers."""

_NOISE = 0.006  # standard deviation of sensor noise, in display units
_SHOULDER = 0.7  # linear values above are compressed toward 1


def make_person(config: SyntheticDatasetConfig, index: int, image_options: dict[str, Any] | None) -> None:
    """Render and write person ``index``; its record is written last, so that it exists only with all its files.

    ``image_options`` are further arguments of PIL's ``save`` (metadata). None: the images are there already, and only
    part maps and landmarks are written.
    """
    person = sample_person(config.seed, index)
    shots = shots_of(config, person)
    heads = shot_heads(person, shots, config.edition)
    if config.parts:
        annotate_person(config, person, heads)
    if image_options is None:
        return
    lighting = shared_lighting(config, person)
    views, lines = [], []
    for k, renderer in enumerate(shot_renderers(heads, config.quality, config.edition)):
        written = _write_shot(config, person, renderer, k, lighting, image_options)
        views += written
        if shots:
            lines.append({**shots[k].to_json(), "views": [view["image"] for view in written]})
    if not shots:
        save_record(config, {"person": index, **person.to_json(), "views": views})
        return
    first = replace(person, expression=shots[0].expression, gaze=shots[0].gaze)
    record = {"person": index, **first.to_json(), **worn_colors(heads[0])}
    save_record(config, {**record, "shots": lines, "views": views})


def annotate_person(config: SyntheticDatasetConfig, person: Person, heads: Sequence[SyntheticHead]) -> None:
    """Write part maps and landmarks of all views of a person, one head a shot; images are neither read nor made."""
    for k, head in enumerate(heads):
        scene = labeled_scene(head)
        for j, view in enumerate(shot_views(config, person, k)):
            name = f"{image_stem(person.index, k * config.views + j)}.{config.format}"
            write_annotation(config.out, name, annotate(scene, view, config.resolution, config.focal))


def shot_views(config: SyntheticDatasetConfig, person: Person, shot: int) -> list[PersonView]:
    """Return the cameras of a shot."""
    stream = person.stream("views" if config.edition == 1 else f"shot {shot} views")
    return sample_views(stream, config.views, config.pitch_std_deg)


def worn_colors(head: SyntheticHead) -> PersonRecord:
    """Return the mean linear RGB albedo of the garment and of the headwear; None where there is none."""
    cloth = [part.albedo for part in head.parts if part.material == Material.CLOTH]
    garment = cloth[0] if head.person.clothes != "none" else None
    hat = cloth[-1] if head.person.headwear != "none" else None

    def mean(albedo: Float[np.ndarray, "vertex 3"] | None) -> list[float] | None:
        return None if albedo is None else np.round(albedo.mean(axis=0), 4).tolist()

    return {"clothes_color": mean(garment), "headwear_color": mean(hat)}


def shots_of(config: SyntheticDatasetConfig, person: Person) -> list[Shot]:
    """Return the shots of one person; none in edition 1, whose people have one expression drawn with them."""
    return [] if config.edition == 1 else sample_shots(person, config.expressions)


def shared_lighting(config: SyntheticDatasetConfig, person: Person) -> Lighting | None:
    """Return light and exposure of all images of a person; None where every view has its own."""
    return sample_lighting(person.stream("light")) if config.light == "per-person" else None


def _write_shot(
    config: SyntheticDatasetConfig,
    person: Person,
    renderer: Renderer,
    shot: int,
    lighting: Lighting | None,
    image_options: dict[str, Any],
) -> list[PersonRecord]:
    """Write all views of one shot and return their part of the record; ``lighting`` None draws one for each view."""
    first_edition = config.edition == 1
    stream = "view" if first_edition else f"shot {shot} view"
    size = (config.resolution, config.focal)
    records = []
    for k, view in enumerate(shot_views(config, person, shot)):
        stem = image_stem(person.index, shot * config.views + k)
        rendered, pixels, light = photograph(renderer, person, view, f"{stream} {k}", *size, lighting)
        _write_view(config, stem, rendered, pixels, image_options)
        record: PersonRecord = {"image": f"{stem}.{config.format}"} | ({} if first_edition else {"shot": shot})
        record |= {"yaw_deg": round(view.yaw_deg, 4), "pitch_deg": round(view.pitch_deg, 4)}
        records.append(record | {"lighting": light.to_json(), "label": view.label(config.focal)})
    return records


def make_renderer(person: Person, quality: str, edition: int) -> Renderer:
    """Build this person with the expression and gaze that it was drawn with, and return the renderer of its views.

    ``edition`` decides the framing, so it should be that of the dataset to compare with.

    Raises:
        PanoHeadError: for quality "cycles" without bpy.
    """
    head = build_head(person, FRAMINGS[edition])
    return _renderer(head, build_scene(head), quality)


def shot_heads(person: Person, shots: Sequence[Shot], edition: int) -> list[SyntheticHead]:
    """Build one head per shot; without shots one of the person as drawn."""
    framing = FRAMINGS[edition]
    return build_shots(person, shots, framing) if shots else [build_head(person, framing)]


def shot_renderers(heads: Sequence[SyntheticHead], quality: str, edition: int) -> Iterator[Renderer]:
    """Yield one renderer per head of one person; each is made when the last has been used: Blender holds one scene.

    Raises:
        PanoHeadError: for quality "cycles" without bpy.
    """
    scenes = [build_scene(heads[0])] if edition == 1 else build_scenes(heads)
    for head, scene in zip(heads, scenes, strict=True):
        yield _renderer(head, scene, quality)


def _renderer(head: SyntheticHead, scene: Scene, quality: str) -> Renderer:
    if quality == "fast":
        return functools.partial(render, scene)
    renderer: Renderer = import_cycles().CyclesRenderer(head, scene)
    return renderer


def import_cycles() -> Any:
    """Import the path tracer's distribution and return the module.

    Raises:
        PanoHeadError: when it cannot be imported.
    """
    try:
        import panohead_cycles
    except ImportError as error:
        raise PanoHeadError(
            "--quality cycles needs Blender's bpy and tools/panohead-cycles (see docs/synthetic-heads.md), and "
            f"{failure_of('panohead_cycles', error).reason}; or leave it at fast"
        ) from error
    return panohead_cycles


def photograph(
    renderer: Renderer,
    person: Person,
    view: PersonView,
    purpose: str,
    resolution: int,
    focal: float,
    lighting: Lighting | None = None,
) -> tuple[Rendered, UInt8[np.ndarray, "height width 3"], Lighting]:
    """Render one view over a new background; ``purpose`` names its random numbers.

    Args:
        resolution: side in pixels.
        focal: focal length in image widths.
        lighting: light and exposure; None draws new ones.

    Returns:
        The rendered layers, the image (0..255), and the light.
    """
    rng = person.stream(purpose)
    lighting = sample_lighting(rng) if lighting is None else lighting
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
    """Expose, composite over the background, compress the highlights, encode as sRGB, add sensor noise; 0..255."""
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
