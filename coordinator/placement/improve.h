// improve.h: step by step from the placement that is there to a more even one.
//
// A step takes load from one of the busiest seats: it moves an expert to one of the idlest, swaps
// it for one of them, replicates it, also in place of a replica of another, or drops a replica.
//
//   in a layer   a step is good if `from` and all whose load grows end below what `from` had, by
//                `min_gain` of the layer's mean for each expert that it loads
//   in total     moves and swaps alone; the same, for the total loads of both seats and a mean's
//                part of one layer; and in the layer neither may end above what `from` had there,
//                unless that is even enough anyway
//
// Of the good ones that with the best score (score.h) is made. A step in a layer lowers its loads,
// sorted from the highest, in lexicographic order; a step in total does not raise those above the
// goal, and lowers the totals. So balancing comes to an end, from round to round too. It may end
// where two steps together would help and neither alone does.
#pragma once

#include <vector>

#include "coordinator/placement/board.h"
#include "coordinator/placement/score.h"

namespace expertmesh {

struct ImproveOptions {
  ScoreOptions score;
  double min_gain = 0;
  bool replicate = true;
  bool keep_replicas = false;  // no step may leave fewer copies than there were
};

class Improver {
 public:
  Improver(Board& board, const ImproveOptions& options);

  // Evens out the load of one layer; of all layers together. True if anything has changed.
  bool EvenLayer(int32_t layer);
  bool EvenTotals();

 private:
  struct Pair {
    int32_t layer, from, to;
    double from_load, to_load;  // in the layer
    double least;               // gain for each expert loaded
  };

  // The busiest of those with more than `above` times the mean. Layer -1: in total.
  std::vector<int32_t> Busiest(int32_t layer, double above) const;
  std::vector<int32_t> Idlest(int32_t layer) const;
  // Holders of the replicas that the layer would miss least.
  std::vector<int32_t> Replaceable(int32_t layer) const;

  bool StepInLayer(int32_t layer);
  void Drops(int32_t layer, int32_t from);
  bool MayHelp(const Pair& pair, double relief, double rise, double least) const;
  bool MayHold(int32_t to, int32_t from) const;
  void Bring(const Pair& pair, Cell cell);
  void Replace(const Pair& pair, Cell cell, Cell other);
  void ConsiderInLayer(int32_t layer, int32_t from, const Step& step);

  bool StepInTotal(int32_t from, int32_t to);
  void StepsInTotal(int32_t layer, int32_t from, int32_t to);
  void ConsiderInTotal(int32_t layer, int32_t from, int32_t to, double by, const Step& step);

  Step Replica(Cell cell, std::initializer_list<Change> changes) const;
  Step Swap(Cell cell, Cell other, int32_t from, int32_t to) const;
  void Take(const Step& step, double score);
  bool TakeBest();

  Board& board_;
  const ImproveOptions options_;
  Score score_;
  bool found_ = false;
  Step best_;
  double best_score_ = 0;
  int32_t next_layer_ = 0;  // that a step in total looks at
};

}  // namespace expertmesh
