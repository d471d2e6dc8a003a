# Compiler settings that hold for every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g -DEXPERTMESH_DCHECKS=1")

add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers)
# Never contract a*b+c behind our back: the arithmetic of a compute class is written out (kernels/).
add_compile_options(-ffp-contract=off -fno-fast-math)

set(EXPERTMESH_SANITIZER "" CACHE STRING "address (with undefined behaviour), thread, fuzzer (address with libFuzzer's eyes), or empty")
if(EXPERTMESH_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1)
  add_link_options(-fsanitize=address,undefined)
elseif(EXPERTMESH_SANITIZER STREQUAL "fuzzer")  # clang alone has it
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
    -fno-omit-frame-pointer -O1 -g1)
  add_link_options(-fsanitize=address,undefined)
elseif(EXPERTMESH_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -O1 -g1)
  add_link_options(-fsanitize=thread)
endif()

option(EXPERTMESH_WERROR "Warnings are errors" OFF)
if(EXPERTMESH_WERROR)
  add_compile_options(-Werror)
endif()

# Without gRPC only the inner libraries are built: what runs under ThreadSanitizer.
option(EXPERTMESH_GRPC "Build the services, the programs and the grpc transport" ON)

option(EXPERTMESH_LINK_TESTS "Link each room's library whole against what it may use" ON)

find_program(EXPERTMESH_CCACHE ccache)
if(EXPERTMESH_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${EXPERTMESH_CCACHE})
endif()
