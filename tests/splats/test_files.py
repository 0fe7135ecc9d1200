"""Files of splats, read back by other readers and by the published layouts."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from panohead.errors import PanoHeadError
from panohead.media.marks import read_mark
from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT
from panohead.splats import SplatCloud, write_splats
from panohead.splats.cloud import rotation_matrices
from panohead.splats.ply import FIELDS
from splats.test_rasterize import cloud

COUNT = 50
TO_RDF = np.diag([1.0, -1.0, -1.0])


def covariances(splats: SplatCloud) -> np.ndarray:
    """Covariances in square meters."""
    axes = rotation_matrices(splats.quaternions) * splats.log_scales.exp()[:, None] * METERS_PER_WORLD_UNIT
    return (axes @ axes.transpose(1, 2)).double().numpy()


def read_ply(path: Path) -> dict[str, np.ndarray]:
    head, _, body = path.read_bytes().partition(b"end_header\n")
    names = [line.split()[2].decode() for line in head.splitlines() if line.startswith(b"property float")]
    assert tuple(names) == FIELDS
    table = np.frombuffer(body, "<f4").reshape(-1, len(names))
    return dict(zip(names, table.T, strict=True))


def test_ply_holds_the_same_gaussians_in_meters_and_rdf(tmp_path: Path) -> None:
    splats = cloud(COUNT)
    found = read_ply(write_splats(splats, tmp_path / "a" / "head.ply"))
    places = np.stack([found[k] for k in "xyz"], 1)
    np.testing.assert_allclose(places, splats.means.numpy() @ TO_RDF * METERS_PER_WORLD_UNIT, atol=1e-6)
    turn = rotation_matrices(torch.from_numpy(np.stack([found[f"rot_{k}"] for k in range(4)], 1)))
    axes = turn.double().numpy() * np.exp(np.stack([found[f"scale_{k}"] for k in range(3)], 1))[:, None]
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), TO_RDF @ covariances(splats) @ TO_RDF, atol=1e-9)
    colors = np.stack([found[f"f_dc_{k}"] for k in range(3)], 1) * 0.28209479177387814 + 0.5
    np.testing.assert_allclose(colors, splats.colors.numpy(), atol=1e-6)
    np.testing.assert_allclose(found["opacity"], splats.opacity_logits.numpy(), atol=1e-6)


def test_spz_holds_the_same_gaussians_by_the_published_layout(tmp_path: Path) -> None:
    splats = cloud(COUNT)
    data = gzip.decompress(write_splats(splats, tmp_path / "head.spz").read_bytes())
    magic, version, count, degree, bits, flags, reserved = struct.unpack("<3I4B", data[:16])
    assert (magic, version, count, degree, flags, reserved) == (0x5053474E, 2, COUNT, 0, 0, 0)
    assert len(data) == 16 + COUNT * (9 + 1 + 3 + 3 + 3)
    body = np.frombuffer(data, np.uint8)[16:]
    ends = np.cumsum([9 * COUNT, COUNT, 3 * COUNT, 3 * COUNT, 3 * COUNT])
    places, alphas, colors, scales, turns = (part.reshape(COUNT, -1) for part in np.split(body, ends[:-1]))
    whole = places.reshape(COUNT, 3, 3).astype(np.int64) @ np.array([1, 256, 65536])
    whole = np.where(whole >= 2**23, whole - 2**24, whole) / 2.0**bits
    np.testing.assert_allclose(whole, splats.means.numpy() * METERS_PER_WORLD_UNIT, atol=2.0**-bits)
    np.testing.assert_allclose(alphas[:, 0] / 255, torch.sigmoid(splats.opacity_logits).numpy(), atol=1 / 255)
    base = (colors / 255 - 0.5) / 0.15 * 0.28209479177387814 + 0.5
    np.testing.assert_allclose(base, splats.colors.numpy(), atol=0.01)
    xyz = turns / 127.5 - 1
    w = np.sqrt(np.clip(1 - (xyz**2).sum(1), 0, None))
    turn = rotation_matrices(torch.from_numpy(np.concatenate([w[:, None], xyz], 1))).numpy()
    axes = turn * np.exp(scales / 16.0 - 10)[:, None]
    true = covariances(splats)
    error = np.linalg.norm(axes @ axes.transpose(0, 2, 1) - true, axis=(1, 2)) / np.linalg.norm(true, axis=(1, 2))
    assert np.median(error) < 0.1


@pytest.mark.parametrize("name", ["head.ply", "head.spz"])
def test_another_reader_reads_the_same(tmp_path: Path, name: str) -> None:
    gsply = pytest.importorskip("gsply")
    splats = cloud(COUNT)
    path = write_splats(splats, tmp_path / name)
    found = gsply.plyread(str(path)) if name.endswith("ply") else gsply.read_spz(str(path))
    places = np.asarray(found.means) @ (TO_RDF if name.endswith("ply") else np.eye(3))
    np.testing.assert_allclose(places, splats.means.numpy() * METERS_PER_WORLD_UNIT, atol=2e-5)
    np.testing.assert_allclose(np.exp(found.scales), splats.log_scales.exp() * METERS_PER_WORLD_UNIT, rtol=0.04)


@pytest.mark.parametrize("name", ["head.ply", "head.spz"])
def test_files_are_marked_and_verify_reads_it(tmp_path: Path, name: str) -> None:
    mark = read_mark(write_splats(cloud(COUNT), tmp_path / name))
    assert mark.synthetic
    assert mark.term == "trainedAlgorithmicMedia"
    assert mark.software


def test_spz_is_much_smaller(tmp_path: Path) -> None:
    splats = cloud(5000)
    sizes = [write_splats(splats, tmp_path / name).stat().st_size for name in ("head.spz", "head.ply")]
    assert sizes[0] < 0.3 * sizes[1]


def test_bad_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match=r"use \.ply or \.spz"):
        write_splats(cloud(3), tmp_path / "head.splat")
    with pytest.raises(PanoHeadError, match="no splats"):
        write_splats(cloud(3)[:0], tmp_path / "head.ply")
