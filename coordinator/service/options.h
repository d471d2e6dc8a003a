// options.h: the command line of expertmesh-coordinator, and what it shares with `expertmesh
// serve`.
#pragma once

#include <optional>
#include <string>

#include "common/options.h"
#include "coordinator/coordinator.h"
#include "coordinator/service/coordinator_server.h"

namespace expertmesh {

// Flags of whatever serves users.
struct ServingFlags {
  ListenFlags listen{.listen = "127.0.0.1:50051"};
  std::string metrics_listen;  // empty: no metrics
  std::string model_name;      // empty: the folder's
  Duration drain = std::chrono::seconds(5);
  Duration max_connection_age = std::chrono::minutes(30);
};
void AddServingFlags(CLI::App& app, ServingFlags* flags);
// OK, or INVALID_ARGUMENT or FAILED_PRECONDITION whose text names the flag.
absl::Status CheckServingFlags(const ServingFlags& flags);
CoordinatorServer::Options ServerOptions(const ServingFlags& flags);

struct CoordinatorFlags {
  CoordinatorOptions coordinator;
  std::string model_folder;  // empty: token ids only
  ServingFlags serving;
};

// Fills `flags`; an exit code where the program has nothing more to do (common/options.h).
std::optional<int> ReadCoordinatorFlags(int argc, const char* const* argv, CoordinatorFlags* flags);

}  // namespace expertmesh
