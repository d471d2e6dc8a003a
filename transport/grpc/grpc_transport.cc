// Who owns what: the transport owns the core (with the roles' channels and live streams) and the
// service; the core's thread owns the links. Who owns a stream: frame_stream.h.
#include "transport/grpc/grpc_transport.h"

#include <utility>

#include "expertmesh/v1/expert_service.grpc.pb.h"
#include "transport/grpc/frame_codec.h"
#include "transport/grpc/grpc_core.h"

namespace expertmesh {
namespace {

class ChannelService final
    : public v1::ExpertService::WithRawCallbackMethod_Channel<v1::ExpertService::Service> {
 public:
  explicit ChannelService(std::shared_ptr<GrpcCore> core) : core_(std::move(core)) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Channel(
      grpc::CallbackServerContext* context) override {
    return core_->Accept(context);
  }

 private:
  const std::shared_ptr<GrpcCore> core_;
};

}  // namespace

GrpcTransport::GrpcTransport(Endpoint* endpoint, GrpcTransportOptions options)
    : core_(std::make_shared<GrpcCore>(endpoint, std::move(options))),
      service_(std::make_unique<ChannelService>(core_)) {
  core_->Start();
}

GrpcTransport::~GrpcTransport() { Stop(); }

void GrpcTransport::Configure(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(kMaxGrpcMessageBytes));
  builder.SetMaxSendMessageSize(static_cast<int>(kMaxGrpcMessageBytes));
}

std::shared_ptr<Channel> GrpcTransport::Open(absl::string_view address,
                                             const PeerExpectation& expected) {
  return core_->Open(address, expected);
}

void GrpcTransport::SetHello(const Hello& mine) { core_->SetHello(mine); }

void GrpcTransport::Stop() {
  std::call_once(stopped_, [this] { core_->Stop(); });
}

}  // namespace expertmesh
