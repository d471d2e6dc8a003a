#include "coordinator/front_door/front_door.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh {

FrontDoor::FrontDoor(PortFactory ports, GenerationListener* inward)
    : make_port_(std::move(ports)), inward_(inward) {}

void FrontDoor::OnTopology(std::shared_ptr<const Topology> topology) {
  topology_ = std::move(topology);
  uncovered_ = Uncovered(*topology_);
  for (auto& [key, worker] : workers_) worker.listed = false;
  for (const Member& member : topology_->members) {
    if (member.role != WorkerRole::kAttention || member.state != WorkerState::kReady) continue;
    const WorkerKey key{member.name, member.incarnation};
    Worker& worker = workers_[key];
    worker.key = key;
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
  if (!uncovered_.empty()) {
    return TryAgainLater(absl::StrCat("no expert worker holds ", uncovered_.ToText()));
  }
  return absl::OkStatus();
}

FrontDoor::Worker* FrontDoor::LeastLoaded() {
  Worker* best = nullptr;
  for (auto& [key, worker] : workers_) {
    if (worker.listed && (best == nullptr || worker.sessions < best->sessions)) best = &worker;
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

void FrontDoor::Start(RequestId id, GenerateRequest request, GenerationListener* listener) {
  absl::Status status = MayServe();
  if (!status.ok()) return listener->OnEnd(id, std::move(status));
  std::vector<uint64_t> beginnings = BeginningsOf(request.cache_salt, request.prompt);
  Worker* worker = ChooseWorker(beginnings);
  if (worker == nullptr) {
    return listener->OnEnd(id, TryAgainLater("no attention worker is ready"));
  }
  affinity_.Note(beginnings, worker->key);
  sessions_[id] = {listener, worker, std::move(beginnings)};
  ++worker->sessions;
  worker->port->Start(id, std::move(request), inward_);
}

void FrontDoor::Cancel(RequestId id) {
  auto session = sessions_.find(id);
  if (session != sessions_.end()) session->second.worker->port->Cancel(id);
}

void FrontDoor::OnDelta(RequestId id, Delta delta) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  session->second.beginnings.clear();
  session->second.listener->OnDelta(id, std::move(delta));
}

void FrontDoor::OnEnd(RequestId id, absl::Status status) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  GenerationListener* listener = session->second.listener;
  // A worker that takes nothing has few sessions, and would get this prompt for ever.
  if (!status.ok()) affinity_.Forget(session->second.beginnings, session->second.worker->key);
  --session->second.worker->sessions;
  sessions_.erase(session);
  DropUnlisted();
  listener->OnEnd(id, std::move(status));
}

void FrontDoor::EndAll(const absl::Status& why) {
  draining_ = true;
  std::map<RequestId, Session> ended;
  ended.swap(sessions_);
  for (auto& [id, session] : ended) {
    session.worker->port->Cancel(id);
    session.listener->OnEnd(id, why);
  }
}

}  // namespace expertmesh
