// server.h: the one way a program of ours serves gRPC.
//
// With every server: the standard health service (grpc.health.v1), reflection, bounds on message
// sizes, keepalive that stands long silent calls, the listening rule of address.h, and a word to
// whoever calls a method that is not served.
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "rpc/channel.h"

namespace expertmesh {

// Calls that one connection may have at once; its further ones wait in the client.
inline constexpr int kMaxStreamsPerConnection = 8192;

struct RpcServerOptions {
  std::string listen = "127.0.0.1:0";  // port 0: any free one
  bool allow_insecure_listen = false;
  int max_message_bytes = kMaxControlMessageBytes;
  // A connection that is older is told so (GOAWAY): its calls go on to their end, new ones come on
  // a new connection, perhaps to another server behind the same name. Zero: none is too old.
  Duration max_connection_age = Duration::zero();
  // What a service needs of the server beyond that; called last.
  std::function<void(grpc::ServerBuilder&)> configure;
};

// Threads  any, but Stop by one.
class RpcServer {
 public:
  // Listens and serves. `services` (callback API) outlive the server. The whole server is SERVING
  // at once; services by name only after SetServing.
  // Errors  as CheckListenAddress; UNAVAILABLE: the address cannot be bound (taken, or not of this
  //         machine).
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const RpcServerOptions& options, const std::vector<grpc::Service*>& services);
  ~RpcServer();  // Stop()s without grace

  // What was bound, with the real port: "127.0.0.1:41231".
  const std::string& address() const { return address_; }

  // Health of one service by its full name; "" is the whole server.
  void SetServing(absl::string_view service, bool serving);
  // NOT_SERVING under every name, for good: balancers send nothing new.
  void SetNotServing();

  // NOT_SERVING, and GOAWAY on every connection: nothing new comes in, calls that run go on.
  // Returns at once; Stop follows. A call that is sent before its client has heard of it ends with
  // CANCELLED, or UNAVAILABLE: gRPC's doing.
  void Drain();

  // Drains, waits up to `grace` for calls to end, cancels those that have not. No reaction of any
  // service runs after it returns. Idempotent.
  void Stop(Duration grace);

 private:
  class UnknownMethods;
  RpcServer(std::unique_ptr<UnknownMethods> unknown, std::unique_ptr<grpc::Server> server,
            std::string address);

  std::unique_ptr<UnknownMethods> unknown_;  // outlives the server
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  bool stopped_ = false;
  std::thread draining_;  // waits for calls to end
  Mutex mutex_;
  std::condition_variable changed_;
  bool drained_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace expertmesh
