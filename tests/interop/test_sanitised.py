"""The sanitized official pickle of the whole golden set (10 MB, not stored here): set PANOHEAD_GOLDEN to its folder."""

import pytest
import torch

from panohead.interop.official import load_networks, official_state_dict
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator
from parity import golden

PICKLE = golden.FOLDER / "sanitised_tiny.pkl"
NAME = "sanitised_tiny_expected"

pytestmark = pytest.mark.skipif(not PICKLE.exists(), reason="only with the whole golden set")


@pytest.fixture(scope="module")
def networks() -> dict[str, torch.nn.Module]:
    """The pickle's networks."""
    return load_networks(PICKLE)


@pytest.mark.parametrize("key", ["G", "D", "G_ema"])
def test_every_tensor_arrives(networks: dict[str, torch.nn.Module], key: str) -> None:
    arrays = golden.load(NAME)[0]
    sums = dict(zip(arrays[f"{key}/names"].tolist(), arrays[f"{key}/sums"].tolist(), strict=True))
    state = official_state_dict(networks[key])
    assert state.keys() == sums.keys()
    for name, expected in sums.items():
        assert float(state[name].double().sum()) == pytest.approx(expected, abs=1e-6), name


@pytest.mark.parametrize("key", ["G", "G_ema"])
def test_generators_give_their_images(networks: dict[str, torch.nn.Module], key: str) -> None:
    generator = networks[key]
    assert isinstance(generator, Generator)
    z, label = golden.tensor(NAME, "z"), golden.tensor(NAME, "c")
    samples = generator.config.rendering.depth_samples
    draws = {
        "ray_jitter": golden.uniform("render/jitter", (2, 256, samples, 1))[..., 0],
        "importance_u": golden.uniform("render/u", (512, samples)),
    }
    ws = generator.mapping(z, label, truncation_psi=0.7, truncation_cutoff=14)
    golden.assert_close(NAME, f"{key}/ws_first", ws[:, :1])
    offset = generator.align_camera(z, label)
    golden.assert_close(NAME, f"{key}/delta_c", offset)
    result = generator.synthesis(ws, label, neural_rendering_resolution=16, **draws)
    for name, value in (("image_raw", result.image_raw), ("mask", result.mask), ("depth", result.depth)):
        golden.assert_close(NAME, f"{key}/{name}", value)
    golden.assert_close(NAME, f"{key}/image_sub2", result.image[:, :, ::2, ::2])
    moved = generator(z, label, truncation_psi=0.7, truncation_cutoff=14, neural_rendering_resolution=16, **draws)
    golden.assert_close(NAME, f"{key}/forward_image_sub4", moved.image[:, :, ::4, ::4])


def test_discriminator_gives_its_logits(networks: dict[str, torch.nn.Module]) -> None:
    discriminator = networks["D"]
    assert isinstance(discriminator, Discriminator)
    logits = discriminator(
        0.5 * golden.normal("disc/image", (2, 3, 128, 128)),
        0.5 * golden.normal("disc/raw", (2, 3, 16, 16)),
        golden.uniform("disc/mask", (2, 1, 16, 16)),
        golden.tensor(NAME, "c"),
    )
    golden.assert_close(NAME, "D/logits", logits)
