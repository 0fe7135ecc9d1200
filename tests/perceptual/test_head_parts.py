"""The network that knows heads: its answers' meaning, folding, and its file."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from panohead.errors import PanoHeadError
from panohead.perceptual.head_parts import FEATURES, SIDE, HeadParts, HeadPartsConfig, _expected_place
from panohead.perceptual.head_parts_file import load_head_parts, save_head_parts
from panohead.system.sealed_metadata import sealed

SMALL = HeadPartsConfig(
    parts=("background", "skin", "hair"),
    landmarks=("left", "right"),
    numbers=("age",),
    choices=("hat",),
    channels=(4, 6, 8, 10),
    decoded=(8, 6, 5),
    hidden=7,
)


@pytest.fixture(scope="module")
def trained() -> HeadParts:
    """A small network whose normalization has seen images."""
    torch.manual_seed(0)
    network = HeadParts(SMALL)
    for _ in range(3):
        network(torch.rand(4, 3, SIDE, SIDE) * 2 - 1)
    network.number_mean.fill_(40.0)
    network.number_deviation.fill_(20.0)
    return network.eval()


def test_answers_have_the_sizes_of_the_vocabulary_for_images_of_any_size(trained: HeadParts) -> None:
    with torch.no_grad():
        for side in (64, 128, 200):
            reading = trained(torch.zeros(2, 3, side, side))
            assert reading.part_logits.shape == (2, 3, SIDE, SIDE)
            assert reading.parts.shape == (2, SIDE, SIDE)
            assert reading.landmarks.shape == (2, 2, 2)
            assert reading.visible.shape == (2, 2)
            assert reading.numbers.shape == reading.choices.shape == (2, 1)
        strides = [SIDE // trained.features(torch.zeros(1, 3, SIDE, SIDE))[name].shape[-1] for name in FEATURES]
    assert strides == [2, 4, 8, 16, 4, 2]


def test_a_landmark_is_the_middle_of_its_map() -> None:
    scores = torch.full((1, 2, 64, 64), -30.0)
    scores[0, 0, 10, 50] = 30
    scores[0, 1, 20, 4:6] = 30
    places = _expected_place(scores)[0]
    torch.testing.assert_close(places, torch.tensor([[101.0, 21.0], [10.0, 41.0]]))


def test_folding_changes_no_answer(trained: HeadParts) -> None:
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        before = trained(images)
        folded = copy.deepcopy(trained).fold()
        after = folded(images)
    assert not any("norm" in name for name in folded.state_dict())
    torch.testing.assert_close(after.part_logits, before.part_logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after.numbers, before.numbers, atol=1e-2, rtol=1e-4)


def test_the_file_keeps_the_answers_up_to_a_byte_a_weight(trained: HeadParts, tmp_path: Path) -> None:
    folded = copy.deepcopy(trained).fold()
    save_head_parts(folded, tmp_path / "a.safetensors", {"steps": 3})
    read = load_head_parts(tmp_path / "a.safetensors")
    assert read.config == SMALL
    assert not read.training
    assert not any(p.requires_grad for p in read.parameters())
    images = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    with torch.no_grad():
        a, b = folded(images), read(images)
    assert float((a.part_logits - b.part_logits).abs().max()) < 0.05 * float(a.part_logits.abs().max()) + 0.02
    save_head_parts(read, tmp_path / "b.safetensors", {"steps": 3})
    with torch.no_grad():
        again = load_head_parts(tmp_path / "b.safetensors")(images)
    torch.testing.assert_close(again.part_logits, b.part_logits, atol=2e-3, rtol=2e-3)


def test_a_network_with_normalization_is_not_stored(trained: HeadParts, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fold"):
        save_head_parts(trained, tmp_path / "a.safetensors")


def _rewritten(path: Path, **changes: str) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = {k: v for k, v in file.metadata().items() if k != "metadata_sha256"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata=sealed(metadata | changes))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("missing", "cannot read"),
        ("noise", "cannot read"),
        ("foreign", "no network of head parts"),
        ("newer", "newer version"),
        ("weights", "hash does not match"),
        ("sizes", "damaged"),
        ("huge", "damaged"),
    ],
)
def test_other_files_are_refused_in_a_sentence_with_their_name(
    trained: HeadParts, tmp_path: Path, damage: str, words: str
) -> None:
    path = tmp_path / "network.safetensors"
    save_head_parts(copy.deepcopy(trained).fold(), path)
    config = {"parts": ["a"], "landmarks": ["b"], "numbers": [], "choices": [], "channels": [4, 4, 4, 4]}
    config |= {"decoded": [4, 4, 4], "hidden": 4}
    match damage:
        case "missing":
            path.unlink()
        case "noise":
            path.write_bytes(b"\x00" * 100)
        case "foreign":
            save_file({"x": torch.zeros(1)}, path)
        case "newer":
            _rewritten(path, panohead_head_parts="2")
        case "weights":
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata()
            tensors["hidden.bias"] = tensors["hidden.bias"] + 1
            save_file(tensors, path, metadata=metadata)
        case "sizes":
            _rewritten(path, config=json.dumps(config))
        case "huge":
            _rewritten(path, config=json.dumps(config | {"hidden": 10**9}))
    with pytest.raises(PanoHeadError, match=words) as error:
        load_head_parts(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
