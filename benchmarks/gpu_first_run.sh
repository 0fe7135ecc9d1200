#!/usr/bin/env bash
# The first ten minutes with a GPU: is it right, how fast is it, how fast does it train?
#
#   benchmarks/gpu_first_run.sh [OUT]          results go to OUT (default gpu_first_run)
#   REHEARSE=1 benchmarks/gpu_first_run.sh     the same on a CPU with tiny networks, without the GPU tests
#
# Needs the package with its dev extra (`make env-dev`, with a torch built for CUDA); PYTHON names the interpreter.
# Goals (H200): a 512-pixel frame of a known head in at most 3 ms, then 1 ms; no test may fail.
# Every part has a time limit of its own, and a part that fails does not stop the next.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python}
OUT=${1:-gpu_first_run}
mkdir -p "$OUT"

if [ -n "${REHEARSE:-}" ]; then
    device=(--device cpu) small=(--tiny --repeats 2) presets=(--presets tiny --steps 2 --batch 4)
    fast=("${presets[@]}") demo=("${presets[@]}")
else
    device=(--device cuda) small=(--repeats 50)
    presets=(--presets panohead_512) demo=(--presets demo_128)
    fast=(--presets panohead_512 --set numerics.tf32=true numerics.channels_last=true)
fi

status=0
part() { # name, seconds, command...
    local name=$1 limit=$2
    shift 2
    echo "== $name"
    timeout "$limit" "$@" 2>&1 | tee "$OUT/$name.log"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
        echo "== $name FAILED (see $OUT/$name.log)"
        status=1
    fi
}

part machine 60 "$PYTHON" -m panohead.cli.main doctor
[ -n "${REHEARSE:-}" ] || part correct 240 "$PYTHON" -m pytest -q -m gpu -n 0 tests/gpu
part frames 120 "$PYTHON" benchmarks/gpu_frames.py "${device[@]}" "${small[@]}" --json "$OUT/frames.json"
part train_512 90 "$PYTHON" benchmarks/gpu_training.py "${device[@]}" "${presets[@]}" --json "$OUT/train_512.json"
part train_512_fast 90 "$PYTHON" benchmarks/gpu_training.py "${device[@]}" "${fast[@]}" --json "$OUT/train_512_fast.json"
part train_demo 60 "$PYTHON" benchmarks/gpu_training.py "${device[@]}" "${demo[@]}" --json "$OUT/train_demo.json"
exit $status
