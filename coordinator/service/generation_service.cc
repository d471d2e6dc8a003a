#include "coordinator/service/generation_service.h"

#include <memory>
#include <utility>

#include "common/status.h"
#include "common/version.h"
#include "rpc/convert_user.h"
#include "rpc/generate_reactor.h"
#include "rpc/raw_message.h"
#include "rpc/unary_reactor.h"

namespace expertmesh {
namespace {

absl::StatusOr<UserRequest> ReadRequest(const grpc::ByteBuffer& bytes) {
  v1::GenerateRequest proto;
  RETURN_IF_ERROR(ParseMessage(bytes, &proto));
  return FromProto(proto);
}

ResponseEncoder EncoderFor(const absl::StatusOr<UserRequest>& request) {
  if (!request.ok()) return {};
  return {.request_id = request->request_id, .logprobs = request->logprobs};
}

// A call that is answered at once: `answer` makes the response of the request.
template <typename Request, typename Answer>
grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response,
                                    Answer answer) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  Request request;
  absl::Status status = ParseMessage(bytes, &request);
  if (status.ok()) {
    auto result = answer(request);
    status = result.status();
    if (status.ok()) *response = ToBytes(*result);
  }
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace

GenerationGrpcService::GenerationGrpcService(TextDoor* door, std::function<FleetListing()> list)
    : door_(door), list_(std::move(list)), calls_(door, [door] { return door->NewRequestId(); }) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerationGrpcService::GenerateStream(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  absl::StatusOr<UserRequest> value = ReadRequest(*request);
  auto encode = [encoder = EncoderFor(value)](const Delta& piece) {
    return ToBytes(encoder(piece));
  };
  return GenerateReactor<UserRequest, grpc::ByteBuffer>::Serve(&calls_, context, std::move(value),
                                                               std::move(encode));
}

grpc::ServerUnaryReactor* GenerationGrpcService::Generate(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request,
                                                          grpc::ByteBuffer* response) {
  absl::StatusOr<UserRequest> value = ReadRequest(*request);
  auto builder = std::make_shared<ResultBuilder>(EncoderFor(value));
  return UnaryReactor<UserRequest>::Serve(
      &calls_, context, std::move(value),
      {.add = [builder](const Delta& piece) { builder->Add(piece); },
       .finish = [builder, response] { *response = ToBytes(builder->Take()); }});
}

grpc::ServerUnaryReactor* GenerationGrpcService::Tokenize(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* bytes,
                                                          grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  v1::TokenizeRequest request;
  if (absl::Status status = ParseMessage(*bytes, &request); !status.ok()) {
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }
  const bool special = !request.has_special_tokens() || request.special_tokens();
  door_->Tokenize(request.text(), special, [reactor, response](auto ids) {
    if (ids.ok()) {
      v1::TokenizeResponse answer;
      answer.mutable_token_ids()->Add(ids->begin(), ids->end());
      *response = ToBytes(answer);
    }
    reactor->Finish(ToGrpcStatus(ids.status()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* GenerationGrpcService::Detokenize(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* bytes,
                                                            grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  v1::DetokenizeRequest request;
  if (absl::Status status = ParseMessage(*bytes, &request); !status.ok()) {
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }
  const bool special = !request.has_special_tokens() || request.special_tokens();
  std::vector<int32_t> ids(request.token_ids().begin(), request.token_ids().end());
  door_->Detokenize(std::move(ids), special, [reactor, response](auto text) {
    if (text.ok()) {
      v1::DetokenizeResponse answer;
      answer.set_text(*std::move(text));
      *response = ToBytes(answer);
    }
    reactor->Finish(ToGrpcStatus(text.status()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* GenerationGrpcService::Abort(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return AnswerNow<v1::AbortRequest>(
      context, *request, response,
      [this](const v1::AbortRequest& request) -> absl::StatusOr<v1::AbortResponse> {
        if (request.request_id().empty()) {
          return absl::InvalidArgumentError("request_id is empty; it names the requests to end");
        }
        v1::AbortResponse answer;
        answer.set_aborted(door_->Abort(request.request_id()));
        return answer;
      });
}

grpc::ServerUnaryReactor* GenerationGrpcService::ListModels(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  return AnswerNow<v1::ListModelsRequest>(
      context, *request, response,
      [this](const v1::ListModelsRequest&) -> absl::StatusOr<v1::ListModelsResponse> {
        v1::ListModelsResponse answer;
        v1::Model* model = answer.add_models();
        model->set_name(door_->model().name());
        model->set_text(door_->model().has_text());
        model->set_chat(door_->model().has_chat());
        for (const WorkerListing& worker : list_().workers) {
          if (worker.state != WorkerState::kReady) continue;
          model->set_fingerprint(ToString(worker.report.model.fingerprint));
          if (worker.report.role != WorkerRole::kAttention) continue;
          model->set_vocabulary(worker.report.vocabulary);
          model->set_max_context(worker.report.max_context);
        }
        return answer;
      });
}

grpc::ServerUnaryReactor* GenerationGrpcService::GetServerInfo(grpc::CallbackServerContext* context,
                                                               const grpc::ByteBuffer* request,
                                                               grpc::ByteBuffer* response) {
  return AnswerNow<v1::GetServerInfoRequest>(
      context, *request, response,
      [this](const v1::GetServerInfoRequest&) -> absl::StatusOr<v1::GetServerInfoResponse> {
        v1::GetServerInfoResponse answer;
        answer.set_version(Version());
        answer.set_uptime_ms(
            std::chrono::duration_cast<std::chrono::milliseconds>(Now() - started_).count());
        if (std::string missing = list_().missing; !missing.empty()) answer.set_missing(missing);
        answer.set_running_requests(static_cast<int32_t>(door_->running()));
        return answer;
      });
}

}  // namespace expertmesh
