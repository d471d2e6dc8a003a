#include "client/client.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/answer_so_far.h"
#include "common/status.h"
#include "rpc/channel.h"
#include "rpc/convert_generation.h"
#include "rpc/deadline.h"
#include "rpc/status.h"

namespace expertmesh {
namespace {

constexpr std::chrono::seconds kAskPatience{5};
constexpr std::chrono::seconds kForgetPatience{1};
constexpr std::chrono::milliseconds kPollPeriod{100};

}  // namespace

Client::Client(const std::string& address) {
  channel_ = DialInsecure(address);
  generation_ = v1::Generation::NewStub(channel_);
  admin_ = v1::Admin::NewStub(channel_);
}

// A channel gets on with connecting only while somebody waits on it: after a mere sleep the next
// call would find it where the last one left it, and fail at once as well.
void Client::Pause(Duration pause) {
  const Time until = Now() + pause;
  channel_->WaitForConnected(ToGrpcDeadline(until));
  std::this_thread::sleep_until(until);
}

absl::Status Client::AskOfPrompt(const UserRequest& request,
                                 const std::function<void(Delta)>& on_delta) {
  return WithContext(request.deadline, [&](grpc::ClientContext& context) -> absl::Status {
    const bool classifies = request.pooling == Pooling::kClasses;
    v1::ClassifyResponse classes;
    v1::EmbedResponse embedding;
    RETURN_IF_ERROR(FromGrpcStatus(
        classifies ? generation_->Classify(&context, ToClassifyProto(request), &classes)
                   : generation_->Embed(&context, ToEmbedProto(request), &embedding)));
    on_delta(classifies ? DeltaOf(classes) : DeltaOf(embedding));
    return absl::OkStatus();
  });
}

absl::Status Client::WithContext(Time deadline,
                                 const std::function<absl::Status(grpc::ClientContext&)>& call) {
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(deadline));
  const absl::Cleanup forget = [&] {
    MutexLock lock(mutex_);
    running_.erase(&context);
  };
  {
    MutexLock lock(mutex_);
    running_.insert(&context);
  }
  return call(context);
}

absl::Status Client::GenerateOnce(const UserRequest& request,
                                  const std::function<void(Delta)>& on_delta) {
  if (request.pooling != Pooling::kNone) return AskOfPrompt(request, on_delta);
  return WithContext(request.deadline, [&](grpc::ClientContext& context) {
    return Stream(context, request, on_delta);
  });
}

absl::Status Client::Stream(grpc::ClientContext& context, const UserRequest& request,
                            const std::function<void(Delta)>& on_delta) {
  auto reader = generation_->GenerateStream(&context, ToProto(request));
  v1::GenerateResponse response;
  const int32_t wanted = request.resume.has_value() ? 1 : request.sampling.n.value_or(1);
  int32_t finished = 0;
  absl::Status refused;
  while (refused.ok() && reader->Read(&response)) {
    absl::StatusOr<Delta> delta = FromProto(response);
    if (!delta.ok()) {
      refused = absl::InternalError(
          absl::StrCat("the server answered nonsense: ", delta.status().message()));
      context.TryCancel();
      break;
    }
    finished += delta->finish != FinishReason::kNone ? 1 : 0;
    on_delta(*std::move(delta));
  }
  const absl::Status status = FromGrpcStatus(reader->Finish());
  RETURN_IF_ERROR(refused);
  if (finished == wanted) return absl::OkStatus();  // whatever came after the last piece
  RETURN_IF_ERROR(status);
  return absl::InternalError(
      absl::StrCat("the server ended after ", finished, " of ", wanted, " finish reasons"));
}

absl::Status Client::Generate(const UserRequest& request,
                              const std::function<void(const Delta&)>& on_delta) {
  AnswerSoFar answer(request);
  int resumes = 0;
  for (;;) {
    const absl::Status status = GenerateOnce(answer.Rest(), [&](Delta delta) {
      if (!delta.tokens.empty()) resumes = 0;
      answer.Take(delta);
      on_delta(delta);
    });
    const auto pause = RetryAfter(status).value_or(kRetryHint);
    if (status.ok() || !answer.MayResume(status) || resumes == most_resumes ||
        Now() + pause >= request.deadline) {
      // Not where another call has it now, nor where it has ended by itself.
      const bool left =
          !status.ok() && !absl::IsFailedPrecondition(status) && !absl::IsDeadlineExceeded(status);
      if (const auto kept = answer.Kept(); left && kept.has_value()) Forget(*kept);
      return status;
    }
    ++resumes;
    Pause(pause);
  }
}

// Best effort: what cannot be reached forgets it by itself.
void Client::Forget(const KeptAnswer& kept) {
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(Now() + kForgetPatience));
  v1::AbortRequest request;
  request.set_resume_token(ToResumeToken(kept));
  v1::AbortResponse response;
  generation_->Abort(&context, request, &response);
}

void Client::CancelRunning() {
  MutexLock lock(mutex_);
  for (grpc::ClientContext* context : running_) context->TryCancel();
}

absl::StatusOr<v1::GetTopologyResponse> Client::GetTopology() {
  return GetTopology(Now() + kAskPatience);
}

absl::StatusOr<v1::GetTopologyResponse> Client::GetTopology(Time deadline) {
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(deadline));
  v1::GetTopologyResponse response;
  RETURN_IF_ERROR(FromGrpcStatus(admin_->GetTopology(&context, {}, &response)));
  return response;
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels() {
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(Now() + kAskPatience));
  v1::ListModelsResponse response;
  RETURN_IF_ERROR(FromGrpcStatus(generation_->ListModels(&context, {}, &response)));
  return response;
}

absl::Status Client::WaitUntilWhole(Duration patience) {
  const Time deadline = Now() + patience;
  std::string missing;
  for (;;) {
    auto fleet = GetTopology(std::min(deadline, Now() + kAskPatience));
    const absl::StatusCode code = fleet.status().code();
    if (fleet.ok() && fleet->missing().empty()) return absl::OkStatus();
    if (fleet.ok()) missing = fleet->missing();
    // What the fleet said last tells more than that the time is up.
    if (!fleet.ok() && (missing.empty() || code == absl::StatusCode::kUnavailable)) {
      missing = std::string(fleet.status().message());
    }
    if (!fleet.ok() && code != absl::StatusCode::kUnavailable &&
        code != absl::StatusCode::kDeadlineExceeded) {
      return fleet.status();
    }
    if (Now() + kPollPeriod >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("the fleet cannot serve: ", missing));
    }
    Pause(kPollPeriod);
  }
}

}  // namespace expertmesh
