"""Names of camera conventions. Imports nothing heavy, because ``panohead dataset convert`` makes its options of it."""

from typing import Literal, get_args

Convention = Literal[
    "transposed",
    "world2cam",
    "opengl",
    "pytorch3d",
    "left-handed",
    "y-down",
    "z-up",
    "turned",
    "mirrored",
    "scale",
    "pixels",
    "ndc",
]
STEPS: tuple[Convention, ...] = get_args(Convention)
"""All steps in the order in which they are applied."""
MEANING: dict[Convention, str] = {
    "transposed": "matrices column by column",
    "world2cam": "the inverse, from world to camera",
    "opengl": "camera axes of OpenGL: y up, z backward",
    "pytorch3d": "camera axes of PyTorch3D: x left, y up",
    "left-handed": "left-handed axes as in Unity, y up",
    "y-down": "world with y down",
    "z-up": "world with z up",
    "turned": "face toward -z instead of +z",
    "mirrored": "images that were mirrored, but not their cameras",
    "scale": "another unit of length",
    "pixels": "intrinsics in pixels",
    "ndc": "intrinsics for coordinates from -1 to 1",
}
"""The peculiarity that each step undoes."""
