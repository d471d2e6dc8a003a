#include "coordinator/placement/board.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "common/check.h"

namespace expertmesh {
namespace {

std::vector<int32_t> OrderOfNames(const PlacementInput& input) {
  std::vector<int32_t> order(input.workers.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return input.workers[a].name < input.workers[b].name; });
  return order;
}

// Calls `visit` with each member's cell, ascending.
template <typename Visit>
void ForEach(const ExpertSet& set, const ExpertGrid& grid, Visit visit) {
  if (!(set.grid() == grid)) return;
  const std::string bytes = set.ToBytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (uint8_t bits = static_cast<uint8_t>(bytes[i]); bits != 0; bits &= bits - 1) {
      visit(static_cast<Cell>(i * 8 + std::countr_zero(bits)));
    }
  }
}

}  // namespace

SeatCells StartOf(const PlacementInput& input) {
  SeatCells start(input.workers.size(), input.grid.size());
  int32_t seat = 0;
  for (int32_t index : OrderOfNames(input)) {
    const PlacementWorker& worker = input.workers[index];
    for (const ExpertSet* set : {&worker.holds, &worker.loading}) {
      ForEach(*set, input.grid, [&](Cell cell) { start.Set(seat, cell); });
    }
    ++seat;
  }
  return start;
}

std::map<std::string, ExpertSet> Difference(const Board& board, const SeatCells& more,
                                            const SeatCells& less) {
  const ExpertGrid& grid = board.grid();
  std::map<std::string, ExpertSet> sets;
  for (int32_t s = 0; s < board.seats(); ++s) {
    ExpertSet* set = nullptr;
    for (size_t i = 0; i < more.Words(s).size(); ++i) {
      for (uint64_t bits = more.Words(s)[i] & ~less.Words(s)[i]; bits != 0; bits &= bits - 1) {
        const Cell cell = static_cast<Cell>(i * 64 + std::countr_zero(bits));
        if (set == nullptr) {
          set = &sets.emplace(board.seat(s).worker->name, ExpertSet(grid)).first->second;
        }
        set->Insert(grid.first_layer + board.LayerOf(cell), cell % board.experts());
      }
    }
  }
  return sets;
}

Board::Board(const PlacementInput& input, double reserve) : Board(input, reserve, StartOf(input)) {}

Board::Board(const PlacementInput& input, double reserve, SeatCells start)
    : grid_(input.grid),
      layers_(input.grid.experts > 0 ? input.grid.layers : 0),
      experts_(input.grid.experts),
      groups_(std::clamp(input.routing.groups, 1, std::max(input.grid.experts, 1))),
      start_(std::move(start)),
      now_(start_) {
  TakeLoads(input.loads);
  TakeSeats(input, reserve);
  pinned_ = SeatCells(seats(), cells());
  holders_.resize(cells());
  items_.resize(int64_t{layers_} * seats());
  of_group_.assign(int64_t{layers_} * groups_ * seats(), 0);
  layer_load_.assign(int64_t{layers_} * seats(), 0);
  layer_sum_.assign(layers_, 0);
  TakeStart();
  serving_ = 0;
  for (int32_t s = 0; s < seats(); ++s) {
    Seat& seat = seats_[s];
    seat.limit = std::max(seat.limit, seat.held);
    seat.serves = !seat.worker->draining && (seat.held > 0 || (seat.takes && seat.room > 0));
    serving_ += seat.serves;
    TakePins(s);
  }
  serving_ = std::max(serving_, 1);
}

void Board::TakeLoads(const std::vector<double>& loads) {
  CHECK(loads.empty() || static_cast<int64_t>(loads.size()) == cells(),
        "a load for each expert of each layer");
  loads_.assign(cells(), 0);
  for (size_t i = 0; i < loads.size(); ++i) {
    if (std::isfinite(loads[i]) && loads[i] > 0) loads_[i] = loads[i];
  }
  knows_loads_ = std::any_of(loads_.begin(), loads_.end(), [](double load) { return load > 0; });
  if (!knows_loads_) loads_.assign(cells(), 1);
}

void Board::TakeSeats(const PlacementInput& input, double reserve) {
  for (int32_t index : OrderOfNames(input)) {
    const PlacementWorker& worker = input.workers[index];
    Seat seat;
    seat.worker = &worker;
    seat.room = std::clamp<int64_t>(worker.room, 0, cells());
    seat.limit = static_cast<int64_t>(std::floor(static_cast<double>(seat.room) * (1 - reserve)));
    seat.compute_class = worker.compute_class;
    seat.takes = !worker.cordoned && !worker.draining;
    seats_.push_back(seat);
  }
}

// Cell by cell, so that equal holdings give equal sums to the last bit.
void Board::TakeStart() {
  std::vector<std::vector<int32_t>> holders(cells());
  for (int32_t s = 0; s < seats(); ++s) {
    const absl::Span<const uint64_t> words = start_.Words(s);
    for (size_t i = 0; i < words.size(); ++i) {
      for (uint64_t bits = words[i]; bits != 0; bits &= bits - 1) {
        holders[i * 64 + std::countr_zero(bits)].push_back(s);
      }
    }
  }
  for (Cell cell = 0; cell < cells(); ++cell) {
    if (!holders[cell].empty()) TakeCell(cell, holders[cell]);
  }
}

void Board::TakeCell(Cell cell, const std::vector<int32_t>& holders) {
  start_is_empty_ = false;
  std::map<int32_t, int32_t> votes;  // by class
  for (int32_t s : holders) ++votes[seats_[s].compute_class];
  const auto chosen =
      std::max_element(votes.begin(), votes.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;  // of two equal ones the first stays
      });
  for (int32_t s : holders) {
    Seat& seat = seats_[s];
    ++seat.held;
    ++seat.memory;
    if (seat.compute_class != chosen->first) {
      strays_.emplace_back(s, cell);
      continue;
    }
    holders_[cell].push_back(s);
    items_[LayerOf(cell) * seats() + s].push_back(cell);
    ++of_group_[(LayerOf(cell) * groups_ + GroupOf(cell)) * seats() + s];
  }
  layer_sum_[LayerOf(cell)] += loads_[cell];
  total_sum_ += loads_[cell];
  Shift(cell, Share(cell));
}

// As many as fit: those it has, then the others in their order.
void Board::TakePins(int32_t s) {
  const Seat& seat = seats_[s];
  if (seat.worker->draining) return;
  int64_t left = seat.room;
  std::vector<Cell> to_get;
  ForEach(seat.worker->pinned, grid_, [&](Cell cell) {
    if (!start_.Has(s, cell)) {
      if (ClassAllows(s, cell)) to_get.push_back(cell);
      return;
    }
    pinned_.Set(s, cell);
    --left;
  });
  for (Cell cell : to_get) {
    if (left-- <= 0) break;
    pinned_.Set(s, cell);
  }
}

double Board::LayerLevel(int32_t layer) const {
  const double mean = LayerMean(layer);
  if (mean <= 0) return 1;
  double max = 0;
  for (int32_t s = 0; s < seats(); ++s) {
    if (seats_[s].serves) max = std::max(max, LayerLoad(layer, s));
  }
  return max / mean;
}

void Board::Shift(Cell cell, double by) {
  double* of_layer = &layer_load_[int64_t{LayerOf(cell)} * seats()];
  for (int32_t s : holders_[cell]) {
    of_layer[s] += by;
    seats_[s].total += by;
  }
}

void Board::Add(int32_t s, Cell cell) {
  DCHECK(!now_.Has(s, cell), "it holds that already");
  const int32_t layer = LayerOf(cell);
  if (holders_[cell].empty()) {
    layer_sum_[layer] += loads_[cell];
    total_sum_ += loads_[cell];
  } else {
    Shift(cell, loads_[cell] / (Replicas(cell) + 1) - Share(cell));
  }
  holders_[cell].push_back(s);
  items_[layer * seats() + s].push_back(cell);
  ++of_group_[(layer * groups_ + GroupOf(cell)) * seats() + s];
  layer_load_[layer * seats() + s] += Share(cell);
  Seat& seat = seats_[s];
  seat.total += Share(cell);
  now_.Set(s, cell);
  ++seat.held;
  if (!start_.Has(s, cell)) ++seat.memory;
}

void Board::Remove(int32_t s, Cell cell) {
  DCHECK(now_.Has(s, cell), "it does not hold that");
  const int32_t layer = LayerOf(cell);
  const double share = Share(cell);
  layer_load_[layer * seats() + s] -= share;
  Seat& seat = seats_[s];
  seat.total -= share;
  std::erase(holders_[cell], s);
  std::erase(items_[layer * seats() + s], cell);
  if (items_[layer * seats() + s].empty()) layer_load_[layer * seats() + s] = 0;  // to the bit
  --of_group_[(layer * groups_ + GroupOf(cell)) * seats() + s];
  if (holders_[cell].empty()) {
    layer_sum_[layer] -= loads_[cell];
    total_sum_ -= loads_[cell];
  } else {
    Shift(cell, Share(cell) - share);
  }
  now_.Clear(s, cell);
  --seat.held;
  if (!start_.Has(s, cell)) --seat.memory;
}

void Board::RemoveStray(int32_t s, Cell cell) {
  std::erase(strays_, std::pair(s, cell));
  now_.Clear(s, cell);
  --seats_[s].held;
}

}  // namespace expertmesh
