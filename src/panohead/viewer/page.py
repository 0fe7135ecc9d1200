"""viser's page, with what this viewer changes in it: its name, a head at once, and an image that stays sharp."""

import base64
import gzip
import io
from dataclasses import dataclass, field

from PIL import Image

from panohead.viewer.layers import border_color

# viser reads its settings from the address. It draws in fewer pixels where it finds a machine slow, which blurs an
# image that is made elsewhere and saves nothing here, unless a ratio is given. React Three Fiber's own limit is 2.
_SETTINGS = """<script>(() => {
  const own = {fixedDpr: String(Math.min(2, devicePixelRatio))};
  const get = URLSearchParams.prototype.get;
  URLSearchParams.prototype.get = function (name) {
    const given = get.call(this, name);
    return given === null && Object.hasOwn(own, name) ? own[name] : given;
  };
})();</script>"""
# In the place where the canvas shows it later, until it does: viser's scripts take seconds on a slow machine. From 577
# pixels on viser's panel stands beside the canvas.
_FIRST = """<style>
#first_image { position: fixed; inset: 0; display: flex; align-items: center; justify-content: center;
  pointer-events: none; transition: opacity .3s; background: %s }
#first_image img { width: min(100%%, 100vh) }
@media (min-width: 577px) { #first_image { right: 324px } }
</style>
<div id="first_image"><img alt="Synthetic head" src="data:image/jpeg;base64,%s"></div>
"""
REMOVE_FIRST = """const first = document.getElementById("first_image");
if (first) { first.style.opacity = 0; setTimeout(() => first.remove(), 400); }"""
"""Script by which a browser that has got an image takes the first one away."""


@dataclass
class OwnPage:
    """viser's page as this viewer serves it; a function of what viser sends.

    Attributes:
        first: image that stands in the page until the browser shows others, square; None for none.
    """

    first: Image.Image | None = None
    _made: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)

    def __call__(self, body: bytes, encoding: str) -> bytes:
        """Return the changed page; what is none, as it is.

        Args:
            body: as viser sends it.
            encoding: its content encoding, "gzip" or "identity"; the result has the same.
        """
        before, after = self._made.get(encoding, (b"", b""))
        if before != body:
            after = self._changed(gzip.decompress(body) if encoding == "gzip" else body)
            after = gzip.compress(after) if encoding == "gzip" else after
            self._made[encoding] = (body, after)
        return after

    def _changed(self, page: bytes) -> bytes:
        page = page.replace(b"<title>Viser</title>", b"<title>PanoHead</title>", 1)
        page = page.replace(b"<head>", b"<head>" + _SETTINGS.encode(), 1)
        if self.first is None:
            return page
        stream = io.BytesIO()
        self.first.convert("RGB").save(stream, "JPEG", quality=90)
        color = "rgb({}, {}, {})".format(*border_color(self.first))
        content = base64.b64encode(stream.getvalue()).decode()
        return page.replace(b"</body>", (_FIRST % (color, content)).encode() + b"</body>", 1)
