// client.h: the clients of one run: they send what the plan says, and hold what they get against
// the invariants of requests.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "generation/request_port.h"
#include "simulation/invariants/requests.h"
#include "simulation/workload/request_plan.h"
#include "simulation/world.h"

namespace expertmesh::simulation {

class Cluster;

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
    std::string coordinator;  // label of the life that has it
  };

  void Submit(RequestPlan plan, bool probe);
  void Cancel(RequestId id);
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
