# Debian's MLIR 19. Its headers are system headers (no warnings from them), and
# everything links the two shared libraries: a static MLIR library beside them
# would bring a second copy of MLIR's registries.
# PATHS: Debian keeps it outside the folders that CMake searches by itself.
find_package(MLIR 19.1 REQUIRED CONFIG PATHS /usr/lib/llvm-19)
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
# LLVM's tablegen() writes dependency files relative to the top of the build tree,
# which the policy's new behavior would rewrite: ninja would then take every
# generated file for out of date, always.
cmake_policy(SET CMP0116 OLD)
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
add_definitions(${LLVM_DEFINITIONS})
# gcc 12 sees uninitialized buckets in LLVM's SmallDenseMap, where there are none.
add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>")
