#include "tests/chaos/losses.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <optional>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace expertmesh::chaos {
namespace {

// Milliseconds since 1970 of "2026-01-31T12:00:00.250 ...", which is local time.
std::optional<int64_t> TimeOf(const std::string& line) {
  std::tm day{};
  int ms = 0;
  if (std::sscanf(line.c_str(), "%d-%d-%dT%d:%d:%d.%d ", &day.tm_year, &day.tm_mon, &day.tm_mday,
                  &day.tm_hour, &day.tm_min, &day.tm_sec, &ms) != 7) {
    return std::nullopt;
  }
  day.tm_year -= 1900;
  day.tm_mon -= 1;
  day.tm_isdst = -1;
  return int64_t{std::mktime(&day)} * 1000 + ms;
}

// The worker that the text says is lost; empty: it says something else.
std::string LostWorker(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "lease of ")) {
    return absl::ConsumeSuffix(&text, " has run out") ? std::string(text) : "";
  }
  if (absl::ConsumePrefix(&text, "link of ")) {
    return absl::ConsumeSuffix(&text, " is broken") ? std::string(text) : "";
  }
  const size_t silent = text.find(" is silent: ");
  return silent == absl::string_view::npos ? "" : std::string(text.substr(0, silent));
}

}  // namespace

std::vector<Loss> ReadLosses(absl::string_view log, int64_t begin_ms) {
  std::vector<Loss> losses;
  for (absl::string_view view : absl::StrSplit(log, '\n')) {
    const std::string line(view);
    const size_t role = line.find("] ");
    const auto at_ms = TimeOf(line);
    if (!at_ms || role == std::string::npos) continue;
    const std::string worker = LostWorker(absl::string_view(line).substr(role + 2));
    if (!worker.empty()) losses.push_back({*at_ms - begin_ms, worker, line});
  }
  return losses;
}

std::vector<Loss> FalseLosses(const std::vector<Loss>& losses, const Schedule& schedule) {
  std::vector<Loss> unaccounted;
  for (const Loss& loss : losses) {
    const bool accounted = std::any_of(schedule.begin(), schedule.end(), [&](const Event& event) {
      return (event.target == loss.worker || event.target == "coordinator") &&
             event.at_ms <= loss.at_ms && loss.at_ms <= EndOf(event);
    });
    if (!accounted) unaccounted.push_back(loss);
  }
  return unaccounted;
}

}  // namespace expertmesh::chaos
