# Installs libraries, headers and package files (component Development) and the command line (Tools). Everything is
# found relative to where it lies, so a prefix may be moved.
#
# The core and the library of files are two export sets, since only the latter needs the packages in data_packages.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pocketprop)
set(package_build_dir ${CMAKE_CURRENT_BINARY_DIR}/package)

# Words for the package files. What OpenCL's and CLBlast's absence or presence means was decided when this was built.
set(core_packages Threads)
set(core_libs "")
if(POCKETPROP_OPENCL_DLOPEN)
  string(APPEND core_libs "${CMAKE_DL_LIBS}")
  list(TRANSFORM core_libs PREPEND -l)
else()
  list(APPEND core_packages OpenCL)
  set(core_libs "-lOpenCL")
endif()
if(CLBlast_FOUND)
  list(APPEND core_packages CLBlast)
  set(core_libs "-lclblast ${core_libs}")
endif()
string(STRIP "${core_libs} -lm ${CMAKE_THREAD_LIBS_INIT}" core_libs)

# One library's archive, export set and two pkg-config files.
function(install_library target name description libs requires)
  install(TARGETS ${target} EXPORT ${name}-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Development
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT ${name}-targets NAMESPACE pocketprop:: DESTINATION ${package_dir} COMPONENT Development)
  file(RELATIVE_PATH to_prefix ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
  foreach(kind "" "-static")
    set(archive "-L\${libdir} -l${target}")
    if(kind)
      set(archive "\${libdir}/lib${target}.a")
    endif()
    string(REPLACE "@kind@" "${kind}" requires_kind "${requires}")
    configure_file(${CMAKE_CURRENT_SOURCE_DIR}/platforms/package/package.pc.in ${package_build_dir}/${name}${kind}.pc
      @ONLY)
    install(FILES ${package_build_dir}/${name}${kind}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
      COMPONENT Development)
  endforeach()
endfunction()

install_library(pocketprop pocketprop "Training convolutional networks through OpenCL in a known amount of memory"
  "${core_libs}" "")
if(TARGET pocketprop_data)
  string(REPLACE ";" " " modules "${data_modules}")
  install_library(pocketprop_data pocketprop-data "Data sets and files for Pocketprop" "${CMAKE_THREAD_LIBS_INIT}"
    "pocketprop@kind@ ${modules}")
endif()

configure_package_config_file(platforms/package/pocketprop-config.cmake.in ${package_build_dir}/pocketprop-config.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${package_build_dir}/pocketprop-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${package_build_dir}/pocketprop-config.cmake ${package_build_dir}/pocketprop-config-version.cmake
  platforms/package/FindcJSON.cmake
  DESTINATION ${package_dir} COMPONENT Development)
install(DIRECTORY include/pocketprop DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT Development
  FILES_MATCHING PATTERN *.h)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT Development)
if(TARGET pocketprop_cli)
  install(TARGETS pocketprop_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT Tools)
endif()
