// attention_port.h: how a front door speaks with one attention worker, whatever lies between.
//
// In one process a port is the worker itself; over gRPC it is a stub. Both keep this contract: for
// each Start there is exactly one OnEnd, the last call for that id; also after Cancel, which only
// makes it come soon. A listener lives until its OnEnd.
#pragma once

#include "absl/status/status.h"
#include "generation/delta.h"
#include "generation/request.h"

namespace expertmesh {

// Called on the port's own thread: must not block; posting to a Mailbox is what it is for.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;
  virtual void OnDelta(RequestId id, Delta delta) = 0;
  // OK after a delta with a finish reason; otherwise why there was none. Nothing comes after it.
  virtual void OnEnd(RequestId id, absl::Status status) = 0;
};

class AttentionPort {
 public:
  virtual ~AttentionPort() = default;
  // `id` is the caller's. Returns at once; OnEnd may come before it has returned.
  virtual void Start(RequestId id, GenerateRequest request, GenerationListener* listener) = 0;
  // The sequence leaves the batch at the next step; OnEnd(CANCELLED) follows, unless it has ended
  // otherwise meanwhile. Unknown ids are ignored.
  virtual void Cancel(RequestId id) = 0;
};

}  // namespace expertmesh
