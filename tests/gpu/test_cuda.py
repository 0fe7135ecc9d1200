"""On a CUDA device: the same numbers as on the CPU, in single and, within its precision, in half precision."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from models.official_cases import draws, golden_generator, mixed_ws
from panohead.cli.main import main
from panohead.geometry import Camera
from panohead.head import Head
from panohead.predictor import Predictor
from parity import golden

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(autouse=True)
def _full_precision() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@pytest.mark.parametrize("name", ["gen_p2", "gen_p3"])
def test_golden_numbers(name: str) -> None:
    generator = golden_generator(name).cuda()
    generator.superresolution.block0.use_fp16 = generator.superresolution.block1.use_fp16 = False
    ws, label = mixed_ws(name, generator.cpu()).cuda(), golden.tensor(name, "c").cuda()
    generator.cuda()
    resolution = 32 if name == "gen_p2" else 16
    result = generator.synthesis(ws, label, neural_rendering_resolution=resolution, **draws(len(ws), resolution, 12))
    golden.assert_close(name, f"r{resolution}_const/image_raw_before_sr", result.image_raw, strict=False)
    golden.assert_close(name, f"r{resolution}_const/mask", result.mask, strict=False)


def test_half_precision_super_resolution_is_near() -> None:
    generator = tiny.generator(
        config=replace(tiny.CONFIG, superresolution=replace(tiny.CONFIG.superresolution, channels=None))
    )
    z, label = torch.randn(1, 8, generator=torch.Generator().manual_seed(0)), Camera.orbit(20).expand(1).to_label()
    on_cpu = generator(z, label, ray_jitter=0.5, importance_u=0.5)
    on_gpu = generator.cuda()(z.cuda(), label.cuda(), ray_jitter=0.5, importance_u=0.5)
    scale = float(on_cpu.image.std())
    assert float((on_gpu.image.cpu() - on_cpu.image).abs().max()) < 0.05 * scale
    torch.testing.assert_close(on_gpu.mask.cpu(), on_cpu.mask, atol=1e-4, rtol=0)


def test_head_and_mesh() -> None:
    head = Predictor(tiny.generator().cuda()).sample(0)
    assert isinstance(head, Head)
    assert head.render(Camera.orbit(90)).to_pil().size == (128, 128)
    assert len(head.mesh(resolution=32, level=2.0).faces) > 50


@pytest.mark.parametrize("half_dtype", ["float16", "bfloat16"])
def test_a_short_training_run(half_dtype: str, tmp_path: Path) -> None:
    """Whole steps with R1 and augmentation on the device, the dataset cached there, in half precision."""
    heads = Path(__file__).parents[1] / "training" / "heads"
    run = tmp_path / "run"
    settings = ["tick_kimg=0.064", "metric_images=16", "data.cache=device", 'augment={"probability": 0.5}']
    settings += ["generator.superresolution.half_precision=true", "discriminator.num_fp16_resolutions=2"]
    settings += [f"generator.superresolution.half_dtype={half_dtype}", f"discriminator.half_dtype={half_dtype}"]
    arguments = ["train", "--preset", "tiny", "--data", str(heads), "--out", str(run), "--kimg", "0.128", "--quiet"]
    assert main([*arguments, "--device", "cuda", "--set", *settings]) == 0
    last = json.loads((run / "stats.jsonl").read_text().splitlines()[-1])
    assert last["nimg"] == 128
    assert last["nonfinite_gradients"] == 0
