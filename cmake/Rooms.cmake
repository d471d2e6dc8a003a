# Two functions: a room is a library, and what links to it is what its row of the table allows.
#
#   em_library(NAME [DEPS target...] [SOURCES file...])
#     A static library `em_NAME` of the folder's .cc files (without *_test.cc and main.cc), and a
#     link test: a program that links the library whole against DEPS alone, so that a call into a
#     room that is not listed fails the build (unless EXPERTMESH_LINK_TESTS is off). SOURCES
#     replaces the glob.
#   em_tests(NAME [DEPS target...] [SOURCES file...])
#     A GoogleTest program `NAME_test` of the folder's *_test.cc files, run by CTest as NAME.

file(WRITE ${CMAKE_BINARY_DIR}/link_test.cc "int main() { return 0; }\n")

function(em_library name)
  cmake_parse_arguments(arg "" "" "DEPS;SOURCES" ${ARGN})
  if(NOT arg_SOURCES)
    file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
    list(FILTER arg_SOURCES EXCLUDE REGEX "_test\\.cc$|/main\\.cc$")
  endif()
  if(NOT arg_SOURCES)  # a room of headers alone
    add_library(em_${name} INTERFACE)
    target_include_directories(em_${name} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(em_${name} INTERFACE ${arg_DEPS})
    return()
  endif()
  add_library(em_${name} STATIC ${arg_SOURCES})
  target_include_directories(em_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(em_${name} PUBLIC ${arg_DEPS})

  if(NOT EXPERTMESH_LINK_TESTS)
    return()
  endif()
  add_executable(link_${name} ${CMAKE_BINARY_DIR}/link_test.cc)
  set_target_properties(link_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/link)
  target_link_libraries(link_${name} PRIVATE
    -Wl,--whole-archive $<TARGET_FILE:em_${name}> -Wl,--no-whole-archive ${arg_DEPS})
  add_dependencies(link_${name} em_${name})
endfunction()

function(em_tests name)
  cmake_parse_arguments(arg "" "" "DEPS;SOURCES" ${ARGN})
  if(NOT arg_SOURCES)
    file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  endif()
  if(NOT arg_SOURCES)
    return()
  endif()
  add_executable(${name}_test ${arg_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main)
  # Test sources alone: the compiler takes half as long again, under ASan twice as long, to optimise
  # them, and they compute little.
  target_compile_options(${name}_test PRIVATE -O0)
  target_compile_definitions(${name}_test PRIVATE EXPERTMESH_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  set_target_properties(${name}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name}_test)
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()
