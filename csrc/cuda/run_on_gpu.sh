#!/usr/bin/env bash
# Builds the CPU kernel and the CUDA library on a machine with a GPU, compares their bytes and measures both.
#   bash csrc/cuda/run_on_gpu.sh FOLDER      (writes FOLDER/render_cuda.json and FOLDER/build.log)
set -uo pipefail
cd "$(dirname "$0")/../.."
out="${1:?give a folder for the results}"
python="${PYTHON:-python3}"
build="$(mktemp -d)"
mkdir -p "$out"
give_up() {
    tail -n 30 "$out/build.log"
    printf '{"benchmark": "render_cuda", "failed": "%s; see build.log"}\n' "$1" > "$out/render_cuda.json"
    exit 1
}
capability="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)"
[ -n "$capability" ] || capability=90
"$python" -m cmake --version > /dev/null 2>&1 && cmake=("$python" -m cmake) || cmake=(cmake)
"${cmake[@]}" -S . -B "$build" -DEEGVLM_BUILD_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="$capability-real" \
    -DPython_EXECUTABLE="$("$python" -c 'import sys; print(sys.executable)')" \
    -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" > "$out/build.log" 2>&1 || give_up "cmake"
"${cmake[@]}" --build "$build" --parallel >> "$out/build.log" 2>&1 || give_up "the compilers"
cp -r eegvlm_rt benchmarks "$build/" && cp "$build"/_kernel*.so "$build/eegvlm_rt/" || give_up "the copy"
here="$PWD"
out="$(cd "$out" && pwd)"
cd "$build"
EEGVLM_CUDA_LIBRARY="$build/libeegvlm_cuda.so" PYTHONPATH="$build" \
    "$python" -m benchmarks.render_cuda --json "$out/render_cuda.json"
status=$?
cd "$here"
rm -rf "$build"
exit $status
