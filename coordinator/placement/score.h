// score.h: what a step would do to the loads, and one number to choose between steps.
//
//   score = sum over layers and serving seats of  excess(load in the layer / the layer's mean)
//         + layers * sum over serving seats of    excess(total load / mean) + idleness(the same)
//         + group_cost * number of (layer, routing group, seat) with at least one expert
//
//   excess(x) = (x - goal)^2 above the goal, else 0      idleness(x) = (idle - x)^2 below idle
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "coordinator/placement/board.h"

namespace expertmesh {

// An expert comes to a seat or leaves it.
struct Change {
  Cell cell = 0;
  int32_t seat = 0;
  bool add = false;
};

// Up to four changes in one layer, of at most two experts, that make sense together alone.
struct Step {
  std::array<Change, 4> changes;
  int32_t count = 0;
  int32_t loads = 0;     // how many of them bring an expert to where it was not at START
  int32_t relieved = 1;  // seats whose load it lowers for the same reason as that of `from`
};

Step MakeStep(const Board& board, std::initializer_list<Change> changes);
void Apply(const Step& step, Board& board);

struct ScoreOptions {
  double goal = 1.01;
  double idle = 0;
  double group_cost = 0;
};

struct Effect {
  double score = 0;  // by how much it changes: less than 0 is better
  double most = 0;   // the highest new load in the layer, of `from` and of those whose load grows
};

class Score {
 public:
  Score(const Board& board, ScoreOptions options);
  // Of a step that is to take load from seat `from`.
  Effect Of(const Step& step, int32_t from);
  const ScoreOptions& options() const { return options_; }

 private:
  double Excess(double x) const;
  double Idleness(double x) const;
  void Shift(int32_t seat, double by);
  void Weigh(const Step& step, Cell cell);
  double GroupsOf(const Step& step) const;
  Effect OfLoads(int32_t layer, int32_t from);

  const Board& board_;
  const ScoreOptions options_;
  std::vector<double> shift_;     // [seats], 0 between calls
  std::vector<int32_t> touched_;  // where it is not
};

}  // namespace expertmesh
