// grpc_transport.h: rows over gRPC, from anywhere to anywhere.
//
// Who dials needs nothing but this. Who is dialled registers service() on its own server:
//
//   GrpcTransport transport(&endpoint, options);
//   GrpcTransport::Configure(builder);              // message sizes
//   builder.RegisterService(transport.service());
//   ...
//   transport.Stop();                               // first: ends every stream, from either side
//   server->Shutdown();                             // then nothing is left to wait for
//
// The server must be shut down before the transport is destroyed.
//
// Latency  gRPC 1.51 runs all reactions of a process on two or more threads that nap for 100 ms
//          when a second has brought them nothing: the first message after silence may be so late.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "transport/channel.h"

namespace expertmesh {

struct GrpcTransportOptions {
  // Makes the connection to an address, with the transport's arguments (or more than those).
  // Null: plaintext.
  std::function<std::shared_ptr<grpc::Channel>(const std::string& address,
                                               const grpc::ChannelArguments& arguments)>
      connect;

  std::chrono::milliseconds hello_timeout{2000};  // accepting: from the stream's start to its hello
  std::chrono::milliseconds open_timeout{5000};   // dialling: from Open to the answer
  // A peer that takes nothing for so long while something waits for it loses its channel.
  std::chrono::milliseconds stall_timeout{10000};

  // The window of a channel: what the peer has not taken. One message is always let in.
  size_t max_messages = 1024;
  size_t max_bytes = kMaxFrameBytes;
  size_t max_accepted = 4096;  // streams accepted at a time; more are refused
};

class GrpcCore;

class GrpcTransport final : public Transport {
 public:
  GrpcTransport(Endpoint* endpoint, GrpcTransportOptions options);
  ~GrpcTransport() override;

  // The accepting side; lives as long as this transport.
  grpc::Service* service() { return service_.get(); }
  // Lets the largest frame through the server that `service` is registered on.
  static void Configure(grpc::ServerBuilder& builder);

  std::shared_ptr<Channel> Open(absl::string_view address,
                                const PeerExpectation& expected) override;
  void SetHello(const Hello& mine) override;
  // Says goodbye on every stream; who does not hear it within a second is cut off.
  void Stop() override;

 private:
  const std::shared_ptr<GrpcCore> core_;
  const std::unique_ptr<grpc::Service> service_;
  std::once_flag stopped_;
};

}  // namespace expertmesh
