"""Training of a photo encoder on the smallest generator: exact resumption, learning, and its checkpoint."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from panohead.checkpoint import Checkpoint, load_checkpoint, weights_sha256
from panohead.errors import PanoHeadError, UsageError
from panohead.training.photo_encoder import EncoderTrainConfig, PhotoAugmentation, train_encoder
from panohead.training.photo_encoder.evaluate import score
from panohead.training.photo_encoder.fit import EncoderFit
from panohead.training.photo_encoder.run import EncoderCallbacks
from panohead.training.photo_encoder.samples import EncoderSample, StoredSample, _encoded

CONFIG = EncoderTrainConfig(
    samples=20,
    steps=6,
    batch=3,
    resolution=32,
    channels=(8, 8),
    blocks=(1, 1),
    hidden=16,
    side=16,
    image_interval=2,
    image_heads=1,
    image_rays=8,
    whitening_samples=64,
)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return Checkpoint({"G_ema": tiny.generator()}, notes={"about": "tiny"})


def stop_after(steps: int) -> EncoderCallbacks:
    """Callbacks that stop the run after so many samples and steps."""
    done: list[object] = []
    return EncoderCallbacks(on_progress=done.append, should_stop=lambda: len(done) > steps)


def test_an_interrupted_run_ends_like_an_unbroken_one(checkpoint: Checkpoint, tmp_path: Path) -> None:
    whole = train_encoder(checkpoint, tmp_path / "whole", config=CONFIG)
    assert whole.path is not None
    for steps in (5, 23):  # while rendering, while training
        assert train_encoder(checkpoint, tmp_path / "broken", config=CONFIG, callbacks=stop_after(steps)).path is None
    assert (tmp_path / "broken" / "state.pt").is_file()
    broken = train_encoder(checkpoint, tmp_path / "broken", config=CONFIG)
    assert broken.path is not None
    first, second = (load_checkpoint(path) for path in (whole.path, broken.path))
    assert first.sha256 == second.sha256
    assert first.photo_encoder() is not None
    assert weights_sha256(first.generator()) == weights_sha256(checkpoint.generator())
    assert first.notes["about"] == "tiny"
    assert first.notes["encoder"]["steps"] == CONFIG.steps
    assert len(list((tmp_path / "whole" / "sheets").iterdir())) == 1
    finished = train_encoder(checkpoint, tmp_path / "whole", config=CONFIG)  # at once
    assert finished.path == whole.path
    with pytest.raises(PanoHeadError, match="holds a run with another steps"):
        train_encoder(checkpoint, tmp_path / "whole", config=replace(CONFIG, steps=7))
    other = Checkpoint({"G_ema": tiny.generator(seed=1)})
    with pytest.raises(PanoHeadError, match="holds a run with another checkpoint"):
        train_encoder(other, tmp_path / "whole", config=CONFIG)


def test_a_run_starts_from_another_encoder(checkpoint: Checkpoint, tmp_path: Path) -> None:
    first = train_encoder(checkpoint, tmp_path / "first", config=CONFIG)
    assert first.path is not None
    start = load_checkpoint(first.path).photo_encoder()
    assert start is not None
    still = replace(CONFIG, steps=1, learning_rate=1e-12)
    again = train_encoder(checkpoint, tmp_path / "again", config=still, start=start)
    assert again.path is not None
    kept = load_checkpoint(again.path).photo_encoder()
    assert kept is not None
    for name, value in start.named_parameters():
        torch.testing.assert_close(kept.get_parameter(name), value, rtol=1e-3, atol=1e-3)
    with pytest.raises(PanoHeadError, match="holds a run with another start"):
        train_encoder(checkpoint, tmp_path / "again", config=still)
    with pytest.raises(UsageError, match="other sizes"):
        train_encoder(checkpoint, tmp_path / "other", config=replace(CONFIG, hidden=8), start=start)


def colored(number: int) -> StoredSample:
    """A photo whose color is its w: what an encoder must find out."""
    rng = np.random.default_rng(number)
    color = rng.uniform(0, 1, 3)
    pixels = np.full((32, 32, 4), 255, np.uint8)
    pixels[..., :3] = np.rint(color * 255)
    w = np.zeros(tiny.CONFIG.w_dim, np.float32)
    w[:3] = (color - 0.5) * 8
    sample = EncoderSample(
        photo=pixels,
        second=pixels[:16, :16],
        label=np.zeros(25, np.float32),
        offset=np.zeros(3, np.float32),
        second_label=np.zeros(25, np.float32),
        w=w,
        attributes=np.full(0, np.nan, np.float32),
        person=number,
    )
    views = {"photo": _encoded(sample.photo), "second": _encoded(sample.second)}
    return StoredSample(**{**vars(sample), **views})


def test_an_encoder_learns_what_photos_show() -> None:
    config = replace(
        CONFIG,
        steps=150,
        batch=16,
        image_heads=0,
        learning_rate=5e-3,
        ema_decay=0.9,
        augmentation=PhotoAugmentation(strength=0),
    )
    generator = tiny.generator()
    samples = [colored(number) for number in range(96)]
    fit = EncoderFit(generator, None, config, samples[:64], [])
    losses = [fit.step() for _ in range(config.steps)]
    assert losses[-1]["w"] < 0.3 * losses[0]["w"]
    found = score(fit.average, generator, samples[64:], config.augmentation, seed=0)
    assert found.w_error < 0.4
    assert np.isnan(found.attribute_error)
    assert torch.isfinite(torch.tensor(found.confidence_correlation))
