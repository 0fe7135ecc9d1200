"""The photo encoder's laws, and checkpoints with and without one."""

from pathlib import Path

import pytest
import torch

import tiny
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.geometry import Camera
from panohead.models.photo_encoder import PhotoEncoder, PhotoEncoderConfig
from panohead.system.bounds import OutOfRange

SMALL = PhotoEncoderConfig(w_dim=16, attributes=3, resolution=32, channels=(8, 16), blocks=(1, 1), hidden=16)


@pytest.fixture
def encoder() -> PhotoEncoder:
    torch.manual_seed(0)
    encoder = PhotoEncoder(SMALL).eval().requires_grad_(False)
    encoder.mean.normal_()
    encoder.directions.copy_(torch.linalg.qr(torch.randn(16, 16))[0])
    encoder.deviation.uniform_(0.1, 3)
    return encoder


def label(count: int) -> torch.Tensor:
    return Camera.orbit(10).expand(count).to_label()


def test_an_untrained_encoder_answers_the_mean_head_without_confidence(encoder: PhotoEncoder) -> None:
    found = encoder(torch.randn(2, 4, 32, 32), label(2))
    assert torch.equal(found.w, encoder.mean.expand(2, -1))
    assert not found.offset.any()
    assert not found.confidence.any()
    assert found.attributes is not None
    assert found.attributes.shape == (2, 3)


def test_whitened_coordinates_are_those_of_w(encoder: PhotoEncoder) -> None:
    w = torch.randn(5, 16)
    torch.testing.assert_close(encoder.to_w(encoder.from_w(w)), w, atol=1e-4, rtol=1e-4)
    assert float(encoder.axis_weights.mean()) == pytest.approx(1)


def test_another_unit_changes_no_w_and_counts_errors_by_it(encoder: PhotoEncoder) -> None:
    torch.nn.init.normal_(encoder.output.weight, std=0.2)
    inputs, w = torch.randn(2, 4, 32, 32), torch.randn(5, 16)
    before, whitened = encoder(inputs, label(2)), encoder.from_w(w)
    encoder.change_unit(2.0)
    after = encoder(inputs, label(2))
    torch.testing.assert_close(after.w, before.w, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(encoder.from_w(w), whitened / 2, atol=1e-5, rtol=1e-4)
    # A squared error is a quarter in the new unit, in the coordinates as in what the encoder expects.
    torch.testing.assert_close(after.log_error.exp(), before.log_error.exp() / 4)
    assert torch.equal(after.offset, before.offset)


def test_what_lies_behind_the_mask_or_beyond_the_photo_does_not_matter(encoder: PhotoEncoder) -> None:
    image, mask = torch.rand(1, 3, 32, 32) * 2 - 1, torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    other = torch.where(mask > 0, image, torch.rand_like(image))
    assert torch.equal(encoder.inputs(image, mask), encoder.inputs(other, mask))
    assert torch.equal(encoder.inputs(image, None, mask), encoder.inputs(other, None, mask))
    assert not torch.equal(encoder.inputs(image, None), encoder.inputs(other, None))
    assert torch.equal(encoder.inputs(image, None)[:, 3:], torch.ones(1, 1, 32, 32))


@pytest.mark.parametrize("side", [16, 64, 33])
def test_photos_of_any_size(encoder: PhotoEncoder, side: int) -> None:
    even = torch.full((1, 3, side, side), 0.25)
    torch.testing.assert_close(encoder.inputs(even, None), encoder.inputs(torch.full((1, 3, 32, 32), 0.25), None))


@pytest.mark.parametrize(
    ("sizes", "sentence"), [({"resolution": 36}, "multiple of 8"), ({"channels": (8,)}, "give as many")]
)
def test_sizes_that_do_not_fit_together_are_refused(sizes: dict[str, object], sentence: str) -> None:
    with pytest.raises(OutOfRange, match=sentence):
        PhotoEncoderConfig(**{"w_dim": 16, "resolution": 32, "channels": (8, 8), "blocks": (1, 1), **sizes})


def test_the_default_has_the_promised_size() -> None:
    count = sum(p.numel() for p in PhotoEncoder(PhotoEncoderConfig(w_dim=512, attributes=192)).parameters())
    assert 2e6 < count < 4e6


def test_a_checkpoint_with_and_without_encoder(encoder: PhotoEncoder, tmp_path: Path) -> None:
    generator = tiny.generator()
    save_checkpoint(tmp_path / "without.safetensors", {"G_ema": generator})
    save_checkpoint(tmp_path / "with.safetensors", {"G_ema": generator, "encoder": encoder})
    assert load_checkpoint(tmp_path / "without.safetensors").photo_encoder() is None
    again = load_checkpoint(tmp_path / "with.safetensors").photo_encoder()
    assert again is not None
    assert again.config == SMALL
    torch.nn.init.normal_(encoder.output.weight)
    assert not torch.equal(again.output.weight, encoder.output.weight)  # a copy, not the same memory
    assert torch.equal(again.directions, encoder.directions)
