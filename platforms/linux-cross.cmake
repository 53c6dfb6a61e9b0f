# What the toolchain files for Linux share; they set pocketprop_triple. Programs are the building machine's; libraries,
# headers and packages the board's, from Debian's multiarch folders or POCKETPROP_SYSROOT.
set(CMAKE_C_COMPILER ${pocketprop_triple}-gcc)
set(CMAKE_CXX_COMPILER ${pocketprop_triple}-g++)
set(CMAKE_LIBRARY_ARCHITECTURE ${pocketprop_triple})
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES POCKETPROP_SYSROOT)
if(POCKETPROP_SYSROOT)
  set(CMAKE_SYSROOT ${POCKETPROP_SYSROOT})
else()
  set(CMAKE_FIND_ROOT_PATH /usr/${pocketprop_triple} /)
  # Never the building machine's own libraries: only folders that carry the board's architecture.
  set(CMAKE_SYSTEM_IGNORE_PATH /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu
    /usr/lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu)
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
