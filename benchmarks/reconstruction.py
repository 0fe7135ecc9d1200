"""Quality and speed of ``panohead reconstruct``: one row per method, on synthetic people that were not in training.

    python benchmarks/reconstruction.py --checkpoint demo --people 20 --out reconstruction.jsonl

The input is one photo, frontal or from ``--yaw`` (or three: front and both sides of the back); every view is compared
with the ground truth in the frame of the first photo's camera: PSNR, SSIM, the loss without weights, mask, depth and,
in profile, the line from forehead to chin. OUT gets one line per person and method, so that a stopped benchmark
resumes. Time is CPU seconds of this process on one thread.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from held_out_people import TrueView, true_views
from interleaved import median_interval
from profile_line import profile_error_mm
from rows import Row, write_rows
from torch import Tensor

from panohead.evaluation.ground_truth.geometry import depth_errors
from panohead.geometry import Camera
from panohead.inversion import FastConfig, OfficialConfig, OptimizationCallbacks, OptimizationStep, ReconstructedHead
from panohead.inversion.fast_config import SYMMETRY_WEIGHT
from panohead.inversion.losses import PyramidLoss, psnr_db, ssim
from panohead.inversion.quick_preset import QuickConfig
from panohead.media.images import from_uint8
from panohead.predictor import Predictor, load
from panohead.synthetic.config import NEWEST_EDITION

SEED = 77
BEFORE = FastConfig(attribute_search=False, local_tuning=False, symmetry_weight=0.0, geometry_weight=0.0)
"""Search in w alone and tuning of weights: ``fast`` before it searched among people and tuned position maps."""
A_THIRD = FastConfig(coarse_steps=26, fine_steps=10, tuning_steps=17)
HELD_OUT_DEG = (30.0, -30.0, 60.0, -60.0, 90.0, -90.0, 180.0)
THREE_DEG = (0.0, 130.0, -130.0)
PHOTO_SIDE = 256


@dataclass
class StepTimer:
    """CPU seconds and the input view's loss after every step."""

    begin: float = field(default_factory=time.process_time)
    trace: list[tuple[float, str, float]] = field(default_factory=list)

    def record(self, step: OptimizationStep) -> None:
        loss = step.losses.get("perceptual", step.losses.get("picture"))
        if loss is not None:
            self.trace.append((time.process_time() - self.begin, step.phase, loss))

    @property
    def end(self) -> float:
        """Time of the last step; until now for a method without steps."""
        return self.trace[-1][0] if self.trace else time.process_time() - self.begin


@dataclass(frozen=True)
class Method:
    """One method of the comparison.

    Attributes:
        yaws_deg: yaw of every photo; a single one is turned by ``--yaw``.
        preset: preset of ``panohead reconstruct``.
        start: start of the search; None for the default.
        config: function from the rows of the same person's earlier methods to the configuration.
    """

    yaws_deg: tuple[float, ...] = (0.0,)
    preset: str = "fast"
    start: str | None = None
    config: Callable[[dict[str, Any]], Any] = lambda _: FastConfig()


def _same_steps(done: dict[str, Any]) -> OfficialConfig:
    half = max(done["fast"]["steps"] // 2, 1)
    return OfficialConfig(steps=half, tuning_steps=half)


def _same_time(done: dict[str, Any]) -> OfficialConfig:
    a_step = done["official"]["seconds"] / 1000
    half = max(round(done["fast"]["seconds"] / a_step / 2), 1)
    return OfficialConfig(steps=half, tuning_steps=half)


METHODS = {
    "official": Method(preset="official", config=lambda _: OfficialConfig()),
    "fast": Method(),
    "official, steps of fast": Method(preset="official", config=_same_steps),
    "official, time of fast": Method(preset="official", config=_same_time),
    "fast, unseen sides free": Method(config=lambda _: FastConfig(unseen_weight=0.0)),
    "fast, three photos": Method(yaws_deg=THREE_DEG),
    "encoder alone": Method(preset="quick", config=lambda _: QuickConfig()),
    "fast, from the mean": Method(start="mean"),
    "fast, a third of the steps": Method(config=lambda _: A_THIRD),
    "fast, from the mean, a third of the steps": Method(config=lambda _: A_THIRD, start="mean"),
    "before": Method(config=lambda _: BEFORE, start="random"),
    "before, search alone": Method(config=lambda _: replace(BEFORE, tuning_steps=0), start="random"),
    "fast, search alone": Method(config=lambda _: FastConfig(tuning_steps=0)),
    "fast, weights tuned": Method(config=lambda _: FastConfig(local_tuning=False)),
    "fast, geometry free": Method(config=lambda _: FastConfig(geometry_weight=0.0)),
    "fast, super-resolution tuned": Method(config=lambda _: FastConfig(superresolution_learning_rate=0.004)),
    "fast, super-resolution kept": Method(config=lambda _: FastConfig(superresolution_learning_rate=0.0)),
    "fast, mirrored photo": Method(config=lambda _: FastConfig(symmetry_weight=SYMMETRY_WEIGHT)),
}


def run_person(
    predictor: Predictor, views: dict[float, TrueView], method: Method, done: dict[str, Any], turn: float
) -> Any:
    """Reconstruct one person with one method, a single photo from yaw ``turn``; return a row of measures."""
    yaws = (turn,) if method.yaws_deg == (0.0,) else method.yaws_deg
    chosen = [views[yaw] for yaw in yaws]
    timer = StepTimer()
    head = predictor.reconstruct(
        [view.pixels for view in chosen],
        [view.camera for view in chosen],
        masks=[view.mask for view in chosen],
        preset=method.preset,
        start=method.start,
        config=method.config(done),
        callbacks=OptimizationCallbacks(on_step=timer.record),
    )
    seconds = timer.end
    return {
        "seconds": seconds,
        "steps": len(timer.trace),
        "input_loss": float(np.median([loss for _, _, loss in timer.trace[-10:]])) if timer.trace else float("nan"),
        "trace": [(round(t, 3), phase, round(loss, 5)) for t, phase, loss in timer.trace],
        "views": {str(yaw): _compare(head, views, yaw) for yaw in (0.0, *HELD_OUT_DEG)},
        "photo": _compare(head, views, yaws[0]),
    }


def _compare(head: ReconstructedHead, views: dict[float, TrueView], yaw: float) -> dict[str, float]:
    truth = views[yaw]
    # Camera refinement changes the frame of the whole head; the truth's cameras change with it.
    refined, given = head.cameras[0].cam2world, head.photos[0].camera.cam2world
    camera = Camera(refined @ torch.linalg.inv(given) @ truth.camera.cam2world, truth.camera.intrinsics)
    frame = head.render(camera)
    side, rays = frame.image.shape[-1], frame.depth.shape[-1]
    wanted = _area(from_uint8(truth.pixels), side)
    mask = _area(torch.from_numpy(truth.mask).float()[None] / 255, rays)[0] > 0.5
    found_mask = frame.mask[0] > 0.5
    both = mask & found_mask & truth.solid
    depth = depth_errors(frame.depth[0], truth.depth, both)
    image = frame.image.clamp(-1, 1)
    return {
        "loss": float(PyramidLoss().toward(wanted[None])(image[None])),
        "profile_mm": profile_error_mm(
            frame.mask[0], _area(torch.from_numpy(truth.mask).float()[None] / 255, rays)[0], yaw
        ),
        "psnr_db": psnr_db(frame.image.clamp(-1, 1), wanted),
        "ssim": float(ssim(frame.image.clamp(-1, 1)[None], wanted[None])),
        "iou": float((mask & found_mask).sum() / (mask | found_mask).sum()),
        "depth": depth.absolute,
    }


def _area(image: Tensor, side: int) -> Tensor:
    return F.interpolate(image[None], (side, side), mode="area")[0]


def _time_to(trace: list[tuple[float, str, float]], loss: float) -> float:
    """CPU seconds until the input view's loss on whole images was as small; infinity if never."""
    return next((t for t, phase, value in trace if phase in ("search", "tune") and value <= loss), float("inf"))


def table(rows: dict[tuple[int, str], Any], methods: list[str]) -> str:
    """Markdown table of means over the people that every method has a row for."""
    people = sorted({p for p, _ in rows})
    people = [p for p in people if all((p, m) in rows for m in methods)]
    lines = [f"{len(people)} people; means. Views: |yaw| 0, 30, 60, 90, 180", ""]
    names = ("psnr_db", "ssim", "iou", "depth", "loss")
    lines += [
        "| method | CPU s | steps | photo | profile mm | " + " | ".join(names) + " |",
        "|---" * (5 + len(names)) + "|",
    ]
    for method in methods:
        results = [rows[p, method] for p in people]
        cells = [f"{np.mean([r['seconds'] for r in results]):.1f}", f"{np.mean([r['steps'] for r in results]):.0f}"]
        cells.append(f"{np.mean([r['photo']['psnr_db'] for r in results]):.1f}")
        cells.append(f"{np.nanmean([r['views'][str(y)]['profile_mm'] for r in results for y in (90.0, -90.0)]):.1f}")
        for name in names:
            groups = [[0], [30, -30], [60, -60], [90, -90], [180]]
            values = [np.nanmean([r["views"][str(float(y))][name] for r in results for y in g]) for g in groups]
            cells.append(" ".join(f"{v:.1f}" if name == "psnr_db" else f"{v:.3f}" for v in values))
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    if {"official", "fast"} <= set(methods) and people:
        lines += ["", _speed_line([(rows[p, "official"], rows[p, "fast"]) for p in people])]
    if {"fast", "fast, three photos"} <= set(methods) and people:
        gains = [_held_out(rows[p, "fast, three photos"]) - _held_out(rows[p, "fast"]) for p in people]
        lines.append(
            f"three photos against one at held-out views: {np.mean(gains):+.2f} dB (median {np.median(gains):+.2f})"
        )
    return "\n".join(lines)


def _speed_line(pairs: list[tuple[Any, Any]]) -> str:
    ratios = []
    for official, fast in pairs:
        loss = official["input_loss"]
        ratios.append(_time_to(official["trace"], loss) / _time_to(fast["trace"], loss))
    low, high = median_interval(ratios)
    return (
        "CPU time to the loss at which official ends, official / fast: median "
        f"{np.median(ratios):.1f} (95 %: {low:.1f}-{high:.1f}); not reached by fast: {sum(r == 0 for r in ratios)}"
    )


def _held_out(row: Any) -> float:
    return float(np.mean([row["views"][str(yaw)]["psnr_db"] for yaw in HELD_OUT_DEG]))


def _rows(rows: dict[tuple[int, str], Any], method: str) -> list[Row]:
    results = [row for (_, name), row in rows.items() if name == method]
    seconds, psnr = [row["seconds"] for row in results], [_held_out(row) for row in results]
    return [Row(f"{method}, a person", "CPU s", {"ours": seconds}), Row(f"{method}, held out", "dB", {"ours": psnr})]


def _shorter(method: Method, factor: int) -> Method:
    """Return a method with a fraction of the steps of the preset fast."""
    if factor == 1 or method.preset != "fast":
        return method

    def config(done: dict[str, Any]) -> FastConfig:
        whole = method.config(done)
        names = ("starts", "coarse_steps", "fine_steps", "tuning_steps")
        return replace(whole, **{name: max(getattr(whole, name) // factor, 1) for name in names})

    return replace(method, config=config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument(
        "--yaw", type=float, default=0.0, help="of a single photo in degrees; every other one its negative"
    )
    parser.add_argument("--first", type=int, default=0, help="index of the first person")
    parser.add_argument("--seed", type=int, default=SEED, help="of the people; not one that training used")
    parser.add_argument("--edition", type=int, default=NEWEST_EDITION, help="of the people; 1 repeats older figures")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, help="default: reconstruction.jsonl; with --json nothing is kept")
    parser.add_argument("--shorter", type=int, default=1, help="divide the steps of fast by this: a test of the script")
    parser.add_argument("--json", help="write seconds and held-out PSNR of these people as JSON")
    options = parser.parse_args()
    kept = options.out if options.out or options.json else Path("reconstruction.jsonl")
    torch.set_num_threads(1)
    predictor = load(options.checkpoint)
    rays = predictor.generator.config.neural_rendering_resolution
    rows: dict[tuple[int, str], Any] = {}
    if kept is not None and kept.is_file():
        for line in kept.read_text().splitlines():
            row = json.loads(line)
            if row.get("edition", 1) == options.edition and row.get("yaw", 0.0) == options.yaw:
                rows[row["person"], row["method"]] = row
    for person in range(options.first, options.first + options.people):
        missing = [m for m in options.methods if (person, m) not in rows]
        if not missing:
            continue
        turn = options.yaw if person % 2 else -options.yaw
        views = true_views(
            options.seed, person, tuple({*HELD_OUT_DEG, *THREE_DEG, turn}), PHOTO_SIDE, rays, options.edition
        )
        for method in missing:
            done = {m: r for (p, m), r in rows.items() if p == person}
            result = run_person(predictor, views, _shorter(METHODS[method], options.shorter), done, turn)
            row = {"person": person, "yaw": options.yaw, "edition": options.edition, "method": method, **result}
            rows[person, method] = row
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            print(f"person {person}: {method}: {row['seconds']:.1f} s, held out {_held_out(row):.2f} dB", flush=True)
    print(table(rows, options.methods))
    if options.json:
        write_rows(options.json, [row for method in options.methods for row in _rows(rows, method)])


if __name__ == "__main__":
    main()
