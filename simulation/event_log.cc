#include "simulation/event_log.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"
#include "simulation/event_queue.h"

namespace expertmesh::simulation {

void EventLog::Add(Time when, const std::string& who, const std::string& what) {
  const std::chrono::duration<double> since = when - EventQueue::kStart;
  std::string line = absl::StrFormat("%11.6f  %-12s %s", since.count(), who, what);
  if (mode_ == Mode::kPrint) std::printf("%s\n", line.c_str());
  tail_.push_back(std::move(line));
  if (tail_.size() > kTailLines) tail_.pop_front();
}

}  // namespace expertmesh::simulation
