#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status.h"
#include "simulation/network/sim_transport.h"
#include "transport/wire.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kLongestQueueing = std::chrono::microseconds(80);
constexpr Duration kHeldUp = std::chrono::milliseconds(3);
constexpr Duration kLongestClosing = std::chrono::milliseconds(2);
constexpr Duration kNoticedWithin = std::chrono::seconds(3);
constexpr int kWindow = 32;

// Mostly soon; at times the transport's thread is held up.
Duration QueueingTime(Random& chance) {
  return chance.Between(Duration(0), chance.Chance(0.02) ? kHeldUp : kLongestQueueing);
}

uint64_t HashRows(const RowsView& rows) {
  uint64_t hash = rows.rows;
  for (size_t r = 0; r < rows.rows; ++r) {
    const std::byte* row = rows.row(r);
    for (size_t i = 0; i < rows.row_bytes; ++i) {
      hash = (hash ^ static_cast<uint64_t>(row[i])) * 0x100000001b3u;
    }
  }
  return hash;
}

StoredMessagePtr Take(const Outgoing& out) {
  auto message = std::make_shared<StoredMessage>();
  message->header = out.header;
  message->assignments = out.assignments;
  message->numbers = out.numbers;
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
  auto queued = std::make_shared<Queued>();
  queued->out = Outgoing(header, body, std::move(sent));
  queued->rows_hash = HashRows(body.rows);
  queued_.push_back(queued);
  world.events.After(QueueingTime(world.network_chance),
                     [self = shared_from_this(), queued] { self->Leave(queued); });
  return absl::OkStatus();
}

void SimChannel::Leave(const QueuedPtr& queued) {
  Process& process = socket_->owner();
  if (state_ != State::kOpen || !socket_->open()) return;  // Finish gives it back
  if (process.paused()) {  // its transport's threads stand still, too
    return process.Post([self = shared_from_this(), queued] { self->Leave(queued); });
  }
  const StoredMessagePtr message = Take(queued->out);
  std::erase(queued_, queued);
  GiveBack(*queued, absl::OkStatus());
  if (message->header.kind == MessageKind::kDispatch) {
    calls_out_.insert(message->header.call.sequence);
  }
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

void SimChannel::GiveBack(Queued& queued, absl::Status fate) {
  if (HashRows(queued.out.rows) != queued.rows_hash) {
    socket_->owner().world().Violate(
        "rows_untouched_until_sent",
        absl::StrCat(socket_->owner().label(), " has touched rows of call ",
                     ToString(queued.out.header.call), ", which are still to be sent"));
  }
  queued.out.Finish(std::move(fate));
}

// ---- receiving

void SimChannel::Arrive(const StoredMessage& message) {
  if (finished_ || state_ == State::kOpening) return;
  if (message.header.kind == MessageKind::kCombine) {
    calls_out_.erase(message.header.call.sequence);
  }
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
    end->unheard_since_ = kNever;  // it takes this for its peer's
    end->socket_->owner().Post([end, stale] { end->Arrive(*stale); });
  });
}

void SimChannel::CheckSilence() {
  std::shared_ptr<SimChannel> peer = peer_.lock();
  if (state_ != State::kOpen || peer == nullptr) return;
  const Network& network = *transport_->network_;
  const Process& here = socket_->owner();
  const Process& there = peer->socket_->owner();
  const bool cut = network.Blocked(socket_->host(), socket_->peer_host()) ||
                   network.Blocked(socket_->peer_host(), socket_->host());
  const bool deaf = cut || !there.alive() || there.paused();
  const Time now = here.world().events.now();
  const bool waits = deaf && !here.paused() && !calls_out_.empty();
  unheard_since_ = waits ? std::min(unheard_since_, now) : kNever;
  if (!waits || now - unheard_since_ <= kNoticedWithin) return;
  here.world().Violate(
      "silence_is_noticed",
      absl::StrCat(here.label(), " has ", calls_out_.size(), " calls out with ", there.label(),
                   ", which cannot be heard, and keeps the channel"));
}

// ---- the end

void SimChannel::Close(absl::Status why) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  socket_->Close(why);
  // The rest on a transport's own thread, which may be busy.
  World& world = socket_->owner().world();
  world.events.After(world.network_chance.Skewed(Duration(0), kLongestClosing),
                     [self = shared_from_this(), why] {
                       self->socket_->owner().Post([self, why] { self->Finish(why); });
                     });
}

void SimChannel::Finish(const absl::Status& why) {
  if (std::exchange(finished_, true)) return;
  state_ = State::kClosed;
  for (const QueuedPtr& queued : std::exchange(queued_, {})) {
    GiveBack(*queued, absl::CancelledError("channel closed"));
  }
  const std::shared_ptr<SimChannel> self = shared_from_this();  // outlives the table's entry
  transport_->channels_.erase(id_);
  transport_->endpoint_->OnClosed(id_, why);
}

}  // namespace expertmesh::simulation
