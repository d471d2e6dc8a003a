#include "simulation/network/sim_port.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kNoDeadline = Duration::max();

}  // namespace

// ---- the front door's end

SimPort::SimPort(Network* network, Process* process, std::string name, std::string address)
    : network_(network), process_(process), name_(std::move(name)), address_(std::move(address)) {}

SimPort::~SimPort() {
  for (auto& [id, call] : calls_) {
    call->port = nullptr;
    call->ended = true;
    call->socket->Close(absl::CancelledError("the front door has gone"));
  }
}

void SimPort::Start(RequestId id, GenerateRequest request, GenerationListener* listener) {
  auto call = std::make_shared<Call>();
  call->port = this;
  call->id = id;
  call->listener = listener;
  call->kept = request.kept;
  call->socket = std::make_shared<Socket>(network_, process_);
  calls_[id] = call;
  process_->Adopt(call->socket);
  call->socket->OnClosed([weak = std::weak_ptr<Call>(call)](const absl::Status& why) {
    if (std::shared_ptr<Call> broken = weak.lock()) broken->End(why);
  });
  const Time deadline = request.deadline;
  const Duration left = deadline == kNever ? kNoDeadline : deadline - process_->now();
  auto shared = std::make_shared<const GenerateRequest>(std::move(request));
  network_->Dial(call->socket, address_,
                 [call, shared, left](Process& process, const std::shared_ptr<Socket>& theirs) {
                   RequestServer* server = process.doors().requests;
                   if (server != nullptr) return server->OnDialled(theirs, call, *shared, left);
                   theirs->Close(absl::UnavailableError("no attention worker is here"));
                 });
  if (deadline != kNever) EndAt(deadline, call);
}

void SimPort::EndAt(Time deadline, const std::shared_ptr<Call>& call) {
  process_->world().events.At(process_->ToWorld(deadline), [process = process_, call] {
    if (call->ended) return;
    process->Post([call] { call->End(absl::DeadlineExceededError("the deadline passed")); });
  });
}

// Two ways, both legal: the worker is asked, and its answer is the end; or the stream is cut.
void SimPort::Cancel(RequestId id) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const std::shared_ptr<Call> call = found->second;
  if (call->server != nullptr && process_->world().network_chance.Chance(0.5)) {
    call->socket->SendInOrder(Traffic::kClient,
                              [call] { call->server->inner_->Cancel(call->server_id); });
    return;
  }
  if (call->kept.has_value()) Forget(*call->kept);
  Detach(id);
}

void SimPort::Detach(RequestId id) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  process_->Post(
      [call = found->second] { call->End(absl::CancelledError("cancelled by the client")); });
}

// By a connection of its own, which may not come about.
void SimPort::Forget(const KeptAnswer& kept) {
  auto socket = std::make_shared<Socket>(network_, process_);
  process_->Adopt(socket);
  network_->Dial(socket, address_, [kept](Process& process, const std::shared_ptr<Socket>& theirs) {
    RequestServer* server = process.doors().requests;
    if (server != nullptr) server->inner_->Forget(kept);
    theirs->Close(absl::CancelledError("told"));
  });
}

void SimPort::Call::OnDelta(Delta delta) {
  if (ended || finished) return;
  finished = delta.finish != FinishReason::kNone;
  listener->OnDelta(id, std::move(delta));
}

void SimPort::Call::End(absl::Status status) {
  if (std::exchange(ended, true)) return;
  socket->Close(absl::CancelledError("the request is over"));
  status = finished ? absl::OkStatus() : port->Verdict(status);
  port->calls_.erase(id);
  listener->OnEnd(id, std::move(status));
}

absl::Status SimPort::Verdict(const absl::Status& status) const {
  if (status.ok()) return absl::InternalError("the worker ended without a finish reason");
  if (!absl::IsUnavailable(status)) return status;
  return WithRetryAfter(
      absl::UnavailableError(absl::StrCat("attention worker ", name_, ": ", status.message())),
      RetryAfter(status).value_or(kRetryHint));
}

// ---- the attention worker's end

class RequestServer::Session final : public GenerationListener {
 public:
  Session(RequestServer* server, std::shared_ptr<Socket> socket,
          std::shared_ptr<SimPort::Call> call)
      : server_(server), socket_(std::move(socket)), call_(std::move(call)) {}

  void OnDelta(RequestId, Delta delta) override {
    auto shared = std::make_shared<const Delta>(std::move(delta));
    socket_->SendInOrder(Traffic::kClient, [call = call_, shared] { call->OnDelta(*shared); });
  }
  void OnEnd(RequestId id, absl::Status status) override {
    socket_->SendInOrder(Traffic::kClient, [call = call_, status] { call->End(status); });
    // The table's entry is this: not from inside it.
    server_->process_->Post([server = server_, id] { server->sessions_.erase(id); });
  }

 private:
  RequestServer* server_;
  std::shared_ptr<Socket> socket_;
  std::shared_ptr<SimPort::Call> call_;
};

RequestServer::RequestServer(Process* process, AttentionPort* inner)
    : process_(process), inner_(inner) {}

RequestServer::~RequestServer() = default;

void RequestServer::OnDialled(const std::shared_ptr<Socket>& socket,
                              const std::shared_ptr<SimPort::Call>& call, GenerateRequest request,
                              Duration time_left) {
  if (!socket->open()) return;
  const RequestId id = next_id_++;
  call->server = this;
  call->server_id = id;
  if (time_left != kNoDeadline) request.deadline = process_->now() + time_left;
  auto session = std::make_unique<Session>(this, socket, call);
  Session* listener = session.get();
  sessions_[id] = std::move(session);
  socket->OnClosed([this, id](const absl::Status&) { inner_->Detach(id); });
  inner_->Start(id, std::move(request), listener);
}

}  // namespace expertmesh::simulation
