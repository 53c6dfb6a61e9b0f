# Toolchain file: Android, 64-bit Arm, with the NDK that ANDROID_NDK (or the environment's ANDROID_NDK_HOME) names.
#
#   cmake -S . -B build-android -DCMAKE_TOOLCHAIN_FILE=platforms/android.cmake -DANDROID_NDK=/path/to/ndk \
#       -DPOCKETPROP_OPENCL_DLOPEN=ON -DPOCKETPROP_OPENCL_HEADERS=/path/to/OpenCL-Headers -DPOCKETPROP_CLI=OFF
#
# The NDK has neither OpenCL's headers nor a library to link, hence the two options. ANDROID_ABI and ANDROID_PLATFORM
# may be given; 24 is the first version whose C library has all that is used.
if(NOT ANDROID_NDK)
  set(ANDROID_NDK $ENV{ANDROID_NDK_HOME})
endif()
if(NOT EXISTS ${ANDROID_NDK}/build/cmake/android.toolchain.cmake)
  message(FATAL_ERROR "ANDROID_NDK is '${ANDROID_NDK}', where no build/cmake/android.toolchain.cmake is")
endif()
if(NOT ANDROID_ABI)
  set(ANDROID_ABI arm64-v8a)
endif()
if(NOT ANDROID_PLATFORM)
  set(ANDROID_PLATFORM android-24)
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_NDK)
include(${ANDROID_NDK}/build/cmake/android.toolchain.cmake)
