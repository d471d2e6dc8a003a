// worker_flags.h: what the flags of a worker's program must satisfy before it starts.
#pragma once

#include "absl/status/status.h"
#include "common/options.h"

namespace expertmesh {

// OK, or INVALID_ARGUMENT or FAILED_PRECONDITION whose text names the flag.
absl::Status CheckWorkerFlags(const WorkerFlags& fleet, const ListenFlags& listen);

}  // namespace expertmesh
