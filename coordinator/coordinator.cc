#include "coordinator/coordinator.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
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

  FleetListing ListNow() const;
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

namespace {

std::string Missing(const FleetListing& listing, const std::string& waiting_for) {
  if (!waiting_for.empty()) return absl::StrCat("control waits for ", waiting_for);
  if (listing.topology.epoch == Epoch{}) return "no topology has been published yet";
  if (!listing.uncovered.empty()) {
    return absl::StrCat("no READY expert worker holds ", listing.uncovered.ToText());
  }
  const bool serves =
      std::any_of(listing.topology.members.begin(), listing.topology.members.end(),
                  [](const Member& member) { return member.role == WorkerRole::kAttention; });
  return serves ? "" : "no attention worker is READY";
}

}  // namespace

FleetListing Coordinator::Impl::ListNow() const {
  FleetListing listing;
  if (membership->topology() != nullptr) {
    listing.topology = *membership->topology();
    listing.uncovered = Uncovered(listing.topology);
  }
  for (auto& [name, record] : membership->Records()) {
    Report report = record.report;
    report.incarnation = record.incarnation;
    listing.workers.push_back({std::move(report), record.state, record.assigned, record.note});
  }
  std::stable_sort(
      listing.workers.begin(), listing.workers.end(),
      [](const WorkerListing& a, const WorkerListing& b) { return a.report.role < b.report.role; });
  listing.missing = Missing(listing, membership->WaitingFor());
  return listing;
}

FleetListing Coordinator::List() const {
  Impl* impl = impl_.get();
  auto answer = std::make_shared<std::promise<FleetListing>>();
  std::future<FleetListing> future = answer->get_future();
  const bool posted =
      impl->control_loop.Post([impl, answer](Time) { answer->set_value(impl->ListNow()); });
  if (posted) return future.get();
  FleetListing stopped;
  stopped.missing = "control has stopped";
  return stopped;
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
