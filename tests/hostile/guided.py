"""Coverage-guided fuzzing of the readers by atheris, which keeps damaged files that reach new lines of the package.

    pip install atheris
    PYTHONPATH=tests python -m hostile.guided --out DIR [--seed 0] [--seconds 60] [READER ...]

atheris has no packages for every system, so it is no dependency of ``make campaign``. Every reader has a process of its
own; ``DIR/guided.jsonl`` has a line for each, in the form of the campaign's results, and the same command continues the
collection of files in ``DIR/corpus``. Any fault makes the exit code 1.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

MAX_EXAMPLES = 5
MAX_INPUT_BYTES = 1 << 20
_LIMITS = ("-timeout=20", "-rss_limit_mb=6000", "-print_final_stats=1", "-verbosity=0")
"""Of libFuzzer: seconds of one input, memory of the process."""


def fuzz_reader(target: str, out: Path, seed: int, seconds: int) -> None:
    """Feed files to a reader until the time is over; never returns. Writes ``out/TARGET.json`` as it goes."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["panohead"]):
        from hostile import fuzz
        from panohead.errors import PanoHeadError

        fuzz.preload()
    _, name, _, reader = fuzz.TARGETS[target]
    folder, corpus = out / "valid", out / "corpus" / target.replace(" ", "_")
    shutil.rmtree(folder, ignore_errors=True)
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "valid").write_bytes(fuzz.valid_folder(target, folder))
    found: dict[str, Any] = {"inputs": 0, "faults": [], "examples": []}

    def once(data: bytes) -> None:
        found["inputs"] += 1
        (folder / name).write_bytes(data)
        try:
            reader(folder)
        except PanoHeadError as error:
            if not str(error).strip():
                tell("unnamed file", data)
        except Exception:
            tell("traceback", data)
        if found["inputs"] % 10 == 0:
            (out / f"{target}.json").write_text(json.dumps(found))

    def tell(fault: str, data: bytes) -> None:
        found["faults"].append(fault)
        if len(found["examples"]) < MAX_EXAMPLES:
            kept = out / f"{target} {len(found['examples'])}.found"
            kept.write_bytes(data)
            found["examples"].append({"fault": fault, "said": traceback.format_exc()[-1500:], "data": str(kept)})
        (out / f"{target}.json").write_text(json.dumps(found))

    options = (*_LIMITS, f"-max_total_time={seconds}", f"-seed={seed + 1}", f"-max_len={MAX_INPUT_BYTES}")
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={out}/", str(corpus)], once)
    atheris.Fuzz()


def fuzz_in_process(target: str, out: Path, seed: int, seconds: int) -> dict[str, Any]:
    """Run :func:`fuzz_reader` in a process of its own, and return its counts; a lost process is a fault."""
    (out / f"{target}.json").unlink(missing_ok=True)
    words = [sys.executable, "-P", "-m", "hostile.guided", "--out", out, "--seed", seed, "--seconds", seconds, target]
    ran = subprocess.run([*map(str, words), "--inside"], stderr=subprocess.PIPE, text=True, errors="replace")
    written = out / f"{target}.json"
    found: dict[str, Any] = json.loads(written.read_text()) if written.exists() else {"inputs": 0, "faults": []}
    if ran.returncode:
        found["faults"].append(
            "hang" if "ALARM" in ran.stderr else "memory" if "out-of-memory" in ran.stderr else "lost"
        )
        found["said"] = ran.stderr[-1500:]
    return {"family": f"guided {target}", "seed": seed, **found}


def main() -> int:
    """Fuzz the readers one after the other."""
    from hostile.fuzz import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="READER", help=", ".join(TARGETS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if options.inside:
        fuzz_reader(options.targets[0], out, options.seed, options.seconds)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed; pip install atheris", file=sys.stderr)
        return 2
    faults = 0
    for target in options.targets:
        found = fuzz_in_process(target, out, options.seed, options.seconds)
        faults += len(found["faults"])
        with (out / "guided.jsonl").open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(f"{target}: {found['inputs']} inputs, {len(found['faults'])} faults", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
