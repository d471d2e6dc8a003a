#include "coordinator/placement/score.h"

#include <algorithm>
#include <utility>

namespace expertmesh {
namespace {

double SquareIfPositive(double x) { return x > 0 ? x * x : 0; }

}  // namespace

Step MakeStep(const Board& board, std::initializer_list<Change> changes) {
  Step step;
  for (const Change& change : changes) {
    step.changes[step.count++] = change;
    step.loads += change.add && !board.start().Has(change.seat, change.cell);
  }
  return step;
}

// Additions first: an expert is never without a holder.
void Apply(const Step& step, Board& board) {
  for (bool add : {true, false}) {
    for (int32_t i = 0; i < step.count; ++i) {
      const Change& change = step.changes[i];
      if (change.add != add) continue;
      add ? board.Add(change.seat, change.cell) : board.Remove(change.seat, change.cell);
    }
  }
}

Score::Score(const Board& board, ScoreOptions options)
    : board_(board), options_(options), shift_(board.seats(), 0) {}

double Score::Excess(double x) const { return SquareIfPositive(x - options_.goal); }
double Score::Idleness(double x) const { return SquareIfPositive(options_.idle - x); }

void Score::Shift(int32_t seat, double by) {
  if (shift_[seat] == 0) touched_.push_back(seat);  // twice does no harm
  shift_[seat] += by;
}

// What the changes of one expert do to the loads of its holders, old and new.
void Score::Weigh(const Step& step, Cell cell) {
  int32_t more = 0;
  for (int32_t i = 0; i < step.count; ++i) {
    if (step.changes[i].cell == cell) more += step.changes[i].add ? 1 : -1;
  }
  const double before = board_.Share(cell);
  const double after = board_.load(cell) / (board_.Replicas(cell) + more);
  if (more != 0) {
    for (int32_t seat : board_.Holders(cell)) Shift(seat, after - before);
  }
  for (int32_t i = 0; i < step.count; ++i) {
    if (step.changes[i].cell == cell)
      Shift(step.changes[i].seat, step.changes[i].add ? after : -after);
  }
}

Effect Score::OfLoads(int32_t layer, int32_t from) {
  const double layer_mean = board_.LayerMean(layer), total_mean = board_.TotalMean();
  Effect effect;
  for (int32_t seat : touched_) {
    const double by = std::exchange(shift_[seat], 0);
    const double in_layer = board_.LayerLoad(layer, seat), total = board_.seat(seat).total;
    if (by > 0 || seat == from) effect.most = std::max(effect.most, in_layer + by);
    if (by == 0 || !board_.seat(seat).serves) continue;
    if (layer_mean > 0) {
      effect.score += Excess((in_layer + by) / layer_mean) - Excess(in_layer / layer_mean);
    }
    if (total_mean <= 0) continue;
    const double before = total / total_mean, after = (total + by) / total_mean;
    effect.score +=
        board_.layers() * (Excess(after) - Excess(before) + Idleness(after) - Idleness(before));
  }
  touched_.clear();
  return effect;
}

double Score::GroupsOf(const Step& step) const {
  double change = 0;
  for (int32_t i = 0; i < step.count; ++i) {
    const Change& one = step.changes[i];
    const int32_t group = board_.GroupOf(one.cell);
    int32_t others = board_.OfGroup(board_.LayerOf(one.cell), group, one.seat) - !one.add;
    for (int32_t j = 0; j < i; ++j) {  // as if the changes were made one by one
      const Change& made = step.changes[j];
      if (made.seat == one.seat && board_.GroupOf(made.cell) == group) others += made.add ? 1 : -1;
    }
    if (others == 0) change += one.add ? options_.group_cost : -options_.group_cost;
  }
  return change;
}

Effect Score::Of(const Step& step, int32_t from) {
  const Cell first = step.changes[0].cell;
  Weigh(step, first);
  for (int32_t i = 1; i < step.count; ++i) {
    if (step.changes[i].cell == first) continue;
    Weigh(step, step.changes[i].cell);
    break;
  }
  Effect effect = OfLoads(board_.LayerOf(first), from);
  if (options_.group_cost > 0) effect.score += GroupsOf(step);
  return effect;
}

}  // namespace expertmesh
