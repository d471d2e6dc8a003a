#include "coordinator/placement/cover.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "coordinator/placement/balance.h"
#include "coordinator/placement/packing.h"

namespace expertmesh {
namespace {

class Repair {
 public:
  explicit Repair(Board& board) : board_(board) {}

  void FetchPins(bool of_uncovered_alone);
  void MakeRoomForPins();
  void CoverUncovered();
  void Drain();

 private:
  std::vector<Cell> Hottest(std::vector<Cell> cells) const;
  // The least loaded seat that can get the cell.
  std::optional<int32_t> Taker(Cell cell) const;
  std::optional<int32_t> TakerOfOtherClass(Cell cell) const;
  bool LeaveDraining(int32_t seat, Cell cell);
  void MoveOff(Cell cell, int32_t to);
  bool Settled(Cell cell) const;  // someone holds it who is not to be emptied
  // Unloads a surplus replica, so that in the next round there is room for one expert more.
  bool EvictFor(Cell cell, bool of_its_class);
  bool Evictable(int32_t seat, Cell cell) const;
  bool Lacks(int32_t seat, Cell cell) const;  // a pin that it could get
  void MakeRoomOn(int32_t seat);

  Board& board_;
};

bool Repair::Settled(Cell cell) const {
  const absl::Span<const int32_t> holders = board_.Holders(cell);
  return std::any_of(holders.begin(), holders.end(),
                     [&](int32_t s) { return !board_.seat(s).worker->draining; });
}

std::vector<Cell> Repair::Hottest(std::vector<Cell> cells) const {
  std::stable_sort(cells.begin(), cells.end(),
                   [&](Cell a, Cell b) { return board_.load(a) > board_.load(b); });
  return cells;
}

template <typename May>
std::optional<int32_t> LeastLoaded(const Board& board, Cell cell, May may) {
  std::optional<int32_t> best;
  const auto key = [&](int32_t s) {
    const Seat& seat = board.seat(s);
    return std::tuple(board.LayerLoad(board.LayerOf(cell), s), seat.total,
                      seat.held / static_cast<double>(std::max<int64_t>(seat.room, 1)));
  };
  for (int32_t s = 0; s < board.seats(); ++s) {
    if (may(s) && (!best.has_value() || key(s) < key(*best))) best = s;
  }
  return best;
}

std::optional<int32_t> Repair::Taker(Cell cell) const {
  return LeastLoaded(board_, cell, [&](int32_t s) { return board_.CanAdd(s, cell); });
}

std::optional<int32_t> Repair::TakerOfOtherClass(Cell cell) const {
  return LeastLoaded(board_, cell, [&](int32_t s) {
    return board_.seat(s).takes && !board_.ClassAllows(s, cell) && !board_.now().Has(s, cell) &&
           board_.Fits(s, cell);
  });
}

// ---- pins

bool Repair::Lacks(int32_t seat, Cell cell) const {
  return board_.Pinned(seat, cell) && board_.seat(seat).takes && !board_.now().Has(seat, cell) &&
         board_.ClassAllows(seat, cell);
}

void Repair::FetchPins(bool of_uncovered_alone) {
  for (Cell cell = 0; cell < board_.cells(); ++cell) {
    if (of_uncovered_alone && !board_.Holders(cell).empty()) continue;
    for (int32_t s = 0; s < board_.seats(); ++s) {
      if (Lacks(s, cell) && board_.CanAdd(s, cell)) board_.Add(s, cell);
    }
  }
}

// For each pin that found no room one expert leaves its seat, for the next round.
void Repair::MakeRoomForPins() {
  std::vector<int32_t> lacking(board_.seats(), 0);
  for (Cell cell = 0; cell < board_.cells(); ++cell) {
    for (int32_t s = 0; s < board_.seats(); ++s) lacking[s] += Lacks(s, cell);
  }
  for (int32_t s = 0; s < board_.seats(); ++s) {
    for (int32_t i = 0; i < lacking[s]; ++i) MakeRoomOn(s);
  }
}

// By a surplus replica, or by an expert that another worker can take. (One that lacks pins itself
// has no room at this point: it would have loaded them.)
void Repair::MakeRoomOn(int32_t seat) {
  std::optional<std::pair<Cell, int32_t>> move;
  for (int32_t layer = 0; layer < board_.layers(); ++layer) {
    for (Cell cell : board_.Items(layer, seat)) {
      if (Evictable(seat, cell)) return board_.Remove(seat, cell);
      if (move.has_value() || !board_.CanRemove(seat, cell)) continue;
      if (!board_.start().Has(seat, cell)) continue;
      if (const auto to = Taker(cell)) move = {cell, *to};
    }
  }
  if (!move.has_value()) return;
  board_.Add(move->second, move->first);
  board_.Remove(seat, move->first);
}

// ---- what nobody holds

void Repair::CoverUncovered() {
  std::vector<Cell> uncovered;
  for (Cell cell = 0; cell < board_.cells(); ++cell) {
    if (board_.Holders(cell).empty()) uncovered.push_back(cell);
  }
  bool surplus = true;
  for (Cell cell : Hottest(std::move(uncovered))) {
    if (const auto to = Taker(cell)) {
      board_.Add(*to, cell);
    } else if (surplus) {
      surplus = EvictFor(cell, false);
    }
  }
}

// ---- drains

void Repair::Drain() {
  for (int32_t s = 0; s < board_.seats(); ++s) {
    if (!board_.seat(s).worker->draining) continue;
    std::vector<Cell> cells;
    for (int32_t layer = 0; layer < board_.layers(); ++layer) {
      const absl::Span<const Cell> items = board_.Items(layer, s);
      cells.insert(cells.end(), items.begin(), items.end());
    }
    for (Cell cell : Hottest(std::move(cells))) LeaveDraining(s, cell);
  }
  const auto strays = board_.strays();
  for (const auto& [seat, cell] : strays) {
    if (board_.seat(seat).worker->draining && Settled(cell)) board_.RemoveStray(seat, cell);
  }
}

bool Repair::LeaveDraining(int32_t seat, Cell cell) {
  if (Settled(cell)) {
    board_.Remove(seat, cell);
    return true;
  }
  if (const auto to = Taker(cell)) {
    MoveOff(cell, *to);
    return true;
  }
  if (EvictFor(cell, true)) return false;
  if (const auto to = TakerOfOtherClass(cell)) {
    MoveOff(cell, *to);
    return true;
  }
  EvictFor(cell, false);
  return false;
}

void Repair::MoveOff(Cell cell, int32_t to) {
  const absl::Span<const int32_t> span = board_.Holders(cell);
  const std::vector<int32_t> from(span.begin(), span.end());
  board_.Add(to, cell);
  for (int32_t s : from) board_.Remove(s, cell);
}

// ---- room

bool Repair::Evictable(int32_t seat, Cell cell) const {
  if (!board_.CanRemove(seat, cell) || !board_.start().Has(seat, cell)) return false;
  const absl::Span<const int32_t> holders = board_.Holders(cell);
  return std::any_of(holders.begin(), holders.end(),
                     [&](int32_t s) { return s != seat && !board_.seat(s).worker->draining; });
}

bool Repair::EvictFor(Cell cell, bool of_its_class) {
  double least = 0;
  std::optional<std::pair<int32_t, Cell>> found;
  for (int32_t s = 0; s < board_.seats(); ++s) {
    const Seat& seat = board_.seat(s);
    if (!seat.takes || seat.held > seat.room || board_.now().Has(s, cell)) continue;
    if (of_its_class && !board_.ClassAllows(s, cell)) continue;
    for (int32_t layer = 0; layer < board_.layers(); ++layer) {
      for (Cell other : board_.Items(layer, s)) {
        if (other == cell || !Evictable(s, other)) continue;
        const double cost = board_.Share(other) / (board_.Replicas(other) - 1);
        if (!found.has_value() || cost < least) {
          found = {s, other};
          least = cost;
        }
      }
    }
  }
  if (found.has_value()) board_.Remove(found->first, found->second);
  return found.has_value();
}

}  // namespace

void Cover(Board& board, const PlanOptions& options) {
  const bool first = board.StartIsEmpty();
  Repair repair(board);
  repair.FetchPins(true);
  if (first && board.seats() > 0) {
    PackAll(board, options);
    if (Uncovered(board).empty()) Polish(board, options);
  }
  repair.CoverUncovered();
  repair.FetchPins(false);
  repair.MakeRoomForPins();
  repair.Drain();
}

ExpertSet Uncovered(const Board& board) {
  ExpertSet uncovered(board.grid());
  for (Cell cell = 0; cell < board.cells(); ++cell) {
    if (board.Holders(cell).empty()) {
      uncovered.Insert(board.grid().first_layer + board.LayerOf(cell), cell % board.experts());
    }
  }
  return uncovered;
}

std::vector<std::string> Unsolved(const Board& board) {
  std::vector<std::string> texts;
  if (const ExpertSet uncovered = Uncovered(board); !uncovered.empty()) {
    texts.push_back(absl::StrCat(uncovered.size(), " experts are held by nobody (",
                                 uncovered.ToText(), "): no worker that takes any has room"));
  }
  for (int32_t s = 0; s < board.seats(); ++s) {
    const Seat& seat = board.seat(s);
    if (seat.worker->draining && seat.held > 0) {
      texts.push_back(absl::StrCat(seat.worker->name, " is draining and keeps ", seat.held,
                                   " experts: the others have no room for them"));
    }
    int64_t missing = 0;
    for (Cell cell = 0; cell < board.cells(); ++cell) {
      missing += board.Pinned(s, cell) && !board.now().Has(s, cell);
    }
    if (missing > 0) {
      texts.push_back(absl::StrCat(seat.worker->name, " lacks ", missing, " of its pins"));
    }
  }
  return texts;
}

}  // namespace expertmesh
