"""``panohead verify`` says of every file what its marks say, and fails when one has none."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import panohead
from panohead.cli.main import main
from panohead.errors import PanoHeadError
from panohead.media.images import save_image
from panohead.media.marks import read_mark
from panohead.media.video import VideoWriter
from panohead.mesh.export import write_mesh, write_mrc
from panohead.mesh.surface import Surface
from panohead.mesh.trimesh_object import to_trimesh

IMAGE = torch.linspace(-1, 1, 16).expand(3, 16, 16)
TERM = "trainedAlgorithmicMedia"


def written(folder: Path) -> dict[str, Path]:
    """One file of each format, by this package."""
    files = {suffix: save_image(IMAGE, folder / f"a.{suffix}") for suffix in ("png", "jpg", "webp")}
    for suffix in ("mp4", "gif"):
        with VideoWriter(folder / f"video.{suffix}", fps=4) as video:
            for _ in range(2):
                video.write(np.zeros((16, 16, 3), np.uint8))
        files[suffix] = folder / f"video.{suffix}"
    return files


def test_every_image_and_video_says_that_it_is_synthetic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path)
    assert main(["verify", *map(str, files.values())]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(files)
    for line in lines:
        assert f"synthetic (IPTC digital source type {TERM}" in line


def test_meshes_and_volumes(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    mesh = to_trimesh(Surface(np.asarray(box.vertices, np.float32), np.asarray(box.faces)))
    for suffix in ("glb", "obj", "ply", "stl", "3mf"):
        mark = read_mark(write_mesh(mesh, tmp_path / f"head.{suffix}"))
        assert mark.synthetic, suffix
        assert mark.software == f"PanoHead {panohead.__version__}", suffix
        assert mark.term == (None if suffix == "stl" else TERM), suffix
    assert read_mark(write_mrc(np.zeros((2, 2, 2), np.float32), tmp_path / "head.mrc")).synthetic
    stripped = tmp_path / "stripped.stl"
    stripped.write_bytes(b" " * 80 + (tmp_path / "head.stl").read_bytes()[80:])
    assert not read_mark(stripped).synthetic


def test_files_without_a_mark_end_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked, photo = save_image(IMAGE, tmp_path / "a.png"), save_image(IMAGE, tmp_path / "photo.png", source=None)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    assert main(["verify", str(marked), str(photo), str(broken), str(tmp_path / "none.glb")]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[1] == (
        f"{photo}: no synthetic mark in its metadata (written by PanoHead {panohead.__version__}); no C2PA manifest"
    )
    assert "cannot read" in lines[2]
    assert "does not exist" in lines[3]
    assert "of 4 files 1 without a mark and 2 not readable" in printed.err
    assert main(["verify"]) == 2


def test_a_3mf_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.3mf"
    for content in (b"PK", _zip({"other": b"x"})):
        path.write_bytes(content)
        with pytest.raises(PanoHeadError, match=r"cannot read .*a\.3mf as a 3MF file"):
            read_mark(path)


def test_other_people_s_terms_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<meta content="http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia">'
    )
    mark = read_mark(page)
    assert (mark.term, mark.notice, mark.software) == ("compositeWithTrainedAlgorithmicMedia", False, None)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"panohead {panohead.__version__}\n"


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
