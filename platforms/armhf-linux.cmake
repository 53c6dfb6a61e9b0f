# Toolchain file: 32-bit Arm Linux, ARMv7 with hardware floating point, with Debian's cross compiler
# (gcc-arm-linux-gnueabihf).
#
#   cmake -S . -B build-armhf -DCMAKE_TOOLCHAIN_FILE=platforms/armhf-linux.cmake
#
# POCKETPROP_SYSROOT as in aarch64-linux.cmake; Debian's architecture is armhf.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(pocketprop_triple arm-linux-gnueabihf)
include(${CMAKE_CURRENT_LIST_DIR}/linux-cross.cmake)
