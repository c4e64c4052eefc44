# runtimes/ beside the binary and inside it:
#   target `runtimes` copies the bootstraps to ${CMAKE_BINARY_DIR}/runtimes (where
#   runtimes/fetch-sdks also puts the SDKs) and compiles the Java one where there is a javac;
#   bootstraps_gen.cc holds the same files as bytes, and the addon of the Node.js bootstrap.
set(MAYFLY_RUNTIMES_DIR ${CMAKE_BINARY_DIR}/runtimes)
file(GLOB_RECURSE bootstrap_files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/runtimes
     ${PROJECT_SOURCE_DIR}/runtimes/nodejs/*.js ${PROJECT_SOURCE_DIR}/runtimes/python/*.py
     ${PROJECT_SOURCE_DIR}/runtimes/ruby/*.rb ${PROJECT_SOURCE_DIR}/runtimes/java/*.java)
list(FILTER bootstrap_files EXCLUDE REGEX "node_modules|site-packages")

set(laid_out)
set(bootstrap_paths)
foreach(file ${bootstrap_files})
  set(from ${PROJECT_SOURCE_DIR}/runtimes/${file})
  set(to ${MAYFLY_RUNTIMES_DIR}/${file})
  add_custom_command(OUTPUT ${to} COMMAND ${CMAKE_COMMAND} -E copy ${from} ${to} DEPENDS ${from}
                     COMMENT "Laying out runtimes/${file}")
  list(APPEND laid_out ${to})
  list(APPEND bootstrap_paths ${from})
endforeach()

# The addon of the Node.js bootstrap: one binary for all versions, as it asks its host for symbols
# at run time. Options of its own, because no sanitizer's runtime is in that host; no C++ library,
# because the jail may lack it.
file(GLOB fork_addon_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/runtimes/nodejs/fork/*.cc)
add_library(fork_addon MODULE ${fork_addon_sources})
set_target_properties(fork_addon PROPERTIES
  PREFIX "" OUTPUT_NAME fork SUFFIX .node
  LIBRARY_OUTPUT_DIRECTORY ${MAYFLY_RUNTIMES_DIR}/nodejs
  COMPILE_OPTIONS "-Wall;-Wextra;-Werror;-fPIC;-fno-exceptions;-fno-rtti;-fno-threadsafe-statics"
  CXX_VISIBILITY_PRESET hidden
  LINK_OPTIONS "-fuse-ld=lld;-nostdlib++;LINKER:-z,now,-s")
set(fork_addon_file ${MAYFLY_RUNTIMES_DIR}/nodejs/fork.node)

set(bootstraps_gen ${CMAKE_BINARY_DIR}/bootstraps_gen.cc)
add_custom_command(
  OUTPUT ${bootstraps_gen}
  COMMAND ${CMAKE_COMMAND} -DOUT=${bootstraps_gen} -DROOT=${PROJECT_SOURCE_DIR}/runtimes
          "-DFILES=${bootstrap_files}" -DADDON=${fork_addon_file} -P
          ${PROJECT_SOURCE_DIR}/cmake/EmbedBootstraps.cmake
  DEPENDS ${bootstrap_paths} ${PROJECT_SOURCE_DIR}/cmake/EmbedBootstraps.cmake fork_addon
          ${fork_addon_file}
  COMMENT "Embedding the bootstraps"
  VERBATIM)

file(GLOB javac_candidates /usr/lib/jvm/*/bin/javac)
find_program(MAYFLY_JAVAC javac HINTS ${javac_candidates})
set(java_sources ${bootstrap_files})
list(FILTER java_sources INCLUDE REGEX "\\.java$")
if(MAYFLY_JAVAC AND java_sources)
  file(REAL_PATH ${MAYFLY_JAVAC} real_javac)
  cmake_path(REPLACE_FILENAME real_javac jar OUTPUT_VARIABLE java_archiver)
  list(TRANSFORM java_sources PREPEND ${PROJECT_SOURCE_DIR}/runtimes/)
  set(java_classes ${CMAKE_BINARY_DIR}/java-classes)
  # The options are those of discover_languages.cc.
  add_custom_command(
    OUTPUT ${MAYFLY_RUNTIMES_DIR}/java/runtime.jar
    COMMAND ${MAYFLY_JAVAC} --release 17 -encoding UTF-8 -nowarn -XDstringConcat=inline
            -d ${java_classes} ${java_sources}
    COMMAND ${java_archiver} --create --no-compress --file ${MAYFLY_RUNTIMES_DIR}/java/runtime.jar
            -C ${java_classes} .
    DEPENDS ${java_sources}
    COMMENT "Compiling the Java bootstrap"
    VERBATIM)
  list(APPEND laid_out ${MAYFLY_RUNTIMES_DIR}/java/runtime.jar)
endif()
add_custom_target(runtimes ALL DEPENDS ${laid_out})
add_dependencies(runtimes fork_addon)
