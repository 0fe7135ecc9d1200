"""Views of a head as image files, and contact sheets of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.head import Head
from panohead.media import contact_sheet, mask_to_pil, save_depth, save_image
from panohead.media.provenance import COMPOSITE, GENERATED, SourceType
from panohead.system.worker_threads import in_order, single_thread, worker_count

FrameCallback = Callable[[], None]
"""Called after each frame, for a progress bar."""

CONTACT_YAWS = tuple(range(0, 360, 45))
"""Yaws of the columns of a contact sheet, in degrees."""


def head_name(seed: int) -> str:
    """Return the name of the files and folders of a sampled head."""
    return f"seed{seed:04d}"


@dataclass(frozen=True, kw_only=True)
class ViewStyle:
    """Settings by which all views of a gallery are rendered.

    Attributes:
        pitch_deg: height of the camera; positive is above the head.
        resolution: rays per side; None takes the generator's.
        background: a color (0..255) or photo behind the head; None keeps the generated background.
        background_head: another head whose generated background to use.
        transparent: cut the head out.
    """

    pitch_deg: float = 0.0
    resolution: int | None = None
    background: tuple[int, int, int] | Image.Image | None = None
    background_head: Head | None = None
    transparent: bool = False

    @property
    def source(self) -> SourceType:
        """IPTC term of the views: with a photo behind it an image is not a model's alone."""
        return COMPOSITE if isinstance(self.background, Image.Image) else GENERATED

    def render(self, head: Head, yaw_deg: float) -> Frame:
        """Render one view of the head; yaw 0 is the front, 90 the head's left side."""
        camera = Camera.orbit(yaw_deg, self.pitch_deg)
        frame = head.render(camera, resolution=self.resolution, background=self.background_head)
        return frame if self.background is None else frame.on(self.background)

    def begin(self, head: Head) -> None:
        """Compute what all views of a head share, so that several threads can render it at once."""
        with single_thread():
            head.begin()
            if self.background_head is not None:
                self.background_head.begin()

    def image(self, frame: Frame) -> Image.Image:
        """Return a view as RGB, or RGBA if the style is transparent."""
        return frame.to_pil(transparent=self.transparent)


def write_views(
    head: Head,
    folder: Path,
    yaws_deg: Sequence[float],
    style: ViewStyle,
    *,
    depth: bool = False,
    mask: bool = False,
    thumbnail: int = 192,
    step: FrameCallback,
) -> list[Image.Image]:
    """Write one PNG per view to ``folder``, named by its yaw; on a CPU several views at once (see ``worker_threads``).

    Args:
        head: what to render.
        folder: made if missing.
        yaws_deg: views, in degrees.
        style: background, transparency and height of the camera.
        depth: write the depth (16 bit) beside each image as well.
        mask: write the foreground mask beside each image as well.
        thumbnail: longest side of the returned images in pixels.
        step: called after each view.

    Returns:
        The images again, made smaller for a contact sheet.

    Raises:
        PanoHeadError: when a file cannot be written.
    """

    def write(yaw: float) -> Image.Image:
        frame = style.render(head, yaw)
        name = f"yaw{yaw:+04.0f}" if float(yaw).is_integer() else f"yaw{yaw:+g}"
        image = style.image(frame)
        save_image(image, folder / f"{name}.png", source=frame.source)
        if depth:
            save_depth(frame.depth, folder / f"{name}_depth.png", mask=frame.mask)
        if mask:
            save_image(mask_to_pil(frame.mask), folder / f"{name}_mask.png")
        image.thumbnail((thumbnail, thumbnail), Image.Resampling.LANCZOS)
        return image

    workers = worker_count(head.ws.device)
    style.begin(head)
    small = []
    for image in in_order(write, yaws_deg, workers):
        small.append(image)
        step()
    return small


def write_sheet(
    rows: Mapping[str, Sequence[Image.Image]],
    path: Path,
    yaws_deg: Sequence[float],
    *,
    cell_size: int,
    transparent: bool = False,
    source: SourceType = GENERATED,
) -> None:
    """Write a contact sheet: one row per head with its label, one column per yaw.

    Args:
        rows: images by the label of their row.
        path: image file to write.
        yaws_deg: yaws of the columns.
        cell_size: pixels per image.
        transparent: leave the sheet's background empty.
        source: IPTC term of the sheet.

    Raises:
        PanoHeadError: when there are no images, or the file cannot be written.
    """
    columns = [f"{yaw:g}\N{DEGREE SIGN}" for yaw in yaws_deg]
    sheet = contact_sheet(
        list(rows.values()),
        row_labels=list(rows),
        column_labels=columns,
        cell_size=cell_size,
        transparent=transparent,
    )
    save_image(sheet, path, source=source)


def write_strips(
    strips: Mapping[str, Sequence[Sequence[Image.Image]]],
    path: Path,
    yaws_deg: Sequence[float],
    values: Sequence[str],
    *,
    title: str,
    cell_size: int,
    source: SourceType = GENERATED,
) -> None:
    """Write heads that change from left to right: a row per strip and view, a column per value.

    Args:
        strips: images of every strip, "value view", by the strip's label.
        path: image file to write.
        yaws_deg: the views.
        values: labels of the columns.
        title: what changes.
        cell_size: pixels per image.
        source: IPTC term of the sheet.

    Raises:
        PanoHeadError: when there are no images, or the file cannot be written.
    """
    rows, labels = [], []
    for label, heads in strips.items():
        for view, yaw in enumerate(yaws_deg):
            rows.append([images[view] for images in heads])
            labels.append(f"{label}, {yaw:g}\N{DEGREE SIGN}")
    sheet = contact_sheet(rows, row_labels=labels, column_labels=values, title=title, cell_size=cell_size)
    save_image(sheet, path, source=source)
