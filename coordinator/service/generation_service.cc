#include "coordinator/service/generation_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "common/status.h"
#include "common/version.h"
#include "rpc/convert_generation.h"
#include "rpc/convert_user.h"
#include "rpc/generate_reactor.h"
#include "rpc/raw_message.h"
#include "rpc/unary_reactor.h"

namespace expertmesh {
namespace {

// Who asks: the address without the port, since a caller may have many connections. (Until there
// are credentials.)
std::string HostOf(const std::string& peer) {
  const bool has_port = absl::StartsWith(peer, "ipv4:") || absl::StartsWith(peer, "ipv6:");
  return peer.substr(0,
                     std::min<size_t>(has_port ? peer.rfind(':') : peer.size(), kMaxCallerBytes));
}

template <typename Proto>
absl::StatusOr<UserRequest> ReadRequest(const grpc::CallbackServerContext& context,
                                        const grpc::ByteBuffer& bytes) {
  Proto proto;
  RETURN_IF_ERROR(ParseMessage(bytes, &proto));
  ASSIGN_OR_RETURN(UserRequest request, FromProto(proto));
  request.caller = HostOf(context.peer());
  return request;
}

ResponseEncoder EncoderFor(const absl::StatusOr<UserRequest>& request) {
  if (!request.ok()) return {};
  return {.request_id = request->request_id, .logprobs = request->logprobs};
}

// How the short unary calls go: what they have in common, beside their work.
struct ShortCall {
  grpc::CallbackServerContext* context;
  const grpc::ByteBuffer* request;
  grpc::ByteBuffer* response;
  GenerationMetrics* metrics;
  absl::string_view method;
};

// `start` gets the request, and a function that ends the call with a response or an error when it
// is called, on whatever thread.
template <typename Request, typename Response, typename Start>
grpc::ServerUnaryReactor* AnswerLater(const ShortCall& call, Start start) {
  grpc::ServerUnaryReactor* reactor = call.context->DefaultReactor();
  auto end = [reactor, call](const absl::StatusOr<Response>& result) {
    if (result.ok()) *call.response = ToBytes(*result);
    call.metrics->Count(call.method, result.status());
    reactor->Finish(ToGrpcStatus(result.status()));
  };
  Request request;
  if (absl::Status status = ParseMessage(*call.request, &request); !status.ok()) {
    end(status);
  } else {
    start(request, std::move(end));
  }
  return reactor;
}

// The same where `answer` makes the response of the request at once.
template <typename Request, typename Response, typename Answer>
grpc::ServerUnaryReactor* AnswerNow(const ShortCall& call, Answer answer) {
  return AnswerLater<Request, Response>(
      call, [&answer](const Request& request, auto end) { end(answer(request)); });
}

}  // namespace

GenerationGrpcService::GenerationGrpcService(TextDoor* door, std::function<FleetListing()> list,
                                             GenerationMetrics* metrics)
    : door_(door),
      metrics_(metrics),
      list_(std::move(list)),
      calls_(door, [door] { return door->NewRequestId(); }) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerationGrpcService::GenerateStream(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  absl::StatusOr<UserRequest> value = ReadRequest<v1::GenerateRequest>(*context, *request);
  auto encode = [encoder = EncoderFor(value)](const Delta& piece) {
    return ToBytes(encoder(piece));
  };
  return GenerateReactor<UserRequest, grpc::ByteBuffer>::Serve(
      &calls_, context, std::move(value), std::move(encode), metrics_->Watch("GenerateStream"));
}

grpc::ServerUnaryReactor* GenerationGrpcService::Generate(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request,
                                                          grpc::ByteBuffer* response) {
  absl::StatusOr<UserRequest> value = ReadRequest<v1::GenerateRequest>(*context, *request);
  auto builder = std::make_shared<ResultBuilder>(EncoderFor(value));
  return UnaryReactor<UserRequest>::Serve(
      &calls_, context, std::move(value),
      {.add = [builder](const Delta& piece) { builder->Add(piece); },
       .finish = [builder, response] { *response = ToBytes(builder->Take()); }},
      metrics_->Watch("Generate"));
}

grpc::ServerUnaryReactor* GenerationGrpcService::Embed(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  absl::StatusOr<UserRequest> value = ReadRequest<v1::EmbedRequest>(*context, *request);
  auto answer = std::make_shared<PooledAnswer>(value.ok() ? *value : UserRequest());
  return UnaryReactor<UserRequest>::Serve(
      &calls_, context, std::move(value),
      {.add = [answer](const Delta& piece) { answer->Add(piece); },
       .finish = [answer, response] { *response = ToBytes(answer->TakeEmbedding()); }},
      metrics_->Watch("Embed"));
}

grpc::ServerUnaryReactor* GenerationGrpcService::Classify(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request,
                                                          grpc::ByteBuffer* response) {
  absl::StatusOr<UserRequest> value = ReadRequest<v1::ClassifyRequest>(*context, *request);
  auto answer = std::make_shared<PooledAnswer>(value.ok() ? *value : UserRequest());
  return UnaryReactor<UserRequest>::Serve(
      &calls_, context, std::move(value),
      {.add = [answer](const Delta& piece) { answer->Add(piece); },
       .finish = [answer, response] { *response = ToBytes(answer->TakeClasses()); }},
      metrics_->Watch("Classify"));
}

grpc::ServerUnaryReactor* GenerationGrpcService::Tokenize(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request,
                                                          grpc::ByteBuffer* response) {
  return AnswerLater<v1::TokenizeRequest, v1::TokenizeResponse>(
      {context, request, response, metrics_, "Tokenize"},
      [this](const v1::TokenizeRequest& request, auto end) {
        if (!request.has_text()) {
          return end(absl::InvalidArgumentError("text is not set; it is what to make tokens of"));
        }
        const bool special = !request.has_special_tokens() || request.special_tokens();
        door_->Tokenize(request.text(), special, [end](auto ids) {
          if (!ids.ok()) return end(ids.status());
          v1::TokenizeResponse answer;
          answer.mutable_token_ids()->Add(ids->begin(), ids->end());
          end(answer);
        });
      });
}

grpc::ServerUnaryReactor* GenerationGrpcService::Detokenize(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  return AnswerLater<v1::DetokenizeRequest, v1::DetokenizeResponse>(
      {context, request, response, metrics_, "Detokenize"},
      [this](const v1::DetokenizeRequest& request, auto end) {
        const bool special = !request.has_special_tokens() || request.special_tokens();
        std::vector<int32_t> ids(request.token_ids().begin(), request.token_ids().end());
        door_->Detokenize(std::move(ids), special, [end](auto text) {
          if (!text.ok()) return end(text.status());
          v1::DetokenizeResponse answer;
          answer.set_text(*std::move(text));
          end(answer);
        });
      });
}

grpc::ServerUnaryReactor* GenerationGrpcService::Abort(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return AnswerNow<v1::AbortRequest, v1::AbortResponse>(
      {context, request, response, metrics_, "Abort"},
      [this](const v1::AbortRequest& request) -> absl::StatusOr<v1::AbortResponse> {
        if (request.request_id().empty() && !request.has_resume_token()) {
          return absl::InvalidArgumentError("request_id is empty; it names the requests to end");
        }
        v1::AbortResponse answer;
        answer.set_aborted(0);
        if (request.has_resume_token()) {
          ASSIGN_OR_RETURN(const KeptAnswer kept, FromResumeToken(request.resume_token()));
          door_->Forget(kept);
        }
        if (!request.request_id().empty()) answer.set_aborted(door_->Abort(request.request_id()));
        return answer;
      });
}

grpc::ServerUnaryReactor* GenerationGrpcService::ListModels(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  return AnswerNow<v1::ListModelsRequest, v1::ListModelsResponse>(
      {context, request, response, metrics_, "ListModels"},
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
  return AnswerNow<v1::GetServerInfoRequest, v1::GetServerInfoResponse>(
      {context, request, response, metrics_, "GetServerInfo"},
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
