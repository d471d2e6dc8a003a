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

  // `told` runs once, on some worker's thread, when a worker has given up (or at once, if one has).
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

  struct Exit;  // the first worker's reason to give up
  std::shared_ptr<Exit> exit_;
  int attention_count_ = 0;
  LocalHub hub_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<TextDoor> door_;
  std::atomic<RequestId> last_{0};  // of the users' requests
  std::vector<std::unique_ptr<AttentionWorker>> attention_;
  std::vector<std::unique_ptr<ExpertWorker>> experts_;
};

}  // namespace expertmesh
