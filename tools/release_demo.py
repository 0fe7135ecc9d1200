"""Turn a fit or a snapshot of a run into the bundled demo model, ``src/panohead/assets/demo.safetensors`` (float16).

    python tools/release_demo.py fit RUN/fit/compact.safetensors --people RUN/heads --about "One sentence."
    python tools/release_demo.py snapshot RUN/snapshots/kimg-000034.0.safetensors --about "One sentence."
    python tools/release_demo.py encoder RUN/encoder/final.safetensors

A fit (``tools/train_demo.py``) has no mapping network yet: it learns here to give the dataset's kinds of people, and
the attribute encoder goes into the file. A snapshot of ``panohead train`` has one; ``--encoder`` takes the attribute
encoder from another checkpoint. The photo encoder of ``panohead train-encoder --checkpoint demo --network small`` is a
file of its own beside it, with a byte a weight. The model card, ``demo.md``, is written by hand.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import nn

from panohead.attributes.vocabulary import standard_vocabulary
from panohead.checkpoint import load_checkpoint, save_checkpoint, weights_sha256
from panohead.presets import demo_128
from panohead.training.attribute_fit.compact import load_compact, save_beside
from panohead.training.attribute_fit.copula import AttributeCopula
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.fit import AttributeFit, FitConfig
from panohead.training.attribute_fit.population import Population, calm_faces, natural, population_ws, well_lit
from panohead.training.attribute_fit.prior import PriorConfig, fit_mapping

ASSET = Path(__file__).parents[1] / "src" / "panohead" / "assets" / "demo.safetensors"
ENCODER_ASSET = ASSET.with_name("demo_encoder.safetensors")
KEPT_FIT = Path(__file__).parents[1] / "checkpoints" / "demo_128_fit.safetensors"
MAX_BYTES = 12_500_000
POPULATION = 20_000
DROPPED_BITS = 2
"""Last bits of float16 numbers that are not kept."""


@dataclass(kw_only=True)
class Fit:
    """Release a fit of known attributes."""

    compact: tyro.conf.Positional[Path]
    """Compact state of the fit."""
    people: Path
    """Dataset of the fit, from whose people the mapping network is matched."""
    about: str
    """Sentence about the model on the demo's page."""
    out: Path = ASSET
    """File to write."""
    fit: Path | None = None
    """Compact state of the fit before detail and super-resolution, to be kept beside the model in ``checkpoints``."""
    capacity: int = 3000
    """Number of residual codes of the fit."""
    steps: int = PriorConfig().steps
    """Steps of the mapping network."""
    natural: bool = True
    """Leave people with dyed hair, headwear or glasses out of the seeds (``population.natural``), and expressions
    with closed eyes or a gaze aside (``population.calm_faces``)."""
    gray: float = 0.12
    """Maximum share of people with gray hair in the seeds; a third of the dataset's have it."""
    lights: float = 0.08
    """Share of the people's lights that the seeds have: the brightest and least colored ones; 1 for all."""
    exposure: float = 1.35
    """Factor of the seeds' lights: synthetic photos are darker than a photographer's."""


@dataclass(kw_only=True)
class Snapshot:
    """Release a snapshot of ``panohead train``."""

    snapshot: tyro.conf.Positional[Path]
    """Snapshot of a run."""
    about: str
    """Sentence about the model on the demo's page."""
    encoder: Path | None = None
    """Checkpoint whose attribute encoder is kept."""
    out: Path = ASSET
    """File to write."""


@dataclass(kw_only=True)
class Encoder:
    """Release the photo encoder of a run that trained it for the bundled model."""

    trained: tyro.conf.Positional[Path]
    """Result of the run."""
    model: Path = ASSET
    """The model that it was trained for."""
    out: Path = ENCODER_ASSET
    """File to write."""


def release_fit(options: Fit) -> None:
    """Match the mapping network to the people of the dataset and write the file."""
    vocabulary = standard_vocabulary()
    fit = AttributeFit(FitConfig(generator=demo_128().generator, vocabulary=vocabulary, people=options.capacity))
    load_compact(fit, options.compact)
    data = GrowingDataset(options.people, vocabulary, limit=options.capacity).refresh()
    model = fit.average
    population = Population(lights=well_lit(data, vocabulary, options.lights), exposure=options.exposure)
    if options.natural:
        people, calm = natural(data, vocabulary, gray=options.gray), calm_faces(data, vocabulary)
        population = replace(population, people=people, expressions=calm)
    generator = model.generator
    copula = AttributeCopula(vocabulary, population.sections(data, vocabulary), generator.config.z_dim)
    left = fit_mapping(generator, lambda z: model.ws(copula(z), None)[:, 0], PriorConfig(steps=options.steps))
    ws = population_ws(model, data, vocabulary, POPULATION, seed=0, population=population)
    with torch.no_grad():
        z = torch.randn(POPULATION, generator.config.z_dim, generator=torch.Generator().manual_seed(1))
        found = generator.mapping(z, torch.zeros(POPULATION, 25))[:, 0]
    ratio = (found.std(dim=0).norm() / ws.std(dim=0).norm()).item()
    print(f"{data.people} people: {left:.3f} of the variance unexplained, spread {ratio:.3f} of the people's")
    notes = {"about": options.about, "fit_steps": fit.step_count, "people": data.people, "spread": round(ratio, 3)}
    write(options.out, {"G_ema": generator, "attributes": model.encoder}, notes, kimg=None)
    if options.fit is not None:
        save_beside(options.fit, KEPT_FIT, options.out)
        print(f"wrote {KEPT_FIT}: {KEPT_FIT.stat().st_size:,} bytes")


def release_snapshot(options: Snapshot) -> None:
    """Write a snapshot's generator."""
    snapshot = load_checkpoint(options.snapshot)
    networks: dict[str, nn.Module] = {"G_ema": snapshot.generator()}
    if options.encoder is not None:
        encoder = load_checkpoint(options.encoder).attribute_encoder()
        if encoder is None:
            raise SystemExit(f"{options.encoder} holds no attribute encoder")
        networks["attributes"] = encoder
    write(options.out, networks, {**snapshot.notes, "about": options.about}, kimg=snapshot.kimg)


def release_encoder(options: Encoder) -> None:
    """Write the photo encoder alone."""
    trained, model = load_checkpoint(options.trained), load_checkpoint(options.model)
    encoder = trained.photo_encoder()
    if encoder is None:
        raise SystemExit(f"{options.trained} holds no photo encoder")
    if weights_sha256(trained.generator().backbone) != weights_sha256(model.generator().backbone):
        raise SystemExit(f"{options.trained} was trained for another generator than {options.model}")
    notes = {"encoder": trained.notes.get("encoder", {}), "model": model.sha256}
    digest = save_checkpoint(options.out, {"encoder": encoder}, notes=notes, dtype="float16", in_int8=["encoder"])
    print(f"wrote {options.out}: {options.out.stat().st_size:,} bytes, sha256 {digest}")


def shorten(network: nn.Module) -> None:
    """Round all weights to nine significant bits, in place, so that a wheel compresses them: relative error 0.1 %."""
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                integers = value.half().view(torch.int16).int() & 0xFFFF
                # The carry of a mantissa into its exponent is what rounding up needs.
                rounded = (integers + (1 << DROPPED_BITS >> 1)) >> DROPPED_BITS << DROPPED_BITS
                value.copy_(rounded.to(torch.int16).view(torch.float16))


def write(out: Path, networks: dict[str, nn.Module], notes: dict[str, Any], kimg: float | None) -> None:
    """Write the file and print its size."""
    for network in networks.values():
        shorten(network)
    digest = save_checkpoint(out, networks, kimg=kimg, notes=notes, dtype="float16")
    size = out.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{out} has {size:,} bytes, more than {MAX_BYTES:,}")
    print(f"wrote {out}: {size:,} bytes, sha256 {digest}")


Command = (
    Annotated[Fit, tyro.conf.subcommand("fit")]
    | Annotated[Snapshot, tyro.conf.subcommand("snapshot")]
    | Annotated[Encoder, tyro.conf.subcommand("encoder")]
)


def main() -> None:
    options = tyro.cli(Command, description=__doc__)  # type: ignore[arg-type]
    if isinstance(options, Fit):
        release_fit(options)
    elif isinstance(options, Encoder):
        release_encoder(options)
    else:
        release_snapshot(options)


if __name__ == "__main__":
    main()
