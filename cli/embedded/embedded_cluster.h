// embedded_cluster.h: all roles in one process over the `local` transport: the embedded default,
// made of the very same classes as the programs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attention_worker/attention_worker.h"
#include "common/mutex.h"
#include "common/task_loop.h"
#include "coordinator/coordinator.h"
#include "coordinator/text/text_door.h"
#include "expert_worker/expert_worker.h"
#include "transport/local/local_transport.h"

namespace expertmesh {

struct EmbeddedOptions {
  int attention_workers = 1;
  int expert_workers = 1;
  std::shared_ptr<const TextModel> text = TokensOnly("model");
  AttentionWorkerOptions attention;  // name is set per worker: a1, a2, ...
  ExpertWorkerOptions expert;        // name is set per worker: e1, e2, ...
};

class EmbeddedCluster {
 public:
  // Starts everything; the workers load in the background.
  static absl::StatusOr<std::unique_ptr<EmbeddedCluster>> Start(EmbeddedOptions options);
  ~EmbeddedCluster();  // workers first, then the coordinator

  // OK once every expert is covered and every attention worker is ready; else why not: a worker's
  // own reason to give up, or DEADLINE_EXCEEDED.
  absl::Status WaitUntilWhole(Duration patience);

  Coordinator& coordinator() { return *coordinator_; }

  // What ScaleExperts did, by workers' names.
  struct Scaled {
    std::vector<std::string> started, drained;
  };
  // Starts expert workers, or drains those with the highest numbers, until `workers` live that do
  // not drain. Those that start get their share of the experts when they have joined; those that
  // drain hand over what they have. A number is never used twice. From any thread, one call at a
  // time.
  absl::StatusOr<Scaled> ScaleExperts(int workers);

  // `told` runs once, on some worker's thread, when a worker has given up (or at once, if one has).
  // One that was drained has not.
  void OnExit(std::function<void()> told);
  // Why a worker gave up; OK while none has.
  absl::Status ExitStatus();

  // Runs one request to its end. `on_delta` may be null. Blocks.
  absl::Status Generate(GenerateRequest request, std::function<void(const Delta&)> on_delta);
  absl::Status Generate(UserRequest request, std::function<void(const Delta&)> on_delta);
  // From any thread: the user's request that was started last ends with CANCELLED, if it still
  // runs.
  void CancelRunning();

 private:
  EmbeddedCluster() = default;
  absl::Status StartWorkers(EmbeddedOptions options);
  template <typename Worker>
  void Launch(Worker& worker, const std::string& name);

  struct Expert {
    std::string name;
    std::unique_ptr<ExpertWorker> worker;
    bool draining = false;
  };
  absl::Status AddExpert();
  void Reap(const std::string& name);
  std::vector<Expert*> StayingExperts();
  void ShareWith(const std::vector<std::string>& started);

  struct Exit;  // the first worker's reason to give up
  std::shared_ptr<Exit> exit_;
  int attention_count_ = 0;
  LocalHub hub_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<TextDoor> door_;
  std::atomic<RequestId> last_{0};  // of the users' requests
  std::vector<std::unique_ptr<AttentionWorker>> attention_;
  ExpertWorkerOptions expert_options_;
  int last_expert_ = 0;          // number
  Mutex scaling_;                // guards experts_, once all is started
  std::vector<Expert> experts_;  // by number
  TaskLoop reaper_;              // stops those that were drained: they cannot do it themselves
};

}  // namespace expertmesh
