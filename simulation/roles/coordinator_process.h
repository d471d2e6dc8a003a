// coordinator_process.h: control and front door in one simulated process, wired as
// coordinator/coordinator.cc wires them on threads.
#pragma once

#include <map>
#include <memory>

#include "cluster/control_link.h"
#include "coordinator/front_door/front_door.h"
#include "coordinator/membership/membership.h"
#include "simulation/network/sim_link.h"
#include "simulation/network/sim_port.h"
#include "simulation/process.h"

namespace expertmesh::simulation {

class CoordinatorProcess final : public Process,
                                 public ControlServerListener,
                                 public MembershipHost,
                                 public GenerationListener {
 public:
  CoordinatorProcess(World* world, Monitor* monitor, Network* network, ProcessIdentity identity,
                     int32_t initial_expert_workers, TriggerOptions balance);
  ~CoordinatorProcess() override;

  // From clients; in this process's loop.
  void StartRequest(RequestId id, GenerateRequest request, GenerationListener* listener);
  void CancelRequest(RequestId id);
  void DetachRequest(RequestId id);

  const Membership* membership() const { return membership_.get(); }
  Membership& control() { return *membership_; }  // in this process's loop
  size_t sessions() const { return door_->sessions(); }

  void OnLinkOpened(LinkId id, Link link) override;
  void OnReport(LinkId id, Report report) override;
  void OnLinkClosed(LinkId id) override;
  void Discard() override;

 private:
  void Start() override {}
  void Tick() override { membership_->Tick(now()); }
  Time NextWakeup() const override { return membership_->NextWakeup(); }
  void Inspect() override {}

  void SendCommand(LinkId link, const Command& command) override;
  void CloseLink(LinkId link) override;
  void TopologyChanged(std::shared_ptr<const Topology> topology) override;
  void OnDelta(RequestId id, Delta delta) override;
  void OnEnd(RequestId id, absl::Status status) override;

  Network* network_;
  LinkServer link_server_;
  std::map<LinkId, Link> links_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<FrontDoor> door_;
};

}  // namespace expertmesh::simulation
