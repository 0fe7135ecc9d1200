"""Decoding of any photo to upright 8-bit RGB, with one sentence of refusal for anything else."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from panohead.errors import PanoHeadError, UsageError

FORMATS = ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "TGA", "ICO"]
"""Formats that Pillow may open here; those that start other programs (EPS) or fetch things are left out."""
HEIF_FORMATS = ["HEIF", "AVIF"]
MAX_FILE_BYTES = 400_000_000
MAX_PIXELS = 200_000_000
"""Pixels of a photo above which it is taken for a decompression bomb."""
MAX_SIDE_PX = 6000
"""Longer side to which larger photos are shrunk: it leaves any head that fills a tenth of them above 512 pixels."""
_WHITE = (255, 255, 255)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

PhotoInput = str | Path | Image.Image | np.ndarray
"""A photo as users have it: path, Pillow image, or uint8 array (gray, RGB or RGBA)."""


class TemporarilyUnreadable(PanoHeadError):
    """Error for a photo that cannot be read for now; another run tries it again."""


@dataclass(frozen=True)
class DecodedPhoto:
    """A decoded photo.

    Attributes:
        pixels: upright RGB.
        notes: changes made in decoding, such as "first frame" or "shrunk by 1.5".
        shrink: factor by which it is smaller than the image of the file.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    notes: tuple[str, ...]
    shrink: float


def register_heif() -> bool:
    """Let Pillow read HEIC where pillow-heif is installed; return True when it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def is_heif(content: bytes) -> bool:
    """Return True for a file that says it is HEIC or a relative of it (not AVIF, which Pillow reads itself)."""
    size = int.from_bytes(content[:4], "big")
    brands = {content[8:12], *(content[at : at + 4] for at in range(16, min(size, 64), 4))}
    return content[4:8] == b"ftyp" and b"avif" not in brands and bool(brands & _HEIF_BRANDS)


def read_photo(content: bytes) -> DecodedPhoto:
    """Decode a file's content: EXIF orientation honored, transparency on white, first frame of animations.

    Raises:
        TemporarilyUnreadable: when it is HEIC and pillow-heif is not installed.
        PanoHeadError: when it is no image, damaged, or too large. The sentences are stored in datasets.
    """
    if not content:
        raise PanoHeadError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(content)
    except PanoHeadError:
        raise
    except MemoryError as error:
        raise PanoHeadError("there is not enough memory to decode it") from error
    except Image.UnidentifiedImageError as error:
        if is_heif(content) and not register_heif():
            raise TemporarilyUnreadable(
                "it is HEIC, which needs pillow-heif: pip install pillow-heif, then run again"
            ) from error
        # Stored as a reason in datasets, whose reports count by it: so the words stay.
        raise PanoHeadError("it is not an image in a known format") from error
    except Image.DecompressionBombError as error:
        raise PanoHeadError("it is larger than any photo (a decompression bomb)") from error
    except Exception as error:
        # Damaged files make Pillow's readers raise nearly anything.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PanoHeadError(f"it is damaged ({reason})") from error


def load_photo(photo: PhotoInput, name: str = "") -> DecodedPhoto:
    """Return the upright RGB pixels of a file, a Pillow image or an array.

    Args:
        photo: path; Pillow image of any mode; or uint8 array of shape (height, width), (height, width, 3) or
            (height, width, 4).
        name: name of the photo in messages; "" for the path's last part.

    Raises:
        PanoHeadError: when it cannot be read, or an array is of another shape or type.
    """
    if isinstance(photo, np.ndarray):
        name = name or "the photo"
        if photo.dtype != np.uint8 or photo.shape[2:] not in ((), (3,), (4,)) or photo.ndim < 2:
            shape = " x ".join(map(str, photo.shape))
            raise PanoHeadError(f"{name} is an array of {photo.dtype}, {shape}; give height x width x 3 of uint8")
        return DecodedPhoto(np.array(to_rgb(Image.fromarray(photo))), (), 1.0)
    if isinstance(photo, Image.Image):
        return DecodedPhoto(np.array(to_rgb(ImageOps.exif_transpose(photo))), (), 1.0)
    if not isinstance(photo, str | Path):
        kind = type(photo).__name__
        raise UsageError(f"a photo of type {kind} cannot be read; give a path, a Pillow image or an array of uint8")
    try:
        return read_photo(Path(photo).read_bytes())
    except OSError as error:
        raise PanoHeadError(f"{photo} cannot be read ({error.strerror}); check the path") from error
    except PanoHeadError as error:
        raise PanoHeadError(f"{name or Path(photo).name} is no usable photo: {error}") from error


def _decode(content: bytes) -> DecodedPhoto:
    heif = HEIF_FORMATS if register_heif() else ["AVIF"]
    known = [name for name in FORMATS + heif if name in _available()]
    notes: list[str] = []
    with Image.open(io.BytesIO(content), formats=known) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise PanoHeadError(f"it has {width} x {height} pixels, more than any photo (a decompression bomb)")
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            notes.append("first frame")
        shrink = max(1.0, max(width, height) / MAX_SIDE_PX)
        # JPEG can be decoded at a half, quarter or eighth directly.
        image.draft("RGB", (max(1, int(width / shrink)), max(1, int(height / shrink))))
        image.load()
        upright = ImageOps.exif_transpose(image)
        color = to_rgb(upright)
    if shrink > 1.0:
        scale = MAX_SIDE_PX / max(color.size)
        color = color.resize(
            (max(1, round(color.width * scale)), max(1, round(color.height * scale))), Image.Resampling.LANCZOS
        )
        notes.append(f"shrunk by {shrink:.2f}")
    return DecodedPhoto(np.array(color), tuple(notes), shrink)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image in any of Pillow's modes to 8-bit RGB; transparent parts become white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_wide(image)
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        layer = image.convert("RGBA")
        background = Image.new("RGBA", layer.size, (*_WHITE, 255))
        return Image.alpha_composite(background, layer).convert("RGB")
    return image.convert("RGB")


def _from_wide(image: Image.Image) -> Image.Image:
    """Convert 16 and 32 bits per sample: by their format's range where one is meant, else by the brightest value."""
    values = np.asarray(image, dtype=np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    if image.mode == "F" and top <= 1.0:
        scale = 255.0
    elif top <= 255.0:
        scale = 1.0
    else:
        scale = 255.0 / (65535.0 if top <= 65535.0 else top)
    gray = np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)
    return Image.fromarray(gray).convert("RGB")


def _available() -> set[str]:
    Image.init()
    return set(Image.OPEN)
