// options.h: the command line of expertmesh-attention-worker.
#pragma once

#include <optional>

#include "attention_worker/attention_worker.h"
#include "common/options.h"

namespace expertmesh {

struct AttentionWorkerFlags {
  AttentionWorkerOptions worker;
  WorkerFlags fleet;
  ListenFlags listen{.listen = "127.0.0.1:0"};
};

// How much a worker takes on: also of `expertmesh serve`.
void AddCapacityFlags(CLI::App& app, AttentionWorkerOptions& worker);

// Fills `flags`; an exit code where the program has nothing more to do (common/options.h).
std::optional<int> ReadAttentionWorkerFlags(int argc, const char* const* argv,
                                            AttentionWorkerFlags* flags);

}  // namespace expertmesh
