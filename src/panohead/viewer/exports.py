"""Files that a tab downloads: made in a folder of their own, marked as synthetic, and handed over as bytes."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.head import Head
from panohead.media import VideoWriter, save_image
from panohead.media.provenance import COMPOSITE, GENERATED, SourceType
from panohead.media.video import enlarged
from panohead.viewer.choices import Pose, ViewChoice
from panohead.viewer.layers import layer_image

TURNTABLE_FRAMES = 48
_FPS = 24.0
MESH_NODES = 160
"""Nodes per side of the grid of meshes: seconds instead of the 256 of the command, at the same number of triangles."""
Step = Callable[[], None]
"""Called between two steps of the work; may raise to end it."""
Photo = Callable[[str], Image.Image | None]


def styled(frame: Frame, view: ViewChoice, photo: Photo) -> Image.Image:
    """Return the frame's image on the background of the view; cut out (RGBA) where that is the checker."""
    backdrop = photo(view.photo) if view.backdrop == "photo" else None
    if backdrop is not None:
        return frame.on(backdrop).to_pil()
    if view.backdrop == "color":
        red, green, blue = view.color
        return frame.on((red, green, blue)).to_pil()
    return frame.to_pil(transparent=view.backdrop != "generated")


def _source(view: ViewChoice) -> SourceType:
    return COMPOSITE if view.backdrop == "photo" else GENERATED


def image_file(frame: Frame, view: ViewChoice, photo: Photo) -> bytes:
    """Return the view's layer as PNG, in the pixels that the generator made."""
    is_image = view.layer in ("image", "mesh")
    image = styled(frame, view, photo) if is_image else layer_image(frame, view.layer)
    return _written("view.png", lambda path: save_image(image, path, source=_source(view)))


def turntable_file(head: Head, view: ViewChoice, pose: Pose, photo: Photo, step: Step) -> tuple[str, bytes]:
    """Return suffix and content of a video of a full turn at the pose's height: WebM with alpha where it is cut out."""
    suffix = ".webm" if view.backdrop == "checker" else ".mp4"

    def write(path: Path) -> None:
        with VideoWriter(path, _FPS, source=_source(view)) as video:
            for i in range(TURNTABLE_FRAMES):
                step()
                camera = Camera.orbit(pose.yaw_deg + 360 * i / TURNTABLE_FRAMES, pose.pitch_deg)
                video.write(enlarged(np.array(styled(head.render(camera), view, photo))))

    return suffix, _written(f"turntable{suffix}", write)


def mesh_file(head: Head, step: Step, *, life_size: bool = True) -> bytes:
    """Return the head's mesh as GLB: meters, or the generator's world units where it is not to be life size."""

    def write(path: Path) -> None:
        head.save_mesh(path, unit="metre" if life_size else "world", resolution=MESH_NODES, progress=lambda *_: step())

    return _written("head.glb", write)


def _written(name: str, write: Callable[[Path], object]) -> bytes:
    from panohead.files.regular import read_regular

    with tempfile.TemporaryDirectory(prefix="panohead-view-") as folder:
        path = Path(folder) / name
        write(path)
        return read_regular(path)
