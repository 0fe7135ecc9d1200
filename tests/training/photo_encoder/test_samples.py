"""Samples of the encoder's training: stored and read again, interrupted and continued, true to their cameras."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.training.photo_encoder.batch import batch_of
from panohead.training.photo_encoder.config import EncoderTrainConfig
from panohead.training.photo_encoder.generated import GeneratedSamples, random_cameras, resized
from panohead.training.photo_encoder.losses import true_label
from panohead.training.photo_encoder.rendered import RenderedSamples
from panohead.training.photo_encoder.samples import SHARD, EncoderSample, read_samples, render_samples

CONFIG = EncoderTrainConfig(samples=16, resolution=32, side=16)


class Drawn:
    """Samples of a formula; counts how often each was asked for."""

    name = "drawn"

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, [0] * count

    def sample(self, number: int) -> EncoderSample:
        self.asked[number] += 1
        ramp = np.linspace(0, 255, 16).astype(np.uint8)
        pixels = np.broadcast_to(ramp[:, None, None], (16, 16, 4)).copy()
        pixels[..., 3] = number
        label = np.full(25, number, np.float32)
        w = np.arange(4, dtype=np.float32) + number / 3
        return EncoderSample(
            photo=pixels,
            second=pixels[:8, :8],
            label=label,
            offset=label[:3],
            second_label=label + 1,
            w=w,
            attributes=np.full(0, np.nan, np.float32),
            person=number,
        )


def test_samples_come_back_and_an_interrupted_rendering_continues(tmp_path: Path) -> None:
    source = Drawn(2 * SHARD + 5)
    stop_after = SHARD + 10
    done = list(render_samples(source, tmp_path, lambda: sum(source.asked) >= stop_after))
    assert done == list(range(stop_after + 1))
    again = list(render_samples(source, tmp_path, lambda: False))
    assert again[0] == SHARD  # whole files only
    assert again[-1] == source.count
    assert source.asked[:SHARD] == [1] * SHARD
    assert list(render_samples(source, tmp_path, lambda: False)) == [source.count]
    found = read_samples(source, tmp_path)
    assert len(found) == source.count
    for number in (0, SHARD + 3, source.count - 1):
        expected, sample = source.sample(number), found[number].open()
        for name in ("label", "offset", "second_label", "w"):
            assert np.array_equal(getattr(sample, name), getattr(expected, name))
        assert np.array_equal(sample.photo[..., 3], expected.photo[..., 3])
        assert np.abs(sample.photo[..., :3].astype(int) - expected.photo[..., :3]).max() < 12  # lossy


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    source = Drawn(3)
    list(render_samples(source, tmp_path, lambda: False))
    (tmp_path / "drawn-000000.npz").write_bytes(b"PK nothing")
    with pytest.raises(PanoHeadError, match=r"drawn-000000.npz is not readable; remove it"):
        read_samples(source, tmp_path)


def test_generated_heads_are_what_their_cameras_and_w_say(tmp_path: Path) -> None:
    generator = tiny.generator()
    source = GeneratedSamples(generator, None, CONFIG)
    first, again, other = source.sample(3), source.sample(3), source.sample(4)
    assert np.array_equal(first.photo, again.photo)
    assert not np.array_equal(first.w, other.w)
    source.count = 4
    assert list(render_samples(source, tmp_path, lambda: False)) == [0, 1, 2, 3, 4]
    batch = batch_of(read_samples(source, tmp_path))
    assert batch.has_w.all()
    assert not batch.has_attributes.any()
    assert batch.offset.abs().max() > 1e-4  # camera self-adaptation
    for i in range(4):
        camera, second = random_cameras(np.random.default_rng([0, i]))
        world = Camera.from_label(batch.second_label[i]).position - second.position
        torch.testing.assert_close(true_label(batch)[i], camera.translated(world).to_label(), atol=1e-5, rtol=0)
        ws = batch.w[i].expand(1, generator.backbone.num_ws, -1)
        view = generator.render_view(generator.field(ws), ws, Camera.from_label(true_label(batch)[i]))
        shown = ((resized(view.image, 32)[0].clamp(-1, 1) + 1) / 2 * 255).round()
        assert (shown - batch.photo[i, :3].float()).abs().mean() < 6  # compressed


def test_renders_of_people_pair_views_of_one_shot(tmp_path: Path) -> None:
    views = []
    for k, (shot, yaw) in enumerate([(0, 10.0), (0, 170.0), (1, -20.0), (1, 120.0)]):
        value = 10 * (k + 1)
        for folder, mode, color in (("images", "RGB", (value,) * 3), ("masks", "L", value)):
            path = tmp_path / folder / "0" / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (64, 64), color).save(path)
        label = Camera.orbit(yaw).to_label().tolist()
        views.append({"image": f"0/{k}.png", "shot": shot, "yaw_deg": yaw, "label": label})
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "0.json").write_text(json.dumps({"person": 7, "views": views, "shots": [{}, {}]}))
    source = RenderedSamples(tmp_path, 0, None, CONFIG, w_dim=16)
    assert source.count == 2  # the photo is taken from the front, once a shot
    for number, (photo, second) in enumerate([(10, 20), (30, 40)]):
        sample = source.sample(number)
        assert sample.person == 7
        assert (sample.photo == photo).all()
        assert (sample.second == second).all()
        assert sample.second.shape == (16, 16, 4)
        assert np.isnan(sample.w).all()
    (tmp_path / "masks" / "0" / "0.png").unlink()
    with pytest.raises(PanoHeadError, match="person 7 cannot be read"):
        source.sample(0)
    with pytest.raises(PanoHeadError, match="holds no people"):
        RenderedSamples(tmp_path / "images", 0, None, replace(CONFIG), w_dim=16)
