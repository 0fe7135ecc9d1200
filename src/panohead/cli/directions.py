"""``panohead directions``: directions in w of any generator, found without labels."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from panohead.cli.common import Model, counting
from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say
from panohead.limits import SEED, TRUNCATION_PSI, NumberRange

if TYPE_CHECKING:
    from panohead.directions.statistics import LandmarkFinder

_HEADS = NumberRange(20, 100_000, "heads")
_PRINCIPAL = NumberRange(0, 64)
FILE = "directions.safetensors"


@dataclass(kw_only=True)
class FindDirections(Model):
    """Principal and named directions of a model's heads, for generate --directions; needs no labels."""

    out: Path
    """Folder for directions.safetensors and a sheet of strips."""
    method: Literal["ganspace", "sefa"] = "ganspace"
    """Principal directions of the heads' w (GANSpace) or of the layers' weights (SeFa)."""
    principal: Annotated[int, _PRINCIPAL] = 10
    """Number of principal directions."""
    heads: Annotated[int, _HEADS] = 200
    """Random heads that are rendered for the named directions (brightness, warmth, hair_length, width, smile, ...)."""
    landmarks: bool = True
    """Also smile and mouth_open, where MediaPipe is installed (the extra 'face')."""
    truncation_psi: Annotated[float, TRUNCATION_PSI] = 0.8
    """Truncation of these heads."""
    seed: Annotated[int, SEED] = 0
    """Seed of all random numbers."""
    overwrite: bool = False
    """Write into OUT even if it holds results of another command."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Find the directions, write them and a sheet of strips, and print what was measured."""
        from panohead.directions import DirectionSettings, find_directions, save_directions
        from panohead.directions.find import steps_of
        from panohead.directions.strips import write_direction_strips

        predictor = self.load()
        settings = DirectionSettings(
            method=self.method,
            principal=self.principal,
            heads=self.heads,
            truncation_psi=self.truncation_psi,
            seed=self.seed,
        )
        out = open_results(self.out, "directions", overwrite=self.overwrite)
        landmarks = self._landmarks()
        with counting("rendering heads", steps_of(settings, with_landmarks=landmarks is not None)) as step:
            found = find_directions(predictor, settings, landmarks=landmarks, step=step)
        save_directions(found, out / FILE)
        write_direction_strips(predictor, found, out / "directions.png", seed=self.seed)
        write_settings(out, "directions", self, predictor)
        for name, figures in found.figures.items():
            others = {other: value for other, value in figures["moved"].items() if other != name}
            most = max(others, key=lambda other: abs(others[other]), default="")
            beside = f"; beside it {most} {others[most]:+.2f}" if most else ""
            say(f"{name}: moves by {figures['moved'][name]:+.2f}, correlation {figures['correlation']:.2f}{beside}")
        answer(f"wrote {len(found.names)} directions to {out / FILE}; set them with generate --directions {out / FILE}")

    def _landmarks(self) -> "LandmarkFinder | None":
        """Return a function that finds landmarks; None, said in a sentence, where MediaPipe is not installed."""
        from panohead.alignment.face_landmarks import MediaPipeFaces, import_mediapipe
        from panohead.errors import PanoHeadError

        if not self.landmarks:
            return None
        try:
            import_mediapipe()
        except PanoHeadError:
            say("without MediaPipe (the extra 'face') there are no directions of smile and mouth_open")
            return None
        faces = MediaPipeFaces()
        return lambda pixels: next(iter(faces.faces(pixels, 1)), None)
