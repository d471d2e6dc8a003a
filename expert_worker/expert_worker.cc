#include "expert_worker/expert_worker.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"
#include "device/cpu/cpu_device.h"
#include "expert_worker/compute/expert_forward.h"
#include "expert_worker/core/expert_node.h"
#include "kernels/classes.h"
#include "transport/worker_loop.h"

namespace expertmesh {

struct ExpertWorker::Impl {
  ExpertWorkerOptions options;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<CpuDevice> device;
  std::unique_ptr<Kernels> kernels;
  Report identity;
  std::function<void(absl::Status)> on_exit;
  std::unique_ptr<WorkerLoop> loop;
  std::unique_ptr<ExpertForward> compute;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<ControlLink> control;
  std::unique_ptr<ExpertNode> node;
};

namespace {

uint64_t MachineMemory() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGE_SIZE);
}

absl::Status JudgeDialer(const Hello& peer) {
  if (peer.role == WorkerRole::kAttention) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(peer.name, " is an ", Name(peer.role), " worker; attention workers dial here"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExpertWorker>> ExpertWorker::Create(ExpertWorkerOptions options) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->checkpoint, Checkpoint::Open(options.model_folder));
  impl->device = std::make_unique<CpuDevice>(CpuDeviceOptions{.threads = options.threads});
  ASSIGN_OR_RETURN(impl->kernels, OpenClass(kCpuF32, *impl->device, options.isa));
  const ModelConfig& config = impl->checkpoint->config();

  Report& identity = impl->identity;
  identity.name = options.name;
  identity.role = WorkerRole::kExpert;
  identity.memory_bytes = options.memory_bytes != 0 ? options.memory_bytes : MachineMemory();
  identity.threads = options.threads;
  identity.compute_class = Fingerprint(kCpuF32, *impl->kernels, *impl->device);
  identity.model.name = std::filesystem::path(options.model_folder).filename().string();
  ASSIGN_OR_RETURN(identity.model.fingerprint, impl->checkpoint->Fingerprint());
  identity.model.grid = GridOf(config);
  identity.model.hidden = static_cast<int32_t>(config.hidden);
  identity.model.top_k = static_cast<int32_t>(config.top_k);
  identity.model.groups = static_cast<int32_t>(config.groups);
  identity.model.chosen_groups = static_cast<int32_t>(config.groups_kept);
  identity.model.expert_bytes = ExpertBytes(*impl->checkpoint, options.widen);
  identity.holds = ExpertSet(identity.model.grid);

  impl->options = std::move(options);
  Impl* raw = impl.get();
  impl->loop = std::make_unique<WorkerLoop>(JudgeDialer, [raw](absl::Status why) {
    if (raw->on_exit) raw->on_exit(std::move(why));
  });
  ASSIGN_OR_RETURN(
      impl->compute,
      ExpertForward::Create(impl->checkpoint.get(),
                            {.widen = impl->options.widen,
                             .max_pass_rows = static_cast<size_t>(impl->options.max_pass_rows)},
                            impl->kernels.get(), impl->device.get(), impl->loop.get()));
  return std::unique_ptr<ExpertWorker>(new ExpertWorker(std::move(impl)));
}

ExpertWorker::ExpertWorker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ExpertWorker::~ExpertWorker() { Stop(); }

Endpoint* ExpertWorker::endpoint() { return impl_->loop.get(); }

void ExpertWorker::Start(std::unique_ptr<Transport> transport, std::unique_ptr<ControlLink> control,
                         std::string address, std::function<void(absl::Status)> on_exit) {
  impl_->on_exit = std::move(on_exit);
  impl_->identity.address = std::move(address);
  impl_->transport = std::move(transport);
  impl_->control = std::move(control);
  ExpertNodeOptions options;
  options.identity = impl_->identity;
  options.max_pass_rows = static_cast<size_t>(impl_->options.max_pass_rows);
  impl_->node =
      std::make_unique<ExpertNode>(std::move(options), impl_->compute.get(), impl_->control.get(),
                                   impl_->loop.get(), impl_->transport.get(), impl_->loop.get());
  impl_->loop->Start(impl_->node.get());
}

void ExpertWorker::Drain() {
  impl_->loop->Post([impl = impl_.get()](Time now) { impl->node->Drain(now); });
}

void ExpertWorker::Stop() {
  impl_->loop->Stop();  // first: from here on nobody calls the link or the transport
  if (impl_->control != nullptr) impl_->control->Stop();
  if (impl_->transport != nullptr) impl_->transport->Stop();
  impl_->compute.reset();  // finishes what runs, before the node that it reads from goes
}

}  // namespace expertmesh
