// sim_port.h: a front door's port to one attention worker (generation/request_port.h) over the
// simulated network, and the worker's door for it. One stream per request: in order, or broken, and
// then the request ends with UNAVAILABLE.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "generation/request_port.h"
#include "simulation/network/network.h"
#include "simulation/network/socket.h"

namespace expertmesh::simulation {

class RequestServer;

class SimPort final : public AttentionPort {
 public:
  SimPort(Network* network, Process* process, std::string name, std::string address);
  ~SimPort() override;  // cancels what runs, without callbacks

  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override;
  void Cancel(RequestId id) override;
  void Detach(RequestId id) override;
  void Forget(const KeptAnswer& kept) override;

 private:
  friend class RequestServer;
  // One request. The front door's half is used in the coordinator's loop, `server*` in the
  // worker's.
  struct Call {
    SimPort* port = nullptr;  // null when the port is gone
    RequestId id = 0;
    GenerationListener* listener = nullptr;
    std::optional<KeptAnswer> kept;
    std::shared_ptr<Socket> socket;
    bool finished = false;  // the last delta has come
    bool ended = false;
    RequestServer* server = nullptr;
    RequestId server_id = 0;

    void OnDelta(Delta delta);
    void End(absl::Status status);
  };
  absl::Status Verdict(const absl::Status& status) const;
  void EndAt(Time deadline, const std::shared_ptr<Call>& call);

  Network* network_;
  Process* process_;
  std::string name_;
  std::string address_;
  std::map<RequestId, std::shared_ptr<Call>> calls_;
};

// In the attention worker's loop.
class RequestServer {
 public:
  // `inner` is the worker itself.
  RequestServer(Process* process, AttentionPort* inner);
  ~RequestServer();

 private:
  friend class SimPort;
  class Session;
  void OnDialled(const std::shared_ptr<Socket>& socket, const std::shared_ptr<SimPort::Call>& call,
                 GenerateRequest request, Duration time_left);

  Process* process_;
  AttentionPort* inner_;
  RequestId next_id_ = 1;
  std::map<RequestId, std::unique_ptr<Session>> sessions_;
};

}  // namespace expertmesh::simulation
