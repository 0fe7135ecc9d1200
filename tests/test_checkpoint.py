"""Checkpoints come back exactly, and what is wrong with a file is said in one sentence."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tiny
from panohead import checkpoint as module
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.errors import PanoHeadError
from panohead.files.read_json import from_plain
from panohead.files.tensor_hash import tensors_sha256
from panohead.models.discriminator import Discriminator, DiscriminatorConfig
from panohead.models.generator_config import GeneratorConfig
from panohead.rendering.renderer import RenderConfig
from panohead.system.sealed_metadata import sealed


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a generator and a discriminator."""
    path = tmp_path_factory.mktemp("checkpoints") / "model.safetensors"
    discriminator = Discriminator(DiscriminatorConfig(resolution=16, channel_base=64, channel_max=4))
    save_checkpoint(path, {"G_ema": tiny.generator(), "D": discriminator}, kimg=12.5, notes={"about": "a test"})
    return path


def test_comes_back_exactly(file: Path) -> None:
    checkpoint = load_checkpoint(file)
    assert (checkpoint.kimg, checkpoint.notes) == (12.5, {"about": "a test"})
    assert set(checkpoint.networks) == {"G_ema", "D"}
    generator, original = checkpoint.generator(), tiny.generator()
    assert generator.config == tiny.CONFIG
    assert not generator.training
    for name, value in original.state_dict().items():
        assert torch.equal(generator.state_dict()[name], value), name


def test_half_precision_is_half_the_size_and_near(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, load_checkpoint(file).networks, dtype="float16")
    assert path.stat().st_size < 0.6 * file.stat().st_size
    for name, value in load_checkpoint(path).generator().state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, tiny.generator().state_dict()[name], rtol=1e-3, atol=1e-4)


def _damaged(file: Path, path: Path, damage: str) -> None:
    data = bytearray(file.read_bytes())
    tensors = load_file(file)
    meta = {"panohead": "1", "networks": "{}", "sha256": "0"}
    if damage == "flipped":
        data[-5] ^= 1
        path.write_bytes(data)
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("not a checkpoint")
    elif damage == "foreign":
        save_file(tensors, path)
    elif damage == "newer":
        save_file(tensors, path, metadata={**meta, "panohead": "99"})
    elif damage == "unknown setting":
        networks = json.dumps({"G": {"kind": "generator", "config": {**asdict(tiny.CONFIG), "magic": 1}}})
        digest = tensors_sha256(tensors, networks)
        save_file(tensors, path, metadata={**meta, "networks": networks, "sha256": digest})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flipped", "damaged"),
        ("truncated", "not a readable safetensors file"),
        ("empty", "not a readable safetensors file"),
        ("text", "not a readable safetensors file"),
        ("foreign", "not a PanoHead checkpoint"),
        ("newer", "newer version"),
        ("unknown setting", "no setting 'magic'"),
        ("missing", "there is no checkpoint"),
    ],
)
def test_what_is_wrong_is_said(file: Path, tmp_path: Path, damage: str, message: str) -> None:
    path = tmp_path / "broken.safetensors"
    _damaged(file, path, damage)
    with pytest.raises(PanoHeadError, match=message) as error:
        load_checkpoint(path)
    assert "broken.safetensors" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failed_write_leaves_the_old_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(file.read_bytes())

    def fail(tensors: object, target: object, **_: object) -> None:
        Path(str(target)).write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", fail)
    with pytest.raises(PanoHeadError, match="No space left"):
        save_checkpoint(path, {"G": tiny.generator(1)})
    assert path.read_bytes() == file.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_suffix_and_missing_generator_are_named(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match=r"give it the suffix \.safetensors"):
        save_checkpoint(tmp_path / "model.pt", {"G": tiny.generator()})
    save_checkpoint(tmp_path / "d.safetensors", {"D": Discriminator(DiscriminatorConfig(resolution=16, channel_max=4))})
    with pytest.raises(PanoHeadError, match="holds no generator, only D"):
        load_checkpoint(tmp_path / "d.safetensors").generator()


def test_configurations_survive_json() -> None:
    config = replace(tiny.CONFIG, rendering=RenderConfig(ray_start="auto", ray_end="auto", cull_clouds=0.5))
    assert from_plain(GeneratorConfig, json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z_dim": "many"}, "z_dim: expected int, got str"),
        ({"interpolation": "cubic"}, "interpolation: invalid enum value 'cubic', not one of 'trilinear'"),
        ({"plane_axes": [[0, 1, 2]]}, "plane_axes: expected array of length 3"),
        ({"rendering": {"depth_sample": 3}}, "no setting 'rendering.depth_sample'"),
    ],
)
def test_configurations_are_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_plain(GeneratorConfig, {**asdict(tiny.CONFIG), **change})


@pytest.mark.parametrize(
    ("key", "value"), [("kimg", "9.5"), ("notes", '{"about": "another"}'), ("panohead", "3"), ("metadata_sha256", "0")]
)
def test_edited_metadata_is_noticed(file: Path, tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "edited.safetensors"
    with safe_open(file, framework="pt") as opened:
        metadata = dict(opened.metadata())
    assert metadata["panohead"] == "2"
    save_file(load_file(file), path, metadata={**metadata, key: value})
    with pytest.raises(PanoHeadError, match=r"edited\.safetensors (is damaged|was written by a newer)"):
        load_checkpoint(path)
    without = {name: entry for name, entry in metadata.items() if name != "metadata_sha256"}
    save_file(load_file(file), path, metadata=without)
    with pytest.raises(PanoHeadError, match="its metadata has another hash"):
        load_checkpoint(path)


def test_checkpoints_of_version_1_open_without_a_hash_of_their_metadata(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    with safe_open(file, framework="pt") as opened:
        metadata = dict(opened.metadata())
    del metadata["metadata_sha256"]
    save_file(load_file(file), path, metadata={**metadata, "panohead": "1"})
    assert load_checkpoint(path).kimg == 12.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path, generator = tmp_path / "ruined.safetensors", tiny.generator()
    generator.decoder.output.bias[1] = value
    save_checkpoint(path, {"G_ema": generator})
    with pytest.raises(PanoHeadError, match=r"ruined\.safetensors holds numbers that are not finite in G_ema\.decoder"):
        load_checkpoint(path)


@pytest.mark.parametrize("notes", ["[" * 100_000, "[]", "{", '{"a": NaN}', '{"a": ' + "9" * 400 + "}"])
def test_hostile_notes_are_refused(file: Path, tmp_path: Path, notes: str) -> None:
    path = tmp_path / "hostile.safetensors"
    with safe_open(file, framework="pt") as opened:
        metadata = dict(opened.metadata()) | {"notes": notes}
    del metadata["metadata_sha256"]
    save_file(load_file(file), path, metadata=sealed(metadata))
    with pytest.raises(PanoHeadError, match=r"hostile\.safetensors, notes is not of the form"):
        load_checkpoint(path)


def test_notes_that_are_no_json_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tmp_path / "model.safetensors", {"G": tiny.generator()}, notes={"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_be_read_is_not_copied_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "safe_open", closed)
    with pytest.raises(PanoHeadError, match=r"model\.safetensors .*\(Permission denied\); check its permissions"):
        load_checkpoint(file)


def test_addresses_folders_and_quoted_homes_are_named(tmp_path: Path) -> None:
    for given, remedy in (
        ("https://example.org/head.safetensors", "it is an address: download the file"),
        ("~/head.safetensors", "a quoted ~ is not your home folder"),
        ("Demo", "a bundled name such as 'demo'"),
    ):
        with pytest.raises(PanoHeadError, match=remedy):
            load_checkpoint(Path(given))
    (tmp_path / "snapshots").mkdir()
    with pytest.raises(PanoHeadError, match=r"is a folder; give a \.safetensors file"):
        load_checkpoint(tmp_path)
    for name in ("kimg-1", "kimg-2"):
        (tmp_path / "snapshots" / f"{name}.safetensors").touch()
    with pytest.raises(PanoHeadError, match=r"is a folder; give .*kimg-2\.safetensors"):
        load_checkpoint(tmp_path)
