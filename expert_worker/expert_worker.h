// expert_worker.h: an expert worker as one object: what `service/`, `expertmesh serve` and tests
// start and stop. It answers (layer, expert, row) and keeps no state of any sequence.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cluster/control_link.h"
#include "transport/channel.h"

namespace expertmesh {

struct ExpertWorkerOptions {
  std::string name;  // unique in the fleet; a newer life of a name replaces the older
  std::string model_folder;
  bool widen = false;           // hold bf16 weights as f32
  std::string isa = "auto";     // kernels/classes.h
  int threads = 1;              // compute threads
  uint64_t memory_bytes = 0;    // for weights; 0: what the machine has
  int32_t max_pass_rows = 512;  // rows of one pass; every cut gives the same bits
};

class ExpertWorker {
 public:
  // Reads the checkpoint's headers and opens the compute class.
  static absl::StatusOr<std::unique_ptr<ExpertWorker>> Create(ExpertWorkerOptions options);
  ~ExpertWorker();  // Stop()s

  // To make the transport with, before Start.
  Endpoint* endpoint();

  // Joins the fleet. `address` is where attention workers dial the transport. `on_exit` is called
  // once, from the control thread, if this life is over by itself: fenced, or drained (OK); it must
  // not block.
  void Start(std::unique_ptr<Transport> transport, std::unique_ptr<ControlLink> control,
             std::string address, std::function<void(absl::Status)> on_exit);

  // Asks to be relieved of all that it holds; `on_exit` is called with OK when it is. Idempotent.
  void Drain();

  // Leaves the fleet and joins the threads. Idempotent. The transport is stopped, but lives as long
  // as this object: a server that still names its service may be shut down in between.
  void Stop();

 private:
  struct Impl;
  explicit ExpertWorker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace expertmesh
