"""Measure what breaks a photo encoder first: each family of its augmentation alone, on people it was not trained on.

    python tools/measure_degradation.py RUN/heldout --checkpoint demo --strength 2 --json degradation.json

Prints, for photos as they are and for each family at this strength (1 is made for ordinary photos), the error of w and
of the attributes as a share of that of the mean head (0 is perfect, 1 no better than the mean), and PSNR at another
view of the same person. The last row has all families at strength 1.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from panohead import load
from panohead.predictor import Predictor
from panohead.training.photo_encoder.augmentation.config import FAMILIES, PhotoAugmentation
from panohead.training.photo_encoder.config import EncoderTrainConfig
from panohead.training.photo_encoder.evaluate import EncoderScore, score
from panohead.training.photo_encoder.rendered import RenderedSamples
from panohead.training.photo_encoder.samples import (
    EncoderSample,
    SampleSource,
    StoredSample,
    read_samples,
    render_samples,
)


@dataclass
class Options:
    """What is measured."""

    people: tyro.conf.Positional[Path]
    """Dataset of people who were not in the training."""
    checkpoint: str = "demo"
    """Checkpoint with a photo encoder."""
    photos: int = 240
    """Number of photos, evenly spread over the dataset."""
    images: int = 48
    """Number of them whose other view is rendered."""
    strength: float = 2.0
    """Strength of each family alone."""
    seed: int = 0
    """Seed of the augmentation."""
    json: Path | None = None
    """File for the figures."""


class Thinned:
    """Some samples of a source, evenly spread."""

    def __init__(self, source: SampleSource, count: int) -> None:
        self.name, self.source = source.name, source
        self.count = min(count, source.count)

    def sample(self, number: int) -> EncoderSample:
        """Return one of them."""
        return self.source.sample(number * self.source.count // self.count)


def samples(options: Options, predictor: Predictor) -> list[StoredSample]:
    """Return photos of the people, each with another view of the same shot."""
    w_dim = predictor.generator.config.w_dim
    everybody = RenderedSamples(options.people, 0, predictor.attribute_encoder, EncoderTrainConfig(), w_dim=w_dim)
    source = Thinned(everybody, options.photos)
    with tempfile.TemporaryDirectory() as folder:
        for _ in render_samples(source, Path(folder), lambda: False):
            pass
        return read_samples(source, Path(folder))


def main(options: Options) -> None:
    """Measure and print a line per family."""
    predictor = load(options.checkpoint)
    encoder = predictor.photo_encoder
    if encoder is None:
        raise SystemExit(f"{options.checkpoint} has no photo encoder")
    known = samples(options, predictor)
    trials = {"none": PhotoAugmentation(strength=0.0)}
    trials |= {family: PhotoAugmentation.only(family, options.strength) for family in FAMILIES}
    trials["all, strength 1"] = PhotoAugmentation()
    print(f"{len(known)} photos; {'augmentation':17s} error of w, of attributes, PSNR at another view")
    found: dict[str, EncoderScore] = {}
    for name, augmentation in trials.items():
        row = score(encoder, predictor.generator, known, augmentation, seed=options.seed, images=options.images)
        found[name] = row
        print(f"{name:17s} {row.w_error:.3f} {row.attribute_error:.3f} {row.second_psnr_db:.2f} dB", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps({name: row.to_json() for name, row in found.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
