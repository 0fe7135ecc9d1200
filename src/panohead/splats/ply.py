"""Splats as PLY in the convention of the original 3D Gaussian Splatting code, which viewers of splats read.

Axes are those of that convention (x right, y down, z away from the viewer in front: RDF), so the head's y and z are
turned around; lengths are life size in meters. Fields, all 32-bit floats, little-endian: ``x y z``, ``nx ny nz`` (0),
``f_dc_0..2`` (color c as (c - 0.5) / 0.28209), ``opacity`` (before the sigmoid), ``scale_0..2`` (logarithms),
``rot_0..3`` (quaternion w x y z). There are no further spherical harmonics: colors are the same from all sides.
"""

import numpy as np
from jaxtyping import Float

from panohead.splats.cloud import SplatCloud
from panohead.splats.life_size import life_size

FIELDS = (
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
    "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
"""Names of a splat's numbers, in order."""


def encode_ply(cloud: SplatCloud, comments: list[str]) -> bytes:
    """Return the content of a PLY file; ``comments`` are lines of its header."""
    table = _table(life_size(cloud))
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {' '.join(line.split())}" for line in comments)]
    lines += [f"element vertex {len(table)}", *(f"property float {name}" for name in FIELDS), "end_header"]
    return "\n".join(lines).encode("ascii", "replace") + b"\n" + table.astype("<f4").tobytes()


def _table(cloud: SplatCloud) -> Float[np.ndarray, "splat field"]:
    flip = np.array([1.0, -1.0, -1.0], np.float32)
    # A half turn about x: (0, 1, 0, 0) times the quaternion.
    w, x, y, z = cloud.quaternions.numpy().T
    turned = np.stack([-x, w, -z, y], axis=1)
    return np.concatenate(
        [
            cloud.means.numpy() * flip,
            np.zeros((len(cloud), 3), np.float32),
            cloud.coefficients.numpy(),
            cloud.opacity_logits.numpy()[:, None],
            cloud.log_scales.numpy(),
            turned,
        ],
        axis=1,
    )
