#include "simulation/roles/coordinator_process.h"

#include <utility>

#include "simulation/invariants/monitor.h"

namespace expertmesh::simulation {
namespace {

// As the real one: distinct from one start of a coordinator to the next, whatever is known of
// terms.
uint64_t NumberOfThisStart(const World& world) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(world.events.now().time_since_epoch())
          .count());
}

}  // namespace

CoordinatorProcess::CoordinatorProcess(World* world, Monitor* monitor, Network* network,
                                       ProcessIdentity identity, int32_t initial_expert_workers,
                                       TriggerOptions balance)
    : Process(world, monitor, std::move(identity)),
      network_(network),
      link_server_(network, this, this) {
  MembershipOptions options;
  options.initial_expert_workers = initial_expert_workers;
  options.balance = balance;
  options.first_number = NumberOfThisStart(*world);
  membership_ = std::make_unique<Membership>(options, this, now());
  door_ = std::make_unique<FrontDoor>(
      [this](const Member& worker) {
        return std::make_unique<SimPort>(network_, this, worker.name, worker.address);
      },
      this);
  doors_.links = &link_server_;
}

CoordinatorProcess::~CoordinatorProcess() = default;

void CoordinatorProcess::Discard() {
  door_.reset();
  membership_.reset();
  links_.clear();
}

// ---- clients

void CoordinatorProcess::StartRequest(RequestId id, GenerateRequest request,
                                      GenerationListener* listener) {
  door_->Start(id, std::move(request), listener);
}

void CoordinatorProcess::CancelRequest(RequestId id) { door_->Cancel(id); }
void CoordinatorProcess::DetachRequest(RequestId id) { door_->Detach(id); }

// Ports call these; as on threads, they only post.
void CoordinatorProcess::OnDelta(RequestId id, Delta delta) {
  auto shared = std::make_shared<Delta>(std::move(delta));
  Post([this, id, shared] { door_->OnDelta(id, std::move(*shared)); });
}

void CoordinatorProcess::OnEnd(RequestId id, absl::Status status) {
  Post([this, id, status] { door_->OnEnd(id, status); });
}

// ---- workers

void CoordinatorProcess::OnLinkOpened(LinkId id, Link link) {
  links_[id] = std::move(link);
  membership_->OnLinkOpened(id);
}

void CoordinatorProcess::OnReport(LinkId id, Report report) {
  membership_->OnReport(id, report, now());
}

void CoordinatorProcess::OnLinkClosed(LinkId id) {
  links_.erase(id);
  membership_->OnLinkClosed(id, now());
}

void CoordinatorProcess::SendCommand(LinkId link, const Command& command) {
  monitor().OnCommandSent(*this, *membership_, command);
  if (auto found = links_.find(link); found != links_.end()) found->second.send(command);
}

void CoordinatorProcess::CloseLink(LinkId link) {
  if (auto found = links_.find(link); found != links_.end()) found->second.close();
}

void CoordinatorProcess::TopologyChanged(std::shared_ptr<const Topology> topology) {
  monitor().OnTopology(*this, *topology);
  if (world().log.on()) {
    world().Log(label(), "topology ", ToString(topology->epoch), ": ", topology->members.size(),
                " ready; uncovered: ", Uncovered(*topology).ToText());
  }
  Post([this, topology] { door_->OnTopology(topology); });
}

}  // namespace expertmesh::simulation
