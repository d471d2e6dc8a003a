#include "rpc/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>

#include <climits>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "grpc/health/v1/health.pb.h"
#include "rpc/address.h"
#include "rpc/status.h"

namespace expertmesh {
namespace {

constexpr int kReflectionThreads = 4;  // reflection is a synchronous service: bound its threads
constexpr std::chrono::milliseconds kCancelAgain{50};

// Both register themselves with every server built afterwards.
void EnableHealthAndReflection() {
  static const bool done = [] {
    // Bad bytes are refused with a reason; protobuf's own lines about them would let anybody fill
    // the log.
    google::protobuf::SetLogHandler(nullptr);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    // Links the health protocol's description in, so that reflection can tell it.
    return grpc::health::v1::HealthCheckRequest::descriptor() != nullptr;
  }();
  (void)done;
}

void Configure(const RpcServerOptions& options, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  builder.SetMaxSendMessageSize(options.max_message_bytes);
  // Without this two programs could share one port and each get a part of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  // Clients may ping as they like, with or without calls; and a client that vanished without a
  // word is noticed, so that its sequences do not run on.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  if (options.max_connection_age > Duration::zero()) {
    const auto age =
        std::chrono::duration_cast<std::chrono::milliseconds>(options.max_connection_age);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, static_cast<int>(age.count()));
    // Without a bound: calls have deadlines of their own.
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, INT_MAX);
  }
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  grpc::ResourceQuota quota("expertmesh");
  quota.SetMaxThreads(kReflectionThreads);
  builder.SetResourceQuota(quota);
  if (options.configure) options.configure(builder);
}

}  // namespace

// What nobody serves, with a word: gRPC's own answer has none.
class RpcServer::UnknownMethods final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    class Refusal final : public grpc::ServerGenericBidiReactor {
      void OnDone() override { delete this; }
    };
    auto* refusal = new Refusal;
    refusal->Finish(ToGrpcStatus(absl::UnimplementedError(absl::StrCat(
        "method is ", context->method(), "; it is not served here, reflection lists what is"))));
    return refusal;
  }
};

RpcServer::RpcServer(std::unique_ptr<UnknownMethods> unknown, std::unique_ptr<grpc::Server> server,
                     std::string address)
    : unknown_(std::move(unknown)), server_(std::move(server)), address_(std::move(address)) {}

RpcServer::~RpcServer() { Stop(Duration::zero()); }

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const RpcServerOptions& options, const std::vector<grpc::Service*>& services) {
  RETURN_IF_ERROR(CheckListenAddress(options.listen, options.allow_insecure_listen));
  ASSIGN_OR_RETURN(Address address, ParseAddress(options.listen));
  EnableHealthAndReflection();
  grpc::ServerBuilder builder;
  Configure(options, builder);
  int port = 0;
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  auto unknown = std::make_unique<UnknownMethods>();
  builder.RegisterCallbackGenericService(unknown.get());
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || (port == 0 && !address.is_unix)) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options.listen,
                                               ": it is taken, or not an address of this machine"));
  }
  if (!address.is_unix) address.port = port;
  return std::unique_ptr<RpcServer>(
      new RpcServer(std::move(unknown), std::move(server), ToString(address)));
}

void RpcServer::SetServing(absl::string_view service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(std::string(service), serving);
}

void RpcServer::SetNotServing() { server_->GetHealthCheckService()->Shutdown(); }

void RpcServer::Drain() {
  if (stopped_ || draining_.joinable()) return;
  SetNotServing();
  draining_ = std::thread([this] {
    server_->Shutdown();  // waits for as long as calls run
    MutexLock lock(mutex_);
    drained_ = true;
    changed_.notify_all();
  });
}

void RpcServer::Stop(Duration grace) {
  if (stopped_) return;
  Drain();
  Time until = Now() + grace;
  for (;;) {
    MutexLock lock(mutex_);
    while (!drained_ && Now() < until) changed_.wait_until(lock.native(), until);
    if (drained_) break;
    grpc_server_cancel_all_calls(server_->c_server());
    until = Now() + kCancelAgain;  // the thread may not have come to its Shutdown yet
  }
  draining_.join();
  stopped_ = true;
}

}  // namespace expertmesh
