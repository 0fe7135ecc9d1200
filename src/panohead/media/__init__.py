"""Images and videos: writing, marking as synthetic, laying out."""

from panohead.media.contact_sheet import contact_sheet
from panohead.media.images import (
    depth_preview,
    from_uint8,
    load_depth,
    mask_to_pil,
    save_depth,
    save_image,
    to_pil,
    to_rgba,
    to_uint8,
)
from panohead.media.marks import is_marked_synthetic
from panohead.media.video import VideoWriter

__all__ = [
    "VideoWriter",
    "contact_sheet",
    "depth_preview",
    "from_uint8",
    "is_marked_synthetic",
    "load_depth",
    "mask_to_pil",
    "save_depth",
    "save_image",
    "to_pil",
    "to_rgba",
    "to_uint8",
]
