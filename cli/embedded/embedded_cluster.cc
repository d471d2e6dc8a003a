#include "cli/embedded/embedded_cluster.h"

#include <algorithm>
#include <condition_variable>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/embedded/local_control_link.h"
#include "common/log.h"
#include "common/mutex.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr std::chrono::milliseconds kPollPeriod{2};
constexpr std::chrono::seconds kJoinPatience{10};

// The port to a worker in this process: the worker itself, but not owned.
class DirectPort final : public AttentionPort {
 public:
  explicit DirectPort(AttentionWorker* worker) : worker_(worker) {}
  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override {
    worker_->Start(id, std::move(request), listener);
  }
  void Cancel(RequestId id) override { worker_->Cancel(id); }
  void Detach(RequestId id) override { worker_->Detach(id); }
  void Forget(const KeptAnswer& kept) override { worker_->Forget(kept); }

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
  reaper_.Start([](Time) { return kNever; });
  attention_count_ = options.attention_workers;
  for (int i = 1; i <= options.attention_workers; ++i) {
    options.attention.name = absl::StrCat("a", i);
    ASSIGN_OR_RETURN(auto worker, AttentionWorker::Create(options.attention));
    attention_.push_back(std::move(worker));
  }
  expert_options_ = options.expert;
  for (int i = 1; i <= options.expert_workers; ++i) RETURN_IF_ERROR(AddExpert());
  CoordinatorOptions coordinator;
  coordinator.initial_expert_workers = options.expert_workers;
  coordinator_ = std::make_unique<Coordinator>(
      coordinator, [this](const std::string& name, const std::string& address) {
        const size_t index = std::stoul(name.substr(1)) - 1;  // a1 is the first
        return std::make_unique<DirectPort>(attention_[index].get());
      });
  door_ = std::make_unique<TextDoor>(TextDoorOptions(), options.text, coordinator_.get(),
                                     [this] { return coordinator_->NewRequestId(); });
  for (Expert& expert : experts_) Launch(*expert.worker, expert.name);
  for (size_t i = 0; i < attention_.size(); ++i) Launch(*attention_[i], absl::StrCat("a", i + 1));
  return absl::OkStatus();
}

template <typename Worker>
void EmbeddedCluster::Launch(Worker& worker, const std::string& name) {
  worker.Start(hub_.Join(name, worker.endpoint()), MakeLocalControlLink(coordinator_.get()), name,
               [this, name](absl::Status why) {
                 if (!why.ok()) return exit_->Set(name, why);
                 reaper_.Post([this, name](Time) { Reap(name); });
               });
}

absl::Status EmbeddedCluster::AddExpert() {
  Expert expert;
  expert.name = absl::StrCat("e", last_expert_ + 1);
  expert_options_.name = expert.name;
  ASSIGN_OR_RETURN(expert.worker, ExpertWorker::Create(expert_options_));
  ++last_expert_;
  experts_.push_back(std::move(expert));
  return absl::OkStatus();
}

// It was drained: it leaves. An attention worker is kept, since the front door may still name it.
void EmbeddedCluster::Reap(const std::string& name) {
  std::vector<Expert> leaves;
  {
    MutexLock lock(scaling_);
    const auto found = std::find_if(experts_.begin(), experts_.end(),
                                    [&](const Expert& expert) { return expert.name == name; });
    if (found != experts_.end()) {
      leaves.push_back(std::move(*found));
      experts_.erase(found);
    }
  }
  for (size_t i = 0; i < attention_.size(); ++i) {
    if (name == absl::StrCat("a", i + 1)) attention_[i]->Stop();
  }
}

// Neither drained by a scaling, nor by an operator's order.
std::vector<EmbeddedCluster::Expert*> EmbeddedCluster::StayingExperts() {
  std::set<std::string> leaving;
  for (const WorkerListing& worker : coordinator_->List().workers) {
    if (worker.orders.drain) leaving.insert(worker.report.name);
  }
  std::vector<Expert*> staying;
  for (Expert& expert : experts_) {
    if (!expert.draining && !leaving.contains(expert.name)) staying.push_back(&expert);
  }
  return staying;
}

absl::StatusOr<EmbeddedCluster::Scaled> EmbeddedCluster::ScaleExperts(int workers) {
  MutexLock lock(scaling_);
  std::vector<Expert*> staying = StayingExperts();
  const size_t wanted = static_cast<size_t>(workers);
  Scaled scaled;
  for (; staying.size() > wanted; staying.pop_back()) {
    staying.back()->draining = true;
    staying.back()->worker->Drain();
    scaled.drained.push_back(staying.back()->name);
  }
  for (size_t i = staying.size(); i < wanted; ++i) {
    RETURN_IF_ERROR(AddExpert());
    Launch(*experts_.back().worker, experts_.back().name);
    scaled.started.push_back(experts_.back().name);
  }
  if (!scaled.started.empty()) ShareWith(scaled.started);
  return scaled;
}

// They have joined, or have had the time to; then the load is spread over them too.
void EmbeddedCluster::ShareWith(const std::vector<std::string>& started) {
  const auto joined = [&](const std::string& name) {
    const FleetListing listing = coordinator_->List();
    return std::any_of(listing.workers.begin(), listing.workers.end(), [&](const auto& worker) {
      return worker.report.name == name && worker.placement.has_value();
    });
  };
  const Time until = Now() + kJoinPatience;
  for (const std::string& name : started) {
    while (!joined(name) && Now() < until) std::this_thread::sleep_for(kPollPeriod);
  }
  const absl::Status status = coordinator_->Rebalance(/*force=*/false).status();
  if (!status.ok()) LogWarning("the load is not spread over new workers: ", status.message());
}

EmbeddedCluster::~EmbeddedCluster() {
  if (coordinator_ != nullptr) coordinator_->Stop();  // cancels at the workers what still runs
  if (door_ != nullptr) door_->Stop();
  reaper_.Stop();
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
    const auto ready = std::count_if(
        listing.topology.members.begin(), listing.topology.members.end(), [](const Member& member) {
          return member.role == WorkerRole::kAttention && member.state == WorkerState::kReady;
        });
    if (ready == attention_count_ && listing.missing.empty()) return absl::OkStatus();
    if (Now() >= until) {
      return absl::DeadlineExceededError(
          absl::StrCat(ready, " of ", attention_count_, " attention workers are ready",
                       listing.missing.empty() ? "" : "; ", listing.missing));
    }
    std::this_thread::sleep_for(kPollPeriod);
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
