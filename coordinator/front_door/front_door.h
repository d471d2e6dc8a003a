// front_door.h: a client's request on its way to an attention worker and back: the session, as a
// state machine.
//
// A request is refused at once when the fleet cannot serve it. Otherwise it goes to the READY
// attention worker that had a prompt of the same beginning last, unless that has many more sessions
// than others, and else to the one with the fewest; what comes back is passed on.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cluster/topology.h"
#include "common/clock.h"
#include "coordinator/front_door/prefix_affinity.h"
#include "generation/request_port.h"

namespace expertmesh {

// How many more sessions than the least loaded worker one may have that knows the prompt.
inline constexpr int kAffinitySlack = 8;
inline constexpr size_t kAffinityBeginnings = 1 << 16;

// Threads: one. Listeners' and ports' methods are called from inside these methods.
class FrontDoor {
 public:
  // Makes the port to an attention worker.
  using PortFactory = std::function<std::unique_ptr<AttentionPort>(const Member& worker)>;

  // `inward` is what ports are given as their listener; it leads to OnDelta and OnEnd.
  FrontDoor(PortFactory ports, GenerationListener* inward);

  void OnTopology(std::shared_ptr<const Topology> topology);

  void Start(RequestId id, GenerateRequest request, GenerationListener* listener);
  void Cancel(RequestId id);
  void OnDelta(RequestId id, Delta delta);
  void OnEnd(RequestId id, absl::Status status);

  // Refuses new requests from now on.
  void Drain() { draining_ = true; }
  // Ends every session with `why`.
  void EndAll(const absl::Status& why);

  size_t sessions() const { return sessions_.size(); }

 private:
  using WorkerKey = std::pair<std::string, Incarnation>;
  struct Worker {
    WorkerKey key;
    std::unique_ptr<AttentionPort> port;
    int sessions = 0;
    bool listed = true;
  };
  struct Session {
    GenerationListener* listener = nullptr;
    Worker* worker = nullptr;
    std::vector<uint64_t> beginnings;  // of its prompt; empty once an answer has begun
  };

  absl::Status MayServe() const;
  Worker* LeastLoaded();
  Worker* ChooseWorker(absl::Span<const uint64_t> beginnings);
  void DropUnlisted();

  PortFactory make_port_;
  GenerationListener* inward_;
  std::shared_ptr<const Topology> topology_;
  ExpertSet uncovered_;
  bool draining_ = false;
  // By name and incarnation: a worker that was replaced keeps its sessions until they end.
  std::map<WorkerKey, Worker> workers_;
  PrefixAffinity<WorkerKey> affinity_{kAffinityBeginnings};
  std::map<RequestId, Session> sessions_;
};

}  // namespace expertmesh
