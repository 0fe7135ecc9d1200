"""``reconstruct`` on the smallest generator: what is found, kept, stopped, continued and refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.inversion import (
    FastConfig,
    OfficialConfig,
    OptimizationLog,
    OptimizationStep,
    PyramidLoss,
    ReconstructedHead,
)
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
    predictor: Predictor, crop: np.ndarray, log: OptimizationLog | None = None, **options: object
) -> ReconstructedHead:
    given = {"config": QUICK, **options}
    return predictor.reconstruct([crop], [Camera.orbit(10)], log=log, **given)  # type: ignore[arg-type]


def test_same_seed_same_head_and_the_loss_falls(predictor: Predictor, crop: np.ndarray) -> None:
    before = {name: value.clone() for name, value in predictor.generator.state_dict().items()}
    first, second = run(predictor, crop), run(predictor, crop)
    assert torch.equal(first.ws, second.ws)
    assert torch.equal(first.generator.decoder.output.weight, second.generator.decoder.output.weight)
    for phase in ("search, coarse", "search", "tune"):
        curve = first.log.curve(phase, "photos" if phase == "tune" else "loss")
        assert min(curve[1:]) < curve[0], phase
    after = predictor.generator.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items()), "the predictor's generator moved"
    assert not torch.equal(first.generator.decoder.output.weight, predictor.generator.decoder.output.weight)


class StopAfter:
    """Asks to stop once so many steps of all phases are done."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def done(self, _: OptimizationStep) -> None:
        self._left -= 1

    def asked(self) -> bool:
        return self._left <= 0


@pytest.mark.parametrize("steps", [2, 5, 12])
def test_a_stopped_run_goes_on_to_the_same_end(
    predictor: Predictor, crop: np.ndarray, tmp_path: Path, steps: int
) -> None:
    whole = run(predictor, crop)
    stop = StopAfter(steps)
    stopped = run(predictor, crop, OptimizationLog(on_step=stop.done, should_stop=stop.asked, path=tmp_path / "state"))
    assert stopped.log.stopped
    assert len(stopped.log.steps) == steps
    went_on = run(predictor, crop, OptimizationLog(path=tmp_path / "state", resume=True))
    assert torch.equal(went_on.ws, whole.ws)
    for a, b in zip(went_on.generator.parameters(), whole.generator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_stopped_before_the_first_step_it_can_be_gone_on_with(
    predictor: Predictor, crop: np.ndarray, tmp_path: Path
) -> None:
    run(predictor, crop, OptimizationLog(should_stop=lambda: True, path=tmp_path / "state"))
    went_on = run(predictor, crop, OptimizationLog(path=tmp_path / "state", resume=True))
    assert torch.equal(went_on.ws, run(predictor, crop).ws)


def test_one_log_serves_two_people_in_turn(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    log = OptimizationLog(path=tmp_path / "state")
    run(predictor, crop, log)
    mirrored = np.ascontiguousarray(crop[:, ::-1])
    assert torch.equal(run(predictor, mirrored, log).ws, run(predictor, mirrored).ws)


def test_the_official_protocol_goes_on_too(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    options = {"preset": "official", "config": OFFICIAL}
    whole = run(predictor, crop, **options)
    stop = StopAfter(6)
    run(predictor, crop, OptimizationLog(on_step=stop.done, should_stop=stop.asked, path=tmp_path / "state"), **options)
    went_on = run(predictor, crop, OptimizationLog(path=tmp_path / "state", resume=True), **options)
    assert torch.equal(went_on.ws, whole.ws)
    assert torch.equal(went_on.generator.decoder.output.weight, whole.generator.decoder.output.weight)


def test_a_state_of_another_task_is_refused(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    stop = StopAfter(5)
    run(predictor, crop, OptimizationLog(on_step=stop.done, should_stop=stop.asked, path=tmp_path / "state"))
    with pytest.raises(PanoHeadError, match="of other photos"):
        run(predictor, crop, OptimizationLog(path=tmp_path / "state", resume=True), seed=1)
    with pytest.raises(PanoHeadError, match="of other photos"):
        run(predictor, crop, OptimizationLog(path=tmp_path / "state", resume=True), loss=PyramidLoss(ssim_weight=0.3))
    (tmp_path / "state").write_bytes(b"nothing")
    with pytest.raises(PanoHeadError, match="cannot be continued from"):
        run(predictor, crop, OptimizationLog(path=tmp_path / "state", resume=True))


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


def test_written_and_opened_again(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    found = run(predictor, crop)
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


def test_bad_images_are_told_in_a_sentence(predictor: Predictor, crop: np.ndarray, tmp_path: Path) -> None:
    front = [Camera.orbit()]
    with pytest.raises(PanoHeadError, match="at least 48"):
        predictor.reconstruct([crop[:16, :16]], front, config=QUICK)
    with pytest.raises(PanoHeadError, match="of one colour"):
        predictor.reconstruct([np.full_like(crop, 7)], front, config=QUICK)
    with pytest.raises(PanoHeadError, match="1 photos and 2 cameras"):
        predictor.reconstruct([crop], front * 2, config=QUICK)
    with pytest.raises(PanoHeadError, match="the seed -1 is negative"):
        predictor.reconstruct([crop], front, config=QUICK, seed=-1)
    with pytest.raises(PanoHeadError, match="1 to 8"):
        predictor.reconstruct([crop] * 9, front * 9, config=QUICK)
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    with pytest.raises(PanoHeadError, match=r"no\.jpg is no usable photo"):
        predictor.reconstruct([tmp_path / "no.jpg"], front, config=QUICK)
    with pytest.raises(PanoHeadError, match="does not go with"):
        predictor.reconstruct([crop], front, preset="official", config=QUICK)
    grey = np.repeat(crop.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert "grey" in run(predictor, grey).photos[0].notes[0]
