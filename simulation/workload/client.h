// client.h: the clients of one run: they send what the plan says, and hold what they get against
// the invariants of requests. Some ask for the rest of an answer that breaks off, as the client
// library does.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "generation/request_port.h"
#include "simulation/invariants/requests.h"
#include "simulation/workload/request_plan.h"
#include "simulation/world.h"

namespace expertmesh::simulation {

class Cluster;
class CoordinatorProcess;

class Client final : private GenerationListener {
 public:
  Client(World* world, Cluster* cluster, const StubModel& model, Duration patience);
  ~Client() override;

  void Send(const RequestPlan& plan);
  // To a cluster that is whole: these must succeed.
  void SendProbes(int count);
  // The connection to this life of a coordinator breaks: what waits for it ends.
  void OnCoordinatorDied(const std::string& label);

  bool AllEnded() const;
  size_t sent() const { return records_.size(); }
  size_t succeeded() const;

 private:
  struct Pending {
    RequestRecord record;
    std::string coordinator;  // label of the life that has it; empty: none
    RequestId attempt = 0;    // to get it
    int resumes = 0;          // that are left
    std::optional<KeptAnswer> kept;
  };
  // A front door knows each attempt as a request of its own.
  static constexpr RequestId kAttempts = 1'000'000;

  void Submit(RequestPlan plan, bool probe);
  void Ask(Pending& pending);
  bool Resume(Pending& pending, const absl::Status& why);
  CoordinatorProcess* CoordinatorOf(const Pending& pending) const;
  void Cancel(RequestId id);
  void HangUp(RequestId id, Duration away);
  // The request that this attempt is the newest of; null: it is an older one.
  Pending* Of(RequestId attempt);
  void End(Pending& pending, absl::Status status);
  void OnDelta(RequestId id, Delta delta) override;
  void OnEnd(RequestId id, absl::Status status) override;
  void Patrol();

  World* world_;
  Cluster* cluster_;
  const StubModel& model_;
  const Duration patience_;
  std::deque<Pending> records_;  // by id, from 1
};

}  // namespace expertmesh::simulation
