// process.h: how a program of ours waits: for a signal that asks it to stop, or for its own end.
#pragma once

#include <optional>

namespace expertmesh {

// Blocks SIGINT and SIGTERM for the calling thread and all that it makes later, so that they end up
// in Wait. Make it first in main, before any thread.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Until a signal comes (its number) or Wake was called (nullopt). One thread.
  std::optional<int> Wait();
  // From any thread, any number of times, also before Wait.
  void Wake();

 private:
  int signals_ = -1;  // signalfd
  int wakes_ = -1;    // eventfd
};

}  // namespace expertmesh
