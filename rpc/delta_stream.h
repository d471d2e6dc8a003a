// delta_stream.h: between a port that makes deltas and a call that writes them: what to do next.
//
// A port makes deltas at the model's pace, a call writes them at its reader's. This decides,
// without any gRPC, which write or finish comes next: one write at a time, one finish, nothing
// after it. Deltas that wait are merged into one piece, so a slow reader gets fewer, larger
// messages.
#pragma once

#include <cstddef>
#include <deque>

#include "absl/status/status.h"
#include "common/mutex.h"
#include "generation/delta.h"

namespace expertmesh {

// Waiting beyond this ends the call with RESOURCE_EXHAUSTED: its reader does not keep up.
inline constexpr size_t kMaxWaitingDeltaBytes = 16 << 20;
// One message is not merged beyond this.
inline constexpr size_t kMaxPieceBytes = 256 << 10;

// Bytes that a delta takes on the wire, roughly.
size_t WireBytes(const Delta& delta);

// Threads  any: the port's, and gRPC's reactions. Whoever gets a Turn carries it out.
class DeltaStream {
 public:
  enum class Action { kNothing, kWrite, kFinish };
  struct Turn {
    Action action = Action::kNothing;
    Delta piece;          // kWrite: write this, then call OnWritten
    absl::Status status;  // kFinish: finish the call with this; the last turn of a stream
  };

  // The port made something. After an end or Abandon it is dropped. `overflow` is set when this
  // delta did not fit: the caller has to cancel the request.
  Turn OnDelta(Delta delta, bool* overflow);
  // The port is done; what waits is written first.
  Turn OnEnd(absl::Status status);
  // The write of the last kWrite is over; false: the reader is gone.
  Turn OnWritten(bool ok);
  // The call is cancelled or its deadline has passed: nothing more is written.
  Turn Abandon(absl::Status status);

 private:
  Turn Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Delta TakePiece() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndNow(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  std::deque<Delta> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expertmesh
