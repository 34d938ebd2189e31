#!/bin/bash
# matrix.sh [OPTION]...: the test suite on every OpenCL runtime that is there, and what came of it as a table.
#   --only NAME,...   of the runtimes below (all)
#   --part REGEX      of the test programs, by their names in ctest: products_simt-16, loss, ... (all)
#   --quick           a part of the suite that all runtimes together run in minutes; for CI
#   --fetch           Intel's runtime is fetched first, where it is not there yet
#   --require         a runtime that is not there is a failure
#   --markdown FILE   writes the table to FILE as well
#   --build FOLDER    where the tests are built (build)
#   --timeout SECONDS for one test program (3600, with --quick 600; Rusticl compiles some kernels for minutes)
#
# The runtimes:
#   pocl                    PoCL
#   pocl-32k -64 -1         PoCL as a device of 32 KB of local memory; and of work-groups of 64, of 1, besides
#   pocl-lanes4 -lanes8 -lanes16
#                           PoCL as a device whose vectors natively have so many floats, whatever the
#                           machine's have; with --quick what depends on it
#   rusticl                 Mesa's Rusticl on llvmpipe
#   intel                   Intel's runtime for CPUs, in $OCLIN_INTEL (FOLDER/intel-opencl); scripts/install_intel.sh
#   oclgrind                Oclgrind, with 32 KB of local memory: scripts/oclgrind.sh, kernels of all families on small shapes
#   oclgrind-64 -1          the same with work-groups of 64, of 1
#
# Each runs in a process that sees no other runtime: OCL_ICD_VENDORS is a folder with that one in it, and
# which_device says what a context really gets. "Too large" are cases of plans whose work-groups the device
# does not allow: they check that oclin says so, and no more. tests/known_failures.txt lists what a runtime is
# known to get wrong; it is shown. The exit status is 0 when all that was found and tried had no failure that
# is not listed there, and something was; with --require all that was asked for must have been found.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
all='pocl pocl-32k pocl-64 pocl-1 pocl-lanes4 pocl-lanes8 pocl-lanes16'
all+=' rusticl intel oclgrind oclgrind-64 oclgrind-1'
only=$all part='' quick='' fetch='' require='' markdown='' build=$root/build timeout=''
while [ $# -gt 0 ]; do
    case $1 in
    --only) only=${2//,/ }; shift ;;
    --part) part=$2; shift ;;
    --quick) quick=1 ;;
    --fetch) fetch=1 ;;
    --require) require=1 ;;
    --markdown) markdown=$2; shift ;;
    --build) build=$2; shift ;;
    --timeout) timeout=$2; shift ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
    esac
    shift
done
for name in $only; do
    [[ " $all " == *" $name "* ]] || { echo "matrix.sh: there is no runtime $name, only: $all" >&2; exit 2; }
done
build=$(cd "$build" 2>/dev/null && pwd)
[ -x "$build/tests/which_device" ] || {
    echo "matrix.sh: the tests are not built there: scripts/build.sh build" >&2
    exit 2
}
[ -n "$timeout" ] || timeout=$([ -n "$quick" ] && echo 600 || echo 3600)
intel=${OCLIN_INTEL-$build/intel-opencl}
logs=$build/matrix
mkdir -p "$logs"

# ------------------------------------------------------------------------------------------------- the runtimes

# icd LIBRARY: a folder that names this driver alone, out of those that are installed
icd() {
    local file folder=$logs/vendors-$1
    file=$(grep -ls "$1" /etc/OpenCL/vendors/*.icd | head -n 1)
    [ -n "$file" ] || return 1
    mkdir -p "$folder" && cp "$file" "$folder/only.icd"
    echo "$folder"
}

# runtime NAME: its environment in `environment`, its platform's name in `platform`; fails with the reason in `missing`
runtime() {
    local vendors
    environment=(OCLIN_DEVICE= OCLIN_PLAN= LD_PRELOAD= OCLIN_FAKE_LOCAL_KB= OCLIN_FAKE_LANES=)
    case $1 in
    pocl*)
        platform='Portable Computing Language' missing='no libpocl in /etc/OpenCL/vendors (pocl-opencl-icd)'
        vendors=$(icd libpocl) || return 1
        [ "$1" = pocl ] || environment+=("LD_PRELOAD=$build/tests/libfake_device.so")
        case $1 in
        pocl-32k) environment+=(OCLIN_FAKE_LOCAL_KB=32) ;;
        pocl-64 | pocl-1) environment+=(OCLIN_FAKE_LOCAL_KB=32 "POCL_MAX_WORK_GROUP_SIZE=${1#pocl-}") ;;
        pocl-lanes*) environment+=("OCLIN_FAKE_LANES=${1#pocl-lanes}") ;;
        esac
        ;;
    rusticl)
        platform=rusticl missing='no libRusticlOpenCL in /etc/OpenCL/vendors (mesa-opencl-icd)'
        vendors=$(icd libRusticlOpenCL) || return 1
        environment+=(RUSTICL_ENABLE=llvmpipe)
        ;;
    intel)
        platform='Intel(R) OpenCL' missing="nothing in $intel (scripts/install_intel.sh)" vendors=$intel/vendors
        [ -z "$fetch" ] || [ -e "$vendors/intel.icd" ] || "$root/scripts/install_intel.sh" "$intel" ||
            missing='it could not be fetched'
        [ -e "$vendors/intel.icd" ] || return 1
        ;;
    oclgrind*)
        platform=Oclgrind missing='no program oclgrind'
        command -v oclgrind >/dev/null || return 1
        return 0
        ;;
    esac
    environment+=("OCL_ICD_VENDORS=$vendors")
}

# --------------------------------------------------------------------------------------------------- one runtime

# The cases of one log of ctest -V, a line each: "ok PROGRAM:CASE", or "bad", or "skip". A program that did not end by itself counts
# as a failure of the case that it was at, with how it ended behind a tab.
cases_of() {
    awk '
    /^ *Start +[0-9]+: / { number = $2; sub(":", "", number); program[number] = $3; next }
    /^[0-9]+: \[ RUN      \] / {
        number = $1; sub(":", "", number)
        running[number] = $0; sub(/^[0-9]+: \[ RUN      \] /, "", running[number])
        next
    }
    /^[0-9]+: \[ +(OK|FAILED|SKIPPED) +\] / {
        number = $1; sub(":", "", number)
        what = $0 ~ /^[0-9]+: \[ +OK/ ? "ok" : $0 ~ /^[0-9]+: \[ +FAILED/ ? "bad" : "skip"
        name = $0; sub(/^[0-9]+: \[ +[A-Z]+ +\] /, "", name)
        # the sum of a group, not a case: cmocka 1.1.7 puts the name of the group in front
        if (name ~ /^([^ ]+: )?[0-9]+ test\(s\)/ || seen[number name]++) next
        print what " " program[number] ":" name
        running[number] = ""
        if (what == "bad") failed[number]++
        next
    }
    / Test +#[0-9]+: / {
        number = $0; sub(/.* Test +#/, "", number); sub(/:.*/, "", number)
        if ($0 ~ / Passed /) next
        if (failed[number] && $0 ~ /\*\*\*Failed/) next
        why = $0; sub(/.*\.\.+/, "", why); sub(/ +[0-9.]+ sec.*/, "", why); gsub(/\*|^ +/, "", why)
        print "bad " program[number] ":" running[number] "\t" why
    }'
}

# suite NAME LOG PROGRAMS [PATTERN]: these programs of the suite, all their cases or those of a pattern
suite() {
    local name=$1 log=$2 programs=$3 pattern=${4-} names status=0
    names=$(cd "$build" && ctest -N ${part:+-R "$part"} | sed -n 's/^ *Test *#[0-9]*: //p' | grep -E "$programs")
    [ -n "$names" ] || return 0
    (cd "$build" && env "${environment[@]}" "OCLIN_TEST_WITHOUT=$apart" ${pattern:+OCLIN_TEST="$pattern"} ctest -V -j "$(nproc)" --timeout "$timeout" \
        -R "^($(echo "$names" | paste -sd'|'))\$") >>"$log" 2>&1 || status=$?
    # 8: some failed. Anything else: it did not come to the end, and what is not in the log did not run
    [ $status = 0 ] || [ $status = 8 ] ||
        printf '\n    Start 0: ctest\n0/0 Test #0: ctest ....***exit status %d\n' $status >>"$log"
}

whole='.'
# For CI: every module that has to do with the driver, and small rows of plans of each family.
quick_modules='^(device|context|lifetime|tensor|sharing|layer|layer_args|layer_state|layer_gradients|layer_failure|layer_strict'
quick_modules+='|layer_data|loss|program|cache|cache_files|failure|edges|(math|golden)_plain)$'
quick_products='^products_(plain|simd-4|simt-16|simt-32)$'
# And what depends on the native width of vectors: every plan that takes its lanes from there.
lanes_modules='^(queue|fit|edges|layer|layer_data|loss|(math|golden)_simd)$'
lanes_products='^products_simd(-whole|-packed|-mixed|-staged|-skinny|-narrow)?$'

# What ends its process runs last, one case at a time: what is behind it in its program would not run.
run_suite() {
    local name=$1 log=$2 case
    apart=$(ending "$name" | cut -d: -f2- | paste -sd';')
    if [ -z "$quick" ]; then
        suite "$name" "$log" "$whole"
    elif [[ $name == pocl-lanes* ]]; then
        suite "$name" "$log" "$lanes_modules"
        suite "$name" "$log" "$lanes_products" '*/small*'
        suite "$name" "$log" '^self_check$' 'right_device/default'
        suite "$name" "$log" '^self_check$' 'mistake/simd/*'
    else
        suite "$name" "$log" "$quick_modules"
        suite "$name" "$log" "$quick_products" '*/small*'
        suite "$name" "$log" '^self_check$' 'right_device/default'
    fi
    apart=''
    while IFS= read -r case; do
        suite "$name" "$log" "^${case%%:*}\$" "${case#*:}"
    done < <(ending "$name")
}

# as suite's log gives them: one line a case
run_oclgrind() {
    local limits=(--local-mem-size 32768)
    [ "$1" = oclgrind ] || limits+=(--max-wgsize "${1#oclgrind-}")
    OCLIN_PART=$part OCLIN_TIMEOUT=$timeout "$root/scripts/oclgrind.sh" "$build" "${limits[@]}" >"$2" 2>&1
}
oclgrind_cases() {
    awk '/: [0-9]+ cases, empty log/ {
             match($0, /: [0-9]+ cases/); n = substr($0, RSTART + 2) + 0
             for (i = 0; i < n; i++) print "ok " $0
             if (match($0, /\([0-9]+ need larger/)) { n = substr($0, RSTART + 1) + 0; while (n-- > 0) print "skip " $0 }
         }
         /: FAILED \(/ { print "bad " $0 }'
}

# listed NAME REASON: the cases listed for this runtime and the version of its driver, those whose reason
# begins with REASON
listed() {
    awk -F ' *[|] *' -v name="$1" -v reason="$2" '$1 == name && index($4, reason) == 1 { print $2 "|" $3 }' \
        "$root/tests/known_failures.txt" |
        while IFS='|' read -r versions cases; do
            # shellcheck disable=SC2053
            [[ $driver != $versions ]] || printf '%s\n' "$cases"
        done
}
known() { listed "$1" ''; }
ending() { listed "$1" 'ends the process'; }

# judge NAME RESULTS: sets passed, failed, listed (known failures), skipped, and adds to notes
judge() {
    local name=$1 results=$2 line case pattern is_known
    passed=$(grep -c '^ok ' "$results") failed=0 listed=0 skipped=$(grep -c '^skip ' "$results")
    while IFS= read -r line; do
        line=${line#bad } is_known=
        case=${line%%$'\t'*}
        while IFS= read -r pattern; do
            # shellcheck disable=SC2053
            [[ $case == $pattern ]] && is_known=1
        done < <(known "$name")
        if [ -n "$is_known" ]; then
            listed=$((listed + 1)) notes+=("$name, known: ${line/$'\t'/, }")
        else
            failed=$((failed + 1)) notes+=("$name, FAILED: ${line/$'\t'/, }")
        fi
    done < <(grep '^bad ' "$results")
    # a listed failure that is gone
    while IFS= read -r pattern; do
        local good='' bad=''
        while IFS= read -r line; do
            line=${line%%$'\t'*}
            # shellcheck disable=SC2053
            [[ ${line#* } == $pattern ]] && { [ "${line%% *}" = ok ] && good=1 || bad=1; }
        done < <(grep -F -- "${pattern%%[*?[]*}" "$results")
        [ -z "$good" ] || [ -n "$bad" ] || notes+=("$name: $pattern is listed as a known failure, and passes")
    done < <(known "$name")
}

notes=() rows=() failures=0 found=0 tried=0 driver=
row() { # NAME DEVICE PASSED FAILED KNOWN SKIPPED TIME
    rows+=("| $1 | $2 | $3 | $4 | $5 | $6 | $7 |")
    printf '%s: %s: %s passed, %s failed, %s known, %s too large, %s\n' "$@"
}

test_runtime() {
    local name=$1 log=$logs/$1.log wrap=() device cpu started=$SECONDS
    : >"$log"
    tried=$((tried + 1))
    if ! runtime "$name"; then
        if [ -n "$require" ]; then
            failures=$((failures + 1)) notes+=("$name, FAILED: it is not there")
        fi
        row "$name" "not there: $missing" - - - - -
        return
    fi
    found=$((found + 1))
    [[ $name == oclgrind* ]] && wrap=(oclgrind --local-mem-size 32768)
    [[ $name == oclgrind-* ]] && wrap+=(--max-wgsize "${name#oclgrind-}")
    if ! device=$(env "${environment[@]}" "${wrap[@]}" timeout 120 "$build/tests/which_device" "$platform" 2>"$log"); then
        failures=$((failures + 1))
        row "$name" "FAILED: $(tail -n 1 "$log")" 0 1 0 0 -
        return
    fi
    if [[ $name == pocl-lanes* && $(cut -f 7 <<<"$device") != "${name#pocl-lanes}" ]]; then
        failures=$((failures + 1))
        row "$name" "FAILED: the device has $(cut -f 7 <<<"$device") lanes" 0 1 0 0 -
        return
    fi
    driver=$(cut -f 3 <<<"$device")
    device=$(awk -F'\t' '{ printf "%s, driver %s; %s (%d KB local, groups of %d, %d lanes)",
        $1, $3, $2, $5 / 1024, $6, $7 }' <<<"$device")
    local TIMEFORMAT='%U %S'
    if [[ $name == oclgrind* ]]; then
        { time run_oclgrind "$name" "$log"; } 2>"$log.time"
        oclgrind_cases <"$log" >"$log.cases"
    else
        { time run_suite "$name" "$log"; } 2>"$log.time"
        cases_of <"$log" >"$log.cases"
    fi
    judge "$name" "$log.cases"
    if [ $((passed + failed + listed)) = 0 ]; then
        failed=1
        notes+=("$name, FAILED: not one case ran: $log")
    fi
    cpu=$(tail -n 1 "$log.time" | awk '{ printf "%d", $1 + $2 + 0.5 }')
    [ "$failed" = 0 ] || failures=$((failures + 1))
    row "$name" "$device" "$passed" "$failed" "$listed" "$skipped" "$((SECONDS - started)) s ($cpu s of CPU)"
}

for name in $only; do test_runtime "$name"; done

# ----------------------------------------------------------------------------------------------------- the table

table() {
    echo "| runtime | device | passed | failed | known failures | too large | time |"
    echo "|---|---|---|---|---|---|---|"
    printf '%s\n' "${rows[@]}"
}
echo
table
[ ${#notes[@]} = 0 ] || printf '\n%s' "${notes[@]}"
echo
[ -z "$markdown" ] || table >"$markdown"
if [ $found = 0 ]; then
    echo "matrix.sh: none of the runtimes is there" >&2
    exit 1
fi
[ $failures = 0 ] || { echo "matrix.sh: $failures of $tried runtimes failed; logs are in $logs" >&2; exit 1; }
