# llhttp from the distribution's C sources (package node-llhttp). Every user of llhttp.h takes this
# target, so that all see the same LLHTTP_STRICT_MODE.
find_path(LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp /usr/share/llhttp)
if(NOT LLHTTP_SOURCES OR NOT LLHTTP_INCLUDE)
  message(FATAL_ERROR "the llhttp sources are missing: install the package node-llhttp")
endif()
add_library(llhttp STATIC ${LLHTTP_SOURCES}/api.c ${LLHTTP_SOURCES}/http.c
                          ${LLHTTP_SOURCES}/llhttp.c)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
target_compile_options(llhttp PRIVATE -w)
