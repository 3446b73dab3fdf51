#!/usr/bin/env bash
# Everything that needs a GPU, in one command, on a machine with an NVIDIA driver for CUDA 13 (580 or newer):
#   tools/gpu_session.sh [DIRECTORY]     # default tools/benchmarks/GPU-NAME; writes kernels.json, model.json, tests.txt
# Kernels (bench_gpu.py): emulator against GPU on every fixture, a kernel against itself (A/A), the exploits, verdicts a
# second, and the timing table of the built-in tasks beside our faster kernels and XLA. Model (bench_model.py): decode
# and update of SmolLM2-135M with MBU and MFU. Tests: pytest -m gpu. Prints all of it, then kernels.json; exit code 1 if
# a part failed, 2 without a driver.
set -uo pipefail
cd "$(dirname "$0")/.."
name=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1 | tr -cs 'A-Za-z0-9' '-' | sed 's/-*$//') || {
    echo "no NVIDIA driver here" >&2
    exit 2
}
out=${1:-tools/benchmarks/$name}
mkdir -p "$out"
if ! python3 -c "import semrep_jax, cupy, cuda.core, jax" 2>/dev/null; then
    pip install --quiet -e ".[cuda13,nvrtc,dev]" || exit 2
fi
export XLA_PYTHON_CLIENT_PREALLOCATE=false PYTHONUNBUFFERED=1
status=0

# each part is bounded to 9 minutes and resumed from its file, so that a cut session loses one item
for part in aa conformance exploits rate table; do
    timeout 600 python3 tools/bench_gpu.py --parts $part --out "$out/parts" --seconds-a-part 480 2>&1 | tee "$out/$part.txt" || status=1
done
python3 tools/bench_gpu.py --out "$out/parts" --seconds-a-part 0 2>&1 | tee "$out/kernels.txt" || status=1
tail -1 "$out/kernels.txt" > "$out/kernels.json"

python3 -m pytest -m gpu -n 0 2>&1 | tee "$out/tests.txt" || status=1

if python3 tools/get_smollm2.py && python3 tools/bench_model.py --peers none 2>&1 | tee "$out/model.txt"; then
    tail -1 "$out/model.txt" > "$out/model.json"
else
    status=1
fi

cat "$out/kernels.json"
exit $status
