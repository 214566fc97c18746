#!/usr/bin/env bash
# The kernel under the tools that find what tests cannot see. Each is one command:
#
#   bash tests/cpp/prove.sh address    AddressSanitizer and UBSan: C++ checks, fuzz inputs, Python render tests
#   bash tests/cpp/prove.sh valgrind   memcheck: the C++ checks, with leaks (the Debian package valgrind)
#   bash tests/cpp/prove.sh threads    ThreadSanitizer: 30 s of threads against one another
#   bash tests/cpp/prove.sh fuzz [RUNS] [FOLDER]
#                                      libFuzzer (clang): RUNS inputs, 10,000,000 unless told, by JOBS processes
#                                      (one a processor); corpus, logs and what is found go to FOLDER (build/fuzz).
#                                      FUZZER names a fuzzer that was built elsewhere
#   bash tests/cpp/prove.sh digests    every build draws the same bytes (compare_builds.py)
#
# PYTHON names the interpreter (.venv/bin/python), CLANG the compiler (clang++ or clang++-19).
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
[ -x "$PYTHON" ] && PATH="$(dirname "$PYTHON"):$PATH"
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)

build() { # FOLDER [CMAKE OPTIONS]
    local folder=$1
    shift
    cmake -S . -B "$folder" "${generator[@]}" -DEEGVLM_BUILD_PYTHON=OFF -DEEGVLM_BUILD_TESTS=ON "$@" >"$folder.log"
    cmake --build "$folder" --parallel 2 >>"$folder.log" || { tail -40 "$folder.log" && exit 1; }
}

address() {
    build build/address -DEEGVLM_BUILD_PYTHON=ON -DEEGVLM_SANITIZE=address,undefined \
        -Dpybind11_DIR="$("$PYTHON" -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$(command -v "$PYTHON")"
    ctest --test-dir build/address --output-on-failure --no-tests=error
    # The interpreter leaks by design; the C++ checks above looked for leaks.
    local libraries
    libraries="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so) $(g++ -print-file-name=libstdc++.so)"
    # Tests that compile the kernel anew say nothing of this build.
    LD_PRELOAD="$libraries" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
        "$PYTHON" tests/cpp/with_kernel.py build/address -q tests/rt/rendering tests/attacks/test_render*.py \
        --deselect tests/rt/rendering/test_kernel.py::test_the_cpp_checks_pass \
        --deselect tests/rt/rendering/test_builds.py --deselect tests/rt/rendering/test_cuda_build.py
}

valgrind_() {
    build build/valgrind -DCMAKE_CXX_FLAGS=-g
    local checked="valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=definite"
    local programs=build/valgrind/tests/cpp
    for command in eegvlm_checks "eegvlm_replay --lots 300" "eegvlm_stress 5" eegvlm_digest; do
        echo "valgrind: $command"
        # shellcheck disable=SC2086
        $checked $programs/$command
    done
    echo "valgrind: no error"
}

threads() {
    build build/threads -DEEGVLM_SANITIZE=thread
    TSAN_OPTIONS=halt_on_error=1 build/threads/tests/cpp/eegvlm_stress 30
}

fuzz() {
    local runs=${1:-10000000} folder=${2:-build/fuzz} jobs=${JOBS:-$(nproc)} fuzzer=${FUZZER:-} clang=${CLANG:-}
    if [ -z "$fuzzer" ]; then
        [ -n "$clang" ] || clang=$(command -v clang++ || command -v clang++-19)
        build build/fuzzer -DCMAKE_CXX_COMPILER="$clang" -DEEGVLM_SANITIZE=address,undefined -DEEGVLM_FUZZ=ON \
            -DCMAKE_EXE_LINKER_FLAGS="-static-libstdc++ -static-libgcc"
        fuzzer=build/fuzzer/tests/cpp/eegvlm_fuzz
    fi
    mkdir -p "$folder/corpus" "$folder/found"
    local job started=() failed=0
    for job in $(seq "$jobs"); do
        ASAN_OPTIONS=detect_stack_use_after_return=0 "$fuzzer" -runs=$((runs / jobs + 1)) -seed="$job" -max_len=600 \
            -len_control=0 -rss_limit_mb=2048 -timeout=20 -reload=30 -print_final_stats=1 \
            -artifact_prefix="$folder/found/" "$folder/corpus" >"$folder/job-$job.log" 2>&1 &
        started+=($!)
    done
    for job in "${started[@]}"; do wait "$job" || failed=1; done
    grep -h '\bcov: ' "$folder"/job-1.log | tail -1
    sed -n 's/^stat::number_of_executed_units: //p' "$folder"/job-*.log |
        awk '{ sum += $1 } END { print sum " inputs tried by " NR " processes" }'
    [ "$failed" = 0 ] || { grep -h 'ERROR\|runtime error\|^fuzz: ' "$folder"/job-*.log && ls "$folder/found" && exit 1; }
}

mkdir -p build
case "${1:-}" in
address) address ;;
valgrind) valgrind_ ;;
threads) threads ;;
fuzz) shift && fuzz "$@" ;;
digests) shift && "$PYTHON" tests/cpp/compare_builds.py "$@" ;;
*) sed -n '2,16s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
