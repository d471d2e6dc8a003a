// client.h: the C++ client of a fleet: what the command line uses.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "expertmesh/v1/admin.grpc.pb.h"
#include "expertmesh/v1/generation.grpc.pb.h"
#include "generation/delta.h"
#include "generation/request.h"

namespace expertmesh {

// Threads  any; calls block their caller.
// Errors   those of generation.proto and admin.proto; UNAVAILABLE also when nobody answers at the
//          address. A wait hint of the server is in the status (common/status.h, RetryAfter).
class Client {
 public:
  // Connects when first used.
  explicit Client(std::string address);

  // One request to its end; the request's deadline is the call's. `on_delta` runs on the caller's
  // thread, once per piece.
  absl::Status Generate(const GenerateRequest& request,
                        const std::function<void(const Delta&)>& on_delta);

  absl::StatusOr<v1::GetTopologyResponse> GetTopology();

  // OK once every expert is covered and an attention worker is READY; DEADLINE_EXCEEDED, with what
  // is missing, after `patience`. Also waits for somebody to answer at the address.
  absl::Status WaitUntilWhole(Duration patience);

 private:
  std::string address_;
  std::unique_ptr<v1::Generation::Stub> generation_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

// Whether this fleet can serve: a placement, nothing uncovered, an attention worker READY. What is
// missing goes to `missing`, if it is not null.
bool IsWhole(const v1::GetTopologyResponse& fleet, std::string* missing);

}  // namespace expertmesh
