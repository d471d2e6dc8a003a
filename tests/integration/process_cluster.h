// process_cluster.h: a fleet of the real programs on loopback.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "tests/integration/process.h"
#include "tests/support/generation.h"

namespace expertmesh {

struct ProcessClusterOptions {
  std::string model;
  int attention_workers = 1;
  int expert_workers = 2;
  std::vector<std::string> attention_flags;
  std::vector<std::string> expert_flags;
  std::vector<std::string> coordinator_flags;
  int drain_ms = 0;  // of workers, after SIGTERM
};

class ProcessCluster {
 public:
  // Starts coordinator, a1.. and e1.., and waits until the fleet is whole. Test failures are
  // recorded; then the cluster may be unusable.
  explicit ProcessCluster(ProcessClusterOptions options);
  ~ProcessCluster();  // prints the logs' tails if the test has failed

  Process& process(const std::string& name) { return *processes_.at(name); }
  // Starts a worker (again) under this name: a<n> or e<n>.
  void StartWorker(const std::string& name);
  void StartCoordinator();
  // kill -9, and forgotten.
  void Kill(const std::string& name);

  const std::string& address() const { return address_; }
  Client& client() { return *client_; }
  std::string LogOf(const std::string& name) const;

 private:
  ProcessClusterOptions options_;
  std::string folder_;
  std::string address_;
  std::unique_ptr<Client> client_;
  std::map<std::string, std::unique_ptr<Process>> processes_;
};

}  // namespace expertmesh
