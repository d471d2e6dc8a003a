// The suite on gRPC: a server for each worker, over loopback.
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "tests/conformance/channel_suite.h"
#include "tests/conformance/tcp_relay.h"
#include "transport/grpc/grpc_transport.h"

namespace expertmesh {
namespace {

class GrpcFleet final : public Fleet {
 public:
  ~GrpcFleet() override {
    for (auto& [name, worker] : workers_) worker.transport->Stop();
    for (auto& [name, worker] : workers_) worker.server->Shutdown();
  }

  Transport& Add(const std::string& name, Endpoint* endpoint) override {
    Worker& worker = workers_[name];
    GrpcTransportOptions options;
    options.hello_timeout = options.open_timeout = std::chrono::seconds(20);  // a loaded machine
    worker.transport = std::make_unique<GrpcTransport>(endpoint, options);
    grpc::ServerBuilder builder;
    GrpcTransport::Configure(builder);
    builder.RegisterService(worker.transport->service());
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &worker.port);
    worker.server = builder.BuildAndStart();
    worker.relay = std::make_unique<TcpRelay>(static_cast<uint16_t>(worker.port));
    return *worker.transport;
  }

  std::string Address(const std::string& name) override {
    return absl::StrCat("127.0.0.1:", workers_.at(name).port);
  }
  std::string AddressOfNobody() override {
    // A port that was free a moment ago, and that nobody listens on now.
    TcpRelay relay(1);
    relay.Cut();
    return absl::StrCat("127.0.0.1:", relay.port());
  }
  std::string FragileAddress(const std::string& name) override {
    return absl::StrCat("127.0.0.1:", workers_.at(name).relay->port());
  }
  void Vanish(const std::string& name) override { workers_.at(name).relay->Cut(); }

 private:
  struct Worker {
    std::unique_ptr<GrpcTransport> transport;
    std::unique_ptr<grpc::Server> server;
    std::unique_ptr<TcpRelay> relay;
    int port = 0;
  };

  std::map<std::string, Worker> workers_;
};

INSTANTIATE_TEST_SUITE_P(Grpc, ChannelConformance,
                         testing::Values(FleetKind{"grpc",
                                                   [] { return std::make_unique<GrpcFleet>(); }}),
                         NameOfKind);

}  // namespace
}  // namespace expertmesh
