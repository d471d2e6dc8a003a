// call_watch.h: one call of a port, seen from outside: for metrics.
#pragma once

#include "absl/status/status.h"
#include "generation/delta.h"

namespace expertmesh {

// A call has one of these from its begin to its end.
class CallWatch {
 public:
  virtual ~CallWatch() = default;
  // The port made a piece. One at a time.
  virtual void OnPiece(const Delta& piece) = 0;
  // What the caller is told at the end. Once; may come while OnPiece runs, or before the last one.
  virtual void OnEnd(const absl::Status& status) = 0;
};

}  // namespace expertmesh
