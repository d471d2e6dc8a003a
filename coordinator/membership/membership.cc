#include "coordinator/membership/membership.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "coordinator/membership/publication.h"

namespace expertmesh {
namespace {

// Pauses of control that a worker which says nothing is not held to. A control that is always late
// must still lose those who are gone.
constexpr int kMostForgiven = 4;

// How often control looks at how even the load is, and from what max/mean on it does something by
// itself. (What an operator asks for goes by PlanOptions.)
constexpr Duration kLookPeriod = std::chrono::seconds(1);
constexpr double kUnevenInAll = 1.15;
constexpr double kUnevenInOneLayer = 1.5;

// Who has not come back by then will not: requests have waited that long, too.
constexpr Duration kLongestFreeze = std::chrono::seconds(30);

// Whether anything but numbers and loads differs: whatever others than the sender are told of.
bool IsNews(const Report& before, const Report& now) {
  return before.state != now.state || before.epoch != now.epoch || before.holds != now.holds ||
         before.loading != now.loading || before.address != now.address ||
         before.compute_class != now.compute_class || before.memory_bytes != now.memory_bytes;
}

// What a worker is published with: what it holds and is to keep.
ExpertSet Answering(const WorkerRecord& record) {
  ExpertSet holds = record.report.holds;
  if (holds.grid() != record.assigned.grid()) return holds;
  ExpertSet going = holds;
  going.RemoveAll(record.assigned);
  holds.RemoveAll(going);
  holds.RemoveAll(record.retiring);
  return holds;
}

}  // namespace

Membership::Membership(MembershipOptions options, MembershipHost* host, Time now)
    : options_(options),
      host_(host),
      recovery_ends_(now + options.lease),
      next_number_(options.first_number),
      trigger_(options.balance) {}

void Membership::OnLinkOpened(LinkId link) { links_[link] = ""; }

// ---- reports

void Membership::OnReport(LinkId link, const Report& report, Time now) {
  if (!links_.contains(link)) return;
  if (report.highest_term > term_ && report.highest_term >= kMaxTerm) {
    LogWarning(report.name, " has seen term ", report.highest_term, "; at most ", kMaxTerm - 1);
    return host_->CloseLink(link);
  }
  if (report.highest_term > term_) RaiseTerm(report);  // else nothing that we say is obeyed
  if (std::string why = RefusalOf(report, now); !why.empty()) return Fence(link, why);
  Worker* worker = Admit(link, report, now);
  if (worker == nullptr) return;
  worker->lease_until = now + options_.lease;
  worker->heard = now;
  worker->forgiven = 0;
  if (report.number <= worker->record.report.number) return;  // overtaken by a newer one
  WorkerRecord& record = worker->record;
  const WorkerState before = record.state;
  bool news = !worker->live() || IsNews(record.report, report);
  if (!worker->live()) {  // it is back, with what it has
    worker->released = false;
    for (const ExpertSet* set : {&report.holds, &report.loading}) {
      if (set->grid() == record.assigned.grid()) record.assigned.InsertAll(*set);
    }
  }
  record.report = report;
  record.state = report.state;
  if (!record.draining()) worker->released = false;  // it was called off
  CountRows(*worker, now);
  news |= LoseSilent(report, now);
  if (before != report.state && worker->expert()) rollout_.FleetChanged();
  if (thaw_at_ > 0 && CountLive() >= thaw_at_) EndFreeze();
  worker->answered = false;
  if (news) Advance();
  if (!worker->answered) SendTo(*worker);
}

int32_t Membership::CountLive() const {
  return static_cast<int32_t>(std::count_if(workers_.begin(), workers_.end(),
                                            [](const auto& entry) { return entry.second.live(); }));
}

// ---- losses

void Membership::OnLinkClosed(LinkId link, Time now) {
  auto bound = links_.find(link);
  if (bound == links_.end()) return;
  const std::string name = bound->second;
  links_.erase(bound);
  auto worker = workers_.find(name);
  if (worker == workers_.end() || worker->second.link != link) return;
  LogWarning("link of ", name, " is broken");
  worker->second.link = 0;
  Lose(worker->second, now);
  Advance();
}

void Membership::Tick(Time now) {
  ForgivePause(now);
  const bool recovers = !recovered_ && now >= recovery_ends_;
  recovered_ = recovered_ || recovers;
  bool lost = false;
  for (auto& [name, worker] : workers_) {
    if (!worker.live() || now < worker.lease_until) continue;
    LogWarning("lease of ", name, " has run out");
    const LinkId link = std::exchange(worker.link, 0);
    Lose(worker, now);
    lost = true;
    if (link != 0) host_->CloseLink(link);  // it may come back on another
  }
  std::erase_if(workers_, [&](const auto& entry) {
    return !entry.second.live() && now >= entry.second.lease_until + options_.forget_lost;
  });
  next_tick_ = AnyLive() ? now + options_.lease / 8 : kNever;
  if (next_look_ == kNever && placed_ && AnyLive()) next_look_ = now + kLookPeriod;
  const bool thaws = now >= thaw_by_;
  if (thaws) EndFreeze();
  if (recovers) rollout_.FleetChanged();
  if (lost || recovers || thaws) Advance();
  if (now >= next_look_) LookAtBalance(now);
}

// For as long as we were paused we heard nobody, and that is not held against the workers.
void Membership::ForgivePause(Time now) {
  if (next_tick_ == kNever || now < next_tick_ + options_.lease / 4) return;
  LogWarning("control was paused for ",
             std::chrono::duration_cast<std::chrono::milliseconds>(now - next_tick_).count(),
             " ms");
  const Time second_chance = now + options_.lease / 2;
  for (auto& [name, worker] : workers_) {
    if (!worker.live() || worker.forgiven == kMostForgiven) continue;
    ++worker.forgiven;
    worker.lease_until = std::max(worker.lease_until, second_chance);
  }
  if (!recovered_) recovery_ends_ = std::max(recovery_ends_, second_chance);
}

Time Membership::NextWakeup() const {
  Time wake = std::min({next_tick_, next_look_, thaw_by_});
  if (!recovered_) wake = std::min(wake, recovery_ends_);
  for (const auto& [name, worker] : workers_) {
    wake = std::min(wake,
                    worker.live() ? worker.lease_until : worker.lease_until + options_.forget_lost);
  }
  return wake;
}

void Membership::Lose(Worker& worker, Time now) {
  worker.record.state = worker.released ? WorkerState::kGone : WorkerState::kLost;
  worker.lease_until = now;
  // What it was assigned stays on record: if this life comes back, it holds that or is loading it.
  worker.record.retiring = ExpertSet(worker.record.assigned.grid());
  worker.record.retired_in = Epoch();
  if (worker.expert()) rollout_.FleetChanged();
  if (!worker.released) return Freeze(now);
  WorkerOrders orders = OrdersOf(worker.record.report.name);
  orders.drain = worker.record.orders.drain = false;  // done: a new life of this name may stay
  KeepOrders(worker.record.report.name, orders);
}

// A worker has just been lost: was it one too many?
void Membership::Freeze(Time now) {
  const auto lost =
      static_cast<int32_t>(std::count_if(workers_.begin(), workers_.end(), [&](const auto& entry) {
        const Worker& worker = entry.second;
        return worker.record.state == WorkerState::kLost &&
               now - worker.lease_until <= options_.lease;
      }));
  const int32_t before = CountLive() + lost;
  if (lost < 2 || lost * 3 <= before) return;
  thaw_at_ = std::max(thaw_at_, before - lost / 2);
  thaw_by_ = now + kLongestFreeze;
  LogWarning(lost, " of ", before, " workers have vanished within one lease: nothing is placed or ",
             "unloaded until ", thaw_at_, " are there");
}

void Membership::EndFreeze() {
  if (thaw_at_ > 0) LogInfo("placement goes on");
  thaw_at_ = 0;
  thaw_by_ = kNever;
  rollout_.FleetChanged();
}

// ---- operators

WorkerOrders Membership::OrdersOf(const std::string& name) const {
  auto found = orders_.find(name);
  return found == orders_.end() ? WorkerOrders() : found->second;
}

void Membership::KeepOrders(const std::string& name, const WorkerOrders& orders) {
  orders_[name] = orders;
  if (orders == WorkerOrders()) orders_.erase(name);
}

void Membership::SetOrders(const std::string& name, const WorkerOrders& orders) {
  KeepOrders(name, orders);
  auto worker = workers_.find(name);
  if (worker == workers_.end()) return;
  worker->second.record.orders = orders;
  rollout_.FleetChanged();
  Advance();
  SendTo(worker->second);
}

void Membership::Thaw() {
  EndFreeze();
  Advance();
}

void Membership::Rebalance() {
  rollout_.WantBalance();
  Advance();
}

// ---- placement and topology

bool Membership::MayPlace() const {
  if (thaw_at_ > 0) return false;
  if (placed_) return true;
  if (saw_term_) return recovered_;
  const auto joined = std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) {
    return entry.second.live() && entry.second.expert();
  });
  return joined >= options_.initial_expert_workers;
}

std::string Membership::WaitingFor() const {
  if (MayPlace()) return "";
  if (topology_ != nullptr && Uncovered(*topology_).empty()) return "";
  if (frozen()) return WhyFrozen();
  if (saw_term_) return "workers of the running fleet to report (one lease)";
  return absl::StrCat(options_.initial_expert_workers, " expert workers to join");
}

std::string Membership::WhyFrozen() const {
  if (!frozen()) return "";
  return absl::StrCat(thaw_at_, " workers to be there, after many vanished at once; ", CountLive(),
                      " are");
}

PlacementInput Membership::Placement() {
  return model_.has_value() ? Rollout::InputOf(FleetNow()) : PlacementInput();
}

bool Membership::Moving() { return model_.has_value() && !rollout_.idle(FleetNow()); }

Rollout::Fleet Membership::FleetNow() {
  Rollout::Fleet fleet;
  fleet.grid = model_->grid;
  fleet.loads = loads_;  // the same for all rounds of a plan
  for (auto& [name, worker] : workers_) {
    if (!worker.live()) continue;
    if (worker.expert()) {
      fleet.experts.push_back(&worker.record);
      continue;
    }
    const Epoch epoch = worker.record.report.epoch;
    fleet.oldest_worked_by = std::min(epoch, fleet.oldest_worked_by.value_or(epoch));
  }
  return fleet;
}

// Takes those for lost of whom neither this attention worker nor control hears. Not after a pause
// of ours: then what they said lies unread.
bool Membership::LoseSilent(const Report& witness, Time now) {
  if (witness.silent.empty() || (next_tick_ != kNever && now >= next_tick_ + options_.lease / 4)) {
    return false;
  }
  bool lost = false;
  for (auto& [name, worker] : workers_) {
    const bool silent =
        std::binary_search(witness.silent.begin(), witness.silent.end(), worker.record.incarnation);
    if (!silent || !worker.live() || now - worker.heard <= 2 * kReportPeriod) continue;
    LogWarning(name, " is silent: ", witness.name, " says so, and control has not heard of it");
    const LinkId link = std::exchange(worker.link, 0);
    Lose(worker, now);
    lost = true;
    if (link != 0) host_->CloseLink(link);  // it may come back on another
  }
  return lost;
}

// How many rows each expert has run since the worker last said it.
void Membership::CountRows(Worker& worker, Time now) {
  const Report& report = worker.record.report;
  const ExpertGrid& grid = model_->grid;
  if (report.rows.empty() || report.holds.grid() != grid) return;
  if (!book_.has_value()) book_.emplace(grid, now);
  worker.rows.resize(grid.size(), 0);
  auto rows = report.rows.begin();
  for (int64_t i = 0; i < grid.size() && rows != report.rows.end(); ++i) {
    const auto layer = static_cast<int32_t>(i / grid.experts) + grid.first_layer;
    const auto expert = static_cast<int32_t>(i % grid.experts);
    if (!report.holds.Contains(layer, expert)) continue;
    if (*rows > worker.rows[i]) book_->Add(layer, expert, *rows - worker.rows[i], now);
    worker.rows[i] = *rows++;
  }
}

// Whether the load ought to be spread anew. Not while experts are on their way.
void Membership::LookAtBalance(Time now) {
  next_look_ = AnyLive() && placed_ ? now + kLookPeriod : kNever;
  Rollout::Fleet fleet = FleetNow();
  if (!MayPlace() || fleet.experts.empty() || !rollout_.idle(fleet)) return;
  if (book_.has_value()) fleet.loads = loads_ = book_->TokensPerSecond(now);
  PlanOptions worthwhile;  // moving costs more than a little unevenness
  worthwhile.total_target = kUnevenInAll;
  worthwhile.layer_target = kUnevenInOneLayer;
  trigger_.OnBalance(IsUneven(Summarize(Rollout::InputOf(fleet)), worthwhile), now);
  if (trigger_.Due(now) != PlanKind::kBalance) return;
  trigger_.OnPlanned(PlanKind::kBalance, /*has_round=*/false, now);
  Rebalance();
}

// What follows from what has changed.
void Membership::Advance() {
  if (!model_.has_value()) return;
  const bool may_place = MayPlace();
  Rollout::Fleet fleet = FleetNow();
  if (may_place && !fleet.experts.empty()) {
    placed_ = true;
    rollout_.PlanRound(fleet);
  }
  Publish();
  while (may_place && topology_ != nullptr &&
         (rollout_.Retire(fleet, *topology_) || rollout_.Unload(fleet, *topology_))) {
    Publish();
  }
  for (auto& [name, worker] : workers_) {
    if (worker.expert() && worker.told != worker.record.assigned) SendTo(worker);
  }
}

bool Membership::MayPublish(const Topology& next) const {
  return topology_ != nullptr || recovered_ || Uncovered(next).empty();
}

// A new epoch if what rows are routed by has changed; then everyone is told. True if so.
bool Membership::Publish() {
  if (!model_.has_value()) return false;
  std::vector<Member> serving;
  for (auto& [name, worker] : workers_) {
    worker.record.note.clear();
    const WorkerRecord& record = worker.record;
    if (!Serves(record.state)) continue;
    serving.push_back({name, record.report.role, record.incarnation, record.report.address,
                       record.report.compute_class, record.state, Answering(record)});
  }
  Topology next;
  next.model = *model_;
  std::map<std::string, std::string> notes;
  next.members = ListMembers(std::move(serving), topology_.get(), &notes);
  for (auto& [name, note] : notes) workers_[name].record.note = note;
  if (!MayPublish(next)) return false;
  if (topology_ != nullptr) next.epoch = topology_->epoch;
  if (topology_ != nullptr && next == *topology_) return false;
  next.epoch = {term_, ++counter_};
  topology_ = std::make_shared<const Topology>(std::move(next));
  LogInfo("topology ", ToString(topology_->epoch), ": ", topology_->members.size(),
          " workers serve; uncovered: ", Uncovered(*topology_).ToText());
  for (const auto& [name, note] : notes) LogWarning(name, " is ", note);
  host_->TopologyChanged(topology_);
  for (auto& [name, worker] : workers_) SendTo(worker);
  return true;
}

// Whether a worker that drains has nothing left that anybody needs. Where no attention worker is
// known at all, not even a lost one, nobody needs anything.
bool Membership::MayLeave(const Worker& worker) const {
  const Report& report = worker.record.report;
  if (report.state != WorkerState::kDraining || !worker.record.draining()) return false;
  if (!worker.expert()) {
    const bool idle = report.load.running_sequences + report.load.waiting_sequences == 0;
    return idle && (topology_ == nullptr || report.epoch >= topology_->epoch);
  }
  if (worker.record.assigned.empty() && report.holds.empty()) return true;
  const bool asked = std::any_of(workers_.begin(), workers_.end(), [](const auto& entry) {
    return !entry.second.expert() && entry.second.record.state != WorkerState::kGone;
  });
  return !asked && recovered_ && thaw_at_ == 0;
}

void Membership::SendTo(Worker& worker) {
  if (worker.link == 0) return;
  Command command;
  command.term = term_;
  command.number = ++command_number_;
  command.incarnation = worker.record.incarnation;
  command.lease = options_.lease;
  if (worker.expert()) command.assigned = worker.record.assigned;
  command.drain = worker.record.orders.drain;
  command.released = MayLeave(worker);
  if (topology_ != nullptr && worker.record.report.epoch < topology_->epoch) {
    command.topology = topology_;
  }
  worker.told = worker.record.assigned;
  worker.released |= command.released;
  worker.answered = true;
  host_->SendCommand(worker.link, command);
}

std::map<std::string, WorkerRecord> Membership::Records() const {
  std::map<std::string, WorkerRecord> records;
  for (const auto& [name, worker] : workers_) records[name] = worker.record;
  return records;
}

}  // namespace expertmesh
