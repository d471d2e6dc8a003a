// fault.h: what can go wrong in a run, as data: a plan has a list of these, each with its time.
//
// One kind of fault a file. Every fault has an end: after `length` what it broke works again, or is
// started again; what the cluster makes of it is the cluster's business.
#pragma once

#include <string>
#include <vector>

#include "common/clock.h"
#include "simulation/random.h"

namespace expertmesh::simulation {

class Cluster;

enum class FaultKind {
  kDataNoise,     // rows: loss, delay, reorder, duplicates
  kEcho,          // rows: messages of earlier channels come out of the newer ones
  kControlNoise,  // reports and commands: loss, delay, reorder, duplicates
  kClientNoise,   // streams of front doors break
  kPartition,     // one way, between two names
  kReset,         // all connections between two names break
  kPause,         // SIGSTOP and SIGCONT
  kCrash,         // kill -9, or the power; started again under the same name
  kReplace,       // paused, and a new life takes its name; later the old one wakes up
  kClockJump,     // one process's clock leaps ahead
  kBadDisk,       // the next load of an expert worker fails
  kDrain,         // SIGTERM: a worker asks to be relieved, exits, and is started again
  kOperator,      // a worker is cordoned or drained for a while, or the load is spread anew
  kCount,
};

struct FaultPlan {
  FaultKind kind = FaultKind::kPause;
  Duration at{};  // from the start of the run
  Duration length{};
  std::string target;   // a process's name
  std::string other;    // and another one's, where it takes two
  double strength = 0;  // in [0, 1)
  bool harsh = false;   // no goodbye from the dead; a new address for the restarted
};

std::string Describe(const FaultPlan& fault);

// `count` faults of some of the kinds (which ones is drawn, too), none beyond `until`.
std::vector<FaultPlan> DrawFaults(Random& chance, const std::vector<std::string>& names, int count,
                                  Duration until);

// Begins it, and schedules its end.
void Inject(Cluster& cluster, const FaultPlan& fault);

// One a file: what Inject chooses from.
void InjectDataNoise(Cluster& cluster, const FaultPlan& fault);
void InjectEcho(Cluster& cluster, const FaultPlan& fault);
void InjectControlNoise(Cluster& cluster, const FaultPlan& fault);
void InjectClientNoise(Cluster& cluster, const FaultPlan& fault);
void InjectPartition(Cluster& cluster, const FaultPlan& fault);
void InjectReset(Cluster& cluster, const FaultPlan& fault);
void InjectPause(Cluster& cluster, const FaultPlan& fault);
void InjectCrash(Cluster& cluster, const FaultPlan& fault);
void InjectReplace(Cluster& cluster, const FaultPlan& fault);
void InjectClockJump(Cluster& cluster, const FaultPlan& fault);
void InjectBadDisk(Cluster& cluster, const FaultPlan& fault);
void InjectDrain(Cluster& cluster, const FaultPlan& fault);
void InjectOperator(Cluster& cluster, const FaultPlan& fault);

}  // namespace expertmesh::simulation
