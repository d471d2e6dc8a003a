// fleet.h: the real programs, each on a host of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/client.h"
#include "tests/chaos/net.h"
#include "tests/integration/process.h"

namespace expertmesh::chaos {

inline constexpr char kCoordinator[] = "coordinator";

struct FleetOptions {
  std::string model;
  int attention_workers = 2;  // a1, a2, ...
  int expert_workers = 4;     // e1, e2, ...
  std::vector<std::string> attention_flags;
  std::vector<std::string> expert_flags;
  std::string logs;  // a folder, which is there
};

// Threads: one, which is the one that its network was made on.
class Fleet {
 public:
  Fleet(FleetOptions options, Net* net);
  ~Fleet();  // ends everything at once

  // Starts all, and waits until the fleet is whole.
  absl::Status Start();
  // Starts a program (again) on its host, and does not wait for it. a<n>: an attention worker,
  // e<n>: an expert worker, or the coordinator.
  absl::Status StartOne(const std::string& name);
  // kill -9, reaped and forgotten.
  void Kill(const std::string& name);
  void Signal(const std::string& name, int number);
  // SIGTERM: from now on it may end, with exit code 0.
  void Drain(const std::string& name);

  bool running(const std::string& name);
  bool known(const std::string& name) const { return processes_.count(name) > 0; }
  std::vector<std::string> names() const;
  const Process& process(const std::string& name) const { return *processes_.at(name); }
  // Reaps what has ended. Of each that nobody told to end, or that drained with another exit code
  // than 0, a line.
  std::vector<std::string> Reap();

  const std::string& address() const { return address_; }
  Client& client() { return *client_; }
  std::string LogPath(const std::string& name) const;
  std::string LogOf(const std::string& name) const;

 private:
  std::vector<std::string> FlagsOf(const std::string& name, const std::string& host) const;

  const FleetOptions options_;
  Net* const net_;
  std::string address_;  // the coordinator's
  std::unique_ptr<Client> client_;
  std::map<std::string, std::unique_ptr<Process>> processes_;
  std::set<std::string> draining_;
};

}  // namespace expertmesh::chaos
