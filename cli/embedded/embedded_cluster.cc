#include "cli/embedded/embedded_cluster.h"

#include <algorithm>
#include <condition_variable>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/embedded/local_control_link.h"
#include "common/mutex.h"
#include "common/status.h"

namespace expertmesh {
namespace {

// The port to a worker in this process: the worker itself, but not owned.
class DirectPort final : public AttentionPort {
 public:
  explicit DirectPort(AttentionWorker* worker) : worker_(worker) {}
  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override {
    worker_->Start(id, std::move(request), listener);
  }
  void Cancel(RequestId id) override { worker_->Cancel(id); }

 private:
  AttentionWorker* worker_;
};

// Passes deltas to the thread that waits for them.
class Waiter final : public GenerationListener {
 public:
  void OnDelta(RequestId id, Delta delta) override {
    MutexLock lock(mutex_);
    deltas_.push_back(std::move(delta));
    changed_.notify_one();
  }
  void OnEnd(RequestId id, absl::Status status) override {
    MutexLock lock(mutex_);
    status_ = std::move(status);
    ended_ = true;
    changed_.notify_one();
  }

  absl::Status Run(const std::function<void(const Delta&)>& on_delta) {
    std::vector<Delta> deltas;
    for (;;) {
      bool ended = false;
      {
        MutexLock lock(mutex_);
        while (deltas_.empty() && !ended_) changed_.wait(lock.native());
        deltas.swap(deltas_);
        ended = ended_;
      }
      for (const Delta& delta : deltas) {
        if (on_delta) on_delta(delta);
      }
      deltas.clear();
      if (ended) return status_;
    }
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::vector<Delta> deltas_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_;
};

}  // namespace

struct EmbeddedCluster::Exit {
  Mutex mutex;
  absl::Status why ABSL_GUARDED_BY(mutex);
  std::function<void()> told ABSL_GUARDED_BY(mutex);

  void Set(const std::string& name, const absl::Status& status) {
    MutexLock lock(mutex);
    if (!why.ok()) return;
    why = Annotate(status, name);
    if (told) told();
  }
  absl::Status Get() {
    MutexLock lock(mutex);
    return why;
  }
};

absl::StatusOr<std::unique_ptr<EmbeddedCluster>> EmbeddedCluster::Start(EmbeddedOptions options) {
  auto cluster = std::unique_ptr<EmbeddedCluster>(new EmbeddedCluster);
  RETURN_IF_ERROR(cluster->StartWorkers(std::move(options)));
  return cluster;
}

absl::Status EmbeddedCluster::StartWorkers(EmbeddedOptions options) {
  exit_ = std::make_shared<Exit>();
  attention_count_ = options.attention_workers;
  for (int i = 1; i <= options.attention_workers; ++i) {
    options.attention.name = absl::StrCat("a", i);
    ASSIGN_OR_RETURN(auto worker, AttentionWorker::Create(options.attention));
    attention_.push_back(std::move(worker));
  }
  for (int i = 1; i <= options.expert_workers; ++i) {
    options.expert.name = absl::StrCat("e", i);
    ASSIGN_OR_RETURN(auto worker, ExpertWorker::Create(options.expert));
    experts_.push_back(std::move(worker));
  }
  CoordinatorOptions coordinator;
  coordinator.initial_expert_workers = options.expert_workers;
  coordinator_ = std::make_unique<Coordinator>(
      coordinator, [this](const std::string& name, const std::string& address) {
        const size_t index = std::stoul(name.substr(1)) - 1;  // a1 is the first
        return std::make_unique<DirectPort>(attention_[index].get());
      });
  door_ = std::make_unique<TextDoor>(TextDoorOptions(), options.text, coordinator_.get(),
                                     [this] { return coordinator_->NewRequestId(); });
  const auto start = [&](auto& worker, const std::string& name) {
    worker->Start(hub_.Join(name, worker->endpoint()), MakeLocalControlLink(coordinator_.get()),
                  name, [exit = exit_, name](absl::Status why) { exit->Set(name, why); });
  };
  for (size_t i = 0; i < experts_.size(); ++i) start(experts_[i], absl::StrCat("e", i + 1));
  for (size_t i = 0; i < attention_.size(); ++i) start(attention_[i], absl::StrCat("a", i + 1));
  return absl::OkStatus();
}

EmbeddedCluster::~EmbeddedCluster() {
  if (coordinator_ != nullptr) coordinator_->Stop();  // cancels at the workers what still runs
  if (door_ != nullptr) door_->Stop();
  attention_.clear();
  experts_.clear();
}

void EmbeddedCluster::OnExit(std::function<void()> told) {
  MutexLock lock(exit_->mutex);
  if (!exit_->why.ok()) told();
  exit_->told = std::move(told);
}

absl::Status EmbeddedCluster::ExitStatus() { return exit_->Get(); }

absl::Status EmbeddedCluster::WaitUntilWhole(Duration patience) {
  const Time until = Now() + patience;
  for (;;) {
    RETURN_IF_ERROR(exit_->Get());
    const FleetListing listing = coordinator_->List();
    const auto ready =
        std::count_if(listing.topology.members.begin(), listing.topology.members.end(),
                      [](const Member& member) { return member.role == WorkerRole::kAttention; });
    if (ready == attention_count_ && listing.missing.empty()) return absl::OkStatus();
    if (Now() >= until) {
      return absl::DeadlineExceededError(
          absl::StrCat(ready, " of ", attention_count_, " attention workers are ready",
                       listing.missing.empty() ? "" : "; ", listing.missing));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

absl::Status EmbeddedCluster::Generate(GenerateRequest request,
                                       std::function<void(const Delta&)> on_delta) {
  Waiter waiter;
  coordinator_->Start(coordinator_->NewRequestId(), std::move(request), &waiter);
  return waiter.Run(on_delta);
}

absl::Status EmbeddedCluster::Generate(UserRequest request,
                                       std::function<void(const Delta&)> on_delta) {
  Waiter waiter;
  last_ = door_->NewRequestId();
  door_->Start(last_, std::move(request), &waiter);
  return waiter.Run(on_delta);
}

void EmbeddedCluster::CancelRunning() { door_->Cancel(last_); }

}  // namespace expertmesh
