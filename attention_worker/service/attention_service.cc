#include "attention_worker/service/attention_service.h"

#include "rpc/convert_generation.h"
#include "rpc/generate_reactor.h"

namespace expertmesh {

AttentionGrpcService::AttentionGrpcService(AttentionPort* port)
    : calls_(port, [this] { return ++last_id_; }) {}

grpc::ServerWriteReactor<v1::AttentionGenerateResponse>* AttentionGrpcService::Generate(
    grpc::CallbackServerContext* context, const v1::AttentionGenerateRequest* request) {
  return GenerateReactor<GenerateRequest, v1::AttentionGenerateResponse>::Serve(
      &calls_, context, FromProto(*request), [](const Delta& piece) { return ToProto(piece); });
}

}  // namespace expertmesh
