#include "attention_worker/service/attention_service.h"

#include "rpc/convert_generation.h"
#include "rpc/generate_reactor.h"

namespace expertmesh {

AttentionGrpcService::AttentionGrpcService(AttentionPort* port)
    : port_(port), calls_(port, [this] { return ++last_id_; }) {}

grpc::ServerWriteReactor<v1::AttentionGenerateResponse>* AttentionGrpcService::Generate(
    grpc::CallbackServerContext* context, const v1::AttentionGenerateRequest* request) {
  return GenerateReactor<GenerateRequest, v1::AttentionGenerateResponse>::Serve(
      &calls_, context, FromProto(*request), [](const Delta& piece) { return ToProto(piece); });
}

grpc::ServerUnaryReactor* AttentionGrpcService::Forget(grpc::CallbackServerContext* context,
                                                       const v1::ForgetRequest* request,
                                                       v1::ForgetResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<KeptAnswer> kept = FromProto(*request);
  if (kept.ok()) port_->Forget(*kept);
  reactor->Finish(ToGrpcStatus(kept.status()));
  return reactor;
}

}  // namespace expertmesh
