"""Predictor, head and frame as a developer uses them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from panohead import Camera, PanoHeadError, load
from panohead.checkpoint import save_checkpoint
from panohead.frame import Frame
from panohead.ops import fast_paths
from panohead.predictor import Predictor, latent


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The tiny generator, saved and loaded."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator()})
    return load(path)


def test_the_readme_example(predictor: Predictor) -> None:
    head = predictor.sample(seed=0, truncation_psi=0.7)
    frame = head.render(Camera.orbit(yaw_deg=135, pitch_deg=10))
    assert frame.image.shape == (3, 128, 128)
    assert frame.image_raw.shape == (3, 16, 16)
    assert frame.depth.shape == frame.mask.shape == (1, 16, 16)
    image = frame.to_pil()
    assert (image.mode, image.size) == ("RGB", (128, 128))
    mesh = head.mesh(resolution=32, level=2.0)
    assert len(mesh.faces) > 50
    assert mesh.visual.kind == "vertex"
    assert mesh.metadata["unit"] == "metre"


def test_seeds_are_the_official_ones_and_reproducible(predictor: Predictor) -> None:
    expected = np.random.RandomState(5).randn(1, 8).astype(np.float32)
    np.testing.assert_array_equal(latent(5, 8), expected)
    first, second = (predictor.sample(3).render(Camera.orbit(20)).image for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, predictor.sample(4).render(Camera.orbit(20)).image)


def test_kept_trigrid_gives_the_same_image_as_a_fresh_one(predictor: Predictor) -> None:
    head = predictor.sample(1)
    first = head.render(Camera.orbit(60)).image
    kept = head.field
    assert head.field is kept
    assert torch.equal(head.render(Camera.orbit(60)).image, first)
    head.forget()
    assert head.field is not kept
    assert torch.equal(head.render(Camera.orbit(60)).image, first)


def test_ws_in_every_shape(predictor: Predictor) -> None:
    head = predictor.sample(2)
    for ws in (head.ws, head.ws[0], head.ws[0, 0]):
        assert torch.equal(predictor.from_w(ws).ws, head.ws)
    with pytest.raises(PanoHeadError, match="do not fit this generator"):
        predictor.from_w(torch.zeros(2, 3, 7))
    with pytest.raises(PanoHeadError, match="do not fit this generator"):
        predictor.from_w(head.ws[0, :2])


def test_truncation_zero_is_the_mean_head(predictor: Predictor) -> None:
    assert torch.equal(predictor.sample(7, truncation_psi=0.0).ws, predictor.mean_head().ws)


def test_interpolation_and_mixing(predictor: Predictor) -> None:
    first, second = predictor.sample(0), predictor.sample(1)
    assert torch.equal(predictor.interpolate(first, second, 0.0).ws, first.ws)
    torch.testing.assert_close(predictor.interpolate(first, second, 0.5).ws, (first.ws + second.ws) / 2)
    mixed = predictor.mix(first, second, [2, 3])
    assert torch.equal(mixed.ws[:, [2, 3]], second.ws[:, [2, 3]])
    assert torch.equal(mixed.ws[:, [0, 1, 4]], first.ws[:, [0, 1, 4]])
    with pytest.raises(PanoHeadError, match="rows of ws go from 0 to 5"):
        predictor.mix(first, second, [6])


def test_background_swap(predictor: Predictor) -> None:
    first, second = predictor.sample(0), predictor.sample(1)
    own, swapped = first.render(Camera.orbit()), first.render(Camera.orbit(), background=second)
    assert torch.equal(own.mask, swapped.mask)
    assert not torch.equal(own.image, swapped.image)


def test_preview_is_the_raw_image(predictor: Predictor) -> None:
    head = predictor.sample(0)
    preview = head.preview(Camera.orbit(10))
    assert torch.equal(preview.image, preview.image_raw)
    assert torch.equal(preview.image_raw, head.render(Camera.orbit(10)).image_raw)


def test_turntable_goes_round(predictor: Predictor) -> None:
    frames = list(predictor.sample(0).turntable(4))
    yaws = [float(frame.camera.angles_deg()[0]) for frame in frames]
    assert [round(abs(yaw)) for yaw in yaws] == [0, 90, 180, 90]


def _half_masked_frame() -> Frame:
    mask = torch.zeros(1, 8, 8)
    mask[:, :, 4:] = 1
    return Frame(torch.full((3, 32, 32), 0.5), torch.zeros(3, 8, 8), torch.zeros(1, 8, 8), mask, Camera.orbit())


def test_cut_out_and_backdrops() -> None:
    frame = _half_masked_frame()
    rgba = np.asarray(frame.to_pil(transparent=True))
    assert rgba.shape == (32, 32, 4)
    assert rgba[0, 0, 3] == 0
    assert rgba[0, 31, 3] == 255
    red = np.asarray(frame.on((255, 0, 0)).to_pil())
    assert tuple(red[0, 0]) == (255, 0, 0)
    assert tuple(red[0, 31]) == (191, 191, 191)
    photo = Image.new("RGB", (100, 50), "blue")
    assert tuple(np.asarray(frame.on(photo).to_pil())[0, 0]) == (0, 0, 255)


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match="there is no checkpoint nowhere"):
        load("nowhere")
    save_checkpoint(tmp_path / "tiny.safetensors", {"G": tiny.generator()})
    with pytest.raises(PanoHeadError, match="device 'cuda:77' cannot be used"):
        load(tmp_path / "tiny.safetensors", device="cuda:77")
    with pytest.raises(PanoHeadError, match=r"device .meta. cannot be used .it holds no numbers"):
        load(tmp_path / "tiny.safetensors", device="meta")


def test_public_names_are_there() -> None:
    import panohead

    for name in panohead.__all__:
        assert getattr(panohead, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        panohead.nothing  # noqa: B018


def test_compiled_and_plain_heads_agree(predictor: Predictor) -> None:
    """The tiny tri-grid has eight channels, which a kept field pads to what the kernel works in."""
    camera, points = Camera.orbit(40, 10), torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    fast, fast_density = predictor.sample(0).render(camera), predictor.sample(0).density(points)
    with fast_paths.plain_only():
        head = predictor.sample(0)
        plain, plain_density = head.render(camera), head.density(points)
    for name in ("image", "image_raw", "mask"):
        torch.testing.assert_close(getattr(fast, name), getattr(plain, name), atol=1e-4, rtol=1e-4)
    # The depth of a ray without weight is one rounding error divided by another; no weight is a mask of -0.001.
    seen = plain.mask > 0
    assert float(seen.float().mean()) > 0.1
    torch.testing.assert_close(fast.depth[seen], plain.depth[seen], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fast_density, plain_density, atol=1e-4, rtol=1e-5)


def test_load_imports_neither_meshes_nor_reconstruction() -> None:
    """Who only renders need not wait for them."""
    code = (
        "import sys\n"
        "from panohead import load\n"
        "unwanted = ('trimesh', 'scipy', 'numba', 'panohead.inversion', 'panohead.interop', 'panohead.training')\n"
        "sys.exit(', '.join(name for name in unwanted if name in sys.modules) or None)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
