"""Cut-outs: masks that were rendered with fewer pixels than the image follow its edges."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from panohead.media.cutout import foreground_colors, refined_alpha


def disk(side: int, *, sharp: float = 1.0) -> torch.Tensor:
    """Coverage of a disk, sampled at pixel centers, with an edge one pixel wide."""
    line = (torch.arange(side) + 0.5) / side - 0.5
    radius = (line[:, None] ** 2 + line[None] ** 2).sqrt()
    return ((0.35 - radius) * side * sharp + 0.5).clamp(0, 1)[None]


def test_a_coarse_mask_follows_the_image() -> None:
    """A dark disk on white: the enlarged mask of half the pixels comes three times as near to the true coverage."""
    true, coarse = disk(128), (disk(64) > 0.5).float()
    image = 1 - true * torch.tensor([1.2, 1.5, 1.7])[:, None, None]
    enlarged = F.interpolate(coarse[None], (128, 128), mode="bicubic", align_corners=False)[0].clamp(0, 1)
    before, after = ((x - true).abs().mean().item() for x in (enlarged, refined_alpha(enlarged, image, texel=2)))
    assert after < before / 3
    # Inside and outside stay what they are.
    refined = refined_alpha(enlarged, image, texel=2)
    assert float(refined[disk(128, sharp=0.1) == 1].min()) > 0.99
    assert float(refined[disk(128, sharp=0.1) == 0].max()) == 0


def test_without_an_edge_in_the_image_the_mask_is_only_smoothed() -> None:
    coarse = F.interpolate((disk(32) > 0.5).float()[None], (64, 64), mode="nearest")[0]
    refined = refined_alpha(coarse, torch.full((3, 64, 64), 0.3), texel=2)
    assert 0 <= refined.min() < refined.max() <= 1
    window = 2 * 3 + 1  # the mean of means
    expected = coarse[None]
    for _ in range(2):
        expected = F.avg_pool2d(F.pad(expected, (3,) * 4, mode="replicate"), window, stride=1)
    torch.testing.assert_close(refined, ((expected[0] - 0.05) / 0.9).clamp(0, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("texel", [0.5, 1.0])
def test_masks_of_the_image_s_own_size_stay(texel: float) -> None:
    alpha = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(refined_alpha(alpha, torch.zeros(3, 8, 8), texel=texel), alpha)


def test_colors_of_the_outline_lose_the_background() -> None:
    alpha = disk(64)
    head, background = torch.tensor([0.4, -0.2, -0.6]), torch.tensor([1.0, 1.0, 1.0])
    image = head[:, None, None] * alpha + background[:, None, None] * (1 - alpha)
    found = foreground_colors(image, alpha)
    seen = alpha[0] > 0
    np.testing.assert_allclose(found[:, seen].mean(1).numpy(), head.numpy(), atol=0.02)
    assert float((found[:, seen] - head[:, None]).abs().max()) < 0.25
