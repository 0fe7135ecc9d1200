"""Image losses against their formulas."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from panohead.errors import PanoHeadError
from panohead.inversion.losses import FeatureLoss, PyramidLoss, psnr_db, pyramid, ssim
from panohead.perceptual.lpips_vgg import LpipsVgg, load_lpips_vgg


def image(seed: int, size: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_levels_of_the_pyramid_sum_to_the_image() -> None:
    levels = pyramid(image(0))
    total = levels[-1]
    for detail in reversed(levels[:-1]):
        total = detail + F.interpolate(total, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(total, image(0))
    assert [level.shape[-1] for level in levels] == [64, 32, 16, 8]


def test_pyramid_loss_is_zero_at_the_target_and_grows_with_shift_and_noise() -> None:
    smooth = F.interpolate(image(1, 8), (64, 64), mode="bicubic").clamp(-1, 1)
    distance = PyramidLoss().toward(smooth)
    assert abs(float(distance(smooth))) < 1e-6
    shifts = [float(distance(smooth.roll(n, dims=-1))) for n in (1, 2, 4)]
    assert 0.01 < shifts[0] < shifts[1] < shifts[2]
    assert float(distance(smooth + 0.1 * image(2))) > 0.01


def test_ssim_of_one_window_by_hand() -> None:
    a, b = image(3, 7).double(), image(4, 7).double()
    expected = []
    for x, y in zip(a[0], b[0], strict=True):
        covariance = (x * y).mean() - x.mean() * y.mean()
        top = (2 * x.mean() * y.mean() + 0.02**2) * (2 * covariance + 0.06**2)
        bottom = (x.mean() ** 2 + y.mean() ** 2 + 0.02**2) * (x.var(correction=0) + y.var(correction=0) + 0.06**2)
        expected.append(top / bottom)
    torch.testing.assert_close(ssim(a, b), torch.stack(expected).mean())
    assert float(ssim(a, a)) == pytest.approx(1)
    assert psnr_db(torch.zeros(4), torch.full((4,), 0.2)) == pytest.approx(20)


def test_feature_loss_sees_at_most_256_pixels_of_0_to_255() -> None:
    seen = []

    def features(x: torch.Tensor) -> torch.Tensor:
        seen.append((x.shape[-1], float(x.min()) >= 0, float(x.max()) > 150))
        return x.flatten(1)

    FeatureLoss(features).toward(image(5, 300))
    assert seen == [(256, True, True)]


def test_lpips_distance_is_the_published_formula(tmp_path: Path) -> None:
    network = LpipsVgg()
    state, index = {}, 0
    for i, stage in enumerate(network.stages):
        for layer in stage:
            state[f"features.{index}.weight"] = torch.randn(layer.weight.shape) / layer.weight[0].numel() ** 0.5
            state[f"features.{index}.bias"] = 0.1 * torch.randn(layer.bias.shape)
            index += 2
        index += 1
        state[f"lin{i}.model.1.weight"] = torch.rand(1, layer.weight.shape[0], 1, 1)
    torch.save(state, tmp_path / "lpips.pth")
    network = load_lpips_vgg(tmp_path / "lpips.pth")
    a, b = ((image(seed) + 1) * 127.5 for seed in (8, 9))

    def activations(x: torch.Tensor) -> list[torch.Tensor]:
        mean, deviation = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        x = (x / 127.5 - 1 - mean[:, None, None]) / deviation[:, None, None]
        found = []
        for number in range(30):
            if f"features.{number}.weight" in state:
                x = F.relu(F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1))
                if number in (2, 7, 14, 21, 28):
                    found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
            elif number in (4, 9, 16, 23):
                x = F.max_pool2d(x, 2)
        return found

    expected = sum(
        ((p - q).square() * state[f"lin{i}.model.1.weight"]).sum(1).mean()
        for i, (p, q) in enumerate(zip(activations(a), activations(b), strict=True))
    )
    found = (network(a) - network(b)).square().sum()
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-3, atol=1e-6)
    with pytest.raises(PanoHeadError, match="there are no LPIPS weights"):
        load_lpips_vgg(tmp_path / "none.pth")
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(PanoHeadError, match="does not hold VGG16"):
        load_lpips_vgg(tmp_path / "empty.pth")
