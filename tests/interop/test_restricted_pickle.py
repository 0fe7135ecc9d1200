"""The reader of official pickles: exact on what the official writer makes, and refusing all else without running it."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import random
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from interop.hostile import (
    Persistent,
    blob,
    call,
    checkpoint,
    finish,
    mapping,
    network,
    number,
    numbers,
    official_modules,
    official_pickle,
    scalar,
    several,
    stored,
    stream,
    tensor,
    text,
)
from interop.hostile_cases import (
    CANARY,
    PYTHON,
    TOUCH,
    Case,
    claim_cases,
    content_cases,
    dangerous_calls,
    executing_pickles,
    instruction_cases,
    tensor_cases,
)
from panohead.errors import PanoHeadError
from panohead.interop.restricted_pickle import OfficialModule, read_official_pickle, state_dict

CASES = dangerous_calls() + instruction_cases() + tensor_cases() + content_cases()
CLAIMS = claim_cases()
# Read in an interpreter of its own, where the shape checks of the tests do not slow each instruction twenty times.
READ_ALL = """
import json, pathlib, resource, time
from panohead.errors import PanoHeadError
from panohead.interop.restricted_pickle import read_official_pickle
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
results = {}
for path in sorted(pathlib.Path().glob("*.pkl")):
    start = time.process_time()
    try:
        message = repr(read_official_pickle(path).keys())
    except PanoHeadError as error:
        message = str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    results[path.stem] = {"message": message, "seconds": time.process_time() - start, "grown_kilobytes": grown}
print(json.dumps(results))
"""


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(data: bytes) -> dict[str, Any]:
    Path("model.pkl").write_bytes(data)
    return read_official_pickle("model.pkl")


def refuse(path: str | Path, says: str, **options: int) -> None:
    """Refused in one sentence with the file's name, within two seconds of computing, with no harm done."""
    start = time.process_time()
    with pytest.raises(PanoHeadError) as caught:
        read_official_pickle(path, **options)
    message = str(caught.value)
    assert time.process_time() - start < 2.0
    assert says in message
    assert Path(path).name in message
    assert message.isprintable()
    assert len(message) < 400 + len(str(path))
    assert message.endswith(".")
    assert not Path(CANARY).exists()


# Forged files.


@pytest.mark.parametrize("data", executing_pickles())
def test_the_forged_files_do_harm_under_an_ordinary_unpickler(data: bytes) -> None:
    result = pickle.loads(data)
    del result
    assert Path(CANARY).exists()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.encode("unicode_escape").decode())
def test_forged_file_is_refused(case: Case) -> None:
    Path("model.pkl").write_bytes(case.data)
    refuse("model.pkl", case.says)


def test_refusal_names_the_global_that_was_asked_for() -> None:
    Path("model.pkl").write_bytes(checkpoint(value=call("os", "system", text(TOUCH))))
    sentence = "model.pkl asks for os.system, which an official checkpoint never needs; refusing to read it."
    with pytest.raises(PanoHeadError, match=f"^{sentence}$"):
        read_official_pickle("model.pkl")


def test_source_text_inside_is_ignored() -> None:
    hostile = f"import os\nos.system({TOUCH!r})\n{PYTHON}\n"
    content = read(finish(mapping(G=network(source=hostile, a=number(1)))))
    assert content["G"].state == {"a": 1}
    assert not Path(CANARY).exists()


def test_reading_imports_nothing_the_file_names() -> None:
    read(checkpoint(value=tensor()))
    assert not {"dnnlib", "dnnlib.util", "torch_utils", "torch_utils.persistence"} & set(sys.modules)


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    pytest.importorskip("resource")
    folder = tmp_path_factory.mktemp("claims")
    for index, case in enumerate(CLAIMS):
        (folder / f"{index:03}.pkl").write_bytes(case.data)
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    results: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return results


@pytest.mark.parametrize("index", range(len(CLAIMS)), ids=[case.name for case in CLAIMS])
def test_false_claim_is_refused_quickly_and_in_little_memory(index: int, claims: dict[str, dict[str, Any]]) -> None:
    result = claims[f"{index:03}"]
    assert CLAIMS[index].says in result["message"]
    assert result["message"].startswith(f"{index:03}.pkl ")
    assert result["message"].isprintable()
    assert result["seconds"] < 2.0
    assert result["grown_kilobytes"] < 300_000


# Files of other kinds.


def torch_zip(path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def torch_legacy(path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.pkl", bytes(30 * 2**20))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(pickle.PROTO + b"\x04" + pickle.BINBYTES8 + struct.pack("<Q", 3 * 10**9))
        file.truncate(3 * 10**9 + 100)


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.touch(), "is empty"),
    "directory": (lambda path: path.mkdir(), "is a directory"),
    "text": (lambda path: path.write_text("hello\n" * 100), "is not a pickle"),
    "zeros": (lambda path: path.write_bytes(bytes(5000)), "is not a pickle"),
    "web page": (lambda path: path.write_text("\n<!DOCTYPE html><html>"), "web page"),
    "git-lfs pointer": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)), "is not a pickle"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(checkpoint())), "gzip"),
    "bzip2": (lambda path: path.write_bytes(bz2.compress(checkpoint())), "bzip2"),
    "xz": (lambda path: path.write_bytes(lzma.compress(checkpoint())), "xz"),
    "zip bomb": (zip_bomb, "is a zip archive"),
    "torch.save": (torch_zip, "looks like a torch.save file"),
    "old torch.save": (torch_legacy, "looks like a torch.save file"),
    "safetensors": (lambda path: save_file({"weight": torch.zeros(3)}, path), "is a safetensors file"),
    "zeros with a long claim": (sparse, "is not a pickle instruction"),
    "pipe": (os.mkfifo, "is not a regular file"),
    "link to itself": (lambda path: path.symlink_to(path), "cannot be read"),
    "link to nothing": (lambda path: path.symlink_to("nowhere"), "does not exist"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_file_of_another_kind_is_refused(kind: str) -> None:
    make, says = FOREIGN[kind]
    path = Path("model.pkl")
    make(path)
    refuse(path, says)


def test_missing_file_and_odd_names_are_refused() -> None:
    refuse("missing.pkl", "does not exist")
    refuse("x" * 5000, "cannot be read")
    for odd in ("two\nlines.pkl", "nul\0.pkl"):
        with pytest.raises(PanoHeadError) as caught:
            read_official_pickle(odd)
        assert str(caught.value).isprintable()
        assert ".pkl" in str(caught.value)


def test_size_limit() -> None:
    data = checkpoint()
    Path("model.pkl").write_bytes(data)
    assert "G" in read_official_pickle("model.pkl", max_bytes=len(data))
    refuse("model.pkl", "no official checkpoint is so large", max_bytes=len(data) - 1)


# What the official writer makes.


def written(protocol: int = 4, framed: bool = True) -> tuple[bytes, dict[str, torch.Tensor]]:
    """An official-format file, and the state dict its network G must give."""
    draw = torch.Generator().manual_seed(0)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    weight = values(4, 6)
    decoder = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Softplus())
    fc = Persistent("FullyConnectedLayer", parameters={"weight": torch.nn.Parameter(weight.t()), "bias": None})
    with official_modules() as official:
        # Sequential and Softplus pickle by reference; the layer inside is replaced by one that is persistent.
        decoder._modules["0"] = fc  # type: ignore[assignment]
        buffers = {
            "half": values(3).half(),
            "brain": values(5).bfloat16(),
            "flags": torch.tensor([True, False]),
            "steps": torch.tensor(7),
            "nothing": torch.zeros(0, 4),
            "cut": values(10, 10)[2:9:3, 1::2],
            "scratch": values(2),
        }
        g = Persistent(
            "TriPlaneGenerator",
            source="raise SystemExit",
            parameters={"const": torch.nn.Parameter(values(2, 3, 3))},
            buffers=buffers,
            transient={"scratch"},
            modules={"decoder": decoder, "ray_sampler": official.RaySampler(), "absent": None},
            weight_gain=np.float64(0.125),
            count=np.int32(-3),
            torgb=None,
            rendering_kwargs={"avg_camera_pivot": [0, 0, 0.2], "reg": "l1", 4: 5},
            _init_args=(),
            _init_kwargs=official.EasyDict(z_dim=16, mapping_kwargs=official.EasyDict(num_layers=2), clamp=None),
        )
        content = {"training_set_kwargs": official.EasyDict(path="x"), "G": g, "D": None, "augment_pipe": None}
        data = official_pickle(content, protocol, framed)
    expected = {"const": g.meta["state"]["_parameters"]["const"].detach()}
    expected |= {name: buffer for name, buffer in buffers.items() if name != "scratch"}
    return data, expected | {"decoder.0.weight": weight.t()}


@pytest.mark.parametrize("protocol", [4, 5])
def test_file_of_the_official_writer_is_read_exactly(protocol: int) -> None:
    data, expected = written(protocol)
    content = read(data)
    found = state_dict(content["G"])
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)
        assert found[name].dtype == value.dtype
        assert found[name].numel() == 0 or found[name].stride() == value.stride()
        assert type(found[name]) is torch.Tensor
        assert not found[name].requires_grad
        assert found[name].device.type == "cpu"


def test_everything_but_tensors_is_plain_data() -> None:
    content = read(written()[0])
    g = content["G"]
    assert repr(g) == "OfficialModule('TriPlaneGenerator', 12 attributes)"
    assert g.state["weight_gain"] == 0.125
    assert type(g.state["weight_gain"]) is float
    assert g.state["count"] == -3
    assert g.state["_init_kwargs"] == {"z_dim": 16, "mapping_kwargs": {"num_layers": 2}, "clamp": None}
    assert type(g.state["_init_kwargs"]["mapping_kwargs"]) is dict
    assert g.state["rendering_kwargs"] == {"avg_camera_pivot": [0, 0, 0.2], "reg": "l1", 4: 5}
    children = {name: child and child.class_name for name, child in g.state["_modules"].items()}
    assert children == {"decoder": "Sequential", "ray_sampler": "RaySampler", "absent": None}
    assert g.state["_modules"]["decoder"].state["_modules"]["1"].class_name == "Softplus"
    assert content["training_set_kwargs"] == {"path": "x"}
    assert content["D"] is None


RAW = {
    "FloatStorage": np.array([1.5, -2, 3e38, 0], "<f4"),
    "HalfStorage": np.array([1.5, -2, 65504, 0], "<f2"),
    "DoubleStorage": np.array([1.5, -2, 1e300, 0], "<f8"),
    "LongStorage": np.array([1, -2, 2**62, 0], "<i8"),
    "IntStorage": np.array([1, -2, 2**30, 0], "<i4"),
    "ShortStorage": np.array([1, -2, 2**14, 0], "<i2"),
    "CharStorage": np.array([1, -2, 127, 0], "i1"),
    "ByteStorage": np.array([1, 2, 255, 0], "u1"),
    "BoolStorage": np.array([1, 1, 0, 0], "?"),
}


@pytest.mark.parametrize("location", ["cpu", "cuda:0", "cuda:7", "mps", "nonsense"])
@pytest.mark.parametrize("kind", RAW)
def test_storage_of_any_kind_and_place_becomes_a_cpu_tensor(kind: str, location: str) -> None:
    data = stored(stream(RAW[kind].tobytes(), 4, kind=kind, location=location))
    value = read(data)["G"].state["value"]
    assert value.device.type == "cpu"
    np.testing.assert_array_equal(value.numpy(), RAW[kind])
    assert value.numpy().dtype == RAW[kind].dtype


@pytest.mark.parametrize("location", ["cpu", "cuda:0"])
def test_hand_made_stream_is_what_torch_reads(location: str) -> None:
    raw = RAW["FloatStorage"]
    loaded = torch.load(io.BytesIO(stream(raw.tobytes(), 4, location=location)), map_location="cpu", weights_only=True)
    assert bytes(loaded._untyped_storage.tolist()) == raw.tobytes()


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (2, 3), (3, 1)), (0, (3, 2), (1, 3)), (5, (2, 2), (2, 7)), (11, (), ()), (0, (3, 3), (1, 1)), (2, (4,), (0,))],
)
def test_views_match_numpy(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    raw = np.arange(15, dtype="<f4")
    storage = call("torch.storage", "_load_from_bytes", blob(stream(raw.tobytes(), 15)))
    value = tensor(storage, number(offset), numbers(*size), numbers(*stride))
    expected = np.lib.stride_tricks.as_strided(raw[offset:], size, [4 * step for step in stride])
    np.testing.assert_array_equal(read(checkpoint(value=value))["G"].state["value"].numpy(), expected)


def test_tensors_of_one_storage_share_memory() -> None:
    storage = call("torch.storage", "_load_from_bytes", blob(stream(bytes(64), 16))) + pickle.MEMOIZE
    again = pickle.BINGET + b"\x00"
    value = several(tensor(storage, size=numbers(8)), tensor(again, number(8), size=numbers(8)))
    first, second = read(checkpoint(value=value))["G"].state["value"]
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
    assert second.storage_offset() == 8


def test_bytes_referred_to_twice_are_one_storage() -> None:
    data = blob(stream(bytes(16), 4)) + pickle.MEMOIZE
    load = "torch.storage", "_load_from_bytes"
    value = several(tensor(call(*load, data)), tensor(call(*load, pickle.BINGET + b"\x00")))
    first, second = read(checkpoint(value=value))["G"].state["value"]
    assert first.data_ptr() == second.data_ptr()


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_numpy_numbers(module: str, dtype: str, order: str) -> None:
    number_ = np.array(1, order + dtype) if dtype == "b1" else np.array(113, order + dtype)
    state = several(number(3), text(order), *[pickle.NONE] * 3, number(-1), number(-1), number(0))
    data = checkpoint(value=scalar(dtype, number_.tobytes(), state))
    old, new = text("numpy.core.multiarray"), text(module)
    assert read(data.replace(old, new))["G"].state["value"] == number_.item()


# Damage.


@pytest.mark.parametrize("framed", [True, False])
def test_every_truncation_is_refused(framed: bool) -> None:
    data, _ = written(framed=framed)
    for length in [*range(12), *range(12, len(data), 61), len(data) - 1]:
        Path("model.pkl").write_bytes(data[:length])
        refuse("model.pkl", "")


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_refused_or_read_but_never_worse(seed: int) -> None:
    data, _ = written(framed=seed % 2 == 0)
    draw = random.Random(seed)
    refused = read_whole = 0
    for _ in range(50):
        damaged = bytearray(data)
        for _ in range(draw.choice([1, 1, 1, 2, 10])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            content = read(bytes(damaged))
        except PanoHeadError as error:
            refused += str(error).isprintable() and str(error).startswith("model.pkl ")
        else:
            read_whole += 1
            for module in content.values():
                if isinstance(module, OfficialModule):
                    state_dict(module)
    assert refused + read_whole == 50
    assert refused > 10
    assert not Path(CANARY).exists()
