"""The one conversion between 8-bit pixels and the networks' ranges."""

import torch

from panohead.ops.pixels import image_from_uint8, image_to_uint8, mask_from_uint8

BYTES = torch.arange(256, dtype=torch.uint8)


def test_every_byte_survives_the_round_trip() -> None:
    image = image_from_uint8(BYTES)
    assert (float(image[0]), float(image[255])) == (-1.0, 1.0)
    assert torch.equal(image_to_uint8(image), BYTES)


def test_bytes_are_truncated_and_clamped() -> None:
    values = [-2.0, -1.0, -0.5, 0.0, 0.003, 0.5, 1.0, 3.0]
    expected = [int(min(max(v * 127.5 + 128, 0), 255)) for v in values]
    assert image_to_uint8(torch.tensor(values)).tolist() == expected
    assert image_to_uint8(torch.tensor(values, dtype=torch.float16, requires_grad=True)).dtype == torch.uint8


def test_masks_are_shares_of_255() -> None:
    mask = mask_from_uint8(BYTES)
    assert torch.equal(mask, torch.tensor([k / 255 for k in range(256)]))
