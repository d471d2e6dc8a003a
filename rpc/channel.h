// channel.h: how every client of ours dials: fast to come back, quick to see a dead peer.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>

namespace expertmesh {

// The largest message of every API but the data plane's (transport/ gives its own bound).
inline constexpr int kMaxControlMessageBytes = 32 << 20;

// Reconnects after 0.1 s at first and 1 s at most; a connection attempt ends after 2 s; pings a
// silent peer every 10 s while calls run and gives it up after 5 s more. Proxies of the environment
// are not used: a fleet's members reach each other directly.
grpc::ChannelArguments ClientArguments(int max_message_bytes = kMaxControlMessageBytes);

// A plain-text channel; connects when first used.
std::shared_ptr<grpc::Channel> DialInsecure(const std::string& address);

}  // namespace expertmesh
