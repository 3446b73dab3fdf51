#!/usr/bin/env bash
# Everything that needs a GPU, in one command, on a machine with an NVIDIA driver for CUDA 13 (580 or newer):
#   tools/gpu_session.sh [--dry-run] [DIRECTORY]     # default tools/benchmarks/GPU-NAME; leaves kernels.json, model.json, tests.txt
# Kernels (bench_gpu.py): emulator against GPU on every fixture, a kernel against itself (A/A), the exploits, verdicts a
# second, and the timing table of the built-in tasks beside our faster kernels and XLA. Model (bench_model.py): decode
# and update of SmolLM2-135M with MBU and MFU. Tests: pytest -m gpu. Training: the nano base learns to write kernels, then
# both stages with the speed term. Each stage is bounded to ten minutes, and a stage that ended well leaves STAGE.done:
# the same command goes on with the next one, within the kernels with the next item, within a training with its next step.
# --dry-run prints the commands and runs none. Prints all of it, then kernels.json; exit code 1 if a stage failed, 2
# without a driver.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
dry=""
if [ "${1:-}" = "--dry-run" ]; then
    dry=yes
    shift
fi
if [ -n "$dry" ]; then
    name=GPU-NAME
else
    name=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1 | tr -cs 'A-Za-z0-9' '-' | sed 's/-*$//') || {
        echo "no NVIDIA driver here" >&2
        exit 2
    }
fi
out=${1:-tools/benchmarks/$name}
export XLA_PYTHON_CLIENT_PREALLOCATE=false PYTHONUNBUFFERED=1
status=0

# stage NAME COMMAND...: at most ten minutes, its output in NAME.txt, not run again once it has ended well
stage() {
    local name=$1
    shift
    if [ -n "$dry" ]; then
        echo "$name: timeout 600 $*"
    elif [ -e "$out/$name.done" ]; then
        echo "$name: done before, see $out/$name.txt"
    elif timeout 600 "$@" 2>&1 | tee "$out/$name.txt"; then
        touch "$out/$name.done"
    else
        status=1
    fi
}

if [ -z "$dry" ]; then
    mkdir -p "$out"
    if ! python3 -c "import semrep_jax, cupy, cuda.core, jax" 2>/dev/null; then
        pip install --quiet -e ".[cuda13,nvrtc,dev]" || exit 2
    fi
fi
for part in aa conformance exploits rate table; do
    stage "$part" python3 tools/bench_gpu.py --parts "$part" --out "$out/parts" --seconds-a-part 480
done
stage kernels python3 tools/bench_gpu.py --out "$out/parts" --seconds-a-part 0
stage tests python3 -m pytest -m gpu -n 0
stage fetch python3 tools/get_smollm2.py
stage model python3 tools/bench_model.py --peers none
stage pairs python3 tools/write_kernel_pairs.py runs/kernel_pairs --tasks 200
stage warm python3 -m semrep_jax.main --config configs/pretrain_kernels.yaml
stage train python3 -m semrep_jax.main --config configs/nano_kernels.yaml
[ -n "$dry" ] && exit 0

for name in kernels model; do
    [ -s "$out/$name.txt" ] && tail -1 "$out/$name.txt" > "$out/$name.json"
done
[ -s "$out/kernels.json" ] && cat "$out/kernels.json"
exit $status
