#!/bin/bash
# check_builds.sh [--skip-missing] [PART...]: builds oclin in the ways that its users do, and uses what comes
# out. All parts without an argument; --list names them. Prints a line for each part, and the log of one that
# fails. Exit 1 if any did, or if a tool is missing, unless --skip-missing. The tools are installed by
# scripts/install.sh build test builds.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
install=$root/tests/install
jobs=$(nproc)
export OCLIN_DEVICE=${OCLIN_DEVICE-portable computing} OCLIN_CACHE_DIR=

# The parts share it. Its space is there on purpose.
work=$(mktemp -d "${TMPDIR:-/tmp}/check builds.XXXXXX")
trap 'rm -rf "$work"' EXIT

# --------------------------------------------------------------------------------------------- what parts use

# fail SENTENCE: the part failed
fail() { echo "$*" && exit 1; }

# configure FOLDER [CMake options]: the library alone, unless the options say more
configure() {
    local folder=$1
    shift
    "${cmake:-cmake}" -S "$root" -B "$folder" -DCMAKE_BUILD_TYPE=Release -DOCLIN_WERROR=ON \
        -DOCLIN_BUILD_TESTS=OFF -DOCLIN_BUILD_EXAMPLES=OFF -DOCLIN_BUILD_TOOLS=OFF "$@"
}
# make FOLDER [options of cmake --build]
make() {
    local folder=$1
    shift
    "${cmake:-cmake}" --build "$folder" -j "$jobs" "$@"
}
build() { configure "$@" && make "$1"; }

# The library as it is by default, built once for several parts; they configure it again for other places.
base=$work/base
build_base() { [ -e "$base/liboclin.so" ] || build "$base"; }
# place FOLDER [CMake options]: the default library, installed into FOLDER
place() {
    local folder=$1
    shift
    build_base && configure "$base" -DCMAKE_INSTALL_PREFIX="$folder" -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_INSTALL_INCLUDEDIR=include "$@" && make "$base" && cmake --install "$base"
}
# use PREFIX: programs outside the tree, by CMake and by pkg-config
use() {
    "$install/use.sh" "$1" cmake && "$install/use.sh" "$1" pkg-config
}
# but for _init and _fini, which musl's start files bring
exports_only_oclin() {
    local foreign
    foreign=$(nm -D --defined-only "$1" | awk '{ print $3 }' | grep -Ev '^(oclin_|_init$|_fini$)')
    [ -z "$foreign" ] || fail "$1 exports $foreign"
}

# The functions of the OpenCL loader that is installed here, from which loaders for other systems are made.
loader_functions() {
    nm -D --defined-only "$(gcc -print-file-name=libOpenCL.so)" |
        sed -n 's/.* T \(cl[A-Za-z0-9]*\)@.*/\1/p' | sort -u
}
# stub_loader FOLDER COMPILER...: libOpenCL.so that finds no platform, and the OpenCL headers alone
stub_loader() {
    local folder=$1
    shift
    mkdir -p "$folder/include" &&
        ln -sfn "$(dirname "$(echo '#include <CL/cl.h>' | gcc -E -M -xc - -DCL_TARGET_OPENCL_VERSION=120 |
            tr ' ' '\n' | grep '/CL/cl\.h$')")" "$folder/include/CL" &&
        loader_functions | sed 's/.*/int &(void);\nint &(void) { return -1001; }/' >"$folder/loader.c" &&
        [ -s "$folder/loader.c" ] &&
        "$@" -shared -fPIC -Wl,-soname,libOpenCL.so.1 "$folder/loader.c" -o "$folder/libOpenCL.so.1" &&
        ln -sf libOpenCL.so.1 "$folder/libOpenCL.so"
}
# runs_without_driver FOLDER STUB COMPILER...: no_device.c with the shared and with the static library
runs_without_driver() {
    local folder=$1 stub=$2 library
    shift 2
    for library in liboclin.so liboclin.a; do
        "$@" -I"$root/include" "$install/no_device.c" "$folder/$library" "$stub/libOpenCL.so" -lm \
            -o "$folder/no_device" && LD_LIBRARY_PATH=$folder:$stub "$folder/no_device" || return 1
    done
}

# ------------------------------------------------------------------------------------------------------ parts

parts=()
# part NAME TOOLS SENTENCE: declares a part; part_NAME() does it
declare -A needs says
part() { parts+=("$1") needs[$1]=$2 says[$1]=$3; }

part options '' 'each option of the build is declared once'
part_options() {
    local twice
    twice=$(git -C "$root" ls-files '*CMakeLists.txt' '*.cmake' | sed "s|^|$root/|" | tr '\n' '\0' |
        xargs -0 sed -n 's/^ *option(\([A-Z_]*\).*/\1/p' | sort | uniq -d)
    [ -z "$twice" ] || fail "declared more than once: $twice"
}

# cmake_of PACKAGE FOLDER: a CMake from PyPI, and everything with it
cmake_of() {
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --target "$2/python" "$1" && cmake=$(find "$2/python" -path '*/data/bin/cmake') &&
        "$cmake" --version &&
        configure "$2/build" -DOCLIN_BUILD_TESTS=ON -DOCLIN_BUILD_EXAMPLES=ON -DOCLIN_BUILD_TOOLS=ON \
            -DOCLIN_BUILD_GPU_TOOLS=ON -DOCLIN_BUILD_BENCH=ON -DCMAKE_BUILD_TYPE=Debug && make "$2/build" &&
        "$cmake" --install "$2/build" --prefix "$2/prefix" && PATH=$(dirname "$cmake"):$PATH use "$2/prefix"
}
part cmake-oldest 'python3-pip' 'everything with CMake 3.18'
part_cmake-oldest() { cmake_of cmake==3.18.4.post1 "$work/oldest"; }
part cmake-newest 'python3-pip' 'everything with the newest CMake'
part_cmake-newest() { cmake_of cmake "$work/newest"; }

part unity '' 'CMAKE_UNITY_BUILD'
part_unity() {
    build "$work/unity" -DCMAKE_UNITY_BUILD=ON -DOCLIN_BUILD_EXAMPLES=ON -DOCLIN_BUILD_TOOLS=ON &&
        cmake --install "$work/unity" --prefix "$work/unity-prefix" && use "$work/unity-prefix" &&
        cmake -S "$root/examples" -B "$work/unity-examples" -DCMAKE_PREFIX_PATH="$work/unity-prefix" \
            -DCMAKE_UNITY_BUILD=ON && make "$work/unity-examples"
}

part static '' 'BUILD_SHARED_LIBS=OFF: no shared library, and oclin::oclin is the static one'
part_static() {
    configure "$work/static" -DBUILD_SHARED_LIBS=OFF -DOCLIN_BUILD_TESTS=ON -DOCLIN_BUILD_EXAMPLES=ON \
        -DOCLIN_BUILD_BENCH=ON -DCMAKE_BUILD_TYPE=Debug &&
        make "$work/static" --target oclin_static interop oclin_bench test_exit &&
        "$work/static/tests/test_exit" &&
        cmake --install "$work/static" --prefix "$work/static-prefix" || return 1
    [ -z "$(find "$work/static" "$work/static-prefix" -name '*.so*' ! -name libsmall_local.so)" ] ||
        fail "there is a shared library"
    use "$work/static-prefix"
}

part lto '' 'link-time optimization, hidden symbols, no extensions of C'
part_lto() {
    build "$work/lto" -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON -DCMAKE_C_VISIBILITY_PRESET=hidden \
        -DCMAKE_C_EXTENSIONS=OFF -DOCLIN_BUILD_EXAMPLES=ON -DOCLIN_BUILD_TOOLS=ON &&
        cmake --install "$work/lto" --prefix "$work/lto-prefix" && use "$work/lto-prefix" &&
        exports_only_oclin "$work/lto-prefix/lib/liboclin.so"
}

part prefix '' 'a prefix with spaces, moved after the installation; one with an apostrophe; DESTDIR'
part_prefix() {
    place "$work/a place" && use "$work/a place" && mv "$work/a place" "$work/other place" &&
        use "$work/other place" &&
        place "$work/it's here" && use "$work/it's here" && mv "$work/it's here" "$work/it's there" &&
        "$install/use.sh" "$work/it's there" cmake &&
        cmake --install "$base" --prefix "$work/what's given" && use "$work/what's given" &&
        configure "$base" -DCMAKE_INSTALL_PREFIX=/opt/oclin && make "$base" &&
        DESTDIR=$work/root cmake --install "$base" && use "$work/root/opt/oclin" &&
        [ -e "$work/root/opt/oclin/share/licenses/oclin/LICENSE" ]
}

part libdir '' 'LIBDIR and INCLUDEDIR of several levels, and as absolute paths'
part_libdir() {
    local levels
    levels=lib/$(gcc -dumpmachine)
    place "$work/levels" -DCMAKE_INSTALL_LIBDIR="$levels" -DCMAKE_INSTALL_INCLUDEDIR=include/of &&
        use "$work/levels" && [ -e "$work/levels/$levels/liboclin.so" ] &&
        place "$work/inside" -DCMAKE_INSTALL_LIBDIR="$work/inside/lib" && use "$work/inside" &&
        place "$work/outside" -DCMAKE_INSTALL_LIBDIR="$work/it's/lib" \
            -DCMAKE_INSTALL_INCLUDEDIR="$work/it's/include" &&
        use "$work/it's" && [ ! -e "$work/outside/lib" ]
}

# parent FOLDER [CMake options]: a project around oclin, installed into FOLDER/prefix, whose program then runs
# without the build
parent() {
    local folder=$1
    shift
    cmake -S "$install/parent" -B "$folder/build" -DOCLIN_SOURCE="$root" -DOCLIN_WERROR=ON \
        -DCMAKE_INSTALL_PREFIX="$folder/prefix" "$@" && make "$folder/build" &&
        cmake --install "$folder/build" && rm -rf "$folder/build" && "$folder/prefix/bin/program"
}
# Nobody asked for oclin: the program alone is there, and runs.
alone() { [ "$(cd "$1/prefix" && find . -type f)" = ./bin/program ] || fail "oclin was installed unasked"; }
part parent '' 'inside another project that installs, by add_subdirectory and FetchContent'
part_parent() {
    # with what such a project may set for all its files
    parent "$work/parent" -DCMAKE_C_FLAGS=-DCL_TARGET_OPENCL_VERSION=300 -DCMAKE_UNITY_BUILD=ON \
        -DCMAKE_BUILD_TYPE=Release && alone "$work/parent" &&
        parent "$work/fetch" -DFETCH=ON && alone "$work/fetch" &&
        parent "$work/export" -DOCLIN_INSTALL=ON && use "$work/export/prefix" &&
        cmake -S "$install/parent_user" -B "$work/user" -DCMAKE_PREFIX_PATH="$work/export/prefix" &&
        make "$work/user" && "$work/user/user" &&
        parent "$work/shared" -DBUILD_SHARED_LIBS=ON -DOCLIN_INSTALL=ON \
            "-DCMAKE_INSTALL_RPATH=\$ORIGIN/../lib" &&
        readelf -d "$work/shared/prefix/bin/program" | grep -q 'NEEDED.*liboclin'
}

part generators 'ninja-build' 'Ninja, of one and of several configurations'
part_generators() {
    build "$work/ninja" -G Ninja -DOCLIN_BUILD_EXAMPLES=ON -DOCLIN_BUILD_TOOLS=ON &&
        configure "$work/multi" -G 'Ninja Multi-Config' -DOCLIN_BUILD_TESTS=ON -DOCLIN_BUILD_EXAMPLES=ON &&
        make "$work/multi" --config Debug --target oclin oclin_static linear_regression test_exit &&
        make "$work/multi" --config Release --target oclin oclin_static &&
        cmake --install "$work/multi" --config Release --prefix "$work/multi-prefix" &&
        use "$work/multi-prefix" &&
        (cd "$work/multi" && ctest -C Debug -R '^(install_.*|exit)$' --output-on-failure)
}

part source-path '' 'a source tree in a folder with a space and an apostrophe'
part_source-path() {
    local tree="$work/it's a tree"
    mkdir "$tree" && git -C "$root" ls-files -z | tar -C "$root" --null -T - -cf - | tar -C "$tree" -xf - &&
        root=$tree configure "$tree/build" -DOCLIN_BUILD_TESTS=ON -DOCLIN_BUILD_EXAMPLES=ON \
            -DOCLIN_BUILD_BENCH=ON -DCMAKE_BUILD_TYPE=Debug &&
        make "$tree/build" --target oclin oclin_static interop oclin_bench test_exit test_faults_coverage &&
        cd "$tree/build" &&
        ctest -R '^(install_.*|exit)$' --output-on-failure &&
        OCLIN_TEST='*calls*' ctest -R '^faults_coverage$' --output-on-failure
}

# every_standard LANGUAGE STANDARDS COMPILER [options]: a program that includes oclin.h, with OpenCL's header
# before it, behind it, and without
every_standard() {
    local language=$1 standards=$2 compiler=$3 standard with
    shift 3
    for standard in $standards; do
        for with in ALONE OPENCL_FIRST OPENCL_LAST; do
            "$compiler" -x "$language" -std="$standard" -Wall -Wextra -Wundef -pedantic-errors -Werror "$@" \
                -I"$root/include" -D$with -DCL_TARGET_OPENCL_VERSION=200 -fsyntax-only "$install/header.c" ||
                fail "$compiler -std=$standard, $with"
        done
    done
}
part header 'g++ clang clang-19' 'oclin.h in C89 to C23 and C++98 to C++26, with gcc and clang'
part_header() {
    local old_c='c89 gnu89 c99 c11 c17' old_cxx='c++98 c++11 c++14 c++17 c++20'
    every_standard c "$old_c c2x" gcc -Wc++-compat
    every_standard c "$old_c c2x" clang
    every_standard c "$old_c c23 c2y" clang-19
    every_standard c++ "$old_cxx c++23" g++ -Wold-style-cast
    every_standard c++ "$old_cxx c++2b" clang++
    every_standard c++ "$old_cxx c++23 c++26" clang++-19
}

part bindings 'opencl-clhpp-headers g++ clang' 'oclin.h before and behind <CL/opencl.hpp>'
part_bindings() {
    local compiler order
    build_base || return 1
    for compiler in g++ clang++; do
        for order in -DBINDINGS_FIRST -DBINDINGS_LAST; do
            "$compiler" -std=c++17 -Wall -Wextra -Werror $order -I"$root/include" "$install/bindings.cpp" \
                "$base/liboclin.a" -lOpenCL -o "$work/bindings" || fail "$compiler $order"
            "$work/bindings" || fail "$compiler $order: the program says no"
        done
    done
}

# elsewhere FOLDER COMPILER...: library, examples and tools with a stub of the loader
elsewhere() {
    local folder=$1
    shift
    stub_loader "$folder/loader" "$@" &&
        build "$folder/build" -DCMAKE_C_COMPILER="$1" -DCMAKE_C_FLAGS="${*:2}" \
            -DCMAKE_FIND_ROOT_PATH=/nowhere -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY \
            -DOpenCL_INCLUDE_DIR="$folder/loader/include" -DOpenCL_LIBRARY="$folder/loader/libOpenCL.so" \
            -DOCLIN_BUILD_EXAMPLES=ON -DOCLIN_BUILD_TOOLS=ON \
            -DOCLIN_BUILD_GPU_TOOLS=ON -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON &&
        exports_only_oclin "$folder/build/liboclin.so" &&
        runs_without_driver "$folder/build" "$folder/loader" "$@"
}
part m32 'gcc-multilib libcmocka-dev' '32 bits, with a loader that finds no driver; the tests are compiled'
part_m32() {
    local file
    elsewhere "$work/m32" gcc -m32 || return 1
    for file in "$root"/tests/*.c; do
        gcc -m32 -std=c11 -O1 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$root/include" -I"$root/src" \
            -I"$root/cl" -DOCLIN_SHARED_LIBRARY='""' -DOCLIN_HEADER='""' -DOCLIN_NM='""' -DOCLIN_ARCHIVE='""' \
            -DOCLIN_CALLS='""' "$file" || fail "$file"
    done
}
part musl 'musl-tools' 'musl instead of glibc, with a loader that finds no driver'
part_musl() { elsewhere "$work/musl" musl-gcc; }

# The library of Windows' OpenCL.dll, by the names of this system's loader.
mingw=x86_64-w64-mingw32
build_mingw() {
    local folder=$work/mingw
    [ ! -e "$folder/build/done" ] || return 0
    stub_loader "$folder/loader" gcc && { echo 'LIBRARY OpenCL.dll' && echo EXPORTS && loader_functions; } \
        >"$folder/loader/OpenCL.def" &&
        "$mingw-dlltool" -d "$folder/loader/OpenCL.def" -l "$folder/loader/libOpenCL.dll.a" &&
        build "$folder/build" -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_C_COMPILER="$mingw-gcc" \
            -DCMAKE_FIND_ROOT_PATH="/usr/$mingw" -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY \
            -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
            -DOpenCL_INCLUDE_DIR="$folder/loader/include" -DOpenCL_LIBRARY="$folder/loader/libOpenCL.dll.a" \
            -DOCLIN_BUILD_EXAMPLES=ON -DOCLIN_BUILD_TOOLS=ON -DOCLIN_BUILD_GPU_TOOLS=ON &&
        touch "$folder/build/done"
}
part mingw 'gcc-mingw-w64-x86-64-win32' 'library, tools and examples for Windows'
part_mingw() {
    build_mingw && cd "$work/mingw/build" && ls liboclin.dll liboclin.dll.a liboclin_static.a \
        tools/oclin_tune.exe examples/linear_regression.exe examples/interop.exe
}

part wine 'gcc-mingw-w64-x86-64-win32 wine64' 'these on the OpenCL of this system, by way of Wine'
part_wine() {
    local folder=$work/mingw/build wine=/usr/lib/wine/wine64 rc=0
    export WINEPREFIX=$work/wine WINEDEBUG=-all
    build_mingw && cp "$folder/liboclin.dll" "$folder/examples" && cd "$folder" && (
        set -e
        # kernels are kept in a folder that the library makes: the user's own, and one that is named
        env -u OCLIN_CACHE_DIR timeout 300 $wine examples/linear_regression.exe
        ls "$WINEPREFIX"/drive_c/users/*/AppData/Local/oclin/*.bin
        OCLIN_CACHE_DIR='kept\here' timeout 300 $wine examples/interop.exe
        ls kept/here/*.bin
        timeout 300 $wine tools/oclin_tune.exe --in 8 --out 8 --batch 4 --budget 1
    ) || rc=1
    /usr/lib/wine/wineserver64 -k
    return $rc
}

# ---------------------------------------------------------------------------------------------------- the run

skip_missing=
chosen=()
for argument in "$@"; do
    case $argument in
    --list) printf '%s\n' "${parts[@]}" && exit ;;
    --skip-missing) skip_missing=1 ;;
    *) [ -n "${says[$argument]-}" ] || { echo "check_builds.sh: there is no part $argument" >&2 && exit 2; }
        chosen+=("$argument") ;;
    esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${parts[@]}")

# missing NAME: the packages that the part needs and that are not there, as far as Debian's package manager is
missing() {
    local package
    for package in ${needs[$1]}; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || echo "$package"
    done
}

failed=0 skipped=0
for name in "${chosen[@]}"; do
    absent=$(missing "$name")
    if [ -n "$absent" ]; then
        if [ -n "$skip_missing" ]; then
            echo "$name: skipped: ${absent//$'\n'/, } is missing"
            skipped=$((skipped + 1))
        else
            echo "$name: FAILED: ${absent//$'\n'/, } is missing (scripts/install.sh builds)"
            failed=$((failed + 1))
        fi
        continue
    fi
    began=$SECONDS
    if (set -x && "part_$name") >"$work/$name.log" 2>&1; then
        echo "$name: ${says[$name]} ($((SECONDS - began)) s)"
    else
        tail -n 40 "$work/$name.log"
        echo "$name: FAILED: ${says[$name]}"
        failed=$((failed + 1))
    fi
done
echo "check_builds.sh: $((${#chosen[@]} - failed - skipped)) passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
