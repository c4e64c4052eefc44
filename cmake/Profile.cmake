# The sources a warm call passes through are compiled with counts of how often each branch of them
# is taken: bench/call/warm.proftext, which `./dev profile` makes anew. A function that has changed
# since is compiled as any other; so is everything where llvm-profdata is missing.
#
# MAYFLY_PROFILE: "use" (release builds), "make" (counts, for bench/call/run --profile) or "off".
set(MAYFLY_PROFILE use CACHE STRING "use, make or off")
set(mayfly_profile_text ${PROJECT_SOURCE_DIR}/bench/call/warm.proftext)
set(mayfly_profile ${CMAKE_BINARY_DIR}/warm.profdata)
set(mayfly_profiled
  base/allocate base/packed_line base/random
  io/duplex io/fd io/http1 io/http1_plain io/http1_writer io/loop io/park io/pipes
  io/byte_ring io/record_ring io/send_now
  wire/json wire/sigv4 wire/text wire/validate wire/value wire/protocol/codec wire/protocol/rest
  wire/protocol/scalar
  api/view api/lambda
  guard/guard guard/policy
  guest/lambda/frames guest/lambda/lean
  functions/model functions/registry
  telemetry/log_codec telemetry/log_lines telemetry/log_store
  telemetry/metrics telemetry/telemetry
  invoke/admission invoke/environment invoke/environment_calls invoke/environment_log
  invoke/environment_shared invoke/invoker invoke/log_text invoke/meter invoke/pool
  invoke/pool_holds invoke/pool_keep invoke/pool_shared
  services/lambda/invoke_input services/lambda/json_scan services/lambda/lineage
  services/lambda/names services/lambda/ops_invoke services/lambda/ops_recursion
  services/lambda/runnable services/lambda/service
  front/connection front/locate front/pipeline front/resource)

# Sets `out` to the profile in the compiler's form, or to nothing.
function(mayfly_merge_profile out)
  cmake_path(GET CMAKE_CXX_COMPILER PARENT_PATH beside)
  file(REAL_PATH ${CMAKE_CXX_COMPILER} real_compiler)
  cmake_path(GET real_compiler PARENT_PATH real_beside)
  string(REGEX MATCH "^[0-9]+" version ${CMAKE_CXX_COMPILER_VERSION})
  find_program(MAYFLY_PROFDATA NAMES llvm-profdata-${version} HINTS ${beside})
  find_program(MAYFLY_PROFDATA NAMES llvm-profdata PATHS ${real_beside} NO_DEFAULT_PATH)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${mayfly_profile_text})
  set(failed 1)
  if(MAYFLY_PROFDATA)
    execute_process(COMMAND ${MAYFLY_PROFDATA} merge -o ${mayfly_profile} ${mayfly_profile_text}
                    RESULT_VARIABLE failed)
  endif()
  if(failed)
    message(STATUS "Without the profile of the warm path: llvm-profdata-${version} is missing")
    set(${out} "" PARENT_SCOPE)
  else()
    set(${out} ${mayfly_profile} PARENT_SCOPE)
  endif()
endfunction()

# Functions of one file alone are named by it, wherever the repository lies.
set(mayfly_profile_options)
set(mayfly_profile_names -mllvm -static-func-full-module-prefix=false)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Release" OR MAYFLY_SANITIZE OR MAYFLY_PROFILE STREQUAL "off")
elseif(MAYFLY_PROFILE STREQUAL "make")
  set(mayfly_profile_options ${mayfly_profile_names} -fprofile-generate)
else()
  mayfly_merge_profile(merged)
  if(merged)
    set(mayfly_profile_options ${mayfly_profile_names} -fprofile-use=${merged}
        -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin)
  endif()
endif()

# They are optimised across files as well, in the programs that ask for it (mayfly_optimise_whole);
# all others link the same objects as any.
set(mayfly_whole)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT MAYFLY_SANITIZE AND MAYFLY_PROFILE STREQUAL "use")
  set(mayfly_whole -flto=thin -ffat-lto-objects)
  list(APPEND mayfly_profile_options ${mayfly_whole})
endif()
function(mayfly_optimise_whole target)
  target_link_options(${target} PRIVATE ${mayfly_whole})
endfunction()

# Called where the target of these sources is made.
function(mayfly_profile_sources)
  if(NOT mayfly_profile_options)
    return()
  endif()
  set(sources)
  foreach(source ${ARGN})
    string(REGEX REPLACE "^.*/(src|generated)/(.*)\\.cc$" "\\2" name ${source})
    if(name IN_LIST mayfly_profiled)
      list(APPEND sources ${source})
    endif()
  endforeach()
  if(NOT sources)
    return()
  endif()
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${mayfly_profile_options}")
  if(MAYFLY_PROFILE STREQUAL "use" AND EXISTS ${mayfly_profile})
    set_source_files_properties(${sources} PROPERTIES OBJECT_DEPENDS ${mayfly_profile})
  endif()
endfunction()
