"""Interactive viewer of heads in a browser (``panohead view``), on viser; nothing here is imported by other packages."""

from panohead.viewer.access import is_loopback
from panohead.viewer.head_viewer import HeadViewer

__all__ = ["HeadViewer", "is_loopback"]
