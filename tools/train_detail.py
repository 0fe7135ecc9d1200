"""Train the demo model's detail after the fit: strands of hair, as strong as the truth has them. A few minutes.

    python tools/train_detail.py RUN/fit/compact.safetensors RUN/detail --people RUN/heads

``RUN/detail/compact.safetensors`` is the fit with the detail, for ``tools/train_texture.py`` (sharper faces) or for
``tools/release_demo.py fit``; ``RUN/detail/sheet.webp`` has the truth above the model.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import tyro
from PIL import Image

from panohead.attributes.vocabulary import standard_vocabulary
from panohead.presets import demo_128
from panohead.training.attribute_fit.compact import load_compact, save_compact
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.detail import DetailConfig, fit_detail
from panohead.training.attribute_fit.evaluate import compare
from panohead.training.attribute_fit.fit import AttributeFit, FitConfig
from panohead.training.attribute_fit.population import spread_well_lit
from panohead.training.attribute_fit.roughness import Roughness, measure_roughness

BATCH = 50


@dataclass(kw_only=True)
class Options:
    """What is trained."""

    fit: tyro.conf.Positional[Path]
    """Compact state of the fit."""
    out: tyro.conf.Positional[Path]
    """Folder of the result."""
    people: Path
    """Dataset of the fit."""
    held_out: Path | None = None
    """Dataset of the sheet's people; None for people of the fit."""
    shots: int = 700
    """Shots that are measured, evenly spread over the well-lit ones of the dataset."""
    views: int = 2
    """Views of each shot that are measured."""
    lights: float = 0.7
    """Share of the shots that are well lit: in dark ones there is little to measure."""
    capacity: int = 3000
    """Number of residual codes of the fit."""
    nice: int = 19
    """Priority, 19 is the lowest."""
    config: DetailConfig = field(default_factory=DetailConfig)
    """Settings of the training."""


def main(options: Options) -> None:
    """Measure, train, write."""
    os.nice(options.nice)
    torch.set_num_threads(1)
    vocabulary = standard_vocabulary()
    fit = AttributeFit(FitConfig(generator=demo_128().generator, vocabulary=vocabulary, people=options.capacity))
    load_compact(fit, options.fit)
    data = GrowingDataset(options.people, vocabulary, limit=options.capacity).refresh()
    shots = spread_well_lit(data, vocabulary, options.lights, options.shots)
    rng = torch.Generator().manual_seed(options.config.seed)
    parts, done = [], 0
    for batch in shots.split(BATCH):
        parts.append(measure_roughness(fit.average, data, batch, views=options.views, rng=rng, vocabulary=vocabulary))
        done += len(batch)
        print(f"{sum(len(p.w) for p in parts)} places of {done} of {len(shots)} shots", flush=True)
    detail = fit.average.generator.surface_detail
    assert detail is not None
    fit_detail(detail.requires_grad_(True), Roughness.joined(parts), options.config)
    options.out.mkdir(parents=True, exist_ok=True)
    save_compact(fit, options.out / "compact.safetensors")
    shown = data if options.held_out is None else GrowingDataset(options.held_out, vocabulary).refresh()
    chosen = torch.linspace(0, shown.count - 1, 6).long()
    sheet = compare(fit.average, shown, chosen, with_residual=options.held_out is None).sheet()
    Image.fromarray(sheet.numpy()).save(options.out / "sheet.webp", quality=90)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
