"""``reconstruct`` on the smallest generator: its result, its state, stopping, resuming, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from panohead.errors import PanoHeadError, UsageError
from panohead.geometry import Camera
from panohead.inversion import (
    FastConfig,
    OfficialConfig,
    OptimizationCallbacks,
    OptimizationStep,
    PyramidLoss,
    ReconstructedHead,
    ResumeFile,
    find_preset,
)
from panohead.inversion.tuning import position_maps
from panohead.media.images import to_uint8
from panohead.predictor import Predictor

QUICK = FastConfig(starts=3, coarse_steps=4, fine_steps=3, tuning_steps=3, unseen_weight=0.02, w_samples=256)
OFFICIAL = OfficialConfig(steps=4, tuning_steps=3, w_samples=256)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(tiny.generator())


@pytest.fixture(scope="module")
def crop(predictor: Predictor) -> np.ndarray:
    return to_uint8(predictor.sample(5, truncation_psi=1.0).render(Camera.orbit(10)).image)


def run(
    predictor: Predictor, crop: np.ndarray, resume_file: ResumeFile | None = None, **options: object
) -> ReconstructedHead:
    given = {"config": QUICK, **options}
    return predictor.reconstruct([crop], [Camera.orbit(10)], resume_file=resume_file, **given)


@pytest.fixture(scope="module")
def whole(predictor: Predictor, crop: np.ndarray) -> ReconstructedHead:
    """An unbroken run."""
    return run(predictor, crop)


@pytest.fixture(scope="module")
def whole_official(predictor: Predictor, crop: np.ndarray) -> ReconstructedHead:
    """An unbroken run of the official protocol."""
    return run(predictor, crop, preset="official", config=OFFICIAL)


def test_same_seed_same_head_and_the_loss_falls(
    predictor: Predictor, crop: np.ndarray, whole: ReconstructedHead
) -> None:
    before = {name: value.clone() for name, value in predictor.generator.state_dict().items()}
    first, second = whole, run(predictor, crop)
    assert torch.equal(first.ws, second.ws)
    maps = [position_maps(head.generator, 1)[0] for head in (first, second)]
    assert torch.equal(*maps)
    for phase in ("search, coarse", "search", "tune"):
        curve = first.log.curve(phase, "photos" if phase == "tune" else "loss")
        assert min(curve[1:]) < curve[0], phase
    after = predictor.generator.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items()), "the predictor's generator moved"
    assert float(maps[0].abs().max()) > 0


def stop_after(steps: int) -> OptimizationCallbacks:
    """Callbacks that stop the run once so many steps of all phases are done."""
    done: list[OptimizationStep] = []
    return OptimizationCallbacks(on_step=done.append, should_stop=lambda: len(done) >= steps)


@pytest.mark.parametrize("steps", [2, 5, 12, 16])
def test_a_stopped_run_resumes_to_the_same_end(
    predictor: Predictor, crop: np.ndarray, tmp_path: Path, steps: int, whole: ReconstructedHead
) -> None:
    state = tmp_path / "state"
    stopped = run(predictor, crop, ResumeFile(state), callbacks=stop_after(steps))
    assert stopped.log.stopped
    assert len(stopped.log.steps) == steps
    resumed = run(predictor, crop, ResumeFile(state, resume=True))
    assert resumed.log.steps == whole.log.steps
    assert torch.equal(resumed.ws, whole.ws)
    for a, b in zip(resumed.generator.parameters(), whole.generator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_stopped_before_the_first_step_it_resumes_from_the_beginning(
    predictor: Predictor, crop: np.ndarray, tmp_path: Path, whole: ReconstructedHead
) -> None:
    run(predictor, crop, ResumeFile(tmp_path / "state"), callbacks=stop_after(0))
    resumed = run(predictor, crop, ResumeFile(tmp_path / "state", resume=True))
    assert torch.equal(resumed.ws, whole.ws)


def test_one_resume_file_serves_two_people_in_turn(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    file = ResumeFile(tmp_path / "state")
    run(predictor, crop, file)
    mirrored = np.ascontiguousarray(crop[:, ::-1])
    assert torch.equal(run(predictor, mirrored, file).ws, run(predictor, mirrored).ws)


@pytest.mark.parametrize("steps", [0, 2, 6])
def test_the_official_protocol_resumes_too(
    predictor: Predictor, crop: np.ndarray, tmp_path: Path, steps: int, whole_official: ReconstructedHead
) -> None:
    options, whole = {"preset": "official", "config": OFFICIAL}, whole_official
    run(predictor, crop, ResumeFile(tmp_path / "state"), callbacks=stop_after(steps), **options)
    resumed = run(predictor, crop, ResumeFile(tmp_path / "state", resume=True), **options)
    assert resumed.log.steps == whole.log.steps
    assert torch.equal(resumed.ws, whole.ws)
    assert torch.equal(resumed.generator.decoder.output.weight, whole.generator.decoder.output.weight)


def test_a_state_of_another_task_is_refused(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    file = ResumeFile(tmp_path / "state", resume=True)
    run(predictor, crop, file, callbacks=stop_after(5))
    with pytest.raises(PanoHeadError, match="of other photos"):
        run(predictor, crop, file, seed=1)
    with pytest.raises(PanoHeadError, match="of other photos"):
        run(predictor, crop, file, loss=PyramidLoss(ssim_weight=0.3))
    file.path.write_bytes(b"nothing")
    with pytest.raises(PanoHeadError, match="cannot resume from"):
        run(predictor, crop, file)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"config": replace(QUICK, fine_steps=0)}, "search steps is 0; give a whole number from 1"),
        ({"preset": "official", "config": replace(OFFICIAL, steps=0)}, "search steps is 0; give a whole number from 1"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    predictor: Predictor, crop: np.ndarray, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        run(predictor, crop, **options)


@pytest.mark.parametrize("wrong", [{"tuning_steps": -1}, {"unseen_weight": -0.5}, {"tuned_blocks": -1}])
def test_numbers_out_of_range_make_no_configuration(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(PanoHeadError, match=f"{name} is -.*; give a number from 0"):
        replace(QUICK, **wrong)


def test_configurations_by_the_options_of_all_presets() -> None:
    assert find_preset("fast").configure(steps=7, unseen_weight=0.0) == FastConfig(fine_steps=7, unseen_weight=0.0)
    assert find_preset("official").configure(steps=7, tuning_steps=0) == OfficialConfig(steps=7, tuning_steps=0)
    with pytest.raises(UsageError, match="there is no preset 'slow'; give one of fast, official"):
        find_preset("slow")
    with pytest.raises(UsageError, match="the preset official has no unseen_weight; leave it out"):
        find_preset("official").configure(unseen_weight=0.1)


def test_several_photos_share_a_head_and_have_their_own_cameras_and_backgrounds(predictor: Predictor) -> None:
    head = predictor.sample(5)
    cameras = [Camera.orbit(0), Camera.orbit(90), Camera.orbit(180, 10)]
    crops = [to_uint8(head.render(camera).image) for camera in cameras]
    found = predictor.reconstruct(crops, cameras, config=QUICK)
    assert found.ws.shape[0] == 1
    assert found.ws_background is not None
    assert len(found.cameras) == len(found.input_views) == len(found.ws_background) == 3
    moves = [float((a.cam2world - b.cam2world).abs().max()) for a, b in zip(found.cameras, cameras, strict=True)]
    assert all(0 < move < 0.2 for move in moves)
    with pytest.raises(PanoHeadError, match="takes one photo, not 3"):
        predictor.reconstruct(crops, cameras, preset="official", config=OFFICIAL)


def test_written_and_opened_again(predictor: Predictor, whole: ReconstructedHead, tmp_path: Path) -> None:
    found = whole
    found.save(tmp_path)
    opened = predictor.open_reconstruction(tmp_path).render(Camera.orbit(40))
    torch.testing.assert_close(opened.image, found.render(Camera.orbit(40)).image, atol=1e-2, rtol=0)
    person, other = predictor.open_reconstruction(tmp_path), predictor.sample(3)
    for mixed in (predictor.interpolate(person, other, 0.0), predictor.mix(person, other, [])):
        assert torch.equal(mixed.render(Camera.orbit(40)).image, person.render(Camera.orbit(40)).image)
    latent = (tmp_path / "latent.npz").read_bytes()
    for broken in (b"", latent[: len(latent) // 2]):
        (tmp_path / "latent.npz").write_bytes(broken)
        with pytest.raises(PanoHeadError, match=r"latent\.npz is not a readable latent"):
            predictor.open_reconstruction(tmp_path)
    (tmp_path / "latent.npz").write_bytes(latent)
    with pytest.raises(PanoHeadError, match="another checkpoint"):
        Predictor(tiny.generator(seed=1)).open_reconstruction(tmp_path)


def test_what_is_no_head_of_a_reconstruction_is_said(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"x")
    for folder, what in (
        (tmp_path, "holds no latent.npz"),
        (tmp_path / "photo.png", "is a file"),
        ("gone", "not exist"),
    ):
        with pytest.raises(PanoHeadError, match=rf"{what}; give the folder of a head that 'panohead reconstruct' made"):
            predictor.open_reconstruction(folder)


def test_bad_images_are_refused_in_a_sentence(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    front = [Camera.orbit()]
    with pytest.raises(PanoHeadError, match="at least 48"):
        predictor.reconstruct([crop[:16, :16]], front, config=QUICK)
    with pytest.raises(PanoHeadError, match="of one color"):
        predictor.reconstruct([np.full_like(crop, 7)], front, config=QUICK)
    with pytest.raises(PanoHeadError, match="1 photos and 2 cameras"):
        predictor.reconstruct([crop], front * 2, config=QUICK)
    with pytest.raises(PanoHeadError, match="the seed is -1; give a whole number from 0"):
        predictor.reconstruct([crop], front, config=QUICK, seed=-1)
    with pytest.raises(PanoHeadError, match="1 to 8"):
        predictor.reconstruct([crop] * 9, front * 9, config=QUICK)
    with pytest.raises(PanoHeadError, match="there is no photo"):
        predictor.reconstruct([tmp_path / "none.jpg"], front, config=QUICK)
    with pytest.raises(PanoHeadError, match="is a folder; give the photos in it"):
        predictor.reconstruct([tmp_path], front, config=QUICK)
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    with pytest.raises(PanoHeadError, match=r"no\.jpg is no usable photo"):
        predictor.reconstruct([tmp_path / "no.jpg"], front, config=QUICK)
    with pytest.raises(PanoHeadError, match="does not go with"):
        predictor.reconstruct([crop], front, preset="official", config=QUICK)
    gray = np.repeat(crop.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert "gray" in run(predictor, gray).photos[0].notes[0]
