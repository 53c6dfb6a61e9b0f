#!/bin/sh
# From an empty folder: installs Pocketprop to a prefix, moves the prefix, and builds and runs a C and a C++ application
# against it by find_package, by pkg-config (plain, --static and the -static packages), and by FetchContent of this
# checkout. Says what the C example links, and fails on more than OpenCL, libc, libm and what comes with them.
# The environment may set JOBS and CMAKE_ARGS.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/platforms/debian_packages.sh"
# shellcheck disable=SC2086
need_packages $build_packages pkg-config
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jobs=${JOBS:-$(nproc)}
# The applications train; programs that they build are kept for each other alone.
export POCKETPROP_CACHE_DIR="$work/cache"
unset CFLAGS CXXFLAGS LDFLAGS

# step WORDS... -- COMMAND: says what runs, and shows its output where it fails.
step() {
    words=""
    while [ "$1" != -- ]; do words="$words $1"; shift; done
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok     $words"
    else
        cat "$work/log"
        echo "FAILED $words"
        exit 1
    fi
}

echo "== install"
# shellcheck disable=SC2086
step configure -- cmake -S "$root" -B "$work/build" -DPOCKETPROP_DEVELOPER=ON -DPOCKETPROP_TESTS=OFF \
    -DPOCKETPROP_EXAMPLES=OFF -DPOCKETPROP_CLBLAST=OFF ${CMAKE_ARGS:-}
step build -- cmake --build "$work/build" --parallel "$jobs"
step install Development -- cmake --install "$work/build" --prefix "$work/first" --component Development
[ ! -e "$work/first/bin" ] || { echo "FAILED  component Development has programs"; exit 1; }
step install Tools -- cmake --install "$work/build" --prefix "$work/first" --component Tools
mv "$work/first" "$work/moved prefix"
prefix="$work/moved prefix"
step command line -- "$prefix/bin/pocketprop" plan --model resnet8-digits --batch 8
if grep -rF "$work" "$prefix" --include='*.cmake' --include='*.pc' --include='*.h'; then
    echo "FAILED  installed files name the build's folders"
    exit 1
fi

echo "== find_package"
mkdir "$work/c"
cp "$root/examples/first_model.c" "$work/c"
cat >"$work/c/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.16)
project(first_model LANGUAGES C)
find_package(pocketprop 0.1 CONFIG REQUIRED)
add_executable(first_model first_model.c)
target_link_libraries(first_model PRIVATE pocketprop::data)
END
step C, configure -- cmake -S "$work/c" -B "$work/c-build" "-DCMAKE_PREFIX_PATH=$prefix"
step C, build -- cmake --build "$work/c-build"
step C, run -- "$work/c-build/first_model"
step C++, configure -- cmake -S "$root/examples/cpp_application" -B "$work/cpp-build" "-DCMAKE_PREFIX_PATH=$prefix"
step C++, build -- cmake --build "$work/cpp-build"
step C++, run -- "$work/cpp-build/cpp_application"
cat "$work/log"

echo "== pkg-config"
pc_dir=$(dirname "$(find "$prefix" -name pocketprop.pc)")
# A path with a space cannot be written in pkg-config's output without quoting, which a shell's words do not undo.
mv "$prefix" "$work/prefix"
PKG_CONFIG_PATH="$work/prefix${pc_dir#"$prefix"}"
export PKG_CONFIG_PATH
for packages in "pocketprop-data" "--static pocketprop-data" "pocketprop-data-static"; do
    # shellcheck disable=SC2046,SC2086
    step C, "$packages" -- cc -std=c11 -o "$work/by_pkg_config" "$root/examples/first_model.c" \
        $(pkg-config --cflags --libs $packages)
    step run -- "$work/by_pkg_config"
    # shellcheck disable=SC2046,SC2086
    step C++, "$packages" -- c++ -std=c++17 -o "$work/cpp_by_pkg_config" "$root/examples/cpp_application/main.cpp" \
        $(pkg-config --cflags --libs $packages)
done
step run -- "$work/cpp_by_pkg_config"
# shellcheck disable=SC2046
step core alone, --static -- cc -std=c11 -o "$work/core_alone" "$root/examples/plan_for_a_phone.c" \
    $(pkg-config --cflags --libs --static pocketprop)
step run -- "$work/core_alone"

echo "== FetchContent"
mkdir "$work/fetch"
cp "$root/examples/first_model.c" "$root/examples/cpp_application/main.cpp" "$work/fetch"
cat >"$work/fetch/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.16)
project(application LANGUAGES C CXX)
set(flags_before "${CMAKE_C_FLAGS}|${CMAKE_BUILD_TYPE}|${CMAKE_C_STANDARD}|${BUILD_SHARED_LIBS}")
include(FetchContent)
set(POCKETPROP_DATA_LIBRARY ON)
FetchContent_Declare(pocketprop URL unused)
FetchContent_MakeAvailable(pocketprop)
if(NOT flags_before STREQUAL "${CMAKE_C_FLAGS}|${CMAKE_BUILD_TYPE}|${CMAKE_C_STANDARD}|${BUILD_SHARED_LIBS}")
  message(FATAL_ERROR "a subproject has changed its parent's settings")
endif()
foreach(target pocketprop_cli test_support plan_for_a_phone)
  if(TARGET ${target})
    message(FATAL_ERROR "${target} is built in a subproject that has not asked for it")
  endif()
endforeach()
add_executable(first_model first_model.c)
add_executable(cpp_application main.cpp)
target_link_libraries(first_model PRIVATE pocketprop::data)
target_link_libraries(cpp_application PRIVATE pocketprop::data)
set_target_properties(cpp_application PROPERTIES CXX_STANDARD 17)
END
step configure -- cmake -S "$work/fetch" -B "$work/fetch-build" "-DFETCHCONTENT_SOURCE_DIR_POCKETPROP=$root"
step build -- cmake --build "$work/fetch-build" --parallel "$jobs"
step run C -- "$work/fetch-build/first_model"
step run C++ -- "$work/fetch-build/cpp_application"

# What a program may need at run time. Debian has no archive of cJSON; everything else of the library of files is linked
# in, and --as-needed leaves cJSON out where nothing reads weights.
links_only() {
    echo "== what $2 links"
    ldd "$1" | sed 's/(0x.*//' | tee "$work/ldd"
    if grep -Ev 'libOpenCL|libdl\.|libc\.so|libm\.so|libpthread|ld-linux|ld-musl|linux-vdso|linux-gate' "$work/ldd"; then
        echo "FAILED  the library above is none of OpenCL, libc, libm, threads"
        exit 1
    fi
}
# shellcheck disable=SC2046
step static example -- cc -std=c11 -o "$work/static" "$root/examples/first_model.c" -Wl,--as-needed \
    $(pkg-config --cflags --libs --static pocketprop-data | sed -E 's/-l(png16|png|jpeg|z)( |$)/-l:lib\1.a\2/g')
step run -- "$work/static"
links_only "$work/core_alone" "a program with the core alone"
links_only "$work/static" "the first model, with zlib, libjpeg and libpng linked in"
