// front_door.h: a client's request on its way to an attention worker and back: the session, as a
// state machine.
//
// A request is refused at once when no attention worker is READY. Otherwise it goes to the one that
// had a prompt of the same beginning last, unless that has many more sessions than others, and else
// to the one with the fewest; what comes back is passed on. (Where experts are uncovered it waits
// there, as long as that worker lets it.)
//
// An attention worker that dies, leaves or refuses in the midst of a request costs no answer: the
// request goes to another one of the same compute class with the tokens made so far, which goes on
// from there with the same tokens and bits. That is done kMostResubmissions times; and not when the
// worker says that no other could do better (TryAgainAnywhere). A request that asks about its
// prompt alone begins anew, if nothing of its answer has come.
//
// An answer that is to be kept (generation/kept_answer.h) is kept by its worker. The first delta of
// each worker that makes it tells who that is; a request that names such a worker goes there.
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
inline constexpr int kMostResubmissions = 8;

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
  void Detach(RequestId id);
  void Forget(const KeptAnswer& kept);
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
    ComputeClass compute_class;
    std::unique_ptr<AttentionPort> port;
    int sessions = 0;
    bool listed = true;
  };
  struct Session {
    GenerationListener* listener = nullptr;
    Worker* worker = nullptr;
    std::vector<uint64_t> beginnings;  // of its prompt; empty once an answer has begun
    GenerateRequest request;           // with the output so far: what another worker would be asked
    int resubmissions = 0;
    bool cancelled = false;
    bool told = false;   // whoever listens knows which worker keeps its answer
    bool final = false;  // what has come cannot be gone on with elsewhere, or was the end
  };

  absl::Status MayServe() const;
  Worker* LeastLoaded();
  Worker* Another(const Worker& than);
  Worker* ChooseWorker(absl::Span<const uint64_t> beginnings);
  Worker* KeeperOf(const GenerateRequest& request);
  bool Resubmit(RequestId id, Session& session, const absl::Status& why);
  void DropUnlisted();

  PortFactory make_port_;
  GenerationListener* inward_;
  std::shared_ptr<const Topology> topology_;
  bool draining_ = false;
  // By name and incarnation: a worker that was replaced keeps its sessions until they end.
  std::map<WorkerKey, Worker> workers_;
  PrefixAffinity<WorkerKey> affinity_{kAffinityBeginnings};
  std::map<RequestId, Session> sessions_;
};

}  // namespace expertmesh
