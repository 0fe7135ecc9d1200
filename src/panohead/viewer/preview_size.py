"""Size of previews: as many rays as the machine renders in the time of a frame."""

_STEP = 8
_SMOOTHING = 0.3


class PreviewSize:
    """Number of rays per side of previews, from the time that earlier ones took.

    The time is taken to grow with the number of rays. One value serves all tabs, as they share the machine.

    Args:
        full: rays per side of the full image, above which previews never go.
        frame_s: time that a preview may take.
        smallest: rays per side below which a head is no longer to be made out.
    """

    def __init__(self, full: int, *, frame_s: float = 0.04, smallest: int = 16) -> None:
        self._full, self._frame_s, self._smallest = full, frame_s, min(smallest, full)
        self._ray_s: float | None = None

    @property
    def rays(self) -> int:
        """Rays per side of the next preview."""
        if self._ray_s is None:
            return max(self._smallest, self._full // 2)
        side = (self._frame_s / max(self._ray_s, 1e-12)) ** 0.5
        return int(min(max(side // _STEP * _STEP, self._smallest), self._full))

    def observe(self, rays: int, seconds: float) -> None:
        """Take account of a preview of ``rays`` per side that took so long."""
        each = seconds / rays**2
        self._ray_s = each if self._ray_s is None else (1 - _SMOOTHING) * self._ray_s + _SMOOTHING * each
