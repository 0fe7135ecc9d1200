"""Train the network that knows heads (parts, landmarks, attributes), measure it on held-out people, and store it.

    panohead synthesize --people 700 --expressions 2 --views 6 --resolution 128 --seed 20 --parts --out HEADS
    panohead synthesize --people 40 --expressions 2 --views 6 --resolution 128 --seed 9000 --parts --out HELD_OUT
    python tools/train_head_parts.py HEADS --held-out HELD_OUT --out RUN                # about 30 CPU minutes
    python tools/train_head_parts.py HEADS --held-out HELD_OUT --out RUN --bundle       # RUN's network into the package

Folders may still grow; what is annotated when the training starts is taken. It can be killed and started again:
``RUN/state.pt`` is written every minute or so. ``RUN/metrics.json`` has the figures.
"""

import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import tyro

from panohead.perceptual.head_parts_file import bundled_file, load_head_parts, save_head_parts
from panohead.system.atomic_write import atomic_path
from panohead.training.head_parts import AnnotatedViews, PartsFit, PartsTrainConfig, evaluate_parts

_SAVE_EVERY = 100  # steps


@dataclass(kw_only=True)
class Options:
    """Train the network that knows heads."""

    dataset: tyro.conf.Positional[Path]
    """Dataset of ``panohead synthesize`` of 128 pixels."""
    held_out: Path
    """Dataset of people who are not in the training."""
    out: Path
    """Folder of the run; an unfinished one is continued."""
    parts: Path | None = None
    """Folder with part maps and landmarks of the dataset, where they lie apart from it."""
    held_out_parts: Path | None = None
    """The same of the held-out people."""
    config: PartsTrainConfig = field(default_factory=PartsTrainConfig)
    """Settings."""
    start: Path | None = None
    """Run (its ``state.pt``) whose network the training starts from, as far as sizes agree; None for random weights."""
    bundle: bool = False
    """Copy the finished network into the package."""


def started_from(run: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a run."""
    weights: dict[str, torch.Tensor] = torch.load(run / "state.pt", weights_only=True)["network"]
    return weights


def train(options: Options) -> PartsFit:
    """Train to the end; resume where a state is."""
    began = time.monotonic()
    views = AnnotatedViews.read(options.dataset, options.parts)
    print(
        f"{len(views)} views of {len(set(views.person.tolist()))} people in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    fit = PartsFit(views, options.config, options.start and started_from(options.start))
    state = options.out / "state.pt"
    if state.is_file():
        fit.load_state_dict(torch.load(state, weights_only=True))
    while fit.step_count < options.config.steps:
        losses = fit.step()
        if fit.step_count % 20 == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            print(f"step {fit.step_count}: {shown}, {time.process_time():.0f} CPU s", flush=True)
        if fit.step_count % _SAVE_EVERY == 0 or fit.step_count == options.config.steps:
            with atomic_path(state) as temporary:
                torch.save(fit.state_dict(), temporary)
    return fit


def main(options: Options) -> None:
    """Train, store, measure what was stored."""
    options.out.mkdir(parents=True, exist_ok=True)
    network_file = options.out / "head_parts.safetensors"
    fit = train(options)
    people = len(set(fit.views.person.tolist()))
    notes = {"config": asdict(options.config), "views": len(fit.views), "people": people}
    network = fit.network.to(memory_format=torch.contiguous_format).eval().fold()  # type: ignore[call-overload]
    save_head_parts(network, network_file, notes)
    network = load_head_parts(network_file)
    held_out = AnnotatedViews.read(options.held_out, options.held_out_parts)
    figures = {
        **notes,
        "cpu_s": round(time.process_time()),
        "renders": evaluate_parts(network, held_out),
        "photographed": evaluate_parts(network, held_out, options.config),
    }
    (options.out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))
    if options.bundle:
        shutil.copyfile(network_file, bundled_file())


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
