# The launcher is a program of its own inside the server's (why: src/sandbox/launcher_process.h).
# Objects of target `launcher_program` hold it; under the sanitizers they hold nothing.
if(MAYFLY_SANITIZE)
  add_library(launcher_program OBJECT ${PROJECT_SOURCE_DIR}/cmake/launcher_program_none.cc)
else()
  add_executable(mayfly_launcher sandbox/launcher_main.cc)
  target_precompile_headers(mayfly_launcher REUSE_FROM base)
  target_link_libraries(mayfly_launcher PRIVATE sandbox)
  # Most libraries of the rooms below are for what else is in them.
  target_link_options(mayfly_launcher PRIVATE LINKER:--as-needed,--gc-sections,--strip-debug)
  set(MAYFLY_LAUNCHER_FILE ${CMAKE_BINARY_DIR}/mayfly-launcher)
  set_target_properties(mayfly_launcher PROPERTIES
    OUTPUT_NAME mayfly-launcher RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  set(source ${CMAKE_BINARY_DIR}/launcher_program.cc)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/launcher_program.cc.in ${source} @ONLY)
  add_library(launcher_program OBJECT ${source})
  add_dependencies(launcher_program mayfly_launcher)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${MAYFLY_LAUNCHER_FILE})
endif()
target_include_directories(launcher_program PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(launcher_program PRIVATE fmt::fmt)
