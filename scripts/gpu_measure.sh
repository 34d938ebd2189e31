#!/bin/bash
# gpu_measure.sh --out FOLDER [OPTION]...: builds oclin, tests it and times it on this machine's GPU, within
# so many minutes, and writes a report. Nothing is fetched; what a bare machine lacks comes from
# scripts/gpu_bundle.sh. Only where a driver of NVIDIA's cannot be reached otherwise, and the user is root, its
# name is written to /etc/OpenCL/vendors and its folder to /etc/ld.so.conf.d.
#   --out FOLDER     report.md and at most seven files more; each is written while its part runs
#   --minutes N      for all parts together (9); a part that needs less leaves its time to the others
#   --device TEXT    as OCLIN_DEVICE (gpu)
#   --parts LIST     of machine,build,driver,check,suite,rates,bench,kernels,plans,torch,ptx (all)
#   --shapes FILE    of bench, kernels, plans, torch (bench/shapes/gpu.csv)
#   --tests REGEX    programs of the suite, as for ctest -R (products, math, golden, layer, loss)
#   --build FOLDER   where it is built (build-measure in the tree)
#   --bundle FOLDER  of gpu_bundle.sh (.gpu-bundle in the tree)
# Ends with 1 where a part failed; the others run all the same, and the report says which it was.
set -euo pipefail
self=$(realpath "$0")
root=$(dirname "$(dirname "$self")")
names=(machine build driver check suite rates bench kernels plans torch ptx)
declare -A weight=([machine]=10 [build]=60 [driver]=15 [check]=60 [suite]=150
    [rates]=10 [bench]=130 [kernels]=30 [plans]=60 [torch]=60 [ptx]=20)

# ------------------------------------------------------------------------------------------------------ parts
# Each is a process of its own under `timeout`. What it prints goes to log.txt, and lines that begin with
# "result: " to the report, too; exit status 77 stands for "left out".

say() { echo "result: $*"; }
# what a command prints; it fails where the command does
result() { "$@" | sed 's/^/result: /'; }
left_out() { say "$*"; exit 77; }
has_device() { "$build/bench/probe" chosen >/dev/null 2>&1; }
need_device() { has_device || left_out "no OpenCL device"; }

part_machine() {
    PATH=$PATH:/usr/local/nvidia/bin
    uname -srm
    lscpu | grep -E '^(Model name|CPU\(s\))' || true
    gcc --version | head -n 1
    cmake --version | head -n 1
    if command -v nvidia-smi >/dev/null; then
        nvidia-smi
        say "$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit \
            --format=csv,noheader | head -n 1)"
    else
        say "no nvidia-smi; $(nproc) cores"
    fi
}

part_build() {
    local targets="probe ptx oclin_bench test_products test_math test_golden test_layer test_loss"
    cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DOCLIN_BUILD_TESTS=ON -DOCLIN_BUILD_BENCH=ON \
        -DOCLIN_BUILD_EXAMPLES=OFF -DOCLIN_BUILD_TOOLS=OFF
    # shellcheck disable=SC2086
    cmake --build "$build" -j "$(nproc)" --target $targets
    say "$(grep -E '^OpenCL_LIBRARY:' "$build/CMakeCache.txt" | cut -d= -f2)," \
        "$(grep -E '^CMOCKA_LIBRARY:' "$build/CMakeCache.txt" | cut -d= -f2)"
}

# That oclin has the device, and everything that drivers say of theirs.
part_driver() {
    "$build/bench/probe" devices
    result "$build/bench/probe" chosen
}

part_check() {
    need_device
    result "$build/bench/probe" check
}

part_suite() {
    local status=0
    need_device
    (cd "$build" && ctest -j "$(nproc)" --output-on-failure -R "$tests") || status=$?
    grep -a '^tally ' "$build/Testing/Temporary/LastTest.log" |
        sed 's/^tally .*: \([0-9]*\) run, \([0-9]*\) failed.*/\1 \2/' |
        awk '{ n += $1; bad += $2 } END { print "result: " n + 0 " test cases ran, " bad + 0 " failed" }'
    return $status
}

part_bench() {
    need_device
    cuda_libraries
    "$build/bench/oclin_bench" --shapes "$shapes" --ops forward,dw,dx,step,fused_step --runs 3 \
        --peers cublas,cublas_tf32 --csv "$out/bench.csv"
    say "$(($(wc -l <"$out/bench.csv") - 1)) rows, all checked"
}

part_rates() {
    need_device
    "$build/bench/probe" rates | tee "$out/rates.csv"
}

part_kernels() {
    need_device
    "$build/bench/probe" kernels "$shapes" | tee "$out/kernels.csv"
}

# Each plan gets its share of the time, so that a slow one does not take that of the others. The inner timeout
# stays in the foreground, in the process group of the part, and so ends with it.
part_plans() {
    local plan plans share got status=0
    need_device
    plans=$("$build/bench/probe" plans)
    share=$((limit * 9 / 10 / $(wc -w <<<"$plans") + 1))
    for plan in $plans; do
        echo "--- $plan, at most $share s"
        rm -f "$build/plan.csv"
        got=0
        timeout --foreground $share "$build/bench/oclin_bench" --plan "$plan" --shapes "$shapes" --ops forward,dw,dx \
            --peers none --runs 1 --csv "$build/plan.csv" || got=$?
        [ $got = 0 ] || [ $got = 124 ] || status=$got # what does not fit is not in the rows
        [ -e "$build/plan.csv" ] || continue
        [ -e "$out/plans.csv" ] || sed -n '1s/^/plan,/p' "$build/plan.csv" >"$out/plans.csv"
        sed "1d;s/^/$plan,/" "$build/plan.csv" >>"$out/plans.csv"
    done
    [ -e "$out/plans.csv" ] || { say "no plan had time for a shape"; exit 124; }
    say "$(($(wc -l <"$out/plans.csv") - 1)) rows of $(wc -w <<<"$plans") plans"
    return $status
}

# The python3 that has PyTorch.
torch_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import torch' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

part_torch() {
    local python
    python=$(torch_python) || left_out "no python3 has PyTorch"
    "$python" "$root/bench/torch_step.py" --shapes "$shapes" --device cuda --runs 3 --csv "$out/torch.csv" \
        --modes eager,graph,eager_tf32,graph_tf32
    say "$(head -n 1 "$out/torch.csv" | sed 's/^# //')"
}

# Without OpenCL: kernels that gpu_bundle.sh made beforehand, through NVIDIA's driver.
part_ptx() {
    ! has_device || left_out "not needed: OpenCL is there"
    [ -e "$bundle/ptx/record" ] || left_out "no PTX in $bundle"
    cuda_libraries
    "$build/bench/ptx" "$bundle/ptx" | tee "$out/ptx.csv"
}

# ----------------------------------------------------------------------------------------------------- set-up

# Lets programs find NVIDIA's driver, and cuBLAS (often PyTorch's), where the system does not know them.
cuda_libraries() {
    local python packages='' folders
    ! python=$(torch_python) || packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    folders=$({
        find -L /usr/local/nvidia /usr/lib -name libcuda.so.1
        find -L /usr/local/cuda*/ "$packages/nvidia" -name 'libcublas.so.1[0-9]'
    } 2>/dev/null | grep -vE '/(stubs|compat)/' | sed 's,/[^/]*$,,' | sort -ru | paste -sd:) || true
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folders
}

note() { echo "gpu_measure.sh: $*" | tee -a "$out/log.txt"; }

# Where the system has no OpenCL headers, loader or cmocka, those of the bundle.
use_bundle() {
    local header library missing=
    for header in CL/cl.h cmocka.h; do
        if [ "$header" = cmocka.h ]; then library=cmocka; else library=OpenCL; fi
        # cmocka.h wants the others before it
        {
            printf '#include <%s>\n' stddef.h stdint.h stdarg.h setjmp.h "$header"
            echo 'int main(void) { return 0; }'
        } |
            cc -DCL_TARGET_OPENCL_VERSION=120 -xc - -o /dev/null "-l$library" 2>/dev/null ||
            missing+=" $library"
    done
    [ -n "$missing" ] || return 0
    [ -d "$bundle/usr" ] || {
        note "this system lacks$missing, and there is no bundle in $bundle: see gpu_bundle.sh"
        return 0 # the build says the rest
    }
    local folder
    folder=$(dirname "$(find "$bundle/usr/lib" -name libOpenCL.so | head -n 1)")
    note "$bundle has what this system lacks:$missing"
    export CMAKE_PREFIX_PATH=$bundle/usr${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
    export CPATH=$bundle/usr/include${CPATH:+:$CPATH}
    export LIBRARY_PATH=$folder${LIBRARY_PATH:+:$LIBRARY_PATH}
    export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export PKG_CONFIG_PATH=$folder/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
}

# NVIDIA's driver may be there without being registered. Nothing is touched where oclin finds its device.
find_driver() {
    sought=1
    [ -x "$build/bench/probe" ] && ! has_device || return 0
    local library='' libraries libraries_before=${LD_LIBRARY_PATH-}
    libraries=$(find -L /usr/local/nvidia /usr/lib /usr/lib64 /usr/local/lib /opt \
        -name 'libnvidia-opencl.so.[0-9]*' 2>/dev/null | sort) || true
    mkdir -p "$build/vendors"
    export OCL_ICD_VENDORS=$build/vendors
    for library in $libraries; do # some may be for other processors
        note "no OpenCL device '$device' is registered; trying $library"
        echo "$library" >"$build/vendors/nvidia.icd"
        export LD_LIBRARY_PATH=${library%/*}${libraries_before:+:$libraries_before}
        ! has_device || return 0
    done
    unset OCL_ICD_VENDORS
    [ -n "$library" ] || { note "no OpenCL device '$device', and no libnvidia-opencl.so"; return 0; }
    # a loader that does not read OCL_ICD_VENDORS
    [ "$(id -u)" = 0 ] && ! ls /etc/OpenCL/vendors/nvidia*.icd >/dev/null 2>&1 || return 0
    mkdir -p /etc/OpenCL/vendors /etc/ld.so.conf.d
    echo "$library" >/etc/OpenCL/vendors/nvidia.icd
    echo "${library%/*}" >/etc/ld.so.conf.d/nvidia-opencl.conf
    ldconfig
    if has_device; then
        note "wrote /etc/OpenCL/vendors/nvidia.icd and /etc/ld.so.conf.d/nvidia-opencl.conf"
    else
        rm /etc/OpenCL/vendors/nvidia.icd /etc/ld.so.conf.d/nvidia-opencl.conf
        ldconfig
    fi
}

# ---------------------------------------------------------------------------------------------------- running

report() {
    if python3 "$root/bench/measured.py" "$out" >"$build/report.md"; then
        cp "$build/report.md" "$out/report.md"
    else
        note "no report: see parts.csv and log.txt" # and the parts go on
    fi
}

# run NAME: gives it its share of the time that is left.
run() {
    local status=0
    name=$1 began=$SECONDS
    limit=$(((deadline - SECONDS) * weight[$name] / weights))
    weights=$((weights - weight[$name]))
    echo "=== $name (at most $limit s)" | tee -a "$out/log.txt"
    if [ "$limit" -lt 1 ]; then
        status=124
    else
        timeout -k 5 "$limit" "$self" --part "$name" >>"$out/log.txt" 2>&1 &
        running=$!
        wait $running || status=$?
    fi
    running=
    case $status in
    0) status='done' ;;
    77) status='left out' ;;
    124 | 137) status='out of time' ;;
    *) status="failed ($status)" failed+=" $name" ;;
    esac
    echo "$name,$status,$((SECONDS - began))" >>"$out/parts.csv"
    echo "    $status after $((SECONDS - began)) s"
}

# Whatever ends the script, there is a report.
finish() {
    trap - EXIT INT TERM
    [ -z "$running" ] || {
        kill "$running"
        wait "$running" || true
        echo "$name,failed (the script was ended),$((SECONDS - began))" >>"$out/parts.csv"
        failed+=" $name"
    } 2>/dev/null
    report
    cat "$out/report.md" || true
    [ -z "$failed" ] || { echo "gpu_measure.sh: FAILED:$failed" >&2; exit 1; }
}

if [ "${1-}" = --part ]; then
    "part_$2"
    exit
fi

out='' minutes=9 device=gpu chosen=${names[*]} build=$root/build-measure bundle=$root/.gpu-bundle
shapes=$root/bench/shapes/gpu.csv
tests='^(products_(simt|plain)-.*|(math|golden)_(simt-16|plain)|layer|loss)$'
while [ $# -gt 0 ]; do
    case $1 in
    --out | --minutes | --device | --parts | --shapes | --tests | --build | --bundle)
        [ $# -ge 2 ] || { echo "gpu_measure.sh: $1 needs a value" >&2; exit 2; }
        case $1 in
        --out) out=$2 ;;
        --minutes) minutes=$2 ;;
        --device) device=$2 ;;
        --parts) chosen=${2//,/ } ;;
        --shapes) shapes=$(realpath "$2") ;;
        --tests) tests=$2 ;;
        --build) build=$2 ;;
        --bundle) bundle=$2 ;;
        esac
        shift ;;
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "gpu_measure.sh: unknown option $1; see --help" >&2; exit 2 ;;
    esac
    shift
done
[ -n "$out" ] || { echo "gpu_measure.sh: --out is needed; see --help" >&2; exit 2; }
mkdir -p "$out" "$build"
out=$(realpath "$out") build=$(realpath "$build") bundle=$(realpath -m "$bundle")
rm -f "$out"/{report.md,log.txt,rates.csv,bench.csv,kernels.csv,plans.csv,torch.csv,ptx.csv}
echo part,status,seconds >"$out/parts.csv"
export root out build bundle shapes tests OCLIN_DEVICE=$device OCLIN_CACHE_DIR=$build/oclin-cache
unset OCLIN_PLAN OCLIN_CL_DIR OCLIN_VERIFY

export limit=0 # seconds of the part that runs
weights=0 running='' failed='' sought='' deadline=$((minutes * 60))
for name in $chosen; do
    [ -n "${weight[$name]-}" ] || { echo "gpu_measure.sh: there is no part $name; see --help" >&2; exit 2; }
    weights=$((weights + weight[$name]))
done
trap finish EXIT
trap 'exit 1' INT TERM
use_bundle
for name in "${names[@]}"; do
    [[ " $chosen " == *" $name "* ]] || continue
    [ "$name" = machine ] || [ "$name" = build ] || [ -n "$sought" ] || find_driver
    run "$name"
    report
done
