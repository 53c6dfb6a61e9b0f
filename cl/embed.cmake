# pocketprop_embed(source_dir output_c): makes one C file that holds every cl/**/*.cl and
# platforms/*.profile as text, in the form of src/util/embedded.h. The build makes the file again when
# one of them changes, comes or goes. Comments are left out, their line ends are kept: error messages of drivers name
# the lines of the files. Files that match one of pocketprop_absent_kernels (src/parts.cmake) are there, but empty.
#
# The same file is the script that does it:
# cmake -DLIST=... -DSOURCE_DIR=... -DOUTPUT=... "-DABSENT=REGEX;..." -P embed.cmake

if(CMAKE_SCRIPT_MODE_FILE)
  # The text between the comments, and of these the line ends.
  function(strip_comments text_variable)
    set(rest "${${text_variable}}")
    set(stripped "")
    string(FIND "${rest}" "/*" begin)
    while(begin GREATER_EQUAL 0)
      string(SUBSTRING "${rest}" 0 ${begin} before)
      string(SUBSTRING "${rest}" ${begin} -1 rest)
      string(FIND "${rest}" "*/" end)
      string(SUBSTRING "${rest}" 0 ${end} comment)
      math(EXPR end "${end} + 2")
      string(SUBSTRING "${rest}" ${end} -1 rest)
      string(REGEX REPLACE "[^\n]" "" line_ends "${comment}")
      string(APPEND stripped "${before} ${line_ends}")
      string(FIND "${rest}" "/*" begin)
    endwhile()
    set(${text_variable} "${stripped}${rest}" PARENT_SCOPE)
  endfunction()

  file(STRINGS ${LIST} paths)
  set(arrays "")
  set(rows "")
  set(index 0)
  foreach(path IN LISTS paths)
    file(READ ${SOURCE_DIR}/${path} text)
    if(path MATCHES "\\.cl$")
      strip_comments(text)
    else()
      string(REGEX REPLACE "#[^\n]*" "" text "${text}")
    endif()
    string(REGEX REPLACE "[ \t]+\n" "\n" text "${text}")
    foreach(pattern IN LISTS ABSENT)
      if(path MATCHES "${pattern}")
        set(text "")
      endif()
    endforeach()
    file(WRITE ${OUTPUT}.text "${text}")
    file(READ ${OUTPUT}.text hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    # cl/op/conv2d.cl is called op/conv2d, platforms/mali.profile keeps its folder.
    string(REGEX REPLACE "^cl/|\\.[a-z]+$" "" name ${path})
    string(APPEND arrays "static const unsigned char text_${index}[] = {${bytes}0};\n")
    string(APPEND rows "    {\"${name}\", (const char *)text_${index}, sizeof text_${index} - 1},\n")
    math(EXPR index "${index} + 1")
  endforeach()
  file(WRITE ${OUTPUT} "/* Written by cl/embed.cmake. */\n#include \"util/embedded.h\"\n\n${arrays}\n"
    "const pp__embedded pp__embedded_files[] = {\n${rows}};\nconst size_t pp__embedded_count = ${index};\n")
  return()
endif()

set(pocketprop_embed_script ${CMAKE_CURRENT_LIST_FILE})

function(pocketprop_embed source_dir output_c)
  file(GLOB_RECURSE paths CONFIGURE_DEPENDS RELATIVE ${source_dir} ${source_dir}/cl/*.cl
    ${source_dir}/platforms/*.profile)
  list(SORT paths)
  # The list is a file of its own, written only when it changes, so that a file that goes away is noticed too.
  string(REPLACE ";" "\n" lines "${paths}")
  set(list_file ${output_c}.list)
  file(GENERATE OUTPUT ${list_file} CONTENT "${lines}\n")
  list(TRANSFORM paths PREPEND ${source_dir}/)
  add_custom_command(OUTPUT ${output_c}
    COMMAND ${CMAKE_COMMAND} -DLIST=${list_file} -DSOURCE_DIR=${source_dir} -DOUTPUT=${output_c}
      "-DABSENT=${pocketprop_absent_kernels}" -P ${pocketprop_embed_script}
    DEPENDS ${paths} ${list_file} ${pocketprop_embed_script}
    COMMENT "Embedding kernels and profiles" VERBATIM)
endfunction()
