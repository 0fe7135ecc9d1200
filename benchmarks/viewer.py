"""``panohead view`` under scripted visitors: first image, previews while orbiting, image at rest, four at once, memory.

    python benchmarks/viewer.py                       # the bundled model, about a minute
    python benchmarks/viewer.py --minutes 10          # and random use, whose memory is recorded
    python benchmarks/viewer.py --only full_size      # previews of the paper's network, with random weights

The viewer is a process of its own, and visitors speak its protocol over sockets. "CPU" rows are seconds that the
viewer's process computed between two events: on a core of its own that is the wait, whatever else this machine does.
"clock" rows are what passed, and say something on an idle machine only. A browser's own start is not in them.
"""

import argparse
import asyncio
import contextlib
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from rows import Row, table, write_rows
from speed import full_size_generator
from viewer_client import CANVAS, Server, Visitor, visitor

from panohead.predictor import Predictor, load
from panohead.viewer.choices import Pose, ViewRequest
from panohead.viewer.drawing import Drawing
from panohead.viewer.heads import HeadShelf

_RATE = 50.0
"""Cameras a second that a browser sends while its user drags."""


KINDS = ("clock", "CPU")


def rows_of(name: str, spans: list[tuple[float, float]]) -> list[Row]:
    """Return two rows of (clock, CPU) seconds."""
    return [
        Row(f"{name}, {kind}", "s", {"viewer": [span[place] for span in spans]}) for place, kind in enumerate(KINDS)
    ]


def since(start: tuple[float, float], moment: tuple[float, float]) -> tuple[float, float]:
    """Return the seconds between two moments, clock and CPU."""
    return moment[0] - start[0], moment[1] - start[1]


def now(server: Server) -> tuple[float, float]:
    """Return this moment: clock and CPU seconds of the viewer."""
    return time.monotonic(), server.cpu_s()


async def first_images(server: Server, repeats: int) -> list[Row]:
    """Time from a new connection to its first image."""
    spans = []
    for _ in range(repeats):
        start = now(server)
        async with visitor(server) as one:
            await one.look(0)
            await one.image_after(0, 1)
            spans.append(since(start, one.images[0]))
    return rows_of("first image of a tab", spans)


async def orbit(one: Visitor, seconds: float) -> None:
    """Turn once around in so many seconds."""
    for step in range(int(seconds * _RATE)):
        await one.look(360.0 * step / (seconds * _RATE), 10 * math.sin(step / 20))
        await one.listen(1 / _RATE)


async def turning(server: Server, seconds: float) -> list[Row]:
    """Previews while one visitor turns the head, and the full image once it rests."""
    async with visitor(server) as one:
        await one.look(0)
        await one.image_after(0, 1000)
        count, start = len(one.images), now(server)
        await orbit(one, seconds)
        end, turned = now(server), len(one.images)
        spans = [since(a, b) for a, b in zip(one.images[count:turned], one.images[count + 1 : turned], strict=False)]
        await one.look(90)
        rested = now(server)
        await one.image_after(turned, 1000)
        clock, cpu = since(start, end)
        shown = turned - count
        return [
            Row("previews a second of the clock", "1/s", {"viewer": [shown / clock]}),
            Row("previews a CPU second", "1/s", {"viewer": [shown / max(cpu, 1e-9)]}),
            *rows_of("between two previews", spans),
            *rows_of("full image after the last camera", [since(rested, one.images[-1])]),
        ]


async def four_at_once(server: Server, seconds: float) -> list[Row]:
    """The longest time without an image of each of four visitors who all turn their heads."""
    async with contextlib.AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(visitor(server)) for _ in range(4)]
        for tab in tabs:
            await tab.look(0)
            await tab.image_after(0, 1)
        counts = [len(tab.images) for tab in tabs]
        await asyncio.gather(*(orbit(tab, seconds) for tab in tabs))
        longest = []
        for tab, count in zip(tabs, counts, strict=True):
            spans = [since(a, b) for a, b in zip(tab.images[count - 1 :], tab.images[count:], strict=False)]
            longest.append((max(span[0] for span in spans), max(span[1] for span in spans)))
        return rows_of("longest wait of four who turn", longest)


async def random_use(server: Server, minutes: float, seed: int = 0) -> list[Row]:
    """Memory while visitors come, turn, change seeds, layers and attributes, and go."""
    rng, memory, images = random.Random(seed), [], 0
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        async with visitor(server) as one:
            await one.look(rng.uniform(-180, 180))
            await one.image_after(0, 1)
            for _ in range(rng.randrange(3, 12)):
                if time.monotonic() >= end:
                    break
                await _act(one, rng)
                await one.listen(rng.uniform(0.2, 1.5))
                memory.append(server.memory_mb())
            images += len(one.images)
    third = max(1, len(memory) // 3)
    parts = {"first third": memory[:third], "last third": memory[-third:]}
    return [
        *(Row(f"memory in random use, {name}", "MB", {"viewer": values}) for name, values in parts.items()),
        Row("images in random use", "images", {"viewer": [float(images)]}),
    ]


async def _act(one: Visitor, rng: random.Random) -> None:
    """Do one of the things that visitors do."""
    settings: list[tuple[str, Callable[[], object]]] = [
        ("Seed", lambda: rng.randrange(10_000)),
        ("Truncation", lambda: round(rng.uniform(0, 1), 2)),
        ("Its seed", lambda: rng.randrange(10_000)),
        ("Blend", lambda: round(rng.uniform(0, 1), 2)),
        ("Show", lambda: rng.choice(["image", "depth", "mask", "normals"])),
        ("Background", lambda: rng.choice(["the model's own", "transparent", "a color"])),
        ("age", lambda: float(rng.randrange(18, 80))),
        ("jawOpen", lambda: round(rng.uniform(0, 1), 2)),
        ("gaze x", lambda: float(rng.randrange(-20, 20))),
        ("Image (PNG)", lambda: True),
        ("As it was", lambda: True),
    ]
    known = [setting for setting in settings if setting[0] in one.controls]
    if not known or rng.random() < 0.4:
        await orbit(one, rng.uniform(0.5, 2.0))
        return
    label, value = rng.choice(known)
    await one.change(label, value())


@dataclass
class FixedSize:
    """Size of previews that does not follow the machine's speed."""

    rays: int

    def observe(self, rays: int, seconds: float) -> None:
        """Do nothing with the time of a preview."""


def by_size(name: str, predictor: Predictor, repeats: int) -> list[Row]:
    """Previews of several sizes and full images of a network, made as the viewer makes them, in this process."""
    drawing = Drawing(HeadShelf(predictor, None, {}), {})
    full = predictor.generator.config.neural_rendering_resolution
    rows = []
    for rays in sorted({16, 32, full}):
        drawing.preview_size = FixedSize(rays)  # type: ignore[assignment]
        rows.append(Row(f"{name}: preview of {rays} x {rays} rays, CPU", "s", {"viewer": []}))
        for turn in range(repeats + 1):  # the first one makes the head
            begin = time.process_time()
            drawing.produce(None, ViewRequest(pose=Pose(yaw_deg=9.0 * turn), canvas=CANVAS), "preview")
            rows[-1].samples["viewer"] += [time.process_time() - begin] * (turn > 0)
    rows.append(Row(f"{name}: full image, CPU", "s", {"viewer": []}))
    for _ in range(3):
        begin = time.process_time()
        drawing.produce(None, ViewRequest(canvas=CANVAS), "full")
        rows[-1].samples["viewer"].append(time.process_time() - begin)
    return rows


async def with_demo(checkpoint: str, only: set[str], seconds: float, minutes: float) -> list[Row]:
    """Run what needs a viewer."""
    rows: list[Row] = []
    with Server(checkpoint) as server:
        if "first" in only:
            rows += await first_images(server, 3)
        if "turning" in only:
            rows += await turning(server, seconds)
        if "four" in only:
            rows += await four_at_once(server, seconds)
        if minutes:
            rows += await random_use(server, minutes)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long heads are turned")
    parser.add_argument("--minutes", type=float, default=0.0, help="random use, for its memory")
    parts = ("first", "turning", "four", "sizes", "full_size")
    parser.add_argument("--only", nargs="*", choices=parts, default=parts)
    parser.add_argument("--json")
    options = parser.parse_args()
    rows: list[Row] = []
    only = set(options.only)
    if only & {"first", "turning", "four"} or options.minutes:
        rows += asyncio.run(with_demo(options.checkpoint, only, options.seconds, options.minutes))
    if "sizes" in only:
        rows += by_size(options.checkpoint, load(options.checkpoint), 10)
    if "full_size" in only:
        rows += by_size("full size", Predictor(full_size_generator()), 5)
    print(table({"viewer": rows}))
    if options.json:
        write_rows(options.json, rows)


if __name__ == "__main__":
    main()
