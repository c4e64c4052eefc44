# One folder is one room is one target: mayfly_room(wire DEPS base LIBS ...).
# Sources are every *.cc of the folder (and, with RECURSE, below it); *_test.cc become the
# executable test_<room>, registered with ctest. AHEAD names the header that nearly all sources of a
# room need and that takes a large part of their compile time (of a service its generated model):
# it is precompiled for them. Each still includes what it uses.

add_custom_target(unit_tests) # every test_<room>
add_custom_target(fuzzers)    # every fuzz_<parser>, with the preset fuzz
# main() of all of them, compiled once, and the headers that they share. It is the room that is
# tested and looked at by the sanitizers: a test runs once, so that optimising it, and looking for
# undefined behaviour in it, would take most of the time.
add_library(doctest_main OBJECT EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/src/sim/doctest_main.cc)
target_precompile_headers(doctest_main PRIVATE ${PROJECT_SOURCE_DIR}/src/base/pch.h
                          <doctest/doctest.h>)
target_include_directories(doctest_main PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(doctest_main PRIVATE fmt::fmt)
set(MAYFLY_TEST_OPTIONS -O0)
if(MAYFLY_SANITIZE MATCHES "undefined")
  list(APPEND MAYFLY_TEST_OPTIONS -fno-sanitize=undefined)
endif()
target_compile_options(doctest_main PRIVATE ${MAYFLY_TEST_OPTIONS})

function(mayfly_room name)
  cmake_parse_arguments(ROOM "RECURSE" "DIR;AHEAD" "DEPS;LIBS;EXTRA" ${ARGN})
  set(dir ${CMAKE_CURRENT_SOURCE_DIR}/${name})
  if(ROOM_DIR)
    set(dir ${CMAKE_CURRENT_SOURCE_DIR}/${ROOM_DIR})
  endif()
  set(mode GLOB)
  if(ROOM_RECURSE)
    set(mode GLOB_RECURSE)
  endif()
  file(${mode} sources CONFIGURE_DEPENDS ${dir}/*.cc)
  set(tests ${sources})
  set(fuzzers ${sources})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz)\\.cc$")
  list(APPEND sources ${ROOM_EXTRA})
  if(sources)
    add_library(${name} STATIC ${sources})
    mayfly_profile_sources(${sources})
    set(scope PUBLIC)
    if(ROOM_AHEAD)
      target_precompile_headers(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src/base/pch.h
                                ${PROJECT_SOURCE_DIR}/src/${ROOM_AHEAD})
    elseif(NOT name STREQUAL "base")
      target_precompile_headers(${name} REUSE_FROM base)
    endif()
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${name} ${scope} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} ${scope} ${ROOM_DEPS} ${ROOM_LIBS} fmt::fmt)
  if(tests)
    add_executable(test_${name} EXCLUDE_FROM_ALL ${tests} $<TARGET_OBJECTS:doctest_main>)
    if(ROOM_AHEAD)
      target_precompile_headers(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src/base/pch.h
                                <doctest/doctest.h> ${PROJECT_SOURCE_DIR}/src/${ROOM_AHEAD})
    else()
      target_precompile_headers(test_${name} REUSE_FROM doctest_main)
    endif()
    target_compile_options(test_${name} PRIVATE ${MAYFLY_TEST_OPTIONS})
    target_link_libraries(test_${name} PRIVATE ${name} ${MAYFLY_TEST_DEPS_${name}})
    add_dependencies(unit_tests test_${name})
    add_test(NAME ${name} COMMAND test_${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
  if(MAYFLY_FUZZ)
    foreach(source ${fuzzers})
      get_filename_component(target ${source} NAME_WE) # path_fuzz.cc -> fuzz_path
      string(REGEX REPLACE "_fuzz$" "" target ${target})
      add_executable(fuzz_${target} EXCLUDE_FROM_ALL ${source})
      target_link_libraries(fuzz_${target} PRIVATE ${name})
      target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
      add_dependencies(fuzzers fuzz_${target})
    endforeach()
  endif()
endfunction()

# mayfly_models(lambda logs …): models/<service>.json to generated/api/<service>.{h,cc}.
set(MAYFLY_GENERATED ${CMAKE_BINARY_DIR}/generated)
function(mayfly_models)
  set(sources)
  foreach(service ${ARGN})
    set(out ${MAYFLY_GENERATED}/api/${service})
    set(model ${PROJECT_SOURCE_DIR}/models/${service})
    file(GLOB forms ${model}.forms.json ${model}.xml.json)
    add_custom_command(
      OUTPUT ${out}.h ${out}.cc
      COMMAND ${PROJECT_SOURCE_DIR}/tools/model-gen ${model}.json ${MAYFLY_GENERATED}
      DEPENDS ${PROJECT_SOURCE_DIR}/tools/model-gen ${model}.json ${model}.auth.json ${forms}
              ${PROJECT_SOURCE_DIR}/models/patterns.json
      COMMENT "Generating api/${service}")
    list(APPEND sources ${out}.h ${out}.cc)
  endforeach()
  set(MAYFLY_MODEL_SOURCES ${sources} PARENT_SCOPE)
endfunction()
