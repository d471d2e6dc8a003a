// record.h: what was measured: of each request, and of a run at one load.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/clock.h"

namespace expertmesh {

// How hard a run presses.
struct LoadLevel {
  bool open = false;  // requests arrive at a rate, else so many run at all times
  double value = 0;   // requests per second, or requests at once
};

struct RequestRecord {
  // When it was to begin: an open loop's arrival, the end of the turn before, or when it was sent.
  // Latencies count from here, so that a stalled server (or generator) does not hide its delay.
  Time scheduled{};
  Time sent{};
  Time ended{};
  std::vector<Time> tokens;  // when each output token arrived
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;
  absl::Status status;

  double TtftMs() const;     // needs a token
  double E2eMs() const;      // to the last token; needs a token
  double MeanItlMs() const;  // 0 for less than two tokens
};

struct RunResult {
  LoadLevel level;
  std::vector<RequestRecord> records;  // in the order in which they ended
  // Arrived while --max-in-flight ran, or a later turn of a conversation that failed.
  int64_t not_sent = 0;
  Duration duration{};  // from the start until the last request ended
  bool interrupted = false;
};

inline double ToMs(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace expertmesh
