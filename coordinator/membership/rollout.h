// rollout.h: from what is held to what is wanted, one round of a placement plan at a time: load,
// then publish, then retire, then unload.
//
//   LOAD     what a round loads is assigned at once; the workers fetch it and say when they hold it
//   PUBLISH  what is held is published as it comes (publication.h)
//   RETIRE   when everything assigned is held, and every live attention worker works by a topology
//            that says so, what the round unloads is no longer published; its holders still answer
//   UNLOAD   when every live attention worker works by a topology without it, and another worker
//            that serves is published with it, it is no longer assigned
//
// Then the next round is planned from what is true by then. A change of the fleet plans anew at
// once; what was retiring and is not in the new round is published again. So a worker may die at
// any point: an expert that has lost its other holder is taken back as long as it is still
// assigned, and placed anew after that. Nothing here depends on how the workers behave: what they
// hold is what they report.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/membership/worker_record.h"
#include "coordinator/placement/plan.h"

namespace expertmesh {

class Rollout {
 public:
  // What a step looks at. Records are changed: assigned, retiring, retired_in.
  struct Fleet {
    ExpertGrid grid;
    std::vector<double> loads;           // as PlacementInput's
    std::vector<WorkerRecord*> experts;  // live expert workers, by name
    // The oldest topology that a live attention worker works by; nullopt: there is none.
    std::optional<Epoch> oldest_worked_by;
  };

  // Plans at the next PlanRound(): the fleet has changed; or balance is wanted.
  void FleetChanged() { cover_wanted_ = true; }
  void WantBalance() { balance_wanted_ = true; }

  // The steps, in this order, after every change. Each says whether a record was changed.
  bool PlanRound(Fleet& fleet);
  // These two after the publication of `published`, which may be an old one.
  bool Retire(Fleet& fleet, const Topology& published);
  bool Unload(Fleet& fleet, const Topology& published);

  // Nothing is on its way, and nothing more is planned.
  bool idle(const Fleet& fleet) const;

  // What would be done now. Changes nothing.
  static PlacementInput InputOf(const Fleet& fleet);

  uint64_t rounds() const { return rounds_; }

 private:
  bool Settled(const Fleet& fleet) const;
  void Begin(const Round& round, Fleet& fleet);
  void Load(WorkerRecord& record, const ExpertSet& experts);

  bool cover_wanted_ = false;
  bool balance_wanted_ = false;
  bool more_ = false;              // the plan had more rounds
  ExpertsByWorker to_retire_;      // of the round, once its loads are held
  std::optional<Epoch> loads_in_;  // the first topology with all of them
  uint64_t rounds_ = 0;
};

}  // namespace expertmesh
