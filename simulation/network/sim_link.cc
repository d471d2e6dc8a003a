#include "simulation/network/sim_link.h"

#include <utility>

#include "simulation/invariants/monitor.h"

namespace expertmesh::simulation {
namespace {

void SendControl(Network& network, Socket& socket, Task deliver) {
  const Quality& quality = network.quality(Traffic::kControl);
  Random& chance = network.world().network_chance;
  // A short partition may pass unnoticed by the stream: then a report or command is just missing.
  const bool missing = network.Blocked(socket.host(), socket.peer_host()) && chance.Chance(0.5);
  if (!quality.reorder && !missing) {
    return socket.SendInOrder(Traffic::kControl, std::move(deliver));
  }
  if (chance.Chance(quality.broken)) socket.Tear();
  socket.Send(Traffic::kControl, std::move(deliver));
}

}  // namespace

// ---- the worker's end

SimLink::SimLink(Network* network, Process* process, std::string coordinator_address)
    : network_(network), process_(process), address_(std::move(coordinator_address)) {}

SimLink::~SimLink() = default;

void SimLink::Connect(ControlLinkListener* listener) {
  Stop();
  auto session = std::make_shared<Session>();
  session_ = session;
  session->worker = process_;
  session->listener = listener;
  session->mine = std::make_shared<Socket>(network_, process_);
  process_->Adopt(session->mine);
  session->mine->OnClosed([listener](const absl::Status& why) { listener->OnLinkDown(why); });
  network_->Dial(session->mine, address_,
                 [session](Process& process, const std::shared_ptr<Socket>& theirs) {
                   LinkServer* server = process.doors().links;
                   if (server != nullptr) return server->OnDialled(theirs, session);
                   theirs->Close(absl::UnavailableError("no coordinator is here"));
                 });
}

void SimLink::Send(const Report& report) {
  process_->monitor().OnReport(*process_, report);
  if (session_ == nullptr || !session_->up) return;
  auto shared = std::make_shared<const Report>(report);
  SendControl(*network_, *session_->mine, [session = session_, shared] {
    session->server->listener_->OnReport(session->id, *shared);
  });
}

void SimLink::Stop() {
  if (session_ == nullptr) return;
  session_->mine->Close(absl::CancelledError("the worker lets go of the link"));
  session_ = nullptr;
}

// ---- control's end

LinkServer::LinkServer(Network* network, Process* process, ControlServerListener* listener)
    : network_(network), process_(process), listener_(listener) {}

void LinkServer::OnDialled(const std::shared_ptr<Socket>& socket, const SessionPtr& session) {
  if (!socket->open()) return;
  const LinkId id = next_id_++;
  session->server = this;
  session->id = id;
  socket->OnClosed([this, id](const absl::Status&) { listener_->OnLinkClosed(id); });
  ControlServerListener::Link link;
  link.send = [this, socket, session](const Command& command) {
    SendCommand(socket, session, command);
  };
  link.close = [this, socket, id] {
    if (!socket->open()) return;
    socket->Close(absl::UnavailableError("control closed the link"));
    process_->Post([this, id] { listener_->OnLinkClosed(id); });
  };
  listener_->OnLinkOpened(id, std::move(link));
  socket->SendInOrder(Traffic::kHandshake, [session] {
    session->up = true;
    session->listener->OnLinkUp();
  });
}

void LinkServer::SendCommand(const std::shared_ptr<Socket>& socket, const SessionPtr& session,
                             const Command& command) {
  auto shared = std::make_shared<const Command>(command);
  SendControl(*network_, *socket, [process = process_, session, shared] {
    if (!session->up) return;
    session->worker->monitor().OnCommandArrives(*session->worker, *process, *shared);
    session->listener->OnCommand(*shared);
  });
}

}  // namespace expertmesh::simulation
