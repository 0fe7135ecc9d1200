"""Changes of a reconstructed head on request."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from panohead.attributes.editing import HeadAttributes
from panohead.checkpoint import Checkpoint, save_checkpoint
from panohead.cli.main import main
from panohead.errors import PanoHeadError, UsageError
from panohead.geometry import Camera
from panohead.inversion import FastConfig, HeadEdit
from panohead.inversion.head_edit import without_changed_places
from panohead.inversion.photo import AlignedPhoto
from panohead.media.images import to_pil, to_uint8
from panohead.predictor import Predictor

FEW = FastConfig(starts=2, coarse_steps=2, fine_steps=2, tuning_steps=2, unseen_weight=0, w_samples=256)
CAMERA = Camera.orbit(10)
ENCODER = tiny.attribute_encoder()


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    generator = tiny.generator()
    return Predictor(generator, Checkpoint({"G_ema": generator, "attributes": ENCODER}))


@pytest.fixture(scope="module")
def crop(predictor: Predictor) -> np.ndarray:
    return to_uint8(predictor.sample(5, truncation_psi=1.0).render(CAMERA).image)


def test_each_change_moves_its_own_attributes() -> None:
    with torch.no_grad():
        w = ENCODER(torch.full((1, ENCODER.vocabulary.size), 0.3))
    before = HeadAttributes.of_w(ENCODER, w[0])
    sections = ENCODER.vocabulary.sections
    neutral, even = before.neutral().vector, before.evenly_lit().vector
    expression, light = (slice(*sections[name]) for name in ("expression", "light"))
    assert (neutral[expression] == 0).all()
    assert np.ptp(even[light]) == 0
    assert even[light].mean() == pytest.approx(before.vector[light].mean(), abs=1e-5)
    for changed, places in ((neutral, expression), (even, light)):
        rest = np.ones(len(changed), bool)
        rest[places] = False
        assert np.array_equal(changed[rest], before.vector[rest])


def test_the_head_is_moved_and_the_report_says_so(predictor: Predictor, crop: np.ndarray) -> None:
    plain = predictor.reconstruct([crop], [CAMERA], config=FEW)
    edit = HeadEdit(("glasses",), neutral=True, even_light=True)
    changed = predictor.reconstruct([crop], [CAMERA], config=FEW, edit=edit)
    expected = edit.finished(ENCODER, edit.removed(ENCODER, plain.ws))
    torch.testing.assert_close(changed.ws, expected, atol=1e-4, rtol=1e-4)
    assert float((changed.ws - plain.ws).abs().max()) > 1e-3
    assert "without glasses, without expression, in even light" in changed.log.notes[0]
    assert not any("on purpose" in note for note in plain.log.notes)


def test_photos_are_not_compared_where_the_head_was_changed() -> None:
    generator = tiny.generator()
    mean = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    photo = AlignedPhoto("photo", torch.zeros(3, 32, 32), None, CAMERA, "given")
    (same,) = without_changed_places(generator, [photo], [CAMERA], mean, mean)
    assert same.inside is not None
    assert bool((same.inside == 1).all())
    half = torch.ones(1, 32, 32)
    half[:, :16] = 0
    (less,) = without_changed_places(generator, [replace(photo, inside=half)], [CAMERA], mean, mean + 3.0)
    assert less.inside is not None
    assert float(less.inside.mean()) < 0.5
    assert bool((less.inside[:, :16] == 0).all())


def test_one_sentence_for_what_cannot_be_changed(
    predictor: Predictor, crop: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="--without nose is not possible; give one of glasses"):
        predictor.reconstruct([crop], [CAMERA], edit=HeadEdit(("nose",)))
    with pytest.raises(PanoHeadError, match="the checkpoint has no attribute encoder"):
        Predictor(tiny.generator()).reconstruct([crop], [CAMERA], edit=HeadEdit(neutral=True))
    save_checkpoint(tmp_path / "tiny.safetensors", {"G_ema": tiny.generator()})
    to_pil(torch.from_numpy(crop).permute(2, 0, 1) / 127.5 - 1).save(tmp_path / "me.png")
    (tmp_path / "dataset.json").write_text(f'{{"labels": [["me.png", {CAMERA.to_label().tolist()}]]}}')
    command = ["reconstruct", str(tmp_path / "me.png"), "--aligned", "--checkpoint", str(tmp_path / "tiny.safetensors")]
    command += ["--out", str(tmp_path / "out")]
    for options, code, sentence in (
        (["--neutral"], 1, "the checkpoint has no attribute encoder"),
        (["--even-light", "--preset", "official"], 2, "do not go with the preset official"),
        (["--symmetry", "--preset", "official"], 2, "has no symmetry_weight"),
    ):
        assert main([*command, *options]) == code
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out" / "report.html").exists()
