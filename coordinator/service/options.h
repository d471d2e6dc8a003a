// options.h: the command line of expertmesh-coordinator.
#pragma once

#include <optional>
#include <string>

#include "common/options.h"
#include "coordinator/coordinator.h"

namespace expertmesh {

struct CoordinatorFlags {
  CoordinatorOptions coordinator;
  std::string model_folder;  // empty: token ids only
  std::string model_name;    // empty: the folder's
  ListenFlags listen{.listen = "127.0.0.1:50051"};
  Duration drain = std::chrono::seconds(5);
};

// Fills `flags`; an exit code where the program has nothing more to do (common/options.h).
std::optional<int> ReadCoordinatorFlags(int argc, const char* const* argv, CoordinatorFlags* flags);

}  // namespace expertmesh
