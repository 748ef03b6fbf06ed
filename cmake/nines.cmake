# Helpers of the build: a subject's library, its tests and its fuzzers.

# nines_library(NAME SOURCES a.cc b.cc DEPENDS nines_base PkgConfig::MNL)
function(nines_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
endfunction()

# nines_test(NAME SOURCES a_test.cc DEPENDS nines_base): one GoogleTest binary; each TEST is one
# ctest entry, so that the closing count is of tests and not of binaries.
function(nines_test name)
  if(NOT NINES_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    NINES_TESTDATA="${CMAKE_CURRENT_SOURCE_DIR}/testdata" NINES_SOURCE="${CMAKE_SOURCE_DIR}")
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 120)
endfunction()

# nines_fuzz(NAME SOURCES a_fuzz.cc DEPENDS nines_http): a libFuzzer binary over the kept corpus in
# testdata/corpus/NAME. Only with NINES_FUZZ, which needs clang.
function(nines_fuzz name)
  if(NOT NINES_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_property(GLOBAL APPEND PROPERTY NINES_FUZZERS ${name})
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${name})
endfunction()
