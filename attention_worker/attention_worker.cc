#include "attention_worker/attention_worker.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "attention_worker/compute/forward/forward.h"
#include "attention_worker/core/attention_node.h"
#include "common/status.h"
#include "device/cpu/cpu_device.h"
#include "kernels/classes.h"
#include "model/vocabulary/vocabulary.h"
#include "transport/worker_loop.h"

namespace expertmesh {

struct AttentionWorker::Impl {
  AttentionWorkerOptions options;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<CpuDevice> device;
  std::unique_ptr<Kernels> kernels;
  Report identity;
  RequestLimits limits;
  std::function<void(absl::Status)> on_exit;
  std::unique_ptr<WorkerLoop> loop;
  std::unique_ptr<Forward> compute;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<ControlLink> control;
  std::unique_ptr<AttentionNode> node;
  std::optional<Vocabulary> vocabulary;  // none: the checkpoint has no tokenizer

  absl::Status ReadVocabulary(const std::string& folder) {
    absl::StatusOr<Vocabulary> read = Vocabulary::Open(folder);
    if (absl::IsNotFound(read.status())) return absl::OkStatus();
    RETURN_IF_ERROR(read.status());
    vocabulary = *std::move(read);
    return absl::OkStatus();
  }
};

namespace {

absl::Status JudgeDialer(const Hello& peer) {
  return absl::PermissionDeniedError(
      absl::StrCat(peer.name, " dials an attention worker; nobody does"));
}

absl::Status CheckOptions(const AttentionWorkerOptions& options) {
  const auto at_least_one = [](absl::string_view flag, int64_t value) {
    return value >= 1 ? absl::OkStatus()
                      : absl::InvalidArgumentError(
                            absl::StrCat(flag, " is ", value, "; it is at least 1"));
  };
  RETURN_IF_ERROR(at_least_one("--max-context", options.max_context));
  RETURN_IF_ERROR(at_least_one("--cache-tokens", options.cache_tokens));
  RETURN_IF_ERROR(at_least_one("--max-step-rows", options.max_step_rows));
  RETURN_IF_ERROR(at_least_one("--prefill-chunk", options.prefill_chunk));
  RETURN_IF_ERROR(at_least_one("--max-sequences", options.max_sequences));
  RETURN_IF_ERROR(at_least_one("--threads", options.threads));
  return absl::OkStatus();
}

// A step's combines from one expert worker must fit a frame, whatever the routing.
absl::Status CheckFrames(const AttentionWorkerOptions& options, const ModelConfig& config) {
  const int64_t row_bytes = config.hidden * static_cast<int64_t>(sizeof(float));
  const int64_t bound =
      std::min<int64_t>(kMaxFrameBytes / 2 / row_bytes, kMaxRowsPerMessage) / config.top_k;
  if (config.moe_layers() == 0 || options.max_step_rows <= bound) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--max-step-rows is ", options.max_step_rows,
                                                 "; at most ", bound, " for this model"));
}

void FillIdentity(const AttentionWorkerOptions& options, const ModelConfig& config,
                  const ModelShape& shape, Report& identity, RequestLimits& limits) {
  identity.name = options.name;
  identity.role = WorkerRole::kAttention;
  identity.memory_bytes =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGE_SIZE);
  identity.threads = options.threads;
  identity.model.name = std::filesystem::path(options.model_folder).filename().string();
  identity.model.grid = shape.grid;
  identity.model.hidden = shape.hidden;
  identity.model.top_k = shape.top_k;
  identity.model.groups = static_cast<int32_t>(config.groups);
  identity.model.chosen_groups = static_cast<int32_t>(config.groups_kept);
  limits.vocabulary = static_cast<int32_t>(config.vocabulary);
  limits.max_context = options.max_context;
  limits.eos_token_ids = config.eos_token_ids;
  limits.generates = config.has_lm_head();
  limits.hidden = shape.hidden;
  limits.labels = config.labels;
  limits.pad_token_id = config.pad_token_id;
  identity.vocabulary = limits.vocabulary;
  identity.max_context = limits.max_context;
  identity.cache_tokens = static_cast<uint64_t>(shape.blocks) * shape.block_rows;
  identity.cache_bytes_per_token = shape.token_bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AttentionWorker>> AttentionWorker::Create(
    AttentionWorkerOptions options) {
  RETURN_IF_ERROR(CheckOptions(options));
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->checkpoint, Checkpoint::Open(options.model_folder));
  impl->device = std::make_unique<CpuDevice>(CpuDeviceOptions{.threads = options.threads});
  ASSIGN_OR_RETURN(impl->kernels, OpenClass(kCpuF32, *impl->device, options.isa));
  const ModelConfig& config = impl->checkpoint->config();
  RETURN_IF_ERROR(CheckFrames(options, config));
  options.max_context = static_cast<int32_t>(
      std::min<int64_t>({options.max_context, config.max_position, options.cache_tokens}));

  Impl* raw = impl.get();
  impl->loop = std::make_unique<WorkerLoop>(JudgeDialer, [raw](absl::Status why) {
    if (raw->on_exit) raw->on_exit(std::move(why));
  });
  ForwardOptions forward;
  forward.widen = options.widen;
  forward.max_step_rows = options.max_step_rows;
  forward.max_context = options.max_context;
  forward.cache_tokens = options.cache_tokens;
  ASSIGN_OR_RETURN(impl->compute,
                   Forward::Create(impl->checkpoint.get(), forward, impl->kernels.get(),
                                   impl->device.get(), impl->loop.get()));
  RETURN_IF_ERROR(impl->ReadVocabulary(options.model_folder));
  FillIdentity(options, config, impl->compute->shape(), impl->identity, impl->limits);
  impl->identity.compute_class = Fingerprint(kCpuF32, *impl->kernels, *impl->device);
  ASSIGN_OR_RETURN(impl->identity.model.fingerprint, impl->checkpoint->Fingerprint());
  impl->options = std::move(options);
  return std::unique_ptr<AttentionWorker>(new AttentionWorker(std::move(impl)));
}

AttentionWorker::AttentionWorker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

AttentionWorker::~AttentionWorker() { Stop(); }

Endpoint* AttentionWorker::endpoint() { return impl_->loop.get(); }

void AttentionWorker::Start(std::unique_ptr<Transport> transport,
                            std::unique_ptr<ControlLink> control, std::string address,
                            std::function<void(absl::Status)> on_exit) {
  impl_->on_exit = std::move(on_exit);
  impl_->identity.address = std::move(address);
  impl_->transport = std::move(transport);
  impl_->control = std::move(control);
  AttentionNodeOptions options;
  options.identity = impl_->identity;
  options.limits = impl_->limits;
  if (impl_->vocabulary.has_value()) {
    options.limits.text = true;
    options.token_bytes = [impl = impl_.get()](int32_t id, bool special_tokens) {
      const bool hidden = !special_tokens && impl->vocabulary->is_special(id);
      return hidden ? absl::string_view() : impl->vocabulary->bytes(id);
    };
  }
  options.batch.scheduler = {impl_->options.max_step_rows, impl_->options.prefill_chunk};
  options.batch.max_sequences =
      std::min(impl_->options.max_sequences, impl_->options.max_step_rows);
  options.max_waiting = impl_->options.max_waiting;
  options.liveness = impl_->options.liveness;
  options.coverage_wait = impl_->options.coverage_wait;
  options.hedge_after = impl_->options.hedge_after;
  options.kept.grace = impl_->options.orphan_grace;
  impl_->node = std::make_unique<AttentionNode>(std::move(options), impl_->compute.get(),
                                                impl_->control.get(), impl_->loop.get(),
                                                impl_->transport.get(), impl_->loop.get());
  impl_->loop->Start(impl_->node.get());
}

void AttentionWorker::Start(RequestId id, GenerateRequest request, GenerationListener* listener) {
  Impl* impl = impl_.get();
  auto shared = std::make_shared<GenerateRequest>(std::move(request));
  const bool posted = impl->loop->Post([impl, id, shared, listener](Time now) {
    impl->node->Submit(id, std::move(*shared), listener, now);
  });
  if (!posted) listener->OnEnd(id, TryAgainLater("the worker is stopping"));
}

void AttentionWorker::Cancel(RequestId id) {
  Impl* impl = impl_.get();
  impl->loop->Post([impl, id](Time) { impl->node->Cancel(id); });
}

void AttentionWorker::Detach(RequestId id) {
  Impl* impl = impl_.get();
  impl->loop->Post([impl, id](Time now) { impl->node->Detach(id, now); });
}

void AttentionWorker::Forget(const KeptAnswer& kept) {
  Impl* impl = impl_.get();
  impl->loop->Post([impl, key = kept.key](Time) { impl->node->Forget(key); });
}

void AttentionWorker::Drain() {
  impl_->loop->Post([impl = impl_.get()](Time now) { impl->node->Drain(now); });
}

void AttentionWorker::Stop() {
  Impl* impl = impl_.get();
  const absl::Status why = TryAgainLater("the worker is stopping");
  impl->loop->StopAfter([impl, why](Time) {
    if (impl->node != nullptr) impl->node->EndAll(why);
  });
  if (impl->control != nullptr) impl->control->Stop();
  if (impl->transport != nullptr) impl->transport->Stop();
  impl->compute.reset();  // finishes what runs, before the node whose plan it reads goes
}

}  // namespace expertmesh
