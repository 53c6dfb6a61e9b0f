#!/bin/sh
# Cross-builds for Arm with Debian's cross compiler and the toolchain files of platforms/: first the core and its example
# with nothing but the compiler, then everything against the board's libraries, which are unpacked into a folder of
# their own; the building machine's packages of other architectures stay as they are. OpenCL is opened at run time, so
# none is needed to link. Runs what needs no device under qemu-user.
#
# The environment may set ARCH (arm64, armhf), JOBS, CMAKE_ARGS and TRAIN=yes: install PoCL there too and train the
# digits example under emulation (arm64, as root; about three minutes, most of it PoCL compiling kernels).
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
arch=${ARCH:-arm64}
jobs=${JOBS:-$(nproc)}
case $arch in
arm64) toolchain=aarch64-linux triple=aarch64-linux-gnu emulator=qemu-aarch64 machine=AArch64 ;;
armhf) toolchain=armhf-linux triple=arm-linux-gnueabihf emulator=qemu-arm machine=ARM ;;
*) echo "ARCH is '$arch', expected arm64 or armhf"; exit 1 ;;
esac
. "$root/platforms/debian_packages.sh"
need_packages cmake make opencl-headers "gcc-$triple" "libc6-dev-$arch-cross" qemu-user binutils
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export POCKETPROP_CACHE=off

# build FOLDER OPTIONS...
build() {
    folder=$1
    shift
    # shellcheck disable=SC2086
    if ! { cmake -S "$root" -B "$folder" "-DCMAKE_TOOLCHAIN_FILE=$root/platforms/$toolchain.cmake" -DPOCKETPROP_DEVELOPER=ON \
        -DPOCKETPROP_OPENCL_DLOPEN=ON -DPOCKETPROP_TESTS=OFF "$@" \
        ${CMAKE_ARGS:-} && cmake --build "$folder" --parallel "$jobs"; } >"$work/log" 2>&1; then
        cat "$work/log"
        exit 1
    fi
    readelf -h "$folder/libpocketprop.a" | grep 'Machine:' | sort -u >"$work/machines"
    if [ "$(wc -l <"$work/machines")" != 1 ] || ! grep -qw "$machine" "$work/machines"; then
        cat "$work/machines"
        echo "FAILED  $folder/libpocketprop.a is for another machine than $machine"
        exit 1
    fi
    for library in "$folder"/libpocketprop*.a; do
        if [ "$arch" = armhf ] && "$triple-nm" "$library" | grep -wE 'U (f?stat|f?open|readdir|fseeko)'; then
            echo "FAILED  $library looks at files through the calls above, which refuse large inode numbers"
            exit 1
        fi
    done
}

echo "== the core, by the compiler alone"
build "$work/core" -DPOCKETPROP_DATA_LIBRARY=OFF -DPOCKETPROP_CLI=OFF
"$emulator" -L "/usr/$triple" "$work/core/examples/plan_for_a_phone"

echo "== everything, against $arch libraries"
apt_options="-o APT::Architecture=$arch -o APT::Architectures=$arch -o Dir::State=$work/apt -o Dir::Cache=$work/apt
    -o Dir::State::status=$work/apt/status -o APT::Sandbox::User=root"
board="$work/board"
packages="libc6-dev opencl-c-headers zlib1g-dev libjpeg62-turbo-dev libpng-dev libcjson-dev"
[ "${TRAIN:-no}" = no ] || packages="$packages pocl-opencl-icd ocl-icd-libopencl1 binutils libgcc-12-dev"
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$board"
: >"$work/apt/status"
# An index that cannot be had is no failure unless a package is missed for it.
# shellcheck disable=SC2086
{ apt-get $apt_options update -q || true; apt-get $apt_options install -y -q --no-install-recommends --download-only \
    $packages; } >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
for package in "$work"/apt/archives/*.deb; do dpkg-deb -x "$package" "$board"; done
build "$work/all" "-DPOCKETPROP_SYSROOT=$board"
"$emulator" -L "$board" "$work/all/pocketprop" plan --model resnet8-digits --batch 32 --profile mali | head -3

[ "${TRAIN:-no}" = yes ] || exit 0
echo "== training on the digits, emulated"
need_packages qemu-user-static
mkdir -p "$board/emulated" "$board/proc" "$board/sys" "$board/dev" "$board/tmp"
cp "$(command -v "$emulator-static")" "$board/emulator"
cp "$work/all/examples/first_model" "$board/"
cc -static -o "$work/emulated" "$root/tests/support/emulated.c"
cp -L "$board/usr/bin/$triple-ld" "$board/emulated/ld"
cp "$board/emulated/ld" "$board/emulated/$triple-ld"
for name in ld "$triple-ld"; do rm "$board/usr/bin/$name"; cp "$work/emulated" "$board/usr/bin/$name"; done
touch "$board/dev/null" "$board/dev/urandom"
# Mounts last as long as this shell, which expands what stands in quotes.
# shellcheck disable=SC2016
BOARD=$board unshare -m sh -euc '
    for folder in proc sys dev/null dev/urandom; do mount --bind "/$folder" "$BOARD/$folder"; done
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp POCKETPROP_CACHE=off \
        chroot "$BOARD" /emulator /first_model'
