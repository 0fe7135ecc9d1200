"""Files that claim to be checkpoints: each reader says what they are and what to do."""

import bz2
import gzip
import json
import lzma
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import tiny
from panohead import PanoHeadError, load
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.files.file_kind import kind_of
from panohead.interop.official import load_networks
from panohead.inversion.weight_delta import load_difference
from panohead.perceptual.inception import load_inception
from panohead.perceptual.lpips_vgg import load_lpips_vgg


def cut_off(path: Path, share: float) -> None:
    save_file({"weight": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


FILES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "pointer": (
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "pointer", "lfs pull",
    ),
    "page": (lambda p: p.write_text("\ufeff\n<!DOCTYPE html><html>Log in"), "page", "web page"),
    "xml": (lambda p: p.write_text("<Error><Code>AccessDenied</Code></Error>"), "page", "web page"),
    "json": (lambda p: p.write_text('{"error": "not found"}'), "text", "text file"),
    "text": (lambda p: p.write_text("not a checkpoint"), "text", "text file"),
    "empty": (lambda p: p.write_bytes(b""), "empty", "empty"),
    "gzip": (lambda p: p.write_bytes(gzip.compress(b"weights")), "archive", "gzip"),
    "bzip2": (lambda p: p.write_bytes(bz2.compress(b"weights")), "archive", "bzip2"),
    "xz": (lambda p: p.write_bytes(lzma.compress(b"weights")), "archive", "xz"),
    "zip": (zipped, "zip", "zip archive"),
    "torch": (lambda p: torch.save({"weight": torch.zeros(3)}, p), "torch", "torch.save"),
    "old torch": (
        lambda p: torch.save({"w": torch.zeros(3)}, p, _use_new_zipfile_serialization=False), "torch", "torch.save",
    ),
    "pickle": (lambda p: p.write_bytes(pickle.dumps({"G_ema": 1})), "pickle", "pickle"),
    "cut in the tensors": (lambda p: cut_off(p, 0.5), "cut off", "cut off"),
    "cut in the header": (lambda p: cut_off(p, 0.01), "cut off", "cut off"),
    "damaged header": (lambda p: p.write_bytes((20).to_bytes(8, "little") + b"{" * 40), "other", "damaged"),
    "image": (lambda p: Image.new("RGB", (4, 4)).save(p, "PNG"), "other", "image"),
    "array": (lambda p: p.write_bytes(b"\x93NUMPY" + bytes(60)), "other", "NumPy"),
    "noise": (lambda p: p.write_bytes(np.random.default_rng(0).bytes(1000)), "other", "no kind"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_kinds(tmp_path: Path, name: str) -> None:
    make, expected, _ = FILES[name]
    make(tmp_path / "file")
    assert kind_of(tmp_path / "file").name == expected


def test_whole_files_are_whole(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3), "b": torch.zeros(0)}, tmp_path / "a")
    assert kind_of(tmp_path / "a").name == "safetensors"
    assert kind_of(Path(save_file({}, tmp_path / "b") or tmp_path / "b")).name == "safetensors"


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "checkpoint": (".safetensors", load_checkpoint),
    "load": (".safetensors", load),
    "other suffix": (".bin", load),
    "difference": (".safetensors", lambda path: load_difference(path, tiny.generator())),
    "LPIPS": (".safetensors", load_lpips_vgg),
    "Inception": (".pth", load_inception),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", FILES)
def test_every_reader_says_what_it_was_given(tmp_path: Path, reader: str, name: str) -> None:
    make, _, words = FILES[name]
    suffix, read = READERS[reader]
    path = tmp_path / f"model{suffix}"
    make(path)
    with pytest.raises(PanoHeadError) as error:
        read(path)
    sentence = str(error.value)
    assert path.name in sentence
    assert "\n" not in sentence
    assert "; " in sentence, "a remedy"
    if not (name in ("pickle", "torch", "old torch") and reader in ("load", "other suffix", "LPIPS", "Inception")):
        assert words in sentence


@pytest.mark.parametrize("name", FILES)
def test_the_reader_of_pickles(tmp_path: Path, name: str) -> None:
    FILES[name][0](tmp_path / "model.pkl")
    with pytest.raises(PanoHeadError, match=r"model\.pkl"):
        load_networks(tmp_path / "model.pkl")


def test_foreign_safetensors_are_described(tmp_path: Path) -> None:
    save_file({f"unet.block.{i}": torch.zeros(1) for i in range(5)}, tmp_path / "lora.safetensors")
    with pytest.raises(PanoHeadError, match=r"unet\.block\.0, .*\.\.\..*import-official"):
        load(tmp_path / "lora.safetensors")


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "tiny.safetensors", {"G_ema": tiny.generator()})
    (tmp_path / "tiny.safetensors").rename(tmp_path / "tiny.pkl")
    assert load(tmp_path / "tiny.pkl").generator.config == tiny.CONFIG


@pytest.mark.parametrize(
    ("init", "words"), [("demo", "bundled models hold no discriminator"), ("x.pkl", "import-official")]
)
def test_what_training_starts_from(tmp_path: Path, capsys: pytest.CaptureFixture[str], init: str, words: str) -> None:
    from panohead.cli.main import main

    if init.endswith(".pkl"):
        init = str(tmp_path / init)
        Path(init).write_bytes(pickle.dumps({"G_ema": 1}))
    data = Path(__file__).parents[1] / "training" / "heads"
    arguments = ["--preset", "tiny", "--data", str(data), "--out", str(tmp_path / "run"), "--quiet", "--device", "cpu"]
    assert main(["train", *arguments, "--init", init]) == 1
    assert words in capsys.readouterr().err
    assert json.dumps(sorted(p.name for p in tmp_path.glob("run/snapshots/*"))) == "[]"
