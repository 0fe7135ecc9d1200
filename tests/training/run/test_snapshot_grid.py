"""The grid of heads: images in their places, equal every time, and training is not affected."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.head import Head
from panohead.media import is_marked_synthetic, mask_to_pil, to_pil
from panohead.models.generator import Generator
from panohead.training.run.snapshot_grid import snapshot_grid

CELL, PADDING = 128, 4
YAWS = (0, 45, 270)


def latents(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, tiny.CONFIG.z_dim, generator=torch.Generator().manual_seed(seed))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def cells(path: Path, lines: int, columns: int) -> np.ndarray:
    """The cells of a grid, "line column height width 3"; labels lie left of and above them."""
    sheet = pixels(path)
    pitch = CELL + PADDING
    body = sheet[sheet.shape[0] - lines * pitch :, sheet.shape[1] - columns * pitch :]
    return body.reshape(lines, pitch, columns, pitch, 3).transpose(0, 2, 1, 3, 4)[:, :, :CELL, :CELL]


@pytest.fixture(scope="module")
def network() -> Generator:
    return tiny.generator()


def test_every_cell_is_its_head_from_its_side(network: Generator, tmp_path: Path) -> None:
    z = latents(2)
    path = snapshot_grid(network, z=z, truncation_psi=0.6, file=tmp_path / "grid.png", yaws_deg=YAWS)
    assert path == tmp_path / "grid.png"
    assert is_marked_synthetic(path)
    grid = cells(path, 6, len(YAWS)).astype(int)
    front = Camera.orbit().to_label()[None]
    for i in range(2):
        head = Head(network, network.mapping(z[i : i + 1], front, truncation_psi=0.6))
        for j, yaw in enumerate(YAWS):
            frame = head.render(Camera.orbit(yaw))
            # A byte may round the other way where views are computed together.
            assert np.abs(grid[3 * i, j] - np.asarray(to_pil(frame.image))).max() <= 1
            size = frame.mask.shape[-1]
            step = slice(CELL // size // 2, None, CELL // size)
            weights = (frame.mask + 0.001) / 1.002
            assert np.abs(grid[3 * i + 2, j, step, step, 0] - np.asarray(mask_to_pil(weights))).max() <= 1
            depth = grid[3 * i + 1, j, step, step]
            empty, solid = frame.mask[0].numpy() < 0.002, frame.mask[0].numpy() > 0.999
            assert (depth[empty] >= 254).all()
            # Near is dark and blue, far light and yellow: red plus green rises with depth.
            if solid.sum() > 20 and frame.depth[0].numpy()[solid].std() > 0.02:
                lightness = depth[solid][:, :2].sum(axis=1)
                assert np.corrcoef(lightness, frame.depth[0].numpy()[solid])[0, 1] > 0.8


def test_equal_every_time_and_however_many_views_at_once(network: Generator, tmp_path: Path) -> None:
    def grid(name: str, batch: int, seed: int = 0) -> np.ndarray:
        file = tmp_path / f"{name}.png"
        return pixels(snapshot_grid(network, z=latents(1, seed), file=file, yaws_deg=YAWS, batch=batch))

    first = grid("first", 3)
    assert np.array_equal(grid("again", 3), first)
    assert np.abs(grid("one", 1).astype(int) - first).max() <= 1
    assert np.abs(grid("two", 2).astype(int) - first).max() <= 1
    assert not np.array_equal(grid("other", 3, seed=1), first)


def test_eight_sides_unless_told_otherwise(network: Generator, tmp_path: Path) -> None:
    eight = snapshot_grid(network, z=latents(1), file=tmp_path / "grid.webp")
    assert 8 * CELL < pixels(eight).shape[1] < 9.5 * CELL


def test_it_leaves_no_trace(tmp_path: Path) -> None:
    # With density noise and noisy super-resolution, which would draw random numbers.
    config = replace(
        tiny.CONFIG,
        rendering=replace(tiny.CONFIG.rendering, density_noise=0.5),
        superresolution=replace(tiny.CONFIG.superresolution, noise_mode="random"),
    )
    network = tiny.generator(config=config).train().requires_grad_(True)
    network.backbone.eval()  # a mode that is not the same everywhere
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = snapshot_grid(network, z=latents(1), file=tmp_path / "a.png", yaws_deg=(0, 180))
    second = snapshot_grid(network, z=latents(1), file=tmp_path / "b.png", yaws_deg=(0, 180))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert np.array_equal(pixels(first), pixels(second))
    assert [module.training for module in network.modules()] == modes
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.is_grad_enabled()


def test_the_mode_comes_back_after_a_failure(tmp_path: Path) -> None:
    network = tiny.generator().train()
    with pytest.raises(Exception, match=r"shape|dim|size"):
        snapshot_grid(network, z=torch.zeros(1, 3), file=tmp_path / "grid.png")
    assert all(module.training for module in network.modules())


def test_weights_that_are_not_numbers_still_give_a_image(tmp_path: Path) -> None:
    network = tiny.generator()
    network.backbone.requires_grad_(False)
    next(network.backbone.parameters()).fill_(float("nan"))
    assert snapshot_grid(network, z=latents(1), file=tmp_path / "grid.png", yaws_deg=(0,)).is_file()


def test_options(network: Generator, tmp_path: Path) -> None:
    plain = snapshot_grid(network, z=latents(1), file=tmp_path / "a.png", yaws_deg=(0, 90))
    for name, options in {
        "pitch": {"pitch_deg": 40.0},
        "label": {"conditioning_label": torch.zeros(1, 25)},
        "rays": {"neural_rendering_resolution": 8},
        "title": {"title": "after 4 kimg"},
    }.items():
        changed = snapshot_grid(network, z=latents(1), file=tmp_path / f"{name}.png", yaws_deg=(0, 90), **options)
        assert not np.array_equal(pixels(changed), pixels(plain)), name


def test_many_heads_fit_into_a_webp(network: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panohead.training.run.snapshot_grid._MAX_SHEET", 400)
    path = snapshot_grid(network, z=latents(3), file=tmp_path / "grid.webp", yaws_deg=(0,))
    assert 300 < max(pixels(path).shape[:2]) <= 400 + 30  # nine lines, and labels
    assert is_marked_synthetic(path)


def test_a_folder_that_cannot_be_made_is_one_sentence(network: Generator, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PanoHeadError, match="file"):
        snapshot_grid(network, z=latents(1), file=tmp_path / "file" / "grid.png", yaws_deg=(0,))
