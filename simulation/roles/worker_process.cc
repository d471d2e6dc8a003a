#include "simulation/roles/worker_process.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {

WorkerProcess::WorkerProcess(World* world, Monitor* monitor, Network* network,
                             ProcessIdentity identity, std::string coordinator_address,
                             OnExit on_exit)
    : Process(world, monitor, std::move(identity)),
      network_(network),
      transport_(network, this, this),
      link_(network, this, std::move(coordinator_address)),
      on_exit_(std::move(on_exit)) {
  doors_.channels = &transport_;
}

WorkerProcess::~WorkerProcess() = default;

void WorkerProcess::OnOpened(std::shared_ptr<Channel> channel, const Hello& peer) {
  world().Log(label(), "channel ", channel->id(), " to ", peer.name, " ",
              ToString(peer.incarnation), " is open");
  node()->OnOpened(std::move(channel), peer, now());
}

void WorkerProcess::OnMessage(ChannelId channel, Message message) {
  if (world().log.on()) {
    static constexpr const char* kKinds[] = {"?", "dispatch", "combine", "ping", "pong"};
    const MessageHeader& header = message.header;
    world().Log(label(), "channel ", channel, ": ", kKinds[static_cast<int>(header.kind)], " ",
                ToString(header.call), header.ping != 0 ? absl::StrCat(" #", header.ping) : "",
                " layer ", header.layer, ", ", header.rows, " rows");
  }
  node()->OnMessage(channel, std::move(message), now());
}

void WorkerProcess::OnClosed(ChannelId channel, absl::Status why) {
  world().Log(label(), "channel ", channel, " is closed: ", std::string(why.message()));
  node()->OnClosed(channel, why, now());
}

void WorkerProcess::OnLinkUp() {
  world().Log(label(), "link is up");
  node()->OnLinkUp(now());
}

void WorkerProcess::OnCommand(Command command) {
  if (world().log.on()) {
    world().Log(label(), "command ", command.term, "/", command.number, " as ",
                ToString(command.incarnation),
                command.fenced.empty() ? "" : ", fenced: ", command.fenced,
                command.topology == nullptr
                    ? ""
                    : absl::StrCat(", topology ", ToString(command.topology->epoch)));
  }
  node()->OnCommand(command, now());
}

void WorkerProcess::OnLinkDown(absl::Status why) {
  world().Log(label(), "link is down: ", std::string(why.message()));
  node()->OnLinkDown(why, now());
}

SentCallback WorkerProcess::SentToken(uint64_t token) {
  return
      [this, token](const absl::Status&) { Post([this, token] { node()->OnSent(token, now()); }); };
}

void WorkerProcess::Exit(const absl::Status& why) {
  world().Log(label(), "exits: ", std::string(why.message()));
  Die(/*silent=*/false);
  on_exit_(this, why);
}

}  // namespace expertmesh::simulation
