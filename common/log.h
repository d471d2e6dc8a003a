// log.h: one line per event to stderr, through spdlog. Never a secret, never once per row.
//
// Levels: error (an operator must act), warn (we coped), info (a state changed), debug.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

// `role` names this process in every line, e.g. "expert-worker e1". Level: off, error, warn, info,
// debug; any other word is taken as info. Call once, at start.
void StartLogging(absl::string_view role, absl::string_view level);

void LogLine(int level, absl::string_view text);

template <typename... Args>
void LogError(const Args&... args) {
  LogLine(3, absl::StrCat(args...));
}
template <typename... Args>
void LogWarning(const Args&... args) {
  LogLine(2, absl::StrCat(args...));
}
template <typename... Args>
void LogInfo(const Args&... args) {
  LogLine(1, absl::StrCat(args...));
}
template <typename... Args>
void LogDebug(const Args&... args) {
  LogLine(0, absl::StrCat(args...));
}

}  // namespace expertmesh
