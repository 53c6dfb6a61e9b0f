# Reads the lines of both libraries (src without cli) and fails on what an application cannot control or two threads
# cannot share: host memory that is not the engine's, the environment, output, an exit, static data that changes, and
# functions of the C library that keep their result in static data. Decoders (zlib, libjpeg, libpng) and the C
# library's streams allocate for themselves.
cmake_minimum_required(VERSION 3.16)

set(memory "malloc|calloc|realloc|free|strdup|strndup|asprintf|posix_memalign|aligned_alloc")
set(output "printf|vprintf|puts|putchar|perror|exit|_Exit|abort")
set(shared "strtok|localtime|gmtime|asctime|ctime|setlocale|srand|rand|strerror|strsignal|getpwuid|basename|dirname")
set(failures "")

function(forbid path line names owner why)
  if(NOT path STREQUAL owner AND line MATCHES "(^|[^a-zA-Z0-9_.>\"])(${names})\\(")
    set(failures "${failures}  ${path}: ${CMAKE_MATCH_2}: ${why}\n" PARENT_SCOPE)
  endif()
endfunction()

file(GLOB sources ${SOURCE_DIR}/src/*/*.c ${SOURCE_DIR}/src/*/*.h)
foreach(source ${sources})
  file(RELATIVE_PATH path ${SOURCE_DIR}/src ${source})
  if(path MATCHES "^cli/")
    continue()
  endif()
  file(STRINGS ${source} lines REGEX "\\(|^ *static |^[a-z].*= *")
  foreach(line IN LISTS lines)
    if(line MATCHES "^ *(/\\*|\\*)")
      continue()
    endif()
    forbid("${path}" "${line}" "${memory}" "util/engine.c" "host memory comes from the engine")
    forbid("${path}" "${line}" "getenv|setenv|putenv" "util/env.c" "the environment is read in util/env.c")
    forbid("${path}" "${line}" "${output}" "" "the library neither prints nor exits")
    forbid("${path}" "${line}" "${shared}" "" "its result is shared between threads")
    if(line MATCHES "^ *static " AND NOT line MATCHES "\\(" AND NOT line MATCHES "const" AND
        line MATCHES "[=;]|\\[")
      string(APPEND failures "  ${path}: static data that can change: ${line}\n")
    endif()
  endforeach()
endforeach()
if(failures)
  message(FATAL_ERROR "calls and data that the libraries do without:\n${failures}")
endif()
