#include "coordinator/service/fleet_watch.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "rpc/fleet_delta.h"
#include "rpc/status.h"

namespace expertmesh {

// One look at the fleet.
struct FleetWatch::State {
  v1::GetTopologyResponse fleet;
  uint64_t hash = 0;
};

// One call. Kept alive by the watch's table until OnDone.
class FleetWatch::Session final : public grpc::ServerWriteReactor<v1::FleetEvent> {
 public:
  Session(FleetWatch* watch, uint64_t id) : watch_(watch), id_(id) {}

  void Offer(std::shared_ptr<const State> state) {
    {
      MutexLock lock(mutex_);
      newest_ = std::move(state);
    }
    Proceed();
  }

  // What is being written is written, then the call finishes with `status`.
  void End(absl::Status status) {
    {
      MutexLock lock(mutex_);
      if (!end_.has_value()) end_ = std::move(status);
    }
    Proceed();
  }

 private:
  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mutex_);
      writing_ = false;
      if (!ok && !end_.has_value()) end_ = absl::CancelledError("the reader is gone");
    }
    Proceed();
  }
  void OnCancel() override { End(absl::CancelledError("the reader is gone")); }
  void OnDone() override { watch_->Forget(id_); }  // deletes this

  // Whether there is something to say; then it is in event_.
  bool TakeEvent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const bool news = newest_ != sent_;
    if (newest_ == nullptr || (!news && Now() < beat_at_)) return false;
    event_.Clear();
    event_.set_hash(newest_->hash);
    if (sent_ == nullptr) {
      *event_.mutable_snapshot() = newest_->fleet;
    } else if (news) {
      *event_.mutable_delta() = DifferenceOf(sent_->fleet, newest_->fleet);
    }
    sent_ = newest_;
    beat_at_ = Now() + watch_->timing_.heartbeat;
    return true;
  }

  // Starts what comes next, if nothing is under way: a write, or the finish.
  void Proceed() {
    std::optional<absl::Status> finish;
    {
      MutexLock lock(mutex_);
      if (writing_ || finished_) return;
      if (end_.has_value()) {
        finished_ = true;
        finish = end_;
      } else {
        writing_ = TakeEvent();
        if (!writing_) return;
      }
    }
    if (finish.has_value()) {
      Finish(ToGrpcStatus(*finish));
    } else {
      StartWrite(&event_);
    }
  }

  FleetWatch* const watch_;
  const uint64_t id_;
  v1::FleetEvent event_;  // of the write in flight

  Mutex mutex_;
  std::shared_ptr<const State> newest_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const State> sent_ ABSL_GUARDED_BY(mutex_);  // what the reader knows
  Time beat_at_ ABSL_GUARDED_BY(mutex_){};
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

FleetWatch::FleetWatch(std::function<v1::GetTopologyResponse()> look, FleetWatchTiming timing)
    : look_(std::move(look)), timing_(timing), thread_([this] { Main(); }) {}

FleetWatch::~FleetWatch() { Stop(); }

grpc::ServerWriteReactor<v1::FleetEvent>* FleetWatch::Serve(grpc::CallbackServerContext* context) {
  std::shared_ptr<Session> session;
  absl::Status refused;
  {
    MutexLock lock(mutex_);
    if (stop_) {
      refused = TryAgainLater("the coordinator stops");
    } else if (sessions_.size() >= kMaxWatchers) {
      refused = WithRetryAfter(
          absl::ResourceExhaustedError(absl::StrCat(kMaxWatchers, " calls of it run already")),
          kRetryHint);
    }
    session = std::make_shared<Session>(this, ++last_id_);
    sessions_[last_id_] = session;
  }
  changed_.notify_all();
  if (!refused.ok()) session->End(refused);
  return session.get();
}

void FleetWatch::Stop() {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    MutexLock lock(mutex_);
    stop_ = true;
    for (const auto& [id, session] : sessions_) sessions.push_back(session);
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (const auto& session : sessions) session->End(TryAgainLater("the coordinator stops"));
}

void FleetWatch::Main() {
  std::shared_ptr<const State> newest;
  for (;;) {
    std::vector<std::shared_ptr<Session>> sessions;
    {
      MutexLock lock(mutex_);
      while (!stop_ && sessions_.empty()) changed_.wait(lock.native());
      if (stop_) return;
      for (const auto& [id, session] : sessions_) sessions.push_back(session);
    }
    auto state = std::make_shared<State>();
    state->fleet = look_();
    state->hash = HashOf(state->fleet);
    if (newest == nullptr || newest->hash != state->hash) newest = std::move(state);
    for (const auto& session : sessions) session->Offer(newest);
    sessions.clear();
    MutexLock lock(mutex_);
    const Time next = Now() + timing_.period;
    while (!stop_ && Now() < next) changed_.wait_until(lock.native(), next);
  }
}

void FleetWatch::Forget(uint64_t id) {
  std::shared_ptr<Session> session;  // destroyed after the lock is gone
  MutexLock lock(mutex_);
  auto found = sessions_.find(id);
  session = std::move(found->second);
  sessions_.erase(found);
}

}  // namespace expertmesh
