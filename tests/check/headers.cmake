# Compiles every public header and every private header alone, as C11, and the public ones as C++17 where a C++
# compiler is there: each includes what it uses. pocketprop.h includes every public header but those that say, in
# `apart` below, why it does not.
cmake_minimum_required(VERSION 3.16)

find_program(CC NAMES $ENV{CC} cc gcc clang)
find_program(CXX NAMES $ENV{CXX} c++ g++ clang++)
# The library of files has headers of its own; opencl.h needs OpenCL's.
set(apart pocketprop.h data.h weights.h tensors.h checkpoint.h opencl.h)
set(failures "")
# A translation unit is not empty, and some headers are macros alone.
set(unit ${WORK_DIR}/one_declaration.c)
file(WRITE ${unit} "int pp_one_declaration(void);\n")

function(compile header compiler language standard)
  execute_process(COMMAND ${compiler} -x ${language} -std=${standard} -pedantic -Wall -Wextra -Werror -fsyntax-only
    -DCL_TARGET_OPENCL_VERSION=120 -I${SOURCE_DIR}/include -I${SOURCE_DIR}/src -include ${header} ${unit}
    RESULT_VARIABLE result ERROR_VARIABLE errors)
  if(result)
    set(failures "${failures}\n${header} as ${standard}:\n${errors}" PARENT_SCOPE)
  endif()
endfunction()

file(GLOB public_headers ${SOURCE_DIR}/include/pocketprop/*.h)
execute_process(COMMAND ${CC} -x c -fsyntax-only -include CL/cl.h /dev/null RESULT_VARIABLE no_opencl OUTPUT_QUIET
  ERROR_QUIET)
if(no_opencl)
  message(STATUS "SKIPPED: opencl.h, for want of OpenCL's headers")
  list(REMOVE_ITEM public_headers ${SOURCE_DIR}/include/pocketprop/opencl.h)
endif()
file(GLOB private_headers ${SOURCE_DIR}/src/*/*.h)
foreach(header ${public_headers})
  compile(${header} ${CC} c c11)
  if(CXX)
    compile(${header} ${CXX} c++ c++17)
  endif()
endforeach()
file(STRINGS ${SOURCE_DIR}/include/pocketprop/pocketprop.h umbrella REGEX "^#include <pocketprop/")
foreach(header ${public_headers})
  get_filename_component(name ${header} NAME)
  if(NOT name IN_LIST apart AND NOT "#include <pocketprop/${name}>" IN_LIST umbrella)
    string(APPEND failures "\npocketprop.h does not include ${name}\n")
  endif()
endforeach()
foreach(header ${private_headers})
  file(STRINGS ${header} opencl REGEX "CL/cl\\.h|device/opencl_library\\.h|device/device\\.h|device/stream\\.h|device/program\\.h|device/clerror\\.h")
  if(NOT opencl)
    compile(${header} ${CC} c c11)
  endif()
endforeach()
if(failures)
  message(FATAL_ERROR "headers that do not stand alone:${failures}")
endif()
