"""``panohead interpolate``: a video from head to head."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from panohead.cli.common import VIDEO_SUFFIXES, Model, counting, parse_numbers
from panohead.cli.ranges import check_count
from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer
from panohead.errors import UsageError
from panohead.limits import FPS, FRAMES, PITCH_DEG, TRUNCATION_PSI, YAW_DEG


@dataclass(kw_only=True)
class Interpolate(Model):
    """A video that walks from head to head along a smooth curve in latent space."""

    out: Path
    """Folder for the video."""
    seeds: str = "0-3"
    """Seeds of the heads on the way, in this order: numbers and ranges, such as 0-3,8."""
    truncation_psi: Annotated[float, TRUNCATION_PSI] = 0.7
    """1 for full variety, smaller for typical heads."""
    frames: Annotated[int, FRAMES] = 24
    """Frames from one head to the next."""
    fps: Annotated[float, FPS] = 24.0
    """Frames per second."""
    loop: bool = True
    """Return to the first head at the end."""
    yaw_sweep: Annotated[float, YAW_DEG] = 30.0
    """Degrees by which the camera sways to both sides between two heads."""
    pitch: Annotated[float, PITCH_DEG] = 0.0
    """Height of the camera in degrees."""
    video_format: Literal["mp4", "gif", "webm", "png"] = "mp4"
    """Format of the video; png: a folder of numbered files."""
    watermark: bool = False
    """Also an invisible watermark in images and videos, which survives copies without metadata (panohead verify)."""
    overwrite: bool = False
    """Write into OUT even if it holds results of another command."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Sample the heads and write the video."""
        seeds = check_count(parse_numbers(self.seeds), "--seeds")
        if len(seeds) < 2:
            raise UsageError(f"a walk needs at least two --seeds; give more than {self.seeds}, such as 0-3")
        from panohead.gallery import ViewStyle, write_walk

        predictor = self.load()
        heads = [predictor.sample(seed, truncation_psi=self.truncation_psi) for seed in seeds]
        out = open_results(self.out, "interpolate", overwrite=self.overwrite)
        path = out / f"walk{VIDEO_SUFFIXES[self.video_format]}"
        frames = len(heads) * self.frames if self.loop else (len(heads) - 1) * self.frames + 1
        with counting("rendering", frames) as step:
            write_walk(
                predictor,
                heads,
                path,
                count=self.frames,
                fps=self.fps,
                loop=self.loop,
                yaw_sweep_deg=self.yaw_sweep,
                style=ViewStyle(pitch_deg=self.pitch),
                step=step,
            )
        write_settings(out, "interpolate", self, predictor, seeds)
        answer(f"wrote {path}")
