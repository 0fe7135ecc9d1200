"""Uploaded photos: bounded in bytes, formats and pixels before they are decoded by the package's one reader."""

from PIL import Image

from panohead.errors import PanoHeadError
from panohead.files.image import decode_image, to_rgb

MAX_UPLOAD_BYTES = 20_000_000
MAX_UPLOAD_PIXELS = 60_000_000
_MAX_SIDE_PX = 4096
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "HEIF", "AVIF")


def uploaded_photo(content: bytes, max_side_px: int = _MAX_SIDE_PX) -> Image.Image:
    """Decode an uploaded photo: upright, RGB, at most ``max_side_px`` pixels wide or high.

    Raises:
        PanoHeadError: when it is too large, of another format, or damaged; a whole sentence for the visitor.
    """
    if len(content) > MAX_UPLOAD_BYTES:
        size = f"{len(content) / 1e6:.0f} MB, and {MAX_UPLOAD_BYTES / 1e6:.0f} MB is the limit"
        raise PanoHeadError(f"the photo cannot be used: it has {size}; save it as a smaller JPEG")
    try:
        return to_rgb(decode_image(content, max_side_px=max_side_px, check=_check).image)
    except PanoHeadError as error:
        raise PanoHeadError(f"the photo cannot be used: {error}; give a JPEG, PNG or WebP file") from error


def _check(image: Image.Image) -> None:
    if image.format not in _FORMATS:
        raise PanoHeadError(f"it is of the format {image.format}")
    if image.width * image.height > MAX_UPLOAD_PIXELS:
        raise PanoHeadError(
            f"it has {image.width} x {image.height} pixels, more than {MAX_UPLOAD_PIXELS // 10**6} million"
        )
