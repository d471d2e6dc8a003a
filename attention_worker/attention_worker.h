// attention_worker.h: an attention worker as one object: what `service/`, `expertmesh serve` and
// tests start and stop. It holds sequences and their latent cache, and runs the model but for the
// routed experts.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cluster/control_link.h"
#include "cluster/liveness.h"
#include "generation/request_port.h"
#include "transport/channel.h"

namespace expertmesh {

struct AttentionWorkerOptions {
  std::string name;  // unique in the fleet; a newer life of a name replaces the older
  std::string model_folder;
  bool widen = false;            // hold bf16 weights as f32
  std::string isa = "auto";      // kernels/classes.h
  int threads = 1;               // compute threads
  int32_t max_context = 4096;    // prompt and output of one sequence; at most the model's
  int64_t cache_tokens = 32768;  // latent cache, in tokens
  int32_t max_step_rows = 512;   // rows of one step: decode rows and prefill rows together
  int32_t prefill_chunk = 256;   // prompt rows of one sequence in one step
  int32_t max_sequences = 64;    // running at once
  int32_t max_waiting = 1024;    // beyond the max_sequences that may run
  LivenessOptions liveness;
  Duration coverage_wait = std::chrono::seconds(30);     // for experts that nobody holds
  Duration hedge_after = std::chrono::milliseconds(50);  // core/experts/dispatcher.h; 0: never
  Duration orphan_grace = std::chrono::seconds(30);      // core/kept_answers.h; 0: none is kept
};

class AttentionWorker final : public AttentionPort {
 public:
  // Reads the checkpoint's headers and opens the compute class.
  static absl::StatusOr<std::unique_ptr<AttentionWorker>> Create(AttentionWorkerOptions options);
  ~AttentionWorker() override;  // Stop()s

  // To make the transport with, before Start.
  Endpoint* endpoint();

  // Joins the fleet and loads. `address` is where front doors dial this worker. `on_exit` is called
  // once, from the control thread, if this life is over by itself: fenced, a failed load, or
  // drained (OK); it must not block.
  void Start(std::unique_ptr<Transport> transport, std::unique_ptr<ControlLink> control,
             std::string address, std::function<void(absl::Status)> on_exit);

  // Requests, from any thread.
  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override;
  void Cancel(RequestId id) override;
  void Detach(RequestId id) override;
  void Forget(const KeptAnswer& kept) override;

  // Takes nothing new from now on; `on_exit` is called with OK when what it has is done.
  // Idempotent.
  void Drain();

  // Ends what runs with UNAVAILABLE, leaves the fleet and joins the threads. Idempotent. The
  // transport is stopped, but lives as long as this object.
  void Stop();

 private:
  struct Impl;
  explicit AttentionWorker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace expertmesh
