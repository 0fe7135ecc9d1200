"""Reconstruction that starts from a photo encoder, or ends there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from panohead.checkpoint import Checkpoint
from panohead.errors import PanoHeadError, UsageError
from panohead.geometry import Camera
from panohead.inversion import FastConfig, OptimizationCallbacks, ReconstructedHead, ResumeFile, guess_head
from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.encoder_guess import EncoderGuess, Start, apply_offsets, start_from_guess
from panohead.inversion.losses import PyramidLoss
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.reconstruct import chosen_start
from panohead.inversion.search.search_space import WhitenedSearch
from panohead.inversion.w_space import w_space
from panohead.media.images import to_uint8
from panohead.models.photo_encoder import PhotoEncoder, PhotoEncoderConfig
from panohead.predictor import Predictor

FEW = FastConfig(starts=3, coarse_steps=2, fine_steps=2, tuning_steps=2, unseen_weight=0, w_samples=256)
CAMERA = Camera.orbit(10)


def encoder(w_dim: int = tiny.CONFIG.w_dim) -> PhotoEncoder:
    """An encoder with random weights: it answers something else for every photo."""
    torch.manual_seed(0)
    network = PhotoEncoder(PhotoEncoderConfig(w_dim=w_dim, resolution=16, channels=(8, 8), blocks=(0, 0), hidden=16))
    torch.nn.init.normal_(network.output.weight, std=0.2)
    network.output.bias.data[-1] = -1.0
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    generator = tiny.generator()
    return Predictor(generator, Checkpoint({"G_ema": generator, "encoder": encoder()}))


@pytest.fixture(scope="module")
def crop(predictor: Predictor) -> np.ndarray:
    return to_uint8(predictor.sample(5, truncation_psi=1.0).render(CAMERA).image)


def aligned(crop: np.ndarray) -> AlignedPhoto:
    image = torch.from_numpy(crop).permute(2, 0, 1).float() / 127.5 - 1
    return AlignedPhoto("photo", image, None, CAMERA, "given")


def run(predictor: Predictor, crop: np.ndarray, **options: object) -> ReconstructedHead:
    return predictor.reconstruct([crop], [CAMERA], **{"config": FEW, **options})


def test_quick_is_the_guess_itself(predictor: Predictor, crop: np.ndarray) -> None:
    head = run(predictor, crop, preset="quick", config=None)
    guess = guess_head(encoder(), [aligned(crop)])
    assert torch.equal(head.ws, guess.w.expand_as(head.ws))
    assert head.generator is predictor.generator
    assert not head.log.steps
    assert "what sets this person apart" in head.log.notes[0]
    assert float(head.input_views[0].image.std()) > 0


def test_several_photos_count_by_their_confidence(crop: np.ndarray) -> None:
    network = encoder()
    photos = [aligned(crop), aligned(crop[::-1].copy())]
    single = [guess_head(network, [photo]) for photo in photos]
    both = guess_head(network, photos)
    weights = torch.cat([guess.confidence for guess in single])
    expected = (weights[0] * single[0].w + weights[1] * single[1].w) / weights.sum()
    torch.testing.assert_close(both.w, expected)
    assert both.offsets.shape == (2, 5)


def started(predictor: Predictor, crop: np.ndarray, w: torch.Tensor) -> torch.Tensor:
    generator = predictor.generator
    whitening = w_space(generator, samples=256).whitening()
    objective = PhotoObjective([aligned(crop)], PyramidLoss(), empty=None)
    guess = EncoderGuess(w, torch.zeros(1, 5), torch.ones(1), None, "")
    refinement = CameraRefinement(objective.photos, "cpu")
    space = WhitenedSearch(whitening, FEW)
    v = start_from_guess(generator, objective, refinement, space, guess, move_cameras=True, run=OptimizationRun())
    return whitening.to_w(v)


def test_a_guess_is_taken_unless_the_mean_head_resembles_the_photo_more(predictor: Predictor) -> None:
    truth = predictor.sample(5, truncation_psi=1.0)
    crop = to_uint8(truth.render(CAMERA).image)
    torch.testing.assert_close(started(predictor, crop, truth.ws[0, 0]), truth.ws[0, 0], atol=1e-3, rtol=1e-3)
    mean = predictor.mean_head()
    crop = to_uint8(mean.render(CAMERA).image)
    absurd = mean.ws[0, 0] + 20 * (truth.ws[0, 0] - mean.ws[0, 0])
    whitening = w_space(predictor.generator, samples=256).whitening()
    torch.testing.assert_close(started(predictor, crop, absurd), whitening.mean)


def test_cameras_are_corrected_within_reason(crop: np.ndarray) -> None:
    refinement = CameraRefinement([replace(aligned(crop), kind="face")], "cpu")
    guess = EncoderGuess(torch.zeros(16), torch.tensor([[4.0, 90, 0, 0.02, -9]]), torch.ones(1), None, "")
    apply_offsets(refinement, guess)
    assert refinement.offsets.tolist() == [pytest.approx([1, 2, 0, 0.5, -2])]


def test_an_encoder_changes_nothing_where_another_start_is_asked_for(predictor: Predictor, crop: np.ndarray) -> None:
    without = Predictor(tiny.generator())
    assert torch.equal(run(predictor, crop, start="random").ws, run(without, crop).ws)
    none = run(without, crop, config=replace(FEW, starts=0))
    assert torch.equal(run(predictor, crop, start="mean").ws, none.ws)
    assert len(run(predictor, crop).log.curve("screen")) == 4  # guess with either cameras, halfway, mean


def test_a_run_from_a_guess_resumes_to_the_same_end(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    whole = run(predictor, crop)
    assert whole.log.curve("screen")
    done: list[object] = []
    callbacks = OptimizationCallbacks(on_step=done.append, should_stop=lambda: len(done) >= 4)
    run(predictor, crop, resume_file=ResumeFile(tmp_path / "state"), callbacks=callbacks)
    resumed = run(predictor, crop, resume_file=ResumeFile(tmp_path / "state", resume=True))
    assert torch.equal(resumed.ws, whole.ws)
    assert torch.equal(resumed.cameras[0].to_label(), whole.cameras[0].to_label())
    with pytest.raises(PanoHeadError, match="of other photos, another checkpoint or other settings"):
        run(predictor, crop, start="random", resume_file=ResumeFile(tmp_path / "state", resume=True))


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"start": "encoder", "encoder": None}, PanoHeadError, "has no photo encoder; train one with"),
        ({"preset": "quick", "config": None, "encoder": None}, PanoHeadError, "has no photo encoder"),
        ({"encoder": encoder(w_dim=8)}, PanoHeadError, "w of 8 numbers, the generator takes 16"),
        ({"preset": "official", "config": None, "start": "encoder"}, UsageError, "has the start mean, not encoder"),
        ({"preset": "quick", "config": None, "start": "mean"}, UsageError, "has the start encoder, not mean"),
    ],
)
def test_one_sentence_for_what_does_not_fit(
    predictor: Predictor, crop: np.ndarray, options: dict[str, object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        run(predictor, crop, **options)


@pytest.mark.parametrize(
    ("given", "has_encoder", "among_people", "expected"),
    [
        (None, True, True, "mean"),
        (None, True, False, "encoder"),
        (None, False, True, "mean"),
        (None, False, False, "random"),
        ("random", True, True, "random"),
    ],
)
def test_default_starts(given: Start | None, has_encoder: bool, among_people: bool, expected: Start) -> None:
    assert chosen_start("fast", given, has_encoder=has_encoder, among_people=among_people) == expected
