// status.h: the two macros that pass an absl::Status up, and a wait hint that travels with one.
#pragma once

#include <chrono>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define EM_CONCAT_INNER(a, b) a##b
#define EM_CONCAT(a, b) EM_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                                               \
  do {                                                                            \
    if (absl::Status em_status = (expression); !em_status.ok()) return em_status; \
  } while (false)

#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_INNER(EM_CONCAT(em_statusor_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_INNER(temporary, target, expression) \
  auto temporary = (expression);                              \
  if (!temporary.ok()) return std::move(temporary).status();  \
  target = *std::move(temporary)

namespace expertmesh {

// The status with "try again after this long" attached; rpc/ sends it as google.rpc.RetryInfo.
absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay);

// UNAVAILABLE for a moment: with the hint that our clients get, kRetryHint.
inline constexpr std::chrono::milliseconds kRetryHint{1000};
absl::Status TryAgainLater(absl::string_view why);

// The same, where nobody else of this fleet could do better at the moment: between an attention
// worker and a front door, which else would ask another one. ABORTED there, and for clients
// UNAVAILABLE, which AsUnavailable makes of it.
absl::Status TryAgainAnywhere(absl::string_view why);
absl::Status AsUnavailable(const absl::Status& status);

// The hint of WithRetryAfter; nullopt where there is none.
std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status);

// The status with `context` and ": " before its message; the code and the hint stay.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// A copy that shares nothing with the status, for another thread to have. (Copies share, and are
// counted atomically; but ThreadSanitizer does not see that, since the library is not
// instrumented.)
absl::Status Unshared(const absl::Status& status);

}  // namespace expertmesh
