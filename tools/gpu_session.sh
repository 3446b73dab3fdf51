#!/usr/bin/env bash
# Everything that needs a GPU, in one command, on a machine with an NVIDIA driver for CUDA 13 (580 or newer):
#   tools/gpu_session.sh [DIRECTORY]     writes kernels.json, model.json and tests.txt there (default tools/benchmarks/GPU-NAME)
# Kernels: emulator against GPU on every fixture, a kernel against itself (A/A), the exploits, verdicts a second, and the timing table of
# the built-in tasks beside our faster kernels and XLA. Model: decode and update of SmolLM2-135M with MBU and MFU. Tests: pytest -m gpu.
set -uo pipefail
cd "$(dirname "$0")/.."
name=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1 | tr -cs 'A-Za-z0-9' '-' | sed 's/-*$//') || { echo "no NVIDIA driver here" >&2; exit 2; }
out=${1:-tools/benchmarks/$name}
mkdir -p "$out"
python3 -c "import semrep_jax, cupy, cuda.core, jax" 2>/dev/null || pip install --quiet -e ".[cuda13,nvrtc,dev]" || exit 2
export XLA_PYTHON_CLIENT_PREALLOCATE=false PYTHONUNBUFFERED=1
status=0
python3 tools/bench_gpu.py 2>&1 | tee "$out/kernels.txt" || status=1
tail -1 "$out/kernels.txt" > "$out/kernels.json"
python3 -m pytest -m gpu -n 0 2>&1 | tee "$out/tests.txt" || status=1
python3 tools/get_smollm2.py && python3 tools/bench_model.py --peers none 2>&1 | tee "$out/model.txt" && tail -1 "$out/model.txt" > "$out/model.json" || status=1
cat "$out/kernels.json"
exit $status
