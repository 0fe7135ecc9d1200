"""Heads that a reader turns with mouse, fingers or keys: frames of the rendering, mesh and splats by three.js.

A page that shows any holds the three scripts of ``viewer/`` once, three.js among them (MIT; ``viewer/three.json`` says
which version). The page's Content-Security-Policy names their hashes, so that nothing else in it is ever executed.
"""

import base64
import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar, Literal

from markupsafe import Markup

from panohead.geometry import FOCAL, RADIUS

_SCRIPTS = ("three.min.js", "splats.js", "viewer.js")
_BROWSER_SCRIPTS = ("browser.js",)


@dataclass(frozen=True)
class FrameSheet:
    """Frames of a full turn, row by row in one WebP image.

    Attributes:
        webp: the file.
        side: side of a frame in pixels.
        columns: frames in a row.
        count: number of frames; the first is the front, and the camera moves toward +x.
    """

    webp: bytes
    side: int
    columns: int
    count: int

    def facts(self) -> dict[str, Any]:
        """Return what the script reads."""
        image = base64.b64encode(self.webp).decode("ascii")
        return {"image": image, "side": self.side, "columns": self.columns, "count": self.count}


@dataclass(frozen=True)
class HeadFigure:
    """A head to turn; at least one of ``frames``, ``glb`` and ``splats`` is given.

    Attributes:
        alt: the head in words.
        poster: address of an image of its front (:func:`panohead.reports.embedded`), shown until the script is there.
        frames: the rendering of a full turn.
        invented: overlay of the same frames that tints what no photo shows; None for a head without photos.
        first: view that is shown first.
        glb: mesh, centered as the renderer's world is; its attribute ``_SEEN`` makes the same overlay.
        splats: SPZ file of the head in meters, around the same center.
        title: first line of the caption, in bold.
        note: further line of the caption.
        file: name under which the mesh is saved from the page.
        splats_file: name under which the splats are saved.
        unit: length of a world unit in the mesh's coordinates, which are those of the page.
        meter: length of a meter in the same coordinates.
        pitch_deg: height of the camera of the frames in degrees.
        radius: distance of the camera of the frames, world units.
        focal: focal length of the frames, in image sizes.
    """

    alt: str
    poster: str
    frames: FrameSheet | None = None
    invented: FrameSheet | None = None
    glb: bytes | None = None
    splats: bytes | None = None
    first: Literal["frames", "mesh", "splats"] = "frames"
    title: str = ""
    note: str = ""
    file: str = "head.glb"
    splats_file: str = "head.spz"
    unit: float = 1.0
    meter: float = 1.0
    pitch_deg: float = 0.0
    radius: float = RADIUS
    focal: float = FOCAL

    def facts(self) -> dict[str, Any]:
        """Return what the script reads, as JSON can hold it."""
        camera = {
            "distance": self.radius * self.unit,
            "fov": math.degrees(2 * math.atan(0.5 / self.focal)),
            "pitch": math.radians(self.pitch_deg),
        }
        facts: dict[str, Any] = {"camera": camera, "file": self.file, "first": self.first}
        if self.frames is not None:
            facts["frames"] = self.frames.facts()
        if self.invented is not None:
            facts["invented"] = self.invented.facts()
        if self.glb is not None:
            facts["mesh"] = base64.b64encode(self.glb).decode("ascii")
        if self.splats is not None:
            splats = base64.b64encode(self.splats).decode("ascii")
            facts |= {"splats": splats, "splats_file": self.splats_file, "meter": self.meter}
        return facts


@dataclass(frozen=True)
class HeadFigures:
    """Heads to turn, in a grid."""

    viewers: Sequence[HeadFigure]
    kind: ClassVar[str] = "heads"


@functools.cache
def viewer_asset(name: str) -> str:
    """Return a text file of the pages: a script, "viewer.css", "browser.css", "three.json" or "LICENSE.three"."""
    return (resources.files("panohead.reports") / "viewer" / name).read_text(encoding="utf-8")


def _names(heads: bool, browser: bool) -> tuple[str, ...]:
    return (*(_SCRIPTS if heads else ()), *(_BROWSER_SCRIPTS if browser else ()))


@functools.cache
def viewer_scripts(*, heads: bool = True, browser: bool = False) -> Markup:
    """Return the script elements of a page with heads to turn, or with images to filter."""
    # Written here and not by the template: their hashes are of every character between the tags.
    scripts = (Markup(f"<script>{viewer_asset(name)}</script>") for name in _names(heads, browser))  # nosec B704
    return Markup("\n").join(scripts)


@functools.cache
def content_security_policy(*, scripts: bool, browser: bool = False) -> str:
    """Return the policy of a page: nothing from the network, no script but ours.

    Args:
        scripts: the page shows heads to turn.
        browser: the page shows images to filter.
    """
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(viewer_asset(name).encode()).digest()).decode('ascii')}'"
        for name in _names(scripts, browser)
    ]
    rules = {
        "default-src": "'none'",
        # Files beside the page, embedded images, and the textures that GLTFLoader takes out of a GLB.
        "img-src": "'self' data: blob:",
        "media-src": "'self' data:",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    if hashes:
        rules["script-src"] = " ".join(hashes)
    if scripts:
        rules["connect-src"] = "blob: data:"
    return "; ".join(f"{name} {value}" for name, value in rules.items())
