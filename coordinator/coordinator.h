// coordinator.h: control and front door as one object: what `service/`, `expertmesh serve` and
// tests start and stop.
//
// Two control threads: membership's and the front door's. Nothing of gRPC in here: who connects
// workers and clients to it is `service/` (processes) or cli/serve (one process).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cluster/control_link.h"
#include "cluster/report.h"
#include "cluster/topology.h"
#include "generation/request_port.h"

namespace expertmesh {

struct CoordinatorOptions {
  // The first placement waits until this many expert workers have reported.
  int32_t initial_expert_workers = 1;
  Duration lease = kLease;
};

// One worker as operators see it.
struct WorkerListing {
  Report report;  // the last one
  WorkerState state = WorkerState::kJoining;
  ExpertSet assigned;
  std::string note;  // why the topology lists it with less than it holds; empty when it does not
};

// The whole fleet as operators see it.
struct FleetListing {
  Topology topology;
  ExpertSet uncovered;
  std::vector<WorkerListing> workers;  // by role, then name; also the LOST ones
  std::string missing;                 // what keeps the fleet from serving; empty: it serves
};

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

  // Operators. Blocks until membership's thread answers.
  FleetListing List() const;

  // Refuses new requests from now on; those that run go on.
  void Drain();
  // Ends what runs with UNAVAILABLE and joins the threads. Idempotent.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace expertmesh
