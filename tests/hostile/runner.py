"""Runs one ``panohead`` command after another, each in a forked child with limits, and tells what went wrong.

A server process imports the package once; every command is a fork of it, so that no command sees what another left.
The child is watched by an audit hook: programs that are started, Python files of the working folder that are executed,
and files written outside of it.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_SECONDS = 20.0
"""Seconds of a processor after which a command counts as hanging."""
MAX_WAIT = 300.0
"""Seconds of the clock after which it does; other work on the machine may slow a command down."""
MAX_BYTES = 1 << 30
"""Resident memory, beyond that of the imported package, above which a command counts as too large."""
_ADDRESS_SPACE = 6 << 30
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_PACKAGE = Path(__file__).parents[2] / "src"
_PAST_RIGHTS = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of Linux: root reads files of mode 000 by them."""
_CAPABILITY_VERSION, _DROP_FROM_BOUNDING_SET = 0x20080522, 24
_LIBRARY_SEARCH = ("uname", "ldconfig", "gcc", "ld", "objdump", "lscpu", "fc-list")
"""Programs that libraries start to find other libraries (ctypes, numba, imageio)."""


@dataclass(frozen=True)
class Case:
    """One input of a command.

    Attributes:
        family, index: place of the case; with the seed they decide everything in it.
        argv: arguments of ``panohead``.
        folder: working folder; nothing outside of it may be written.
        names: texts of which one must stand in the message of a refusal; empty for any.
        codes: exit codes that are right.
        programs: beginnings of names of programs that may be started.
        note: the spoiled part, for the list of failures.
        victims: files of the working folder that hold b"x" and must stay as they are.
        patient: allow ten times the seconds.
        kill_after: seconds after which the command and all its children are killed; None for never.
    """

    family: str
    index: int
    argv: tuple[str, ...]
    folder: Path
    names: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0, 1, 2)
    programs: tuple[str, ...] = ()
    note: str = ""
    victims: tuple[str, ...] = ()
    patient: bool = False
    kill_after: float | None = None


@dataclass(frozen=True)
class Outcome:
    """Result of one case: exit code (128 + signal when killed), time, memory, messages, and the faults by kind."""

    code: int
    seconds: float
    megabytes: float
    stderr: str
    stdout: str
    faults: tuple[str, ...] = field(default=())


KINDS = (
    "code started", "traceback", "hang", "wrong code", "unexpected", "unnamed file", "memory", "outside", "other bytes",
)  # fmt: skip
"""Kinds of faults, in the order of the table."""


class CommandServer:
    """A process with the package imported that runs cases; started anew if it is lost."""

    def __init__(self) -> None:
        self._pid, self._to, self._from = 0, -1, -1

    def __enter__(self) -> "CommandServer":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid:
            os.close(self._to)
            os.waitpid(self._pid, 0)
            os.close(self._from)
            self._pid = 0

    def run(self, case: Case) -> Outcome:
        """Run a case and find its faults."""
        if not self._pid:
            self._start()
        request = {"argv": case.argv, "folder": str(case.folder), "programs": case.programs}
        request |= {"patience": 10 if case.patient else 1, "kill_after": case.kill_after}
        os.write(self._to, (json.dumps(request) + "\n").encode())
        answer = b""
        while not answer.endswith(b"\n"):
            piece = os.read(self._from, 65536)
            if not piece:
                raise RuntimeError(f"the server was lost at {case}")
            answer += piece
        return judge(case, json.loads(answer))

    def _start(self) -> None:
        asked, to = os.pipe()
        back, told = os.pipe()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "COLUMNS": "160"}
        environment["MPLCONFIGDIR"] = os.path.join(sys.prefix, "matplotlib")  # its list of fonts takes long to make
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", _COMPILED)  # the commands have other temporary folders
        environment["PYTHONPATH"] = os.pathsep.join([str(_PACKAGE), str(Path(__file__).parents[1])])
        arguments = [sys.executable, "-P", str(Path(__file__)), str(asked), str(told)]
        os.set_inheritable(asked, True)
        os.set_inheritable(told, True)
        self._pid = os.posix_spawn(sys.executable, arguments, environment)
        os.close(asked)
        os.close(told)
        self._to, self._from = to, back


def judge(case: Case, result: dict[str, Any]) -> Outcome:
    """Find the faults of a finished command."""
    stderr, code = result["stderr"], result["code"]
    faults = []
    if result["started"] or any(case.folder.rglob("canary*")):
        faults.append("code started")
    if "Traceback (most recent call last)" in stderr + result["stdout"]:
        faults.append("traceback")
    if result["hung"]:
        faults.append("hang")
    elif code not in case.codes:
        faults.append("wrong code")
    if re.search(r"unexpected [A-Z]\w*:", stderr):
        faults.append("unexpected")
    told = stderr if code else ""
    if code == 1 and case.names and not any(name in told for name in case.names) and not result["hung"]:
        faults.append("unnamed file")
    if result["bytes"] > MAX_BYTES:
        faults.append("memory")
    if result["outside"] or any(not _is_untouched(case.folder / name) for name in case.victims):
        faults.append("outside")
    detail = "".join(f"\n[started {s}]" for s in result["started"]) + "".join(
        f"\n[outside {s}]" for s in result["outside"]
    )
    return Outcome(
        code, result["seconds"], result["bytes"] / 1e6, stderr[-4000:] + detail, result["stdout"][-2000:], tuple(faults)
    )


def _is_untouched(victim: Path) -> bool:
    return victim.is_file() and victim.read_bytes() == b"x"


_COMPILED = os.environ.get("TORCHINDUCTOR_CACHE_DIR") or os.path.join(tempfile.gettempdir(), "torchinductor_hostile")
"""Cache of compiled kernels, which all commands share and write to."""


class _Watch:
    """Audit hook of the child: what is executed, and what is written outside of the folder."""

    def __init__(self, folder: str, programs: list[str], log: int) -> None:
        self.folder, self.programs, self.log = folder, programs, log
        self.allowed = (folder + os.sep, "/dev/", str(_PACKAGE) + os.sep, "/proc/self/", sys.prefix + os.sep, _COMPILED)

    def __call__(self, event: str, values: tuple[Any, ...]) -> None:
        try:
            if event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.startfile"):
                self._program(values)
            elif event == "exec":
                file = getattr(values[0], "co_filename", "")
                if file.startswith(self.folder):
                    self._tell("started", file)
            elif event == "open" and isinstance(values[2], int) and values[2] & _WRITING:
                self._written(values[0])
            elif event in ("os.rename", "os.link", "os.symlink"):
                self._written(values[0])
                self._written(values[1])
            elif event in ("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod"):
                self._written(values[0])
        except Exception as error:  # the hook must not change what the command does
            self._tell("started", f"the hook failed: {error!r}")

    def _program(self, values: tuple[Any, ...]) -> None:
        program = os.fsdecode(values[0]) if isinstance(values[0], str | bytes | os.PathLike) else ""
        words = values[1] if len(values) > 1 and isinstance(values[1], list | tuple) else [program]
        name = os.path.basename(program or str(words[0]))
        if (
            name not in _LIBRARY_SEARCH
            and not name.startswith("ffmpeg")
            and not any(name.startswith(allowed) for allowed in self.programs)
        ):
            self._tell("started", " ".join(map(str, words))[:300])

    def _written(self, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        place = os.path.abspath(os.fsdecode(path))
        # The folder itself may be made; links are followed as far as the parent, which is where a name appears.
        real = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
        if real != self.folder and not real.startswith(self.allowed):
            self._tell("outside", real)

    def _tell(self, kind: str, what: str) -> None:
        os.write(self.log, (json.dumps([kind, what[:400]]) + "\n").encode())


def _give_up_rights() -> None:
    """Let the rights of files hold for this process and those it starts, even for root (Linux; elsewhere nothing)."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, each twice 32 bits
    if library.capget(header, sets):
        return
    for capability in _PAST_RIGHTS:
        library.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
    for part in range(3):
        sets[part] &= ~sum(1 << capability for capability in _PAST_RIGHTS)
    library.capset(header, sets)


def _child(request: dict[str, Any], out: int, err: int, log: int) -> None:
    """Become the command: never returns."""
    os.setsid()
    folder = os.path.realpath(request["folder"])
    os.chdir(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = folder  # the second is what this process has found already
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 30, 2 << 30))
    _give_up_rights()
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]  # by these they are known as the process's own
    sys.addaudithook(_Watch(folder, request["programs"], log))
    code = 70
    try:
        from panohead.cli.main import main

        sys.argv = ["panohead", *request["argv"]]
        code = main(request["argv"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 255)


def _serve_one(request: dict[str, Any], base: int) -> dict[str, Any]:
    files = {name: os.memfd_create(name) for name in ("out", "err", "log")}
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        _child(request, files["out"], files["err"], files["log"])
    hung, usage, status = False, None, 0
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        waited = time.monotonic() - began
        patience, kill_after = request["patience"], request["kill_after"]
        if kill_after is not None and waited > kill_after:
            with contextlib.suppress(OSError):  # it may not lead its group yet
                os.killpg(pid, signal.SIGKILL)
        elif (
            not hung
            and waited > 1
            and (waited > patience * MAX_WAIT or _processor_seconds(pid) > patience * MAX_SECONDS)
        ):
            hung = True
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        time.sleep(0.003 if waited < 1 else 0.02)
    seconds = time.monotonic() - began
    with contextlib.suppress(OSError):  # what the command left running
        os.killpg(pid, signal.SIGKILL)
    texts = {}
    for name, number in files.items():
        size = min(os.fstat(number).st_size, 1 << 20)
        texts[name] = os.pread(number, size, 0).decode("utf-8", "replace")
        os.close(number)
    told = [json.loads(line) for line in texts["log"].splitlines() if line.endswith("]")]
    code = os.waitstatus_to_exitcode(status)
    return {
        "code": code if code >= 0 else 128 - code,
        "seconds": seconds,
        "hung": hung,
        "bytes": max(0, usage.ru_maxrss * 1024 - base),
        "stderr": texts["err"],
        "stdout": texts["out"],
        "started": sorted({what for kind, what in told if kind == "started"})[:5],
        "outside": sorted({what for kind, what in told if kind == "outside"})[:5],
    }


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _import_everything() -> None:
    """Import all of the package and what it loads late, so that no command pays for imports."""
    from PIL import Image

    import panohead

    Image.init()
    late = ("trimesh", "scipy.spatial", "scipy.optimize", "typeguard", "tyro._backends", "tyro._backends._tyro_backend",
            "matplotlib.figure", "matplotlib.backends.backend_agg", "numba.core.registry", "numba.np.ufunc",
            "imageio_ffmpeg")  # fmt: skip
    inside = (found.name for found in pkgutil.walk_packages(panohead.__path__, "panohead."))
    for name in (*late, *inside):
        if not name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # an optional library
                importlib.import_module(name)


def serve(asked: int, told: int) -> None:
    """Import the package, then answer requests until the pipe is closed."""
    import torch

    from panohead.cli import main

    if not os.environ.get("HOSTILE_PROBE"):
        _import_everything()
    if probe := os.environ.get("HOSTILE_PROBE"):  # a test of this file
        exec(compile(Path(probe).read_text(), probe, "exec"), {})
    assert main
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # a collection in a child would copy all pages of what is imported
    with os.fdopen(asked) as requests:
        for line in requests:
            # Not ru_maxrss: exec keeps the peak of the process that started this one.
            base = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
            os.write(told, (json.dumps(_serve_one(json.loads(line), base)) + "\n").encode())


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
