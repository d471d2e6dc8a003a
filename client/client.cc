#include "client/client.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "rpc/channel.h"
#include "rpc/convert_generation.h"
#include "rpc/deadline.h"
#include "rpc/status.h"

namespace expertmesh {
namespace {

constexpr Duration kAdminPatience = std::chrono::seconds(5);
constexpr Duration kPollPeriod = std::chrono::milliseconds(50);

}  // namespace

Client::Client(std::string address) : address_(std::move(address)) {
  std::shared_ptr<grpc::Channel> channel = DialInsecure(address_);
  generation_ = v1::Generation::NewStub(channel);
  admin_ = v1::Admin::NewStub(channel);
}

absl::Status Client::Generate(const GenerateRequest& request,
                              const std::function<void(const Delta&)>& on_delta) {
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(request.deadline));
  auto reader = generation_->GenerateStream(&context, ToPublicProto(request));
  absl::Status bad_reply;
  v1::GenerateResponse reply;
  while (bad_reply.ok() && reader->Read(&reply)) {
    absl::StatusOr<Delta> delta = FromProto(reply);
    if (delta.ok()) {
      on_delta(*delta);
    } else {
      bad_reply = absl::InternalError(absl::StrCat("bad reply: ", delta.status().message()));
      context.TryCancel();
    }
  }
  const absl::Status status = FromGrpcStatus(reader->Finish());
  return bad_reply.ok() ? status : bad_reply;
}

absl::StatusOr<v1::GetTopologyResponse> Client::GetTopology() {
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(Now() + kAdminPatience));
  v1::GetTopologyResponse fleet;
  RETURN_IF_ERROR(FromGrpcStatus(admin_->GetTopology(&context, v1::GetTopologyRequest(), &fleet)));
  return fleet;
}

absl::Status Client::WaitUntilWhole(Duration patience) {
  const Time until = Now() + patience;
  std::string missing = "nobody answers";
  for (;;) {
    absl::StatusOr<v1::GetTopologyResponse> fleet = GetTopology();
    if (!fleet.ok()) {
      missing = std::string(fleet.status().message());
    } else if (IsWhole(*fleet, &missing)) {
      return absl::OkStatus();
    }
    if (Now() >= until) {
      return absl::DeadlineExceededError(
          absl::StrCat("the fleet at ", address_, " is not whole: ", missing));
    }
    std::this_thread::sleep_for(std::min<Duration>(kPollPeriod, until - Now()));
  }
}

bool IsWhole(const v1::GetTopologyResponse& fleet, std::string* missing) {
  std::string why;
  if (!fleet.waiting_for().empty()) {
    why = absl::StrCat("waiting for ", fleet.waiting_for());
  } else if (fleet.topology().epoch().counter() == 0) {
    why = "no worker has joined";
  } else if (fleet.uncovered_experts() != 0) {
    why = absl::StrCat("uncovered: ", fleet.uncovered_text());
  } else if (std::none_of(fleet.workers().begin(), fleet.workers().end(), [](const auto& worker) {
               return worker.role() == v1::WORKER_ROLE_ATTENTION &&
                      worker.state() == v1::WORKER_STATE_READY;
             })) {
    why = "no attention worker is ready";
  }
  if (missing != nullptr) *missing = why;
  return why.empty();
}

}  // namespace expertmesh
