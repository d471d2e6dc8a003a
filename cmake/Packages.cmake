# What the project builds on, from the distribution's packages.
find_package(Threads REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(GTest CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
if(EXPERTMESH_GRPC)
  find_package(Protobuf MODULE REQUIRED)  # by module, and before gRPC: its own config file is not packaged
  find_package(gRPC CONFIG REQUIRED)
endif()
