#include "common/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

constexpr absl::string_view kRetryPayload = "expertmesh/retry-after-ms";

// Code and payloads of `status`, with another message.
absl::Status WithMessage(const absl::Status& status, absl::string_view message) {
  absl::Status made(status.code(), message);
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { made.SetPayload(url, payload); });
  return made;
}

}  // namespace

absl::Status TryAgainLater(absl::string_view why) {
  return WithRetryAfter(absl::UnavailableError(why), kRetryHint);
}

absl::Status TryAgainAnywhere(absl::string_view why) {
  return WithRetryAfter(absl::AbortedError(why), kRetryHint);
}

absl::Status AsUnavailable(const absl::Status& status) {
  const absl::Status made = absl::UnavailableError(status.message());
  return WithRetryAfter(made, RetryAfter(status).value_or(kRetryHint));
}

absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay) {
  status.SetPayload(kRetryPayload, absl::Cord(absl::StrCat(delay.count())));
  return status;
}

std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status) {
  auto payload = status.GetPayload(kRetryPayload);
  int64_t milliseconds = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(milliseconds);
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  return WithMessage(status, absl::StrCat(context, ": ", status.message()));
}

absl::Status Unshared(const absl::Status& status) { return WithMessage(status, status.message()); }

}  // namespace expertmesh
