#include "coordinator/placement/improve.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace expertmesh {
namespace {

// How many of the busiest and of the idlest seats are looked at: enough that a step is hardly ever
// missed, few enough for a fleet of hundreds.
constexpr size_t kBusiest = 4;
constexpr size_t kIdlest = 8;
constexpr double kTiny = 1e-6;  // of a mean: more than rounding can feign

// The first `count` of the seats in the order of `key`.
template <typename Key>
std::vector<int32_t> First(size_t count, std::vector<int32_t> seats, Key key) {
  count = std::min(count, seats.size());
  std::partial_sort(seats.begin(), seats.begin() + count, seats.end(),
                    [&](int32_t a, int32_t b) { return key(a) < key(b); });
  seats.resize(count);
  return seats;
}

}  // namespace

Improver::Improver(Board& board, const ImproveOptions& options)
    : board_(board), options_(options), score_(board, options.score) {}

std::vector<int32_t> Improver::Busiest(int32_t layer, double above) const {
  std::vector<int32_t> seats;
  const double mean = layer < 0 ? board_.TotalMean() : board_.LayerMean(layer);
  const auto load = [&](int32_t s) {
    return layer < 0 ? board_.seat(s).total : board_.LayerLoad(layer, s);
  };
  for (int32_t s = 0; s < board_.seats(); ++s) {
    if (board_.seat(s).serves && load(s) > mean * above) seats.push_back(s);
  }
  return First(kBusiest, std::move(seats), [&](int32_t s) { return std::pair(-load(s), s); });
}

std::vector<int32_t> Improver::Idlest(int32_t layer) const {
  std::vector<int32_t> seats;
  for (int32_t s = 0; s < board_.seats(); ++s) {
    if (board_.seat(s).takes && board_.seat(s).serves) seats.push_back(s);
  }
  return First(kIdlest, std::move(seats), [&](int32_t s) {
    return std::tuple(layer < 0 ? 0 : board_.LayerLoad(layer, s), board_.seat(s).total, s);
  });
}

std::vector<int32_t> Improver::Replaceable(int32_t layer) const {
  std::vector<Cell> cells;
  for (int32_t e = 0; e < board_.experts(); ++e) {
    if (const Cell cell = layer * board_.experts() + e; board_.Replicas(cell) > 1) {
      cells.push_back(cell);
    }
  }
  const auto share_without = [&](Cell cell) {
    return board_.load(cell) / (board_.Replicas(cell) - 1);
  };
  std::vector<int32_t> seats;
  for (Cell cell : First(kIdlest, std::move(cells),
                         [&](int32_t c) { return std::pair(share_without(c), c); })) {
    for (int32_t s : board_.Holders(cell)) {
      if (seats.size() < kIdlest && board_.seat(s).takes) seats.push_back(s);
    }
  }
  return seats;
}

bool Improver::TakeBest() {
  if (!found_) return false;
  Apply(best_, board_);
  found_ = false;
  return true;
}

void Improver::Take(const Step& step, double score) {
  if (found_ && score >= best_score_) return;
  found_ = true;
  best_ = step;
  best_score_ = score;
}

// ---- in a layer

void Improver::ConsiderInLayer(int32_t layer, int32_t from, const Step& step) {
  const Effect effect = score_.Of(step, from);
  const double gain = board_.LayerLoad(layer, from) - effect.most;
  const double least = (options_.min_gain * step.loads / step.relieved + kTiny);
  if (gain >= least * board_.LayerMean(layer)) Take(step, effect.score);
}

void Improver::Drops(int32_t layer, int32_t from) {
  if (options_.keep_replicas) return;
  for (Cell cell : board_.Items(layer, from)) {
    if (board_.Replicas(cell) < 2 || !board_.CanRemove(from, cell)) continue;
    ConsiderInLayer(layer, from, MakeStep(board_, {{cell, from, false}}));
  }
}

// Whether a step that takes `relief` from one seat and brings `rise` to the other can be good at
// all: most are not, and this is quick to see.
bool Improver::MayHelp(const Pair& pair, double relief, double rise, double least) const {
  return relief >= least && pair.to_load + rise <= pair.from_load - least;
}

// One expert more that `from` has less: within the limit, or where more memory is free.
bool Improver::MayHold(int32_t to, int32_t from) const {
  const Seat &a = board_.seat(from), &b = board_.seat(to);
  return b.held < b.limit || b.room - b.held > a.room - a.held;
}

// `cell` of `from` also to `to`, or there instead.
void Improver::Bring(const Pair& pair, Cell cell) {
  if (!board_.CanAdd(pair.to, cell)) return;
  const double share = board_.Share(cell);
  if (board_.CanRemove(pair.from, cell) && MayHold(pair.to, pair.from) &&
      MayHelp(pair, share, share, pair.least)) {
    ConsiderInLayer(pair.layer, pair.from,
                    MakeStep(board_, {{cell, pair.to, true}, {cell, pair.from, false}}));
  }
  if (!options_.replicate || board_.seat(pair.to).held >= board_.seat(pair.to).limit) return;
  const int32_t replicas = board_.Replicas(cell);
  const double less = board_.load(cell) / (replicas + 1);
  if (MayHelp(pair, share - less, less, pair.least / replicas)) {
    ConsiderInLayer(pair.layer, pair.from, Replica(cell, {{cell, pair.to, true}}));
  }
}

// The same, and `other` makes way for it.
void Improver::Replace(const Pair& pair, Cell cell, Cell other) {
  if (!board_.CanRemove(pair.to, other) || !board_.CanAddFor(pair.to, cell, other)) return;
  const double share = board_.Share(cell), others = board_.Share(other);
  const bool removable = board_.CanRemove(pair.from, cell);
  if (removable && MayHelp(pair, share - others, share - others, 2 * pair.least) &&
      board_.CanAddFor(pair.from, other, cell)) {
    ConsiderInLayer(pair.layer, pair.from, Swap(cell, other, pair.from, pair.to));
  }
  if (board_.Replicas(other) < 2) return;
  if (removable && !options_.keep_replicas && MayHelp(pair, share, share - others, pair.least)) {
    ConsiderInLayer(
        pair.layer, pair.from,
        MakeStep(board_,
                 {{cell, pair.to, true}, {cell, pair.from, false}, {other, pair.to, false}}));
  }
  if (!options_.replicate) return;
  const int32_t replicas = board_.Replicas(cell);
  const double less = board_.load(cell) / (replicas + 1);
  if (MayHelp(pair, share - less, less - others, pair.least / replicas)) {
    ConsiderInLayer(pair.layer, pair.from,
                    Replica(cell, {{cell, pair.to, true}, {other, pair.to, false}}));
  }
}

// One replica more is a relief for all that hold the cell.
Step Improver::Replica(Cell cell, std::initializer_list<Change> changes) const {
  Step step = MakeStep(board_, changes);
  step.relieved = board_.Replicas(cell);
  return step;
}

Step Improver::Swap(Cell cell, Cell other, int32_t from, int32_t to) const {
  return MakeStep(board_,
                  {{cell, to, true}, {cell, from, false}, {other, from, true}, {other, to, false}});
}

bool Improver::StepInLayer(int32_t layer) {
  std::vector<int32_t> to = Idlest(layer);
  if (options_.replicate) {
    const std::vector<int32_t> more = Replaceable(layer);
    to.insert(to.end(), more.begin(), more.end());
  }
  for (int32_t from : Busiest(layer, options_.score.goal)) {
    Drops(layer, from);
    for (int32_t seat : to) {
      const Pair pair{layer,
                      from,
                      seat,
                      board_.LayerLoad(layer, from),
                      board_.LayerLoad(layer, seat),
                      options_.min_gain * board_.LayerMean(layer)};
      if (pair.to_load >= pair.from_load) continue;
      for (Cell cell : board_.Items(layer, from)) {
        Bring(pair, cell);
        for (Cell other : board_.Items(layer, seat)) Replace(pair, cell, other);
      }
    }
    if (TakeBest()) return true;
  }
  return false;
}

bool Improver::EvenLayer(int32_t layer) {
  bool changed = false;
  for (int32_t steps = 0; steps < 4 * (board_.seats() + board_.experts()); ++steps) {
    if (!StepInLayer(layer)) break;
    changed = true;
  }
  return changed;
}

// ---- in total

// A step that shifts load `by` from one seat to the other and changes nothing else.
void Improver::ConsiderInTotal(int32_t layer, int32_t from, int32_t to, double by,
                               const Step& step) {
  const double least = (options_.min_gain * step.loads + kTiny) * board_.LayerMean(layer);
  if (by <= 0 || by < least || board_.seat(to).total + by > board_.seat(from).total - least) return;
  const double most =
      std::max(board_.LayerLoad(layer, from), options_.score.goal * board_.LayerMean(layer));
  if (board_.LayerLoad(layer, to) + by > most) return;
  Take(step, score_.Of(step, from).score);
}

void Improver::StepsInTotal(int32_t layer, int32_t from, int32_t to) {
  for (Cell cell : board_.Items(layer, from)) {
    if (!board_.CanRemove(from, cell)) continue;
    const double share = board_.Share(cell);
    if (board_.CanAdd(to, cell) && MayHold(to, from)) {
      ConsiderInTotal(layer, from, to, share,
                      MakeStep(board_, {{cell, to, true}, {cell, from, false}}));
    }
    for (Cell other : board_.Items(layer, to)) {
      if (!board_.CanRemove(to, other) || !board_.CanAddFor(to, cell, other) ||
          !board_.CanAddFor(from, other, cell)) {
        continue;
      }
      ConsiderInTotal(layer, from, to, share - board_.Share(other), Swap(cell, other, from, to));
    }
  }
}

bool Improver::StepInTotal(int32_t from, int32_t to) {
  if (board_.seat(to).total >= board_.seat(from).total) return false;
  for (int32_t i = 0; i < board_.layers(); ++i) {
    const int32_t layer = next_layer_;
    next_layer_ = (next_layer_ + 1) % board_.layers();
    StepsInTotal(layer, from, to);
    if (TakeBest()) return true;
  }
  return false;
}

bool Improver::EvenTotals() {
  const int32_t most = 4 * board_.seats() * std::max(board_.layers(), 16);
  for (int32_t steps = 0; steps < most; ++steps) {
    const std::vector<int32_t> to = Idlest(-1);
    if (to.empty()) return steps > 0;
    const bool idle = board_.seat(to[0]).total < options_.score.idle * board_.TotalMean();
    const std::vector<int32_t> from = Busiest(-1, idle ? 0 : options_.score.goal);
    bool taken = false;
    for (size_t i = 0; i < from.size() * to.size() && !taken; ++i) {
      taken = StepInTotal(from[i / to.size()], to[i % to.size()]);
    }
    if (!taken) return steps > 0;
  }
  return true;
}

}  // namespace expertmesh
