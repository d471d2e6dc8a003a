// board.h: the placement while a round is being made up: who holds what, and the loads that follow.
//
// A cell is one (layer, expert): cell = (layer - first_layer) * experts + expert; layers count from
// 0 here. A seat is one worker, in order of name. START is what the workers hold and load before
// the round, NOW what they are to have after it; the round is the difference. A seat's memory has
// the union of both: that is what `Fits` looks at.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "coordinator/placement/fleet.h"

namespace expertmesh {

using Cell = int32_t;

// One bit per (seat, cell).
class SeatCells {
 public:
  SeatCells() = default;
  SeatCells(int64_t seats, int64_t cells)
      : words_per_seat_((cells + 63) / 64), words_(seats * words_per_seat_, 0) {}
  bool Has(int32_t seat, Cell cell) const {
    return words_[seat * words_per_seat_ + cell / 64] >> (cell % 64) & 1;
  }
  void Set(int32_t seat, Cell cell) { Word(seat, cell) |= uint64_t{1} << (cell % 64); }
  void Clear(int32_t seat, Cell cell) { Word(seat, cell) &= ~(uint64_t{1} << (cell % 64)); }
  absl::Span<const uint64_t> Words(int32_t seat) const {
    return absl::MakeConstSpan(words_).subspan(seat * words_per_seat_, words_per_seat_);
  }
  bool operator==(const SeatCells&) const = default;

 private:
  uint64_t& Word(int32_t seat, Cell cell) { return words_[seat * words_per_seat_ + cell / 64]; }
  int64_t words_per_seat_ = 0;
  std::vector<uint64_t> words_;
};

struct Seat {
  const PlacementWorker* worker = nullptr;
  int64_t room = 0;
  int64_t limit = 0;  // of what balance and replicas may let it hold
  int32_t compute_class = 0;
  bool takes = false;   // neither cordoned nor draining
  bool serves = false;  // counts as one of those over whom load is spread
  int64_t held = 0;     // NOW
  int64_t memory = 0;   // START or NOW
  double total = 0;     // load, all layers together
};

class Board {
 public:
  // `reserve`: share of the room that is not within a seat's limit. `input` outlives the board.
  Board(const PlacementInput& input, double reserve);
  // The same fleet, when its workers hold `start`.
  Board(const PlacementInput& input, double reserve, SeatCells start);

  int32_t layers() const { return layers_; }
  int32_t experts() const { return experts_; }
  int32_t cells() const { return layers_ * experts_; }
  int32_t groups() const { return groups_; }
  int32_t seats() const { return static_cast<int32_t>(seats_.size()); }
  const ExpertGrid& grid() const { return grid_; }
  int32_t LayerOf(Cell cell) const { return cell / experts_; }
  const Seat& seat(int32_t seat) const { return seats_[seat]; }
  bool knows_loads() const { return knows_loads_; }
  double load(Cell cell) const { return loads_[cell]; }

  absl::Span<const int32_t> Holders(Cell cell) const { return holders_[cell]; }
  int32_t Replicas(Cell cell) const { return static_cast<int32_t>(holders_[cell].size()); }
  double Share(Cell cell) const { return loads_[cell] / Replicas(cell); }
  // What `seat` holds of a layer and counts there.
  absl::Span<const Cell> Items(int32_t layer, int32_t seat) const {
    return items_[layer * seats() + seat];
  }
  int32_t GroupOf(Cell cell) const {
    return static_cast<int32_t>(int64_t{cell % experts_} * groups_ / experts_);
  }
  int32_t OfGroup(int32_t layer, int32_t group, int32_t seat) const {
    return of_group_[(layer * groups_ + group) * seats() + seat];
  }
  double LayerLoad(int32_t layer, int32_t seat) const {
    return layer_load_[layer * seats() + seat];
  }
  // Of what somebody holds, over the seats that serve; 0 when there is no load.
  double LayerMean(int32_t layer) const { return layer_sum_[layer] / serving_; }
  double TotalMean() const { return total_sum_ / serving_; }
  double LayerLevel(int32_t layer) const;  // max/mean, 1 without load
  int32_t serving() const { return serving_; }

  const SeatCells& start() const { return start_; }
  const SeatCells& now() const { return now_; }
  bool StartIsEmpty() const { return start_is_empty_; }
  bool Changed() const { return start_ != now_; }
  bool Pinned(int32_t seat, Cell cell) const { return pinned_.Has(seat, cell); }
  // Held by a worker of a class that does not count for this cell.
  const std::vector<std::pair<int32_t, Cell>>& strays() const { return strays_; }

  // There is memory for it at each moment of the round.
  bool Fits(int32_t seat, Cell cell) const {
    return start_.Has(seat, cell) || seats_[seat].memory < seats_[seat].room;
  }
  bool ClassAllows(int32_t seat, Cell cell) const {
    return holders_[cell].empty() ||
           seats_[holders_[cell].front()].compute_class == seats_[seat].compute_class;
  }
  bool CanAdd(int32_t seat, Cell cell) const {
    return seats_[seat].takes && !now_.Has(seat, cell) && ClassAllows(seat, cell) &&
           Fits(seat, cell);
  }
  // As CanAdd, when `leaves` goes from the seat: what came in this same round gives its place.
  bool CanAddFor(int32_t seat, Cell cell, Cell leaves) const {
    return seats_[seat].takes && !now_.Has(seat, cell) && ClassAllows(seat, cell) &&
           (Fits(seat, cell) || !start_.Has(seat, leaves));
  }
  bool CanRemove(int32_t seat, Cell cell) const { return !pinned_.Has(seat, cell); }

  void Add(int32_t seat, Cell cell);
  void Remove(int32_t seat, Cell cell);
  void RemoveStray(int32_t seat, Cell cell);
  void SetLimit(int32_t seat, int64_t limit) { seats_[seat].limit = limit; }

 private:
  void TakeLoads(const std::vector<double>& loads);
  void TakeSeats(const PlacementInput& input, double reserve);
  void TakeStart();
  void TakeCell(Cell cell, const std::vector<int32_t>& holders);
  void TakePins(int32_t seat);
  void Shift(Cell cell, double by);  // each holder's load

  ExpertGrid grid_;
  int32_t layers_ = 0, experts_ = 0, groups_ = 1;
  int32_t serving_ = 1;
  bool knows_loads_ = false;
  bool start_is_empty_ = true;
  std::vector<Seat> seats_;
  SeatCells start_, now_, pinned_;
  std::vector<double> loads_;                  // [cells]
  std::vector<std::vector<int32_t>> holders_;  // [cells]
  std::vector<std::vector<Cell>> items_;       // [layers][seats]
  std::vector<int32_t> of_group_;              // [layers][groups][seats]
  std::vector<double> layer_load_;             // [layers][seats]
  std::vector<double> layer_sum_;              // [layers]
  double total_sum_ = 0;
  std::vector<std::pair<int32_t, Cell>> strays_;
};

// What the workers of `input` hold and load, in order of name.
SeatCells StartOf(const PlacementInput& input);

// The (seat, cell) that `more` has and `less` has not, as sets by worker's name.
std::map<std::string, ExpertSet> Difference(const Board& board, const SeatCells& more,
                                            const SeatCells& less);

}  // namespace expertmesh
