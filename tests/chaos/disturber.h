// disturber.h: makes a schedule come true.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/chaos/fleet.h"
#include "tests/chaos/net.h"
#include "tests/chaos/schedule.h"

namespace expertmesh::chaos {

// Threads: that of its fleet.
class Disturber {
 public:
  Disturber(const Schedule& schedule, Fleet* fleet, Net* net);

  // Does what is due `now_ms` after the beginning, a line on stdout for each. Call it often.
  void Advance(int64_t now_ms);
  // All events have begun and ended, and who was to come back has been started.
  bool over() const { return due_.empty() && leaving_.empty(); }

  // What should not have been: programs that ended by themselves, tools that failed.
  const std::vector<std::string>& faults() const { return faults_; }
  // Events that this machine's network does not have.
  int left_out() const { return left_out_; }

 private:
  struct Leaver {
    std::string name;
    int64_t back_after_ms = 0;
    bool comes_back = false;
  };
  void At(int64_t at_ms, std::function<void(int64_t)> action);
  void Begin(const Event& event, int64_t now_ms);
  void BeginOnNetwork(const Event& event, int64_t now_ms);
  void Leave(const std::string& name, int64_t back_after_ms, bool comes_back);
  void Note(const absl::Status& status);

  Fleet* const fleet_;
  Net* const net_;
  std::multimap<int64_t, std::function<void(int64_t)>> due_;
  std::vector<Leaver> leaving_;
  std::vector<std::string> faults_;
  int left_out_ = 0;
};

}  // namespace expertmesh::chaos
