#include "simulation/network/sim_transport.h"

#include <utility>

#include "common/check.h"
#include "common/status.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kPatrolPeriod = std::chrono::milliseconds(500);
constexpr Duration kAnswerTimeoutLeast = std::chrono::milliseconds(1500);
constexpr Duration kAnswerTimeoutMost = std::chrono::milliseconds(5000);

}  // namespace

SimTransport::SimTransport(Network* network, Process* process, Endpoint* endpoint)
    : network_(network), process_(process), endpoint_(endpoint) {
  process_->world().events.After(kPatrolPeriod, [this] { Patrol(); });
}

SimTransport::~SimTransport() = default;

// A channel whose socket breaks is closed, and its endpoint told.
void SimTransport::Watch(const std::shared_ptr<SimChannel>& channel) {
  channels_[channel->id()] = channel;
  channel->socket_->TrustPeer();
  channel->socket_->OnClosed([weak = std::weak_ptr<SimChannel>(channel)](const absl::Status& why) {
    if (std::shared_ptr<SimChannel> closed = weak.lock()) closed->Finish(why);
  });
}

void SimTransport::Patrol() {
  if (!process_->alive()) return;
  for (const auto& [id, channel] : channels_) channel->CheckSilence();
  process_->world().events.After(kPatrolPeriod, [this] { Patrol(); });
}

// ---- dialling side

std::shared_ptr<Channel> SimTransport::Open(absl::string_view address,
                                            const PeerExpectation& expected) {
  CHECK(hello_.has_value(), "SetHello comes before the first Open");
  auto socket = std::make_shared<Socket>(network_, process_);
  process_->Adopt(socket);
  auto channel = std::make_shared<SimChannel>(this, next_id_++, socket, network_->NextConnection());
  Watch(channel);
  process_->world().Log(process_->label(), "dials ", expected.name, " ",
                        ToString(expected.incarnation));
  network_->Dial(socket, std::string(address),
                 [dialling = Dialling{channel, *hello_, expected}](
                     Process& process, const std::shared_ptr<Socket>& theirs) {
                   SimTransport* acceptor = process.doors().channels;
                   if (acceptor != nullptr) return acceptor->OnDialled(theirs, dialling);
                   theirs->Close(absl::UnavailableError("no worker is here"));
                 });
  GiveUpLater(channel);
  return channel;
}

void SimTransport::GiveUpLater(const std::shared_ptr<SimChannel>& channel) {
  const Duration timeout =
      process_->world().network_chance.Between(kAnswerTimeoutLeast, kAnswerTimeoutMost);
  process_->world().events.After(timeout, [channel, process = process_] {
    process->Post([channel] {
      if (channel->state_ != SimChannel::State::kOpening) return;
      channel->Close(absl::UnavailableError("no answer to the handshake"));
    });
  });
}

void SimTransport::OnAnswered(const Dialling& dialling, const Hello& theirs) {
  SimChannel& mine = *dialling.channel;
  if (mine.state_ != SimChannel::State::kOpening) return;
  absl::Status verdict = CheckCompatible(*hello_, theirs);
  if (verdict.ok()) verdict = CheckExpected(dialling.expected, theirs);
  if (!verdict.ok()) return mine.Close(verdict);
  mine.state_ = SimChannel::State::kOpen;
  endpoint_->OnOpened(dialling.channel, theirs);
}

// ---- accepting side

absl::Status SimTransport::Judge(const Hello& theirs) const {
  if (!hello_.has_value()) return absl::UnavailableError("this worker is not ready yet");
  RETURN_IF_ERROR(CheckCompatible(*hello_, theirs));
  return endpoint_->Judge(theirs);
}

void SimTransport::OnDialled(const std::shared_ptr<Socket>& socket, const Dialling& dialling) {
  if (!socket->open()) return;
  if (absl::Status verdict = Judge(dialling.hello); !verdict.ok()) {
    return socket->Close(Annotate(verdict, "refused"));
  }
  auto channel =
      std::make_shared<SimChannel>(this, next_id_++, socket, dialling.channel->connection_);
  channel->peer_ = dialling.channel;
  dialling.channel->peer_ = channel;
  channel->state_ = SimChannel::State::kOpen;
  Watch(channel);
  socket->SendInOrder(Traffic::kHandshake, [dialling, mine = *hello_] {
    dialling.channel->transport_->OnAnswered(dialling, mine);
  });
  endpoint_->OnOpened(channel, dialling.hello);
}

}  // namespace expertmesh::simulation
