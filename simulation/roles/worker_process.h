// worker_process.h: a worker's node in a simulated process: what WorkerLoop is on threads.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cluster/control_link.h"
#include "simulation/network/sim_link.h"
#include "simulation/network/sim_transport.h"
#include "simulation/process.h"
#include "transport/worker_loop.h"

namespace expertmesh::simulation {

class WorkerProcess : public Process, public Endpoint, public ControlLinkListener, public NodeHost {
 public:
  // `on_exit` is called when this life ends by itself, after it is dead.
  using OnExit = std::function<void(WorkerProcess* process, const absl::Status& why)>;
  WorkerProcess(World* world, Monitor* monitor, Network* network, ProcessIdentity identity,
                std::string coordinator_address, OnExit on_exit);
  ~WorkerProcess() override;

  virtual WorkerRole role() const = 0;
  virtual const WorkerNode* worker_node() const = 0;
  virtual void Drain() = 0;

  // Endpoint, ControlLinkListener: called in this process's loop.
  void OnOpened(std::shared_ptr<Channel> channel, const Hello& peer) override;
  void OnMessage(ChannelId channel, Message message) override;
  void OnClosed(ChannelId channel, absl::Status why) override;
  void OnLinkUp() override;
  void OnCommand(Command command) override;
  void OnLinkDown(absl::Status why) override;

  SentCallback SentToken(uint64_t token) override;
  void Exit(const absl::Status& why) override;

 protected:
  virtual WorkerNode* node() = 0;
  void Start() override { node()->Start(now()); }
  void Tick() override { node()->Tick(now()); }
  Time NextWakeup() const override { return worker_node()->NextWakeup(); }
  void OnComputed(uint64_t token) { node()->OnComputed(token, now()); }

  Network* network_;
  SimTransport transport_;
  SimLink link_;

 private:
  OnExit on_exit_;
};

}  // namespace expertmesh::simulation
