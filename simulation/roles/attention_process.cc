#include "simulation/roles/attention_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "simulation/invariants/monitor.h"

namespace expertmesh::simulation {
namespace {

AttentionNodeOptions OptionsFor(const ProcessIdentity& who, const StubModel& model,
                                const AttentionSettings& settings) {
  AttentionNodeOptions options;
  Report& identity = options.identity;
  identity.name = who.name;
  identity.role = WorkerRole::kAttention;
  identity.address = who.address;
  identity.threads = 1;
  identity.compute_class = {"stub", model.key};
  identity.model = model.Identity();
  identity.vocabulary = model.limits.vocabulary;
  identity.max_context = model.limits.max_context;
  options.limits = model.limits;
  options.batch = settings.batch;
  options.max_waiting = settings.max_waiting;
  options.retries = settings.retries;
  options.coverage_wait = settings.coverage_wait;
  options.hedge_after = settings.hedge_after;
  options.kept = settings.kept;
  return options;
}

}  // namespace

AttentionProcess::AttentionProcess(World* world, Monitor* monitor, Network* network,
                                   ProcessIdentity identity, std::string coordinator_address,
                                   OnExit on_exit, const StubModel& model,
                                   const AttentionSettings& settings)
    : WorkerProcess(world, monitor, network, std::move(identity), std::move(coordinator_address),
                    std::move(on_exit)),
      compute_(model, settings.block_rows, settings.blocks, settings.pace, this,
               [this](uint64_t token) { OnComputed(token); }),
      requests_(this, this),
      node_(std::make_unique<AttentionNode>(OptionsFor(Process::identity(), model, settings),
                                            &compute_, &link_, this, &transport_, this)) {
  doors_.requests = &requests_;
}

AttentionProcess::~AttentionProcess() = default;

absl::Status AttentionProcess::Judge(const Hello& peer) {
  return absl::PermissionDeniedError(
      absl::StrCat(peer.name, " dials an attention worker; nobody does"));
}

void AttentionProcess::OnMessage(ChannelId channel, Message message) {
  const bool combine = message.header.kind == MessageKind::kCombine;
  const CallId call = message.header.call;
  const size_t before = node_->calls_out();
  WorkerProcess::OnMessage(channel, std::move(message));
  if (combine && node_->calls_out() < before) monitor().OnCombineApplied(*this, call);
}

void AttentionProcess::Discard() { node_.reset(); }

void AttentionProcess::Inspect() { monitor().InspectAttention(*this, *node_); }

void AttentionProcess::Start(RequestId id, GenerateRequest request, GenerationListener* listener) {
  world().Log(label(), "request ", id, ": ", request.prompt.size(), " tokens, at most ",
              request.max_tokens, " more");
  node_->Submit(id, std::move(request), listener, now());
}

void AttentionProcess::Cancel(RequestId id) {
  world().Log(label(), "request ", id, " is cancelled");
  node_->Cancel(id);
}

}  // namespace expertmesh::simulation
