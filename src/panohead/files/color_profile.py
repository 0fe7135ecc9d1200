"""Conversion of images with a color profile (Display P3, Adobe RGB, ProPhoto, CMYK, gray) to sRGB.

An embedded ICC profile says which colors the numbers of an image mean. Everything here means sRGB, so a photo of a
phone (Display P3) would be too pale without conversion, and skin in ProPhoto nearly gray.
"""

import functools
import io
import struct
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

from panohead.system.text import printable

MAX_PROFILE_BYTES = 16_000_000
"""Bytes of a profile above which it is ignored; those of printing presses have up to some 10 MB."""
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode for each color space of a profile."""
_CLASSES = {"scnr", "mntr", "prtr", "spac"}
"""Classes of profiles that describe the colors of an image; links and effects do not."""
_UNCALIBRATED = 65535
"""Value of EXIF's color space for everything but sRGB."""
_UNUSABLE = "its color profile cannot be used; colors taken as sRGB"


def to_srgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image in sRGB by its embedded profile, without the profile, and what was done to it.

    Cameras that are set to Adobe RGB may embed no profile but say so in the EXIF data; that counts too. Alpha stays.
    The result is RGB or RGBA where something was converted; an image without profile, with one that is sRGB's own, or
    with one that cannot be used is returned in its mode.

    Args:
        image: image of any of Pillow's 8-bit modes; with more bits per sample it is returned as it is.

    Returns:
        The image, and notes for people (none when nothing was converted).
    """
    profile = profile_of(image)
    if not profile:
        return image, ()
    if image.mode in ("1", "I", "F", "LAB", "HSV") or image.mode.startswith("I;16"):
        return image, ()
    if len(profile) > MAX_PROFILE_BYTES:
        return image, (_UNUSABLE,)
    try:
        mode, name = _described(profile)
        colors, alpha = _split(image, mode)
        transform = _transform(profile, mode)
        if transform is None:
            return image, ()
        converted = ImageCms.applyTransform(colors, transform)
        assert converted is not None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
        # A damaged profile is no reason to refuse a photo that every other program shows.
        return image, (_UNUSABLE,)
    if alpha is not None:
        converted.putalpha(alpha)
    converted.info = {key: value for key, value in image.info.items() if key not in ("icc_profile", "transparency")}
    return converted, (f"colors converted from {name}",)


def profile_of(image: Image.Image) -> bytes:
    """Return the profile of an image: the embedded one, or the one that its EXIF data name; empty without one."""
    profile = image.info.get("icc_profile") or (_adobe_rgb() if _is_adobe_rgb(image) else b"")
    return profile if isinstance(profile, bytes) else b""


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Return True for a photo whose EXIF data say Adobe RGB: color space "uncalibrated", interoperability "R03"."""
    if image.mode != "RGB" or "exif" not in image.info:
        return False
    try:
        exif = image.getexif()
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    except Exception:  # damaged EXIF data say nothing
        return False
    return space == _UNCALIBRATED and str(index).rstrip("\0") == "R03"


@functools.cache
def _adobe_rgb() -> bytes:
    """Return a profile of Adobe RGB (1998): its primaries relative to D50, and its gamma of 563/256."""
    white, *primaries = (
        b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in column))
        for column in (
            (0.9642, 1.0, 0.8249),
            (0.60974, 0.31111, 0.01947),
            (0.20528, 0.62567, 0.06087),
            (0.14919, 0.06322, 0.74457),
        )
    )
    name = b"Adobe RGB (1998)\0"
    words = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 563)
    names = (b"desc", b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    table, data = struct.pack(">I", len(names)), b""
    for tag, value in zip(names, (words, white, *primaries, curve, curve, curve), strict=True):
        table += tag + struct.pack(">II", 132 + 12 * len(names) + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    size = 128 + len(table) + len(data)
    header = struct.pack(">I4sI12s", size, bytes(4), 0x02400000, b"mntrRGB XYZ ") + bytes(12) + b"acsp" + bytes(28)
    return (header + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0") + table + data


def _split(image: Image.Image, mode: str) -> tuple[Image.Image, Image.Image | None]:
    """Return the colors in the profile's mode, and the alpha channel if there is one.

    Raises:
        ValueError: when the profile is of another kind of image.
    """
    alpha = None
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        alpha, image = layer.getchannel("A"), layer.convert("L" if image.mode in ("LA", "La") else "RGB")
    if (image.mode == "CMYK") != (mode == "CMYK"):
        raise ValueError(f"a profile for {mode} in an image of {image.mode}")
    if image.mode not in ("L", "CMYK"):
        image = image.convert("RGB")
    if image.mode == "L" and mode == "RGB":
        image = image.convert("RGB")
    if image.mode != mode:
        raise ValueError(f"a profile for {mode} in an image of {image.mode}")
    return image, alpha


@functools.lru_cache(maxsize=8)
def _described(profile: bytes) -> tuple[str, str]:
    """Return Pillow's mode of the colors that a profile describes, and its name for messages.

    Raises:
        KeyError, ValueError, OSError: when it is no profile of an image.
    """
    opened = ImageCms.getOpenProfile(io.BytesIO(profile))
    if opened.profile.device_class.strip() not in _CLASSES:
        raise ValueError("not a profile of an image")
    name = printable(" ".join((opened.profile.profile_description or "").split()))[:40]
    return _MODES[opened.profile.xcolor_space.strip()], name or "its color profile"


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> Any:
    """Return the transform of a profile to sRGB, None where that changes nothing by more than one step of 256."""
    transform = ImageCms.buildTransform(
        ImageCms.getOpenProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        # As image editors do: out-of-gamut colors are clipped, and black is black.
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if mode == "CMYK":
        return transform
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(*(steps,) * 3), -1).reshape(1, -1, 3)
    if mode == "L":
        probe = np.arange(256, dtype=np.uint8)[None, :, None]
    image = Image.fromarray(probe.squeeze(-1) if mode == "L" else probe)
    moved = np.asarray(ImageCms.applyTransform(image, transform)).astype(int) - probe.astype(int)
    return None if np.abs(moved).max() <= 1 else transform
