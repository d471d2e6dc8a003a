#include "coordinator/service/generation_service.h"

#include <string>
#include <utility>

#include "rpc/convert_generation.h"
#include "rpc/generate_reactor.h"

namespace expertmesh {
namespace {

// Makes the messages of one call: the first one also says what the call is about.
struct ResponseEncoder {
  int32_t prompt_tokens = 0;
  std::string request_id;
  bool logprobs = false;
  bool first = true;

  v1::GenerateResponse operator()(const Delta& piece) {
    v1::GenerateResponse response = ToPublicProto(piece, logprobs);
    if (std::exchange(first, false)) {
      response.set_prompt_tokens(prompt_tokens);
      if (!request_id.empty()) response.set_request_id(request_id);
    }
    return response;
  }
};

}  // namespace

GenerationGrpcService::GenerationGrpcService(AttentionPort* front_door,
                                             std::function<RequestId()> new_id)
    : calls_(front_door, std::move(new_id)) {}

grpc::ServerWriteReactor<v1::GenerateResponse>* GenerationGrpcService::GenerateStream(
    grpc::CallbackServerContext* context, const v1::GenerateRequest* request) {
  absl::StatusOr<GenerateRequest> value = FromProto(*request);
  ResponseEncoder encoder;
  if (value.ok()) {
    encoder = {.prompt_tokens = static_cast<int32_t>(value->prompt.size()),
               .request_id = value->request_id,
               .logprobs = value->logprobs};
  }
  return GenerateReactor<v1::GenerateResponse>::Serve(&calls_, context, std::move(value),
                                                      std::move(encoder));
}

}  // namespace expertmesh
