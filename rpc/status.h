// status.h: absl::Status across a gRPC call, with its wait hint.
//
// The hint of WithRetryAfter (common/status.h) travels as google.rpc.RetryInfo inside a
// google.rpc.Status in the call's trailers, where every gRPC client looks for it.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace expertmesh {

// Trailers have little room: longer texts are cut there.
inline constexpr size_t kMaxStatusTextBytes = 1024;

// The text is cut to kMaxStatusTextBytes; what text.h calls not plain becomes '?'.
grpc::Status ToGrpcStatus(const absl::Status& status);

// A hint is taken between 0 and one day; details that cannot be read are as good as none.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace expertmesh
