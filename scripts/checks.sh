#!/bin/bash
# checks.sh PART...: the checks of this tree, by name; what each one needs is installed and built first. Ends
# with 1 where a part failed, and says which; a part that failed does not keep the others from running.
#   core    what CI runs each time
#   turn    one of the groups of what is left: another one with each commit, so that CI stays short
#   all     everything: scripts/check_all.sh
#   --list  the parts of core, and a line for each group
#
# To add a part: a function part_NAME, and NAME in `core` or in one line of `turns`.
set -euo pipefail
cd "$(dirname "$0")/.."

core='suite sanitized format lines warnings symbols floors planted demo'
turns=(
    'runtimes'
    'lanes'
    'oclgrind threads'
    'mutants fuzz kernels'
    'gpus bench measure'
    'builds_cmake'
    'builds_systems'
)

# kernels compile once for all parts; a fresh folder, so that what is checked is what this tree makes
export POCL_CACHE_DIR=$PWD/build/pocl-cache OCLIN_CACHE_DIR=$PWD/build/oclin-cache
mkdir -p "$POCL_CACHE_DIR"

needs() { scripts/install.sh "$@"; }
tests_built() {
    needs build test
    scripts/build.sh build -DOCLIN_BUILD_TESTS=ON
}
# a folder that names PoCL alone: other drivers on the machine bring leaks and exceptions of their own
only_pocl() { grep -l libpocl /etc/OpenCL/vendors/*.icd | head -n 1; }

# quietly LOG COMMAND...: the last lines of what it says, or all where it fails
quietly() {
    local log=$1 status=0
    shift
    "$@" >"$log" 2>&1 || status=$?
    if [ $status = 0 ]; then tail -n 6 "$log"; else cat "$log"; fi
    return $status
}

# ------------------------------------------------------------------------------------------------------- core

# The README's test command.
part_suite() {
    rm -f build/worst.txt
    OCLIN_WORST_FILE=$PWD/build/worst.txt scripts/test.sh
    needs check
    scripts/worst_errors.py --print build/worst.txt
    scripts/check_pocl_locals.sh "$POCL_CACHE_DIR"
}

# Host code with ASan and UBSan. It is the same for all tiles: one plan of each family; self_check and fit
# mostly compile kernels, sums mostly add in the reference.
part_sanitized() {
    needs build test check
    scripts/build.sh build-asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DOCLIN_SANITIZE=address,undefined \
        -DOCLIN_WERROR=ON -DOCLIN_BUILD_EXAMPLES=OFF
    OCL_ICD_VENDORS=$(only_pocl) ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
        LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0 \
        quietly build-asan/ctest.log scripts/ctest_lsan.sh build-asan -j "$(nproc)" --output-on-failure \
        -E '^(products_(plain-.*|simd-.*|simt-(32|64|64x32|128)(-split)?)|(math|golden)_simt-16|self_check|fit|sums)$'
}

# Kernels through the compiler's checks.
part_kernels() {
    tests_built
    needs check
    scripts/lint_kernels.sh build
}

part_format() {
    needs check
    git ls-files '*.c' '*.h' '*.cl' | grep -vE "^tests/golden/(golden|optimizers)\.h$" | xargs clang-format --dry-run -Werror
}

# No line is longer than 110 columns. Rows of Markdown tables cannot be broken; the golden headers and chosen.py are data.
part_lines() {
    local long
    long=$(git ls-files src cl include tests docs README.md CONTRIBUTING.md CHANGELOG.md |
        grep -E '\.(c|h|cl|cpp|md|py|sh)$|CMakeLists\.txt$' | grep -vE '/golden/(golden|optimizers)\.h$|^tests/mutants/' |
        xargs awk 'length > 110 && !(FILENAME ~ /\.md$/ && /^\|/) { print FILENAME ":" FNR ": " length " columns" }')
    [ -z "$long" ] || { printf '%s\n' "$long"; echo "$(echo "$long" | wc -l) lines over 110 columns"; exit 1; }
}

# Warnings are errors with gcc and clang; the header as C99, C11 and C++11.
part_warnings() {
    needs build test check
    local compiler
    for compiler in gcc clang; do
        scripts/build.sh build-$compiler -DCMAKE_C_COMPILER=$compiler -DOCLIN_WERROR=ON -DOCLIN_BUILD_BENCH=ON \
            -DOCLIN_BUILD_TOOLS=ON -DOCLIN_BUILD_GPU_TOOLS=ON
        $compiler -x c -std=c99 -Wall -Wextra -Wpedantic -Werror -fsyntax-only include/oclin.h
        $compiler -x c -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only include/oclin.h
    done
    for compiler in g++ clang++; do
        $compiler -x c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only include/oclin.h
    done
}

# What the libraries export is oclin's, and in the header; the README's table has a row for each function of the
# header, and no other.
part_symbols() {
    tests_built
    needs check
    local exported foreign undeclared archived declared listed differences
    declared=$(sed -n 's/^OCLIN_API .*\(oclin_[a-z0-9_]*\)(.*/\1/p' include/oclin.h | sort)
    listed=$(sed -n 's/^| `\(oclin_[a-z0-9_]*\)` |.*/\1/p' README.md | sort)
    differences=$(diff <(echo "$declared") <(echo "$listed") || true)
    [ -z "$differences" ] || { printf 'oclin.h < > table of README.md\n%s\n' "$differences"; exit 1; }
    exported=$(nm -D --defined-only build/liboclin.so | awk '{ print $3 }')
    foreign=$(echo "$exported" | grep -v '^oclin_' || true)
    undeclared=$(for s in $exported; do grep -qw "$s" include/oclin.h || echo "$s"; done)
    archived=$(nm -g --defined-only build/liboclin.a 2>/dev/null | awk 'NF == 3 { print $3 }' | grep -v '^oclin_' || true)
    [ -z "$foreign$undeclared$archived" ] || { echo "not oclin's: $foreign $undeclared $archived"; exit 1; }
    echo "$(echo "$exported" | wc -l) symbols, all oclin_ and in the header; $(echo "$declared" | wc -l) rows in the README"
}

# Every include and every call between files of src/ goes down, or stays on its floor.
part_floors() {
    tests_built
    scripts/floors.py build --list
}

# Every planted mistake still fits the sources, and every command that is to notice it has a test.
part_planted() {
    tests_built
    tests/mutants/run.py --check build
}

# The README's other command, with one epoch, and the small examples.
part_demo() {
    scripts/demo.sh --epochs 1 --out build
    build/examples/linear_regression
    build/examples/interop
}

# ------------------------------------------------------------------------------------------ one group a time

part_runtimes() {
    needs runtimes
    tests_built
    scripts/matrix.sh --quick --fetch --require --only rusticl,intel
}

# What depends on the native width of vectors, at every width, whatever the machine's is.
part_lanes() {
    tests_built
    scripts/matrix.sh --quick --require --only pocl-lanes4,pocl-lanes8,pocl-lanes16
}

# Races, uninitialised values, accesses out of bounds.
part_oclgrind() {
    needs runtimes
    tests_built
    scripts/oclgrind.sh build
}

# Threads under TSan.
part_threads() {
    needs build test check
    scripts/build.sh build-tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DOCLIN_SANITIZE=thread -DOCLIN_BUILD_EXAMPLES=OFF \
        -DOCLIN_BUILD_TOOLS=OFF
    OCL_ICD_VENDORS=$(only_pocl) quietly build-tsan/ctest.log \
        env -C build-tsan ctest --output-on-failure \
        -R '^(threads|cache|cache_files|lifetime)$'
}

# Mistakes planted on purpose.
part_mutants() {
    needs build test check
    tests/mutants/run.py --ci
}

part_fuzz() {
    needs build check
    scripts/fuzz.sh --seconds 30 --seed 1
}

# Kernels on GPUs that are not there.
part_gpus() {
    OCLIN_GPU_COMPILERS=$PWD/build/gpu-compilers scripts/gpu_report.sh --gate --activations none,relu
}

# The benchmark's rows and checks, with the peers that are there.
part_bench() {
    needs build check
    scripts/build.sh build-gcc -DCMAKE_C_COMPILER=gcc -DOCLIN_WERROR=ON -DOCLIN_BUILD_BENCH=ON
    OCLIN_DEVICE=${OCLIN_DEVICE-portable computing} bench/test.sh build-gcc/bench/oclin_bench cl \
        build-gcc/tests/fake_cuda
}

# The script that measures on GPUs, rehearsed on PoCL: every part is in its report, also where one fails.
part_measure() {
    needs build test check
    tests/gpu_measure.sh build-measure
}

# Other builds in two halves: options and versions of CMake; then the rest, other compilers and systems.
of_cmake='options cmake-oldest cmake-newest unity static lto prefix libdir parent'
part_builds_cmake() {
    needs build test check builds
    # shellcheck disable=SC2086
    scripts/check_builds.sh $of_cmake
}
part_builds_systems() {
    needs build test check builds
    # shellcheck disable=SC2046,SC2086
    scripts/check_builds.sh $(scripts/check_builds.sh --list | grep -vxF "$(printf '%s\n' $of_cmake)")
}

# ------------------------------------------------------------------------------------------------------ running

turn() {
    local number
    number=$(git rev-list --count HEAD 2>/dev/null || date +%j)
    echo "${turns[10#$number % ${#turns[@]}]}"
}

for name in $(declare -F | sed -n 's/^declare -f part_//p'); do
    [[ " $core ${turns[*]} " == *" $name "* ]] || { echo "checks.sh: $name is in no list" >&2; exit 2; }
done
parts=
for name in "$@"; do
    case $name in
    core) parts+=" $core" ;;
    turn) parts+=" $(turn)" ;;
    all) parts+=" $core ${turns[*]}" ;;
    --list) printf '%s\n' "$core" "${turns[@]}"; exit ;;
    *)
        declare -F "part_$name" >/dev/null || { echo "checks.sh: there is no part $name; see --list" >&2; exit 2; }
        parts+=" $name" ;;
    esac
done
[ -n "$parts" ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

echo "checks:$parts"
started=$SECONDS failed=
for part in $parts; do
    printf '\n=== %s (%d s)\n' "$part" $((SECONDS - started))
    status=0
    set +e # a part ends at its first failure, and does not end the others
    (set -e; "part_$part")
    status=$?
    set -e
    [ $status = 0 ] || { failed+=" $part"; echo "=== $part FAILED, status $status"; }
done
printf '\n=== done (%d s):%s\n' $((SECONDS - started)) "$parts"
[ -z "$failed" ] || { echo "checks.sh: FAILED:$failed" >&2; exit 1; }
