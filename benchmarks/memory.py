"""Peak memory of commands at the paper's size (512 pixels, random weights), each in a process of its own.

    python benchmarks/memory.py [--only generate reconstruct] [--json FILE]

Resident memory at its peak (VmHWM), from the command's own process: ``panohead`` is run as users run it, on a
full-size checkpoint in a temporary folder. ``reconstruct`` takes so few steps of every phase that each of them
reaches its peak; training takes one step at batch 1 without R1. Linux only (/proc).
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from rows import Row, write_rows

from panohead.checkpoint import save_checkpoint
from panohead.geometry import Camera
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig

_PEAK = """
def peak_gb():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e9
"""
_COMMAND = (
    """
import sys
from panohead.cli.main import main
code = main(sys.argv[1:])
assert code == 0, code
"""
    + _PEAK
    + "print('peak', peak_gb())"
)
_IMPORT = "import panohead\n" + _PEAK + "print('peak', peak_gb())"
_RECONSTRUCT = (
    """
import sys
from dataclasses import replace
import numpy as np
from panohead import Camera, load
from panohead.inversion import FastConfig, OfficialConfig
from panohead.system.malloc import keep_large_buffers
keep_large_buffers()
preset, checkpoint = sys.argv[1:]
rng = np.random.default_rng(0)
crop, mask = rng.integers(0, 256, (512, 512, 3), np.uint8), np.zeros((512, 512), np.uint8)
mask[96:-32, 128:-128] = 255
few = {"tuning_steps": 4}
if preset == "fast":
    config = FastConfig(starts=1, coarse_steps=1, fine_steps=2, coarse_tuning_ratio=0.5, w_samples=64, **few)
else:
    config = OfficialConfig(steps=2, w_samples=64, **few)
load(checkpoint).reconstruct([crop], [Camera.orbit(10)], masks=[mask], preset=preset, config=config)
"""
    + _PEAK
    + "print('peak', peak_gb())"
)
_TRAIN = (
    """
from dataclasses import replace
import torch
from panohead.presets import panohead_512
from panohead.system.malloc import keep_large_buffers
sys_path = __import__("sys").path
sys_path.insert(0, __import__("sys").argv[1])
from training import updates
keep_large_buffers()
config = panohead_512()
discriminator = replace(config.discriminator, mbstd_group_size=1)
config = replace(config, batch=1, micro_batch=1, discriminator=discriminator)
work = updates(config, torch.device("cpu"))
for name in ("generator", "fakes", "photos"):
    work[name]()
"""
    + _PEAK
    + "print('peak', peak_gb())"
)


def peak_gb(code: str, *arguments: str) -> float:
    """Run Python code in a process of its own and return the peak that it prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split("peak")[-1])


def cases(checkpoint: Path, out: Path) -> dict[str, Callable[[], float]]:
    """Return the measured commands by name."""
    model = ["--checkpoint", str(checkpoint), "--out", str(out)]

    def generate(*more: str) -> float:
        return peak_gb(_COMMAND, "generate", *model, "--seeds", "0", "--no-contact-sheet", *more)

    def reconstruct(preset: str) -> float:
        return peak_gb(_RECONSTRUCT, preset, str(checkpoint))

    return {
        "import panohead": lambda: peak_gb(_IMPORT),
        "generate, one view": lambda: generate("--yaws", "0"),
        "generate, video of 4 frames": lambda: generate("--yaws", "0", "--turntable", "--frames", "4"),
        "generate, mesh 256": lambda: generate("--yaws", "0", "--mesh", "ply", "--mesh-level", "0.5"),
        "interpolate, 2 frames": lambda: peak_gb(_COMMAND, "interpolate", *model, "--seeds", "0-1", "--count", "1"),
        "reconstruct, fast": lambda: reconstruct("fast"),
        "reconstruct, official": lambda: reconstruct("official"),
        "train, a step at batch 1": lambda: peak_gb(_TRAIN, str(Path(__file__).parent)),
    }


def main() -> None:
    """Measure and print, a line a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="words that the command's name must contain")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "full.safetensors"
        generator = Generator(GeneratorConfig())
        generator.mapping_network.w_avg.copy_(
            generator.mapping(torch.randn(64, 512), Camera.orbit().expand(64).to_label())[:, 0].detach().mean(dim=0)
        )
        with torch.no_grad():
            generator.decoder.output.weight[0] *= 10  # so that there is something opaque
        save_checkpoint(checkpoint, {"G_ema": generator})
        del generator
        for name, measure in cases(checkpoint, Path(folder) / "out").items():
            if arguments.only and not any(word in name for word in arguments.only):
                continue
            found = measure()
            rows.append(Row(name, "GB", {"peak": [found]}))
            print(f"{name:32}{found:6.2f} GB", flush=True)
    if arguments.json:
        write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
