// schedule.h: what befalls a fleet, and when, as data: drawn from a seed, printed, read back.
//
// The text has one event a line; `#` begins a comment. Times are seconds:
//
//   AT KIND TARGET FOR [PERCENT]
//
//   3.500 kill e2 2.000        kill -9; started again 2 s later
//   6.000 stop a1 4.000        SIGSTOP; SIGCONT 4 s later
//   9.000 cut e1 5.000         its cable is pulled for 5 s
//   12.000 loss e3 4.000 5     5 % of its packets are lost, each way, for 4 s
//   20.000 drain e4 1.000      SIGTERM; started again when it has exited and 1 s has passed
//   30.000 join e5 8.000       a newcomer, which is drained 8 s later
//
// Targets are a<n>, e<n> and `coordinator`, which is killed or stopped alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh::chaos {

enum class Fault { kKill, kStop, kCut, kLoss, kDrain, kJoin };
const char* Name(Fault fault);

struct Event {
  int64_t at_ms = 0;  // since the load's start
  Fault fault = Fault::kKill;
  std::string target;
  int64_t for_ms = 0;
  int percent = 0;  // kLoss: 1 to 99
  bool operator==(const Event&) const = default;
};

using Schedule = std::vector<Event>;  // by at_ms

std::string ToText(const Schedule& schedule);
// Errors  INVALID_ARGUMENT: the line's number, and what is wrong with it.
absl::StatusOr<Schedule> ParseSchedule(absl::string_view text);

// The fleet that a schedule is for, and which faults its network has.
struct Ground {
  int attention_workers = 2;
  int expert_workers = 4;
  bool cables = true;
  bool loss = true;
};

// Whether a fleet in which every expert worker has room for all that two have is to survive it with
// no answer lost: OK, or FAILED_PRECONDITION with the event that is one too many. A target is in
// trouble from its event's beginning until kAftermathMs after its end; a newcomer is in none, but
// no other event may name it then. At any time
//  - at least one attention worker and two expert workers are in none,
//  - of all workers no more than a third, so that placement is not frozen for half a minute,
//  - nobody is in two troubles at once,
//  - and where the coordinator is, at most one worker.
absl::Status CheckSurvivable(const Schedule& schedule, const Ground& ground);
inline constexpr int64_t kAftermathMs = 4000;  // a lease, a load, and as much again
inline constexpr int64_t kDrainMs = 6000;      // that a drain is taken to last
// When the event's target is in trouble no more.
int64_t EndOf(const Event& event);

// A survivable schedule whose events are all over `calm_ms` before `length_ms`. It neither kills
// nor drains a1 and e1, whose memory can so be watched from beginning to end. The same arguments,
// the same schedule.
Schedule DrawSchedule(uint64_t seed, int64_t length_ms, const Ground& ground,
                      int64_t calm_ms = 5000);

}  // namespace expertmesh::chaos
