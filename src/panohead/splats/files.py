"""Files of splats: PLY and SPZ, marked as synthetic."""

from pathlib import Path
from typing import Literal

from panohead.errors import PanoHeadError
from panohead.files.regular import path_of
from panohead.media.provenance import NOTICE, software, source_uri
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT
from panohead.splats.cloud import SplatCloud, check_cloud
from panohead.splats.ply import encode_ply
from panohead.splats.spz import encode_spz
from panohead.system.atomic_write import atomic_path

SPLAT_FORMATS: tuple[Literal["ply", "spz"], ...] = ("ply", "spz")
"""Suffixes that :func:`write_splats` knows."""


def check_splat_path(path: str | Path) -> Literal["ply", "spz"]:
    """Return the format of a file of splats by its suffix, without a dot.

    Raises:
        UsageError: for what is no path.
        PanoHeadError: when no such format is written.
    """
    suffix = path_of(path).suffix.lower().removeprefix(".")
    for known in SPLAT_FORMATS:
        if suffix == known:
            return known
    raise PanoHeadError(f"{path}: cannot write splats of type '{Path(path).suffix}'; use .ply or .spz")


def write_splats(cloud: SplatCloud, path: str | Path) -> Path:
    """Write splats, atomically, in the format of the suffix: .ply or .spz, life size in meters, marked as synthetic.

    Raises:
        UsageError: for what is no cloud or no path.
        PanoHeadError: when the suffix is unknown, there is no splat, or the file cannot be written.
    """
    path, kind = Path(path), check_splat_path(path)
    if len(check_cloud(cloud)) == 0:
        raise PanoHeadError(f"{path}: there are no splats to write")
    content = encoded_splats(cloud, kind)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def encoded_splats(cloud: SplatCloud, kind: Literal["ply", "spz"] = "spz") -> bytes:
    """Return splats as the content of a file, life size in meters, marked as synthetic.

    Raises:
        UsageError: for what is no cloud.
    """
    cloud = check_cloud(cloud)
    about = [
        NOTICE,
        f"digital_source_type: {source_uri('trainedAlgorithmicMedia')}",
        f"generator: {software()}",
        f"unit: meter; world_units_per_metre: {1 / METERS_PER_WORLD_UNIT:g}",
    ]
    axes = {"ply": "axes: x right, y down, z back (RDF)", "spz": "axes: x right, y up, z toward the front (RUB)"}[kind]
    return encode_ply(cloud, [*about, axes]) if kind == "ply" else encode_spz(cloud, " ".join([*about, axes]))
