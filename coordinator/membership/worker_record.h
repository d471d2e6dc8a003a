// worker_record.h: one worker as membership sees it.
#pragma once

#include <string>

#include "cluster/report.h"

namespace expertmesh {

// What operators have said of a worker, by its name.
struct WorkerOrders {
  bool cordoned = false;  // gets no experts that it does not have
  bool drain = false;     // is to leave
  ExpertSet pinned;       // it keeps or gets these, as far as they fit
  bool operator==(const WorkerOrders&) const = default;
};

struct WorkerRecord {
  Report report;  // the newest
  WorkerState state = WorkerState::kJoining;
  Incarnation incarnation;
  ExpertSet assigned;  // what it is to hold
  // Of that, what is on its way out: no longer published, still held and answered for.
  ExpertSet retiring;
  Epoch retired_in;  // the first topology without `retiring`; {0, 0}: none yet
  WorkerOrders orders;
  std::string note;  // for people: why the topology lists it with less than it holds

  bool draining() const { return state == WorkerState::kDraining || orders.drain; }
};

}  // namespace expertmesh
