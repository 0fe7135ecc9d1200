"""Run the commands and the Python blocks of README.md and docs/*.md against the bundled model, page by page.

    make docs-check                                     # about 15 minutes on two cores
    python tools/check_docs.py --list                   # what would run, what is shortened, what is left out and why
    python tools/check_docs.py --only doctor README.md  # commands that match a pattern, of some pages

Every page has a folder of its own, which is its home folder too, with stand-ins for the files that its reader brings
(docs_stand_ins.py). Commands run as written, in order, by bash; the few that take hours are shortened, and those that
need what is not here (an installation, a GPU, weights that may not be passed on) are left out: RULES says which and
why. So are those that need an optional package which is not installed, or what such a step would have made: that is
said, and is no failure. Afterwards every image, video, mesh and page that they wrote is checked for its mark.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from docs_stand_ins import bring_all  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_PROGRAMS = ("panohead", "python", "pip", "make", "cp", "mkdir", "torchrun", "git", ".venv/bin", "pytest")
_SHELLS = ("", "bash", "sh", "shell", "console")
"""Languages of blocks that hold commands."""


@dataclass(frozen=True)
class Rule:
    """What is done with commands that match a pattern: left out, or shortened by a replacement."""

    pattern: str
    reason: str
    shorter: tuple[str, str] | None = None


RULES = (
    Rule(r"^pip install|^make (demo|env|test)|^git clone|^\.venv/bin", "installs software; tested by .ci/run"),
    Rule(r"^torchrun --nproc-per-node 8", "eight GPUs"),
    Rule(r"--device cuda", "a GPU"),
    Rule(r"easy-khair|panohead\.safetensors", "an official checkpoint; tests/interop reads what stands for one"),
    Rule(r"^panohead view", "runs until Ctrl-C; tests/viewer starts and ends one"),
    Rule(r"^panohead app$", "runs until Ctrl-C; tests/app presses its buttons"),
    Rule(r"^panohead sign", "needs a certificate; tests/media signs"),
    Rule(r"--ray ", "a cluster; tests/system has one"),
    Rule(r"^panohead synthesize --preset heads --", "36,000 images", (r"heads --", "heads_sample --workers 1 --")),
    Rule(r"^panohead synthesize --preset heads_sample", "one process suffices", (r"$", " --workers 1")),
    Rule(r"^panohead generate .*--turntable --out heads", "a minute", (r"$", " --frames 4")),
    Rule(r"^panohead train --data my-heads --out run \.\.\.$", "an outline of a command"),
    Rule(r"^python (benchmarks/reconstruction|tools/train_(demo|detail|texture))\.py", "hours"),
    Rule(r"^python -m benchmarks --(only|quick)", "many minutes; make bench"),
    Rule(r"^python tools/measure_attributes\.py", "a dataset of hundreds of people"),
    Rule(r"^panohead directions", "minutes", (r"$", " --heads 20 --principal 1 --no-landmarks")),
    Rule(r"^panohead synthesize .*--people 1250", "ten thousand images", (r"--people 1250", "--people 4 --workers 1")),
    Rule(r"^panohead synthesize .*--people 3000", "36,000 images", (r"--people 3000", "--people 1 --workers 1")),
    Rule(r"^panohead synthesize .*--preview", "a minute", (r"--people 8", "--people 1 --views 2")),
    Rule(r"^panohead train --preset demo_64", "hours", (r"$", " --kimg 0.032 --ablation no_warm_start")),
    Rule(r"^panohead train --preset (pi_gan|graf|style_sdf)_64 --data", "hours", (r"$", " --kimg 0.032")),
    Rule(r"benchmarks/quality/compare\.py", "hours of training; tests/test_compare.py runs it on the preset tiny"),
    Rule(r"run-graf/snapshots/kimg-", "a run of hours; tests/test_baselines.py opens one"),
    Rule(r"^panohead train-encoder .*--data RUN/heads", "an hour, and thousands of people"),
    Rule(r"^panohead train --resume", "hours", (r"$", " --kimg 0.064")),
    Rule(r"^panohead reconstruct .*--quick", "half a minute", (r"$", " --frames 4")),
    Rule(
        r"^panohead train-encoder .*--out", "an hour or two", (r"--data heads-e2", "--samples 16 --steps 1 --batch 1")
    ),
    Rule(r"^panohead train-encoder", "a minute", (r"--data heads-e2", "")),
    Rule(r"^panohead train .*--estimate", "minutes of the largest preset", (r"panohead_512|demo_128", "tiny")),
    Rule(r"^panohead evaluate .*--baselines nerf", "many minutes; tests/evaluation fits a small one"),
    Rule(r"^panohead evaluate .*--num 500", "minutes", (r"--num 500", "--num 8 --heads 1")),
    Rule(r"^panohead evaluate", "an hour", (r"$", " --num 8 --heads 1")),
    Rule(r"^panohead reconstruct", "a minute", (r"$", " --steps 4 --tuning-steps 2 --frames 4")),
    Rule(r"^panohead prepare", "one process suffices", (r"$", " --workers 1")),
)


@dataclass(frozen=True)
class Step:
    """One command of a page, or one Python block; ``left_out`` and ``shortened`` are reasons."""

    text: str
    python: bool = False
    left_out: str = ""
    shortened: str = ""


def steps_of(page: Path) -> Iterator[Step]:
    """Yield the commands and Python blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    for language, body in re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE):
        if language == "python":
            yield Step(body, python=True, left_out=_missing(body))
        elif language in _SHELLS:
            for line in body.replace("\\\n", " ").splitlines():
                command = " ".join(re.split(r"\s#", line)[0].split())
                if command.startswith(_PROGRAMS):
                    yield _planned(command)


_NEEDS = (
    (r"panohead (prepare|reconstruct) (?!.*--aligned)|\balign\(|\bprepare\(|\breconstruct\(", "mediapipe", "face"),
    (r"panohead animate .*--video", "mediapipe", "face"),
    (r"panohead\.viewer", "viser", "view"),
    (r"^panohead app", "gradio", "app"),
    (r"^\s*import webdataset", "webdataset", "train"),
    (r"--texture", "xatlas", "texture"),
)
"""Steps that need an optional package: pattern, module, extra."""


def missing_package(text: str) -> str:
    """Return what a step needs that is not installed, with its extra; empty for nothing."""
    for pattern, module, extra in _NEEDS:
        if re.search(pattern, text, re.MULTILINE) and importlib.util.find_spec(module) is None:
            return f"{module} (extra {extra})"
    return ""


def written(text: str) -> set[str]:
    """Return the files and folders that a command writes."""
    return set(re.findall(r"--out ([\w-]+)", text))


def named(text: str) -> set[str]:
    """Return the first parts of all paths that a command names, but for those that it writes."""
    return {word.partition("/")[0] for word in re.sub(r"--out \S+", "", text).split()}


def _missing(block: str) -> str:
    if "describe(real" in block:
        return "an outline with tensors of the reader's"
    return "hours" if "total_kimg" in block else ""


def _planned(command: str) -> Step:
    for rule in RULES:
        if re.search(rule.pattern, command):
            if rule.shorter is None:
                return Step(command, left_out=rule.reason)
            return Step(re.sub(*rule.shorter, command, count=1), shortened=rule.reason)
    return Step(command)


def run_step(step: Step, folder: Path, timeout_s: float) -> tuple[int, str]:
    """Run one step in the folder of its page; return exit code and the end of what it said."""
    # The checkout too, whose modules some pages call.
    source = os.pathsep.join([str(ROOT / "src"), str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    path = os.pathsep.join([str(folder / ".programs"), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": source, "PATH": path, "HOME": str(folder)}
    command = [sys.executable, "-W", "error", "-c", step.text] if step.python else ["bash", "-c", step.text]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return 124, f"stopped after {timeout_s:g} s"
    return done.returncode, (done.stdout + done.stderr)[-1500:]


_MARKED = (".png", ".jpg", ".webp", ".mp4", ".gif", ".webm", ".glb", ".obj", ".ply", ".stl", ".3mf", ".spz", ".mrc")


def unmarked(folder: Path, since: float) -> list[str]:
    """Return the images, videos, meshes, splats and pages with heads, written since a time, that do not say that they
    are synthetic.

    Crops and overlays of the reader's photos make no such claim, and masks of datasets show nobody.
    """
    from panohead.media import is_marked_synthetic

    found = []
    for path in sorted(folder.rglob("*")):
        real = {"my-heads", "dataset", "masks", ".cache"} & set(path.parts) or path.name.startswith(
            ("overlay", "astronaut", "photo.png")
        )
        if not path.is_file() or real or path.stat().st_mtime < since:
            continue
        if path.suffix in _MARKED and not is_marked_synthetic(path):
            found.append(path.relative_to(folder).as_posix())
    return found


def check_page(page: Path, only: str, timeout_s: float) -> list[str]:
    """Run a page's steps; return the failures."""
    failures: list[str] = []
    chosen = [step for step in steps_of(page) if re.search(only, step.text)]
    if not any(not step.left_out for step in chosen):
        return []
    with tempfile.TemporaryDirectory(prefix="docs-check-") as name:
        folder = Path(name)
        bring_all(folder, [step.text for step in chosen if not step.left_out])
        began = time.time()
        absent: set[str] = set()
        for step in chosen:
            if step.left_out:
                continue
            title = step.text.strip().splitlines()[0] if step.python else step.text
            package = missing_package(step.text)
            missing = package or ", ".join(sorted(named(step.text) & absent))
            if missing:
                absent |= written(step.text)
                print(f"left out, needs {missing}: {title}", flush=True)
                continue
            start = time.monotonic()
            code, said = run_step(step, folder, timeout_s)
            print(f"{'ok  ' if code == 0 else 'FAIL'} {time.monotonic() - start:5.0f} s  {title}", flush=True)
            if code != 0:
                failures.append(f"{page.name}: {title}: exit code {code}\n{said}")
        failures += [f"{page.name}: {path} has no synthetic mark" for path in unmarked(folder, began)]
    return failures


def main() -> int:
    """Run or list the pages' steps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="pages (default: README.md and docs/*.md)")
    parser.add_argument("--only", default="", help="run only steps that this regular expression matches")
    parser.add_argument("--list", action="store_true", help="only list what would be done")
    parser.add_argument("--timeout-s", type=float, default=900, help="seconds that one step may take")
    options = parser.parse_args()
    pages = [page.resolve() for page in options.pages] or PAGES
    if options.list:
        for page in pages:
            for step in steps_of(page):
                note = f"left out: {step.left_out}" if step.left_out else f"shortened: {step.shortened}"
                print(
                    f"{page.name}: {step.text.strip().splitlines()[0]}" + (f"  [{note}]" if note[-2:] != ": " else "")
                )
        return 0
    failures = [failure for page in pages for failure in check_page(page, options.only, options.timeout_s)]
    print(*failures, sep="\n\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
