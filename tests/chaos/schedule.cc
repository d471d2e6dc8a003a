#include "tests/chaos/schedule.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace expertmesh::chaos {
namespace {

constexpr char kCoordinatorTarget[] = "coordinator";
constexpr int kDraws = 20;  // for one moment, until an event fits
constexpr int64_t kMostMs = 24 * 3600 * 1000;
constexpr std::array kFaults = {Fault::kKill, Fault::kStop,  Fault::kCut,
                                Fault::kLoss, Fault::kDrain, Fault::kJoin};

bool IsWorker(absl::string_view target) {
  int number = 0;
  return target.size() > 1 && (target[0] == 'a' || target[0] == 'e') &&
         absl::SimpleAtoi(target.substr(1), &number) && number > 0 && number <= 99 &&
         target.substr(1) == absl::StrCat(number);
}

std::optional<int64_t> ReadSeconds(absl::string_view text) {
  double seconds = 0;
  if (!absl::SimpleAtod(text, &seconds) || !(seconds >= 0 && seconds * 1000 <= kMostMs)) {
    return std::nullopt;
  }
  return static_cast<int64_t>(seconds * 1000 + 0.5);
}

absl::StatusOr<Event> ParseEvent(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (words.size() < 4 || words.size() > 5) {
    return absl::InvalidArgumentError("not AT KIND TARGET FOR [PERCENT]");
  }
  Event event;
  const auto at_ms = ReadSeconds(words[0]);
  const auto for_ms = ReadSeconds(words[3]);
  if (!at_ms || !for_ms) return absl::InvalidArgumentError("AT and FOR are seconds, 0 to 86400");
  event.at_ms = *at_ms;
  event.for_ms = *for_ms;
  const auto fault = std::find_if(kFaults.begin(), kFaults.end(),
                                  [&](Fault known) { return words[1] == Name(known); });
  if (fault == kFaults.end()) {
    return absl::InvalidArgumentError(absl::StrCat("no such kind: ", words[1]));
  }
  event.fault = *fault;
  event.target = std::string(words[2]);
  const bool coordinator = event.target == kCoordinatorTarget;
  if (!coordinator && !IsWorker(event.target)) {
    return absl::InvalidArgumentError(absl::StrCat("no such target: ", event.target));
  }
  if (coordinator && event.fault != Fault::kKill && event.fault != Fault::kStop) {
    return absl::InvalidArgumentError("the coordinator is killed or stopped alone");
  }
  if ((words.size() == 5) != (event.fault == Fault::kLoss)) {
    return absl::InvalidArgumentError("PERCENT stands with loss, and there alone");
  }
  if (words.size() == 5 &&
      (!absl::SimpleAtoi(words[4], &event.percent) || event.percent < 1 || event.percent > 99)) {
    return absl::InvalidArgumentError(absl::StrCat("PERCENT is ", words[4], ", not 1 to 99"));
  }
  return event;
}

// How many are in trouble at one moment.
struct Troubled {
  int attention = 0, experts = 0, coordinator = 0;
  void Count(const std::string& target) {
    if (target[0] == 'a') {
      ++attention;
    } else if (target[0] == 'e') {
      ++experts;
    } else {
      ++coordinator;
    }
  }
};

// Whether `event` may be added to what is in trouble when it begins.
absl::Status CheckEvent(const Schedule& schedule, const Event& event, const Ground& ground) {
  Troubled troubled;
  if (event.fault != Fault::kJoin) troubled.Count(event.target);
  for (const Event& other : schedule) {
    if (other.at_ms > event.at_ms || EndOf(other) <= event.at_ms) continue;
    if (other.target == event.target) {
      return absl::FailedPreconditionError("it is in trouble already");
    }
    if (other.fault != Fault::kJoin) troubled.Count(other.target);
  }
  const int workers = ground.attention_workers + ground.expert_workers;
  const int in_trouble = troubled.attention + troubled.experts;
  if (troubled.attention >= ground.attention_workers) {
    return absl::FailedPreconditionError("no attention worker is left");
  }
  if (troubled.experts + 2 > ground.expert_workers) {
    return absl::FailedPreconditionError("fewer than two expert workers are left");
  }
  if (in_trouble * 3 > workers) {
    return absl::FailedPreconditionError("more than a third of the workers are in trouble");
  }
  if (troubled.coordinator > 0 && in_trouble > 1) {
    return absl::FailedPreconditionError("the coordinator and more than one worker are in trouble");
  }
  return absl::OkStatus();
}

std::string LineOf(const Event& event) {
  std::string line =
      absl::StrFormat("%.3f %s %s %.3f", static_cast<double>(event.at_ms) / 1000, Name(event.fault),
                      event.target, static_cast<double>(event.for_ms) / 1000);
  if (event.fault == Fault::kLoss) absl::StrAppend(&line, " ", event.percent);
  return line;
}

bool IsSpared(const Event& event) {
  const bool ends = event.fault == Fault::kKill || event.fault == Fault::kDrain;
  return ends && (event.target == "a1" || event.target == "e1");
}

// Draws events one at a time. std::mt19937_64 alone, since the distributions of the standard
// library are not the same everywhere.
class Drawing {
 public:
  Drawing(uint64_t seed, const Ground& ground) : random_(seed), ground_(ground) {}

  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }

  Event Draw(int64_t at_ms) {
    const int64_t dice = Between(0, 99);
    if (dice < 8) return {at_ms, Fault::kKill, kCoordinatorTarget, Between(200, 2500)};
    if (dice < 12) return {at_ms, Fault::kStop, kCoordinatorTarget, Between(200, 4000)};
    if (dice < 20) return {at_ms, Fault::kJoin, Newcomer(), Between(2000, 15000)};
    if (dice < 32) return {at_ms, Fault::kDrain, Worker(), Between(0, 3000)};
    if (dice < 46 && ground_.cables) return {at_ms, Fault::kCut, Worker(), Between(200, 6000)};
    if (dice < 58 && ground_.loss) {
      return {at_ms, Fault::kLoss, Worker(), Between(1000, 8000), static_cast<int>(Between(1, 20))};
    }
    if (dice < 75) return {at_ms, Fault::kStop, Worker(), Between(100, 6000)};
    return {at_ms, Fault::kKill, Worker(), Between(0, 4000)};
  }

 private:
  std::string Worker() {
    const int64_t number = Between(1, ground_.attention_workers + ground_.expert_workers);
    return number <= ground_.attention_workers
               ? absl::StrCat("a", number)
               : absl::StrCat("e", number - ground_.attention_workers);
  }
  std::string Newcomer() { return absl::StrCat("e", ground_.expert_workers + Between(1, 2)); }

  std::mt19937_64 random_;
  const Ground ground_;
};

}  // namespace

const char* Name(Fault fault) {
  switch (fault) {
    case Fault::kKill:
      return "kill";
    case Fault::kStop:
      return "stop";
    case Fault::kCut:
      return "cut";
    case Fault::kLoss:
      return "loss";
    case Fault::kDrain:
      return "drain";
    case Fault::kJoin:
      return "join";
  }
  return "";
}

int64_t EndOf(const Event& event) {
  const bool drains = event.fault == Fault::kDrain || event.fault == Fault::kJoin;
  return event.at_ms + event.for_ms + (drains ? kDrainMs : 0) + kAftermathMs;
}

std::string ToText(const Schedule& schedule) {
  std::string text;
  for (const Event& event : schedule) absl::StrAppend(&text, LineOf(event), "\n");
  return text;
}

absl::StatusOr<Schedule> ParseSchedule(absl::string_view text) {
  Schedule schedule;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = line.substr(0, line.find('#'));
    if (std::all_of(line.begin(), line.end(), [](unsigned char c) { return std::isspace(c); })) {
      continue;
    }
    const absl::StatusOr<Event> event = ParseEvent(line);
    if (!event.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", event.status().message()));
    }
    if (!schedule.empty() && event->at_ms < schedule.back().at_ms) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": it is earlier than the one before it"));
    }
    schedule.push_back(*event);
  }
  return schedule;
}

absl::Status CheckSurvivable(const Schedule& schedule, const Ground& ground) {
  Schedule before;
  for (const Event& event : schedule) {
    if (const absl::Status fits = CheckEvent(before, event, ground); !fits.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(LineOf(event), ": ", fits.message()));
    }
    before.push_back(event);
  }
  return absl::OkStatus();
}

Schedule DrawSchedule(uint64_t seed, int64_t length_ms, const Ground& ground, int64_t calm_ms) {
  Drawing drawing(seed, ground);
  Schedule schedule;
  for (int64_t at_ms = 2000; at_ms < length_ms - calm_ms; at_ms += drawing.Between(100, 2000)) {
    for (int draw = 0; draw < kDraws; ++draw) {
      const Event event = drawing.Draw(at_ms);
      if (event.at_ms + event.for_ms > length_ms - calm_ms || IsSpared(event)) continue;
      if (!CheckEvent(schedule, event, ground).ok()) continue;
      schedule.push_back(event);
      break;
    }
  }
  return schedule;
}

}  // namespace expertmesh::chaos
