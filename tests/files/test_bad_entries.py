"""One bad entry of a foreign list costs itself: of an archive, a dataset, its labels, a log, a list of people."""

import io
import json
import os
import shutil
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.small_photos import photo_name, write_photos
from files.test_inside import log_line
from panohead.data.dataset import open_dataset
from panohead.data.tools.convert import convert_dataset
from panohead.data.tools.dataset import inspect_dataset
from panohead.errors import PanoHeadError
from panohead.preparation.files import RESUME_LOG, ResumeLog
from panohead.preparation.run import prepare
from panohead.preparation.settings import PrepareSettings
from panohead.preparation.sources import list_photos
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.layout_writer import open_dataset as open_synthetic
from panohead.synthetic.synthesize import synthesize


def archive_with_odd_names() -> bytes:
    """An archive of a good entry and of entries whose names Python's own writer would refuse."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("a.png", "NAME1.png", "NAME2.png", "z.png"):
            archive.writestr(zipfile.ZipInfo(name), b"no image")
    content = buffer.getvalue()
    # The names in the central directory, and their lengths.
    at = content.rindex(b"NAME1.png") - 46
    content = content[: at + 28] + struct.pack("<H", 0) + content[at + 30 : at + 46] + content[at + 55 :]
    at = content.rindex(b"NAME2.png")
    content = content[:at] + b"\xff\0\n../\0\0\0" + content[at + 9 :]
    end = content.rindex(b"PK\5\6")
    size = struct.unpack("<I", content[end + 12 : end + 16])[0] - 9
    return content[: end + 12] + struct.pack("<I", size) + content[end + 16 :]


def test_entries_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panohead.preparation.run.import_mediapipe", lambda: None)
    (tmp_path / "photos.zip").write_bytes(archive_with_odd_names())
    refs = list_photos([str(tmp_path / "photos.zip")])
    assert {"photos.zip/a.png", "photos.zip/z.png"} <= {ref.name for ref in refs}
    assert any("without a name" in ref.name for ref in refs)
    (tmp_path / "masks").mkdir()
    settings = PrepareSettings(out=tmp_path / "out", masks=tmp_path / "masks")
    assert prepare([str(tmp_path / "photos.zip")], settings, workers=0).photos == len(refs)


def test_images_of_a_dataset(tmp_path: Path) -> None:
    root = write_photos(tmp_path / "data", count=8)
    (root / "images" / photo_name(1)).unlink()
    os.mkfifo(root / "images" / photo_name(1))
    (root / "masks" / photo_name(2)).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    (root / "images" / photo_name(3)).write_bytes(b"")
    Image.new("RGB", (16, 8)).save(root / "images" / photo_name(4))
    found = inspect_dataset(root)
    assert len(found.broken) >= 3
    with pytest.warns(RuntimeWarning, match="takes its place"):
        assert len(open_dataset(root, broken_limit=6).batch(list(range(8))).image) == 8
    done = convert_dataset(root, tmp_path / "copy", "folder", size=8)
    assert done.copied == 5  # a pipe is not even listed
    assert len(done.broken) + len(done.left_out) == 3
    assert len(open_dataset(tmp_path / "copy").names) == 5


def test_labels_of_a_dataset(tmp_path: Path) -> None:
    root = write_photos(tmp_path / "data", count=5)
    file = root / "images" / "dataset.json"
    labels = json.loads(file.read_text())["labels"]
    odd = [labels[0], [labels[1][0], [1e300] * 25], [labels[2][0], "x"], labels[3][:1], labels[4], 3, None, [], {}]
    file.write_text(json.dumps({"labels": odd, "coarse": [3, {}, labels[0][0]]}))
    found = inspect_dataset(root)
    assert (found.labeled, found.coarse) == (2, 1)


def test_labels_are_read_once(tmp_path: Path) -> None:
    """Not once per image: with 3,000 images that would take a minute, with 70,000 half a day."""
    root = write_photos(tmp_path / "data", count=1)
    file = root / "images" / "dataset.json"
    ((_, label),) = json.loads(file.read_text())["labels"]
    first = root / "images" / photo_name(0)
    rows = []
    for number in range(600):
        os.link(first, root / "images" / f"x{number}.png")
        rows.append([f"x{number}.png", label])
    file.write_text(json.dumps({"labels": rows}))
    began = time.process_time()
    assert inspect_dataset(root).labeled == 600
    assert time.process_time() - began < 20


ODD_LINES = [
    "", "[]", "3", "null", "{", '{"photo": ["a"]}', "[" * 100_000, '{"photo": "p"}', "\u0000",
    log_line("a/b.png", "a/b.png").replace("0000000000000000", "x"),
    log_line("a/b.png", "a/b.png").replace('"photo": "p"', '"photo": {}'),
    log_line("a/b.png", "a/b.png").replace('"half_px": 1', '"half_px": "1"'),
    log_line("a/b.png", "a/b.png").replace('"half_px": 1', '"half_px": NaN'),
    log_line("a/b.png", "a/b.png").replace('"confidence": 1.0', '"confidence": 1e999'),
    log_line("a/b.png", "a/b.png").replace('"remarks": []', '"remarks": [[]]'),
    log_line("a/b.png", "a/b.png").replace('"stamp": "s"', '"stamp": "s", "photo_px": []'),
    log_line("a/b.png", "a/b.png").replace('"crops": [', '"crops": ["x", '),
    log_line("../b.png", "a/b.png"), log_line("a/b.png", "/b.png"), log_line("a/b", "b", overlay="../x"),
]  # fmt: skip


def test_lines_of_the_log_of_prepare(tmp_path: Path) -> None:
    path = tmp_path / RESUME_LOG
    path.parent.mkdir()
    good = log_line("a/b.png", "a/b.png").replace('"photo": "p"', '"photo": "good"')
    path.write_text("".join(line.rstrip("\n") + "\n" for line in [*ODD_LINES, good]))
    assert set(ResumeLog(tmp_path).records) == {"good"}


def test_records_of_synthetic_people(tmp_path: Path) -> None:
    config = SyntheticDatasetConfig.of_edition(1, people=1, views=1, resolution=16, out=tmp_path / "heads")
    list(synthesize(config))
    whole = (tmp_path / "heads" / "people.jsonl").read_text()
    odd = [
        "[]",
        "3",
        "{",
        '{"person": 0}',
        '{"person": "x"}',
        '{"person": 0, "views": [{"image": "../x"}]}',
        "[" * 100_000,
    ]
    (tmp_path / "heads" / "people.jsonl").write_text("\n".join(odd) + "\n" + whole)
    parts = tmp_path / "heads" / "parts"
    parts.mkdir()
    (parts / "000000.json").write_bytes(b"\xff\xfe")
    assert list(open_synthetic(config)) == [0]
    shutil.rmtree(parts)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "heads" / "people.jsonl").unlink()
    (tmp_path / "heads" / "people.jsonl").symlink_to(tmp_path / "pipe")
    with pytest.raises(PanoHeadError, match=r"people\.jsonl .*pipe"):
        open_synthetic(config)


def test_a_state_with_a_right_hash_and_a_wrong_content(tmp_path: Path) -> None:
    import hashlib

    import torch

    from panohead.training.run.checkpoint import load_latest_state

    (tmp_path / "states").mkdir()
    for content in ([1, 2], {"nimg": "x", "state": {}}, {"nimg": 8}, {"nimg": 8, "state": 3}, "x", None):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        for data in (buffer.getvalue(), b"no state", np.zeros(9).tobytes()):
            header = b"panohead-state-1 " + hashlib.sha256(data).hexdigest().encode() + b"\n"
            (tmp_path / "states" / "state-000000000008.pt").write_bytes(header + data)
            with pytest.raises(PanoHeadError, match="state-000000000008"):
                load_latest_state(tmp_path)
