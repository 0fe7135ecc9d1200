"""Inception: TensorFlow's resizing, names of the weight file, refusals; torch-fidelity's features where it is there."""

from pathlib import Path

import pytest
import torch

from panohead.errors import PanoHeadError
from panohead.perceptual.inception import Inception, _resize_as_tensorflow, load_inception


def test_resizing_has_no_half_pixel_centers() -> None:
    """TensorFlow 1: result k is the input at k * scale, the last input pixel repeated."""
    ramp = torch.arange(4.0)[None, None, None].expand(1, 3, 4, 4)
    found = _resize_as_tensorflow(ramp, 8)[0, 0, 0]
    assert found.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]


def test_names_and_sizes_are_those_of_the_weight_file() -> None:
    with torch.device("meta"):
        state = Inception().state_dict()
    assert len(state) == 94 * 6 + 2, "94 convolutions with batch norm, and the classifier"
    assert state["Mixed_5b.branch5x5_2.conv.weight"].shape == (64, 48, 5, 5)
    assert state["Mixed_6e.branch7x7dbl_5.conv.weight"].shape == (192, 192, 1, 7)
    assert state["Mixed_7c.branch3x3dbl_3b.bn.running_var"].shape == (384,)
    assert state["fc.weight"].shape == (1008, 2048)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match="--inception-weights"):
        load_inception(tmp_path / "none.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(PanoHeadError, match="does not hold"):
        load_inception(tmp_path / "other.pth")


def test_a_cut_or_incomplete_file_is_one_sentence(tmp_path: Path) -> None:
    whole, cut, part = (tmp_path / name for name in ("whole.pth", "cut.pth", "part.pth"))
    torch.save({"a": torch.zeros(1000)}, whole)
    cut.write_bytes(whole.read_bytes()[:700])
    with torch.device("meta"):
        shape = Inception().state_dict()["fc.weight"].shape
    torch.save({"fc.weight": torch.zeros(shape)}, part)
    for path in (cut, part):
        with pytest.raises(PanoHeadError, match=path.name) as caught:
            load_inception(path)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_a_file_in_torch_fidelitys_layout_is_opened(tmp_path: Path) -> None:
    """Random weights under its names; the features are those of the network that was saved."""
    torch.manual_seed(0)
    network = Inception().eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        features, logits = load_inception(tmp_path / "weights.pth")(images)
        expected = network(images)
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    torch.testing.assert_close((features, logits), expected)


@pytest.mark.slow
def test_features_are_torch_fidelitys(tmp_path: Path) -> None:
    """With random weights; skipped where torch-fidelity (which needs torchvision) cannot be imported."""
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", exc_type=ImportError)
    torch.manual_seed(0)
    network = Inception().eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    reference = theirs.FeatureExtractorInceptionV3("x", ["2048", "logits_unbiased"], str(tmp_path / "weights.pth"))
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        for ours, expected in zip(load_inception(tmp_path / "weights.pth")(images), reference(images), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
