// sim_link.h: the control stream (cluster/control_link.h) over the simulated network: the worker's
// end, and control's door for it.
//
// In order while the network is well; with `reorder` in the quality of control traffic reports and
// commands are lost, doubled and overtaken.
#pragma once

#include <memory>
#include <string>

#include "cluster/control_link.h"
#include "simulation/network/network.h"
#include "simulation/network/socket.h"

namespace expertmesh::simulation {

class LinkServer;

class SimLink final : public ControlLink {
 public:
  SimLink(Network* network, Process* process, std::string coordinator_address);
  ~SimLink() override;

  void Connect(ControlLinkListener* listener) override;
  void Send(const Report& report) override;
  void Stop() override;

 private:
  friend class LinkServer;
  // One Connect. Each side's half is used in that side's loop.
  struct Session {
    Process* worker = nullptr;
    ControlLinkListener* listener = nullptr;
    std::shared_ptr<Socket> mine;
    bool up = false;
    LinkServer* server = nullptr;
    LinkId id = 0;
  };

  Network* network_;
  Process* process_;
  std::string address_;
  std::shared_ptr<Session> session_;
};

// Control's end of all links; in the coordinator's loop.
class LinkServer {
 public:
  LinkServer(Network* network, Process* process, ControlServerListener* listener);

 private:
  friend class SimLink;
  using SessionPtr = std::shared_ptr<SimLink::Session>;
  void OnDialled(const std::shared_ptr<Socket>& socket, const SessionPtr& session);
  void SendCommand(const std::shared_ptr<Socket>& socket, const SessionPtr& session,
                   const Command& command);

  Network* network_;
  Process* process_;
  ControlServerListener* listener_;
  LinkId next_id_ = 1;
};

}  // namespace expertmesh::simulation
