// event_log.h: what happened in a run, in words. Kept only when somebody will read it: a seed that
// fails is run once more with the log on, which changes nothing else.
#pragma once

#include <cstddef>
#include <deque>
#include <string>

#include "common/clock.h"

namespace expertmesh::simulation {

class EventLog {
 public:
  enum class Mode { kOff, kTail, kPrint };  // kPrint: also to stdout, as it happens
  explicit EventLog(Mode mode) : mode_(mode) {}

  bool on() const { return mode_ != Mode::kOff; }
  // "   1.234567 who: what"; the time counts from the start of the run, in seconds.
  void Add(Time when, const std::string& who, const std::string& what);
  // The last lines, at most kTailLines.
  const std::deque<std::string>& tail() const { return tail_; }

  static constexpr size_t kTailLines = 120;

 private:
  Mode mode_;
  std::deque<std::string> tail_;
};

}  // namespace expertmesh::simulation
