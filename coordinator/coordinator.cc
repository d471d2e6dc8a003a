#include "coordinator/coordinator.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/mutex.h"
#include "common/status.h"
#include "common/task_loop.h"
#include "coordinator/front_door/front_door.h"
#include "coordinator/membership/membership.h"

namespace expertmesh {

struct Coordinator::Impl final : MembershipHost, GenerationListener {
  CoordinatorOptions options;
  std::atomic<RequestId> next_request{1};

  // Membership's thread owns these.
  TaskLoop control_loop;
  std::map<LinkId, Link> links;
  std::unique_ptr<Membership> membership;

  // The newest report of each link that membership has not taken yet: a worker that floods its link
  // fills one place.
  Mutex mutex;
  std::map<LinkId, Report> reports ABSL_GUARDED_BY(mutex);
  std::map<LinkId, Report>::node_type TakeReport(LinkId id) {
    MutexLock lock(mutex);
    return reports.extract(id);
  }

  // The front door's thread owns this.
  TaskLoop door_loop;
  std::unique_ptr<FrontDoor> door;

  void SendCommand(LinkId link, const Command& command) override {
    if (auto found = links.find(link); found != links.end()) found->second.send(command);
  }
  void CloseLink(LinkId link) override {
    if (auto found = links.find(link); found != links.end()) found->second.close();
  }
  void TopologyChanged(std::shared_ptr<const Topology> topology) override {
    door_loop.Post([this, topology](Time) { door->OnTopology(topology); });
  }

  // Ports call these on their own threads.
  void OnDelta(RequestId id, Delta delta) override {
    auto shared = std::make_shared<Delta>(std::move(delta));
    door_loop.Post([this, id, shared](Time) { door->OnDelta(id, std::move(*shared)); });
  }
  void OnEnd(RequestId id, absl::Status status) override {
    door_loop.Post([this, id, status = std::move(status)](Time) { door->OnEnd(id, status); });
  }

  FleetListing ListNow(PlacementInput* placement) const;
  absl::StatusOr<OrdersNow> SetOrdersNow(const std::string& name, const OrdersChange& change);
  std::string HeldUp() const;

  // Runs `question` on membership's thread; nullopt when it has stopped.
  template <typename Answer>
  std::optional<Answer> Ask(std::function<Answer()> question) {
    auto answer = std::make_shared<std::promise<Answer>>();
    std::future<Answer> future = answer->get_future();
    const bool posted = control_loop.Post(
        [question = std::move(question), answer](Time) { answer->set_value(question()); });
    if (!posted) return std::nullopt;
    return future.get();
  }
};

namespace {

// Distinct from one start of a coordinator to the next: see MembershipOptions::first_number.
uint64_t NumberOfThisStart() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, AttentionPortFactory ports)
    : impl_(std::make_unique<Impl>()) {
  Impl* impl = impl_.get();
  impl->options = options;
  impl->door = std::make_unique<FrontDoor>(
      [ports = std::move(ports)](const Member& worker) {
        return ports(worker.name, worker.address);
      },
      impl);
  MembershipOptions membership;
  membership.initial_expert_workers = options.initial_expert_workers;
  membership.lease = options.lease;
  membership.first_number = NumberOfThisStart();
  impl->membership = std::make_unique<Membership>(membership, impl, Now());
  impl->door_loop.Start([](Time) { return kNever; });
  impl->control_loop.Start([impl](Time now) {
    impl->membership->Tick(now);
    return impl->membership->NextWakeup();
  });
}

Coordinator::~Coordinator() { Stop(); }

void Coordinator::OnLinkOpened(LinkId id, Link link) {
  Impl* impl = impl_.get();
  impl->control_loop.Post([impl, id, link = std::move(link)](Time) {
    impl->links[id] = link;
    impl->membership->OnLinkOpened(id);
  });
}

void Coordinator::OnReport(LinkId id, Report report) {
  Impl* impl = impl_.get();
  {
    MutexLock lock(impl->mutex);
    const bool first = impl->reports.insert_or_assign(id, std::move(report)).second;
    if (!first) return;  // its task takes this one
  }
  impl->control_loop.Post([impl, id](Time now) {
    if (auto report = impl->TakeReport(id)) impl->membership->OnReport(id, report.mapped(), now);
  });
}

void Coordinator::OnLinkClosed(LinkId id) {
  Impl* impl = impl_.get();
  impl->control_loop.Post([impl, id](Time now) {
    impl->links.erase(id);
    impl->membership->OnLinkClosed(id, now);
  });
}

RequestId Coordinator::NewRequestId() { return impl_->next_request.fetch_add(1); }

void Coordinator::Start(RequestId id, GenerateRequest request, GenerationListener* listener) {
  Impl* impl = impl_.get();
  auto shared = std::make_shared<GenerateRequest>(std::move(request));
  const bool posted = impl->door_loop.Post(
      [impl, id, shared, listener](Time) { impl->door->Start(id, std::move(*shared), listener); });
  if (!posted) listener->OnEnd(id, TryAgainLater("the front door is shutting down"));
}

void Coordinator::Cancel(RequestId id) {
  Impl* impl = impl_.get();
  impl->door_loop.Post([impl, id](Time) { impl->door->Cancel(id); });
}

void Coordinator::Detach(RequestId id) {
  Impl* impl = impl_.get();
  impl->door_loop.Post([impl, id](Time) { impl->door->Detach(id); });
}

void Coordinator::Forget(const KeptAnswer& kept) {
  Impl* impl = impl_.get();
  impl->door_loop.Post([impl, kept](Time) { impl->door->Forget(kept); });
}

namespace {

std::string Missing(const FleetListing& listing, const std::string& waiting_for) {
  if (!waiting_for.empty()) return absl::StrCat("control waits for ", waiting_for);
  if (listing.topology.epoch == Epoch{}) return "no topology has been published yet";
  if (!listing.uncovered.empty()) {
    return absl::StrCat("no expert worker that serves holds ", listing.uncovered.ToText());
  }
  const bool serves = std::any_of(
      listing.topology.members.begin(), listing.topology.members.end(), [](const Member& member) {
        return member.role == WorkerRole::kAttention && member.state == WorkerState::kReady;
      });
  return serves ? "" : "no attention worker is READY";
}

// A pin is of the model's grid.
absl::Status CheckPin(const ExpertSet& pinned, const std::optional<ModelIdentity>& model) {
  if (!model.has_value()) {
    return absl::FailedPreconditionError("pinned is set, but no worker has told the model's grid");
  }
  const ExpertGrid& own = model->grid;
  const ExpertGrid& grid = pinned.grid();
  if (grid == own) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("pinned is for ", grid.layers, " layers of ",
                                                 grid.experts, " experts from layer ",
                                                 grid.first_layer, "; the model has ", own.layers,
                                                 " of ", own.experts, " from ", own.first_layer));
}

}  // namespace

FleetListing Coordinator::Impl::ListNow(PlacementInput* placement) const {
  FleetListing listing;
  if (membership->topology() != nullptr) {
    listing.topology = *membership->topology();
    listing.uncovered = Uncovered(listing.topology);
  }
  for (auto& [name, record] : membership->Records()) {
    Report report = record.report;
    report.incarnation = record.incarnation;
    listing.workers.push_back({std::move(report), record.state, record.assigned, record.retiring,
                               membership->OrdersOf(name), record.note, std::nullopt});
  }
  std::stable_sort(
      listing.workers.begin(), listing.workers.end(),
      [](const WorkerListing& a, const WorkerListing& b) { return a.report.role < b.report.role; });
  listing.missing = Missing(listing, membership->WaitingFor());
  listing.frozen = membership->WhyFrozen();
  listing.moving = membership->Moving();
  listing.rounds = membership->rounds();
  *placement = membership->Placement();
  return listing;
}

namespace {

// Rows that go to what each worker holds; nullopt: no load is known.
std::optional<double> LoadOf(const PlacementInput& input, const PlacementWorker& worker) {
  const bool known =
      static_cast<int64_t>(input.loads.size()) == input.grid.size() &&
      std::any_of(input.loads.begin(), input.loads.end(), [](double x) { return x > 0; });
  if (!known || worker.holds.grid() != input.grid) return std::nullopt;
  double sum = 0;
  for (int64_t i = 0; i < input.grid.size(); ++i) {
    const auto layer = static_cast<int32_t>(input.grid.first_layer + i / input.grid.experts);
    const auto expert = static_cast<int32_t>(i % input.grid.experts);
    if (!worker.holds.Contains(layer, expert)) continue;
    const auto replicas = std::count_if(
        input.workers.begin(), input.workers.end(),
        [&](const PlacementWorker& other) { return other.holds.Contains(layer, expert); });
    sum += std::max(0.0, input.loads[i]) / static_cast<double>(replicas);
  }
  return sum;
}

void AddPlacement(const PlacementInput& input, FleetListing& listing) {
  if (input.workers.empty()) return;
  listing.balance = Summarize(input);
  std::map<std::string, PlacementListing> of;
  for (WorkerMargin& margin : FaultMargins(input)) of[margin.name].margin = std::move(margin);
  for (const PlacementWorker& worker : input.workers) {
    of[worker.name].room = worker.room;
    of[worker.name].tokens_per_second = LoadOf(input, worker);
  }
  for (WorkerListing& worker : listing.workers) {
    const auto found = of.find(worker.report.name);
    if (found != of.end()) worker.placement = found->second;
  }
}

absl::Status Stopped() { return TryAgainLater("the coordinator stops"); }

}  // namespace

FleetListing Coordinator::List() const {
  Impl* impl = impl_.get();
  PlacementInput placement;
  auto listing = impl->Ask<FleetListing>([impl, &placement] { return impl->ListNow(&placement); });
  if (!listing.has_value()) {
    FleetListing stopped;
    stopped.missing = "control has stopped";
    return stopped;
  }
  AddPlacement(placement, *listing);
  return *std::move(listing);
}

// ---- operators

absl::StatusOr<OrdersNow> Coordinator::Impl::SetOrdersNow(const std::string& name,
                                                          const OrdersChange& change) {
  const auto records = membership->Records();
  const auto worker = records.find(name);
  WorkerOrders orders = membership->OrdersOf(name);
  if (orders == WorkerOrders() && membership->orders_count() >= kMaxOrders) {
    return absl::ResourceExhaustedError(absl::StrCat(kMaxOrders, " names have orders already"));
  }
  if (change.pinned.has_value() && change.pinned->grid() != ExpertGrid{}) {
    if (worker != records.end() && worker->second.report.role == WorkerRole::kAttention) {
      return absl::InvalidArgumentError(absl::StrCat(
          "pinned is set, but ", name, " is an attention worker: it holds no experts"));
    }
    RETURN_IF_ERROR(CheckPin(*change.pinned, membership->model()));
  }
  orders.cordoned = change.cordoned.value_or(orders.cordoned);
  orders.drain = change.drain.value_or(orders.drain);
  orders.pinned = change.pinned.value_or(orders.pinned);
  if (orders.pinned.empty()) orders.pinned = ExpertSet();
  membership->SetOrders(name, orders);
  OrdersNow now{membership->OrdersOf(name), std::nullopt};
  if (worker != records.end()) now.state = worker->second.state;
  return now;
}

// Why no plan is carried out.
std::string Coordinator::Impl::HeldUp() const {
  const std::string waits =
      membership->frozen() ? membership->WhyFrozen() : membership->WaitingFor();
  return waits.empty() ? "" : absl::StrCat("control waits for ", waits);
}

absl::StatusOr<OrdersNow> Coordinator::SetOrders(const std::string& name,
                                                 const OrdersChange& change) {
  Impl* impl = impl_.get();
  auto answer = impl->Ask<absl::StatusOr<OrdersNow>>(
      [impl, &name, &change] { return impl->SetOrdersNow(name, change); });
  return answer.has_value() ? *std::move(answer) : Stopped();
}

absl::StatusOr<PlanAnswer> Coordinator::Rebalance(bool force) {
  Impl* impl = impl_.get();
  PlacementInput input;
  auto refused = impl->Ask<absl::Status>([impl, force, &input]() -> absl::Status {
    Membership& membership = *impl->membership;
    if (membership.frozen() && !force) {
      return absl::FailedPreconditionError(
          absl::StrCat("placement is frozen: control waits for ", membership.WhyFrozen()));
    }
    if (membership.frozen()) membership.Thaw();
    input = membership.Placement();
    membership.Rebalance();
    return absl::OkStatus();
  });
  if (!refused.has_value()) return Stopped();
  RETURN_IF_ERROR(*refused);
  return PlanAnswer{PlanPlacement(input, {.balance = true}), input.expert_bytes, ""};
}

absl::StatusOr<bool> Coordinator::Thaw() {
  Impl* impl = impl_.get();
  auto was_frozen = impl->Ask<bool>([impl] {
    const bool was = impl->membership->frozen();
    if (was) impl->membership->Thaw();
    return was;
  });
  if (!was_frozen.has_value()) return Stopped();
  return *was_frozen;
}

absl::StatusOr<PlanAnswer> Coordinator::PlanNow(const PlanQuery& query) const {
  Impl* impl = impl_.get();
  PlanAnswer answer;
  auto input = impl->Ask<PlacementInput>([impl, &answer] {
    answer.held_up = impl->HeldUp();
    return impl->membership->Placement();
  });
  if (!input.has_value()) return Stopped();
  std::map<std::string, PlacementWorker*> workers;
  for (PlacementWorker& worker : input->workers) workers[worker.name] = &worker;
  for (const std::string& name : query.drain) {
    const auto worker = workers.find(name);
    if (worker == workers.end()) {
      return absl::NotFoundError(
          absl::StrCat("drain has ", name, ", which is no expert worker that lives"));
    }
    worker->second->draining = true;
  }
  answer.expert_bytes = input->expert_bytes;
  answer.plan = PlanPlacement(*input, {.balance = query.balance});
  return answer;
}

void Coordinator::Drain() {
  Impl* impl = impl_.get();
  impl->door_loop.Post([impl](Time) { impl->door->Drain(); });
}

void Coordinator::Stop() {
  Impl* impl = impl_.get();
  impl->control_loop.Stop();
  impl->door_loop.Stop(
      [impl](Time) { impl->door->EndAll(TryAgainLater("the front door is shutting down")); });
}

}  // namespace expertmesh
