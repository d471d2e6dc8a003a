#include "simulation/roles/expert_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "simulation/invariants/monitor.h"

namespace expertmesh::simulation {
namespace {

ExpertNodeOptions OptionsFor(const ProcessIdentity& who, const StubModel& model,
                             const ExpertSettings& settings) {
  ExpertNodeOptions options;
  Report& identity = options.identity;
  identity.name = who.name;
  identity.role = WorkerRole::kExpert;
  identity.address = who.address;
  identity.threads = 1;
  identity.compute_class = {"stub", model.key};
  identity.model = model.Identity();
  identity.memory_bytes = settings.room * identity.model.expert_bytes;
  identity.holds = ExpertSet(model.grid);
  options.max_pass_rows = settings.max_pass_rows;
  return options;
}

}  // namespace

ExpertProcess::ExpertProcess(World* world, Monitor* monitor, Network* network,
                             ProcessIdentity identity, std::string coordinator_address,
                             OnExit on_exit, const StubModel& model, const ExpertSettings& settings)
    : WorkerProcess(world, monitor, network, std::move(identity), std::move(coordinator_address),
                    std::move(on_exit)),
      compute_(model, settings.pace, this, [this](uint64_t token) { OnComputed(token); }),
      node_(std::make_unique<ExpertNode>(OptionsFor(Process::identity(), model, settings),
                                         &compute_, &link_, this, &transport_, this)) {}

ExpertProcess::~ExpertProcess() = default;

absl::Status ExpertProcess::Judge(const Hello& peer) {
  if (peer.role == WorkerRole::kAttention) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(peer.name, " is no attention worker; those dial here"));
}

void ExpertProcess::Discard() { node_.reset(); }

void ExpertProcess::Inspect() { monitor().InspectExpert(*this, *node_); }

}  // namespace expertmesh::simulation
