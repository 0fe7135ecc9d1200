"""Face embeddings: what is missing is said in one sentence, the others get the image they expect."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from panohead.errors import PanoHeadError
from panohead.perceptual.face_identity import DlibEmbedder, OnnxEmbedder


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PanoHeadError, match=r"panohead\[identity\]"):
        DlibEmbedder()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PanoHeadError, match=r"panohead\[onnx\]"):
        OnnxEmbedder(tmp_path / "arcface.onnx")


class Session:
    """A stand-in for an ONNX network: the mean colors of its input."""

    def __init__(self, path: str, providers: list[str]) -> None:
        if not Path(path).read_bytes():
            raise ValueError("empty model")

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="image")]

    def run(self, outputs: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert feed["image"].shape == (1, 3, 112, 112)
        return [feed["image"].mean(axis=(2, 3))]


class FixedConfidence:
    def __init__(self, sure: float) -> None:
        self.sure = sure

    def confidence(self, image: torch.Tensor) -> float:
        return self.sure


def test_a_network_gets_the_face_of_the_crop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    model = tmp_path / "arcface.onnx"
    with pytest.raises(PanoHeadError, match="--identity-model"):
        OnnxEmbedder(model)
    model.write_bytes(b"")
    with pytest.raises(PanoHeadError, match="not a readable ONNX"):
        OnnxEmbedder(model)
    model.write_bytes(b"network")
    image = -torch.ones(3, 100, 100)
    image[0, 25:85, 20:80] = 1.0
    found = OnnxEmbedder(model).embed(image)
    assert found is not None
    assert found[0] > 0.8, "the face fills the cut"
    assert found[1] == pytest.approx(-1.0)
    assert OnnxEmbedder(model, FixedConfidence(0.9)).embed(image) is not None
    assert OnnxEmbedder(model, FixedConfidence(0.1)).embed(image) is None
