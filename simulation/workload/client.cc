#include "simulation/workload/client.h"

#include <algorithm>
#include <utility>

#include "common/status.h"
#include "simulation/cluster.h"
#include "simulation/stub/reference.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kPatrolPeriod = std::chrono::seconds(1);
constexpr int64_t kLongestProbe = 6;

// What a client library makes of a connection that breaks, or that nobody takes.
absl::Status NoCoordinator() { return TryAgainLater("no coordinator answers"); }

}  // namespace

Client::Client(World* world, Cluster* cluster, const StubModel& model, Duration patience)
    : world_(world), cluster_(cluster), model_(model), patience_(patience) {
  world_->events.After(kPatrolPeriod, [this] { Patrol(); });
}

Client::~Client() = default;

void Client::Send(const RequestPlan& plan) {
  world_->events.After(plan.at, [this, plan] { Submit(plan, /*probe=*/false); });
}

void Client::SendProbes(int count) {
  for (int i = 0; i < count; ++i) {
    RequestPlan plan;
    plan.request = DrawRequest(world_->workload_chance, model_, kLongestProbe);
    Submit(std::move(plan), /*probe=*/true);
  }
}

void Client::Submit(RequestPlan plan, bool probe) {
  const RequestId id = records_.size() + 1;
  Pending& pending = records_.emplace_back();
  RequestRecord& record = pending.record;
  record.id = id;
  record.probe = probe;
  record.arrived = world_->events.now();
  record.answer = ReferenceAnswer(model_, plan.request);
  if (plan.deadline != Duration(0)) plan.request.deadline = record.arrived + plan.deadline;
  record.request = plan.request;
  world_->Log("client", "request ", id, ": ", plan.request.prompt.size(), " tokens, at most ",
              plan.request.max_tokens, " more", probe ? "; a probe" : "");
  CoordinatorProcess* coordinator = cluster_->coordinator();
  if (coordinator == nullptr) return OnEnd(id, NoCoordinator());
  pending.coordinator = coordinator->label();
  coordinator->Post([this, coordinator, id, request = std::move(plan.request)]() mutable {
    request.deadline = coordinator->ToOwn(request.deadline);
    coordinator->StartRequest(id, std::move(request), this);
  });
  if (plan.cancel == Duration(0)) return;
  world_->events.After(plan.cancel, [this, id] { Cancel(id); });
}

void Client::Cancel(RequestId id) {
  Pending& pending = records_[id - 1];
  CoordinatorProcess* coordinator = cluster_->coordinator();
  if (pending.record.end.has_value() || coordinator == nullptr) return;
  if (coordinator->label() != pending.coordinator) return;
  world_->Log("client", "cancels request ", id);
  pending.record.cancelled_at = world_->events.now();
  coordinator->Post([coordinator, id] { coordinator->CancelRequest(id); });
}

void Client::OnCoordinatorDied(const std::string& label) {
  for (const Pending& pending : records_) {
    if (pending.coordinator != label || pending.record.end.has_value()) continue;
    OnEnd(pending.record.id, pending.record.finished ? absl::OkStatus() : NoCoordinator());
  }
}

void Client::OnDelta(RequestId id, Delta delta) {
  RequestRecord& record = records_[id - 1].record;
  CheckNotEnded(*world_, record, "a delta");
  CheckTokens(*world_, record, delta);
  CheckFinish(*world_, record, delta);
  record.tokens += delta.tokens.size();
  record.prompt_logprobs += delta.prompt_logprobs.size();
  record.finished |= delta.finish != FinishReason::kNone;
}

void Client::OnEnd(RequestId id, absl::Status status) {
  RequestRecord& record = records_[id - 1].record;
  if (world_->log.on()) {
    world_->Log("client", "request ", id, " ends after ", record.tokens,
                " tokens: ", status.ToString());
  }
  CheckNotEnded(*world_, record, "an end");
  CheckEndFits(*world_, record, status);
  CheckFailureCode(*world_, record, status);
  CheckFailureCause(*world_, record, status);
  record.end = std::move(status);
}

void Client::Patrol() {
  for (const Pending& pending : records_) CheckEndsInTime(*world_, pending.record, patience_);
  world_->events.After(kPatrolPeriod, [this] { Patrol(); });
}

bool Client::AllEnded() const {
  return std::all_of(records_.begin(), records_.end(),
                     [](const Pending& pending) { return pending.record.end.has_value(); });
}

size_t Client::succeeded() const {
  return std::count_if(records_.begin(), records_.end(), [](const Pending& pending) {
    return pending.record.end.has_value() && pending.record.end->ok();
  });
}

}  // namespace expertmesh::simulation
