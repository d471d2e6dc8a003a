// plan.h: who is to hold which experts, and in which order to get there: a pure function.
//
// A plan is a list of rounds. In a round all loads run at once, in any order. When they are held
// and published, and so is whatever was `loading` when the plan was made, the round's unloads
// follow (an unload of what is still `loading` calls that off). Then comes the next round. So at
// each moment
//   COVERED   what was covered stays covered: an expert is unloaded only where another worker, in
//             the same class, holds it after this round's loads;
//   FITS      what a worker holds, loads and has not yet unloaded is at most its room.
// Where no such order exists (everything full), the imbalance stays.
//
// Two urgencies, never in one round. COVER, always: what nobody holds or loads goes to the least
// loaded workers with room; pins are fetched; draining workers are emptied; surplus replicas make
// room for these. When nobody has anything at all, this is the first placement: balanced, with
// replicas of the hottest experts in spare memory if the loads are known. BALANCE, when asked for:
// moves, swaps, replicas and their removal, where the load of a layer or of all layers is uneven
// (improve.h).
//
// A round that is abandoned half way is no harm: what it has commanded is `loading`, or held, in
// the input of the next plan.
//
// STABLE. A round depends on nothing but what is true before it; a plan is what comes out when each
// round is planned from the result of the one before. So whoever executes the first round alone
// and plans again (same loads) gets the rest of the same plan, and from the end nothing. Equal
// input gives equal output, in whatever order the workers are listed.
//
// CLASSES. All replicas of one (layer, expert) are of one compute class. Only what nobody holds may
// go to any class; and what only draining workers hold moves to another class if its own has no
// room, not even from surplus replicas. Where holders of two classes are found, those of the class
// with more of them (of two equal ones the lower) count, the others are left where they are.
//
//   1 layer of 4 experts, loads 6 2 1 1; workers a, b, c with room for 3 each; nobody has anything:
//     round 1 loads   a: 0 3   b: 0 3   c: 1 2       a and b get 3.5 each, c gets 3
//   then c leaves without a word:
//     round 1 loads   a: 1   b: 2                    into the memory that was left free
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/placement/fleet.h"
#include "coordinator/placement/summary.h"

namespace expertmesh {

struct PlanOptions {
  bool balance = false;  // false: COVER alone
  // Share of each worker's room that balance and replicas leave free: the spare memory that a loss
  // needs, and where experts on their way are put. COVER may use it.
  double reserve = 0.1;
  // Without known loads no expert is hot; true fills spare memory with replicas all the same.
  bool spare_replicas = false;
  // Balance begins when max/mean over the workers is above these, in all layers together or in one
  // layer, or when a worker has less than `idle_target` of the mean...
  double total_target = 1.05;
  double layer_target = 1.05;
  double idle_target = 0.8;
  // ...and a move must lower the score of improve.h by this much per expert that is loaded.
  double min_gain = 0.02;
  int32_t max_rounds = 100;
};

// By worker's name; no empty sets.
using ExpertsByWorker = std::map<std::string, ExpertSet>;

struct Round {
  bool cover = false;  // else it is for balance
  ExpertsByWorker loads;
  ExpertsByWorker unloads;
  bool empty() const { return loads.empty() && unloads.empty(); }
};

struct Plan {
  std::vector<Round> rounds;
  uint64_t bytes = 0;  // loads, in bytes
  BalanceSummary before, after;
  ExpertSet uncovered;                // at the end: no worker that takes anything has room
  std::vector<std::string> unsolved;  // for people: what stays as it is against orders, and why
};

Plan PlanPlacement(const PlacementInput& input, const PlanOptions& options);

}  // namespace expertmesh
