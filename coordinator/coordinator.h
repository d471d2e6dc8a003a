// coordinator.h: control and front door as one object: what `service/`, `expertmesh serve` and
// tests start and stop.
//
// Two control threads: membership's and the front door's. Nothing of gRPC in here: who connects
// workers and clients to it is `service/` (processes) or cli/serve (one process).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/control_link.h"
#include "cluster/report.h"
#include "cluster/topology.h"
#include "coordinator/membership/worker_record.h"
#include "coordinator/placement/fault_margin.h"
#include "coordinator/placement/plan.h"
#include "generation/request_port.h"

namespace expertmesh {

struct CoordinatorOptions {
  // The first placement waits until this many expert workers have reported.
  int32_t initial_expert_workers = 1;
  Duration lease = kLease;
};

// What placement says of an expert worker that lives.
struct PlacementListing {
  WorkerMargin margin;
  int64_t room = 0;  // experts that fit its memory
  // Rows that go to what it holds, a load being split evenly over an expert's replicas; nullopt:
  // loads are not known.
  std::optional<double> tokens_per_second;
};

// One worker as operators see it.
struct WorkerListing {
  Report report;  // the last one
  WorkerState state = WorkerState::kJoining;
  ExpertSet assigned;
  ExpertSet retiring;  // of these: about to be unloaded
  WorkerOrders orders;
  std::string note;  // why the topology lists it with less than it holds; empty when it does not
  std::optional<PlacementListing> placement;
};

// The whole fleet as operators see it.
struct FleetListing {
  Topology topology;
  ExpertSet uncovered;
  std::vector<WorkerListing> workers;     // by role, then name; also the LOST ones
  std::string missing;                    // what keeps the fleet from serving; empty: it serves
  std::string frozen;                     // why nothing is placed or unloaded; empty: it is not so
  bool moving = false;                    // experts are on their way
  uint64_t rounds = 0;                    // of plans, begun since the start
  std::optional<BalanceSummary> balance;  // nullopt before the first expert worker
};

// What an operator says of a worker; what is absent stays as it is.
struct OrdersChange {
  std::optional<bool> cordoned, drain;
  std::optional<ExpertSet> pinned;  // without a grid: none
};

struct OrdersNow {
  WorkerOrders orders;
  std::optional<WorkerState> state;  // nullopt: nobody of this name is known
};

struct PlanQuery {
  bool balance = false;
  std::vector<std::string> drain;  // as if these were to be drained
};

struct PlanAnswer {
  Plan plan;
  uint64_t expert_bytes = 0;
  std::string held_up;  // why no plan is carried out now; empty when it would be
};

// Names that may have orders.
inline constexpr size_t kMaxOrders = 65536;

// Makes the port to an attention worker, by the address that it reported. Called on the front
// door's thread.
using AttentionPortFactory = std::function<std::unique_ptr<AttentionPort>(
    const std::string& name, const std::string& address)>;

class Coordinator final : public ControlServerListener, public AttentionPort {
 public:
  Coordinator(CoordinatorOptions options, AttentionPortFactory ports);
  ~Coordinator() override;  // Stop()s

  // Workers.
  void OnLinkOpened(LinkId id, Link link) override;
  void OnReport(LinkId id, Report report) override;
  void OnLinkClosed(LinkId id) override;

  // Clients: the front door is itself a port, to the whole fleet. Ids are the caller's, from
  // NewRequestId. Bad requests end with INVALID_ARGUMENT, an uncovered fleet with UNAVAILABLE.
  RequestId NewRequestId();
  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override;
  void Cancel(RequestId id) override;
  void Detach(RequestId id) override;
  void Forget(const KeptAnswer& kept) override;

  // Operators. Each blocks until membership's thread answers; plans are made on the caller's.
  // Errors  UNAVAILABLE: it has stopped. The rest as proto/expertmesh/v1/admin.proto says.
  FleetListing List() const;
  absl::StatusOr<OrdersNow> SetOrders(const std::string& name, const OrdersChange& change);
  // What balancing would do now; begins with it. `force`: ends a freeze first.
  absl::StatusOr<PlanAnswer> Rebalance(bool force);
  // Whether there was a freeze to end.
  absl::StatusOr<bool> Thaw();
  // A dry run.
  absl::StatusOr<PlanAnswer> PlanNow(const PlanQuery& query) const;

  // Refuses new requests from now on; those that run go on.
  void Drain();
  // Ends what runs with UNAVAILABLE and joins the threads. Idempotent.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace expertmesh
