# Parts that a build leaves out: POCKETPROP_WITHOUT. A part is the stem of its file: an operator or codec of the single
# lists, one of the ways of a convolution, an image format, or the tuner.
#
#   pocketprop_read_parts(include_dir)      checks the option; writes the lists of absent operators and codecs
#   pocketprop_leave_out(sources_variable)  takes the parts out of a list of sources
#   pocketprop_absent_kernels               patterns of what cl/embed.cmake then leaves out too
#
# In the place of an operator or codec stands a table with its name alone (src/op/absent.c, src/codec/absent.c), in that
# of another src/X/PART.c stands src/X/PART_absent.c: whoever asks for a part gets PP_ERROR_UNSUPPORTED and a sentence,
# and nothing fails to link.

set(pocketprop_source_dir ${CMAKE_CURRENT_LIST_DIR})

# What policies fall back on, what sums gradients, and what others are made of.
set(pocketprop_needed_parts input conv2d add raw half signmask argmax bytes)
set(pocketprop_other_parts conv2d_depthwise conv2d_tiled winograd jpeg png tune)

# A part that cannot do without another goes with it.
set(pocketprop_batchnorm_takes batchnorm_relu)
set(pocketprop_relu_takes add_relu batchnorm_relu)
set(pocketprop_group_takes blockmean residual)
set(pocketprop_blockmean_takes residual)

# The names in X(name) rows.
function(pocketprop_read_list file names_out)
  file(STRINGS ${file} rows REGEX "^PP__")
  string(REGEX REPLACE "PP__[A-Z]+\\(([a-z0-9_]+)\\)" "\\1" names "${rows}")
  set(${names_out} "${names}" PARENT_SCOPE)
endfunction()

# Rows X(stem, "name") of those of `names` that are absent; a codec's name need not be its stem.
function(pocketprop_write_absent macro folder names absent output)
  set(rows "")
  foreach(name IN LISTS names)
    if(name IN_LIST absent)
      file(STRINGS ${pocketprop_source_dir}/${folder}/${name}.c text REGEX "^ *\\.name = \"" LIMIT_COUNT 1)
      string(REGEX REPLACE "^ *\\.name = (\"[^\"]*\").*" "\\1" text "${text}")
      string(APPEND rows "${macro}(${name}, ${text})\n")
    endif()
  endforeach()
  file(GENERATE OUTPUT ${output} CONTENT "/* Written by src/parts.cmake. */\n${rows}")
endfunction()

function(pocketprop_read_parts include_dir)
  pocketprop_read_list(${pocketprop_source_dir}/op/op_list.inc ops)
  pocketprop_read_list(${pocketprop_source_dir}/codec/codec_list.inc codecs)
  set(parts ${ops} ${codecs} ${pocketprop_other_parts})
  list(REMOVE_ITEM parts ${pocketprop_needed_parts})
  set(absent "")
  foreach(part IN LISTS POCKETPROP_WITHOUT)
    if(NOT part IN_LIST parts)
      list(JOIN parts ", " known)
      message(FATAL_ERROR "POCKETPROP_WITHOUT: '${part}' cannot be left out; there are ${known}")
    endif()
    list(APPEND absent ${part} ${pocketprop_${part}_takes})
  endforeach()
  list(REMOVE_DUPLICATES absent)
  pocketprop_write_absent(PP__OP op "${ops}" "${absent}" ${include_dir}/op/absent_list.inc)
  pocketprop_write_absent(PP__CODEC codec "${codecs}" "${absent}" ${include_dir}/codec/absent_list.inc)
  set(kernels ${absent})
  list(TRANSFORM kernels REPLACE "(.+)" "/\\1(_encode)?[.]cl$")
  set(pocketprop_absent_parts ${absent} PARENT_SCOPE)
  set(pocketprop_absent_kernels ${kernels} PARENT_SCOPE)
endfunction()

function(pocketprop_leave_out sources_variable)
  set(sources ${${sources_variable}})
  set(stand_ins ${sources})
  list(FILTER stand_ins INCLUDE REGEX "_absent[.]c$")
  list(FILTER sources EXCLUDE REGEX "_absent[.]c$")
  foreach(part IN LISTS pocketprop_absent_parts)
    list(FILTER sources EXCLUDE REGEX "/${part}[.]c$")
    set(stand_in ${stand_ins})
    list(FILTER stand_in INCLUDE REGEX "/${part}_absent[.]c$")
    list(APPEND sources ${stand_in})
  endforeach()
  set(${sources_variable} ${sources} PARENT_SCOPE)
endfunction()
