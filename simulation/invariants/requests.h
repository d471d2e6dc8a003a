// requests.h: what a client may get: the reference's tokens, one end, in time, and no failure
// without a cause.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "generation/delta.h"
#include "generation/request.h"
#include "simulation/stub/reference.h"
#include "simulation/world.h"

namespace expertmesh::simulation {

// One request as its client sees it.
struct RequestRecord {
  RequestId id = 0;
  GenerateRequest request;  // its deadline is the world's time
  Answer answer;            // what it must be
  Time arrived{};
  std::optional<Time> cancelled_at;  // by the client
  bool probe = false;                // sent to a cluster that is whole: it must succeed
  size_t tokens = 0;                 // that have come
  size_t prompt_logprobs = 0;
  bool finished = false;  // the delta with the finish reason has come
  std::optional<absl::Status> end;
};

// Each looks at one invariant, before the record takes in what came.

// tokens_equal_reference: ids, logprobs, alternatives and prompt logprobs, bit by bit; also those
// of requests that fail later.
void CheckTokens(World& world, const RequestRecord& record, const Delta& delta);
// finish_is_told: the last delta, and only that, says why it ended and what was used.
void CheckFinish(World& world, const RequestRecord& record, const Delta& delta);
// ends_once: nothing comes after the end; an end without error comes after the last delta.
void CheckNotEnded(World& world, const RequestRecord& record, const std::string& what);
void CheckEndFits(World& world, const RequestRecord& record, const absl::Status& status);
// failure_is_allowed: UNAVAILABLE with a retry hint, CANCELLED when it was, DEADLINE_EXCEEDED when
// it has passed, RESOURCE_EXHAUSTED; nothing else.
void CheckFailureCode(World& world, const RequestRecord& record, const absl::Status& status);
// no_failure_without_fault: in a run without faults, and once a faulted cluster is whole again,
// nothing fails but by the client's own wish.
void CheckFailureCause(World& world, const RequestRecord& record, const absl::Status& status);
// ends_in_time: within a bound of its deadline, of its cancellation, or of its arrival. No hangs.
void CheckEndsInTime(World& world, const RequestRecord& record, Duration patience);

}  // namespace expertmesh::simulation
