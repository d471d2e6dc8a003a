// client.h: the C++ client of a fleet: what the command line uses, and what programs link.
//
// Every error carries the server's code and text; where the server says when to try again,
// RetryAfter(status) tells it (common/status.h).
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "common/mutex.h"
#include "expertmesh/v1/admin.grpc.pb.h"
#include "expertmesh/v1/generation.grpc.pb.h"
#include "rpc/convert_user.h"

namespace expertmesh {

// Threads  any; calls run side by side on one connection.
class Client {
 public:
  // `address` is a coordinator's, "host:port". Connects when first used.
  explicit Client(const std::string& address);

  // Runs one request and gives its deltas to `on_delta`, on this thread, as they come. Returns when
  // the answer is complete. request.deadline is the call's. An answer to one choice that breaks off
  // with UNAVAILABLE is resumed, up to `most_resumes` times without a new token between, after as
  // long as the server says: what `on_delta` gets is what it would have got unbroken. What the
  // fleet has kept of it meanwhile comes at once; of one that ends otherwise nothing is kept (to
  // say so may take a second). One that asks about its prompt alone (request.pooling) gets its
  // answer in one delta.
  absl::Status Generate(const UserRequest& request,
                        const std::function<void(const Delta&)>& on_delta);
  int most_resumes = 5;
  // From any thread: calls of Generate and WatchTopology that run end with CANCELLED.
  void CancelRunning();

  // The fleet as control sees it. Waits at most 5 s.
  absl::StatusOr<v1::GetTopologyResponse> GetTopology();

  // The same as it changes: `on_event` gets the whole state, put together of the server's events
  // and checked against their hashes, on this thread: once at first, with each change, and every
  // few seconds without one. OK when it has returned false. Errors  DATA_LOSS    a hash was
  // another. Calling it again begins with a new snapshot.
  //         UNAVAILABLE  the stream broke, or nothing came for 10 s.
  absl::Status WatchTopology(
      const std::function<bool(const v1::GetTopologyResponse& fleet)>& on_event);

  // The operators' calls, as admin.proto says. PlanPlacement, Rebalance and Scale wait at most 60
  // s, the others 5 s.
  absl::StatusOr<v1::SetWorkerOrdersResponse> SetWorkerOrders(
      const v1::SetWorkerOrdersRequest& request);
  absl::StatusOr<v1::PlanPlacementResponse> PlanPlacement(const v1::PlanPlacementRequest& request);
  absl::StatusOr<v1::RebalanceResponse> Rebalance(bool force = false);
  absl::StatusOr<v1::ThawResponse> Thaw();
  absl::StatusOr<v1::ScaleResponse> Scale(int expert_workers);

  // What is served. Waits at most 5 s.
  absl::StatusOr<v1::ListModelsResponse> ListModels();

  // Until nothing is missing to serve requests, asking every 100 ms; a coordinator that is not
  // there yet is waited for too. Errors  DEADLINE_EXCEEDED after `patience`: what is missing.
  absl::Status WaitUntilWhole(Duration patience);

 private:
  absl::StatusOr<v1::GetTopologyResponse> GetTopology(Time deadline);
  absl::Status WithContext(Time deadline,
                           const std::function<absl::Status(grpc::ClientContext&)>& call);
  absl::Status Stream(grpc::ClientContext& context, const UserRequest& request,
                      const std::function<void(Delta)>& on_delta);
  absl::Status AskOfPrompt(const UserRequest& request, const std::function<void(Delta)>& on_delta);
  void Forget(const KeptAnswer& kept);
  absl::Status GenerateOnce(const UserRequest& request, const std::function<void(Delta)>& on_delta);

  void Pause(Duration pause);  // and connects meanwhile

  std::shared_ptr<grpc::Channel> channel_;
  Mutex mutex_;
  std::set<grpc::ClientContext*> running_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<v1::Generation::Stub> generation_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

}  // namespace expertmesh
