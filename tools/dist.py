"""Build the wheel and the source distribution, and try the wheel as a new user would: ``make dist``, or

    python tools/dist.py --pythons python3.11 python3.12 python3.13

Each Python gets a fresh environment outside the repository with nothing but the wheel, torch and what they require;
then the commands of the README's first section and the examples that need no extra run from an empty folder. Last come
the extras of the README's photo, and its head in a few steps; without a MediaPipe for this Python its pose and mask
are given.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).parents[1]
MAX_WHEEL_BYTES = 15_000_000
EXAMPLES = ("00_first_head.py", "01_interpolate_and_mix.py", "02_mesh.py", "07_own_field.py")
"""Examples that need no extra and no dataset."""
EXTRAS = "face,texture"
"""Extras of the README's photo."""
HEAD_BOX = (150, 5, 300, 200)
"""Left, top, right and bottom of the astronaut's head, hair to chin, in pixels."""
MASK = """
from PIL import Image, ImageDraw
mask = Image.new("L", (512, 512))
draw = ImageDraw.Draw(mask)
draw.ellipse((145, 0, 305, 210), fill=255)
draw.polygon([(200, 180), (260, 180), (420, 300), (420, 512), (60, 512), (60, 300)], fill=255)
mask.save("masks/astronaut.png")
"""
"""Program that draws the astronaut's mask: head and shoulders."""
ADDRESSES = ("Repository", "Documentation", "Issues", "Changelog")
"""Links that the page of a published package should have."""


@dataclass(kw_only=True)
class Options:
    """What is built and tried."""

    out: Path = ROOT / "dist"
    """Folder of the distributions; its content is replaced."""
    pythons: tuple[str, ...] = ("python3.11", "python3.12", "python3.13")
    """Interpreters to try the wheel with; those that are not installed are named and left out."""
    torch: str = "torch==2.13.0"
    """Requirement of torch in the environments."""


def run(words: list[str | Path], cwd: Path) -> str:
    """Run a program and return what it printed; its output is shown when it fails."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(words, cwd=cwd, env=environment, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(out: Path) -> Path:
    """Build both distributions in an environment of their own, check their descriptions, and return the wheel."""
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        python = environment(sys.executable, Path(folder) / "builder")
        run([python, "-m", "pip", "install", "-q", "build", "twine"], ROOT)
        run([python, "-m", "build", "--outdir", out, ROOT], ROOT)
        run([python, "-m", "twine", "check", "--strict", *sorted(out.iterdir())], ROOT)
    (wheel,) = out.glob("*.whl")
    size = wheel.stat().st_size
    if size > MAX_WHEEL_BYTES:
        raise SystemExit(f"{wheel.name} has {size:,} bytes, more than {MAX_WHEEL_BYTES:,}")
    return wheel


def environment(python: str, folder: Path) -> Path:
    """Make a virtual environment and return its interpreter."""
    run([python, "-m", "venv", folder], ROOT)
    return folder / "bin" / "python"


def trial(python: str, wheel: Path, torch: str) -> str:
    """Install the wheel into a fresh environment and use it from an empty folder; returns a line for the table."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        home, work = Path(place) / "env", Path(place) / "work"
        work.mkdir()
        interpreter = environment(python, home)
        run([interpreter, ROOT / "tools" / "install_torch.py", torch], work)
        run([interpreter, "-m", "pip", "install", "-q", wheel], work)
        panohead = home / "bin" / "panohead"
        version = run([panohead, "--version"], work).strip()
        where = run([interpreter, "-P", "-c", "import panohead; print(panohead.__file__)"], work).strip()
        if not where.startswith(str(home)):
            raise SystemExit(f"{python} imports {where}, not the wheel")
        run([panohead, "demo", "--heads", "2", "--frames", "8", "--out", work / "demo"], work)
        run([panohead, "generate", "--seeds", "0", "--yaws", "0", "--mesh", "glb", "--out", work / "heads"], work)
        marked = [work / "demo" / "contact_sheet.png", work / "demo" / "head.glb", work / "demo" / "index.html"]
        run([panohead, "verify", *marked], work)
        run([panohead, "doctor"], work)
        for name in EXAMPLES:
            shutil.copy(ROOT / "examples" / name, work)
            run([interpreter, name, work / "out"], work)
        photo = reconstruct(interpreter, wheel, work)
    seconds = time.monotonic() - start
    return (
        f"{python}: {version}, demo, generate, verify, doctor, {len(EXAMPLES)} examples and {photo} in {seconds:.0f} s"
    )


def reconstruct(interpreter: Path, wheel: Path, work: Path) -> str:
    """Reconstruct the astronaut of scikit-image, and return how its head was found."""
    run([interpreter, "-m", "pip", "install", "-q", f"{wheel}[{EXTRAS}]"], work)
    photo = "import shutil; from skimage import data; shutil.copy(data.__path__[0] + '/astronaut.png', '.')"
    run([interpreter, "-P", "-c", photo], work)
    find = "import importlib.util; print(importlib.util.find_spec('mediapipe') is not None)"
    found = run([interpreter, "-P", "-c", find], work).strip() == "True"
    given: list[str | Path] = []
    if not found:
        box = " ".join(map(str, HEAD_BOX))
        (work / "poses.csv").write_text(f"file,yaw_deg,pitch_deg,roll_deg,box\nastronaut.png,0,0,0,{box}\n")
        (work / "masks").mkdir()
        run([interpreter, "-P", "-c", MASK], work)
        given = ["--poses", "poses.csv", "--masks", "masks"]
    words = ["reconstruct", "astronaut.png", "--out", "astronaut", "--texture", "512", "--frames", "8"]
    run([interpreter.parent / "panohead", *words, "--steps", "20", "--tuning-steps", "10", *given], work)
    run([interpreter.parent / "panohead", "verify", Path("astronaut") / "head.glb"], work)
    return "reconstruct" if found else "reconstruct (pose and mask given)"


def starts(python: str) -> bool:
    """Return True for an interpreter that starts; pyenv has names on the path of versions that are not chosen."""
    return shutil.which(python) is not None and not subprocess.run([python, "-V"], capture_output=True).returncode


def missing_addresses() -> list[str]:
    """Return the names of the links that pyproject.toml does not have yet."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    return [name for name in ADDRESSES if name not in urls]


def main(options: Options) -> None:
    """Build, check and try."""
    wheel = build(options.out)
    if missing := missing_addresses():
        print(f"[project.urls] has no {', '.join(missing)}; add them to pyproject.toml before an upload", flush=True)
    for path in sorted(options.out.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes", flush=True)
    there = [python for python in options.pythons if starts(python)]
    if not there:
        raise SystemExit(f"none of {', '.join(options.pythons)} is installed; name one with --pythons")
    for python in there:
        print(trial(python, wheel, options.torch), flush=True)
    missing = [python for python in options.pythons if python not in there]
    if missing:
        print(f"not tried, not installed: {', '.join(missing)}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
