#include "rpc/deadline.h"

namespace expertmesh {
namespace {

constexpr std::chrono::hours kFar{24 * 365};

}  // namespace

std::chrono::system_clock::time_point ToGrpcDeadline(Time deadline) {
  const Time now = Now();
  if (deadline == kNever || deadline > now + kFar) {
    return std::chrono::system_clock::time_point::max();
  }
  const Duration left = deadline - now;
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
}

Time FromGrpcDeadline(std::chrono::system_clock::time_point deadline) {
  const auto now = std::chrono::system_clock::now();
  if (deadline > now + kFar) return kNever;
  // A time so early that the difference would overflow has passed all the same.
  if (deadline < now - kFar) return Now();
  return Now() + std::chrono::duration_cast<Duration>(deadline - now);
}

}  // namespace expertmesh
