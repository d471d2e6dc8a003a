// test_util.h: small fleets in few words; carries plans out on values, and checks the promises of
// plan.h on the way.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/placement/plan.h"

namespace expertmesh {

inline void Normalise(PlacementInput& input) {  // sets of the grid for everyone
  for (PlacementWorker& worker : input.workers) {
    for (ExpertSet* set : {&worker.holds, &worker.loading, &worker.pinned}) {
      if (!(set->grid() == input.grid)) *set = ExpertSet(input.grid);
    }
  }
}

inline ExpertSet Minus(ExpertSet set, const ExpertSet& other) {
  set.RemoveAll(other);
  return set;
}

inline ExpertSet Plus(ExpertSet set, const ExpertSet& other) {
  set.InsertAll(other);
  return set;
}

inline ExpertSet And(const ExpertSet& set, const ExpertSet& other) {
  return Minus(set, Minus(set, other));
}

inline ExpertSet SetOf(const ExpertsByWorker& sets, const std::string& name,
                       const ExpertGrid& grid) {
  const auto found = sets.find(name);
  return found == sets.end() ? ExpertSet(grid) : found->second;
}

inline ExpertSet HeldByAnyone(const PlacementInput& fleet) {
  ExpertSet held(fleet.grid);
  for (const PlacementWorker& worker : fleet.workers) held.InsertAll(worker.holds);
  return held;
}

// The fleet after the round: its loads and what was loading have arrived, its unloads are gone.
inline PlacementInput AfterRound(PlacementInput fleet, const Round& round) {
  Normalise(fleet);
  for (PlacementWorker& worker : fleet.workers) {
    worker.holds.InsertAll(worker.loading);
    worker.loading = ExpertSet(fleet.grid);
    worker.holds.InsertAll(SetOf(round.loads, worker.name, fleet.grid));
    worker.holds.RemoveAll(SetOf(round.unloads, worker.name, fleet.grid));
  }
  return fleet;
}

inline PlacementInput AfterPlan(PlacementInput fleet, const Plan& plan) {
  Normalise(fleet);
  for (const Round& round : plan.rounds) fleet = AfterRound(std::move(fleet), round);
  return fleet;
}

inline int64_t LoadsOf(const Plan& plan) {
  int64_t loads = 0;
  for (const Round& round : plan.rounds) {
    for (const auto& [name, experts] : round.loads) loads += experts.size();
  }
  return loads;
}

// What one worker may be told in a round.
inline void CheckOrders(const PlacementInput& fleet, const PlacementWorker& worker,
                        const Round& round) {
  const ExpertSet has = Plus(worker.holds, worker.loading);
  const ExpertSet loads = SetOf(round.loads, worker.name, fleet.grid);
  const ExpertSet unloads = SetOf(round.unloads, worker.name, fleet.grid);
  EXPECT_TRUE(And(loads, has).empty()) << worker.name << " is to load what it has";
  EXPECT_TRUE(Minus(unloads, has).empty()) << worker.name << " is to unload what it has not";
  if (loads.empty() == false) {
    EXPECT_FALSE(worker.cordoned || worker.draining) << worker.name << " takes nothing";
    EXPECT_LE(has.size() + loads.size(), worker.room) << worker.name << " has no room";
  }
  if (!worker.draining) {
    EXPECT_TRUE(And(unloads, worker.pinned).empty()) << worker.name << " loses a pin";
  }
  if (!round.cover) {
    EXPECT_FALSE(worker.draining && !unloads.empty()) << "a drain is no matter of balance";
  }
}

// Loads of a round go where the class of the holders is, or where nobody but the draining holds it.
inline void CheckClasses(const PlacementInput& fleet, const Round& round) {
  std::map<int32_t, ExpertSet> settled;  // by class: held or loading, not draining
  std::map<int32_t, ExpertSet> comes;
  for (const PlacementWorker& worker : fleet.workers) {
    settled.try_emplace(worker.compute_class, fleet.grid);
    comes.try_emplace(worker.compute_class, fleet.grid);
    if (!worker.draining) {
      settled[worker.compute_class].InsertAll(Plus(worker.holds, worker.loading));
    }
    comes[worker.compute_class].InsertAll(SetOf(round.loads, worker.name, fleet.grid));
  }
  for (const auto& [to, loads] : comes) {
    for (const auto& [other, holds] : settled) {
      if (other == to) continue;
      EXPECT_TRUE(And(loads, holds).empty()) << "replicas of two classes";
      EXPECT_TRUE(And(loads, comes[other]).empty()) << "loaded in two classes";
    }
  }
}

// One round; gives the fleet after it.
inline PlacementInput CheckRound(const PlacementInput& fleet, const Round& round, bool classes) {
  EXPECT_FALSE(round.empty());
  for (const auto* sets : {&round.loads, &round.unloads}) {
    for (const auto& [name, experts] : *sets) EXPECT_FALSE(experts.empty()) << name;
  }
  for (const PlacementWorker& worker : fleet.workers) CheckOrders(fleet, worker, round);
  if (classes) CheckClasses(fleet, round);
  PlacementInput after = AfterRound(fleet, round);
  EXPECT_TRUE(Minus(HeldByAnyone(fleet), HeldByAnyone(after)).empty())
      << "uncovered by a round: " << Minus(HeldByAnyone(fleet), HeldByAnyone(after)).ToText();
  return after;
}

// {{layer, expert}, ...}
using Experts = std::vector<std::pair<int32_t, int32_t>>;

inline ExpertSet SetOf(const ExpertGrid& grid, const Experts& experts) {
  ExpertSet set(grid);
  for (const auto& [layer, expert] : experts) set.Insert(layer, expert);
  return set;
}

inline PlacementWorker Worker(std::string name, int64_t room, ExpertSet holds = {}) {
  PlacementWorker worker;
  worker.name = std::move(name);
  worker.room = room;
  worker.holds = std::move(holds);
  return worker;
}

// Workers with this room that hold nothing, named a, b, ...
inline PlacementInput EmptyFleet(const ExpertGrid& grid, int32_t workers, int64_t room) {
  PlacementInput input;
  input.grid = grid;
  input.expert_bytes = 100;
  for (int32_t w = 0; w < workers; ++w) {
    input.workers.push_back(Worker(std::string(1, static_cast<char>('a' + w)), room));
  }
  Normalise(input);
  return input;
}

inline PlacementWorker& Named(PlacementInput& input, const std::string& name) {
  for (PlacementWorker& worker : input.workers) {
    if (worker.name == name) return worker;
  }
  ADD_FAILURE() << "no worker " << name;
  return input.workers.front();
}

// "a: layer 0: experts 0-1 | b: none", of what they hold.
inline std::string TextOf(const PlacementInput& input) {
  std::string text;
  for (const PlacementWorker& worker : input.workers) {
    text += (text.empty() ? "" : " | ") + worker.name + ": " + worker.holds.ToText(8);
  }
  return text;
}

inline std::string TextOf(const ExpertsByWorker& sets) {
  std::string text;
  for (const auto& [name, experts] : sets) {
    text += (text.empty() ? "" : " | ") + name + ": " + experts.ToText(8);
  }
  return text;
}

}  // namespace expertmesh
