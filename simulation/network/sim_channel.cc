#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status.h"
#include "simulation/network/sim_transport.h"
#include "transport/wire.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kLongestQueueing = std::chrono::microseconds(80);
constexpr int kWindow = 32;

StoredMessagePtr Take(const Outgoing& out) {
  auto message = std::make_shared<StoredMessage>();
  message->header = out.header;
  message->assignments = out.assignments;
  message->calls = out.calls;
  message->rows.resize(out.rows.rows * out.rows.row_bytes);
  if (!message->rows.empty()) GatherRows(out.rows, message->rows.data());
  return message;
}

}  // namespace

SimChannel::SimChannel(SimTransport* transport, ChannelId id, std::shared_ptr<Socket> socket,
                       uint64_t connection)
    : transport_(transport), id_(id), socket_(std::move(socket)), connection_(connection) {}

// ---- sending

absl::Status SimChannel::Send(const MessageHeader& header, const Body& body, Event ready,
                              SentCallback sent) {
  CHECK(ready.Passed(), "simulated compute has no streams");
  World& world = socket_->owner().world();
  if (state_ == State::kOpening) return absl::UnavailableError("the channel is not open yet");
  // A broken one may be noticed by the send, or only later.
  const bool noticed = !socket_->open() && world.network_chance.Chance(0.5);
  if (state_ == State::kClosed || noticed) return absl::UnavailableError("the channel is closed");
  RETURN_IF_ERROR(FrameBytes(header, body).status());
  if (in_flight_ >= kWindow) {
    return absl::ResourceExhaustedError(absl::StrCat("the peer has not taken ", kWindow, " yet"));
  }
  ++in_flight_;
  auto out = std::make_shared<Outgoing>(header, body, std::move(sent));
  queued_.push_back(out);
  world.events.After(world.network_chance.Between(Duration(0), kLongestQueueing),
                     [self = shared_from_this(), out] { self->Leave(out); });
  return absl::OkStatus();
}

void SimChannel::Leave(const std::shared_ptr<Outgoing>& out) {
  Process& process = socket_->owner();
  if (state_ != State::kOpen || !socket_->open()) return;  // Finish gives it back
  if (process.paused()) {  // its transport's threads stand still, too
    return process.Post([self = shared_from_this(), out] { self->Leave(out); });
  }
  const StoredMessagePtr message = Take(*out);
  std::erase(queued_, out);
  out->Finish(absl::OkStatus());
  std::shared_ptr<SimChannel> peer = peer_.lock();
  if (peer == nullptr) return;
  auto taken = std::make_shared<bool>(false);
  const bool goes =
      socket_->Send(Traffic::kData, [peer, message, taken, self = shared_from_this()] {
        if (!std::exchange(*taken, true)) --self->in_flight_;
        peer->Arrive(*message);
      });
  if (!goes) --in_flight_;
  Disturb(message);
}

// ---- receiving

void SimChannel::Arrive(const StoredMessage& message) {
  if (finished_ || state_ == State::kOpening) return;
  transport_->endpoint_->OnMessage(id_, message.Copy());
}

void SimChannel::Disturb(const StoredMessagePtr& message) {
  Network& network = *transport_->network_;
  if (!network.keeps_messages()) return;
  Random& chance = network.world().network_chance;
  const HostId here = socket_->host();
  const HostId there = socket_->peer_host();
  Limbo& limbo = network.limbo();
  limbo.Keep(here, there, connection_, message, chance);
  const double stale = network.stale();
  if (chance.Chance(stale)) {
    Inject(peer_.lock(), limbo.Any(here, there, connection_, chance));
  }
  if (message->header.kind == MessageKind::kDispatch && chance.Chance(stale)) {
    Inject(shared_from_this(), limbo.Combine(there, here, connection_, *message));
  }
}

void SimChannel::Inject(const std::shared_ptr<SimChannel>& end, StoredMessagePtr stale) {
  if (end == nullptr || stale == nullptr) return;
  World& world = socket_->owner().world();
  world.Log("network", "to ", end->socket_->owner().label(), " comes call ",
            ToString(stale->header.call), " from an earlier channel");
  world.events.After(transport_->network_->DrawDelay(), [end, stale = std::move(stale)] {
    if (!end->socket_->open()) return;
    end->socket_->owner().Post([end, stale] { end->Arrive(*stale); });
  });
}

// ---- the end

void SimChannel::Close(absl::Status why) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  socket_->Close(why);
  // The rest as on a transport's own thread: not from inside the caller.
  socket_->owner().Post([self = shared_from_this(), why] { self->Finish(why); });
}

void SimChannel::Finish(const absl::Status& why) {
  if (std::exchange(finished_, true)) return;
  state_ = State::kClosed;
  for (const std::shared_ptr<Outgoing>& out : std::exchange(queued_, {})) {
    out->Finish(absl::CancelledError("channel closed"));
  }
  const std::shared_ptr<SimChannel> self = shared_from_this();  // outlives the table's entry
  transport_->channels_.erase(id_);
  transport_->endpoint_->OnClosed(id_, why);
}

}  // namespace expertmesh::simulation
