# Toolchain file: 64-bit Arm Linux with Debian's cross compiler (gcc-aarch64-linux-gnu).
#
#   cmake -S . -B build-aarch64 -DCMAKE_TOOLCHAIN_FILE=platforms/aarch64-linux.cmake
#
# POCKETPROP_SYSROOT may name a folder with the board's own libraries and headers; without it, Debian's for this
# architecture are taken (dpkg --add-architecture arm64).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(pocketprop_triple aarch64-linux-gnu)
include(${CMAKE_CURRENT_LIST_DIR}/linux-cross.cmake)
