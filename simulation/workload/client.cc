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
constexpr int kMostResumes = 4;
constexpr Duration kResumesWithin = std::chrono::seconds(10);  // of its arrival

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
  pending.resumes = plan.resumes ? kMostResumes : 0;
  pending.kept = plan.request.kept;
  Ask(pending);
  if (plan.hang_up != Duration(0)) {
    world_->events.After(plan.hang_up, [this, id, away = plan.away] { HangUp(id, away); });
  }
  if (plan.cancel == Duration(0)) return;
  world_->events.After(plan.cancel, [this, id] { Cancel(id); });
}

// For what has not come yet.
void Client::Ask(Pending& pending) {
  const RequestRecord& record = pending.record;
  CoordinatorProcess* coordinator = cluster_->coordinator();
  if (coordinator == nullptr) return End(pending, NoCoordinator());
  pending.coordinator = coordinator->label();
  GenerateRequest request = record.request;
  request.kept = pending.kept;
  for (size_t i = 0; i < record.tokens; ++i) {
    request.resumed.push_back(record.answer.tokens[i].id);
  }
  if (record.tokens + record.prompt_logprobs > 0) request.prompt_logprobs = false;
  const RequestId id = record.id + kAttempts * pending.attempt;
  coordinator->Post([this, coordinator, id, request = std::move(request)]() mutable {
    request.deadline = coordinator->ToOwn(request.deadline);
    coordinator->StartRequest(id, std::move(request), this);
  });
}

// Asks for the rest, after a while. False: it does not.
bool Client::Resume(Pending& pending, const absl::Status& why) {
  const RequestRecord& record = pending.record;
  const bool late = world_->events.now() > record.arrived + kResumesWithin;
  if (!absl::IsUnavailable(why) || pending.resumes == 0 || late) return false;
  if (record.finished || record.cancelled_at.has_value()) return false;
  --pending.resumes;
  ++pending.attempt;
  // Without a token the front door draws another key.
  if (pending.kept.has_value() && pending.kept->worker.empty()) {
    pending.kept->key.high = pending.attempt;
  }
  pending.coordinator.clear();
  world_->Log("client", "request ", record.id, " is resumed after ", record.tokens,
              " tokens: ", why.message());
  world_->events.After(RetryAfter(why).value_or(kRetryHint), [this, id = record.id] {
    Pending& its = records_[id - 1];
    if (!its.record.end.has_value()) Ask(its);
  });
  return true;
}

CoordinatorProcess* Client::CoordinatorOf(const Pending& pending) const {
  CoordinatorProcess* coordinator = cluster_->coordinator();
  if (coordinator == nullptr || coordinator->label() != pending.coordinator) return nullptr;
  return pending.record.end.has_value() ? nullptr : coordinator;
}

void Client::Cancel(RequestId id) {
  Pending& pending = records_[id - 1];
  CoordinatorProcess* coordinator = CoordinatorOf(pending);
  if (coordinator == nullptr) return;
  world_->Log("client", "cancels request ", id);
  pending.record.cancelled_at = world_->events.now();
  coordinator->Post(
      [coordinator, id = id + kAttempts * pending.attempt] { coordinator->CancelRequest(id); });
}

void Client::HangUp(RequestId id, Duration away) {
  Pending& pending = records_[id - 1];
  CoordinatorProcess* coordinator = CoordinatorOf(pending);
  if (coordinator == nullptr) return;
  const RequestId attempt = id + kAttempts * pending.attempt;
  const absl::Status broke = absl::UnavailableError("the connection broke");
  if (!Resume(pending,
              WithRetryAfter(broke, std::chrono::duration_cast<std::chrono::milliseconds>(away))))
    return;
  coordinator->Post([coordinator, attempt] { coordinator->DetachRequest(attempt); });
}

void Client::OnCoordinatorDied(const std::string& label) {
  for (Pending& pending : records_) {
    if (pending.coordinator != label || pending.record.end.has_value()) continue;
    End(pending, pending.record.finished ? absl::OkStatus() : NoCoordinator());
  }
}

Client::Pending* Client::Of(RequestId attempt) {
  Pending& pending = records_[attempt % kAttempts - 1];
  return pending.attempt == attempt / kAttempts ? &pending : nullptr;
}

void Client::OnDelta(RequestId id, Delta delta) {
  Pending* pending = Of(id);
  if (pending == nullptr) return;
  RequestRecord& record = pending->record;
  if (delta.kept.has_value()) pending->kept = delta.kept;
  CheckNotEnded(*world_, record, "a delta");
  CheckTokens(*world_, record, delta);
  CheckFinish(*world_, record, delta);
  record.tokens += delta.tokens.size();
  record.prompt_logprobs += delta.prompt_logprobs.size();
  record.finished |= delta.finish != FinishReason::kNone;
}

void Client::OnEnd(RequestId id, absl::Status status) {
  if (Pending* pending = Of(id)) End(*pending, std::move(status));
}

void Client::End(Pending& pending, absl::Status status) {
  RequestRecord& record = pending.record;
  CheckNotEnded(*world_, record, "an end");
  if (Resume(pending, status)) return;
  if (world_->log.on()) {
    world_->Log("client", "request ", record.id, " ends after ", record.tokens,
                " tokens: ", status.ToString());
  }
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
