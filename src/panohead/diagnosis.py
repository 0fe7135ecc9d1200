"""Facts about this machine and installation, for ``panohead doctor``."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from panohead.system.optional import EXTRAS, import_failures, is_installed, not_installed

_FAST_PATHS = {
    "volume rendering, mesh density": "float32 on a CPU, tri-grid channels in multiples of 16, no gradients",
    "3x3 convolutions": "float32 on a CPU, channels in multiples of 16, no gradients",
    "tri-grid with gradients": "float32 on a CPU, tri-grid channels in multiples of 4",
}


_GPU_PATHS = {
    "frames as CUDA graphs": "from the ninth view of a head on",
    "resampling without zeros": "2-D filters, one factor for both axes",
    "fused Adam": "training",
}


@dataclass(frozen=True)
class DiagnosticCheck:
    """One line of the table; ``state`` is "on", "off", "missing", "broken", "installed" (not tried) or a version."""

    name: str
    state: str
    detail: str = ""


def diagnose(*, quick: bool = False) -> list[DiagnosticCheck]:
    """Return a check each for interpreter, libraries, devices, fast paths and extras; imports torch.

    Args:
        quick: whether extras are only looked for, which takes no time and finds none that is there and does not work.
    """
    with ThreadPoolExecutor(1) as beside:
        # Other processes import the extras while this one imports torch.
        extras = beside.submit(_extras, quick=quick)
        return [*_own(), *extras.result()]


def _own() -> list[DiagnosticCheck]:
    """Return the checks of all but the extras."""
    import torch

    from panohead import __version__
    from panohead.media.ffmpeg import ffmpeg_executable

    return [
        DiagnosticCheck("panohead", __version__, "this package"),
        DiagnosticCheck("python", platform.python_version(), sys.executable),
        *_machine(),
        DiagnosticCheck(
            "torch", torch.__version__, f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
        ),
        _cuda(),
        *(DiagnosticCheck(f"  {name}", _gpu_paths(), where) for name, where in _GPU_PATHS.items()),
        _mps(),
        _kernels(),
        *(DiagnosticCheck(f"  {name}", _kernels().state, where) for name, where in _FAST_PATHS.items()),
        _attempt("videos (ffmpeg)", ffmpeg_executable, "pip install imageio-ffmpeg"),
        _demo_model(),
    ]


def _extras(*, quick: bool) -> list[DiagnosticCheck]:
    """Return a check of every extra: its modules are imported by other processes, or only looked for."""
    names = [module for modules in EXTRAS.values() for module in modules]
    if quick:
        failures = {name: None if is_installed(name) else not_installed(name) for name in names}
    else:
        failures = import_failures(names)
    checks = []
    for extra, modules in EXTRAS.items():
        failed = {module: failure for module in modules if (failure := failures[module]) is not None}
        if not failed:
            checks.append(DiagnosticCheck(f"extra '{extra}'", "installed" if quick else "on", ", ".join(modules)))
            continue
        module, failure = next(iter(failed.items()))
        state = "broken" if failure.installed else "missing"
        checks.append(DiagnosticCheck(f"extra '{extra}'", state, f"{module}: {failure.reason}; {failure.remedy}"))
    return checks


def _machine() -> list[DiagnosticCheck]:
    """Return checks of platform, memory and disk."""
    cores = f"{os.cpu_count()} cores"
    memory = "unknown"
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys():
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        memory = f"{total / 1e9:.1f} GB"
    here = Path.cwd()
    disk = f"{shutil.disk_usage(here).free / 1e9:.1f} GB free"
    return [
        DiagnosticCheck("platform", platform.machine(), platform.platform()),
        DiagnosticCheck("memory", memory, cores),
        DiagnosticCheck("disk", disk, str(here)),
    ]


def _kernels() -> DiagnosticCheck:
    from panohead.ops import fast_paths
    from panohead.ops.cpu import jit

    name = "compiled CPU kernels"
    if not fast_paths.allowed():
        return DiagnosticCheck(name, "off", "PANOHEAD_PLAIN=1 is set")
    if jit.available():
        return DiagnosticCheck(name, "on", f"numba {importlib.metadata.version('numba')}")
    return DiagnosticCheck(
        name, "off", "numba is missing (pip install numba) or PANOHEAD_NO_NUMBA=1; plain PyTorch is used"
    )


def _gpu_paths() -> str:
    import torch

    from panohead.ops import fast_paths

    return "on" if torch.cuda.is_available() and fast_paths.allowed() else "off"


def _cuda() -> DiagnosticCheck:
    import torch

    if torch.cuda.is_available():
        return DiagnosticCheck("CUDA", "on", torch.cuda.get_device_name(0))
    built = torch.version.cuda
    return DiagnosticCheck("CUDA", "off", "no device found" if built else "this torch was built without CUDA")


def _mps() -> DiagnosticCheck:
    import torch

    available = torch.backends.mps.is_available()
    return DiagnosticCheck("MPS (Apple)", "on" if available else "off", "" if available else "not an Apple GPU machine")


def _demo_model() -> DiagnosticCheck:
    from importlib import resources

    asset = resources.files("panohead") / "assets" / "demo.safetensors"
    if asset.is_file():
        return DiagnosticCheck("bundled model 'demo'", "on", "panohead demo --out demo_out")
    return DiagnosticCheck("bundled model 'demo'", "missing", "reinstall the package")


def _attempt(name: str, find: Callable[[], str], remedy: str) -> DiagnosticCheck:
    from panohead.errors import PanoHeadError

    try:
        return DiagnosticCheck(name, "on", find())
    except PanoHeadError:
        return DiagnosticCheck(name, "missing", remedy)
