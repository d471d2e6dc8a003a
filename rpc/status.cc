#include "rpc/status.h"

#include <algorithm>
#include <string>

#include "common/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "rpc/text.h"

namespace expertmesh {
namespace {

constexpr int64_t kMaxRetrySeconds = 24 * 60 * 60;

std::optional<std::chrono::milliseconds> RetryDelay(const std::string& details) {
  google::rpc::Status rich;
  if (details.empty() || !rich.ParseFromString(details)) return std::nullopt;
  for (const google::protobuf::Any& any : rich.details()) {
    google::rpc::RetryInfo info;
    if (!any.Is<google::rpc::RetryInfo>() || !any.UnpackTo(&info)) continue;
    const int64_t seconds = std::clamp<int64_t>(info.retry_delay().seconds(), 0, kMaxRetrySeconds);
    const int64_t nanos = std::clamp<int64_t>(info.retry_delay().nanos(), 0, 999'999'999);
    return std::chrono::milliseconds(seconds * 1000 + nanos / 1'000'000);
  }
  return std::nullopt;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // Both number their codes alike.
  const auto code = static_cast<grpc::StatusCode>(static_cast<int>(status.code()));
  const std::string text = PlainText(status.message(), kMaxStatusTextBytes);
  const auto delay = RetryAfter(status);
  if (!delay.has_value()) return grpc::Status(code, text);

  const int64_t delay_ms = std::clamp<int64_t>(delay->count(), 0, kMaxRetrySeconds * 1000);
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(delay_ms / 1000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay_ms % 1000) * 1'000'000);
  google::rpc::Status rich;  // code and text again: clients refuse details that differ
  rich.set_code(code);
  rich.set_message(text);
  rich.add_details()->PackFrom(info);
  return grpc::Status(code, text, rich.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int number = status.error_code();
  const auto code = number > 0 && number <= static_cast<int>(absl::StatusCode::kUnauthenticated)
                        ? static_cast<absl::StatusCode>(number)
                        : absl::StatusCode::kUnknown;
  absl::Status result(code, status.error_message());
  const auto delay = RetryDelay(status.error_details());
  return delay.has_value() ? WithRetryAfter(std::move(result), *delay) : result;
}

}  // namespace expertmesh
