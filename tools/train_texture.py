"""Train the demo model's super-resolution alone against a discriminator: hair and skin that are not smooth.

    python tools/train_texture.py RUN/fit/compact.safetensors RUN/texture --people RUN/heads

Renders some thousand views of a finished fit once (about 80 ms each), then trains without rays. Stop it at any moment
and run the same command again to resume. ``RUN/texture/compact.safetensors`` is the fit with the new super-resolution,
for ``tools/release_demo.py fit``; ``RUN/texture/sheets`` have the truth above the model.
"""

import json
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import tyro
from PIL import Image

from panohead.attributes.vocabulary import standard_vocabulary
from panohead.files.archive import check_torch_file
from panohead.presets import demo_128
from panohead.system.atomic_write import atomic_path
from panohead.system.malloc import keep_large_buffers
from panohead.training.attribute_fit.compact import load_compact, save_compact
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.evaluate import compare
from panohead.training.attribute_fit.fit import AttributeFit, FitConfig
from panohead.training.attribute_fit.population import spread_well_lit
from panohead.training.attribute_fit.rendered_views import render_views
from panohead.training.attribute_fit.texture import TextureConfig, TextureFit

SAVE_S, REPORT_S = 300.0, 60.0


@dataclass(kw_only=True)
class Options:
    """What is trained."""

    fit: tyro.conf.Positional[Path]
    """Compact state of the fit."""
    out: tyro.conf.Positional[Path]
    """Folder of the run."""
    people: Path
    """Dataset of the fit."""
    shots: int = 500
    """Shots whose views are rendered, evenly spread over the well-lit ones of the dataset."""
    lights: float = 0.7
    """Share of the shots that are well lit: in dark ones there is little to see."""
    steps: int = 9000
    """Steps."""
    decay_steps: int = 1500
    """Number of last steps over which the learning rates fall to a twentieth."""
    capacity: int = 3000
    """Number of residual codes of the fit."""
    nice: int = 19
    """Priority, 19 is the lowest."""
    config: TextureConfig
    """Settings of the training."""


def main(options: Options) -> None:
    """Render, then train until the last step or a signal."""
    os.nice(options.nice)
    keep_large_buffers()
    torch.set_num_threads(1)
    vocabulary = standard_vocabulary()
    fit = AttributeFit(FitConfig(generator=demo_128().generator, vocabulary=vocabulary, people=options.capacity))
    load_compact(fit, options.fit)
    data = GrowingDataset(options.people, vocabulary).refresh()
    shots = spread_well_lit(data, vocabulary, options.lights, options.shots)
    views = render_views(fit.average, data, shots)
    print(f"{views.count} views", flush=True)
    training = TextureFit(options.config, fit.average.generator)
    (options.out / "sheets").mkdir(parents=True, exist_ok=True)
    state = options.out / "state.pt"
    if state.is_file():
        check_torch_file(state)
        training.load_state_dict(torch.load(state, weights_only=True))
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)

    def save() -> None:
        with atomic_path(state) as temporary:
            torch.save(training.state_dict(), temporary)
        current = {k: v.clone() for k, v in training.trained.state_dict().items()}
        training.trained.load_state_dict(training.average.state_dict())
        save_compact(fit, options.out / "compact.safetensors")
        seen = compare(fit.average, data, torch.linspace(0, data.count - 1, 6).long(), with_residual=True)
        Image.fromarray(seen.sheet().numpy()).save(options.out / "sheets" / f"step-{training.step_count:06d}.webp")
        print(f"step {training.step_count}: {float(seen.psnr.mean()):.2f} dB of 6 shots", flush=True)
        training.trained.load_state_dict(current)

    values: dict[str, list[float]] = defaultdict(list)
    now = time.monotonic()
    save_at, report_at, started = now + SAVE_S, now + REPORT_S, (training.step_count, time.process_time())
    while training.step_count < options.steps and not stopped:
        training.rate_factor = min(1.0, max(0.05, (options.steps - training.step_count) / options.decay_steps))
        for name, value in training.step(views).items():
            values[name].append(value)
        now = time.monotonic()
        if now > report_at:
            seconds = (time.process_time() - started[1]) / max(1, training.step_count - started[0])
            means = {name: round(sum(x) / len(x), 4) for name, x in values.items()}
            print(json.dumps({"step": training.step_count, "cpu_s_per_step": round(seconds, 3), **means}), flush=True)
            values.clear()
            report_at, started = time.monotonic() + REPORT_S, (training.step_count, time.process_time())
        if now > save_at:
            save()
            save_at = time.monotonic() + SAVE_S
    save()


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
