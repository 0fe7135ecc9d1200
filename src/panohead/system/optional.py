"""Optional packages: why one cannot be imported here, and the remedy that fits this Python and this machine."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

EXTRAS = {
    "train": ("tensorboard", "webdataset"),
    "face": ("mediapipe",),
    "onnx": ("onnxruntime",),
    "identity": ("dlib",),
    "cycles": ("bpy",),
    "view": ("viser",),
    "texture": ("xatlas",),
    "usd": ("pxr",),
    "hub": ("huggingface_hub",),
    "c2pa": ("c2pa",),
    "app": ("gradio",),
    "notebooks": ("nbclient", "ipykernel"),
    "scale": ("ray",),
}
"""Modules of every extra."""

_PYTHONS = {"mediapipe": ((3, 9), (3, 12))}
"""Oldest and newest Python with wheels of the versions that this package asks for."""
_SYSTEM_PACKAGES = {
    "libGL.so": "libgl1",
    "libGLESv2": "libgles2",
    "libEGL": "libegl1",
    "libgthread": "libglib2.0-0",
    "libglib": "libglib2.0-0",
    "libSM": "libsm6",
    "libICE": "libice6",
    "libXext": "libxext6",
    "libXrender": "libxrender1",
    "libXi": "libxi6",
    "libXxf86vm": "libxxf86vm1",
    "libXfixes": "libxfixes3",
    "libxkbcommon": "libxkbcommon0",
    "libgomp": "libgomp1",
    "libstdc++": "libstdc++6",
}
"""Debian packages of the shared libraries that wheels of these extras expect."""
_IMPORTS = {"mediapipe": "mediapipe.python.solutions"}
"""Parts that are imported to see whether a package works, where its top level alone says little."""
_PROBE = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
try:
    importlib.import_module(sys.argv[1])
    found = None
except BaseException as error:
    found = [type(error).__name__, getattr(error, "name", None) or "", str(error)]
print("\\n" + json.dumps(found), flush=True)
"""
"""Program that imports a module and prints what went wrong."""


@dataclass(frozen=True)
class Failure:
    """An import that fails.

    Attributes:
        installed: something of the package is there.
        reason: what is wrong, in a few words.
        remedy: what to do here, a command where one suffices.
    """

    installed: bool
    reason: str
    remedy: str


def explain(
    module: str, kind: str, missing: str, message: str, *, version: tuple[int, int] = sys.version_info[:2]
) -> Failure:
    """Explain why a module cannot be imported.

    Args:
        module: top-level name of the module.
        kind: class name of the exception.
        missing: name of the module that was not found, of ModuleNotFoundError.
        message: text of the exception.
        version: major and minor version of this Python.
    """
    extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
    install = f"pip install 'panohead[{extra}]'" if extra else f"pip install {module}"
    oldest, newest = _PYTHONS.get(module, ((0, 0), (99, 0)))
    if kind == "ModuleNotFoundError" and missing == module:
        if not oldest <= version <= newest:
            names = f"Python {version[0]}.{version[1]}"
            wanted = f"python{newest[0]}.{newest[1]}"
            return Failure(False, f"it has no wheels for {names}", f"{wanted} -m venv .venv, then {install}")
        return Failure(False, "it is not installed", install)
    library = re.search(r"(lib[\w+.-]+\.so[\w.]*)", message)
    if library and ("cannot open" in message or "No such file" in message):
        package = next((p for start, p in _SYSTEM_PACKAGES.items() if library[1].startswith(start)), None)
        remedy = f"apt-get install {package}" if package else f"install the system package that has {library[1]}"
        return Failure(True, f"the system library {library[1]} is missing", remedy)
    short = " ".join(message.split())[:160]
    again = f"pip install --force-reinstall --no-cache-dir {module if extra is None else repr(f'panohead[{extra}]')}"
    if kind == "ModuleNotFoundError":
        return Failure(True, f"it is half installed: {missing.partition('.')[0]} is missing", again)
    return Failure(True, f"it is installed and fails: {kind}: {short}", again)


def failure_of(module: str, error: ImportError) -> Failure:
    """Explain the error of an import that has just failed in this process."""
    return explain(module, type(error).__name__, error.name or "", str(error))


def import_failures(modules: Sequence[str], *, timeout_s: float = 60.0) -> dict[str, Failure | None]:
    """Import modules in processes of their own, so that none can disturb, end or delay this one.

    As many at a time as there are cores: some packages take seconds.

    Args:
        modules: top-level names.
        timeout_s: seconds that each may take.

    Returns:
        For each module None, or why it cannot be imported.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return dict(zip(modules, threads.map(lambda name: _import_failure(name, timeout_s), modules), strict=True))


def _import_failure(module: str, timeout_s: float) -> Failure | None:
    command = [sys.executable, "-c", _PROBE, _IMPORTS.get(module, module)]
    quiet = {**os.environ, "GLOG_minloglevel": "3", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, env=quiet, errors="replace"
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        reason = f"importing it takes more than {timeout_s:g} s"
        return Failure(True, reason, f"when nothing else runs: python -c 'import {module}'")
    except (OSError, IndexError, ValueError):
        return Failure(True, "importing it ends Python", f"pip uninstall {module}")
    return None if found is None else explain(module, *found)


def is_installed(module: str) -> bool:
    """Return whether there is a module of this top-level name; it is not imported, so it may not work."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a stand-in of tests, or a package that is half removed
        return False


def not_installed(module: str) -> Failure:
    """Return the failure of a module that is not there."""
    return explain(module, "ModuleNotFoundError", module, "")
