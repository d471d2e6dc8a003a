// cluster.h: the processes of one run: it starts them, ends them, and starts them again.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulation/invariants/monitor.h"
#include "simulation/network/network.h"
#include "simulation/plan.h"
#include "simulation/roles/coordinator_process.h"
#include "simulation/roles/worker_process.h"
#include "simulation/world.h"

namespace expertmesh::simulation {

class Cluster {
 public:
  Cluster(World* world, const Plan* plan);
  ~Cluster();

  // Every process, each a little later or earlier.
  void LaunchAll();
  // A new life of this name, at a new address if it has `moved`.
  void Launch(const std::string& name, bool moved);
  void Kill(Process* process, bool silent);
  // Ends every fault at once: all is reachable, awake and started.
  void Heal();

  // The newest life of this name; null when it is dead.
  Process* Newest(const std::string& name) const;
  // Null while it is dead.
  CoordinatorProcess* coordinator() const;

  // What keeps the cluster from being whole; empty when it is: one life a name, everything covered,
  // every attention worker serving.
  std::string Ailment() const;
  // What is left over from requests when all have ended; empty when nothing is.
  std::string Leftovers() const;

  // To be called when no process is running: takes apart what has died.
  void Bury();

  void OnCoordinatorDied(std::function<void(const std::string& label)> callback) {
    coordinator_died_ = std::move(callback);
  }
  World& world() { return *world_; }
  Network& network() { return network_; }

 private:
  std::unique_ptr<Process> Make(ProcessIdentity identity);
  void OnExit(WorkerProcess* process, const absl::Status& why);
  std::string WorkerAilment(const std::string& name) const;
  std::string FleetAilment() const;

  World* world_;
  const Plan* plan_;
  Monitor monitor_;
  Network network_;
  std::map<std::string, std::vector<std::unique_ptr<Process>>> lives_;  // by name; dead ones too
  std::map<std::string, std::string> addresses_;                        // the newest of each name
  std::vector<Process*> dying_;
  std::function<void(const std::string&)> coordinator_died_;
};

}  // namespace expertmesh::simulation
