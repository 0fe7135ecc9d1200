"""Whatever is opened for reading is a regular file of a bounded size: every reader says so at once, in a sentence."""

import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from data.small_photos import photo_name, write_photos, zipped
from files.unusable import make
from panohead.alignment.pose_file import read_poses
from panohead.checkpoint import load_checkpoint
from panohead.data.shards import open_shards
from panohead.data.sources import open_source
from panohead.data.tools.dataset import inspect_dataset
from panohead.errors import PanoHeadError
from panohead.files.archive import BrokenArchive, check_torch_file, open_zip, read_arrays, read_member
from panohead.files.regular import NotRegular, open_regular, open_to_append, read_regular, read_text
from panohead.interop.restricted_pickle import read_official_pickle
from panohead.inversion.labels import read_cameras
from panohead.inversion.optimization.resume_file import ResumeFile
from panohead.inversion.output_folder import photo_digests
from panohead.inversion.reconstructed_head import LATENT_FILE, open_reconstruction
from panohead.inversion.weight_delta import load_difference
from panohead.media.marks import is_marked_synthetic
from panohead.preparation.files import RESUME_LOG, ResumeLog
from panohead.preparation.sources import list_photos
from panohead.training.run.checkpoint import load_latest_state
from panohead.training.run.folder import CONFIG_FILE, read_run
from panohead.training.run.records import STATS_NAME, RecordWriter, read_records
from panohead.training.warm_start.multiview import load_multiview

KINDS = ("folder", "pipe", "device", "socket", "sparse", "loop")


def readers(root: Path) -> Iterator[tuple[Path, Callable[[], object]]]:
    """Paths, and what reads them."""
    generator = tiny.generator()
    yield root / "poses.csv", lambda: read_poses(root / "poses.csv")
    yield root / "model.safetensors", lambda: load_checkpoint(root / "model.safetensors")
    yield root / "model.pkl", lambda: read_official_pickle(root / "model.pkl")
    yield root / "labels.json", lambda: read_cameras(root / "labels.json", [Path("a.png")])
    yield root / "a.difference", lambda: load_difference(root / "a.difference", generator)
    yield root / "head" / LATENT_FILE, lambda: open_reconstruction(root / "head", generator)
    yield root / "photo.jpg", lambda: photo_digests([root / "photo.jpg"])
    yield root / "film.mp4", lambda: is_marked_synthetic(root / "film.mp4")
    yield root / "film.gif", lambda: is_marked_synthetic(root / "film.gif")
    yield root / "run" / CONFIG_FILE, lambda: read_run(root / "run")
    yield root / "run" / STATS_NAME, lambda: read_records(root / "run" / STATS_NAME)
    yield root / "run2" / "states" / "state-000000000008.pt", lambda: load_latest_state(root / "run2")
    yield root / "images.zip", lambda: open_source(root / "images.zip").names()
    yield root / "shards" / "a.tar", lambda: open_shards(root / "shards")
    yield root / "prepared" / RESUME_LOG, lambda: ResumeLog(root / "prepared")
    yield root / "reconstruct.state", lambda: ResumeFile(root / "reconstruct.state", resume=True).read("x")


def sentence_of(read: Callable[[], object]) -> str:
    """The error that reading ends with; empty when it ends without one."""
    try:
        read()
    except (PanoHeadError, OSError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_of_a_path(kind: str, tmp_path: Path) -> None:
    # Where there is no regular file, there are no records and nothing to resume.
    silent = {STATS_NAME, "reconstruct.state"}
    for path, read in readers(tmp_path):
        make(kind, path)
        sentence = sentence_of(read)
        # A folder holds images as an archive does, an archive of zeros is an empty one, a link to itself is nothing.
        fine = (kind, path.name) in {("folder", "images.zip"), ("sparse", "a.tar"), ("loop", "journal.jsonl")}
        assert path.name in sentence or (not sentence and (fine or path.name in silent)), (path, sentence)
        assert "\n" not in sentence


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_a_dataset(kind: str, tmp_path: Path) -> None:
    names = (f"images/{photo_name(1)}", f"masks/{photo_name(2)}", "images/dataset.json", "people.jsonl")
    for number, name in enumerate(names):
        root = write_photos(tmp_path / str(number), count=3)
        (root / name).unlink(missing_ok=True)
        make(kind, root / name)
        with pytest.raises(PanoHeadError, match=r"\d\d\d\.png|dataset\.json|people\.jsonl"):
            load_multiview(root, 16)
        if name.startswith("images/0"):
            inspect_dataset(root)


def test_a_growing_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    assert read_regular(path, 100) == b"x" * 100
    for bound in (0, 99):
        with pytest.raises(NotRegular, match="MB"):
            read_regular(path, bound)
    monkeypatch.setattr("panohead.files.regular._check", lambda *_: None)
    with pytest.raises(NotRegular, match="MB"):
        read_regular(path, 99)


def test_texts_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(tmp_path / "a") == "{}"
    with open_regular(tmp_path / "a") as file:
        assert file.read(1) == b"\xef"
        assert not os.get_inheritable(file.fileno())
    for name in ("a\0b", "n" * 5000, "gone"):
        with pytest.raises(OSError, match=r"No such|too long"):
            read_regular(tmp_path / name)


def zip_bomb(size: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, archive.open("00000/000.png", "w") as member:
        for _ in range(size // 1_000_000):
            member.write(bytes(1_000_000))
    return buffer.getvalue()


def test_members_of_zips_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_bomb(300_000_000))
    tracemalloc.start()
    with pytest.raises(PanoHeadError, match=r"000\.png .*300 MB"):
        open_source(tmp_path / "a.zip").read("00000/000.png")
    (ref,) = list_photos([str(tmp_path / "a.zip")])
    assert "300 MB" in ref.problem
    with open_zip(tmp_path / "a.zip") as archive, pytest.raises(BrokenArchive, match="300 MB"):
        read_member(archive, archive.infolist()[0])
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    (tmp_path / "b.zip").write_bytes(zip_bomb(1_000_000, zipfile.ZIP_LZMA))
    with pytest.raises(PanoHeadError, match="method 14"):
        open_source(tmp_path / "b.zip").read("00000/000.png")


@pytest.mark.parametrize(
    ("offset", "value"),
    [(6, b"\xff\0"), (8, b"\1\0"), (10, b"\x63\0"), (24, b"\xff\xff\xff\x7f"), (42, b"\xff\xff\0\0")],
    ids=["version", "encrypted", "method", "size", "place"],
)
def test_odd_members_of_zips_are_broken_files(offset: int, value: bytes, tmp_path: Path) -> None:
    whole = zipped(write_photos(tmp_path / "data", count=2), "images").read_bytes()
    place = whole.index(b"PK\x01\x02") + offset
    (tmp_path / "odd.zip").write_bytes(whole[:place] + value + whole[place + len(value) :])
    source = open_source(tmp_path / "odd.zip")
    with pytest.raises(PanoHeadError, match=r"odd\.zip"):
        source.read("00000/000.png")


HEADERS = {
    "large": "{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000,), }",
    "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4), }",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
    "code": "__import__('os')",
    "deep": "(" * 5000,
}


@pytest.mark.parametrize("name", list(HEADERS))
def test_arrays_are_of_their_stated_size(name: str, tmp_path: Path) -> None:
    text = HEADERS[name]
    content = np.lib.format.magic(1, 0) + struct.pack("<H", len(text)) + text.encode() + bytes(16)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("depth.npy", content)
    with pytest.raises(BrokenArchive):
        read_arrays(tmp_path / "a.npz", ["depth"])


def test_whole_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, depth=np.ones((4, 4), np.float16), other=np.zeros(3))
    assert read_arrays(path, ["depth"])["depth"].shape == (4, 4)
    assert set(read_arrays(path)) == {"depth", "other"}
    np.savez_compressed(path, base=np.array("x" * 64))
    assert str(read_arrays(path)["base"]) == "x" * 64
    with pytest.raises(KeyError):
        read_arrays(path, ["gone"])
    with pytest.raises(BrokenArchive, match="MB"):
        read_arrays(path, max_bytes=50)


def test_states_of_torch_are_not_compressed(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"a": torch.zeros(10)}, path)
    check_torch_file(path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    with pytest.raises(BrokenArchive, match="compressed"):
        check_torch_file(tmp_path / "bomb.pt")
    with pytest.raises(PanoHeadError, match=r"bomb\.pt"):
        ResumeFile(tmp_path / "bomb.pt", resume=True).read("x")


def tar_header(kind: bytes, size: bytes) -> bytes:
    """A header whose field of the size holds other bytes, with a right checksum."""
    info = tarfile.TarInfo("a.png")
    info.type = kind
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = size
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


SIZES = {
    "minus one": b"\xff" * 12,
    "minus 512": b"\xff" * 10 + b"\xfe\x00",
    "terabytes": b"\x80" + b"\0" * 5 + b"\x7f" * 6,
    "gigabyte": b"07777777777\0",
}


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("size", list(SIZES))
def test_sizes_in_tar_headers(kind: bytes, size: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(tar_header(kind, SIZES[size]) + bytes(4096))
        file.truncate(2**33)

    def read() -> None:
        images, _ = open_shards(path)
        images.read("a.png")

    tracemalloc.start()
    try:
        with pytest.raises(PanoHeadError, match=r"a\.tar"):
            read()
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_sizes_of_extended_tar_headers(tmp_path: Path) -> None:
    """A pax header replaces the size of the next member: by less than nothing, reading would never end."""
    for size in ("-1024", "-1", "-511", "99999999999999"):
        record = f" size={size}\n"
        length = len(record) + 2
        body = f"{length}{record}".encode().ljust(512, b"\0")
        content = tar_header(tarfile.XHDTYPE, f"{length:011o}\0".encode()) + body
        content += tar_header(tarfile.REGTYPE, f"{0:011o}\0".encode()) + bytes(2048)
        (tmp_path / "a.tar").write_bytes(content)
        with pytest.raises(PanoHeadError, match=r"a\.tar"):
            open_shards(tmp_path / "a.tar")[0].read("a.png")


def test_damaged_zips_raise_one_kind_of_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = zipped(write_photos(tmp_path / "data", count=3), "images").read_bytes()
    for number in range(200):
        content = bytearray(whole)
        for place in rng.integers(len(whole) - 400, len(whole), 5) if number % 2 else rng.integers(0, len(whole), 40):
            content[place] = int(rng.integers(256))
        (tmp_path / "x.zip").write_bytes(bytes(content))
        try:
            source = open_source(tmp_path / "x.zip")
            for name in source.names():
                source.read(name)
        except PanoHeadError:
            continue


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "socket", "loop", "link"])
def test_logs_are_never_written_through_links_and_pipes(kind: str, tmp_path: Path) -> None:
    path, other = tmp_path / "log.jsonl", tmp_path / "other"
    other.write_text("unfinished line")
    if kind == "link":
        path.symlink_to(other)
    else:
        make(kind, path)
    for opening in (
        lambda: open_to_append(path),
        lambda: RecordWriter(path),
        lambda: ResumeLog(tmp_path),
    ):
        (tmp_path / ".prepare").mkdir(exist_ok=True)
        (tmp_path / RESUME_LOG).unlink(missing_ok=True)
        (tmp_path / RESUME_LOG).symlink_to(path)
        with pytest.raises((NotRegular, PanoHeadError), match=r"log\.jsonl|journal\.jsonl"):
            opening()
    assert other.read_text() == "unfinished line"


def test_logs_are_made_and_continued(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        with open_to_append(tmp_path / "log") as file:
            file.write(text)
    with open_to_append(tmp_path / "log") as file:
        file.truncate(4)
        file.write(b"three\n")
    assert (tmp_path / "log").read_bytes() == b"one\nthree\n"
