# cleave_add_unittest(NAME SOURCE... LIBS LIBRARY...): one GoogleTest program,
# each of its cases a ctest test.
find_package(GTest REQUIRED)
include(GoogleTest)

function(cleave_add_unittest name)
  cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test/bin")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60)
endfunction()
