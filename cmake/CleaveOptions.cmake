# Language, warnings and sanitizers for every target of ours.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

find_program(CLEAVE_CCACHE ccache)
if(CLEAVE_CCACHE)
  # Without this ccache passes by what is compiled with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros "${CLEAVE_CCACHE}")
  add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>")
endif()

add_compile_options(-Wall -Wextra -Wno-unused-parameter -Werror)
# GCC 12 warns wrongly where a string literal is added to a std::string (its bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
# Clang warns of what libstdc++ 12 itself still uses for std::stable_sort.
add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-deprecated-declarations>)

set(CLEAVE_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize= (for example address,undefined)")
if(CLEAVE_SANITIZE)
  add_compile_options(-fsanitize=${CLEAVE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CLEAVE_SANITIZE})
endif()

if(CLEAVE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Includes are written from the root of the tree: "runtime/program/element_type.h".
include_directories("${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
