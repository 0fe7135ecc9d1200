"""Laws of the perceptual distance on heads of the demo model: of any network, and of the bundled one."""

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from panohead import Camera, load
from panohead.errors import PanoHeadError
from panohead.perceptual import PartsDistance, load_head_parts
from panohead.perceptual.head_parts import HeadParts
from panohead.perceptual.head_parts_file import bundled_file
from perceptual.test_head_parts import SMALL


@pytest.fixture(scope="module")
def fronts() -> Tensor:
    predictor = load("demo")
    return torch.stack([predictor.sample(seed).render(Camera.orbit(0)).image for seed in (1, 3)])


@pytest.fixture(scope="module")
def distance() -> PartsDistance:
    """The distance by an untrained network: most laws hold for any."""
    torch.manual_seed(5)
    network = HeadParts(dataclasses.replace(SMALL, channels=(12, 16, 24, 24), decoded=(16, 16, 12))).eval()
    return PartsDistance(network.requires_grad_(False))


def _blurred(images: Tensor, sigma: float) -> Tensor:
    at = torch.arange(-6, 7).float()
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    images = F.conv2d(F.pad(images, (6, 6, 6, 6), mode="replicate"), kernel, groups=3)
    return F.conv2d(images, kernel.mT, groups=3)


def test_zero_for_the_same_and_symmetric(fronts: Tensor, distance: PartsDistance) -> None:
    assert float(distance(fronts, fronts).abs().max()) == 0
    there, back = distance(fronts[:1], fronts[1:]), distance(fronts[1:], fronts[:1])
    torch.testing.assert_close(there, back)
    assert 0.01 < float(there) < 4


def test_grows_with_blur(fronts: Tensor, distance: PartsDistance) -> None:
    found = [distance(_blurred(fronts, sigma), fronts) for sigma in (0.5, 1.0, 2.0, 4.0)]
    for less, more in itertools.pairwise(found):
        assert (more > less).all()


def _covered(image: Tensor, center: Tensor, color: Tensor) -> Tensor:
    """Return an image with an ellipse of one color, 10 x 6 pixels, blended in softly."""
    y, x = torch.meshgrid(torch.arange(128) + 0.5, torch.arange(128) + 0.5, indexing="ij")
    share = torch.exp(-0.5 * (((x - center[0]) / 6) ** 2 + ((y - center[1]) / 4) ** 2) ** 2)
    return image + (color[:, None, None] - image) * share


@pytest.mark.skipif(not bundled_file().is_file(), reason="no network is bundled; tools/train_head_parts.py --bundle")
def test_a_removed_eye_counts_more_than_a_change_of_light_of_the_same_error(fronts: Tensor) -> None:
    network, distance = load_head_parts(), PartsDistance()
    names = network.config.landmarks
    with torch.no_grad():
        landmarks = network(fronts).landmarks
    for image, places in zip(fronts, landmarks, strict=True):
        eye = places[[names.index(f"eye_left{i}") for i in range(6)]].mean(0)
        cheek = (places[names.index("nose_base0")] + places[names.index("jaw3")]) / 2
        without = _covered(image, eye, image[:, int(cheek[1]), int(cheek[0])])
        error = (without - image).square().mean()
        y, x = torch.meshgrid(torch.arange(128) + 0.5, torch.arange(128) + 0.5, indexing="ij")
        light = torch.exp(-0.5 * ((x - cheek[0]) ** 2 + (y - cheek[1]) ** 2) / 14**2)
        darker = image - light * (error / light.square().mean()).sqrt()
        assert float((darker - image).square().mean()) == pytest.approx(float(error), rel=1e-3)
        assert float(distance(without[None], image[None])) > 2 * float(distance(darker[None], image[None]))


def test_gradients_agree_with_differences() -> None:
    torch.manual_seed(3)
    network = HeadParts(SMALL).double().eval()
    distance = PartsDistance(network.requires_grad_(False))
    image = (torch.rand(1, 3, 128, 128, dtype=torch.float64) * 2 - 1).requires_grad_()
    target = torch.rand(1, 3, 128, 128, dtype=torch.float64) * 2 - 1
    distance(image, target).sum().backward()
    assert image.grad is not None
    direction = torch.randn_like(image)
    step = 1e-6
    with torch.no_grad():
        change = distance(image + step * direction, target) - distance(image - step * direction, target)
    torch.testing.assert_close(float(change) / (2 * step), float((image.grad * direction).sum()), rtol=1e-3, atol=1e-9)


def test_gradient_is_finite_where_nothing_differs(fronts: Tensor, distance: PartsDistance) -> None:
    image = fronts.clone().requires_grad_()
    distance(image, fronts).sum().backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()


def test_weight_leaves_out_what_weighs_nothing(fronts: Tensor, distance: PartsDistance) -> None:
    other = fronts.clone()
    other[..., :20] = -other[..., :20]
    weight = torch.ones(2, 1, 128, 128)
    torch.testing.assert_close(distance(other, fronts, weight), distance(other, fronts))
    weight[..., :64] = 0
    assert (distance(other, fronts, weight) < 0.5 * distance(other, fronts)).all()


def test_layers_are_checked() -> None:
    with pytest.raises(PanoHeadError, match=r"'eyes'.*fine"):
        PartsDistance(layers=("eyes",))
    with pytest.raises(PanoHeadError, match="one or more"):
        PartsDistance(layers=())
