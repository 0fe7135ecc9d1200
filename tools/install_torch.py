"""Install PyTorch as this machine needs it, and say what was chosen.

    .venv/bin/python tools/install_torch.py torch==2.13.0 [OPTIONS OF PIP]

On Linux the default index serves torch with several GB of CUDA packages. Without an NVIDIA GPU the index of CPU builds
is asked first; where it cannot be reached, or a GPU is there, or on another system, the default index is asked.
"""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator

CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def attempts(requirement: str, system: str, has_gpu: bool) -> Iterator[tuple[list[str], str]]:
    """Yield arguments of ``pip install`` in the order to try them, each with a sentence to print.

    Args:
        requirement: such as "torch==2.13.0".
        system: ``platform.system()``.
        has_gpu: an NVIDIA driver is installed.
    """
    if system == "Linux" and not has_gpu:
        quick = ["--timeout", "10", "--retries", "0"]
        yield [*quick, "--index-url", CPU_INDEX, requirement], f"no NVIDIA GPU: {requirement} from {CPU_INDEX} (0.2 GB)"
        yield (
            [requirement],
            (
                f"{CPU_INDEX} cannot be reached: {requirement} from the default index, which may bring several GB of "
                "CUDA packages that this machine does not use"
            ),
        )
    else:
        yield [requirement], f"{requirement} from the default index"


def main(requirement: str, options: list[str]) -> int:
    """Install; return pip's exit code."""
    code = 1
    for arguments, sentence in attempts(requirement, platform.system(), shutil.which("nvidia-smi") is not None):
        print(sentence, flush=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *options,
            *arguments,
        ]
        code = subprocess.run(command, check=False).returncode
        if code == 0:
            return 0
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
