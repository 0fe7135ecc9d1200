"""The switch between exact and fast numbers on a GPU, and half precision emulated on the CPU."""

import copy
from collections.abc import Iterator

import pytest
import torch

from panohead import load
from panohead.geometry import Camera
from panohead.head import Head
from panohead.models.generator import Generator
from panohead.models.precision import use_half_precision
from panohead.ops.precision import set_precision
from panohead.stylegan import synthesis
from panohead.stylegan.layers import HalfType
from panohead.stylegan.synthesis import SynthesisBlock


@pytest.fixture
def switches() -> Iterator[None]:
    """Restore the process's switches."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    yield
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


@pytest.mark.usefixtures("switches")
def test_the_switch() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    set_precision("speed", fixed_shapes=True)
    assert matmul.allow_tf32
    assert cudnn.allow_tf32
    assert cudnn.benchmark
    set_precision("parity")
    assert not matmul.allow_tf32
    assert not cudnn.allow_tf32
    assert not cudnn.benchmark
    assert not matmul.allow_fp16_reduced_precision_reduction


def test_on_a_cpu_speed_is_parity() -> None:
    exact, fast = (load("demo", precision=precision).sample(1) for precision in ("parity", "speed"))
    assert torch.equal(exact.render(Camera.orbit(20)).image, fast.render(Camera.orbit(20)).image)


@pytest.mark.parametrize(("half_dtype", "image", "mask"), [("float16", 0.03, 0.03), ("bfloat16", 0.22, 0.12)])
def test_error_of_half_precision(
    half_dtype: HalfType, image: float, mask: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the demo model's image and mask, blocks computing on the CPU in the type that a GPU takes.

    The limits leave room above what two demo models showed (0.006 and 0.006, 0.096 and 0.033), as weights may change.
    """
    generator = load("demo").generator
    half = copy.deepcopy(generator)
    use_half_precision(half, half_dtype)
    blocks = [b for b in half.modules() if isinstance(b, SynthesisBlock)]
    assert sum(b.use_fp16 for b in blocks) == 5  # 16 to 64 of the backbone, and super-resolution

    def render(generator: Generator) -> tuple[torch.Tensor, torch.Tensor]:
        w = load("demo").sample(0).ws
        frame = Head(generator, w).render(Camera.orbit(30, 5))
        return frame.image, frame.mask

    exact = render(generator)
    monkeypatch.setattr(
        synthesis, "computing_dtype", lambda half, dtype, device: getattr(torch, dtype) if half else torch.float32
    )
    found = render(half)
    for a, b, limit in zip(found, exact, (image, mask), strict=True):
        assert 0 < float((a - b).abs().max()) < limit
