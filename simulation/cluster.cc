#include "simulation/cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kRestartLeast = std::chrono::milliseconds(100);
constexpr Duration kRestartMost = std::chrono::seconds(1);

}  // namespace

Cluster::Cluster(World* world, const Plan* plan) : world_(world), plan_(plan), network_(world) {}

Cluster::~Cluster() = default;

// ---- lives

void Cluster::LaunchAll() {
  for (const FaultPlan& fault : plan_->faults) {
    if (fault.kind == FaultKind::kEcho) network_.KeepMessages();
  }
  for (const std::string& name : plan_->Names()) {
    const Duration late = world_->process_chance.Between(Duration(0), plan_->late_most);
    world_->events.After(late, [this, name] {
      if (Newest(name) == nullptr) Launch(name, /*moved=*/false);
    });
  }
}

void Cluster::Launch(const std::string& name, bool moved) {
  std::vector<std::unique_ptr<Process>>& lives = lives_[name];
  const int life = static_cast<int>(lives.size()) + 1;
  std::string& address = addresses_[name];
  // Workers know the coordinator's address, so it stays.
  if (address.empty() || (moved && name != kCoordinatorName)) {
    address = absl::StrCat(name, "@", life);
  }
  lives.push_back(Make({name, life, address, network_.HostOf(name)}));
  Process* process = lives.back().get();
  world_->Log(process->label(), "starts at ", address);
  network_.Listen(process);
  monitor_.OnStarted(*process);
  process->Begin();
}

std::unique_ptr<Process> Cluster::Make(ProcessIdentity identity) {
  const std::string coordinator = absl::StrCat(kCoordinatorName, "@1");
  const auto on_exit = [this](WorkerProcess* process, const absl::Status& why) {
    OnExit(process, why);
  };
  if (identity.name == kCoordinatorName) {
    return std::make_unique<CoordinatorProcess>(world_, &monitor_, &network_, std::move(identity),
                                                plan_->initial_expert_workers, plan_->balance);
  }
  if (identity.name[0] == 'a') {
    return std::make_unique<AttentionProcess>(world_, &monitor_, &network_, std::move(identity),
                                              coordinator, on_exit, plan_->model, plan_->attention);
  }
  return std::make_unique<ExpertProcess>(world_, &monitor_, &network_, std::move(identity),
                                         coordinator, on_exit, plan_->model, plan_->expert);
}

void Cluster::Kill(Process* process, bool silent) {
  if (!process->alive()) return;
  world_->Log(process->label(), silent ? "is cut off from its power" : "is killed");
  process->Die(silent);
  network_.Leave(process, silent);
  dying_.push_back(process);
  if (process->identity().name == kCoordinatorName) coordinator_died_(process->label());
}

// As a supervisor does it: whoever exits is started again, unless another life has the name.
void Cluster::OnExit(WorkerProcess* process, const absl::Status& why) {
  network_.Leave(process, /*silent=*/false);
  dying_.push_back(process);
  const Duration later = world_->process_chance.Between(kRestartLeast, kRestartMost);
  world_->events.After(later, [this, name = process->identity().name] {
    if (Newest(name) == nullptr) Launch(name, /*moved=*/false);
  });
}

void Cluster::Bury() {
  for (Process* process : std::exchange(dying_, {})) process->Discard();
}

void Cluster::Heal() {
  world_->Log("faults", "all faults end");
  network_.Heal();
  for (const std::string& name : plan_->Names()) {
    for (const std::unique_ptr<Process>& life : lives_[name]) {
      life->Resume();
      if (auto* expert = dynamic_cast<ExpertProcess*>(life.get())) expert->FailNextLoad(false);
    }
    if (Newest(name) == nullptr) Launch(name, /*moved=*/false);
  }
}

Process* Cluster::Newest(const std::string& name) const {
  auto lives = lives_.find(name);
  if (lives == lives_.end()) return nullptr;
  for (auto life = lives->second.rbegin(); life != lives->second.rend(); ++life) {
    if ((*life)->alive()) return life->get();
  }
  return nullptr;
}

CoordinatorProcess* Cluster::coordinator() const {
  return static_cast<CoordinatorProcess*>(Newest(kCoordinatorName));
}

// ---- how it is

std::string Cluster::Ailment() const {
  for (const std::string& name : plan_->Names()) {
    auto lives = lives_.find(name);
    if (lives == lives_.end()) return absl::StrCat(name, " has not started");
    const auto alive = std::count_if(lives->second.begin(), lives->second.end(),
                                     [](const auto& life) { return life->alive(); });
    if (alive != 1) return absl::StrCat(alive, " lives of ", name, " are there");
    if (name == kCoordinatorName) continue;
    if (std::string ailment = WorkerAilment(name); !ailment.empty()) return ailment;
  }
  return FleetAilment();
}

std::string Cluster::WorkerAilment(const std::string& name) const {
  const auto records = coordinator()->membership()->Records();
  auto record = records.find(name);
  if (record == records.end()) return absl::StrCat(name, " has not joined");
  if (record->second.state == WorkerState::kLost) return absl::StrCat(name, " is lost");
  if (monitor_.lives().LabelOf(name, record->second.incarnation) != Newest(name)->label()) {
    return absl::StrCat("another life of ", name, " is known");
  }
  auto* attention = dynamic_cast<AttentionProcess*>(Newest(name));
  if (attention != nullptr && !attention->attention_node()->serving()) {
    return absl::StrCat(name, " admits nothing");
  }
  return "";
}

std::string Cluster::FleetAilment() const {
  const auto topology = coordinator()->membership()->topology();
  if (topology == nullptr) return "no topology has been published";
  if (const ExpertSet uncovered = Uncovered(*topology); !uncovered.empty()) {
    return absl::StrCat("uncovered: ", uncovered.ToText());
  }
  size_t attention = 0;
  for (const Member& member : topology->members) {
    if (Newest(member.name)->identity().address != member.address) {
      return absl::StrCat("the topology has ", member.name, " at ", member.address);
    }
    attention += member.role == WorkerRole::kAttention ? 1 : 0;
  }
  if (attention == plan_->attention_names.size()) return "";
  return absl::StrCat("only ", attention, " attention workers are in the topology");
}

std::string Cluster::Leftovers() const {
  for (const std::string& name : plan_->Names()) {
    if (Newest(name) == nullptr) return absl::StrCat(name, " is dead");
  }
  for (const std::string& name : plan_->attention_names) {
    const AttentionNode& node = *static_cast<AttentionProcess*>(Newest(name))->attention_node();
    if (node.sequences() != 0) return absl::StrCat(name, " has ", node.sequences(), " sequences");
    if (node.used_blocks() != 0) return absl::StrCat(name, " has ", node.used_blocks(), " blocks");
    if (node.calls_out() != 0) return absl::StrCat(name, " has ", node.calls_out(), " calls out");
    if (node.kept().detached() != 0) {
      return absl::StrCat(name, " keeps ", node.kept().detached(), " answers");
    }
  }
  for (const std::string& name : plan_->expert_names) {
    const ExpertNode& node = *static_cast<ExpertProcess*>(Newest(name))->expert_node();
    if (node.calls_in_hand() != 0) {
      return absl::StrCat(name, " has ", node.calls_in_hand(), " calls in hand");
    }
  }
  const size_t sessions = coordinator()->sessions();
  return sessions == 0 ? "" : absl::StrCat("the front door has ", sessions, " sessions");
}

}  // namespace expertmesh::simulation
