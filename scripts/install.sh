#!/bin/sh
# install.sh GROUP...: installs what is missing on Debian or Ubuntu, by package name; says what it does. What
# this system has no packages of is named and skipped: what needs it says so when it runs.
# install.sh --list GROUP: only prints the names.
# install.sh --absent GROUP: only prints those that this system has no packages of.
# The one place that names packages:
#   build   library and examples, the OpenCL loader, PoCL (OpenCL on the CPU), the images of the demo
#   test    the test suite
#   check   what CI uses besides
#   runtimes  the OpenCL runtimes that scripts/matrix.sh tests on besides, and pip
#   intel   Intel's runtime for CPUs, from PyPI, which scripts/install_intel.sh puts into a folder; only to be listed
#   coverage  what scripts/coverage.sh uses besides
#   gpu     compilers for GPUs, which scripts/gpu_report.sh unpacks beside the installed ones and does not install
#   nvidia  the OpenCL compiler of NVIDIA's driver, in the component non-free, for gpu_report.sh; only to be listed
#   ptxas   NVIDIA's assembler, from PyPI, for machines without a CUDA toolkit; only to be listed
#   bench   the peers that the benchmarks compare with
#   bundle  what scripts/gpu_bundle.sh unpacks for a machine without network, and does not install
#   builds  the compilers and systems that scripts/check_builds.sh builds for
#   fresh   what scripts/fresh.sh makes fresh systems with
set -eu

packages() {
    case $1 in
    build) echo gcc libc6-dev make cmake pkg-config opencl-c-headers ocl-icd-opencl-dev pocl-opencl-icd \
        zlib1g-dev libcairo2-dev dataset-fashion-mnist ;;
    test) echo libcmocka-dev ;;
    check) echo g++ binutils clang clang-format llvm libclang-rt-dev oclgrind liboclgrind-dev python3 ;;
    coverage) echo gcovr ;;
    runtimes) echo oclgrind liboclgrind-dev mesa-opencl-icd python3-pip ;;
    # the second holds libraries that the first needs and does not ask for
    intel) echo intel-opencl-rt==2026.2.0 intel-cmplr-lib-rt==2026.2.0 ;;
    gpu) echo clang-19 libclang-cpp19 libllvm19 libclang-common-19-dev libclc-19 intel-opencl-icd libigc1 libigdfcl1 \
        libopencl-clang14 libllvmspirvlib14 libigdgmm12 ;;
    nvidia) echo libnvidia-nvvm4 ;;
    ptxas) echo nvidia-cuda-nvcc==13.0.88 ;;
    builds) echo g++ clang clang-19 ninja-build python3-pip opencl-clhpp-headers gcc-multilib musl-tools \
        gcc-mingw-w64-x86-64-win32 wine64 ;;
    bench) echo libopenblas-dev libclblast-dev libdnnl-dev python3-torch ;;
    bundle) echo ocl-icd-libopencl1 ocl-icd-opencl-dev opencl-c-headers libcmocka0 libcmocka-dev ;;
    fresh) echo debootstrap ;;
    *) echo "install.sh: unknown group $1" >&2; return 1 ;;
    esac
}

# those of the names that there are no packages of; the package lists must be there
absent() {
    for name in "$@"; do
        apt-cache show --no-all-versions "$name" >/dev/null 2>&1 || echo "$name"
    done
}
# lines become one; nothing becomes nothing
joined() { paste -sd' ' -; }

case ${1-} in
--list) packages "$2"; exit ;;
--absent)
    names=$(packages "$2")
    [ -z "$(absent libc6)" ] || exit 0 # there are no lists to tell by
    # shellcheck disable=SC2086
    absent $names | joined
    exit ;;
esac
command -v dpkg-query >/dev/null || {
    echo "install.sh: this is no Debian or Ubuntu; going on as if everything were installed" >&2
    exit 0
}
installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

missing=
for group in "$@"; do
    names=$(packages "$group")
    for name in $names; do
        case " $missing " in *" $name "*) continue ;; esac
        installed "$name" || missing="$missing $name"
    done
done
[ -n "$missing" ] || exit 0
say_skipped() { echo "install.sh: this system has no packages of these, skipped: $skipped"; }
# nothing but these, by lists that are there: they are not asked for again
# shellcheck disable=SC2086
skipped=$(absent $missing | joined)
if [ " $skipped" = "$missing" ] && [ -z "$(absent libc6)" ]; then
    say_skipped
    exit 0
fi

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
[ -z "$sudo" ] || command -v sudo >/dev/null || {
    echo "install.sh: not root, and no sudo. As root: apt-get install$missing" >&2
    exit 1
}
apt="$sudo env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get"
echo "Installing:$missing"
echo "  reading the lists of packages"
$apt update -qq
# shellcheck disable=SC2086
skipped=$(absent $missing | joined)
wanted=
for name in $missing; do
    case " $skipped " in
    *" $name "*) ;;
    *) wanted="$wanted $name" ;;
    esac
done
[ -z "$skipped" ] || say_skipped
[ -n "$wanted" ] || exit 0
# shellcheck disable=SC2086
count=$($apt install -s -qq --no-install-recommends $wanted | grep -c '^Inst ' || true)
echo "  fetching $count packages, with what they need"
# shellcheck disable=SC2086
$apt install -y -qq --no-install-recommends --download-only $wanted >/dev/null
echo "  unpacking and setting them up"
# shellcheck disable=SC2086
$apt install -y -qq --no-install-recommends $wanted >/dev/null
