#include "coordinator/front_door/front_door.h"

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {

FrontDoor::FrontDoor(PortFactory ports, GenerationListener* inward)
    : make_port_(std::move(ports)), inward_(inward) {}

void FrontDoor::OnTopology(std::shared_ptr<const Topology> topology) {
  topology_ = std::move(topology);
  for (auto& [key, worker] : workers_) worker.listed = false;
  for (const Member& member : topology_->members) {
    if (member.role != WorkerRole::kAttention || member.state != WorkerState::kReady) continue;
    const WorkerKey key{member.name, member.incarnation};
    Worker& worker = workers_[key];
    worker.key = key;
    worker.compute_class = member.compute_class;
    if (worker.port == nullptr) worker.port = make_port_(member);
    worker.listed = true;
  }
  DropUnlisted();
}

void FrontDoor::DropUnlisted() {
  std::erase_if(workers_, [](const auto& entry) {
    return !entry.second.listed && entry.second.sessions == 0;
  });
}

absl::Status FrontDoor::MayServe() const {
  if (draining_) return TryAgainLater("the front door is shutting down");
  if (topology_ == nullptr) return TryAgainLater("no topology has been published yet");
  return absl::OkStatus();
}

FrontDoor::Worker* FrontDoor::LeastLoaded() {
  Worker* best = nullptr;
  for (auto& [key, worker] : workers_) {
    if (worker.listed && (best == nullptr || worker.sessions < best->sessions)) best = &worker;
  }
  return best;
}

// Who can go on with what `than` began: the least loaded of those with the same arithmetic.
FrontDoor::Worker* FrontDoor::Another(const Worker& than) {
  Worker* best = nullptr;
  for (auto& [key, worker] : workers_) {
    if (&worker == &than || !worker.listed || worker.compute_class != than.compute_class) continue;
    if (best == nullptr || worker.sessions < best->sessions) best = &worker;
  }
  return best;
}

FrontDoor::Worker* FrontDoor::ChooseWorker(absl::Span<const uint64_t> beginnings) {
  Worker* least = LeastLoaded();
  if (least == nullptr) return nullptr;
  const WorkerKey* key = affinity_.Find(beginnings);
  const auto known = key == nullptr ? workers_.end() : workers_.find(*key);
  const bool usable = known != workers_.end() && known->second.listed &&
                      known->second.sessions <= least->sessions + kAffinitySlack;
  return usable ? &known->second : least;
}

// Who may have the answer already; null: nobody that is here.
FrontDoor::Worker* FrontDoor::KeeperOf(const GenerateRequest& request) {
  if (!request.kept.has_value()) return nullptr;
  const auto keeper = workers_.find({request.kept->worker, request.kept->incarnation});
  return keeper != workers_.end() && keeper->second.listed ? &keeper->second : nullptr;
}

void FrontDoor::Start(RequestId id, GenerateRequest request, GenerationListener* listener) {
  absl::Status status = MayServe();
  if (!status.ok()) return listener->OnEnd(id, std::move(status));
  std::vector<uint64_t> beginnings = BeginningsOf(request.cache_salt, request.prompt);
  Worker* worker = KeeperOf(request);
  if (worker == nullptr) worker = ChooseWorker(beginnings);
  if (worker == nullptr) {
    return listener->OnEnd(id, TryAgainLater("no attention worker is ready"));
  }
  affinity_.Note(beginnings, worker->key);
  Session& session = sessions_[id];
  session.listener = listener;
  session.worker = worker;
  session.beginnings = std::move(beginnings);
  session.request = request;
  ++worker->sessions;
  worker->port->Start(id, std::move(request), inward_);
}

void FrontDoor::Cancel(RequestId id) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  session->second.cancelled = true;
  session->second.worker->port->Cancel(id);
}

void FrontDoor::Detach(RequestId id) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  Session& its = session->second;
  const bool known = its.told || its.resubmissions > 0 ||
                     (its.request.kept.has_value() && !its.request.kept->worker.empty());
  if (!known) return Cancel(id);  // nobody has its key: nobody could ask for it
  its.cancelled = true;
  its.worker->port->Detach(id);
}

void FrontDoor::Forget(const KeptAnswer& kept) {
  std::vector<RequestId> ids;
  for (const auto& [id, session] : sessions_) {
    const auto& its = session.request.kept;
    if (its.has_value() && its->key == kept.key) ids.push_back(id);
  }
  for (RequestId id : ids) Cancel(id);
  const auto keeper = workers_.find({kept.worker, kept.incarnation});
  if (keeper != workers_.end()) keeper->second.port->Forget(kept);
}

void FrontDoor::OnDelta(RequestId id, Delta delta) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  Session& its = session->second;
  its.beginnings.clear();
  for (const OutputToken& token : delta.tokens) its.request.resumed.push_back(token.id);
  if (!delta.prompt_logprobs.empty()) its.request.prompt_logprobs = false;
  its.final |= delta.finish != FinishReason::kNone || !delta.values.empty();
  if (its.request.kept.has_value() && !std::exchange(its.told, true)) {
    const auto& [name, incarnation] = its.worker->key;
    delta.kept = KeptAnswer{its.request.kept->key, name, incarnation};
  }
  its.listener->OnDelta(id, std::move(delta));
}

// Asks another worker for the rest. False: there is nobody to ask, or it would not help.
bool FrontDoor::Resubmit(RequestId id, Session& session, const absl::Status& why) {
  const bool full = absl::IsResourceExhausted(why) && session.resubmissions > 0;
  if (!absl::IsUnavailable(why) && !full) return false;
  if (session.final || session.cancelled || draining_) return false;
  if (session.resubmissions == kMostResubmissions) return false;
  Worker* other = Another(*session.worker);
  if (other == nullptr) return false;
  LogInfo("request ", session.request.request_id, " goes on at ", other->key.first, " after ",
          session.request.resumed.size(), " tokens: ", why.message());
  ++session.resubmissions;
  --session.worker->sessions;
  session.worker = other;
  session.told = false;
  ++other->sessions;
  DropUnlisted();
  other->port->Start(id, session.request, inward_);
  return true;
}

void FrontDoor::OnEnd(RequestId id, absl::Status status) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  if (Resubmit(id, session->second, status)) return;
  GenerationListener* listener = session->second.listener;
  // A worker that takes nothing has few sessions, and would get this prompt for ever.
  if (!status.ok()) affinity_.Forget(session->second.beginnings, session->second.worker->key);
  --session->second.worker->sessions;
  sessions_.erase(session);
  DropUnlisted();
  listener->OnEnd(id, absl::IsAborted(status) ? AsUnavailable(status) : std::move(status));
}

void FrontDoor::EndAll(const absl::Status& why) {
  draining_ = true;
  std::map<RequestId, Session> ended;
  ended.swap(sessions_);
  for (auto& [id, session] : ended) {
    session.worker->port->Detach(id);
    session.listener->OnEnd(id, why);
  }
}

}  // namespace expertmesh
