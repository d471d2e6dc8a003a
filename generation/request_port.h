// request_port.h: how requests go to whoever serves them, whatever lies between.
//
// For each Start there is exactly one OnEnd, the last call for that id; also after Cancel, which
// only makes it come soon. A listener lives until its OnEnd.
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

template <typename Request>
class RequestPort {
 public:
  virtual ~RequestPort() = default;
  // `id` is the caller's. Returns at once; OnEnd may come before it has returned.
  virtual void Start(RequestId id, Request request, GenerationListener* listener) = 0;
  // What runs of it stops soon; OnEnd(CANCELLED) follows, unless it has ended otherwise meanwhile.
  // Unknown ids are ignored.
  virtual void Cancel(RequestId id) = 0;
  // The same to the listener, which hears no more; but an answer that is to be kept is.
  virtual void Detach(RequestId id) { Cancel(id); }
  // Ends an answer that is kept under this key, and forgets it. Unknown keys are ignored.
  virtual void Forget(const KeptAnswer& kept) {}
};

// A front door speaks with an attention worker through one of these: in one process it is the
// worker itself, over gRPC a stub. To a client the front door's inner half is one, too.
using AttentionPort = RequestPort<GenerateRequest>;

}  // namespace expertmesh
