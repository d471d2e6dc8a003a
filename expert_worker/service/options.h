// options.h: the command line of expertmesh-expert-worker.
#pragma once

#include <optional>

#include "common/options.h"
#include "expert_worker/expert_worker.h"

namespace expertmesh {

struct ExpertWorkerFlags {
  ExpertWorkerOptions worker;
  WorkerFlags fleet;
  ListenFlags listen{.listen = "127.0.0.1:0"};
};

// Fills `flags`; an exit code where the program has nothing more to do (common/options.h).
std::optional<int> ReadExpertWorkerFlags(int argc, const char* const* argv,
                                         ExpertWorkerFlags* flags);

}  // namespace expertmesh
