"""What this machine offers to PanoHead: the facts behind ``panohead doctor``."""

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass

_EXTRAS = {
    "train": ("tensorboard", "webdataset"),
    "face": ("mediapipe",),
    "onnx": ("onnxruntime",),
    "identity": ("dlib",),
    "cycles": ("bpy",),
    "view": ("viser",),
    "texture": ("xatlas",),
    "scale": ("ray",),
}


_FAST_PATHS = {
    "volume rendering, mesh density": "float32 on a CPU, tri-grid channels in multiples of 16, no gradients",
    "3x3 convolutions": "float32 on a CPU, channels in multiples of 16, no gradients",
    "tri-grid with gradients": "float32 on a CPU, tri-grid channels in multiples of 4",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``state`` is "on", "off", "missing" or a version."""

    name: str
    state: str
    detail: str = ""


def diagnose() -> list[Finding]:
    """Look at interpreter, libraries, devices, fast paths and extras. Imports torch; downloads nothing."""
    import torch

    from panohead import __version__
    from panohead.media.ffmpeg import ffmpeg_executable

    findings = [
        Finding("panohead", __version__, "this package"),
        Finding("python", platform.python_version(), sys.executable),
        Finding(
            "torch", torch.__version__, f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
        ),
        _cuda(),
        _mps(),
        _kernels(),
        *(Finding(f"  {name}", _kernels().state, where) for name, where in _FAST_PATHS.items()),
        _attempt("films (ffmpeg)", ffmpeg_executable, "pip install imageio-ffmpeg"),
        _demo_model(),
    ]
    for extra, modules in _EXTRAS.items():
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        findings.append(
            Finding(f"extra '{extra}'", "missing", f"pip install 'panohead[{extra}]'")
            if missing
            else Finding(f"extra '{extra}'", "on", ", ".join(modules))
        )
    return findings


def _kernels() -> Finding:
    from panohead.ops import fast_paths
    from panohead.ops.cpu import jit

    name = "compiled CPU kernels"
    if not fast_paths.allowed():
        return Finding(name, "off", "PANOHEAD_PLAIN=1 is set")
    if jit.available():
        return Finding(name, "on", f"numba {importlib.metadata.version('numba')}")
    return Finding(name, "off", "numba is missing (pip install numba) or PANOHEAD_NO_NUMBA=1; plain PyTorch is used")


def _cuda() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("CUDA", "on", torch.cuda.get_device_name(0))
    built = torch.version.cuda
    return Finding("CUDA", "off", "no device found" if built else "this torch was built without CUDA")


def _mps() -> Finding:
    import torch

    available = torch.backends.mps.is_available()
    return Finding("MPS (Apple)", "on" if available else "off", "" if available else "not an Apple GPU machine")


def _demo_model() -> Finding:
    from importlib import resources

    asset = resources.files("panohead") / "assets" / "demo.safetensors"
    if asset.is_file():
        return Finding("bundled model 'demo'", "on", "panohead demo --out demo_out")
    return Finding("bundled model 'demo'", "missing", "reinstall the package")


def _attempt(name: str, find: Callable[[], str], remedy: str) -> Finding:
    from panohead.errors import PanoHeadError

    try:
        return Finding(name, "on", find())
    except PanoHeadError:
        return Finding(name, "missing", remedy)
